"""timeline.py: what a person reads of an attempt to sign in."""

from __future__ import annotations

import pytest
from conftest import NOW

from store.signins import Attempt, Step
from timeline import describe_attempt, describe_end


def attempt(*steps: Step) -> Attempt:
    return Attempt("1", None, None, None, None, None, "node", steps[0].at, steps[-1].at, steps)


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ("server_metadata", "Came last: server_metadata. What did not come: register, or authorize."),
        ("authorize", "Came last: authorize. What did not come: login, or consent_shown."),
        ("token", "Came last: token. What did not come: call."),
        ("call", "Came last: call. It is in."),
    ],
)
def test_it_says_which_step_did_not_come(step: str, end: str):
    assert describe_end(Step(NOW, step, None, None)) == end


def test_it_says_which_error_the_last_step_had():
    assert describe_end(Step(NOW, "call", "invalid_token", "another_address")) == "Came last: call, refused (invalid_token)."


def test_each_step_has_the_seconds_since_the_one_before_it():
    steps = Step(NOW, "resource_metadata", None, None), Step(NOW + 1.25, "token", "invalid_grant", None)
    later = Step(NOW + 100, "call", "invalid_token", "another_address")
    assert describe_attempt(attempt(*steps, later)) == [
        "2026-09-21 14:13:20 UTC  no known client  nobody signed in  node",
        "       +0.0 s  resource_metadata  ok",
        "       +1.2 s  token              refused: invalid_grant",
        "      +98.8 s  call               refused: invalid_token (another_address)",
        "  Came last: call, refused (invalid_token).",
    ]

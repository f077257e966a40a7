"""A decision on the consent page counts once; the second click of a double one is answered like the first."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import NOW
from household import CALLBACK, VERIFIER, House, send
from werkzeug.test import Client, TestResponse

from connect import REPEAT_SECONDS
from store.authorizations import AuthorizationRequest, find_request
from store.sessions import list_sessions

pytest_plugins = ["residents"]


@pytest.fixture
def form(house: House, alice: Client) -> dict[str, str]:
    """The consent page of a new client, filled in."""
    return {"request": house.ask(alice).split("=")[1], "profile": "home", "feature_set": "all"}


def decide(browser: Client, form: dict[str, str], decision: str = "approve", **changes: str) -> TestResponse:
    return send(browser, "/connect", **form | {"decision": decision} | changes)


def told(answer: TestResponse) -> dict[str, str]:
    """What the client is told by way of the browser."""
    assert answer.status_code == 303, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def assert_over(answer: TestResponse) -> None:
    assert answer.status_code == 400
    assert "<h1>This sign-in is over</h1>" in answer.text


def client_of(house: House, form: dict[str, str]) -> str:
    return house.db.query("SELECT client_id FROM authorization_requests WHERE id = :id", id=form["request"])[0]["client_id"]


def redeem(house: House, form: dict[str, str], code: str) -> TestResponse:
    """What the client does with a code."""
    grant = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, "redirect_uri": CALLBACK}
    return house.browser().post("/token", data=grant | {"client_id": client_of(house, form)})


def refresh(house: House, form: dict[str, str], tokens: TestResponse) -> TestResponse:
    grant = {"grant_type": "refresh_token", "refresh_token": tokens.json["refresh_token"], "client_id": client_of(house, form)}
    return house.browser().post("/token", data=grant)


def count_sessions(house: House) -> int:
    return len(list_sessions(house.db, house.alice.id, now=NOW))


@pytest.mark.parametrize("arrives", [0, 1], ids=["the first arrives", "the second arrives"])
def test_a_second_click_on_approve_gives_a_code_too_and_one_of_them_counts(
    house: House, alice: Client, form: dict[str, str], arrives: int
):
    """Which of both answers the browser follows is not for the server to know."""
    before = count_sessions(house)

    codes = [told(decide(alice, form))["code"] for _ in range(2)]

    assert count_sessions(house) == before + 1
    tokens = redeem(house, form, codes[arrives])
    refused = redeem(house, form, codes[1 - arrives])
    assert (tokens.status_code, refused.status_code, refused.json["error"]) == (200, 400, "invalid_grant")
    assert refresh(house, form, tokens).status_code == 200  # it was no replay


def test_a_second_click_on_deny_tells_the_client_again(alice: Client, form: dict[str, str]):
    first, second = (told(decide(alice, form, "deny")) for _ in range(2))
    assert first == second
    assert first["error"] == "access_denied"


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_later_it_is_over(house: House, alice: Client, form: dict[str, str], decision: str):
    told(decide(alice, form, decision))
    house.now += REPEAT_SECONDS
    assert_over(decide(alice, form, decision))


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_looking_again_is_no_second_click(alice: Client, form: dict[str, str], decision: str):
    told(decide(alice, form, decision))
    assert_over(alice.get("/connect?request=" + form["request"]))
    assert_over(decide(alice, form, ""))


def test_a_code_that_was_redeemed_is_the_last(house: House, alice: Client, form: dict[str, str]):
    tokens = redeem(house, form, told(decide(alice, form))["code"])
    assert_over(decide(alice, form))
    assert refresh(house, form, tokens).status_code == 200


def test_a_sign_in_that_was_ended_meanwhile_gives_no_code(house: House, alice: Client, form: dict[str, str]):
    told(decide(alice, form))
    newest = next(item for item in list_sessions(house.db, house.alice.id, now=NOW) if item.id != house.session_id)
    assert send(alice, f"/admin/sessions/{newest.id}/end").status_code == 303
    assert_over(decide(alice, form))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"feature_set": "read_only"}),
        ({"feature_set": "read_only"}, {}),
        ({}, {"profile": "elsewhere"}),
        ({}, {"profile": ""}),
        ({}, {"decision": "deny"}),
        ({"decision": "deny"}, {}),
    ],
    ids=str,
)
def test_another_decision_comes_too_late(house: House, alice: Client, form: dict[str, str], first: dict, second: dict):
    told(decide(alice, form, **first))
    before = house.contents()
    assert_over(decide(alice, form, **second))
    assert house.contents() == before


def test_another_browser_cannot_repeat_a_decision(house: House, alice: Client, form: dict[str, str]):
    told(decide(alice, form))
    for other in (house.browser(house.bob), house.browser(house.alice)):
        assert decide(other, form).status_code == 403


def test_of_two_approvals_at_the_same_moment_the_later_is_a_second_click(
    house: House, alice: Client, form: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """The later has seen the request open, and finds it decided when it writes."""
    before, looks = count_sessions(house), count()

    def look_early(*of) -> AuthorizationRequest:
        found = find_request(*of)
        return replace(found, decided_at=None, code_hash=None) if next(looks) == 0 else found

    first = told(decide(alice, form))["code"]
    monkeypatch.setattr("connect.find_request", look_early)
    second = told(decide(alice, form))["code"]

    assert count_sessions(house) == before + 1
    assert [redeem(house, form, code).status_code for code in (second, first)] == [200, 400]

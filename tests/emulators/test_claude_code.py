"""Claude Code: on the person's machine, at any port, in several processes that share one file of tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from actors import Person
from house import House

from assistants import ASSISTANTS
from emulators.conftest import Installed

HOUR = 3600


def test_its_addresses_are_those_that_its_maker_documents():
    document = ASSISTANTS["claude-code"].document
    assert document["client_id"] == "https://claude.ai/oauth/claude-code-client-metadata"
    assert document["redirect_uris"] == ["http://localhost/callback", "http://127.0.0.1/callback"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("port", ["", ":1", ":51823", ":65535"])
def test_both_names_of_the_machine_are_good_at_any_port(owner: Person, arrive: Callable[..., Installed], host: str, port: str):
    code = arrive("claude-code")
    code.redirect_uri = f"http://{host}{port}/callback"
    code.sign_in(owner)
    assert code.can_call()


@pytest.mark.parametrize(
    "other",
    [
        "http://[::1]:51823/callback",
        "http://localhost:51823/callback/",
        "https://localhost:51823/callback",
        "http://localhost:0/callback",
        "http://localhost.evil.example:51823/callback",
    ],
)
def test_another_name_path_or_scheme_is_a_page(owner: Person, arrive: Callable[..., Installed], other: str):
    code = arrive("claude-code")
    code.redirect_uri = other
    page = owner.get(code.authorize_url())
    assert page.status_code == 400
    assert "redirect_uri" in page.text


def test_the_consent_page_says_that_the_answer_goes_to_this_machine(owner: Person, arrive: Callable[..., Installed]):
    page = owner.get(arrive("claude-code").authorize_url())
    assert page.status_code == 200
    assert "localhost:51823" in page.text
    assert "This is a program on <strong>this computer</strong>" in page.text


def test_several_processes_that_share_one_refresh_token_all_go_on(house: House, owner: Person, arrive: Callable[..., Installed]):
    processes = [arrive("claude-code", redirect=number % 2) for number in range(4)]
    processes[0].sign_in(owner)
    shared = processes[0].tokens
    for _ in range(24):
        house.clock.forward(HOUR)
        for process in processes:  # each reads the file before another has written it
            process.tokens = dict(shared)
            process.refresh()
        assert all(process.can_call() for process in processes)
        assert len({process.tokens["refresh_token"] for process in processes}) == len(processes)
        shared = processes[-1].tokens  # the last one to write the file


def test_a_process_that_slept_on_an_old_token_is_refused_and_may_sign_in_again(
    house: House, owner: Person, arrive: Callable[..., Installed]
):
    code, sleeper = arrive("claude-code"), arrive("claude-code")
    code.sign_in(owner)
    sleeper.tokens = dict(code.tokens)
    house.clock.forward(HOUR)
    code.refresh()
    house.clock.forward(31)
    refused = sleeper.trade(sleeper.tokens["refresh_token"])
    assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
    assert code.call("tools/list").status == 401  # that was a second use, after the grace: the session is over (RFC 9700 §4.14.2)
    sleeper.sign_in(owner)
    assert sleeper.can_call()

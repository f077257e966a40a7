"""Assistants as their person knows them: alias, pause, last use, the end of all sign-ins; for each user apart."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from actors import PASSWORD, Assistant, FormReader, Person
from conftest import NOW
from house import Clock, House
from requests import Response

from accounts import add_account
from config import Settings
from errors import NotFound
from mcp_methods import PAUSED
from store.clients import delete_client
from store.grants import list_client_names
from store.profiles import list_profiles
from store.sessions import list_sessions
from store.user_clients import ALIAS_MAX, Note, find_note, list_user_clients, pause_client, resume_client, set_alias
from store.users import find_user_by_name

MINUTE = 60


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    built = House(settings, Clock(NOW))
    for name in ("alice", "bob"):
        add_account(built.db, built.gate.pages.extensions["postern"].vault, name, PASSWORD, now=NOW)
    yield built
    built.close()


@pytest.fixture
def alice(house: House) -> Person:
    return person(house, "alice")


@pytest.fixture
def bob(house: House) -> Person:
    return person(house, "bob")


def person(house: House, name: str) -> Person:
    """Somebody who has signed in."""
    someone = Person(house.url, name, session=house.session())
    someone.sign_in()
    return someone


@pytest.fixture
def assistant(house: House, alice: Person) -> Assistant:
    """One that Alice has let in."""
    arrived = Assistant(house.url, session=house.session(), client_name="Claude")
    arrived.sign_in(alice)
    return arrived


def let_in(house: House, assistant: Assistant, who: Person) -> Assistant:
    """The same client, as somebody else has it: ids are shared where a client describes itself."""
    again = Assistant(house.url, session=house.session())
    again.client_id = assistant.client_id
    again.sign_in(who)
    return again


def press(who: Person, action: str, assistant: Assistant, **values: str) -> Response:
    """Press a button of an assistant's on the page, or one that stood there before."""
    form = FormReader(who.get("/admin").text).forms[0]
    data = form.values | {"action": action, "client_id": assistant.client_id} | values
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    return who.session.post(who.base_url + "/admin", data=data, headers=headers, allow_redirects=False)


def buttons(who: Person, assistant: Assistant) -> set[str]:
    """What can be done with an assistant on the page."""
    forms = [form for form in FormReader(who.get("/admin").text).forms if form.values.get("client_id") == assistant.client_id]
    return {value for form in forms for _, value in form.buttons}


def known(house: House, name: str) -> list[tuple[str | None, str | None]]:
    """(alias, own name) of the assistants that somebody sees."""
    user = find_user_by_name(house.db, name)
    return [(item.alias, item.name) for item in list_user_clients(house.db, user.id, now=int(house.clock()))]


def work(assistant: Assistant) -> dict:
    """The result of a call of a tool."""
    answer = assistant.call("tools/call", {"name": "status_get_work", "arguments": {}})
    assert answer.status_code == 200
    return answer.json()["result"]


# --- alias ---


def test_a_person_gives_an_assistant_a_name_of_their_own(house: House, alice: Person, assistant: Assistant):
    assert press(alice, "rename", assistant, alias="  Claude at work ").status_code == 303
    page = alice.get("/admin").text
    assert "<strong><bdi>Claude at work</bdi></strong>" in page
    assert "It calls itself <q><bdi>Claude</bdi></q>." in page
    assert known(house, "alice") == [("Claude at work", "Claude")]
    profile = list_profiles(house.db, find_user_by_name(house.db, "alice").id)[0]
    assert list_client_names(house.db, profile.id) == ["Claude at work"]
    assert press(alice, "rename", assistant, alias=" ").status_code == 303
    assert known(house, "alice") == [(None, "Claude")]


def test_who_asks_for_consent_again_is_shown_by_that_name_too(alice: Person, assistant: Assistant):
    assert "You call it" not in alice.get(assistant.authorize_url()).text
    press(alice, "rename", assistant, alias="Claude at work")
    page = alice.get(assistant.authorize_url()).text
    assert "You call it <strong><bdi>Claude at work</bdi></strong>." in page
    assert "It calls itself <q><bdi>Claude</bdi></q>." in page


@pytest.mark.parametrize("alias", ["x" * (ALIAS_MAX + 1), "two\nlines", "turned\u202eround"])
def test_it_refuses_an_odd_name(house: House, alice: Person, assistant: Assistant, alias: str):
    answer = press(alice, "rename", assistant, alias=alias)
    assert answer.status_code == 400
    assert "A name has at most 60 ordinary characters." in answer.text
    assert known(house, "alice") == [(None, "Claude")]


def test_a_name_is_text_whatever_it_says(alice: Person, assistant: Assistant):
    press(alice, "rename", assistant, alias="<script>\"'{{7*7}}")
    page = alice.get("/admin").text
    assert "<script>" not in page
    assert "&lt;script&gt;&#34;&#39;{{7*7}}" in page


# --- pause ---


def test_a_paused_assistant_does_nothing_and_loses_nothing(house: House, alice: Person, assistant: Assistant):
    assert not work(assistant)["isError"]
    tools = assistant.call("tools/list").json()["result"]
    uri = assistant.call("resources/list").json()["result"]["resources"][0]["uri"]
    assert "result" in assistant.call("resources/read", {"uri": uri}).json()
    assert press(alice, "pause", assistant).status_code == 303
    assert work(assistant) == {"content": [{"type": "text", "text": PAUSED}], "isError": True}
    assert assistant.call("tools/list").json()["result"] == tools
    assert assistant.call("ping").status_code == 200
    read = assistant.call("resources/read", {"uri": uri})
    assert (read.status_code, read.json()["error"]) == (200, {"code": -32603, "message": PAUSED})
    house.clock.forward(2 * 3600)
    assert assistant.call("ping").status_code == 401
    assistant.tokens = assistant.refresh().json()  # its sign-in goes on meanwhile
    assert work(assistant)["isError"]
    assert press(alice, "resume", assistant).status_code == 303
    assert not work(assistant)["isError"]


def test_a_pause_is_told_in_the_stateless_era_too(house: House, alice: Person, assistant: Assistant):
    press(alice, "pause", assistant)
    facts = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
    meta = {f"io.modelcontextprotocol/{name}": fact for name, fact in facts.items()}
    headers = {
        "Authorization": f"Bearer {assistant.tokens['access_token']}", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "status_get_work",
    }  # fmt: skip
    params = {"name": "status_get_work", "arguments": {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = assistant.session.post(house.url + "/mcp", json=body, headers=headers)
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert (result["isError"], result["content"][0]["text"], result["resultType"]) == (True, PAUSED, "complete")


def test_the_page_says_who_is_paused_and_offers_what_fits(alice: Person, assistant: Assistant):
    assert buttons(alice, assistant) == {"rename", "pause", "end"}
    assert "Paused" not in alice.get("/admin").text
    press(alice, "pause", assistant)
    assert buttons(alice, assistant) == {"rename", "resume", "end"}
    assert '<span class="tag">Paused</span>' in alice.get("/admin").text


def test_all_sign_ins_of_a_client_are_paused_and_a_new_approval_resumes_it(house: House, alice: Person, assistant: Assistant):
    other = let_in(house, assistant, alice)
    press(alice, "pause", assistant)
    assert [work(each)["isError"] for each in (assistant, other)] == [True, True]
    assert "You have paused this assistant. Approving resumes it" in alice.get(assistant.authorize_url()).text
    alice.decide(assistant.authorize_url(), "deny")
    assert work(other)["isError"]
    third = let_in(house, assistant, alice)
    assert [work(each)["isError"] for each in (assistant, other, third)] == [False, False, False]


def test_pausing_twice_keeps_the_first_moment(house: House, alice: Person, assistant: Assistant):
    press(alice, "pause", assistant)
    house.clock.forward(MINUTE)
    press(alice, "pause", assistant)
    assert find_note(house.db, find_user_by_name(house.db, "alice").id, assistant.client_id) == Note(None, NOW)


# --- last use, and the end ---


def test_the_page_tells_when_a_client_was_last_used_whichever_sign_in_it_was(house: House, alice: Person, assistant: Assistant):
    other = let_in(house, assistant, alice)
    assert "Not used yet." in alice.get("/admin").text
    other.call("ping")
    house.clock.forward(2 * MINUTE)
    assistant.call("ping")
    user = find_user_by_name(house.db, "alice")
    (seen,) = list_user_clients(house.db, user.id, now=int(house.clock()))
    assert (seen.seen_at, len(seen.sessions)) == (NOW + 2 * MINUTE, 2)
    page = alice.get("/admin").text
    assert "Last used 21 September 2026, 14:15 UTC." in page
    assert "Its name, and 2 sign-ins" in page


def test_one_button_ends_all_sign_ins_of_a_client_and_of_no_other(house: House, alice: Person, assistant: Assistant):
    again = let_in(house, assistant, alice)
    other = Assistant(house.url, session=house.session(), client_name="Cursor")
    other.sign_in(alice)
    assert press(alice, "end", assistant).status_code == 303
    assert [each.call("ping").status_code for each in (assistant, again, other)] == [401, 401, 200]
    assert assistant.refresh().json()["error"] == "invalid_grant"
    assert known(house, "alice") == [(None, "Cursor")]
    assert press(alice, "end", assistant).status_code == 404


def test_a_client_that_comes_back_is_known_by_its_alias(house: House, alice: Person, assistant: Assistant):
    press(alice, "rename", assistant, alias="Mine")
    press(alice, "end", assistant)
    assert known(house, "alice") == []
    let_in(house, assistant, alice)
    assert known(house, "alice") == [("Mine", "Claude")]


def test_an_unknown_button_is_refused(alice: Person, assistant: Assistant):
    answer = press(alice, "explode", assistant)
    assert (answer.status_code, "Please use one of the buttons." in answer.text) == (400, True)


# --- whose is whose ---


def test_two_people_who_share_a_client_say_nothing_of_it_to_each_other(
    house: House, alice: Person, bob: Person, assistant: Assistant
):
    of_bob = let_in(house, assistant, bob)
    press(alice, "rename", assistant, alias="Only Alice calls it so")
    press(alice, "pause", assistant)
    assert [work(each)["isError"] for each in (assistant, of_bob)] == [True, False]
    assert known(house, "bob") == [(None, "Claude")]
    page = bob.get("/admin").text
    assert "Claude" in page
    assert not re.search("Only Alice|Paused", page)
    assert "You call it" not in bob.get(of_bob.authorize_url()).text
    press(bob, "resume", of_bob)
    assert work(assistant)["isError"]
    press(bob, "end", of_bob)
    assert [each.call("ping").status_code for each in (assistant, of_bob)] == [200, 401]


@pytest.mark.parametrize("action", ["rename", "pause", "resume", "end"])
def test_nobody_touches_a_client_that_they_never_let_in(
    house: House, alice: Person, bob: Person, assistant: Assistant, action: str
):
    assert press(bob, action, assistant, alias="Bob's").status_code == 404
    assert known(house, "alice") == [(None, "Claude")]
    assert not work(assistant)["isError"]
    assert house.db.query("SELECT client_id FROM user_clients") == []
    if action != "resume":
        assert press(alice, action, assistant, alias="Alice's").status_code == 303


def test_a_stranger_is_sent_to_sign_in(house: House, assistant: Assistant):
    stranger = house.session()
    form = {"action": "pause", "client_id": assistant.client_id}
    answer = stranger.post(house.url + "/admin", data=form, allow_redirects=False)
    assert answer.status_code == 403  # no form of ours was ever shown to it
    assert stranger.get(house.url + "/admin", allow_redirects=False).headers["Location"].startswith("/login")


def test_what_is_said_goes_with_the_client_and_with_the_user(house: House, assistant: Assistant):
    user = find_user_by_name(house.db, "alice")
    set_alias(house.db, user.id, assistant.client_id, "Mine")
    pause_client(house.db, user.id, assistant.client_id, now=NOW)
    resume_client(house.db, user.id, assistant.client_id)
    assert find_note(house.db, user.id, assistant.client_id) == Note("Mine", None)
    delete_client(house.db, assistant.client_id)
    assert house.db.query("SELECT client_id FROM user_clients") == []
    assert list_sessions(house.db, user.id, now=NOW) == []
    for change in (lambda: set_alias(house.db, user.id, assistant.client_id, "x"), lambda: resume_client(house.db, user.id, "x")):
        with pytest.raises(NotFound):
            change()

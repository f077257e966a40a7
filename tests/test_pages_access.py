"""What pages refuse: forged forms, other people's things, a look at secrets. Decisions: test_decisions.py."""

from __future__ import annotations

import re

import pytest
from conftest import NOW
from household import CANARY, House, send, token_of
from werkzeug.test import Client

from naming import short_key
from store.connections import list_connections, list_secrets
from store.sessions import list_sessions
from store.users import User

pytest_plugins = ["residents"]

EVIL = "https://evil.example"


# --- CSRF ---

FORMS = {
    "/login": {"username": "alice", "password": "wrong"},
    "/logout": {},
    "/setup": {"code": "x"},
    "/connect": {"request": "{request}", "profile": "home", "feature_set": "all", "decision": "approve"},
    "/connections/new": {"connector": "personal_context", "connection_name": "Another", "action": "save"},
    "/connections/<connection_id>": {"action": "delete"},
    "/connections/<connection_id>/connect": {},
    "/connections/<connection_id>/disconnect": {},
    "/connections/<connection_id>/features": {"action": "rule", "changes": "follow"},
    "/profiles/new": {"profile_name": "Work", "action": "make"},
    "/profiles/<slug>": {"profile_name": "Another", "action": "rename"},
    "/profiles/<slug>/<connection_id>": {"shown": "{tool}", "action": "off"},
    "/profiles/<slug>/<connection_id>/<key>": {"shown_name": "another", "action": "save"},
    "/connections/import": {"text": "{{}}", "action": "read"},
    "/admin": {"action": "pause", "client_id": "{assistant}"},
    "/admin/sessions/<session_id>/end": {},
    "/clients/new": {"client_name": "Made", "redirect_uris": "https://made.example/", "kind": "public"},
    "/clients/<client_id>/delete": {},
    "/account": {"old_password": "x", "password": "y", "password_again": "y"},
    "/account/sign-out": {},
    "/keys/new": {"key_name": "x", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"},
    "/keys/<key_id>/revoke": {},
}
# these want a password, what the page before has sealed, or a service to sign in at: test_upstream_oauth.py has one
ELSEWHERE = ["/login", "/setup", "/account", "/connections/import"]
ELSEWHERE += [f"/connections/<connection_id>/{way}" for way in ("connect", "disconnect")]
SHOWN_AT_ONCE = ["/keys/new", "/clients/new", "/connections/<connection_id>/features"]
CHANGES = [path for path in FORMS if path not in ELSEWHERE]
BAD_HEADERS = [{"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]


def fill_in(house: House, browser: Client, path: str) -> tuple[str, dict[str, str]]:
    """A form's address and its values."""
    tool = short_key("tool", "status_get_work")
    facts = {"request": house.ask(browser).split("=")[1], "assistant": house.assistant_id, "tool": tool}
    values = {name: value.format_map(facts) for name, value in FORMS[path].items()}
    for name in ("connection_id", "session_id", "key_id", "client_id"):
        path = path.replace(f"<{name}>", getattr(house, name))
    return path.replace("<slug>", "home").replace("<key>", tool), values


def test_no_form_is_forgotten_here(house: House):
    rules = {rule.rule for rule in house.gate.pages.url_map.iter_rules() if "POST" in rule.methods}
    for_programs = {"/register", "/token", "/revoke", "/introspect", "/authorize"}
    assert rules - for_programs == set(FORMS)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", ["", "wrong", "foreign"])
def test_it_refuses_a_form_without_its_token(house: House, alice: Client, bob: Client, path: str, token: str):
    address, values = fill_in(house, alice, path)
    before = house.contents()
    answer = alice.post(address, data=values | {"csrf_token": token_of(bob) if token == "foreign" else token})
    assert answer.status_code == 403
    assert house.contents() == before


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("headers", BAD_HEADERS, ids=str)
def test_it_refuses_a_form_that_another_site_sends(house: House, alice: Client, path: str, headers: dict[str, str]):
    address, values = fill_in(house, alice, path)
    before = house.contents()
    assert alice.post(address, data=values | {"csrf_token": token_of(alice)}, headers=headers).status_code == 403
    assert house.contents() == before


@pytest.mark.parametrize("path", CHANGES)
def test_with_its_token_each_form_does_change_something(house: House, alice: Client, path: str):
    address, values = fill_in(house, alice, path)
    before = house.contents()
    assert send(alice, address, **values).status_code == (200 if path in SHOWN_AT_ONCE else 303)
    assert house.contents() != before


# --- whose is whose ---


@pytest.mark.parametrize("action", ["", "save", "test", "delete"])
def test_bob_cannot_open_change_try_or_delete_what_is_alices(house: House, bob: Client, action: str):
    path = f"/connections/{house.connection_id}"
    token = token_of(bob)
    before = house.contents()
    answer = bob.post(path, data={"csrf_token": token, "action": action}) if action else bob.get(path)
    assert answer.status_code == 404
    assert house.contents() == before


def test_bob_cannot_end_alices_session_nor_see_what_is_hers(house: House, bob: Client):
    before = house.contents()
    assert send(bob, f"/admin/sessions/{house.session_id}/end").status_code == 404
    assert house.contents() == before
    page = bob.get("/admin").text
    assert "Personal Context" in page
    assert not re.search("Secretive|Assistant<|alice", page)


def test_bob_cannot_put_a_connection_into_alices_profile_nor_grant_it(house: House, bob: Client):
    before = house.contents()
    form = {"connector": "personal_context", "profile": "home", "connection_name": "Intruder", "action": "save"}
    assert send(bob, "/connections/new", **form).status_code == 404
    assert house.contents() == before
    refused = house.approve(bob)
    assert refused.status_code == 400
    assert list_sessions(house.db, house.bob.id, now=NOW) == []


# --- one request, one browser ---


def test_a_request_that_is_unknown_or_anothers_is_403(house: House, alice: Client, bob: Client):
    for path in ("/connect", "/connect?request=unknown", house.ask(bob)):
        assert alice.get(path).status_code == 403
    stolen = {"request": house.ask(bob).split("=")[1], "profile": "home", "feature_set": "all", "decision": "approve"}
    assert send(alice, "/connect", **stolen).status_code == 403


def test_a_request_expires(house: House, alice: Client):
    path = house.ask(alice)
    house.now += 3600
    answer = alice.get(path)
    assert answer.status_code == 400
    assert "<h1>This sign-in is over</h1>" in answer.text


def test_nothing_is_approved_by_get(house: House, alice: Client):
    sessions = list_sessions(house.db, house.alice.id, now=NOW)
    answer = alice.get(house.ask(alice) + "&decision=approve&profile=home&feature_set=all&csrf_token=" + token_of(alice))
    assert answer.status_code == 200
    assert list_sessions(house.db, house.alice.id, now=NOW) == sessions


@pytest.mark.parametrize("changes", [{"decision": ""}, {"profile": "x"}, {"feature_set": "x"}, {"feature_set": ""}], ids=str)
def test_half_a_decision_is_asked_again(house: House, alice: Client, changes: dict[str, str]):
    form = {"request": house.ask(alice).split("=")[1], "profile": "home", "feature_set": "all", "decision": "approve"}
    answer = send(alice, "/connect", **form | changes)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert send(alice, "/connect", **form).status_code == 303


# --- secrets ---


def test_a_kept_secret_is_never_shown(house: House, alice: Client):
    path = f"/connections/{house.connection_id}"
    pages = [alice.get(path), alice.get("/admin"), send(alice, path, action="test", time_zone="Nowhere")]
    assert [page.status_code for page in pages] == [200, 200, 400]
    assert "Saved, and never shown" in pages[0].text
    assert not any(CANARY in page.text for page in pages)


def test_a_typed_secret_comes_back_sealed_and_is_saved(house: House, alice: Client):
    form = {"connector": "personal_context", "connection_name": "New", "home_assistant_token": "typed-" + CANARY}
    tested = send(alice, "/connections/new", **form, action="test")
    assert tested.status_code == 400
    assert CANARY not in tested.text
    assert "Typed, but not saved yet" in tested.text
    sealed = re.search(r'name="typed_secrets" value="([^"]+)"', tested.text)[1]
    saved = send(alice, "/connections/new", **form | {"home_assistant_token": "", "typed_secrets": sealed}, action="save")
    assert saved.status_code == 303
    assert secrets_of(house, house.alice, "New") == {"home_assistant_token": "typed-" + CANARY}


def test_sealed_secrets_are_worth_nothing_to_anybody_else(house: House, alice: Client, bob: Client):
    form = {"connector": "personal_context", "home_assistant_token": "typed-" + CANARY}
    tested = send(alice, "/connections/new", **form, action="test")
    sealed = re.search(r'name="typed_secrets" value="([^"]+)"', tested.text)[1]
    send(bob, "/connections/new", connector="personal_context", connection_name="Mine", typed_secrets=sealed, action="save")
    assert secrets_of(house, house.bob, "Mine") == {}


def secrets_of(house: House, user: User, name: str) -> dict[str, str]:
    """The secrets of a user's connection."""
    (connection,) = [item for item in list_connections(house.db, user.id) if item.name == name]
    return list_secrets(house.db, house.vault, connection.id)


# --- what is there no more ---


def test_a_connection_whose_connector_is_gone_can_still_be_deleted(house: House, alice: Client):
    object.__setattr__(house.state, "connectors", {})
    assert "not installed any more" in alice.get("/admin").text
    assert alice.get(f"/connections/{house.connection_id}").status_code == 404
    assert send(alice, f"/connections/{house.connection_id}", action="delete").status_code == 303
    assert [item.name for item in list_connections(house.db, house.alice.id)] == ["Personal Context"]

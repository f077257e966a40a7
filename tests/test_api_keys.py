"""API keys as a person makes them and a program uses them: the pages, and /mcp. The store: test_store_api_keys.py."""

from __future__ import annotations

import logging
import re

import pytest
from conftest import NOW
from household import CANARY, House, send
from werkzeug.test import Client, TestResponse

from app import create_app
from crypto import hash_token
from errors import ToolError
from store.api_keys import IDLE_SECONDS, list_keys
from store.connections import list_connections, list_secrets
from store.profiles import insert_profile, list_members, list_profiles
from store.users import User

pytest_plugins = ["residents"]

DAY = 86400
WISH = {"key_name": "Night job", "profile": "home", "feature_set": "all", "lifetime": "365", "action": "make"}
NEW_CONNECTION = {"connector": "personal_context", "connection_name": "Robot", "home_assistant_token": "typed-" + CANARY}


def shown_keys(page: TestResponse) -> list[str]:
    """The keys that a page shows, as often as it does."""
    return re.findall(r"mcp_sk_[A-Za-z0-9_-]{43}", page.text)


def make(browser: Client, **values: str) -> str:
    """Make a key on the page; answers the key."""
    page = send(browser, "/keys/new", **WISH | values)
    assert page.status_code == 200, page.text
    (key,) = shown_keys(page)
    return key


def names_of(house: House, user: User) -> list[str]:
    """The names of a user's keys."""
    return [key.name for key in list_keys(house.db, user.id)]


def call(
    gate: object, headers: dict[str, str], method: str = "tools/list", *, path: str = "/mcp", **params: object
) -> TestResponse:
    """One request at /mcp, of the handshake era."""
    usual = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return Client(gate).post(path, json=body, headers=usual | headers)


def bearer(key: str) -> dict[str, str]:
    """The header that programs know best."""
    return {"Authorization": f"Bearer {key}"}


def tools_of(answer: TestResponse) -> set[str]:
    """The names in an answer to tools/list."""
    return {tool["name"] for tool in answer.json["result"]["tools"]}


def check_refused(answer: TestResponse, status: int = 401, error: str = "invalid_token") -> None:
    """The exact refusal."""
    assert (answer.status_code, answer.json["error"]) == (status, error)
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


# --- making one ---


def test_a_key_is_shown_once_and_stands_hashed(house: House, alice: Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, logger="postern"):
        answer = send(alice, "/keys/new", **WISH)
    (key,) = shown_keys(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert hash_token(key) in str(house.contents()["api_keys"])
    assert caplog.records
    for text in (str(house.contents()), caplog.text, alice.get("/admin").text, alice.get("/keys/new").text):
        assert key[13:] not in text


def test_the_overview_tells_what_a_key_is_for(house: House, alice: Client):
    key = make(alice, feature_set="read_only", lifetime="90")
    page = alice.get("/admin").text
    assert "Night job" in page
    assert key[:12] + "…" in page
    assert "Read only in home" in page
    assert "not used yet" in page
    call(house.gate, bearer(key))
    assert "last used" in alice.get("/admin").text


def test_the_overview_tells_why_a_key_is_good_no_more(house: House):
    house.make_key(house.alice, "short", lifetime=DAY)
    for days, told in {0: None, 1: "Expired 22 September 2026", 90: "Ended, because nobody had used it for 90 days"}.items():
        house.now = NOW + days * DAY
        page = house.browser(house.alice).get("/admin").text
        found = re.findall("<strong>((?:Expired|Ended)[^<]*)", page)
        assert len(found) == {0: 0, 1: 1, 90: 2}[days]
        assert told is None or any(told in text for text in found)


@pytest.mark.parametrize(
    ("lifetime", "expires_at"), [("30", NOW + 30 * DAY), ("90", NOW + 90 * DAY), ("365", NOW + 365 * DAY), ("never", None)]
)
def test_a_person_chooses_how_long_it_is_good(house: House, alice: Client, lifetime: str, expires_at: int | None):
    make(alice, lifetime=lifetime)
    (key,) = [item for item in list_keys(house.db, house.alice.id) if item.name == "Night job"]
    assert key.expires_at == expires_at


MISTAKES = [
    {"key_name": ""},
    {"key_name": "x" * 61},
    {"profile": "nowhere"},
    {"feature_set": "nothing"},
    {"lifetime": "1000"},
    {"action": ""},
    {"action": "test"},
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_form_with_a_mistake_makes_nothing(house: House, alice: Client, mistake: dict[str, str]):
    before = house.contents()
    answer = send(alice, "/keys/new", **WISH | mistake)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert shown_keys(answer) == []
    assert house.contents() == before


def test_bob_cannot_have_a_key_for_alices_profile(house: House, bob: Client):
    before = house.contents()
    assert send(bob, "/keys/new", **WISH).status_code == 400
    assert house.contents() == before
    make(bob, profile=list_profiles(house.db, house.bob.id)[0].slug)  # the control


def test_a_user_has_twenty_keys_at_most(house: House, alice: Client):
    for number in range(19):
        house.make_key(house.alice, str(number))
    before = house.contents()
    answer = send(alice, "/keys/new", **WISH)
    assert answer.status_code == 400
    assert "You have 20 keys already." in answer.text
    assert house.contents() == before
    send(alice, f"/keys/{house.key_id}/revoke")
    make(alice)


def test_a_user_makes_ten_keys_at_once_at_most(house: House, alice: Client, bob: Client):
    for _ in range(10):
        make(alice)
    before = house.contents()
    answer = send(alice, "/keys/new", **WISH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "360")
    assert house.contents() == before
    make(bob, profile=list_profiles(house.db, house.bob.id)[0].slug)
    house.now += 360
    make(alice)


# --- connection and key on one page ---


def test_one_page_makes_a_connection_and_its_key(house: House, alice: Client):
    form = alice.get("/keys/new?connector=personal_context").text
    assert 'name="home_assistant_token"' in form
    assert 'name="key_name"' in form
    key = make(alice, **NEW_CONNECTION)
    (connection,) = [item for item in list_connections(house.db, house.alice.id) if item.name == "Robot"]
    assert list_secrets(house.db, house.vault, connection.id) == {"home_assistant_token": "typed-" + CANARY}
    assert "Robot" in [member.name for member in list_members(house.db, list_profiles(house.db, house.alice.id)[0].id)]
    assert "robot_status_get" in tools_of(call(house.gate, bearer(key)))


@pytest.mark.parametrize(
    "mistake",
    [
        {"key_name": ""},
        {"connection_name": "Secretive"},
        {"connection_name": "x" * 61},
        {"time_zone": "Nowhere/Land"},
        {"profile": "nowhere"},
        {"lifetime": ""},
    ],
    ids=str,
)
def test_a_mistake_keeps_neither_connection_nor_key(house: House, alice: Client, mistake: dict[str, str]):
    before = house.contents()
    answer = send(alice, "/keys/new", **WISH | NEW_CONNECTION | mistake)
    assert answer.status_code == 400
    assert house.contents() == before
    assert CANARY not in answer.text
    sealed = re.search(r'name="typed_secrets" value="([^"]+)"', answer.text)[1]
    make(alice, **NEW_CONNECTION | {"home_assistant_token": "", "typed_secrets": sealed})
    (connection,) = [item for item in list_connections(house.db, house.alice.id) if item.name == "Robot"]
    assert list_secrets(house.db, house.vault, connection.id) == {"home_assistant_token": "typed-" + CANARY}


def test_one_key_too_many_keeps_no_connection_either(house: House, alice: Client):
    for number in range(19):
        house.make_key(house.alice, str(number))
    before = house.contents()
    assert send(alice, "/keys/new", **WISH | NEW_CONNECTION).status_code == 400
    assert house.contents() == before


def test_what_was_typed_can_be_tried_before_anything_is_kept(house: House, alice: Client, monkeypatch: pytest.MonkeyPatch):
    def answer(draft: object, _connection: None) -> str:
        if draft.settings["home_name"] == "wrong":
            raise ToolError("The service says no.")
        return "The service says yes."

    monkeypatch.setattr(house.state.toolbox, "try_draft", answer)
    before = house.contents()
    good = send(alice, "/keys/new", **WISH | NEW_CONNECTION | {"action": "test"})
    bad = send(alice, "/keys/new", **WISH | NEW_CONNECTION | {"action": "test", "home_name": "wrong"})
    assert (good.status_code, bad.status_code) == (200, 400)
    assert "The service says yes. Nothing is saved yet." in good.text
    assert "The service says no." in bad.text
    assert house.contents() == before


def test_there_is_no_page_for_an_unknown_connector(alice: Client):
    assert alice.get("/keys/new?connector=unknown").status_code == 404


# --- whose is whose ---


def test_a_new_connection_tells_which_keys_will_see_it(house: House, alice: Client, bob: Client):
    told = "So will programs with these API keys: <q><bdi>Backup script</bdi></q>."
    assert told in alice.get("/connections/new?connector=personal_context").text
    assert "API keys" not in bob.get("/connections/new?connector=personal_context").text
    assert told not in alice.get(f"/connections/{house.connection_id}").text
    house.now += IDLE_SECONDS
    assert told not in house.browser(house.alice).get("/connections/new?connector=personal_context").text


def test_bob_cannot_see_or_revoke_alices_key(house: House, alice: Client, bob: Client):
    before = house.contents()
    assert send(bob, f"/keys/{house.key_id}/revoke").status_code == 404
    assert house.contents() == before
    assert "Backup script" in alice.get("/admin").text
    assert not re.search("Backup script|mcp_sk_", bob.get("/admin").text)
    assert call(house.gate, bearer(house.key)).status_code == 200


def test_a_stranger_is_sent_to_sign_in(house: House):
    stranger = house.browser()
    for path in ("/keys/new", "/keys/new?connector=personal_context"):
        assert stranger.get(path).headers["Location"].startswith("/login?")


# --- at /mcp ---


@pytest.mark.parametrize("path", ["/mcp", "/mcp/home"])
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_opens_its_addresses_in_either_header(house: House, header: str, path: str):
    given = {header: f"Bearer {house.key}" if header == "Authorization" else house.key}
    answer = call(house.gate, given, path=path)
    assert answer.status_code == 200
    assert "status_set_work" in tools_of(answer)
    result = call(house.gate, given, "tools/call", path=path, name="status_get", arguments={}).json["result"]
    assert not result.get("isError")


def test_a_key_in_both_headers_is_one_too_many(house: House):
    check_refused(call(house.gate, bearer(house.key) | {"X-API-Key": house.key}), 400, "invalid_request")


@pytest.mark.parametrize("query", ["access_token", "api_key", "apiKey", "key", "token"])
def test_a_key_in_an_address_opens_nothing(house: House, query: str):
    answer = call(house.gate, {}, path=f"/mcp?{query}={house.key}")
    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")


def test_a_key_opens_no_other_profile(house: House):
    with house.db.write() as run:
        insert_profile(run, house.alice.id, "Work", "work", is_default=False, now=NOW)
    bobs = list_profiles(house.db, house.bob.id)[0].slug
    for path in ("/mcp/work", f"/mcp/{bobs}", "/mcp/nobody"):
        check_refused(call(house.gate, bearer(house.key), path=path))
    assert call(house.gate, bearer(house.make_key(house.bob, "Bob's")[1]), path=f"/mcp/{bobs}").status_code == 200


def test_an_expired_key_opens_nothing(house: House):
    _, key = house.make_key(house.alice, "short", lifetime=DAY)
    house.now += DAY - 1
    assert call(house.gate, bearer(key)).status_code == 200
    house.now += 1
    check_refused(call(house.gate, bearer(key)))


def test_a_key_that_lay_idle_opens_nothing(house: House):
    house.now += IDLE_SECONDS - 1
    assert call(house.gate, bearer(house.key)).status_code == 200
    house.now += IDLE_SECONDS
    check_refused(call(house.gate, bearer(house.key)))


def test_a_revoked_key_opens_nothing_at_any_worker(house: House, alice: Client):
    other = create_app(house.state.settings, clock=lambda: house.now)
    try:
        gates = (house.gate, other)
        assert [call(gate, bearer(house.key)).status_code for gate in gates] == [200, 200]
        assert send(alice, f"/keys/{house.key_id}/revoke").status_code == 303
        for gate in gates:
            check_refused(call(gate, bearer(house.key)))
    finally:
        other.stop()
        other.pages.extensions["postern"].db.close()
    assert "Backup script" not in alice.get("/admin").text
    assert send(alice, f"/keys/{house.key_id}/revoke").status_code == 404


def test_a_key_may_do_what_its_grant_says(house: House, alice: Client):
    reader = bearer(make(alice, feature_set="read_only"))
    everything, reading = tools_of(call(house.gate, bearer(house.key))), tools_of(call(house.gate, reader))
    assert "status_set_work" in everything - reading
    assert reading < everything
    names = ("status_set_work", "no_such_tool")
    refused = [call(house.gate, reader, "tools/call", name=name, arguments={"status": "working"}) for name in names]
    assert refused[0].json["error"] == refused[1].json["error"]


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_a_key_is_worth_nothing_at_the_authorization_server(house: House, alice: Client, path: str):
    client_id = house.db.query("SELECT id FROM clients")[0]["id"]
    form = {"client_id": client_id, "grant_type": "refresh_token", "refresh_token": house.key, "token": house.key}
    before = house.contents()
    answer = Client(house.gate).post(path, data=form)
    expected = {"/token": (400, "invalid_grant"), "/revoke": (200, None), "/introspect": (401, "invalid_client")}
    assert (answer.status_code, (answer.json or {}).get("error") if answer.data else None) == expected[path]
    for headers in (bearer(house.key), {"X-API-Key": house.key}):
        assert Client(house.gate).post(path, data={"grant_type": "refresh_token"}, headers=headers).status_code in (400, 401)
        assert Client(house.gate).get("/admin", headers=headers).status_code == 303
    assert house.contents() == before
    assert call(house.gate, bearer(house.key)).status_code == 200

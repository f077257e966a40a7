"""The pages of people: forms that did not come from ours, somebody else's things, and headers (RFC 9700 §4)."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import requests
from actors import PASSWORD, Assistant, FormReader, Person
from house import House
from server import Server

import people
from cases.browsers import signed_in, token_of
from cases.catalogue import case
from cases.evidence import read, unchanged
from errors import StorageError
from naming import short_key
from web import CROSS_SITE_ENDPOINTS

pytestmark = pytest.mark.server

CHANGING = {  # every address that takes a form of ours
    "/login": {"username": "owner", "password": PASSWORD},
    "/logout": {},
    "/setup": {"code": "x", "username": "eve", "password": PASSWORD, "password_again": PASSWORD},
    "/connect": {"request": "x", "decision": "approve", "profile": "home", "feature_set": "all"},
    "/connections/new": {"connector": "trouble", "connection_name": "forged", "action": "save"},
    "/connections/<connection_id>": {"action": "delete"},
    "/connections/<connection_id>/connect": {},
    "/connections/<connection_id>/disconnect": {},
    "/connections/import": {"text": "{}", "action": "read"},
    "/connections/<connection_id>/features": {"action": "rule", "changes": "follow"},
    "/profiles/new": {"profile_name": "forged", "action": "make"},
    "/profiles/<slug>": {"profile_name": "forged", "action": "rename"},
    "/profiles/<slug>/<connection_id>": {"shown": "x", "action": "off"},
    "/profiles/<slug>/<connection_id>/<key>": {"shown_name": "forged", "action": "save"},
    "/admin": {"action": "end", "client_id": "x"},
    "/admin/sessions/<session_id>/end": {},
    "/keys/new": {"key_name": "forged", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"},
    "/keys/<key_id>/revoke": {},
    "/clients/new": {"client_name": "forged", "redirect_uris": "https://evil.example/", "kind": "public"},
    "/clients/<client_id>/delete": {},
    "/account": {"old_password": PASSWORD, "password": "quite another one", "password_again": "quite another one"},
    "/account/sign-out": {},
}
FAR_AWAY = {
    "an Origin": {"Origin": "https://evil.example"},
    "an Origin that begins alike": {"Origin": "http://localhost.evil.example"},
    "another scheme's": {"Origin": "file://"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "null, cross-site": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
}


@pytest.fixture(scope="module")
def addresses(database: Path, alice: Person, friend: Assistant) -> dict[str, str]:
    """Something real of Alice's for each part of an address that varies."""
    sql = "SELECT id FROM sessions s WHERE ended_at IS NULL"
    values = {
        "<session_id>": read(database, sql)[0]["id"],
        "<connection_id>": read(database, "SELECT id FROM connections WHERE name = 'trouble'")[0]["id"],
        "<key_id>": make_key(alice, database),
        "<client_id>": make_client(alice),
        "<slug>": "home",
        "<key>": short_key("tool", "echo"),
    }
    return {path: re.sub(r"<\w+>", lambda match: values[match[0]], path) for path in CHANGING}


def make_key(person: Person, database: Path) -> str:
    """A new API key's id."""
    assert person.submit(person.get("/keys/new"), button=("action", "make"), key_name="real").status_code == 200
    return read(database, "SELECT id FROM api_keys WHERE name = 'real'")[0]["id"]


def make_client(person: Person, **values: str) -> str:
    """The id of a new client of the owner's."""
    form = {"client_name": "Made by hand", "redirect_uris": "https://made.example/callback"} | values
    answer = person.submit(person.get("/clients/new"), **form)
    assert answer.status_code == 200, answer.text
    return re.findall(r"<code>(client_\w+)</code>", answer.text)[0]


# --- CSRF ---


def test_w01_no_address_that_takes_a_form_is_forgotten(house: House):
    rules = house.gate.pages.url_map.iter_rules()
    taking = {rule.rule for rule in rules if "POST" in rule.methods and rule.endpoint not in CROSS_SITE_ENDPOINTS}
    assert taking == set(CHANGING)


@pytest.mark.parametrize("path", [case("W-01", path, path) for path in CHANGING])
@pytest.mark.parametrize("token", ["none", "empty", "wrong", "another browser's", "beyond ASCII"])
def test_a_form_without_the_browsers_own_token_changes_nothing(
    server: Server, database: Path, alice: Person, bob: Person, addresses: dict[str, str], path: str, token: str
):
    tokens = {"none": None, "empty": "", "wrong": "x" * 43, "another browser's": token_of(bob), "beyond ASCII": "ü"}
    data = CHANGING[path] | ({} if tokens[token] is None else {"csrf_token": tokens[token]})
    with unchanged(database):
        answer = alice.session.post(server.url + addresses[path], data=data, allow_redirects=False, timeout=10)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", [case("W-02", path, path) for path in CHANGING])
@pytest.mark.parametrize("origin", FAR_AWAY)
def test_a_form_from_another_site_changes_nothing(
    server: Server, database: Path, alice: Person, addresses: dict[str, str], path: str, origin: str
):
    data = CHANGING[path] | {"csrf_token": token_of(alice)}
    with unchanged(database):
        answer = alice.session.post(
            server.url + addresses[path], data=data, headers=FAR_AWAY[origin], allow_redirects=False, timeout=10
        )
    assert answer.status_code == 403


def test_w02_the_same_form_from_our_own_page_is_taken(house: House, owner: Person):
    data = CHANGING["/connections/new"] | {"csrf_token": token_of(owner)}
    for headers in ({"Origin": house.url, "Sec-Fetch-Site": "same-origin"}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}):
        data["connection_name"] += "x"
        answer = owner.session.post(house.url + "/connections/new", data=data, headers=headers, allow_redirects=False)
        assert answer.status_code == 303


def test_w03_consent_cannot_be_given_by_a_link(server: Server, database: Path, alice: Person):
    consent = alice.get(Assistant(server.url).authorize_url())
    form = next(item for item in FormReader(consent.text).forms if ("decision", "approve") in item.buttons)
    with unchanged(database):
        query = form.values | {"decision": "approve"}
        answer = alice.session.get(server.url + "/connect", params=query, allow_redirects=False, timeout=10)
    assert answer.status_code == 200
    assert "Let this assistant in?" in answer.text


@pytest.mark.parametrize("path", [case("W-19", path, path) for path in ("/connections/{id}", "/admin/sessions/{session}/end")])
def test_what_is_somebody_elses_is_not_there(
    server: Server, database: Path, bob: Person, addresses: dict[str, str], path: str
):
    known = "/connections/<connection_id>" if "{id}" in path else "/admin/sessions/<session_id>/end"
    with unchanged(database):
        data = {"csrf_token": token_of(bob), "action": "delete"}
        answer = bob.session.post(server.url + addresses[known], data=data, allow_redirects=False, timeout=10)
    assert answer.status_code == 404


# --- headers ---


def break_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the front door fail."""

    def fail(_db: object) -> int:
        raise error

    monkeypatch.setattr(people, "count_users", fail)


PAGES: dict[str, tuple[str, str, dict, int]] = {
    "the front door": ("GET", "/", {}, 200),
    "signing in": ("GET", "/login", {}, 303),
    "the admin page": ("GET", "/admin", {}, 200),
    "a new connection": ("GET", "/connections/new?connector=trouble", {}, 200),
    "set-up, which is over": ("GET", "/setup", {}, 404),
    "no page": ("GET", "/nope", {}, 404),
    "a slug of nobody": ("GET", "/.well-known/oauth-protected-resource/mcp/nobody", {}, 404),
    "a bad request": ("GET", "/authorize?client_id=x", {}, 400),
    "a request of nobody": ("GET", "/connect?request=x", {}, 403),
    "no token": ("POST", "/logout", {}, 403),
    "a wrong method": ("PUT", "/login", {}, 405),
    "too much": ("POST", "/login", {"x": "y" * 300_000}, 413),
    "a crash": ("GET", "/#crash", {}, 500),
    "a broken disk": ("GET", "/#storage", {}, 503),
    "another host": ("GET", "/#host", {}, 421),
}


@pytest.mark.parametrize("name", [case("W-06", name, name) for name in PAGES])
def test_every_page_keeps_out_of_frames_and_runs_nothing(
    house: House, owner: Person, monkeypatch: pytest.MonkeyPatch, name: str
):
    method, path, data, status = PAGES[name]
    if status in (500, 503):
        break_with(monkeypatch, RuntimeError("canary") if status == 500 else StorageError("canary"))
    headers = {"Host": "evil.example"} if status == 421 else {}
    answer = owner.session.request(method, house.url + path, data=data, headers=headers, allow_redirects=False)
    assert answer.status_code == status
    assert_safe(answer)


def assert_safe(answer: requests.Response) -> None:
    """The headers that every page has, and nothing in it that would run or come from elsewhere."""
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.findall(r"<script|\son\w+=|\sstyle=|javascript:|canary|Traceback", answer.text) == []
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//(?!localhost)', answer.text) == []


def test_w06_the_consent_page_too(house: House, owner: Person):
    page = owner.get(Assistant(house.url, session=house.session(), client_name='"><script>alert(1)</script>').authorize_url())
    assert page.status_code == 200
    assert_safe(page)


@pytest.mark.parametrize(
    "head",
    [
        case("W-06", "no HTTP", b"GET / HTTP/9.9\r\n\r\n"),
        case("W-06", "a long line", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        case("W-06", "a script as a header", b"GET / HTTP/1.1\r\nHost: localhost\r\n<script>alert(1)</script>\r\n\r\n"),
    ],
)
def test_what_is_no_http_is_answered_without_repeating_it(server: Server, head: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").read()
    assert re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert b"<script" not in answer
    assert b"xxx" not in answer


def test_w08_after_a_form_comes_a_get(house: House):
    person = Person(house.url, session=house.session())
    assert signed_in(person).status_code == 303
    consent = person.get(Assistant(house.url, session=house.session()).authorize_url())
    assert person.submit(consent, button=("decision", "approve")).status_code == 303
    answer = person.session.post(house.url + "/logout", data={"csrf_token": token_of(person)}, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")


@pytest.mark.parametrize(
    "target", [case("W-08", t, t) for t in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "x")]
)
def test_signing_in_leads_to_a_page_of_ours(house: House, target: str):
    person = Person(house.url, session=house.session())
    form = FormReader(person.session.get(house.url + "/login", params={"next": target}).text).forms[-1]
    data = form.values | {"username": "owner", "password": PASSWORD, "next": target}
    answer = person.session.post(house.url + "/login", data=data, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")

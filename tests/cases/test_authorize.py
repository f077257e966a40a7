"""Visits to /authorize (OAuth 2.1 §4.1.1): what is wrong with them, who is told, and that nothing comes of them."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests
from actors import Assistant, FormReader, Person
from house import House
from server import Server

from cases.authorize import parameters, visit
from cases.catalogue import case
from cases.evidence import changes, read, snapshot, unchanged

pytestmark = pytest.mark.server

START_AGAIN = re.compile(r"[Ss]tart (again )?from the assistant")
def test_a02_of_several_redirect_uris_one_must_be_named(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url, redirect_uris=["http://127.0.0.1:3000/callback", "https://client.example/cb"])
    with unchanged(database):
        answer = visit(alice, assistant.authorize_url(redirect_uri=None))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_a03_the_only_redirect_uri_may_be_left_out(server: Server, alice: Person):
    assistant = Assistant(server.url)
    callback = alice.decide(assistant.authorize_url(redirect_uri=None))
    assert callback.startswith(assistant.redirect_uri + "?code=")
    assert assistant.exchange(callback, redirect_uri=None).status_code == 200


@pytest.mark.parametrize(
    "state",
    [
        case("A-10", "a line break", "a\r\nSet-Cookie: x=y"),
        case("A-10", "quotes", "\"'`"),
        case("A-10", "a script", "<script>alert(1)</script>"),
        case("A-10", "what looks like parameters", "x&code=stolen&iss=https://evil.example#f"),
        case("A-10", "escapes", "%0d%0a%25"),
        case("A-10", "a plus, a blank and letters of anywhere", "a+b ü \u202e 漢"),
        case("A-10", "4096 letters", "x" * 4096),
    ],
)
def test_a_state_comes_back_as_it_was(server: Server, alice: Person, stranger: Assistant, state: str):
    location = alice.decide(stranger.authorize_url(state=state), "deny")
    assert re.fullmatch(r"[!-~]+", location)
    assert parameters(location)["state"] == [state]
    assert set(parameters(location)) == {"error", "error_description", "state", "iss"}


@pytest.mark.parametrize(
    "size", [case("A-10", "a state of 15 kB", 15_000), case("A-19", "a line of 9 kB", 9_000), case("A-19", "100 kB", 100_000)]
)
def test_a_line_that_is_too_long_is_refused_and_the_server_lives(
    server: Server, database: Path, alice: Person, stranger: Assistant, size: int
):
    with unchanged(database):
        answer = visit(alice, stranger.authorize_url(state="x" * size))
    assert answer.status_code in (400, 414, 431)
    assert server.answers()


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        case("A-11", "no scope", None, "mcp"),
        case("A-11", "an empty scope", "", "mcp"),
        case("A-12", "an unknown scope beside ours", "mcp admin:all", "mcp"),
        case("A-12", "unknown scopes only", "openid profile", "mcp"),
        case("A-12", "offline_access", "offline_access", "mcp offline_access"),
    ],
)
def test_what_is_not_known_of_a_scope_is_left_out(server: Server, alice: Person, stranger: Assistant, scope: str, granted: str):
    assert Assistant(server.url).sign_in(alice, scope=scope)["scope"] == granted


def test_a13_a_scope_of_10000_entries_is_refused(server: Server, database: Path, alice: Person, stranger: Assistant):
    with unchanged(database):
        assert visit(alice, stranger.authorize_url(scope="m " * 10_000)).status_code in (400, 414, 431)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        case("A-14", "a host in upper case", "HTTP://LOCALHOST:{port}/mcp", "/mcp"),
        case("A-14", "a slash at the end", "{url}/mcp/", "/mcp"),
        case("A-14", "a profile and a slash", "{url}/mcp/home/", "/mcp/home"),
        case("A-15", "no resource", None, "/mcp"),
        case("A-15", "an empty resource", "", "/mcp"),
    ],
)
def test_a_token_opens_the_one_address_that_was_meant(
    server: Server, database: Path, alice: Person, resource: str | None, path: str
):
    wanted = resource and resource.replace("{url}", server.url).replace("{port}", str(server.port))
    assistant = Assistant(server.url)
    assistant.sign_in(alice, resource=wanted)
    statuses = {place: assistant.call("ping", path=place).status_code for place in ("/mcp", "/mcp/home")}
    assert statuses == {"/mcp": 401, "/mcp/home": 401} | {path: 200}
    sql = "SELECT resource FROM sessions s JOIN grants g ON g.id = s.grant_id WHERE client_id = :id"
    kept = read(database, sql, id=assistant.client_id)
    assert [row["resource"] for row in kept] == [server.url + path]


@pytest.mark.parametrize("person", [case("A-16", "nobody signed in", "nobody"), case("A-16", "Alice", "alice")])
def test_nothing_is_approved_without_a_page(server: Server, database: Path, alice: Person, friend: Assistant, person: str):
    with unchanged(database):
        answer = visit(alice if person == "alice" else Person(server.url), friend.authorize_url(prompt="none"))
    assert "code=" not in answer.headers.get("Location", "").replace("code=login", "")
    assert answer.status_code == (303 if person == "alice" else 400)


@pytest.mark.parametrize("name", [case("A-17", name, name) for name in ("request", "request_uri", "registration", "claims")])
def test_nothing_that_a_request_points_at_is_fetched(server: Server, alice: Person, stranger: Assistant, name: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answer = visit(alice, stranger.authorize_url(**{name: url}))
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/connect?request=")
        with pytest.raises(TimeoutError):
            listener.accept()
        with socket.create_connection(listener.getsockname()):  # the control: it would have been heard
            listener.accept()[0].close()


@pytest.mark.parametrize("name", [case("A-18", name, name) for name in ("login_hint", "ui_locales", "display")])
def test_hints_are_not_repeated_unescaped(server: Server, stranger: Assistant, name: str):
    script = "\"><script>alert('hint')</script>"
    page = Person(server.url).get(stranger.authorize_url(**{name: script}))
    assert "/login" in page.url
    assert "<script" not in page.text


@pytest.mark.parametrize("decision", [case("A-20", decision, decision) for decision in ("approve", "deny")])
def test_every_answer_says_who_sent_it(server: Server, alice: Person, decision: str):
    told = parameters(alice.decide(Assistant(server.url).authorize_url(), decision))
    assert told["iss"] == [server.url]
    assert told["state"] == ["a state"]
    assert len(told) == (3 if decision == "approve" else 4)


def test_a20_an_answer_without_a_state_has_none(server: Server, alice: Person):
    assert "state" not in parameters(alice.decide(Assistant(server.url).authorize_url(state=None)))


def test_a21_deny_is_told_and_keeps_nothing(server: Server, database: Path, alice: Person, stranger: Assistant):
    before = snapshot(database)
    told = parameters(alice.decide(stranger.authorize_url(), "deny"))
    assert (told["error"], told["state"], told["iss"]) == (["access_denied"], ["a state"], [server.url])
    assert set(changes(before, snapshot(database))) == {"authorization_requests"}  # the visit itself, closed


def test_a24_fields_that_were_tampered_with_have_no_effect(server: Server, database: Path, alice: Person):
    assistant, thief = Assistant(server.url), Assistant(server.url, "https://evil.example/cb")
    callback = alice.decide(
        assistant.authorize_url(),
        client_id=thief.client_id,
        redirect_uri=thief.redirect_uri,
        scope="admin",
        state="forged",
        resource="https://evil.example/",
        code_challenge="x" * 43,
        code_challenge_method="plain",
    )
    assert callback.startswith(assistant.redirect_uri + "?code=")
    assert parameters(callback)["state"] == ["a state"]
    assert thief.exchange(callback, redirect_uri=None, code_verifier="x" * 43).json()["error"] == "invalid_grant"
    tokens = assistant.exchange(callback).json()
    assert tokens["scope"] == "mcp"
    sql = "SELECT c.id FROM grants g JOIN clients c ON c.id = g.client_id WHERE c.id IN (:mine, :thief)"
    rows = read(database, sql, mine=assistant.client_id, thief=thief.client_id)
    assert [row["id"] for row in rows] == [assistant.client_id]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        case("A-24", "another profile", "profile", "someone-elses"),
        case("A-24", "another feature set", "feature_set", "admin"),
        case("A-24", "no decision", "decision", "perhaps"),
    ],
)
def test_a_choice_that_was_not_offered_is_asked_again(
    server: Server, database: Path, alice: Person, stranger: Assistant, field: str, value: str
):
    consent = alice.get(stranger.authorize_url())
    form = FormReader(consent.text).forms
    chosen = next(item for item in form if ("decision", "approve") in item.buttons)
    with unchanged(database):
        data = chosen.values | {"decision": "approve"} | {field: value}
        answer = alice.session.post(server.url + "/connect", data=data, allow_redirects=False, timeout=10)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_a24_a_request_is_decided_once(server: Server, database: Path, alice: Person):
    """The second click of a double one is answered as well (test_decisions.py), but not once its code was used."""
    assistant = Assistant(server.url)
    consent = alice.get(assistant.authorize_url())
    answer = alice.submit(consent, button=("decision", "approve"))
    assert answer.status_code == 303
    assert assistant.exchange(answer.headers["Location"]).status_code == 200
    with unchanged(database):
        again = alice.submit(consent, button=("decision", "approve"))
    assert again.status_code == 400
    assert START_AGAIN.search(again.text)


@pytest.mark.parametrize("decision", [case("A-25", decision, decision) for decision in ("approve", "deny")])
def test_a_consent_page_that_was_open_for_two_hours_says_to_start_again(house: House, owner: Person, decision: str):
    assistant = Assistant(house.url, session=house.session())
    consent = owner.get(assistant.authorize_url())
    house.clock.forward(2 * 3600)
    with unchanged(house.db.path):
        answer = owner.submit(consent, button=("decision", decision))
        assert owner.get(consent.url).status_code == 400
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert START_AGAIN.search(answer.text)


def test_a30_a_form_post_means_the_same_and_gives_nothing(server: Server, database: Path, alice: Person, stranger: Assistant):
    query = urlsplit(stranger.authorize_url(state="posted & \r\n")).query
    with unchanged(database):
        answer = alice.session.post(
            server.url + "/authorize",
            data=query + "&decision=approve&csrf_token=x",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://client.example"},
            allow_redirects=False,
            timeout=10,
        )
    assert answer.status_code == 303
    location = urlsplit(answer.headers["Location"])
    assert (location.netloc, location.path) == ("", "/authorize")
    assert parse_qs(location.query) == parse_qs(query) | {"decision": ["approve"], "csrf_token": ["x"]}
    follow = visit(alice, server.url + answer.headers["Location"])
    assert follow.headers["Location"].startswith("/connect?request=")


def test_a30_a_parameter_sent_twice_is_still_twice(server: Server, alice: Person, stranger: Assistant):
    data = urlsplit(stranger.authorize_url()).query + "&" + urlencode({"scope": "other"})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = alice.session.post(server.url + "/authorize", data=data, headers=headers, timeout=10)
    assert (answer.status_code, "invalid_request" in answer.text) == (400, True)


@pytest.mark.parametrize("path", [case("A-31", path, path) for path in ("/authorize", "/connect", "/login")])
def test_no_page_of_another_site_may_ask(server: Server, path: str):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "GET"):
        answer = requests.request(method, server.url + path, headers=headers, allow_redirects=False, timeout=10)
        assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize("method", [case("A-32", method, method) for method in ("HEAD", "PUT", "DELETE", "PATCH", "TRACE")])
def test_other_methods_are_not_allowed(server: Server, database: Path, alice: Person, stranger: Assistant, method: str):
    with unchanged(database):
        answer = alice.session.request(method, stranger.authorize_url(), allow_redirects=False, timeout=10)
    assert answer.status_code == 405
    assert {"GET", "POST"} <= {name.strip() for name in answer.headers["Allow"].split(",")}


def test_a01_the_page_does_not_repeat_what_was_sent(server: Server):
    answer = requests.get(f"{server.url}/authorize?client_id={quote('<script>alert(1)</script>')}", timeout=10)
    assert (answer.status_code, "alert(1)" in answer.text) == (400, False)


def test_a21_the_snapshot_would_have_seen_a_grant(server: Server, database: Path, alice: Person):
    before = snapshot(database)
    Assistant(server.url).sign_in(alice)
    seen = changes(before, snapshot(database))
    assert {"clients", "grants", "authorization_requests", "sessions", "codes", "tokens"} <= set(seen)

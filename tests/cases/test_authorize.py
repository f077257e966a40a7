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

from cases.catalogue import case
from cases.evidence import changes, read, snapshot, unchanged

pytestmark = pytest.mark.server

START_AGAIN = re.compile(r"[Ss]tart (again )?from the assistant")
FAULTS = [  # what is changed in a good request, what is added behind it, and the error
    case("A-04", "no response_type", {"response_type": None}, "", "invalid_request"),
    case("A-04", "an empty response_type", {"response_type": ""}, "", "invalid_request"),
    *(
        case("A-05", word, {"response_type": word}, "", "unsupported_response_type")
        for word in ("token", "code token", "id_token", "code id_token", "none", "CODE", "code ")
    ),
    *(
        case("A-06", f"response_mode {mode}", {"response_mode": mode}, "", "invalid_request")
        for mode in ("fragment", "form_post", "web_message", "query.jwt")
    ),
    *(
        case("A-08", f"two of {name}", {}, f"&{name}=other", "invalid_request")
        for name in ("state", "scope", "code_challenge", "code_challenge_method", "response_type")
    ),
    case("A-08", "the same state twice", {}, "&state=a+state", "invalid_request"),
    case("A-08", "a second, empty state", {}, "&state=", "invalid_request"),
    case("A-08", "an unknown parameter twice", {}, "&x=1&x=2", "invalid_request"),
    case("A-10", "a state of 5000 letters", {"state": "x" * 5000}, "", "invalid_request"),
    *(
        case("A-13", words, {"scope": scope}, "", "invalid_scope")
        for words, scope in {
            "a tab": "mcp\tother", "a quote": 'mcp "other"', "a backslash": "mcp\\", "a line break": "mcp\nother",
            "letters beyond ASCII": "mcp ü", "NUL": "mcp \0", "101 entries": " ".join(["mcp"] * 101),
        }.items()
    ),
    *(
        case("A-14", words, {"resource": resource}, "", "invalid_target")
        for words, resource in {
            "a foreign one": "https://other.example/mcp", "a relative one": "/mcp", "a word": "mcp",
            "a fragment": "{url}/mcp#x", "an empty fragment": "{url}/mcp#", "a query": "{url}/mcp?x=1",
            "an empty query": "{url}/mcp?",
            "the server as a whole": "{url}", "two slashes at the end": "{url}/mcp//", "another path": "{url}/token",
            "a path in upper case": "{url}/MCP", "dots in the path": "{url}/x/../mcp", "another port": "http://localhost:1/mcp",
            "another name of this machine": "http://127.0.0.1:{port}/mcp", "a user name": "http://x@localhost:{port}/mcp",
            "another scheme": "https://localhost:{port}/mcp", "half an IPv6 address": "http://[::1/mcp",
            "a slug that cannot be": "{url}/mcp/-", "a line break in it": "{url}/m\ncp", "a blank before it": " {url}/mcp",
        }.items()
    ),
    case("A-14", "two resources", {}, "&resource=https://other.example/mcp", "invalid_request"),
    case("A-16", "prompt none", {"prompt": "none"}, "", "login_required"),
    case("A-16", "prompt none and more", {"prompt": "none login"}, "", "login_required"),
    case("P-01", "no code_challenge", {"code_challenge": None, "code_challenge_method": None}, "", "invalid_request"),
    case("P-01", "a challenge that is too short", {"code_challenge": "x" * 42}, "", "invalid_request"),
    case("P-01", "a challenge that is too long", {"code_challenge": "x" * 44}, "", "invalid_request"),
    case("P-01", "a challenge with padding", {"code_challenge": "x" * 42 + "="}, "", "invalid_request"),
    *(
        case("P-02", f"method {method or repr(method)}", {"code_challenge_method": method}, "", "invalid_request")
        for method in ("plain", "s256", "S512", "", None)
    ),
    case("P-04", "a method without a challenge", {"code_challenge": None}, "", "invalid_request"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stranger(server: Server) -> Assistant:
    """An assistant that nobody has let in."""
    return Assistant(server.url)


def address(server: Server, assistant: Assistant, change: dict, extra: str = "") -> str:
    """An authorize URL with something wrong in it."""
    filled = {
        name: value and value.replace("{url}", server.url).replace("{port}", str(server.port)) for name, value in change.items()
    }
    return assistant.authorize_url(**filled) + extra


def visit(person: Person, url: str) -> requests.Response:
    """Open an address and follow nothing."""
    return person.session.get(url, allow_redirects=False, timeout=10)


def parameters(location: str) -> dict[str, list[str]]:
    """The parameters of a redirect."""
    return parse_qs(urlsplit(location).query, keep_blank_values=True)


@pytest.mark.parametrize(("change", "extra", "code"), FAULTS)
def test_who_was_never_let_in_cannot_send_anybody_anywhere(
    server: Server, database: Path, alice: Person, stranger: Assistant, change: dict, extra: str, code: str
):
    for person in (Person(server.url), alice):
        with unchanged(database):
            answer = visit(person, address(server, stranger, change, extra))
        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert f"<code>{code}</code>" in answer.text


@pytest.mark.parametrize(("change", "extra", "code"), FAULTS)
def test_who_was_let_in_is_told_by_a_redirect(
    server: Server, database: Path, alice: Person, friend: Assistant, change: dict, extra: str, code: str
):
    with unchanged(database):
        answer = visit(alice, address(server, friend, change, extra))
    assert answer.status_code == 303
    location = answer.headers["Location"]
    assert location.startswith(friend.redirect_uri + "?")
    assert "#" not in location
    told = parameters(location)
    assert (told["error"], told["iss"]) == ([code], [server.url])
    assert told.get("state") in ([["a state"]] if "state" not in extra and "state" not in change else [None])
    assert "code" not in told


@pytest.mark.parametrize(
    ("change", "extra"),
    [
        case("A-01", "no client_id", {"client_id": None}, ""),
        case("A-01", "an unknown client_id", {"client_id": "client_0123456789abcdef0123"}, ""),
        case("A-01", "SQL as client_id", {"client_id": "' OR 1=1 --"}, ""),
        case("A-01", "a URL as client_id", {"client_id": "https://evil.example/client.json"}, ""),
        case("A-01", "NUL in the client_id", {"client_id": "client\0"}, ""),
        case("A-01", "10 kB of client_id", {"client_id": "x" * 6000}, ""),
        case("A-08", "two client_ids", {}, "&client_id=other"),
        case("U-18", "two redirect_uris", {}, "&redirect_uri=https://evil.example/"),
        case("U-18", "the same redirect_uri twice", {}, "&redirect_uri=http%3A%2F%2F127.0.0.1%3A3000%2Fcallback"),
    ],
)
def test_an_unknown_client_gets_a_page_even_from_people_who_let_others_in(
    server: Server, database: Path, alice: Person, friend: Assistant, change: dict, extra: str
):
    with unchanged(database):
        answer = visit(alice, address(server, friend, change, extra))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert "<code>invalid_request</code>" in answer.text


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
    consent = alice.get(Assistant(server.url).authorize_url())
    assert alice.submit(consent, button=("decision", "approve")).status_code == 303
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

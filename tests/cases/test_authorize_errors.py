"""Visits to /authorize with something wrong in them (OAuth 2.1 §4.1.2.1): who is told, how, and that nothing comes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from actors import Assistant, Person
from server import Server

from cases.authorize import parameters, visit
from cases.catalogue import case
from cases.evidence import unchanged

pytestmark = pytest.mark.server

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


def address(server: Server, assistant: Assistant, change: dict, extra: str = "") -> str:
    """An authorize URL with something wrong in it."""
    filled = {
        name: value and value.replace("{url}", server.url).replace("{port}", str(server.port)) for name, value in change.items()
    }
    return assistant.authorize_url(**filled) + extra


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


@pytest.mark.parametrize("slug", [case("A-14", "nobody's address", "no-such-profile"), case("A-14", "Bob's address", "bob")])
def test_an_address_that_is_not_ones_own_is_told_to_the_person_or_to_who_was_let_in(
    server: Server, alice: Person, bob: Person, stranger: Assistant, friend: Assistant, slug: str
):
    """Only once it is known who the person is: before that, other people's addresses and none at all look alike."""
    wanted = server.url + "/mcp/" + (slug if slug != "bob" else slug_of(bob))
    page = alice.get(stranger.authorize_url(resource=wanted))
    assert (page.status_code, "This address is not yours" in page.text) == (404, True)
    assert f"Add {server.url}/mcp to the assistant instead." in page.text
    consent = visit(alice, friend.authorize_url(resource=wanted)).headers["Location"]
    answer = visit(alice, server.url + consent)
    assert answer.status_code == 303
    told = parameters(answer.headers["Location"])
    assert (told["error"], told["iss"], told["state"]) == (["invalid_target"], [server.url], ["a state"])
    assert "code" not in told
    assert visit(alice, server.url + consent).status_code == 400  # decided
    assert "Let this assistant in?" in bob.get(stranger.authorize_url(resource=server.url + "/mcp/" + slug_of(bob))).text


def slug_of(person: Person) -> str:
    """The address of a person's first profile."""
    return re.search(r'name="profile" value="([^"]+)"', person.get("/keys/new").text)[1]

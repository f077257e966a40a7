"""Where a code may go: redirect URIs at /authorize (OAuth 2.1 §2.3, RFC 8252 §7.3)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from actors import Assistant, Person
from server import Server

from cases.catalogue import case
from cases.evidence import unchanged

pytestmark = pytest.mark.server

REGISTERED = ["http://127.0.0.1:3000/callback", "http://127.0.0.1/callback", "https://client.example/cb"]
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"


@pytest.fixture(scope="module")
def client(server: Server, alice: Person) -> Assistant:
    """An assistant with several redirect URIs. Alice has let it in, so that it might be redirected to."""
    assistant = Assistant(server.url, redirect_uris=REGISTERED)
    assistant.sign_in(alice)
    return assistant


@pytest.mark.parametrize(
    "uri",
    [
        *(case("U-01", uri, uri) for uri in REGISTERED),
        *(case("U-08", f"port {port}", f"http://127.0.0.1:{port}/callback") for port in (1, 80, 3001, 33418, 65535)),
    ],
)
def test_these_are_followed(server: Server, alice: Person, client: Assistant, uri: str):
    assert alice.decide(client.authorize_url(redirect_uri=uri), "deny").startswith(uri + "?error=access_denied&")


@pytest.mark.parametrize(
    "uri",
    [
        *(case("U-02", words, REGISTERED[0] + end) for words, end in {"a fragment": "#x", "an empty fragment": "#"}.items()),
        *(
            case("U-03", words, uri)
            for words, uri in {
                "a longer path": REGISTERED[0] + "/more", "a shorter path": "http://127.0.0.1:3000/call",
                "upper case": "http://127.0.0.1:3000/Callback", "a slash at the end": REGISTERED[0] + "/",
                "two slashes": "http://127.0.0.1:3000//callback", "a dot": "http://127.0.0.1:3000/./callback",
                "dots": "http://127.0.0.1:3000/x/../callback", "an escape": "http://127.0.0.1:3000/callbac%6b",
                "a scheme in upper case": "HTTP://127.0.0.1:3000/callback", "a host in upper case": "https://CLIENT.example/cb",
                "a blank at the end": REGISTERED[0] + " ", "a tab inside": "http://127.0.0.1:3000/\tcallback",
                "a path parameter": REGISTERED[0] + ";x", "no path": "http://127.0.0.1:3000",
                "a line break": REGISTERED[2] + "\n",
            }.items()
        ),
        *(
            case("U-05", words, uri)
            for words, uri in {
                "a query": REGISTERED[0] + "?a=b", "an empty query": REGISTERED[2] + "?", "an ampersand": REGISTERED[2] + "&a=b",
            }.items()
        ),
        *(
            case("U-07", words, uri)
            for words, uri in {
                "a longer host": "https://client.example.evil.com/cb", "a host that ends alike": "https://evilclient.example/cb",
                "a port without digits": "https://client.example.:443/cb", "an explicit port": "https://client.example:443/cb",
                "a dot at the end": "https://client.example./cb", "a user name": "https://client.example@evil.example/cb",
                "a backslash": "https://evil.example\\@client.example/cb", "a homograph": "https://cl\u0456ent.example/cb",
            }.items()
        ),
        *(
            case("U-08", f"port {port or repr(port)}", f"http://127.0.0.1:{port}/callback")
            for port in ("0", "65536", "99999", "-1", "x", "", "3000x", "１２")
        ),
        case("U-09", "http for https", "http://client.example/cb"),
        case("U-09", "https for http", "https://127.0.0.1:3000/callback"),
        *(
            case("U-12", host, f"http://{host}:3000/callback")
            for host in ("localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "127.0.0.2", "127.0.0.1.evil.io", "x@127.0.0.1")
        ),
        case("U-14", "another port of https", "https://client.example:8443/cb"),
        case("U-14", "another port of http elsewhere", "http://client.example:3000/callback"),
        case("U-15", "a script", "javascript:alert(1)//http://127.0.0.1:3000/callback"),
        case("U-15", "data", "data:text/html,http://127.0.0.1:3000/callback"),
        case("U-17", "Cursor, which is not registered here", CURSOR),
        case("U-17", "Cursor in upper case", CURSOR.upper()),
        case("U-01", "empty", ""),
    ],
)  # fmt: skip
def test_these_are_never_followed(server: Server, database: Path, alice: Person, client: Assistant, uri: str):
    with unchanged(database):
        answer = alice.session.get(client.authorize_url(redirect_uri=uri), allow_redirects=False, timeout=10)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert "<code>invalid_request</code>" in answer.text


@pytest.mark.parametrize(
    "uri", [case("U-05", words, uri) for words, uri in {
        "missing": "https://client.example/cb", "reordered": "https://client.example/cb?c=d&a=b",
        "more": "https://client.example/cb?a=b&c=d&e=f", "less": "https://client.example/cb?a=b",
    }.items()]
)  # fmt: skip
def test_a_registered_query_must_be_there_as_it_is(server: Server, database: Path, alice: Person, uri: str):
    assistant = Assistant(server.url, "https://client.example/cb?a=b&c=d")
    with unchanged(database):
        answer = alice.session.get(assistant.authorize_url(redirect_uri=uri), allow_redirects=False, timeout=10)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize("host", [case("U-12", host, host) for host in ("127.0.0.1", "[::1]")])
def test_localhost_is_no_other_name_of_this_machine(server: Server, alice: Person, host: str):
    assistant = Assistant(server.url, "http://localhost:3000/callback")
    url = assistant.authorize_url(redirect_uri=f"http://{host}:3000/callback")
    assert alice.session.get(url, allow_redirects=False, timeout=10).status_code == 400


def test_u17_cursor_in_lower_case_is_followed_where_it_is_registered(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url, CURSOR)
    assert alice.decide(assistant.authorize_url()).startswith(CURSOR + "?code=")
    with unchanged(database):
        answer = alice.session.get(
            assistant.authorize_url(redirect_uri=CURSOR.replace("cursor:", "CURSOR:")), allow_redirects=False, timeout=10
        )
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize("size", [case("U-19", f"{size} letters", size) for size in (4_000, 8_192, 60_000)])
def test_a_uri_that_is_too_long_is_refused(server: Server, database: Path, alice: Person, client: Assistant, size: int):
    url = client.authorize_url(redirect_uri=REGISTERED[0] + "x" * size)
    with unchanged(database):
        answer = alice.session.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code in (400, 414, 431)
    assert server.answers()


def test_u20_what_a_redirect_uri_has_already_is_kept(server: Server, alice: Person):
    assistant = Assistant(server.url, "http://127.0.0.1/callback?a=b")
    callback = alice.decide(assistant.authorize_url())
    assert callback.startswith("http://127.0.0.1/callback?a=b&code=")
    assert set(parse_qs(urlsplit(callback).query)) == {"a", "code", "state", "iss"}
    assert assistant.exchange(callback).status_code == 200


@pytest.mark.parametrize(
    "query", [case("U-20", query, query) for query in ("code=x", "a=b&state=", "iss", "error=x&a=b", "error_description=x")]
)
def test_a_parameter_of_the_answer_cannot_be_registered(server: Server, database: Path, query: str):
    with unchanged(database):
        body = {"redirect_uris": [f"http://127.0.0.1/callback?{query}"], "token_endpoint_auth_method": "none"}
        answer = requests.post(server.url + "/register", json=body, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")

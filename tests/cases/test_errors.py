"""Every error is in letters that every client can read (RFC 6749 §5.2, RFC 6750 §3): a fixture looks at all that is answered."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests
from server import Server

import errors
from cases.catalogue import case
from cases.conftest import PLAIN, odd_errors
from cases.evidence import unchanged

pytestmark = pytest.mark.server

ODD = "\"><script> ' \\ \r\n\t \x7f ü \u202e 漢"
GOOD = {"redirect_uris": ["http://127.0.0.1/"], "token_endpoint_auth_method": "none"}
REGISTRATIONS: dict[str, object] = {
    "an odd redirect URI": {"redirect_uris": [ODD]},
    "an odd method": GOOD | {"token_endpoint_auth_method": ODD},
    "an odd grant": GOOD | {"grant_types": [ODD]},
    "an odd response": GOOD | {"response_types": [ODD]},
    "an odd scope": GOOD | {"scope": ODD},
    "an odd link": GOOD | {"logo_uri": ODD},
    "an odd name": GOOD | {"client_name": {ODD: ODD}},
    "no object": [ODD],
}


@pytest.mark.parametrize("name", [case("X-06", name, name) for name in REGISTRATIONS])
def test_a_refused_registration_is_told_plainly(server: Server, database, name: str):
    with unchanged(database):
        answer = requests.post(server.url + "/register", json=REGISTRATIONS[name], timeout=10)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}
    assert PLAIN.fullmatch(answer.json()["error_description"])


@pytest.mark.parametrize("method", [case("X-06", method, method) for method in ("GET", "PUT", "POST")])
def test_odd_parameters_are_not_repeated(server: Server, database, method: str):
    for path in ("/token", "/register", "/authorize", "/mcp", "/connect"):
        with unchanged(database):
            answer = requests.request(
                method, server.url + path, params={ODD: ODD}, data={ODD: ODD}, allow_redirects=False, timeout=10
            )
        assert 300 <= answer.status_code < 500
        assert "<script" not in answer.text
        assert "漢" not in answer.text


def stand_in(**changes: object) -> SimpleNamespace:
    """What an answer of the server may look like."""
    body = changes.pop("body", {})
    usual = {"headers": {"Content-Type": "application/json"}, "text": "", "content": b"{}", "json": lambda: body}
    return SimpleNamespace(**(usual | changes))


@pytest.mark.parametrize(
    "answer",
    [
        case("X-06", "JSON", stand_in(body={"error": "x", "error_description": 'a "quote"'})),
        case("X-06", "a redirect", stand_in(headers={"Location": "http://localhost/?error=x&error_description=%C3%BC"})),
        case("X-06", "a challenge", stand_in(headers={"WWW-Authenticate": 'Bearer error="x\\y"'})),
        case("X-06", "a page", stand_in(headers={"Content-Type": "text/html"}, text="Error: <code>ü</code>")),
    ],
)
def test_an_odd_error_would_be_found(answer: SimpleNamespace):
    assert len(odd_errors(answer)) == 1


def test_x06_every_code_is_plain():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OAuthError)]
    assert len(kinds) > 10
    assert [kind for kind in kinds if not PLAIN.fullmatch(kind.code)] == []
    assert not PLAIN.fullmatch(json.dumps(ODD))

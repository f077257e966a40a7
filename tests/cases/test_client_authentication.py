"""Clients with a secret at /token (OAuth 2.1 §2.4): by header or by body, never by both, and compared without a leak."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from actors import Assistant
from house import House
from server import Server

import client_trust
from cases.catalogue import case
from cases.evidence import unchanged
from cases.token_endpoint import assert_refused, basic, post
from client_trust import Credentials, authenticate_client, read_basic
from crypto import hash_token
from errors import InvalidClient

pytestmark = pytest.mark.server


def wrong_clients(client_id: str, secret: str) -> dict[str, tuple[dict, dict, int, str, bool]]:
    """Form, headers, status, error and whether Basic is asked for."""
    other, right = "client_0", basic(client_id, secret)
    return {
        "T-40 unknown, by header": ({}, {"Authorization": basic(other, secret)}, 401, "invalid_client", True),
        "T-41 a wrong secret": ({}, {"Authorization": basic(client_id, "x")}, 401, "invalid_client", True),
        "T-41 an empty secret": ({}, {"Authorization": basic(client_id, "")}, 401, "invalid_client", True),
        "T-41 the secret's hash": ({}, {"Authorization": basic(client_id, hash_token(secret))}, 401, "invalid_client", True),
        "T-42 a wrong secret": ({"client_id": client_id, "client_secret": "x"}, {}, 401, "invalid_client", False),
        "T-42 beyond ASCII": ({"client_id": client_id, "client_secret": "ü"}, {}, 401, "invalid_client", False),
        "T-43 header and body": ({"client_secret": secret}, {"Authorization": right}, 400, "invalid_request", False),
        "T-43 two clients": ({"client_id": other}, {"Authorization": right}, 400, "invalid_request", False),
        "T-45 no secret": ({"client_id": client_id}, {}, 401, "invalid_client", False),
        "T-46 no base64": ({}, {"Authorization": "Basic !!!"}, 401, "invalid_client", True),
        "T-46 no colon": ({}, {"Authorization": "Basic " + base64.b64encode(b"x").decode()}, 401, "invalid_client", True),
        "T-46 no id": ({}, {"Authorization": basic("", secret)}, 401, "invalid_client", True),
        "T-46 no UTF-8": ({}, {"Authorization": "Basic " + base64.b64encode(b"\xff:x").decode()}, 401, "invalid_client", True),
        "T-46 nothing": ({}, {"Authorization": "Basic"}, 401, "invalid_client", True),
        "T-46 Bearer": ({}, {"Authorization": f"Bearer {secret}"}, 401, "invalid_client", True),
        "T-46 a decoded plus": ({}, {"Authorization": basic(client_id, secret + "+")}, 401, "invalid_client", True),
    }  # fmt: skip


@pytest.mark.parametrize("name", [case(name[:4], name[5:], name) for name in wrong_clients("", "")])
def test_a_client_that_does_not_prove_itself_is_refused(server: Server, database: Path, confidential: Assistant, name: str):
    secret = confidential.registration["client_secret"]
    form, headers, status, code, challenge = wrong_clients(confidential.client_id, secret)[name]
    refresh = {"grant_type": "refresh_token", "refresh_token": confidential.tokens["refresh_token"]}
    with unchanged(database):
        answer = post(server, refresh | form, **headers)
    assert_refused(answer, status, code)
    assert answer.headers.get("WWW-Authenticate", "").startswith("Basic realm=") == challenge


@pytest.mark.parametrize(
    "encode",
    [
        case("T-46", "as it is", lambda text: text),
        case("T-46", "every letter escaped", lambda text: "".join(f"%{ord(letter):02X}" for letter in text)),
        case("T-46", "small digits", lambda text: "".join(f"%{ord(letter):02x}" for letter in text)),
    ],
)
def test_an_encoded_secret_is_decoded(server: Server, confidential: Assistant, encode: Callable[[str], str]):
    header = basic(encode(confidential.client_id), encode(confidential.registration["client_secret"]))
    form = {"grant_type": "refresh_token", "refresh_token": confidential.tokens["refresh_token"]}
    answer = post(server, form, Authorization=header)
    assert answer.status_code == 200, answer.text
    confidential.tokens = answer.json()


@pytest.mark.parametrize("secret", [case("T-46", secret, secret) for secret in ("a+b", "a%b", "a:b:c", "a b", "ü", "%2B", "")])
def test_an_encoded_header_is_read_back(secret: str):
    assert read_basic(basic(quote("id:1", safe=""), quote(secret, safe=""))) == Credentials("id:1", "client_secret_basic", secret)


def test_t47_a_secret_does_not_expire_and_says_so(house: House):
    assistant = Assistant(house.url, session=house.session(), token_endpoint_auth_method="client_secret_post")
    assert assistant.registration["client_secret_expires_at"] == 0
    house.clock.forward(10 * 365 * 86400)
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_secret": assistant.registration["client_secret"]}
    assert_refused(assistant.post_token(**form), 400, "invalid_grant")  # it was let in, its token was not


def test_t48_secrets_are_compared_by_their_hashes_and_in_constant_time(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(client_trust, "same", lambda left, right: seen.append((left, right)) or False)
    client = SimpleNamespace(secret_hash=hash_token("right"), auth_methods={"client_secret_post"})
    with pytest.raises(InvalidClient):
        authenticate_client(client, Credentials("id", "client_secret_basic", "wrong"), verify=pytest.fail)
    assert seen == [(hash_token("right"), hash_token("wrong"))]


def test_t48_no_secret_stands_in_the_database(server: Server, database: Path, confidential: Assistant):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        everything = "\n".join(connection.iterdump())
    assert hash_token(confidential.registration["client_secret"]) in everything  # the control
    for secret in (confidential.registration["client_secret"], *confidential.tokens.values()):
        if str(secret).startswith("mcp_"):
            assert secret not in everything

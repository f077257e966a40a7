"""Bearers at /mcp (RFC 6750, RFC 8707, RFC 9728): which token opens it, and what is said to all others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path

import pytest
import requests
from actors import Assistant, Person
from house import House
from server import Server

from cases import trouble_connector
from cases.catalogue import case
from cases.evidence import read, unchanged
from cases.messages import BOTH, HANDSHAKE, handshake, modern, open_stream, send
from cases.token_endpoint import end_session

pytestmark = pytest.mark.server


def challenge(answer: requests.Response) -> str:
    """What a 401 says about the way in."""
    return answer.headers["WWW-Authenticate"]


def jwt(algorithm: str, key: bytes = b"") -> str:
    """A JSON Web Token that claims to be Alice's."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = part({"alg": algorithm, "typ": "JWT"}) + "." + part({"sub": "owner", "scope": "mcp", "exp": 4_102_444_800})
    mac = base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
    return f"{signed}.{mac if key else ''}"


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        case("B-01", "/mcp", "/mcp", "/.well-known/oauth-protected-resource/mcp"),
        case("B-01", "a profile", "/mcp/home", "/.well-known/oauth-protected-resource/mcp/home"),
        case("B-01", "a profile that is not there", "/mcp/nobody", "/.well-known/oauth-protected-resource/mcp/nobody"),
    ],
)
def test_who_brings_nothing_is_told_where_to_go(server: Server, friend: Assistant, path: str, metadata: str):
    answer = send(friend, modern("tools/list"), path=path, Authorization=None)
    assert answer.status_code == 401
    assert challenge(answer).startswith("Bearer ")
    assert f'resource_metadata="{server.url}{metadata}"' in challenge(answer)
    assert "error" not in challenge(answer)
    assert requests.get(server.url + metadata, timeout=10).json()["resource"] == server.url + path


def test_b02_the_challenge_asks_for_no_more_than_it_needs(friend: Assistant):
    assert 'scope="mcp"' in challenge(send(friend, Authorization=None))


WRONG = {
    "B-03 garbage": "Bearer garbage",
    "B-03 an unknown token": "Bearer mcp_at_" + "x" * 43,
    "B-08 nothing": "Bearer ",
    "B-08 no blank": "Bearer",
    "B-08 two words": "Bearer a b",
    "B-08 quotes": 'Bearer "x"',
    "B-08 beyond ASCII": "Bearer ü漢",
    "B-08 513 letters": "Bearer " + "x" * 513,
    "B-08 SQL": "Bearer ' OR 1=1 --",
    "B-11 Google's": "Bearer ya29.a0AfH6SMBx" + "y" * 120,
    "B-11 GitHub's": "Bearer gho_16C7e42F292c6912E7710c838347Ae178B4a",
    "B-11 ClickUp's": "Bearer pk_12345678_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
    "B-17 alg none": f"Bearer {jwt('none')}",
    "B-17 HS256 with a public key": f"Bearer {jwt('HS256', b'-----BEGIN PUBLIC KEY-----')}",
}


@pytest.mark.parametrize("name", [case(name[:4], name[5:], name) for name in WRONG])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/home"])
def test_a_wrong_token_is_told_to_be_wrong(server: Server, database: Path, friend: Assistant, name: str, path: str):
    with unchanged(database):
        answer = send(friend, modern("tools/list"), path=path, Authorization=WRONG[name].encode())
    assert answer.status_code == 401
    assert 'error="invalid_token"' in challenge(answer)
    assert f'resource_metadata="{server.url}/.well-known/oauth-protected-resource{path}"' in challenge(answer)
    assert answer.json()["error"] == "invalid_token"


def test_b08_a_token_of_100_kb_is_refused_and_the_server_lives(server: Server, database: Path, friend: Assistant):
    with unchanged(database):
        assert send(friend, Authorization="Bearer " + "x" * 100_000).status_code in (400, 431)
    assert server.answers()


@pytest.mark.parametrize("scheme", [case("B-04", scheme, scheme) for scheme in ("bearer", "BEARER", "Bearer", "bEaReR")])
def test_the_case_of_the_scheme_does_not_matter(friend: Assistant, scheme: str):
    answer = send(friend, modern("tools/list"), Authorization=f"{scheme} {friend.tokens['access_token']}")
    assert answer.status_code == 200


@pytest.mark.parametrize("value", [case("B-06", words, value) for words, value in {"the same": None, "another": "x"}.items()])
def test_a_token_in_the_header_and_in_the_query_is_one_too_many(database: Path, friend: Assistant, value: str | None):
    with unchanged(database):
        answer = send(friend, modern("tools/list"), path=f"/mcp?access_token={value or friend.tokens['access_token']}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_b06_a_token_in_the_header_and_in_a_form_is_refused(database: Path, friend: Assistant):
    body = f"access_token={friend.tokens['access_token']}".encode()
    with unchanged(database):
        assert send(friend, body=body, Content_Type="application/x-www-form-urlencoded").status_code in (400, 415)


def test_b06_a_token_in_the_query_alone_is_no_token(friend: Assistant):
    answer = send(friend, modern("tools/list"), path=f"/mcp?access_token={friend.tokens['access_token']}", Authorization=None)
    assert (answer.status_code, "error=" in challenge(answer)) == (401, False)


def test_b09_a_basic_header_is_no_bearer(friend: Assistant):
    basic = base64.b64encode(f"owner:{friend.tokens['access_token']}".encode()).decode()
    assert send(friend, Authorization=f"Basic {basic}").status_code == 401


def test_b09_the_owners_cookie_does_not_open_it(server: Server, alice: Person):
    body = handshake("tools/list")
    headers = {"Accept": BOTH, "MCP-Protocol-Version": HANDSHAKE, "Origin": server.url}
    assert alice.session.get(server.url + "/admin", allow_redirects=False, timeout=10).status_code == 200  # the cookie is good
    assert alice.session.post(server.url + "/mcp", json=body, headers=headers, timeout=10).status_code == 401


@pytest.mark.parametrize(
    ("resource", "elsewhere"), [case("B-10", "of /mcp", "/mcp", "/mcp/home"), case("B-10", "of a profile", "/mcp/home", "/mcp")]
)
def test_a_token_opens_no_other_address(server: Server, alice: Person, resource: str, elsewhere: str):
    assistant = Assistant(server.url)
    assistant.sign_in(alice, resource=server.url + resource)
    assert assistant.call("ping", path=resource).status_code == 200
    refused = assistant.call("ping", path=elsewhere)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in challenge(refused)


def test_b10_a_profile_of_somebody_else_cannot_be_had(server: Server, database: Path, alice: Person, bob: Person):
    assistant = Assistant(server.url)
    sql = "SELECT slug FROM profiles p JOIN users u ON u.id = p.user_id WHERE u.name = 'bob'"
    (slug,) = (row["slug"] for row in read(database, sql))
    assert slug != "home"
    page = alice.get(assistant.authorize_url(resource=f"{server.url}/mcp/{slug}"))
    assert page.status_code == 404
    assert bob.decide(assistant.authorize_url(resource=f"{server.url}/mcp/{slug}"), "deny")  # the control: his own is there


@pytest.mark.parametrize(
    "resource", [case("B-13", words, value) for words, value in {
        "a host in upper case": "HTTP://LOCALHOST:{port}/mcp", "a slash at the end": "http://localhost:{port}/mcp/",
    }.items()]
)  # fmt: skip
def test_another_way_to_write_the_address_means_the_same(server: Server, alice: Person, resource: str):
    assistant = Assistant(server.url)
    assistant.sign_in(alice, resource=resource.replace("{port}", str(server.port)))
    assert assistant.call("ping").status_code == 200


def test_b14_the_token_of_an_ended_session_is_refused(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    assert assistant.call("ping").status_code == 200
    end_session(owner, house.url)
    assert 'error="invalid_token"' in challenge(assistant.call("ping"))


def test_b14_the_token_of_a_deleted_client_is_refused(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    with house.db.write() as run:
        run("DELETE FROM clients WHERE id = :id", id=assistant.client_id)
    assert 'error="invalid_token"' in challenge(assistant.call("ping"))


def test_b03_an_expired_token_is_refused(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    house.clock.forward(3599)
    assert assistant.call("ping").status_code == 200
    house.clock.forward(1)
    assert 'error="invalid_token"' in challenge(assistant.call("ping"))


def test_b15_what_a_grant_lacks_looks_as_if_it_were_not_there(server: Server, alice: Person):
    assistant = Assistant(server.url)  # what a client may do is its grant, so insufficient_scope does not occur
    assistant.tokens = assistant.exchange(alice.decide(assistant.authorize_url(), feature_set="read_only")).json()
    answers = [assistant.call("tools/call", {"name": name, "arguments": {}}) for name in ("status_set_work", "no_such_tool")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["error"] == answers[1].json()["error"]


def test_b16_a_broader_scope_opens_it_too(server: Server, alice: Person):
    assistant = Assistant(server.url)
    assert assistant.sign_in(alice, scope="offline_access mcp")["scope"] == "mcp offline_access"
    assert assistant.call("ping").status_code == 200


def test_b18_a_stream_may_end_after_its_token_has(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    form = owner.get("/connections/new?connector=trouble")
    owner.submit(form, button=("action", "save"), connection_name="trouble")
    assistant.sign_in(owner)
    stream = open_stream(house, assistant, "expiring")
    assert b"waiting" in next(stream) + next(stream)
    house.clock.forward(3601)
    trouble_connector.GATES["expiring"].set()
    assert b"gate expiring is open" in b"".join(stream)
    assert assistant.call("ping").status_code == 401


# --- API keys ---


def make_key(person: Person, **values: str) -> str:
    """A key that a person makes on the page."""
    page = person.submit(person.get("/keys/new"), button=("action", "make"), key_name="script", **values)
    (key,) = re.findall(r"mcp_sk_[A-Za-z0-9_-]{43}", page.text)
    return key


def test_an_api_key_opens_it_in_either_header_and_is_not_in_the_log(server: Server, friend: Assistant, alice: Person):
    key = make_key(alice)
    for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": None, "X-API-Key": key}):
        for path in ("/mcp", "/mcp/home"):
            for message in (modern("tools/list"), handshake("tools/list")):
                assert send(friend, message, path=path, **headers).status_code == 200
        assert "invalid_token" in challenge(send(friend, path="/mcp/nobody", **headers))
    assert "/keys/new" in server.log
    assert key[7:] not in server.log


def test_a_token_and_an_api_key_at_once_are_one_too_many(database: Path, friend: Assistant, alice: Person):
    key = make_key(alice)
    with unchanged(database):
        answer = send(friend, X_API_Key=key)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("value", ["", "x", "mcp_sk_" + "x" * 43, "mcp_sk_" + "x" * 600, "mcp_sk_a, mcp_sk_b"])
def test_a_wrong_api_key_is_told_to_be_wrong(server: Server, database: Path, friend: Assistant, value: str):
    with unchanged(database):
        answer = send(friend, modern("tools/list"), Authorization=None, X_API_Key=value)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert f'resource_metadata="{server.url}/.well-known/oauth-protected-resource/mcp"' in challenge(answer)

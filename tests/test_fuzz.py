"""Requests that nobody would think of, made by hypothesis, to all that answers JSON: never a 5xx, errors always in form."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from actors import PASSWORD, Assistant, Person
from cases.conftest import PLAIN
from cases.messages import BOTH, CAPABILITIES_META, HANDSHAKE, MODERN, VERSION_META
from conftest import MASTER_KEY, NOW
from flask import request
from house import Clock, House
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

import register
from client_assertions import ASSERTION_TYPE
from client_trust import METADATA_CHECKS
from config import load_settings
from crypto import encode
from mcp_methods import METHODS

EXAMPLES = 400
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ODD_TEXT = st.text(st.characters(codec=None), max_size=30)  # halves of letters too
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=8,
)
MEDIA_TYPES = st.sampled_from([JSON, JSON, JSON, FORM, FORM, f"{FORM}; charset=utf-16", "text/plain", "multipart/form-data", ""])


class Fuzz:
    """Sends what hypothesis makes, each time from another address, and looks at what comes back."""

    def __init__(self, house: House, assistant: Assistant):
        self.house, self.assistant = house, assistant
        self.browser, self.seen = Client(house.gate, use_cookies=False), Counter[str]()

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
        number = self.seen.total()
        peer = {"REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        answer = self.browser.post(path, data=body, headers=headers, environ_base=peer, buffered=True)
        self.seen[f"{path} {answer.status_code // 100}xx"] += 1
        assert answer.status_code < 500, answer.text
        return answer

    def pool(self) -> list[str]:
        """Values that mean something here."""
        tokens = [self.assistant.tokens[kind] for kind in ("access_token", "refresh_token")]
        words = ["authorization_code", "refresh_token", "mcp", "v" * 50, ASSERTION_TYPE, "a.b.c", "https://chat.example/c"]
        return [self.assistant.client_id, self.assistant.redirect_uri, self.house.url + "/mcp", *tokens, *words]


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[Fuzz]:
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    house = House(load_settings(environ, None), Clock(NOW))
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(Person(house.url, session=house.session()))
    yield Fuzz(house, assistant)
    house.close()


def assert_json_in_form(answer: TestResponse) -> Any:
    """The body as strict JSON; an OAuth error in the letters of RFC 6749 §5.2."""
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["Cache-Control"] == "no-store"

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    body = json.loads(answer.data.decode(), parse_constant=refuse)
    if answer.status_code >= 400:
        assert PLAIN.fullmatch(body["error"])
        assert PLAIN.fullmatch(body["error_description"])
    return body


def run(test: Callable[..., None], **strategies: st.SearchStrategy[Any]) -> None:
    """Run a test on many examples, the same ones each time."""
    bounds = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    bounds(given(**strategies)(test))()


# --- registration ---

GOOD = {
    "redirect_uris": ["https://client.example/cb"], "client_name": "x", "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code"], "response_types": ["code"], "jwks": {"keys": [{"kty": "RSA"}]},
}  # fmt: skip
URIS = st.builds(str.__add__, st.sampled_from(["https://", "cursor://", "https://["]), st.text("ax:/[].%#?&=@-019", max_size=12))
MEMBERS = st.fixed_dictionaries(
    {"redirect_uris": st.just(GOOD["redirect_uris"]) | st.lists(URIS, max_size=2) | VALUES},
    optional={name: (st.just(GOOD[name]) | VALUES if name in GOOD else VALUES) for name in METADATA_CHECKS},
)
SMALL = st.sampled_from([None, "x"])
ONE_MEMBER = st.builds(lambda name, value: GOOD | {name: value}, st.sampled_from([*METADATA_CHECKS]), VALUES | SMALL | URIS)
DEEP = st.integers(1, 30_000).map(lambda depth: b"[" * depth)
REGISTRATIONS = (MEMBERS | ONE_MEMBER | ONE_MEMBER | VALUES).map(lambda value: json.dumps(value).encode())


def fuzz_registration(fuzz: Fuzz) -> None:
    def test(body: bytes, media_type: str, authorization: str) -> None:
        headers = {"Content-Type": media_type, "Authorization": authorization}
        assert_json_in_form(fuzz.send("/register", body, headers))

    run(test, body=REGISTRATIONS | st.binary() | DEEP, media_type=st.just(JSON) | MEDIA_TYPES, authorization=HEADER_TEXT)


def test_no_registration_breaks_it(fuzz: Fuzz):
    fuzz_registration(fuzz)
    assert fuzz.seen["/register 2xx"] > 10
    assert fuzz.seen["/register 4xx"] > 100


def test_a_careless_reader_of_registrations_would_be_noticed(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(register, "read_body", lambda: request.get_json(silent=True))
    with pytest.raises((AssertionError, ExceptionGroup)):
        fuzz_registration(fuzz)
    assert fuzz.seen["/register 5xx"]


# --- tokens ---

NAMES = (
    "grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "refresh_token", "resource", "scope",
    "token", "token_type_hint", "client_assertion", "client_assertion_type",
)  # fmt: skip


CLAIM = st.just("\ud800") | ODD_TEXT | st.none() | st.integers() | st.just([[]])
CLAIMS = st.dictionaries(st.sampled_from(["sub", "sub", "iss", "aud", "exp", "jti"]), CLAIM, min_size=1) | CLAIM
HEADERS = st.just({"alg": "RS256"}) | st.builds(lambda name, value: {"alg": "RS256", name: value}, ODD_TEXT, CLAIM) | CLAIM
ASSERTIONS = st.builds(lambda *parts: ".".join([*map(encode_part, parts), "eA"]), HEADERS, CLAIMS)


def encode_part(value: Any) -> str:
    """A part of a JWT that nobody has signed."""
    return encode(json.dumps(value).encode())


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_no_form_breaks_it(fuzz: Fuzz, path: str):
    value = st.sampled_from(fuzz.pool()) | ODD_TEXT
    pairs = st.lists(st.tuples(st.sampled_from(NAMES) | ODD_TEXT, value), max_size=8)
    own = st.sampled_from([[], [("client_id", fuzz.assistant.client_id), ("grant_type", "refresh_token")]])
    own |= ASSERTIONS.map(lambda assertion: [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)])
    forms = st.builds(lambda first, rest: encode_form(first + rest), own, pairs)

    def test(body: bytes, media_type: str, authorization: str | None) -> None:
        headers = {"Content-Type": media_type} | ({"Authorization": authorization} if authorization is not None else {})
        answer = fuzz.send(path, body, headers)
        if answer.status_code != 200 or path != "/revoke":
            assert_json_in_form(answer)

    authorization = st.none() | st.none() | HEADER_TEXT | HEADER_TEXT.map("Basic {}".format)
    run(test, body=forms | forms | st.binary(), media_type=st.just(FORM) | MEDIA_TYPES, authorization=authorization)
    assert fuzz.seen[f"{path} 4xx"] > 100


def encode_form(pairs: list[tuple[str, str]]) -> bytes:
    """A form with whatever letters."""
    return "&".join(f"{escape(name)}={escape(value)}" for name, value in pairs).encode()


def escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


# --- MCP ---

METHOD_NAMES = st.sampled_from([*METHODS, "initialize", "notifications/cancelled", "notifications/initialized"]) | ODD_TEXT
KEYS = ("name", "arguments", "uri", "cursor", "_meta", "protocolVersion", "capabilities", "clientInfo", "level", "ref")
PARAMETERS = st.dictionaries(
    st.sampled_from(KEYS), VALUES | st.sampled_from(["status_get", "status_get_work", HANDSHAKE, MODERN]), max_size=4
)
META = {"_meta": {VERSION_META: MODERN, CAPABILITIES_META: {}}}
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHOD_NAMES},
    optional={"id": st.just(1) | VALUES, "params": PARAMETERS | PARAMETERS.map(lambda some: some | META) | VALUES},
)
BODIES = (MESSAGES | MESSAGES | VALUES | st.lists(MESSAGES, max_size=2)).map(lambda value: json.dumps(value).encode())


def test_no_message_breaks_it(fuzz: Fuzz):
    def test(body: bytes, version: str, method: str | None, odd: str) -> None:
        headers = {
            "Authorization": f"Bearer {fuzz.assistant.tokens['access_token']}",
            "Content-Type": JSON,
            "Accept": BOTH,
            "MCP-Protocol-Version": version,
            "Mcp-Name": odd,
        } | ({"Mcp-Method": method} if method else {})
        answer = fuzz.send("/mcp", body, headers)
        if answer.data and answer.headers["Content-Type"] == JSON:
            message = json.loads(answer.data)
            assert message["jsonrpc"] == "2.0"
            assert ("result" in message) != ("error" in message)
            assert "result" in message or isinstance(message["error"]["code"], int)

    versions = st.sampled_from([HANDSHAKE, HANDSHAKE, MODERN, "2025-06-18"]) | HEADER_TEXT
    methods = st.none() | st.sampled_from([*METHODS])
    run(test, body=BODIES | BODIES | st.binary() | DEEP, version=versions, method=methods, odd=HEADER_TEXT)
    assert fuzz.seen["/mcp 2xx"] > 30
    assert fuzz.seen["/mcp 4xx"] > 30


def test_no_bearer_breaks_it(fuzz: Fuzz):
    def test(authorization: str, query: str) -> None:
        answer = fuzz.send("/mcp?access_token=" + escape(query), b"{}", {"Authorization": authorization})
        assert answer.status_code in (400, 401)
        assert_json_in_form(answer)

    run(test, authorization=HEADER_TEXT | HEADER_TEXT.map("Bearer {}".format), query=ODD_TEXT)

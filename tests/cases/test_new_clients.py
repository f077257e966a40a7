"""Clients that register: what is taken as it is, what is left out, and what is refused as a whole (RFC 7591)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from conftest import MASTER_KEY, NOW
from house import Clock, House

from cases.catalogue import case
from cases.evidence import unchanged
from config import load_settings

CALLBACK = "https://client.example/cb"
JSON = "application/json"
PLAIN = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
]
VS_CODE = ["https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"]


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all that changes nothing, or little."""
    path = tmp_path_factory.mktemp("registration") / "house.db"
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{path}", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ, None), Clock(NOW))
    yield built
    built.close()


def register(house: House, body: Any = None, **changes: Any) -> requests.Response:
    """A registration, whole or as changes to a plain one; None leaves a member out."""
    metadata = {name: value for name, value in (PLAIN | changes).items() if value is not None}
    return house.session().post(house.url + "/register", json=metadata if body is None else body)


def assert_refused(answer: requests.Response, code: str) -> None:
    """RFC 7591 §3.2.2."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json()["error"] == code
    assert answer.headers["Cache-Control"] == "no-store"


def test_r01_a_public_client_is_told_what_was_accepted(open_house: House):
    told = {"client_name": "Assistant", "client_uri": "https://client.example/", "software_id": "x", "scope": "mcp"}
    answer = register(open_house, **told)
    body = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "application/json")
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert body.items() >= (PLAIN | told).items()
    assert body["client_id_issued_at"] == NOW
    assert not body["client_id"].startswith(("https://", "http://"))
    assert "client_secret" not in body
    assert register(open_house).json()["client_id"] != body["client_id"]


def test_r02_without_a_method_it_gets_a_secret(open_house: House):
    body = register(open_house, token_endpoint_auth_method=None).json()
    assert body["token_endpoint_auth_method"] == "client_secret_basic"
    assert len(body["client_secret"]) >= 43
    assert body["client_secret_expires_at"] == 0


@pytest.mark.parametrize(
    "uris", [case("R-05", "Cursor's", CURSOR), case("R-06", "VS Code's", VS_CODE), case("R-06", "one of them", VS_CODE[3:])]
)
def test_known_assistants_can_register(open_house: House, uris: list[str]):
    answer = register(open_house, redirect_uris=uris)
    assert (answer.status_code, answer.json()["redirect_uris"]) == (201, uris)


BAD_URIS = {
    "R-07": [
        "javascript:alert(1)", "JavaScript:alert(1)", "javascript://client.example/%0aalert(1)", "data:text/html,x",
        "vbscript:x", "file:///etc/passwd", "blob:https://client.example/x", "about:blank", "view-source:https://client.example/",
    ],
    "R-09": ["https://client.example/cb#x", "https://client.example/cb#", "/cb", "client.example/cb", "//client.example/cb",
             "http://client.example/cb", "http://127.0.0.1.client.example/cb", "http://localhost.client.example/cb"],
    "R-10": [
        "https://user@client.example/cb", "https://user:x@client.example/cb", "https://*.client.example/cb", "https://*/cb",
        "https://client.example/cb\r\nX: y", "https://client.example/\tcb", "https://client.example/c b", " https://client.example/",
        "https://client.example\\@evil.example/", "https://cli\u0435nt.example/cb", "https://client.example/cb%00",
        "https://client.example/%0d%0a", "https://client.example/../cb", "https://client.example/%2e%2e/cb",
        "https://client.example:99999/cb", "https:///cb", "https://",
    ],
    "R-11": ["https://client.example/" + "x" * (2049 - 23)],
    "R-03": ["", 5, None, ["https://client.example/cb"]],
}  # fmt: skip


@pytest.mark.parametrize("uri", [case(row, repr(uri)[:60], uri) for row, uris in BAD_URIS.items() for uri in uris])
def test_r04_one_bad_redirect_uri_spoils_the_whole_registration(open_house: House, uri: Any):
    with unchanged(open_house.db.path):
        assert_refused(register(open_house, redirect_uris=[uri]), "invalid_redirect_uri")
        assert_refused(register(open_house, redirect_uris=[CALLBACK, uri]), "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uris",
    [
        case("R-03", "an empty list", []), case("R-03", "a string", CALLBACK), case("R-03", "none", None),
        case("R-03", "an object", {"0": CALLBACK}), case("R-11", "51", [f"{CALLBACK}/{number}" for number in range(51)]),
    ],
)  # fmt: skip
def test_what_is_no_list_of_a_few_redirect_uris_is_refused(open_house: House, uris: Any):
    with unchanged(open_house.db.path):
        assert_refused(register(open_house, redirect_uris=uris), "invalid_redirect_uri")


def test_r11_fifty_and_2048_letters_are_taken(open_house: House):
    uris = [f"{CALLBACK}/{number}" for number in range(49)] + ["https://client.example/" + "x" * (2048 - 23)]
    assert register(open_house, redirect_uris=uris).status_code == 201


def test_r08_nobody_chooses_an_id_or_a_secret(open_house: House):
    first = register(open_house, client_name="First").json()
    taken = register(open_house, client_id=first["client_id"], client_secret="mine", client_name="Second").json()
    assert taken["client_id"] != first["client_id"]
    assert "client_secret" not in taken
    rows = open_house.db.query("SELECT name FROM clients WHERE id = :id", id=first["client_id"])
    assert [row["name"] for row in rows] == ["First"]


BAD_METADATA = {
    "R-12": [
        {"grant_types": ["implicit"]}, {"grant_types": ["authorization_code", "password"]}, {"grant_types": "authorization_code"},
        {"grant_types": ["client_credentials"]}, {"grant_types": []}, {"response_types": ["token"]}, {"response_types": "code"},
        {"response_types": ["code", "token"]}, {"response_types": []},
    ],
    "R-13": [
        {"token_endpoint_auth_method": "tls_client_auth"}, {"token_endpoint_auth_method": 5},
        {"token_endpoint_auth_method": "private_key_jwt"}, {"token_endpoint_auth_method": "client_secret_jwt"},
    ],
    "R-14": [
        {name: uri} for name in ("logo_uri", "client_uri", "tos_uri", "policy_uri")
        for uri in ("javascript:alert(1)", "http://client.example/", "data:x", 5, "https://client.example/ x", "https://[::::]/")
    ],
    "R-15": [{"client_name": 5}, {"client_name": ["x"]}, {"client_name": "x" * 10_000}, {"client_name": "x" * 201}],
}  # fmt: skip


@pytest.mark.parametrize("changes", [case(row, repr(item)[:60], item) for row, items in BAD_METADATA.items() for item in items])
def test_bad_metadata_spoils_the_whole_registration(open_house: House, changes: dict[str, Any]):
    with unchanged(open_house.db.path):
        assert_refused(register(open_house, **changes), "invalid_client_metadata")


def test_a_link_that_is_an_empty_text_counts_as_left_out(open_house: House):
    answer = register(open_house, logo_uri="", client_uri="", tos_uri="https://client.example/terms")
    assert answer.status_code == 201
    assert {name for name in answer.json() if name.endswith("_uri")} == {"tos_uri", "registration_client_uri"}


@pytest.mark.parametrize(
    "name", [case("R-15", "right to left", "\u202egpj.exe"), case("R-15", "a script", "<script>x</script>")]
)
def test_a_name_is_text_whatever_it_says(open_house: House, name: str):
    assert register(open_house, client_name=name).json()["client_name"] == name  # how it is shown


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *(case("R-16", body.decode() or "empty", body, JSON) for body in (b"null", b"[]", b'"x"', b"{", b"", b"5")),
        case("R-16", "a form", b"redirect_uris=x", "application/x-www-form-urlencoded"),
        case("R-16", "text", json.dumps(PLAIN).encode(), "text/plain"),
        case("R-16", "nested without end", b"[" * 50_000, JSON),
        case("R-16", "no UTF-8", b'{"client_name": "\xff"}', JSON),
        case("R-16", "UTF-16", json.dumps(PLAIN).encode("utf-16"), JSON),
        case("R-16", "a name twice", b'{"redirect_uris": ["https://a.example/"], "redirect_uris": ["https://b.example/"]}', JSON),
        case("R-16", "half a letter", b'{"redirect_uris": ["https://a.example/"], "client_name": "\\ud800"}', JSON),
        case("R-16", "no number", b'{"redirect_uris": ["https://a.example/"], "jwks": {"keys": [{"": NaN}]}}', JSON),
    ],
)
def test_what_is_no_json_object_is_refused(open_house: House, body: bytes, kind: str):
    with unchanged(open_house.db.path):
        answer = open_house.session().post(open_house.url + "/register", data=body, headers={"Content-Type": kind})
    assert_refused(answer, "invalid_client_metadata")


@pytest.mark.parametrize("size", [case("R-17", f"{size} bytes", size) for size in (70_000, 2_000_000)])
def test_a_long_body_is_refused(open_house: House, size: int):
    with unchanged(open_house.db.path):
        assert register(open_house, client_name="x" * size).status_code in (400, 413)


def test_r20_what_is_not_known_is_left_out(open_house: House):
    body = register(open_house, unknown="x", require_pushed_authorization_requests=True).json()
    assert not {"unknown", "require_pushed_authorization_requests"} & body.keys()


def test_r21_too_many_registrations_are_refused_and_clients_go_on(build_house: Callable[..., House]):
    house = build_house(OWNER_PASSWORD=PASSWORD)
    owner, friend = Person(house.url, session=house.session()), Assistant(house.url, session=house.session())
    friend.sign_in(owner)
    answers = [register(house) for _ in range(200)]
    assert Counter(answer.status_code for answer in answers) == {201: 149, 429: 51}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status_code == 429)
    assert friend.call("ping").status_code == 200
    assert friend.refresh().status_code == 200


def test_r22_a_flood_pushes_out_its_own_and_never_the_approved(build_house: Callable[..., House]):
    house = build_house(OWNER_PASSWORD=PASSWORD)
    owner, friend = Person(house.url, session=house.session()), Assistant(house.url, session=house.session())
    friend.sign_in(owner)
    waiting = register(house).json()["client_id"]
    for number in range(1100):
        if number % 140 == 0:
            house.clock.forward(3600)
        assert register(house).status_code == 201
    left = {row["id"] for row in house.db.query("SELECT id FROM clients")}
    assert len(left) == 1001
    assert friend.client_id in left
    assert waiting not in left
    assert friend.sign_in(owner)["access_token"]


@pytest.mark.parametrize("method", [case("R-23", method, method) for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE")])
def test_other_methods_are_not_allowed(open_house: House, method: str):
    with unchanged(open_house.db.path):
        answer = open_house.session().request(method, open_house.url + "/register", json=PLAIN)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("origin", [case("R-24", origin, origin) for origin in ("https://evil.example", "null")])
def test_any_page_may_register_but_never_with_cookies(open_house: House, origin: str):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = open_house.session().options(open_house.url + "/register", headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers

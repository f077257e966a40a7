"""Codes for tokens at /token (OAuth 2.1 §3.2, §4.1.3), PKCE and client authentication: what is refused is not spent."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from actors import Assistant, Person
from house import House
from server import Server

from cases.catalogue import case
from cases.evidence import changes, read, snapshot, unchanged
from cases.token_endpoint import FORM, assert_refused, basic, change_password, code_in, end_session, ended, post
from crypto import new_token
from errors import InvalidGrant
from oauth_checks import TokenRequest, check_code_verifier
from store.sessions import purge_sessions
from store.tokens import purge_tokens

pytestmark = pytest.mark.server

UTF_16 = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-16"}
REDIRECT = "http://127.0.0.1:3000/callback"


@pytest.fixture(scope="module")
def waiting(server: Server, alice: Person) -> dict[str, str]:
    """A good request to /token, which none of the refused ones may spoil; the last test redeems it."""
    assistant = Assistant(server.url)
    return {
        "grant_type": "authorization_code",
        "client_id": assistant.client_id,
        "code": code_in(alice.decide(assistant.authorize_url())),
        "redirect_uri": REDIRECT,
        "code_verifier": assistant.verifier,
    }


# --- a good code in a bad request ---


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        case("P-07", "no verifier", {"code_verifier": None}, 400, "invalid_grant"),
        case("P-07", "a wrong verifier", {"code_verifier": "x" * 43}, 400, "invalid_grant"),
        case("P-07", "an empty verifier", {"code_verifier": ""}, 400, "invalid_grant"),
        case("P-08", "42 letters", {"code_verifier": "x" * 42}, 400, "invalid_grant"),
        case("P-08", "129 letters", {"code_verifier": "x" * 129}, 400, "invalid_grant"),
        case("P-08", "odd letters", {"code_verifier": "x" * 42 + "!"}, 400, "invalid_grant"),
        case("P-08", "letters beyond ASCII", {"code_verifier": "ü" * 43}, 400, "invalid_grant"),
        case("T-07", "no grant_type", {"grant_type": None}, 400, "invalid_request"),
        case("T-07", "an empty grant_type", {"grant_type": ""}, 400, "invalid_request"),
        *(
            case("T-07", grant, {"grant_type": grant}, 400, "unsupported_grant_type")
            for grant in ("password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x\0")
        ),
        case("T-10", "an unknown code", {"code": "mcp_ac_" + "x" * 43}, 400, "invalid_grant"),
        case("T-10", "SQL as code", {"code": "' OR 1=1 --"}, 400, "invalid_grant"),
        case("T-10", "10 kB of code", {"code": "x" * 10_000}, 400, "invalid_grant"),
        case("T-10", "letters beyond ASCII", {"code": "\udcff漢"}, 400, "invalid_grant"),
        case("T-10", "no code", {"code": None}, 400, "invalid_request"),
        case("T-15", "another redirect_uri", {"redirect_uri": "https://evil.example/"}, 400, "invalid_grant"),
        case("T-15", "another port", {"redirect_uri": "http://127.0.0.1:3001/callback"}, 400, "invalid_grant"),
        case("T-17", "a foreign resource", {"resource": "https://other.example/mcp"}, 400, "invalid_target"),
        case("T-17", "another of ours", {"resource": "{url}/mcp/home"}, 400, "invalid_target"),
        case("T-17", "a relative resource", {"resource": "/mcp"}, 400, "invalid_target"),
        case("T-40", "an unknown client", {"client_id": "client_0"}, 401, "invalid_client"),
        case("T-40", "no client", {"client_id": None}, 401, "invalid_client"),
        case("T-44", "a secret of a public client", {"client_secret": "x"}, 401, "invalid_client"),
    ],
)
def test_a_refused_request_spends_nothing(
    server: Server, database: Path, waiting: dict[str, str], change: dict, status: int, code: str
):
    changed = waiting | {name: value and value.replace("{url}", server.url) for name, value in change.items()}
    data = urlencode({name: value for name, value in changed.items() if value is not None}, errors="surrogateescape")
    with unchanged(database):
        answer = post(server, data)
    assert_refused(answer, status, code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        case("T-06", f"two of {name}", name, value)
        for name, value in {"code": "x", "client_id": "x", "grant_type": "x", "resource": "x&resource=y", "x": "1&x=2"}.items()
    ],
)
def test_a_parameter_that_comes_twice_is_refused(
    server: Server, database: Path, waiting: dict[str, str], name: str, value: str
):
    with unchanged(database):
        answer = post(server, urlencode(waiting) + f"&{name}={value}")
    assert_refused(answer, 400, "invalid_request")


BODIES: dict[str, Callable[[dict[str, str]], tuple[object, dict[str, str], int]]] = {
    "T-02 JSON": lambda form: (str(form).replace("'", '"'), {"Content-Type": "application/json"}, 400),
    "T-02 text": lambda form: (urlencode(form), {"Content-Type": "text/plain"}, 400),
    "T-02 no type": lambda form: (urlencode(form).encode(), {"Content-Type": ""}, 400),
    "T-04 UTF-16": lambda form: (urlencode(form).encode("utf-16"), UTF_16, 400),
    "T-04 gzip": lambda form: (gzip.compress(urlencode(form).encode()), {"Content-Encoding": "gzip"}, 400),
    "T-04 boundary": lambda form: (urlencode(form), {"Content-Type": "multipart/form-data;boundary"}, 400),
    "T-04 two types": lambda form: (urlencode(form), {"Content-Type": f"application/json, {FORM['Content-Type']}"}, 400),
    "T-06 empty": lambda form: ("", {}, 400),
    "T-06 10 MB": lambda form: (urlencode(form) + "&x=" + "y" * 10_000_000, {}, 413),
    "T-06 10000 fields": lambda form: (urlencode(form) + "&a=" * 10_000, {}, 400),
    "T-06 10000 names": lambda form: (urlencode(form) + "".join(f"&{n}=" for n in range(9_000)), {}, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", [case(name[:4], name[5:], name) for name in BODIES])
def test_a_body_that_is_no_plain_form_is_refused(server: Server, database: Path, waiting: dict[str, str], name: str):
    data, headers, status = BODIES[name](waiting)
    with unchanged(database):
        answer = post(server, data, **headers)
    assert_refused(answer, status, "invalid_request")


def test_t02_multipart_is_refused(server: Server, database: Path, waiting: dict[str, str]):
    with unchanged(database):
        answer = requests.post(server.url + "/token", files={name: (None, value) for name, value in waiting.items()}, timeout=10)
    assert_refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("method", [case("T-01", method, method) for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH")])
def test_only_post_is_taken(server: Server, database: Path, waiting: dict[str, str], method: str):
    with unchanged(database):
        answer = requests.request(method, f"{server.url}/token?{urlencode(waiting)}", data=waiting, timeout=10)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_t01_parameters_of_the_query_are_not_looked_at(server: Server, database: Path, waiting: dict[str, str]):
    with unchanged(database):
        empty = requests.post(f"{server.url}/token?{urlencode(waiting)}", headers=FORM, timeout=10)
        other = requests.post(f"{server.url}/token?{urlencode(waiting)}", headers=FORM, data={"x": "y"}, timeout=10)
    assert_refused(empty, 400, "invalid_request")
    assert_refused(other, 401, "invalid_client")


@pytest.mark.parametrize("who", [case("T-12", "another public client", "public"), case("T-13", "with a secret", "confidential")])
def test_a_code_is_worth_nothing_to_another_client(
    server: Server, database: Path, waiting: dict[str, str], confidential: Assistant, who: str
):
    thief = Assistant(server.url) if who == "public" else confidential
    secret = thief.registration.get("client_secret")
    headers = {"Authorization": basic(thief.client_id, secret)} if secret else {}
    with unchanged(database):
        answer = post(server, waiting | {"client_id": thief.client_id}, **headers)
    assert_refused(answer, 400, "invalid_grant")


def test_p09_after_all_that_the_code_is_still_good(server: Server, waiting: dict[str, str]):
    answer = post(server, waiting)
    assert answer.status_code == 200, answer.text


def test_p09_the_right_verifier_after_a_wrong_one_is_let_in(server: Server, alice: Person):
    assistant = Assistant(server.url)
    callback = alice.decide(assistant.authorize_url())
    assert assistant.exchange(callback, code_verifier="x" * 43).status_code == 400
    assert assistant.exchange(callback).status_code == 200


# --- PKCE ---


def test_p05_a_client_with_a_secret_needs_pkce_too(server: Server, database: Path, alice: Person, confidential: Assistant):
    with unchanged(database):
        url = confidential.authorize_url(code_challenge=None, code_challenge_method=None)
        answer = alice.session.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["error"] == ["invalid_request"]


def test_p05_and_its_verifier_is_checked(server: Server, database: Path, alice: Person, confidential: Assistant):
    callback = alice.decide(confidential.authorize_url())
    secret = confidential.registration["client_secret"]
    with unchanged(database):
        assert_refused(confidential.exchange(callback, client_secret=secret, code_verifier=None), 400, "invalid_grant")
    assert confidential.exchange(callback, client_secret=secret).status_code == 200


def test_p06_a_challenge_that_comes_again_is_allowed_and_noted(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    first, second = (owner.decide(assistant.authorize_url()) for _ in range(2))
    assert [assistant.exchange(callback).status_code for callback in (first, second)] == [200, 200]
    rows = read(house.db.path, "SELECT detail FROM sign_in_steps WHERE step = 'authorize' ORDER BY detail")
    assert [row["detail"] for row in rows] == [None, "challenge_repeated"]


@pytest.mark.parametrize("verifier", [case("P-11", "a verifier", "x" * 43), case("P-11", "none", "")])
def test_a_code_without_a_challenge_would_not_be_redeemed(verifier: str):
    code = SimpleNamespace(code_challenge="")
    with pytest.raises(InvalidGrant):
        check_code_verifier(code, TokenRequest({"code_verifier": verifier}, SimpleNamespace(), 0))


def test_p11_the_database_keeps_no_code_without_a_challenge(house: House):
    rows = house.db.query("SELECT name FROM pragma_table_info('codes') WHERE \"notnull\" = 1")
    assert "code_challenge" in {row["name"] for row in rows}


# --- time, ends and replays ---


@pytest.mark.parametrize(
    ("seconds", "status"), [case("T-11", "59 seconds", 59, 200), case("T-11", "60", 60, 400), case("T-11", "a day", 86_400, 400)]
)
def test_a_code_lives_for_a_minute(house: House, owner: Person, seconds: int, status: int):
    assistant = Assistant(house.url, session=house.session())
    callback = owner.decide(assistant.authorize_url())
    house.clock.forward(seconds)
    before = snapshot(house.db.path)
    answer = assistant.exchange(callback)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"] == "invalid_grant"
        assert changes(before, snapshot(house.db.path)) == {}


def test_t14_a_code_dies_with_its_session(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    callback = owner.decide(assistant.authorize_url())
    end_session(owner, house.url)
    with unchanged(house.db.path):
        assert_refused(assistant.exchange(callback), 400, "invalid_grant")


def test_t14_a_code_dies_with_the_password(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    callback = owner.decide(assistant.authorize_url())
    change_password(owner)
    with unchanged(house.db.path):
        assert_refused(assistant.exchange(callback), 400, "invalid_grant")


def test_t14_a_code_dies_with_its_client(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    callback = owner.decide(assistant.authorize_url())
    with house.db.write() as run:
        run("DELETE FROM clients WHERE id = :id", id=assistant.client_id)
    other = Assistant(house.url, session=house.session())
    with unchanged(house.db.path):
        assert_refused(assistant.exchange(callback), 401, "invalid_client")
        assert_refused(assistant.exchange(callback, client_id=other.client_id), 400, "invalid_grant")


def test_t21_a_valid_replay_ends_what_came_of_the_code(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    callback = alice.decide(assistant.authorize_url())
    assistant.tokens = assistant.exchange(callback).json()
    assert assistant.call("ping").status_code == 200
    assert_refused(assistant.exchange(callback), 400, "invalid_grant")
    assert ended(database, assistant.client_id) == ["code_replayed"]
    assert assistant.call("ping").status_code == 401
    assert_refused(assistant.refresh(), 400, "invalid_grant")


@pytest.mark.parametrize(
    "change",
    [
        case("T-21", "no verifier", {"code_verifier": None}),
        case("T-21", "a wrong verifier", {"code_verifier": "x" * 43}),
        case("T-21", "another redirect_uri", {"redirect_uri": "https://evil.example/"}),
        case("T-21", "another resource", {"resource": "https://evil.example/"}),
    ],
)
def test_who_has_seen_a_code_cannot_sign_anybody_out(server: Server, database: Path, alice: Person, change: dict):
    assistant = Assistant(server.url)
    callback = alice.decide(assistant.authorize_url())
    assistant.tokens = assistant.exchange(callback).json()
    with unchanged(database):
        assert assistant.exchange(callback, **change).status_code == 400
        stranger = Assistant.__new__(Assistant)
        stranger.__dict__ = assistant.__dict__ | {"client_id": "client_0"}
        assert stranger.exchange(callback).status_code == 401
    assert assistant.call("ping").status_code == 200


def test_t24_a_replay_is_recognised_as_long_as_the_session_lives(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    callback = owner.decide(assistant.authorize_url())
    assistant.tokens = assistant.exchange(callback).json()
    house.clock.forward(30 * 86400)
    assistant.tokens = assistant.refresh().json()
    purge_tokens(house.db, now=int(house.clock()))
    purge_sessions(house.db, now=int(house.clock()))
    assert_refused(assistant.exchange(callback), 400, "invalid_grant")
    assert ended(house.db.path, assistant.client_id) == ["code_replayed"]
    house.clock.forward(30 * 86400)
    purge_tokens(house.db, now=int(house.clock()))
    purge_sessions(house.db, now=int(house.clock()))
    assert house.db.query("SELECT count(*) AS number FROM codes")[0]["number"] == 0
    assert_refused(assistant.exchange(callback), 400, "invalid_grant")


# --- the answer ---


def test_t30_t31_and_t32_the_answer_is_short_lived_not_kept_and_random(server: Server, alice: Person):
    assistant = Assistant(server.url)
    answer = assistant.exchange(alice.decide(assistant.authorize_url()))
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "mcp")
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (answer.headers["Cache-Control"], answer.headers["Content-Type"]) == ("no-store", "application/json")
    assert re.fullmatch(r"mcp_at_[A-Za-z0-9_-]{43}", tokens["access_token"])
    assert re.fullmatch(r"mcp_rt_[A-Za-z0-9_-]{43}", tokens["refresh_token"])


def test_t31_errors_are_not_kept_either(server: Server):
    assert_refused(post(server, {"client_id": "client_0"}), 401, "invalid_client")


def test_t32_no_two_tokens_are_alike():
    values = {new_token("mcp_at_") for _ in range(10_000)}
    assert len({value[:20] for value in values}) == len(values) == 10_000
    assert {len(base64.urlsafe_b64decode(value[7:] + "=")) for value in values} == {32}


@pytest.mark.parametrize("scope", [case("T-18", scope or "empty", scope) for scope in ("mcp", "admin", "mcp admin:all", "")])
def test_a_scope_at_the_exchange_gives_nothing_more(server: Server, alice: Person, scope: str):
    assistant = Assistant(server.url)
    assert assistant.exchange(alice.decide(assistant.authorize_url()), scope=scope).json()["scope"] == "mcp"

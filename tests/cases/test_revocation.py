"""Taking tokens back, and asking about them: the V rows, RFC 7009 and RFC 7662."""

from __future__ import annotations

import pytest
import requests
from actors import Assistant, Person
from house import House

from cases.catalogue import case
from cases.token_endpoint import FORM, assert_refused, basic, ended


class Peer:
    """An assistant of the house with a secret, and its session with the owner."""

    def __init__(self, house: House, owner: Person):
        self.house = house
        self.assistant = Assistant(house.url, session=house.session(), token_endpoint_auth_method="client_secret_basic")
        self.secret = self.assistant.registration["client_secret"]
        callback = owner.decide(self.assistant.authorize_url())
        self.tokens = self.assistant.exchange(callback, client_secret=self.secret).json()
        self.assistant.tokens = self.tokens

    def post(self, path: str, form: dict[str, str], **headers: str) -> requests.Response:
        own = {"Authorization": basic(self.assistant.client_id, self.secret)}
        return self.house.session().post(self.house.url + path, data=form, headers=FORM | own | headers)


@pytest.fixture
def peer(house: House, owner: Person) -> Peer:
    return Peer(house, owner)


@pytest.mark.parametrize("token", [case("V-01", "unknown", "mcp_at_unknown"), case("V-01", "malformed", "é \x7f")])
def test_a_token_that_nobody_knows_is_gone_already(peer: Peer, token: str):
    answer = peer.post("/revoke", {"token": token})
    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    assert peer.assistant.call("ping").status_code == 200


@pytest.mark.parametrize("path", [case("V-02", "revoke", "/revoke"), case("V-02", "introspect", "/introspect")])
def test_a_request_without_a_token_is_refused(peer: Peer, path: str):
    assert_refused(peer.post(path, {}), 400, "invalid_request")
    assert_refused(peer.post(path, {"token": ""}), 400, "invalid_request")


HINTS = {"V-04 wrong": "access_token", "V-04 unknown": "jam", "V-05 right": "refresh_token"}


@pytest.mark.parametrize("hint", [case(*name.split(), hint) for name, hint in HINTS.items()])
def test_a_refresh_token_takes_its_whole_session_along(peer: Peer, hint: str):
    assert peer.post("/revoke", {"token": peer.tokens["refresh_token"], "token_type_hint": hint}).status_code == 200
    assert peer.assistant.call("ping").status_code == 401
    assert ended(peer.house.db.path, peer.assistant.client_id) == ["client"]
    assert_refused(peer.assistant.refresh(client_secret=peer.secret), 400, "invalid_grant")


def test_an_access_token_goes_alone(peer: Peer):
    assert peer.post("/revoke", {"token": peer.tokens["access_token"]}).status_code == 200
    assert peer.assistant.call("ping").status_code == 401
    assert peer.assistant.refresh(client_secret=peer.secret).status_code == 200


def test_a_public_client_takes_back_its_own_token(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    tokens = assistant.sign_in(owner)
    form = {"token": tokens["refresh_token"], "client_id": assistant.client_id}
    assert house.session().post(house.url + "/revoke", data=form).status_code == 200
    assert assistant.call("ping").status_code == 401


def test_nobody_takes_back_the_token_of_another_client(peer: Peer, house: House, owner: Person):
    other = Peer(house, owner)
    assert_refused(other.post("/revoke", {"token": peer.tokens["refresh_token"]}), 400, "invalid_grant")
    assert peer.assistant.call("ping").status_code == 200


@pytest.mark.parametrize("path", [case("V-07", "revoke", "/revoke"), case("V-10", "introspect", "/introspect")])
def test_a_client_has_to_prove_who_it_is(peer: Peer, path: str):
    token = peer.tokens["access_token"]
    for form in ({"token": token}, {"token": token, "client_id": peer.assistant.client_id}):
        answer = peer.house.session().post(peer.house.url + path, data=form)
        assert_refused(answer, 401, "invalid_client")
    wrong = peer.post(path, {"token": token}, Authorization=basic(peer.assistant.client_id, "wrong"))
    assert_refused(wrong, 401, "invalid_client")
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    assert peer.assistant.call("ping").status_code == 200


def test_v10_a_client_without_a_secret_may_not_ask(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    tokens = assistant.sign_in(owner)
    form = {"token": tokens["access_token"], "client_id": assistant.client_id}
    assert_refused(house.session().post(house.url + "/introspect", data=form), 401, "invalid_client")


@pytest.mark.parametrize("path", [case("V-09", "revoke", "/revoke"), case("V-09", "introspect", "/introspect")])
def test_only_post_is_offered(house: House, path: str):
    answer = house.session().get(house.url + path + "?token=x")
    assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (405, {"OPTIONS", "POST"})


def test_v11_a_token_that_opens_nothing_is_just_not_active(peer: Peer, house: House, owner: Person):
    other = Peer(house, owner)
    peer.assistant.tokens = peer.assistant.refresh(client_secret=peer.secret).json()
    peer.post("/revoke", {"token": peer.tokens["access_token"]})
    house.clock.forward(3600)
    fresh = Peer(house, owner)
    tokens = {
        "unknown": "mcp_at_unknown",
        "revoked": peer.tokens["access_token"],
        "traded": peer.tokens["refresh_token"],
        "expired": peer.assistant.tokens["access_token"],
        "foreign": fresh.tokens["access_token"],
    }
    for why, token in tokens.items():
        answer = other.post("/introspect", {"token": token}) if why == "foreign" else peer.post("/introspect", {"token": token})
        assert (why, answer.status_code, answer.json()) == (why, 200, {"active": False})


def test_v12_a_client_learns_about_its_own_token(peer: Peer, house: House):
    now, user_id = int(house.clock()), house.db.query("SELECT id FROM users")[0]["id"]
    about = {
        "active": True, "scope": "mcp", "client_id": peer.assistant.client_id, "iat": now, "iss": house.url,
        "aud": house.url + "/mcp", "sub": user_id,
    }  # fmt: skip
    access = peer.post("/introspect", {"token": peer.tokens["access_token"]})
    refresh = peer.post("/introspect", {"token": peer.tokens["refresh_token"]})
    assert access.headers["Cache-Control"] == "no-store"
    assert access.json() == about | {"exp": now + 3600, "token_type": "Bearer"}
    assert refresh.json() == about | {"exp": now + 90 * 86400, "token_type": "refresh_token"}


# --- what web pages of other sites may read ---


def ask_from_another_site(house: House, method: str, path: str) -> tuple[requests.Response, requests.Response]:
    """What a browser gets that is at another site: to its preflight, and to its request."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": method}
    preflight = house.session().options(house.url + path, headers=asked)
    return preflight, house.session().request(method, house.url + path, headers={"Origin": "https://app.example"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/register"),
        ("POST", "/token"),
        ("POST", "/revoke"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("GET", "/.well-known/mcp-config"),
        ("GET", "/.well-known/mcp-configuration"),
        ("GET", "/.well-known/mcp-server"),
    ],
)
def test_any_site_may_call_it_but_never_with_cookies(house: House, method: str, path: str):
    preflight, answer = ask_from_another_site(house, method, path)
    for answered in (preflight, answer):
        assert answered.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answered.headers
    assert preflight.status_code == 200
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("path", ["/authorize", "/introspect", "/login", "/connect", "/admin", "/"])
def test_no_other_site_may_read_it(house: House, path: str):
    for answered in ask_from_another_site(house, "GET", path):
        assert not [name for name in answered.headers if name.startswith("Access-Control-")]


def test_an_accepted_site_may_read_mcp_its_refusals_too(build_house):
    house = build_house(ALLOWED_ORIGINS="https://app.example")
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = house.session().options(house.url + "/mcp", headers=asked)
    refused = house.session().post(house.url + "/mcp", headers=asked)
    assert (preflight.status_code, refused.status_code) == (204, 401)
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for answer in (preflight, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Vary"] == "Origin"
        assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]
    foreign = house.session().options(house.url + "/mcp", headers=asked | {"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "Access-Control-Allow-Origin" not in foreign.headers

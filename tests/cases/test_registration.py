"""Clients that look after their own registration, and registration that is closed: R rows, RFC 7592."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import requests
from actors import Assistant, Person
from house import House

from cases.catalogue import case
from cases.evidence import unchanged
from cases.token_endpoint import assert_refused
from crypto import hash_token
from store.clients import Client, put_client

pytestmark = pytest.mark.server

CALLBACK = "http://127.0.0.1:3000/callback"
OTHER = "https://other.example/callback"


class Keeper:
    """A client that reads, changes and removes its registration."""

    def __init__(self, house: House, **metadata: object):
        self.assistant = Assistant(house.url, session=house.session(), **metadata)
        self.registration = self.assistant.registration
        self.url: str = self.registration["registration_client_uri"]

    def send(self, method: str, body: Any = None, token: str | None = None) -> requests.Response:
        """A request with the registration's own token, or another one."""
        bearer = {"Authorization": "Bearer " + (token or self.registration["registration_access_token"])}
        return self.assistant.session.request(method, self.url, json=body, headers=bearer)

    def replace(self, **changes: Any) -> requests.Response:
        """A PUT of the whole registration, as RFC 7592 §2.2 wants it, with changes."""
        body = {"client_id": self.assistant.client_id, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
        return self.send("PUT", body | changes)


@pytest.fixture
def keeper(house: House) -> Keeper:
    """One without a secret."""
    return Keeper(house)


# --- who may ---


@pytest.mark.parametrize("method", [case("R-25", method, method) for method in ("GET", "PUT", "DELETE")])
@pytest.mark.parametrize("authorization", [None, "Bearer mcp_ra_wrong", "Bearer ü", "Basic eDp5", "another client's"])
def test_nobody_else_may_look_or_change(house: House, keeper: Keeper, method: str, authorization: str | None):
    if authorization == "another client's":
        authorization = "Bearer " + Keeper(house).registration["registration_access_token"]
    headers = {"Authorization": authorization.encode()} if authorization else {}
    body = {"client_id": keeper.assistant.client_id, "redirect_uris": [CALLBACK]}
    with unchanged(house.db.path):
        answer = house.session().request(method, keeper.url, json=body, headers=headers)
    assert_refused(answer, 401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("method", [case("R-25", f"{method} unknown", method) for method in ("GET", "PUT", "DELETE")])
def test_an_unknown_client_looks_like_a_wrong_token(keeper: Keeper, method: str):
    known = keeper.send(method, token="mcp_ra_wrong")
    keeper.url = keeper.url.replace("client_", "client_0")
    unknown = keeper.send(method)
    assert_refused(unknown, 401, "invalid_token")
    assert (unknown.text, unknown.headers["WWW-Authenticate"]) == (known.text, known.headers["WWW-Authenticate"])


def test_r25_its_token_stands_in_the_database_as_a_hash_only(house: House, keeper: Keeper):
    token = keeper.registration["registration_access_token"]
    assert token.startswith("mcp_ra_")
    (row,) = house.db.query("SELECT registration_token_hash FROM clients")
    assert row["registration_token_hash"] == hash_token(token)


def test_r25_a_client_with_its_token_sees_what_it_registered(keeper: Keeper):
    answer = keeper.send("GET")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json() == keeper.registration
    assert keeper.url.endswith("/register/" + keeper.assistant.client_id)


def test_a_secret_is_shown_once(house: House):
    keeper = Keeper(house, token_endpoint_auth_method="client_secret_basic")
    assert "client_secret" in keeper.registration
    assert "client_secret" not in keeper.send("GET").json()


@pytest.mark.parametrize("method", [case("R-25", f"{method} from another site", method) for method in ("GET", "PUT", "DELETE")])
def test_any_site_may_try_but_never_with_cookies(house: House, keeper: Keeper, method: str):
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": method}
    preflight = house.session().options(keeper.url, headers=asked)
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, PUT, DELETE"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = keeper.send(method, token="mcp_ra_wrong")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


# --- what a change may say ---


@pytest.mark.parametrize(
    "changes",
    [
        case("R-27", "another client_id", {"client_id": "client_another"}),
        case("R-27", "no client_id", {"client_id": None}),
        case("R-27", "its token", {"registration_access_token": "mcp_ra_chosen"}),
        case("R-27", "its address", {"registration_client_uri": "https://other.example/"}),
        case("R-27", "its secret's end", {"client_secret_expires_at": 0}),
        case("R-27", "its beginning", {"client_id_issued_at": 0}),
        case("R-27", "a secret of its choice", {"client_secret": "chosen"}),
        case("R-27", "a secret that is no string", {"client_secret": 1}),
        case("R-27", "an unknown method", {"token_endpoint_auth_method": "tls_client_auth"}),
    ],
)
def test_a_change_that_says_what_only_we_say_is_refused_whole(house: House, keeper: Keeper, changes: dict[str, Any]):
    with unchanged(house.db.path):
        assert_refused(keeper.replace(**changes), 400, "invalid_client_metadata")


@pytest.mark.parametrize("body", [case("R-27", str(body), body) for body in (None, [], "x", 1)])
def test_a_change_that_is_no_object_is_refused(house: House, keeper: Keeper, body: Any):
    with unchanged(house.db.path):
        answer = keeper.send("PUT", body)
    assert_refused(answer, 400, "invalid_client_metadata")


def test_r27_redirect_uris_obey_the_same_rules_as_at_the_registration(house: House, keeper: Keeper):
    with unchanged(house.db.path):
        assert_refused(keeper.replace(redirect_uris=["javascript:alert(1)"]), 400, "invalid_redirect_uri")
        assert_refused(keeper.replace(redirect_uris=[]), 400, "invalid_redirect_uri")


def test_r27_what_a_change_leaves_out_is_gone(keeper: Keeper):
    answer = keeper.replace(redirect_uris=[OTHER], client_name="Renamed", software_id="new")
    assert answer.status_code == 200
    assert answer.json()["registration_access_token"] == keeper.registration["registration_access_token"]
    assert keeper.send("GET").json() == answer.json()
    keeper.replace(redirect_uris=[OTHER])
    assert not {"client_name", "software_id"} & keeper.send("GET").json().keys()


def test_a_client_that_begins_to_need_a_secret_gets_one_and_keeps_it(keeper: Keeper):
    answer = keeper.replace(token_endpoint_auth_method="client_secret_post").json()
    assert answer["client_secret_expires_at"] == 0
    again = keeper.replace(token_endpoint_auth_method="client_secret_basic", client_secret=answer["client_secret"])
    assert (again.status_code, "client_secret" in again.json()) == (200, False)
    grant = {"grant_type": "refresh_token", "refresh_token": "mcp_rt_unknown"}
    assert_refused(keeper.assistant.post_token(**grant, client_secret=answer["client_secret"]), 400, "invalid_grant")
    assert_refused(keeper.assistant.post_token(**grant), 401, "invalid_client")


def test_r27_an_approved_client_gives_up_redirect_uris_but_gets_no_new_ones(house: House, owner: Person):
    keeper = Keeper(house, redirect_uris=[CALLBACK, OTHER])
    assert keeper.replace(redirect_uris=[CALLBACK, OTHER, "https://third.example/"]).status_code == 200
    keeper.assistant.sign_in(owner)
    with unchanged(house.db.path):
        assert_refused(keeper.replace(redirect_uris=[CALLBACK, "https://fourth.example/"]), 400, "invalid_redirect_uri")
    assert keeper.replace(redirect_uris=[CALLBACK]).status_code == 200
    assert owner.get(keeper.assistant.authorize_url(redirect_uri=OTHER)).status_code == 400
    assert keeper.assistant.call("ping").status_code == 200


def test_a_change_leaves_alone_what_is_under_way(house: House, owner: Person):
    keeper = Keeper(house, redirect_uris=[CALLBACK, OTHER])
    consent = owner.get(keeper.assistant.authorize_url())
    keeper.replace(redirect_uris=[OTHER])
    callback = owner.submit(consent, button=("decision", "approve")).headers["Location"]
    assert callback.startswith(CALLBACK + "?")
    assert_refused(keeper.assistant.exchange(callback, redirect_uri=OTHER), 400, "invalid_grant")
    assert keeper.assistant.exchange(callback).status_code == 200


def test_changes_count_as_registrations_do(keeper: Keeper):
    statuses = Counter(keeper.replace().status_code for _ in range(150))
    assert statuses == {200: 149, 429: 1}
    refused = keeper.replace(client_name="Too much")
    assert_refused(refused, 429, "temporarily_unavailable")
    assert refused.headers["Retry-After"] == "24"
    assert "client_name" not in keeper.send("GET").json()


# --- the end ---


def test_r29_a_removed_client_is_gone_in_every_worker_at_once(house: House, owner: Person):
    keeper = Keeper(house)
    tokens = keeper.assistant.sign_in(owner)
    worker = House(house.settings, house.clock)
    try:
        elsewhere = Assistant(worker.url, session=worker.session())
        assert elsewhere.call("ping", token=tokens["access_token"]).status_code == 200
        answer = keeper.send("DELETE")
        assert (answer.status_code, answer.content) == (204, b"")
        assert elsewhere.call("ping", token=tokens["access_token"]).status_code == 401
    finally:
        worker.close()
    assert keeper.assistant.call("ping").status_code == 401
    assert_refused(keeper.assistant.refresh(), 401, "invalid_client")
    assert_refused(keeper.send("GET"), 401, "invalid_token")
    assert owner.get(keeper.assistant.authorize_url()).status_code == 400
    assert "None yet." in owner.get("/admin").text
    for table in ("grants", "sessions", "tokens", "codes"):
        assert house.db.query(f"SELECT count(*) AS number FROM {table}")[0]["number"] == 0


@pytest.mark.parametrize("kind", [case("R-29", kind, kind) for kind in ("preregistered", "cimd")])
def test_a_client_that_did_not_register_itself_cannot_be_removed_like_that(house: House, keeper: Keeper, kind: str):
    now = int(house.clock())
    put_client(house.db, Client(f"client_{kind}", kind, "Made otherwise", "none", None, (CALLBACK,), {}, now))
    keeper.url = f"{house.url}/register/client_{kind}"
    with unchanged(house.db.path):
        for token in (keeper.registration["registration_access_token"], "mcp_ra_guess"):
            assert_refused(keeper.send("DELETE", token=token), 401, "invalid_token")


# --- closed ---


def test_r30_registration_can_be_closed(build_house, house: House):
    closed = build_house(REGISTRATION="closed")
    assert closed.session().post(closed.url + "/register", json={"redirect_uris": [CALLBACK]}).status_code == 404
    assert closed.db.query("SELECT id FROM clients") == []
    path = "/.well-known/oauth-authorization-server"
    assert "registration_endpoint" not in closed.session().get(closed.url + path).json()
    assert "registration_endpoint" in house.session().get(house.url + path).json()

"""Signing in at the service behind a connection: the way there, who Postern is there, what is kept. Misuse is in cases/."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html import unescape

import pytest
from conftest import MASTER_KEY, NOW
from fake_service import Service, follow, json_answer, running_service
from household import House, opened, send
from service_connector import CONNECTOR
from signing_in import Desk, settings_for, sit_down

from config import load_settings
from joining import join
from store.connections import Draft
from store.members import delete_member
from store.profiles import list_profiles
from store.registrations import list_registrations
from store.sessions import list_sessions
from store.upstreams import note_failure, note_greeting
from upstream_clients import client_document


@pytest.fixture
def service() -> Iterator[Service]:
    """A service of this test."""
    with running_service() as running:
        yield running


@pytest.fixture
def house(service: Service, tmp_path: object) -> Iterator[House]:
    """Alice's house, with the service's connector."""
    with opened(settings_for(service, tmp_path), CONNECTOR) as built:
        yield built.settle()


@pytest.fixture
def desk(house: House, service: Service) -> Desk:
    """Alice, who has a connection to the service."""
    return sit_down(house, service)


# --- the way there and back ---


def test_signing_in_takes_discovery_registration_a_code_and_gives_a_token(desk: Desk, service: Service):
    answer = desk.sign_in()

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/connections/{desk.connection_id}")
    assert [request.path for request in service.requests] == [
        "/mcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/register",
        "/authorize",
        "/token",
    ]
    assert desk.secrets.keys() == {"access_token", "refresh_token"}
    assert desk.call()["isError"] is False


def test_it_asks_with_pkce_state_and_the_resource(desk: Desk, service: Service):
    asked = desk.asked(desk.leave())

    (client,) = service.clients.values()
    assert asked.keys() == {
        "response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method", "state", "resource",
    }  # fmt: skip
    assert (asked["response_type"], asked["client_id"]) == ("code", client["client_id"])
    assert asked["redirect_uri"] == desk.house.state.settings.public_url + "/connect/callback"
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert len(asked["state"]) == 43
    assert asked["resource"] == service.url


def test_nothing_of_it_lies_in_the_database_in_clear(desk: Desk, service: Service):
    asked = desk.asked(away := desk.leave())
    desk.come_back(follow(away.headers["Location"]))

    everything = repr(desk.house.contents())
    (client,) = service.clients.values()
    secret = [asked["state"], client["registration_access_token"], *service.access, *service.refresh]
    assert [value for value in secret if value in everything] == []
    assert asked["client_id"] in everything  # the search would find what is there


def test_the_page_says_how_the_connection_is_signed_in(desk: Desk, service: Service):
    claims = base64.urlsafe_b64encode(json.dumps({"email": "alice@example.com"}).encode()).rstrip(b"=").decode()
    service.id_token = f"e30.{claims}.sig"
    path = f"/connections/{desk.connection_id}"
    assert "Nobody has signed in at this service yet" in desk.browser.get(path).text

    desk.sign_in()

    page = desk.browser.get(path).text
    assert "Signed in as <q><bdi>alice@example.com</bdi></q> since 21 September 2026" in page
    assert "It is renewed by itself." in page


def test_it_returns_to_the_page_that_the_person_came_from(desk: Desk):
    consent = desk.house.ask(desk.browser)
    answer = desk.sign_in(next=consent)
    assert (answer.status_code, answer.headers["Location"]) == (303, consent)
    assert desk.browser.get(consent).status_code == 200


def waiting_on(page: str) -> list[str]:
    """The links to sign-ins that a consent page asks for first."""
    found = re.findall(r'needs a sign-in of its own, at localhost:\d+:.*?<a href="([^"]+)"', page, re.DOTALL)
    return [unescape(link) for link in found]


def test_a_consent_page_leads_to_the_sign_in_that_a_connection_needs_and_back(desk: Desk):
    consent = desk.house.ask(desk.browser)
    (link,) = waiting_on(desk.browser.get(consent).text)
    page = desk.browser.get(link)
    assert (page.status_code, f'name="next" value="{consent}"' in page.text) == (200, True)
    assert desk.sign_in(next=consent).headers["Location"] == consent
    assert waiting_on(desk.browser.get(consent).text) == []
    desk.change(url=desk.service.url + "/moved")  # so the sign-in is not good any more
    assert len(waiting_on(desk.browser.get(consent).text)) == 1


def test_it_says_so_for_the_profiles_that_can_be_chosen_and_to_nobody_else(desk: Desk):
    house = desk.house
    bob = house.browser(house.bob)
    assert waiting_on(bob.get(house.ask(bob)).text) == []
    delete_member(house.db, house.alice.id, list_profiles(house.db, house.alice.id)[0].id, desk.connection_id)
    assert waiting_on(desk.browser.get(house.ask(desk.browser)).text) == []


@pytest.mark.parametrize(
    ("settings", "answered", "asked"),
    [
        ({"auth": "oauth"}, False, 1),
        ({"auth": "oauth"}, True, 0),  # it lets everybody in
        ({"auth": "none"}, False, 0),
    ],
)
def test_a_server_that_wants_no_sign_in_is_not_waited_for(house: House, settings: dict[str, str], answered: bool, asked: int):
    with house.db.write() as run:
        draft = Draft("remote_http", "Far", {"url": "http://localhost:1/mcp"} | settings)
        connection_id = join(run, house.vault, list_profiles(house.db, house.alice.id)[0], draft, house.now)
    if answered:
        note_greeting(house.db, connection_id, {}, now=house.now)
    browser = house.browser(house.alice)
    consent = house.ask(browser)
    assert len(waiting_on(browser.get(consent).text)) == asked
    note_failure(house.db, connection_id, "It wants a sign-in now.", now=house.now)
    assert len(waiting_on(browser.get(consent).text)) == (settings["auth"] == "oauth")


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_it_returns_to_no_other_site(desk: Desk, elsewhere: str):
    assert desk.sign_in(next=elsewhere).headers["Location"] == "/admin"


def test_a_new_connection_leads_to_its_sign_in_and_from_there_on(desk: Desk, service: Service):
    answer = send(
        desk.browser, "/connections/new?connector=service", connector="service", action="save", url=service.url, next="/account"
    )
    page = desk.browser.get(answer.headers["Location"])
    assert answer.status_code == 303
    assert "Nobody has signed in at this service yet" in page.text
    assert '<input type="hidden" name="next" value="/account">' in page.text
    assert "form-action" not in page.headers["Content-Security-Policy"]  # the button ends at another site


def test_reconnecting_keeps_the_grants_of_assistants(desk: Desk):
    desk.sign_in()
    before = list_sessions(desk.house.db, desk.house.alice.id, now=NOW)
    old = desk.secrets["access_token"]

    desk.sign_in()

    assert list_sessions(desk.house.db, desk.house.alice.id, now=NOW) == before != []
    assert desk.secrets["access_token"] != old


def test_disconnecting_revokes_and_forgets(desk: Desk, service: Service):
    desk.sign_in()
    answer = send(desk.browser, f"/connections/{desk.connection_id}/disconnect")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/connections/{desk.connection_id}")
    assert [request.form["token_type_hint"] for request in service.came("/revoke")] == ["refresh_token", "access_token"]
    assert (service.access, service.refresh, desk.secrets) == ({}, {}, {})


def test_disconnecting_forgets_even_if_the_service_is_down(desk: Desk, service: Service):
    desk.sign_in()
    service.answers["/revoke"] = (503, {}, b"")
    assert send(desk.browser, f"/connections/{desk.connection_id}/disconnect").status_code == 303
    assert desk.secrets == {}


def test_a_connection_that_was_deleted_meanwhile_gets_no_tokens(desk: Desk, service: Service):
    location = follow(desk.leave().headers["Location"])

    def delete(request):
        send(desk.browser, f"/connections/{desk.connection_id}", action="delete")
        return service.token(request)

    service.answers["/token"] = delete
    assert desk.come_back(location).status_code == 404
    assert desk.house.db.query("SELECT * FROM credentials WHERE name = 'access_token'") == []


def test_another_tab_does_not_take_the_registration_away_from_a_sign_in_under_way(desk: Desk, service: Service):
    service.challenge_scope = "read"
    location = follow(desk.leave().headers["Location"])

    def register_anew(request):
        service.challenge_scope = "read write"
        desk.leave()
        return service.token(request)

    service.answers["/token"] = register_anew
    assert desk.come_back(location).status_code == 303
    assert len(service.clients) == 2


# --- where to sign in ---


def test_an_old_server_without_documents_has_its_endpoints_at_the_root(desk: Desk, service: Service):
    service.answers["/mcp"] = (401, {}, b"")
    service.answers["/.well-known/oauth-protected-resource/mcp"] = (404, {}, b"")
    base = service.url.removesuffix("/mcp")
    for path, rule in {"/register": service.register, "/authorize": service.authorize, "/token": service.token}.items():
        service.answers[path] = rule
    service.metadata["issuer"] = base

    assert desk.sign_in().status_code == 303
    assert service.came("/token")[0].headers["Host"] == base.removeprefix("http://")
    assert desk.secrets.keys() == {"access_token", "refresh_token"}


def test_an_old_server_with_metadata_at_the_root_is_asked_where_it_says(desk: Desk, service: Service):
    service.answers["/.well-known/oauth-protected-resource/mcp"] = (404, {}, b"")
    base = service.url.removesuffix("/mcp")
    service.metadata["issuer"] = base
    document = "/.well-known/oauth-authorization-server"
    service.answers[document] = json_answer(service.metadata)

    assert desk.sign_in().status_code == 303
    assert service.came(document)[0].headers["Host"] == base.removeprefix("http://")


def test_a_server_that_asks_for_no_sign_in_is_said_to_need_none(desk: Desk, service: Service):
    service.answers["/mcp"] = (200, {}, b"{}")
    service.answers["/.well-known/oauth-protected-resource/mcp"] = (404, {}, b"")
    answer = desk.leave()
    assert answer.status_code == 400
    assert "does not ask for a sign-in, and does not say how one would sign in." in answer.text


@pytest.mark.parametrize("page", [(200, {"Content-Type": "text/html"}, b"<p>hello"), (302, {"Location": "/x"}, b"")])
def test_a_page_for_whatever_is_asked_is_no_document(desk: Desk, service: Service, page: tuple):
    service.answers["/mcp"] = (401, {"WWW-Authenticate": "Bearer"}, b"")
    service.answers["/.well-known/oauth-protected-resource/mcp"] = page
    service.answers["/.well-known/oauth-protected-resource"] = json_answer(service.resource)
    assert desk.sign_in().status_code == 303
    assert service.came("/x") == []  # no redirect is followed


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]),
        (
            "/tenant",
            [
                "/.well-known/oauth-authorization-server/tenant",
                "/.well-known/openid-configuration/tenant",
                "/tenant/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_metadata_is_looked_for_in_the_order_of_the_specification(desk: Desk, service: Service, path: str, places: list[str]):
    issuer = service.issuer + path
    service.resource["authorization_servers"] = [issuer]
    service.metadata["issuer"] = issuer
    service.answers |= {place: (404, {}, b"") for place in places[:-1]}
    service.answers[places[-1]] = json_answer(service.metadata)

    assert desk.sign_in().status_code == 303
    assert [request.path for request in service.requests if "well-known" in request.path][1:] == places


def test_a_service_that_is_down_is_no_old_server(desk: Desk, service: Service):
    service.answers["/.well-known/oauth-protected-resource/mcp"] = (503, {}, b"")
    answer = desk.leave()
    assert answer.status_code == 400
    assert "cannot say just now where to sign in (status 503). Try again later." in answer.text
    assert service.came("/register") == []


def test_given_endpoints_are_used_as_typed(desk: Desk, service: Service):
    service.clients["mine"] = {"token_endpoint_auth_method": "client_secret_basic", "client_secret": "s:cret/%"}
    desk.change(
        {"client_secret": "s:cret/%"}, client_id="mine", scope="a b",
        authorization_endpoint=service.issuer + "/authorize?tenant=1", token_endpoint=service.issuer + "/token",
    )  # fmt: skip
    asked = desk.asked(desk.leave())
    assert (asked["tenant"], asked["client_id"], asked["scope"], asked["resource"]) == ("1", "mine", "a b", service.url)
    assert desk.sign_in().status_code == 303
    assert {request.path for request in service.requests} == {"/authorize", "/token"}


# --- who Postern is there ---


def test_it_describes_itself_when_it_registers(desk: Desk, service: Service):
    desk.leave()
    described = json.loads(service.came("/register")[0].body)
    assert described == {
        "client_name": "Postern",
        "client_uri": "http://localhost:8000",
        "redirect_uris": ["http://localhost:8000/connect/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


def test_its_own_document_stands_where_https_leads_to_it(tmp_path: object):
    settings = load_settings(
        {
            "MASTER_KEY": MASTER_KEY,
            "DATABASE_URL": f"sqlite:///{tmp_path}/p.db",
            "PUBLIC_URL": "https://postern.example.com",
        },
        dotenv=None,
    )
    with opened(settings) as house:
        answer = house.browser().get("/oauth/client.json", base_url="https://postern.example.com")
    assert answer.status_code == 200
    assert answer.json == client_document(settings)
    assert answer.json["client_id"] == "https://postern.example.com/oauth/client.json"
    assert (answer.json["application_type"], answer.json["token_endpoint_auth_method"]) == ("web", "none")


def test_there_is_no_document_where_nobody_could_read_it(desk: Desk, service: Service):
    service.metadata["client_id_metadata_document_supported"] = True
    assert desk.browser.get("/oauth/client.json").status_code == 404
    assert desk.asked(desk.leave())["client_id"] in service.clients


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
def test_it_proves_itself_in_the_way_that_the_server_supports(desk: Desk, service: Service, method: str):
    service.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt", method]
    assert desk.sign_in().status_code == 303
    (client,) = service.clients.values()
    assert client["token_endpoint_auth_method"] == method


def test_a_server_that_names_no_method_takes_the_secret_in_the_header(desk: Desk, service: Service):
    del service.metadata["token_endpoint_auth_methods_supported"]
    assert desk.sign_in().status_code == 303
    assert service.came("/token")[0].headers["Authorization"].startswith("Basic ")


def test_a_registration_is_used_again(desk: Desk, service: Service):
    desk.sign_in()
    desk.sign_in()
    assert len(service.clients) == 1


def test_another_public_url_registers_anew(desk: Desk, service: Service, tmp_path: object):
    desk.sign_in()
    desk.house.gate.stop()
    moved = settings_for(service, tmp_path, PUBLIC_URL="http://localhost:9999")
    with opened(moved, CONNECTOR) as house:
        house.alice = desk.house.alice
        again = Desk(house, service, house.browser(house.alice), desk.connection_id)
        assert again.asked(again.leave())["redirect_uri"] == "http://localhost:9999/connect/callback"
    assert len(service.clients) == 2


def expire_secret(desk: Desk, service: Service) -> None:
    """The secret of the registration comes to its end."""
    desk.house.now += 101


def forget_client(desk: Desk, service: Service) -> None:
    """The server loses its clients, which a failed sign-in tells."""
    service.clients.clear()
    assert desk.sign_in().status_code == 400


def stay_away(desk: Desk, service: Service) -> None:
    """The server shows an error page, so nobody comes back."""
    desk.house.now += 400
    desk.leave()


@pytest.mark.parametrize("misfortune", [expire_secret, forget_client, stay_away])
def test_a_dead_registration_is_replaced(desk: Desk, service: Service, misfortune):
    service.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    original = service.register

    def short_lived(request):
        status, _, body = original(request)
        client = json.loads(body) | {"client_secret_expires_at": NOW + 100 if misfortune is expire_secret else 0}
        return json_answer(client, status)

    service.answers["/register"] = short_lived
    desk.sign_in()
    old = desk.asked(desk.leave())["client_id"]
    if misfortune is stay_away:
        desk.sign_in()

    misfortune(desk, service)

    assert desk.asked(desk.leave())["client_id"] != old
    assert desk.sign_in().status_code == 303


def test_a_wider_scope_than_was_registered_registers_anew(desk: Desk, service: Service):
    service.challenge_scope = "read"
    desk.sign_in()
    service.challenge_scope = "read write"
    desk.sign_in()
    assert [client["scope"] for client in service.clients.values()] == ["read", "read write"]


def test_old_registrations_do_not_pile_up(desk: Desk, service: Service):
    for number in range(4):
        service.challenge_scope = f"scope{number}"
        desk.sign_in()
        desk.house.now += 1000
    assert len(list_registrations(desk.house.db, desk.house.vault, desk.connection_id)) <= 2


def test_a_server_without_registration_is_said_to_need_a_client_by_hand(desk: Desk, service: Service):
    del service.metadata["registration_endpoint"]
    answer = desk.leave()
    assert answer.status_code == 400
    assert "Make a client there by hand, with the redirect URI http://localhost:8000/connect/callback" in answer.text


# --- what is asked for ---


@pytest.mark.parametrize(
    ("challenge", "resource", "server", "typed", "asked"),
    [
        ("a b", ["c"], [], "", "a b"),
        (None, ["c", "d"], [], "", "c d"),
        (None, None, ["x", "offline_access"], "", None),
        (None, ["c"], ["x", "offline_access"], "", "c offline_access"),
        ("a", ["c"], ["offline_access"], "mine", "mine"),
    ],
    ids=["challenge", "resource", "nothing", "offline_access", "typed"],
)
def test_the_scope_is_chosen_by_the_rule_of_the_specification(
    desk: Desk, service: Service, challenge, resource, server, typed, asked
):
    service.challenge_scope = challenge
    if resource:
        service.resource["scopes_supported"] = resource
    service.metadata["scopes_supported"] = server
    if typed:
        desk.change(scope=typed)
    parameters = desk.asked(desk.leave())
    assert parameters.get("scope") == asked
    assert parameters.get("prompt") == ("consent" if "offline_access" in (asked or "") else None)

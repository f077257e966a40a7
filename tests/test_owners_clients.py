"""clients.py and preregistration.py: what the owner makes by hand, who may, and what deleting ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from actors import PASSWORD, Assistant, Person
from cases.token_endpoint import assert_refused
from conftest import NOW
from house import Clock, House

from accounts import add_account
from config import Settings
from crypto import Vault, hash_token
from db import Database
from errors import InvalidInput
from preregistration import add_client
from store.clients import find_client, list_clients

pytestmark = pytest.mark.server

CALLBACK = "https://assistant.example/callback"


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    built = House(settings, Clock(NOW))
    vault: Vault = built.gate.pages.extensions["postern"].vault
    for name in ("alice", "bob"):
        add_account(built.db, vault, name, PASSWORD, now=NOW)
    yield built
    built.close()


@pytest.fixture
def alice(house: House) -> Person:
    """The owner."""
    person = Person(house.url, "alice", session=house.session())
    person.sign_in()
    return person


@pytest.fixture
def bob(house: House) -> Person:
    """Another user."""
    person = Person(house.url, "bob", session=house.session())
    person.sign_in()
    return person


def make(person: Person, **values: str):
    """Fill in the form."""
    return person.submit(person.get("/clients/new"), **({"client_name": "By hand", "redirect_uris": CALLBACK} | values))


def take_up(house: House, client_id: str) -> Assistant:
    """An assistant into which somebody has typed the id."""
    assistant = Assistant(house.url, CALLBACK, session=house.session())
    assistant.client_id = client_id
    return assistant


def test_a_client_with_a_secret_signs_in_with_what_was_shown_once(house: House, alice: Person, bob: Person):
    shown = make(alice, kind="secret").text
    (client,) = list_clients(house.db, "preregistered")
    secret = re.findall(r"<code>(mcp_cs_[^<]+)</code>", shown)[0]
    assert f"<code>{client.id}</code>" in shown
    assert client.secret_hash == hash_token(secret)
    assert client.id in alice.get("/clients").text
    assert secret not in alice.get("/clients").text
    assistant = take_up(house, client.id)
    assert "The owner of this server has registered it." in bob.get(assistant.authorize_url()).text
    callback = bob.decide(assistant.authorize_url())
    assert_refused(assistant.exchange(callback), 401, "invalid_client")
    assistant.tokens = assistant.exchange(callback, client_secret=secret).json()
    assert assistant.call("ping").status_code == 200


def test_a_client_without_a_secret_signs_in_too(house: House, alice: Person):
    assert "mcp_cs_" not in make(alice).text
    assistant = take_up(house, list_clients(house.db, "preregistered")[0].id)
    assistant.sign_in(alice)
    assert assistant.call("ping").status_code == 200


def test_deleting_it_ends_its_sessions(house: House, alice: Person, bob: Person):
    make(alice)
    assistant = take_up(house, list_clients(house.db, "preregistered")[0].id)
    assistant.sign_in(bob)
    assert alice.submit(alice.get("/clients")).status_code == 200
    assert list_clients(house.db, "preregistered") == []
    assert assistant.call("ping").status_code == 401
    assert_refused(assistant.refresh(), 401, "invalid_client")


def test_the_owner_deletes_only_what_the_owner_made(house: House, alice: Person):
    make(alice)
    page = alice.get("/clients")
    other = Assistant(house.url, session=house.session())
    page._content = page.content.replace(list_clients(house.db, "preregistered")[0].id.encode(), other.client_id.encode())
    assert alice.submit(page).status_code == 404
    assert find_client(house.db, other.client_id) is not None


@pytest.mark.parametrize("path", ["/clients", "/clients/new"])
def test_for_anybody_else_the_pages_are_not_there(house: House, bob: Person, path: str):
    assert bob.get(path).status_code == 404
    assert "/clients" not in bob.get("/admin").text
    assert "/login" in Person(house.url, session=house.session()).get(path).url


def test_nobody_else_makes_or_deletes_one(house: House, alice: Person, bob: Person):
    make(alice)
    token = re.findall(r'name="csrf_token" value="([^"]+)"', bob.get("/admin").text)[0]
    (client,) = list_clients(house.db, "preregistered")
    for path in ("/clients/new", f"/clients/{client.id}/delete"):
        form = {"csrf_token": token, "client_name": "Bob's", "redirect_uris": CALLBACK}
        assert bob.session.post(house.url + path, data=form).status_code == 404
    assert list_clients(house.db, "preregistered") == [client]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"client_name": " "}, "This is needed."),
        ({"client_name": "x" * 201}, "client_name must be a string of at most 200 characters"),
        ({"redirect_uris": ""}, "redirect_uris must be a list of 1 to 50 URIs."),
        ({"redirect_uris": "http://assistant.example/"}, "uses http although it is not on this machine"),
        ({"redirect_uris": f"{CALLBACK}\nmyapp://callback"}, "has a scheme that this server does not accept"),
    ],
)
def test_a_mistake_is_marked_and_nothing_is_made(house: House, alice: Person, values: dict[str, str], reason: str):
    answer = make(alice, **values)
    assert answer.status_code == 400
    assert reason in answer.text
    assert answer.text.count('aria-invalid="true"') == 1
    assert list_clients(house.db) == []


def test_several_redirect_uris_stand_on_lines(house: House, alice: Person):
    make(alice, redirect_uris=f" {CALLBACK}\r\nhttp://127.0.0.1/cb\r\n\r\n{CALLBACK}")
    assert list_clients(house.db)[0].redirect_uris == (CALLBACK, "http://127.0.0.1/cb")


def test_a_client_that_was_made_is_never_pruned(db: Database, settings: Settings):
    client, secret = add_client(db, settings, " By hand ", [CALLBACK], has_secret=True, now=NOW)
    assert (client.kind, client.name, client.auth_method) == ("preregistered", "By hand", "client_secret_basic")
    assert client.secret_hash == hash_token(secret)
    assert find_client(db, client.id) == client
    with pytest.raises(InvalidInput):
        add_client(db, settings, "", [CALLBACK], has_secret=False, now=NOW)

"""store/emulated_documents.py: a document is there for its time, and its client goes with it."""

from __future__ import annotations

import pytest
from conftest import NOW

from accounts import add_account
from crypto import Vault
from db import Database
from store.clients import Client, find_client, put_client
from store.emulated_documents import (
    delete_document,
    find_document,
    insert_document,
    purge_documents,
    put_described_client,
)
from store.grants import put_grant
from store.profiles import list_feature_sets, list_profiles
from store.sessions import insert_session


def url_of(document_id: str) -> str:
    """The client's id."""
    return f"http://localhost:8000/oauth/emulated/{document_id}.json"


@pytest.fixture
def published(db: Database, vault: Vault) -> Database:
    """Two documents whose clients Alice has let in, the second one for a second longer, and a client from elsewhere."""
    alice = add_account(db, vault, "alice", "a fine long password", now=NOW)
    profile = list_profiles(db, alice.id)[0]
    for number, document_id in enumerate(("first", "second")):
        insert_document(db, document_id, {"client_id": url_of(document_id)}, expires_at=NOW + 600 + number)
    for client_id in (url_of("first"), url_of("second"), "https://chat.example/oauth/emulated/first.json"):
        put_client(db, Client(client_id, "cimd", "ChatGPT", "none", None, ("https://chat.example/cb",), {}, NOW))
        with db.write() as run:
            grant_id = put_grant(run, profile.id, client_id, list_feature_sets(db, profile.id)[0].id, NOW)
            insert_session(run, grant_id, "http://localhost:8000/mcp", "mcp", lifetime=3600, now=NOW)
    return db


def clients(db: Database) -> list[str]:
    """The ids of all clients, of which each has its session."""
    found = [row["id"] for row in db.query("SELECT id FROM clients ORDER BY id")]
    assert [row["n"] for row in db.query("SELECT count(*) AS n FROM sessions")] == [len(found)]
    return found


def test_it_finds_what_was_published_until_it_expires(published: Database):
    found = find_document(published, "first", now=NOW + 599)
    assert (found.id, found.document_json, found.expires_at) == ("first", f'{{"client_id": "{url_of("first")}"}}', NOW + 600)
    assert find_document(published, "first", now=NOW + 600) is None
    assert find_document(published, "second", now=NOW + 600) is not None
    assert find_document(published, "third", now=NOW) is None


def test_one_that_is_taken_back_takes_its_client_and_its_sessions_along(published: Database):
    delete_document(published, "first")
    assert find_document(published, "first", now=NOW) is None
    assert clients(published) == [url_of("second"), "https://chat.example/oauth/emulated/first.json"]
    delete_document(published, "first")
    assert find_document(published, "second", now=NOW) is not None


def test_those_that_have_expired_are_purged_with_their_clients(published: Database):
    purge_documents(published, now=NOW + 599)
    assert len(clients(published)) == 3
    purge_documents(published, now=NOW + 600)
    assert clients(published) == [url_of("second"), "https://chat.example/oauth/emulated/first.json"]
    assert [row["id"] for row in published.query("SELECT id FROM emulated_documents")] == ["second"]


def test_one_whose_client_never_came_can_go(db: Database):
    insert_document(db, "lonely", {"client_id": url_of("lonely")}, expires_at=NOW)
    purge_documents(db, now=NOW)
    assert db.query("SELECT id FROM emulated_documents") == []
    assert find_client(db, url_of("lonely")) is None


def test_a_client_cannot_come_after_its_document_has_gone(published: Database):
    client = Client(url_of("first"), "cimd", "Renamed", "none", None, ("https://chat.example/cb",), {}, NOW, NOW + 600)
    assert put_described_client(published, "first", client, now=NOW + 599)
    assert find_client(published, client.id).name == "Renamed"
    assert not put_described_client(published, "first", client, now=NOW + 600)
    delete_document(published, "first")
    assert not put_described_client(published, "first", client, now=NOW)
    assert find_client(published, client.id) is None

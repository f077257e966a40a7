"""store/upstreams.py: where a connection came from, whether it is on, and what was last found."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from conftest import NOW

from accounts import add_account
from crypto import Vault
from db import Database
from errors import NotFound
from joining import join
from store.connections import Draft, delete_connection, get_connection, update_connection
from store.profiles import list_members, list_profiles
from store.revisions import find_revision
from store.upstreams import (
    Upstream,
    find_era,
    find_upstream,
    insert_upstream,
    list_current,
    list_upstreams,
    note_failure,
    note_greeting,
    set_enabled,
)
from store.users import User

DEFINITION = {"name": "Wiki", "inputs": [{"id": "TOKEN"}]}


@pytest.fixture
def alice(db: Database, vault: Vault) -> User:
    return add_account(db, vault, "alice", "a fine long password", now=NOW)


@pytest.fixture
def wiki(db: Database, vault: Vault, alice: User) -> str:
    """Alice's connection to another server, from the catalogue."""
    return add(db, vault, alice, "Wiki", source="catalogue", definition=DEFINITION)


def add(db: Database, vault: Vault, user: User, name: str, **origin) -> str:
    """A connection of this user's in their first profile."""
    draft = Draft("remote_http", name, {"url": "https://wiki.example/mcp"})
    with db.write() as run:
        return join(run, vault, list_profiles(db, user.id)[0], draft, NOW, **origin)


def test_a_new_one_is_on_and_knows_where_it_came_from(db: Database, vault: Vault, alice: User, wiki: str):
    assert find_upstream(db, wiki) == Upstream(wiki, "catalogue", DEFINITION, True, None, None, None, None)
    typed = add(db, vault, alice, "Typed")
    assert list_upstreams(db, alice.id) == {
        wiki: find_upstream(db, wiki),
        typed: Upstream(typed, "typed", None, True, None, None, None, None),
    }
    assert find_upstream(db, "unknown") is None


def test_a_built_in_connector_has_none(db: Database, alice: User):
    (member,) = list_members(db, list_profiles(db, alice.id)[0].id)
    assert (member.connector, find_upstream(db, member.connection_id)) == ("personal_context", None)
    assert member.is_enabled


def test_it_joins_its_profile_and_goes_with_its_connection(db: Database, alice: User, wiki: str):
    members = list_members(db, list_profiles(db, alice.id)[0].id)
    assert [(item.name, item.prefix) for item in members] == [("Personal Context", ""), ("Wiki", "wiki")]
    delete_connection(db, alice.id, wiki)
    assert (find_upstream(db, wiki), list_upstreams(db, alice.id)) == (None, {})


def test_switching_it_off_shows_in_the_profile_and_moves_the_revision(db: Database, alice: User, wiki: str):
    before = find_revision(db)
    set_enabled(db, alice.id, wiki, False)
    assert not find_upstream(db, wiki).is_enabled
    assert [item.is_enabled for item in list_members(db, list_profiles(db, alice.id)[0].id)] == [True, False]
    set_enabled(db, alice.id, wiki, True)
    assert [item.is_enabled for item in list_members(db, list_profiles(db, alice.id)[0].id)] == [True, True]
    assert find_revision(db) == before + 2


def test_nobody_else_can_switch_it(db: Database, vault: Vault, alice: User, wiki: str):
    bob = add_account(db, vault, "bob", "another fine password", now=NOW)
    for user_id, connection_id in ((bob.id, wiki), (alice.id, "unknown")):
        with pytest.raises(NotFound):
            set_enabled(db, user_id, connection_id, False)
    assert find_upstream(db, wiki).is_enabled
    assert list_upstreams(db, bob.id) == {}


def test_what_was_found_stays_through_a_failure_and_success_ends_the_failure(db: Database, wiki: str):
    new, greeting = find_upstream(db, wiki), {"server": {"name": "wiki"}}
    note_greeting(db, wiki, greeting, now=NOW)
    found = replace(new, greeting=greeting, discovered_at=NOW)
    assert find_upstream(db, wiki) == found
    note_failure(db, wiki, "wiki.example could not be reached.", now=NOW + 5)
    assert find_upstream(db, wiki) == replace(found, failed_at=NOW + 5, failure="wiki.example could not be reached.")
    note_greeting(db, wiki, greeting, now=NOW + 9)
    assert find_upstream(db, wiki) == replace(found, discovered_at=NOW + 9)


def test_a_connection_has_one_server(db: Database, wiki: str):
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), db.write() as run:
        insert_upstream(run, wiki, "typed")
    assert find_upstream(db, wiki).source == "catalogue"


def test_its_era_is_known_until_its_connection_is_changed(db: Database, vault: Vault, alice: User, wiki: str):
    assert find_era(db, wiki) is None
    for is_modern in (True, False):
        note_greeting(db, wiki, {"is_modern": is_modern}, now=NOW)
        assert find_era(db, wiki) is is_modern
    note_failure(db, wiki, "wiki.example could not be reached.", now=NOW + 5)
    assert find_era(db, wiki) is False
    with db.write() as run:
        update_connection(run, vault, alice.id, wiki, Draft("remote_http", "Wiki", {}), NOW + 9)
    assert find_era(db, wiki) is None
    assert find_era(db, "unknown") is None


def test_each_change_is_later_than_the_one_before_it(db: Database, vault: Vault, alice: User, wiki: str):
    moments = [list_current(db)[wiki]]
    for now in (NOW, NOW, NOW - 60, NOW + 60):  # a clock may be set back
        draft = Draft("remote_http", "Wiki", {}, {"api_key": "another"})
        with db.write() as run:
            update_connection(run, vault, alice.id, wiki, draft, now)
        moments.append(list_current(db)[wiki])
    assert moments == [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 60]
    assert get_connection(db, alice.id, wiki).updated_at == NOW + 60


def test_current_is_what_is_switched_on(db: Database, vault: Vault, alice: User, wiki: str):
    other = add(db, vault, alice, "Other")
    assert list_current(db).keys() == {wiki, other}
    set_enabled(db, alice.id, wiki, False)
    assert list_current(db).keys() == {other}
    delete_connection(db, alice.id, other)
    assert list_current(db) == {}

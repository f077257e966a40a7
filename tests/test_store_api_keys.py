"""store/api_keys.py: a key stands hashed, has one grant, ends by expiry, idleness or its person's wish."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from conftest import NOW, ROOT

from accounts import add_account
from crypto import Vault, hash_token
from db import Database, migrate, open_database
from errors import InvalidInput, NotFound
from store.api_keys import (
    IDLE_SECONDS,
    KEEP_SECONDS,
    KEYS_MAX,
    find_key,
    insert_key,
    list_keys,
    note_key_used,
    purge_keys,
    revoke_key,
)
from store.grants import insert_key_grant, list_granted_kinds
from store.profiles import insert_profile, list_feature_sets, list_profiles
from store.revisions import find_revision
from store.users import User

DAY = 86400


@pytest.fixture
def alice(db: Database, vault: Vault) -> User:
    return add_account(db, vault, "alice", "a fine long password", now=NOW)


@pytest.fixture
def bob(db: Database, vault: Vault, alice: User) -> User:
    return add_account(db, vault, "bob", "a fine long password", now=NOW)


def make(
    db: Database, user: User, name: str = "script", lifetime: int | None = None, now: int = NOW, whose: User | None = None
) -> tuple[str, str]:
    """A key of the user's in home, on the feature set `all` of somebody's home: its id, and the key."""
    profile, other = list_profiles(db, user.id)[0], list_profiles(db, (whose or user).id)[0]
    with db.write() as run:
        key_id, key = insert_key(run, user.id, name, lifetime=lifetime, now=now)
        insert_key_grant(run, profile.id, key_id, list_feature_sets(db, other.id)[0].id, now)
    return key_id, key


def test_a_key_is_found_with_its_grant(db: Database, alice: User):
    key_id, key = make(db, alice)
    holder = find_key(db, key)
    assert key.startswith("mcp_sk_")
    assert len(key) == len("mcp_sk_") + 43
    assert (holder.id, holder.user_id, holder.slug) == (key_id, alice.id, "home")
    assert list_granted_kinds(db, holder.grant_id) == {"all"}
    assert [item.prefix for item in list_keys(db, alice.id)] == [key[:12]]


def test_only_the_hash_of_a_key_is_in_the_database(db: Database, alice: User):
    _, key = make(db, alice)
    db.query("PRAGMA wal_checkpoint(TRUNCATE)")
    files = b"".join(path.read_bytes() for path in db.path.parent.iterdir())
    assert hash_token(key).encode() in files
    assert key.encode() not in files
    assert key[13:].encode() not in files


@pytest.mark.parametrize("key", ["", "mcp_sk_", "mcp_sk_" + "x" * 43])
def test_it_finds_no_unknown_key(db: Database, alice: User, key: str):
    make(db, alice)
    assert find_key(db, key) is None


def test_a_key_is_found_by_one_index(db: Database):
    """Its JOINs by an index each as well: no table is read from end to end."""
    statements: list[str] = []
    db._connection().set_trace_callback(statements.append)
    find_key(db, "mcp_sk_x")
    db._connection().set_trace_callback(None)
    (statement,) = statements
    plan = [row["detail"] for row in db.query("EXPLAIN QUERY PLAN " + statement)]
    assert plan
    assert [step for step in plan if not step.startswith("SEARCH")] == []


@pytest.mark.parametrize(
    ("lifetime", "used_at", "ends_at"),
    [
        (None, None, NOW + IDLE_SECONDS),
        (None, NOW + DAY, NOW + DAY + IDLE_SECONDS),
        (DAY, None, NOW + DAY),
        (365 * DAY, None, NOW + IDLE_SECONDS),
        (IDLE_SECONDS, NOW + DAY, NOW + IDLE_SECONDS),
    ],
)
def test_a_key_ends_when_it_expires_or_lies_idle(db: Database, alice: User, lifetime, used_at, ends_at):
    key_id, key = make(db, alice, lifetime=lifetime)
    if used_at:
        note_key_used(db, key_id, now=used_at)
    assert find_key(db, key).ends_at == ends_at
    assert list_keys(db, alice.id)[0].ends_at == ends_at


def test_a_revoked_key_is_gone_and_everybody_looks_again(db: Database, alice: User):
    key_id, key = make(db, alice)
    revision = find_revision(db)
    revoke_key(db, alice.id, key_id, now=NOW)
    assert find_key(db, key) is None
    assert list_keys(db, alice.id) == []
    assert find_revision(db) > revision
    with pytest.raises(NotFound):
        revoke_key(db, alice.id, key_id, now=NOW)


def test_nobody_sees_or_revokes_anothers_key(db: Database, alice: User, bob: User):
    key_id, key = make(db, alice)
    assert list_keys(db, bob.id) == []
    with pytest.raises(NotFound):
        revoke_key(db, bob.id, key_id, now=NOW)
    assert find_key(db, key).id == key_id


def test_a_user_has_twenty_good_keys_at_most(db: Database, alice: User, bob: User):
    made = [make(db, alice, str(number), lifetime=DAY)[0] for number in range(KEYS_MAX)]
    assert KEYS_MAX == 20
    with pytest.raises(InvalidInput, match="20 keys already"):
        make(db, alice)
    make(db, bob)
    revoke_key(db, alice.id, made[0], now=NOW)
    make(db, alice)
    with pytest.raises(InvalidInput, match="20 keys already"):
        make(db, alice)
    make(db, alice, now=NOW + DAY)  # the others have expired


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "two\nlines", "turned\u202eround"])
def test_it_refuses_an_odd_name(db: Database, alice: User, name: str):
    with pytest.raises(InvalidInput) as refused:
        make(db, alice, name)
    assert list(refused.value.fields) == ["key_name"]
    assert list_keys(db, alice.id) == []


def test_a_key_without_a_grant_of_its_persons_profile_is_not_made(db: Database, alice: User, bob: User):
    with pytest.raises(NotFound):
        make(db, alice, whose=bob)
    assert db.query("SELECT id FROM api_keys") == []


def test_keys_that_have_long_been_good_for_nothing_are_forgotten(db: Database, alice: User):
    _, short = make(db, alice, lifetime=DAY)
    revoked_id, _ = make(db, alice)
    revoke_key(db, alice.id, revoked_id, now=NOW + DAY)
    _, idle = make(db, alice)
    purge_keys(db, now=NOW + DAY + KEEP_SECONDS - 1)
    assert len(db.query("SELECT id FROM api_keys")) == 3
    purge_keys(db, now=NOW + DAY + KEEP_SECONDS)
    assert (find_key(db, short), len(db.query("SELECT id FROM api_keys"))) == (None, 1)
    purge_keys(db, now=NOW + IDLE_SECONDS + KEEP_SECONDS)
    assert find_key(db, idle) is None
    assert db.query("SELECT id FROM grants") == []


def test_a_key_whose_profile_is_gone_does_not_count_and_is_forgotten(db: Database, alice: User):
    """Its grant went with the profile, so nobody sees it any more, and nobody could take it back."""
    for _ in range(KEYS_MAX):
        key_id, key = make(db, alice)
    with db.write() as run:
        run("DELETE FROM profiles WHERE user_id = :id", id=alice.id)
        insert_profile(run, alice.id, "work", "work", is_default=True, now=NOW)
    assert (find_key(db, key), list_keys(db, alice.id)) == (None, [])
    with pytest.raises(NotFound):
        revoke_key(db, alice.id, key_id, now=NOW)
    _, new = make(db, alice)
    purge_keys(db, now=NOW)
    assert len(db.query("SELECT id FROM api_keys")) == 1
    assert find_key(db, new) is not None


HOLDERS = {"both": ("client", "key"), "none": (None, None)}


@pytest.mark.parametrize("holders", HOLDERS)
def test_a_grant_has_one_holder(db: Database, alice: User, holders: str):
    client_id, api_key_id = HOLDERS[holders]
    profile = list_profiles(db, alice.id)[0]
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as run:
        run(
            """
            INSERT INTO grants
                (id, profile_id, client_id, api_key_id, created_at, updated_at)
            VALUES
                ('grant', :profile_id, :client_id, :api_key_id, 1, 1)
            """,
            profile_id=profile.id,
            client_id=client_id,
            api_key_id=api_key_id,
        )


def test_a_key_has_one_grant(db: Database, alice: User):
    key_id, _ = make(db, alice)
    profile = list_profiles(db, alice.id)[0]
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), db.write() as run:
        insert_key_grant(run, profile.id, key_id, list_feature_sets(db, profile.id)[0].id, NOW)


def test_what_stood_in_an_older_database_is_still_there(tmp_path: Path):
    """A grant, with the session and the feature set that point at it, moves into the table that was made anew."""
    old = open_database(f"sqlite:///{tmp_path}/postern.db")
    (tmp_path / "none").mkdir()
    migrate(old, ROOT / "tests" / "schema" / "0.1.0-alpha.sql", tmp_path / "none", now=NOW)
    with old.write() as run:
        run("INSERT INTO users (id, name, password_hash, is_owner, created_at) VALUES ('u', 'alice', 'x', 1, 1)")
        run("INSERT INTO profiles (id, user_id, slug, name, is_default, created_at) VALUES ('p', 'u', 'home', 'home', 1, 1)")
        run("INSERT INTO feature_sets (id, profile_id, kind, name) VALUES ('f', 'p', 'all', 'Everything')")
        run("INSERT INTO clients (id, kind, auth_method, metadata_json, created_at) VALUES ('c', 'dcr', 'none', '{}', 1)")
        run("INSERT INTO grants (id, profile_id, client_id, created_at, updated_at) VALUES ('g', 'p', 'c', 1, 2)")
        run("INSERT INTO grant_feature_sets (grant_id, feature_set_id) VALUES ('g', 'f')")
        run(
            """
            INSERT INTO sessions
                (id, grant_id, resource, scope, created_at, expires_at)
            VALUES
                ('s', 'g', 'http://localhost:8000/mcp', 'mcp', 1, 2)
            """
        )
    migrate(old, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    columns = "id, profile_id, client_id, api_key_id, created_at, updated_at"
    assert [tuple(row) for row in old.query(f"SELECT {columns} FROM grants")] == [("g", "p", "c", None, 1, 2)]
    assert list_granted_kinds(old, "g") == {"all"}
    assert [tuple(row) for row in old.query("SELECT id, grant_id FROM sessions")] == [("s", "g")]
    with old.write() as run:
        run("DELETE FROM clients")  # what pointed at the old table points at the new one
    assert (old.query("SELECT id FROM grants"), old.query("SELECT id FROM sessions")) == ([], [])
    old.close()

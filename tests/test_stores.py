"""store/connections.py, profiles.py, clients.py and cache.py: each user has their own, and secrets stand sealed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NOW

from accounts import add_account
from crypto import Unreadable, Vault
from db import Database
from errors import InvalidInput, NotFound
from store.authorizations import AuthorizationRequest, create_request, decide_request
from store.cache import ScopedCache, purge_cache
from store.clients import (
    NEVER_APPROVED_SECONDS,
    Client,
    delete_client,
    find_client,
    list_clients,
    mark_approved,
    prune_never_approved,
    purge_clients,
    put_client,
    replace_client,
)
from store.connections import (
    Draft,
    delete_connection,
    get_connection,
    insert_connection,
    list_connections,
    list_connections_of,
    list_secrets,
    update_connection,
)
from store.grants import (
    insert_key_grant,
    list_client_names,
    list_granted_kinds,
    list_granted_profiles,
    put_grant,
)
from store.profiles import (
    find_profile_by_slug,
    insert_member,
    list_feature_sets,
    list_members,
    list_profiles,
)
from store.users import User

KETTLE = Draft("kettle", "Kettle", {"colour": "red"}, {"key": "s3cret-canary"})


@pytest.fixture
def alice(db: Database, vault: Vault) -> User:
    return add_account(db, vault, "alice", "a fine long password", now=NOW)


@pytest.fixture
def bob(db: Database, vault: Vault, alice: User) -> User:
    return add_account(db, vault, "bob", "a fine long password", now=NOW)


def add(db: Database, vault: Vault, user: User, draft: Draft = KETTLE) -> str:
    with db.write() as run:
        return insert_connection(run, vault, user.id, draft, NOW)


def add_client(db: Database, client_id: str, created_at: int = NOW, **changes: object) -> Client:
    facts = {"kind": "dcr", "name": "A", "auth_method": "none", "secret_hash": None, "redirect_uris": ("https://a.example/cb",)}
    client = Client(id=client_id, created_at=created_at, metadata={"client_name": "A"}, **(facts | changes))
    put_client(db, client)
    return client


# --- connections ---


def test_a_connection_is_kept_with_its_secrets_sealed(db: Database, vault: Vault, alice: User):
    connection_id = add(db, vault, alice)
    connection = get_connection(db, alice.id, connection_id)
    assert (connection.name, connection.settings, connection.secret_names) == ("Kettle", {"colour": "red"}, frozenset({"key"}))
    assert list_secrets(db, vault, connection_id) == {"key": "s3cret-canary"}
    files = b"".join(path.read_bytes() for path in Path(db.path).parent.iterdir())
    assert b"Kettle" in files  # the control: what is not secret can be found
    assert b"s3cret-canary" not in files


def test_a_secret_opens_in_no_other_row(db: Database, vault: Vault, alice: User):
    first, second = add(db, vault, alice), add(db, vault, alice, Draft("kettle", "Other", {}, {"key": "x"}))
    with db.write() as run:
        run("UPDATE credentials SET value_sealed = (SELECT value_sealed FROM credentials WHERE connection_id = :a)", a=first)
    with pytest.raises(Unreadable):
        list_secrets(db, vault, second)


def test_a_change_replaces_forgets_and_leaves_secrets(db: Database, vault: Vault, alice: User):
    connection_id = add(db, vault, alice, Draft("kettle", "Kettle", {}, {"a": "1", "b": "2", "c": "3"}))
    changed = Draft("kettle", "Pot", {"colour": "blue"}, {"a": "9"}, frozenset({"b"}))
    with db.write() as run:
        update_connection(run, vault, alice.id, connection_id, changed, NOW + 5)
    connection = get_connection(db, alice.id, connection_id)
    assert (connection.name, connection.settings, connection.updated_at) == ("Pot", {"colour": "blue"}, NOW + 5)
    assert list_secrets(db, vault, connection_id) == {"a": "9", "c": "3"}


def test_nobody_reaches_another_users_connection(db: Database, vault: Vault, alice: User, bob: User):
    connection_id = add(db, vault, alice)
    with pytest.raises(NotFound):
        get_connection(db, bob.id, connection_id)
    with pytest.raises(NotFound), db.write() as run:
        update_connection(run, vault, bob.id, connection_id, Draft("kettle", "Stolen", {}), NOW)
    with pytest.raises(NotFound):
        delete_connection(db, bob.id, connection_id)
    assert get_connection(db, alice.id, connection_id).name == "Kettle"
    assert {item.user_id for item in list_connections(db, bob.id)} == {bob.id}


def test_a_name_is_taken_within_one_user_only(db: Database, vault: Vault, alice: User, bob: User):
    first, other = add(db, vault, alice), add(db, vault, alice, Draft("kettle", "Other", {}))
    add(db, vault, bob)
    with pytest.raises(InvalidInput):
        add(db, vault, alice)
    with pytest.raises(InvalidInput), db.write() as run:
        update_connection(run, vault, alice.id, other, KETTLE, NOW)
    with db.write() as run:
        update_connection(run, vault, alice.id, first, KETTLE, NOW)
    assert len(list_connections_of(db, "kettle")) == 3


def test_deleting_a_connection_deletes_its_secrets_and_its_places(db: Database, vault: Vault, alice: User):
    connection_id, home = add(db, vault, alice), list_profiles(db, alice.id)[0]
    with db.write() as run:
        insert_member(run, home.id, connection_id, "Kettle")
    delete_connection(db, alice.id, connection_id)
    assert not db.query("SELECT name FROM credentials")
    assert connection_id not in {member.connection_id for member in list_members(db, home.id)}


# --- profiles and grants ---


def test_another_users_address_is_unknown(db: Database, alice: User, bob: User):
    assert find_profile_by_slug(db, alice.id, "home").user_id == alice.id
    assert find_profile_by_slug(db, bob.id, "home") is None


def test_consenting_again_replaces_the_grants_feature_sets(db: Database, alice: User):
    home = list_profiles(db, alice.id)[0]
    sets = {item.kind: item.id for item in list_feature_sets(db, home.id)}
    client = add_client(db, "client_a")
    with db.write() as run:
        first = put_grant(run, home.id, client.id, sets["all"], NOW)
    with db.write() as run:
        second = put_grant(run, home.id, client.id, sets["read_only"], NOW)
    assert first == second
    assert list_granted_kinds(db, first) == {"read_only"}
    assert list_granted_profiles(db, alice.id, client.id) == {home.id}
    assert list_client_names(db, home.id) == ["A"]


def test_a_grant_takes_no_feature_set_of_another_profile(db: Database, alice: User, bob: User):
    hers, his = list_profiles(db, alice.id)[0], list_profiles(db, bob.id)[0]
    client, foreign = add_client(db, "client_a"), list_feature_sets(db, his.id)[0].id

    def give() -> None:
        with db.write() as run:
            put_grant(run, hers.id, client.id, foreign, NOW)

    with pytest.raises(NotFound):
        give()
    assert list_granted_profiles(db, alice.id, client.id) == frozenset()


def test_nothing_is_given_of_a_profile_that_has_just_gone(db: Database, alice: User):
    client = add_client(db, "client_a")
    (home,) = list_profiles(db, alice.id)
    chosen = list_feature_sets(db, home.id)[0].id
    with db.write() as run:
        run("DELETE FROM profiles")
    for give in (put_grant, insert_key_grant):
        with pytest.raises(NotFound), db.write() as run:
            give(run, home.id, client.id, chosen, NOW)


# --- clients ---


def test_a_client_comes_back_as_it_was_kept(db: Database):
    client = add_client(db, "client_a", redirect_uris=("https://b.example/cb", "https://a.example/cb"), secret_hash="h")
    assert find_client(db, "client_a") == client
    assert find_client(db, "client_b") is None


def test_the_oldest_never_approved_clients_make_room(db: Database):
    for number in range(5):
        add_client(db, f"client_{number}", created_at=NOW + number)
    with db.write() as run:
        mark_approved(run, "client_0", NOW)
        prune_never_approved(run, NOW, keep=2)
    assert [row["id"] for row in db.query("SELECT id FROM clients ORDER BY id")] == ["client_0", "client_3", "client_4"]


def test_clients_that_nobody_approved_for_a_week_are_dropped(db: Database):
    add_client(db, "client_old")
    add_client(db, "client_made", kind="preregistered")
    add_client(db, "client_young", created_at=NOW + 1)
    purge_clients(db, now=NOW + NEVER_APPROVED_SECONDS - 1)
    assert len(list_clients(db)) == 3
    purge_clients(db, now=NOW + NEVER_APPROVED_SECONDS)
    assert [client.id for client in list_clients(db)] == ["client_young", "client_made"]


def test_a_client_that_waits_for_its_person_or_has_a_grant_is_not_dropped(db: Database, vault: Vault, alice: User):
    later = NOW + NEVER_APPROVED_SECONDS
    for number in range(4):
        add_client(db, f"client_{number}")
        wanted = AuthorizationRequest(
            f"r{number}", "b", f"client_{number}", "https://a.example/", None, "mcp", "m", "c", later + number
        )
        create_request(db, wanted, now=NOW)
    decide_request(db, "r3", now=NOW)
    (home,) = list_profiles(db, alice.id)
    with db.write() as run:
        put_grant(run, home.id, "client_0", list_feature_sets(db, home.id)[0].id, NOW)
        prune_never_approved(run, NOW, keep=0)
    assert {client.id for client in list_clients(db)} == {"client_0", "client_1", "client_2"}
    purge_clients(db, now=later + 1)
    assert {client.id for client in list_clients(db)} == {"client_0", "client_2"}


def test_a_client_that_is_just_kept_is_not_dropped_in_the_same_go(db: Database):
    old = add_client(db, "https://chat.example/c", kind="cimd")
    put_client(db, replace(old, created_at=NOW + NEVER_APPROVED_SECONDS + 1))  # a newer copy of its description
    assert find_client(db, old.id) == old  # it is known since its first one


def test_a_request_of_a_client_that_has_gone_is_not_kept(db: Database):
    wanted = AuthorizationRequest("r", "b", "client_a", "https://a.example/", None, "mcp", "m", "c", NOW + 60)
    assert not create_request(db, wanted, now=NOW)
    add_client(db, "client_a")
    assert create_request(db, wanted, now=NOW)
    assert [row["client_id"] for row in db.query("SELECT client_id FROM authorization_requests")] == ["client_a"]


def test_a_client_changes_and_goes(db: Database):
    client = add_client(db, "client_a", redirect_uris=("https://a.example/cb", "https://b.example/cb"))
    other = replace(client, name="B", redirect_uris=("https://b.example/cb",), secret_hash="h", auth_method="client_secret_post")
    replace_client(db, client, other)
    assert find_client(db, "client_a") == other
    with pytest.raises(NotFound):
        replace_client(db, client, replace(client, name="C"))  # it has another secret meanwhile
    with db.write() as run:
        mark_approved(run, "client_a", NOW)
    with pytest.raises(NotFound):
        replace_client(db, other, replace(other, name="C"))  # a person has let it in meanwhile
    assert find_client(db, "client_a") == replace(other, approved_at=NOW)
    delete_client(db, "client_a")
    assert find_client(db, "client_a") is None
    for gone in (lambda: delete_client(db, "client_a"), lambda: replace_client(db, other, other)):
        with pytest.raises(NotFound):
            gone()
    assert list_clients(db) == []


# --- cache ---


def test_a_copy_is_fresh_then_stale_then_gone(db: Database, vault: Vault):
    moment = NOW
    cache = ScopedCache(db, vault, "shared", clock=lambda: moment)
    cache.put("key", {"a": [1]}, fresh_seconds=10, keep_seconds=20)
    assert (cache.get("key").value, cache.get("key").fresh, cache.get("key").fetched_at) == ({"a": [1]}, True, NOW)
    moment = NOW + 10
    assert cache.get("key").fresh is False
    moment = NOW + 20
    assert cache.get("key") is None
    purge_cache(db, now=moment)
    assert not db.query("SELECT key FROM cache")


def test_caches_of_two_connections_are_apart_and_sealed(db: Database, vault: Vault):
    ScopedCache(db, vault, "c1").put("key", "s3cret-canary", fresh_seconds=10, keep_seconds=20)
    assert ScopedCache(db, vault, "c2").get("key") is None
    with db.write() as run:
        run("UPDATE cache SET scope = 'c2'")
    assert ScopedCache(db, vault, "c2").get("key") is None  # it opens only where it was sealed
    assert b"s3cret-canary" not in b"".join(path.read_bytes() for path in Path(db.path).parent.iterdir())

"""accounts.py and store/users.py: who there is, and what a new user has."""

from __future__ import annotations

import re
import threading

import pytest
from conftest import NOW

from accounts import add_account, set_up_owner
from crypto import Vault, hash_token
from db import Database
from errors import InvalidInput, NotFound
from store.connections import list_connections
from store.profiles import list_feature_sets, list_members, list_profiles
from store.users import (
    LOGIN_SECONDS,
    check_password,
    count_users,
    create_login,
    end_login,
    find_login,
    note_login_seen,
    purge_logins,
    replace_setup_code,
)

PASSWORD = "a fine long password"


def test_a_new_user_has_a_home_with_a_personal_context_in_it(db: Database, vault: Vault):
    alice = add_account(db, vault, "Alice", PASSWORD, now=NOW)
    (home,) = list_profiles(db, alice.id)
    assert (alice.name, alice.is_owner) == ("alice", True)
    assert (home.name, home.slug, home.is_default) == ("home", "home", True)
    assert [(member.connector, member.prefix) for member in list_members(db, home.id)] == [("personal_context", "")]
    assert [item.kind for item in list_feature_sets(db, home.id)] == ["all", "read_only", "core"]


def test_the_second_user_is_no_owner_and_has_an_address_of_its_own(db: Database, vault: Vault):
    alice, bob = (add_account(db, vault, name, PASSWORD, now=NOW) for name in ("alice", "bob"))
    assert (alice.is_owner, bob.is_owner) == (True, False)
    assert list_profiles(db, bob.id)[0].slug == "home-bob"
    assert {item.user_id for item in list_connections(db, bob.id)} == {bob.id}


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", PASSWORD, "username"),
        ("al ice", PASSWORD, "username"),
        ("a" * 41, PASSWORD, "username"),
        ("<b>", PASSWORD, "username"),
        ("alice", "short", "password"),
        ("alice", "x" * 1025, "password"),
        ("alice", "aaaaaaaaaaaa", "password"),
        ("alice.alice", "alice.alice", "password"),
    ],
)
def test_it_refuses_a_bad_name_or_password(db: Database, vault: Vault, name: str, password: str, field: str):
    with pytest.raises(InvalidInput) as refusal:
        add_account(db, vault, name, password, now=NOW)
    assert set(refusal.value.fields) == {field}
    assert count_users(db) == 0


def test_it_refuses_a_name_that_is_taken(db: Database, vault: Vault):
    add_account(db, vault, "alice", PASSWORD, now=NOW)
    with pytest.raises(InvalidInput, match="taken"):
        add_account(db, vault, "ALICE", PASSWORD, now=NOW)
    assert count_users(db) == 1


def test_a_set_up_code_works_once(db: Database, vault: Vault):
    code = replace_setup_code(db, now=NOW)
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{5}(-[2-9A-HJ-NP-Z]{5}){3}", code)
    typed = f" {code.lower().replace('-', ' ')}\n"
    assert set_up_owner(db, vault, typed, "alice", PASSWORD, now=NOW).is_owner
    with pytest.raises(NotFound):
        set_up_owner(db, vault, code, "bob", PASSWORD, now=NOW)
    assert count_users(db) == 1


def test_an_old_or_wrong_code_is_refused_and_form_mistakes_do_not_spend_one(db: Database, vault: Vault):
    old, code = replace_setup_code(db, now=NOW), replace_setup_code(db, now=NOW)
    for wrong in (old, "", "guess"):
        with pytest.raises(NotFound):
            set_up_owner(db, vault, wrong, "alice", PASSWORD, now=NOW)
    with pytest.raises(InvalidInput):
        set_up_owner(db, vault, code, "alice", "short", now=NOW)
    assert set_up_owner(db, vault, code, "alice", PASSWORD, now=NOW).is_owner


def test_of_two_who_race_with_one_code_one_becomes_the_owner(db: Database, vault: Vault):
    code = replace_setup_code(db, now=NOW)
    outcomes: list[str] = []

    def race(name: str) -> None:
        try:
            outcomes.append(set_up_owner(db, vault, code, name, PASSWORD, now=NOW).name)
        except NotFound:
            outcomes.append("refused")

    threads = [threading.Thread(target=race, args=(name,)) for name in ("alice", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[-1] == "refused"
    assert count_users(db) == 1


def test_passwords_are_checked_and_an_empty_name_means_the_only_user(db: Database, vault: Vault):
    alice = add_account(db, vault, "alice", PASSWORD, now=NOW)
    assert check_password(db, "Alice ", PASSWORD) == alice
    assert check_password(db, "", PASSWORD) == alice
    assert check_password(db, "alice", PASSWORD + "x") is None
    assert check_password(db, "nobody", PASSWORD) is None
    add_account(db, vault, "bob", PASSWORD, now=NOW)
    assert check_password(db, "", PASSWORD) is None


def test_a_login_lives_until_it_is_ended_or_lies_idle(db: Database, vault: Vault):
    alice = add_account(db, vault, "alice", PASSWORD, now=NOW)
    cookie = create_login(db, alice.id, now=NOW)
    assert find_login(db, cookie, now=NOW).user == alice
    assert find_login(db, cookie, now=NOW + LOGIN_SECONDS) is None
    assert find_login(db, "another", now=NOW) is None
    note_login_seen(db, find_login(db, cookie, now=NOW), now=NOW + 3600)
    assert find_login(db, cookie, now=NOW + LOGIN_SECONDS) is not None
    end_login(db, cookie)
    assert find_login(db, cookie, now=NOW) is None


def test_a_cookie_stands_in_the_database_as_a_hash_only(db: Database, vault: Vault):
    cookie = create_login(db, add_account(db, vault, "alice", PASSWORD, now=NOW).id, now=NOW)
    assert [row["cookie_hash"] for row in db.query("SELECT cookie_hash FROM logins")] == [hash_token(cookie)]


def test_a_login_that_names_no_browser_is_one_by_its_cookie(db: Database, vault: Vault):
    """An older program may still run when the database is brought up to date: it knows only the cookie."""
    alice = add_account(db, vault, "alice", PASSWORD, now=NOW)
    with db.write() as run:
        for cookie in ("one", "two"):
            values = {"cookie_hash": hash_token(cookie), "user_id": alice.id, "now": NOW, "expires_at": NOW + LOGIN_SECONDS}
            run(
                """
                INSERT INTO logins (cookie_hash, user_id, created_at, seen_at, expires_at)
                VALUES (:cookie_hash, :user_id, :now, :now, :expires_at)
                """,
                **values,
            )
    for cookie in ("one", "two"):
        assert find_login(db, cookie, now=NOW).browser_hash == hash_token(cookie)


def test_expired_logins_are_purged(db: Database, vault: Vault):
    alice = add_account(db, vault, "alice", PASSWORD, now=NOW)
    create_login(db, alice.id, now=NOW)
    young = create_login(db, alice.id, now=NOW + 10)
    purge_logins(db, now=NOW + LOGIN_SECONDS)
    assert [row["cookie_hash"] for row in db.query("SELECT cookie_hash FROM logins")] == [hash_token(young)]

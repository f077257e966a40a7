"""store/tails.py: what a command wrote, kept sealed, as long as its connection."""

from __future__ import annotations

import pytest
from conftest import NOW

from accounts import add_account
from crypto import Vault
from db import Database
from store.connections import delete_connection, list_connections
from store.tails import Words, find_tail, keep_tail
from store.users import User


@pytest.fixture
def alice(db: Database, vault: Vault) -> User:
    return add_account(db, vault, "alice", "a fine long password", now=NOW)


@pytest.fixture
def connection_id(db: Database, alice: User) -> str:
    return list_connections(db, alice.id)[0].id


def test_the_last_words_stand_in_place_of_those_before(db: Database, vault: Vault, connection_id: str):
    assert find_tail(db, vault, connection_id) is None
    for number in (1, 2):
        keep_tail(db, vault, connection_id, f"words {number}", now=NOW + number)
    assert find_tail(db, vault, connection_id) == Words("words 2", NOW + 2)


def test_they_are_sealed(db: Database, vault: Vault, connection_id: str):
    keep_tail(db, vault, connection_id, "a letter to Bob", now=NOW)
    (row,) = db.query("SELECT connection_id, text_sealed, kept_at FROM tails")
    assert "Bob" not in repr(tuple(row))
    with db.write() as run:
        run("UPDATE tails SET text_sealed = :damaged", damaged=row["text_sealed"][:-4] + "AAAA")
    assert find_tail(db, vault, connection_id) is None


def test_they_go_with_their_connection_and_none_are_kept_without_one(
    db: Database, vault: Vault, alice: User, connection_id: str
):
    keep_tail(db, vault, connection_id, "words", now=NOW)
    delete_connection(db, alice.id, connection_id)
    keep_tail(db, vault, connection_id, "late words", now=NOW)
    keep_tail(db, vault, "try-1", "words of one that is only tried", now=NOW)
    assert db.query("SELECT connection_id FROM tails") == []

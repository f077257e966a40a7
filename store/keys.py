"""The wrapped data key. Knows SQL and crypto.py; nobody else sees the key."""

from __future__ import annotations

import os

from crypto import KEY_BYTES, Unreadable, Vault, key_check, same, unwrap_data_key, wrap_data_key
from db import Database
from errors import ConfigError


def make_data_key(db: Database, master_key: bytes, *, now: int) -> None:
    """Make the data key of a new database. Does nothing if there is one, or if something is sealed already."""
    with db.write() as run:
        run(
            """
            INSERT INTO data_keys
                (id, wrapped, key_check, created_at)
            SELECT
                'main', :wrapped, :key_check, :now
            WHERE NOT EXISTS (SELECT id FROM data_keys) AND NOT EXISTS (SELECT name FROM credentials)
            """,
            wrapped=wrap_data_key(master_key, os.urandom(KEY_BYTES)),
            key_check=key_check(master_key),
            now=now,
        )


def open_vault(db: Database, master_key: bytes) -> Vault:
    """The vault of this database. Raises ConfigError with one line for a wrong key or a damaged row; changes nothing."""
    row = find_key_row(db)
    if row is None:
        raise ConfigError(f"{db.path} has no data key; restore it from a backup")
    if not same(row["key_check"], key_check(master_key)):
        raise ConfigError(
            "MASTER_KEY is not the one this database was made with; put the old one back, "
            "or set MASTER_KEY_PREVIOUS to it to change the key"
        )
    try:
        return Vault(unwrap_data_key(master_key, row["wrapped"]))
    except Unreadable:
        raise ConfigError(f"{db.path} is damaged: its data key cannot be opened; restore it from a backup") from None


def rewrap_data_key(db: Database, previous: bytes, master_key: bytes, *, now: int) -> bool:
    """Move the data key from MASTER_KEY_PREVIOUS to MASTER_KEY; False if the previous key does not fit this database."""
    row = find_key_row(db)
    if row is None or not same(row["key_check"], key_check(previous)):
        return False
    with db.write() as run:
        run(
            """
            UPDATE data_keys
            SET wrapped = :wrapped, key_check = :key_check, rewrapped_at = :now
            WHERE id = 'main'
            """,
            wrapped=wrap_data_key(master_key, unwrap_data_key(previous, row["wrapped"])),
            key_check=key_check(master_key),
            now=now,
        )
    return True


def find_key_row(db: Database):
    """The row with the wrapped key, or None."""
    rows = db.query("""
        SELECT wrapped, key_check
        FROM data_keys
        WHERE id = 'main'
    """)
    return rows[0] if rows else None

"""The last that the command behind a connection wrote to stderr. Knows SQL; seals the text, and starts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import Unreadable, Vault
from db import Database

TABLE = "tails"


@dataclass(frozen=True)
class Words:
    """What it wrote, and when that was kept."""

    text: str
    kept_at: int


def keep_tail(db: Database, vault: Vault, connection_id: str, text: str, *, now: int) -> None:
    """Keep a text in place of the one before; nothing if there is no such connection. Raises StorageError rather than wait."""
    with db.write(hasty=True) as run:
        run(
            """
            INSERT INTO tails
                (connection_id, text_sealed, kept_at)
            SELECT id, :text_sealed, :now
            FROM connections
            WHERE id = :connection_id
            ON CONFLICT (connection_id) DO UPDATE
            SET text_sealed = excluded.text_sealed, kept_at = excluded.kept_at
            """,
            connection_id=connection_id,
            text_sealed=vault.seal(text.encode(), TABLE, connection_id),
            now=now,
        )


def find_tail(db: Database, vault: Vault, connection_id: str) -> Words | None:
    """What was kept last; None if nothing was, or it cannot be read any more."""
    rows = db.query(
        """
        SELECT text_sealed, kept_at
        FROM tails
        WHERE connection_id = :connection_id
        """,
        connection_id=connection_id,
    )
    try:
        return Words(vault.unseal(rows[0]["text_sealed"], TABLE, connection_id).decode(), rows[0]["kept_at"]) if rows else None
    except Unreadable:
        return None

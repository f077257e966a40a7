"""Client assertions that were presented. Knows SQL, not how one is verified."""

from __future__ import annotations

from crypto import hash_token
from db import Database


def claim_assertion(db: Database, client_id: str, jti: str, *, expires_at: int) -> bool:
    """Remember an assertion; False if it was presented before. Of many at once one wins."""
    with db.write() as run:
        claimed = run(
            """
            INSERT INTO assertions
                (id_hash, expires_at)
            VALUES
                (:id_hash, :expires_at)
            ON CONFLICT (id_hash) DO NOTHING
            RETURNING id_hash
            """,
            id_hash=hash_token(f"{client_id}\n{jti}"),
            expires_at=expires_at,
        )
    return bool(claimed)


def purge_assertions(db: Database, *, now: int) -> None:
    """Drop those that would be refused by their age alone."""
    with db.write() as run:
        run("DELETE FROM assertions WHERE expires_at <= :now", now=now)

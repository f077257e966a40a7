"""Copies of what other services answered, sealed. Knows SQL, not the services."""

from __future__ import annotations

import json
import time
from typing import Any

from crypto import Unreadable, Vault
from db import Database
from tools import Cached


class ScopedCache:
    """The cache of one connection, or the shared one for public data: what connectors get (tools.Cache)."""

    def __init__(self, db: Database, vault: Vault, scope: str, clock=time.time):
        self._db, self._vault, self._scope, self._clock = db, vault, scope, clock

    def get(self, key: str) -> Cached | None:
        """The copy under `key`, fresh or stale; None if there is none or it cannot be opened any more."""
        now = int(self._clock())
        rows = self._db.query(
            """
            SELECT value_sealed, fetched_at, fresh_until
            FROM cache
            WHERE scope = :scope AND key = :key AND kept_until > :now
            """,
            scope=self._scope,
            key=key,
            now=now,
        )
        if not rows:
            return None
        try:
            value = json.loads(self._vault.unseal(rows[0]["value_sealed"], "cache", self._scope, key))
        except Unreadable:
            return None
        return Cached(value, rows[0]["fetched_at"], fresh=rows[0]["fresh_until"] > now)

    def put(self, key: str, value: Any, *, fresh_seconds: int, keep_seconds: int) -> None:
        """Keep a JSON value: fresh for `fresh_seconds`, kept for `keep_seconds` in all."""
        now = int(self._clock())
        with self._db.write() as run:
            run(
                """
                INSERT INTO cache
                    (scope, key, value_sealed, fetched_at, fresh_until, kept_until)
                VALUES
                    (:scope, :key, :value_sealed, :now, :fresh_until, :kept_until)
                ON CONFLICT (scope, key) DO UPDATE
                SET value_sealed = excluded.value_sealed, fetched_at = excluded.fetched_at,
                    fresh_until = excluded.fresh_until, kept_until = excluded.kept_until
                """,
                scope=self._scope,
                key=key,
                value_sealed=self._vault.seal(json.dumps(value).encode(), "cache", self._scope, key),
                now=now,
                fresh_until=now + fresh_seconds,
                kept_until=now + keep_seconds,
            )

    def drop(self, prefix: str) -> None:
        """Forget every copy of this scope whose key begins with `prefix`."""
        with self._db.write() as run:
            run(
                """
                DELETE FROM cache
                WHERE scope = :scope AND substr(key, 1, length(:prefix)) = :prefix
                """,
                scope=self._scope,
                prefix=prefix,
            )


def purge_cache(db: Database, *, now: int) -> None:
    """Drop what need not be kept any longer."""
    with db.write() as run:
        run("DELETE FROM cache WHERE kept_until <= :now", now=now)

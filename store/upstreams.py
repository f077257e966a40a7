"""What is known of the MCP servers behind connections, beside their settings. Knows SQL; talks to no server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto import Vault
from db import Database, Row, Run
from errors import NotFound
from store.revisions import bump_features

SOURCES = ("typed", "pasted", "catalogue", "registry")


@dataclass(frozen=True)
class Upstream:
    """The server behind one connection: where the connection came from, and what was last found there."""

    connection_id: str
    source: str
    definition: Mapping[str, Any] | None  # without any value; None: typed by hand
    is_enabled: bool
    greeting: Mapping[str, Any] | None  # None: never reached
    discovered_at: int | None
    failed_at: int | None  # None: the last try went well
    failure: str | None


def insert_upstream(run: Run, connection_id: str, source: str, definition: Mapping[str, Any] | None = None) -> None:
    """Note where a new connection came from, in an open transaction; it is switched on."""
    run(
        """
        INSERT INTO upstreams
            (connection_id, source, definition_json, is_enabled)
        VALUES
            (:connection_id, :source, :definition_json, 1)
        """,
        connection_id=connection_id,
        source=source,
        definition_json=json.dumps(definition) if definition is not None else None,
    )


def put_definition(
    run: Run, vault: Vault, connection_id: str, definition: Mapping[str, Any], values: Mapping[str, str]
) -> None:
    """Keep the definition that a connection is made from, in an open transaction; its values sealed, for some are secrets."""
    run(
        """
        UPDATE upstreams
        SET definition_json = :definition_json, definition_sealed = :definition_sealed
        WHERE connection_id = :connection_id
        """,
        connection_id=connection_id,
        definition_json=json.dumps(definition),
        definition_sealed=vault.seal(json.dumps(dict(values)).encode(), "upstreams", "definition", connection_id),
    )


def find_definition_values(db: Database, vault: Vault, connection_id: str) -> dict[str, str] | None:
    """The values in the definition that a connection was made from; None if they were not kept. Raises crypto.Unreadable."""
    rows = db.query(
        "SELECT definition_sealed FROM upstreams WHERE connection_id = :connection_id", connection_id=connection_id
    )
    sealed = rows[0]["definition_sealed"] if rows else None
    return json.loads(vault.unseal(sealed, "upstreams", "definition", connection_id)) if sealed else None


def find_upstream(db: Database, connection_id: str) -> Upstream | None:
    """The server behind a connection; None if the connection is of another kind, or gone."""
    found = load_upstreams(db, "u.connection_id = :connection_id", connection_id=connection_id)
    return found[0] if found else None


def list_upstreams(db: Database, user_id: str) -> dict[str, Upstream]:
    """The servers behind a user's connections, by the connection's id."""
    return {item.connection_id: item for item in load_upstreams(db, "c.user_id = :user_id", user_id=user_id)}


def set_enabled(db: Database, user_id: str, connection_id: str, is_enabled: bool) -> None:
    """Switch one of the user's connections on or off. Raises NotFound for any other."""
    with db.write() as run:
        changed = run(
            """
            UPDATE upstreams
            SET is_enabled = :is_enabled
            WHERE connection_id IN (SELECT id FROM connections WHERE id = :connection_id AND user_id = :user_id)
            RETURNING connection_id
            """,
            connection_id=connection_id,
            user_id=user_id,
            is_enabled=int(is_enabled),
        )
        if not changed:
            raise NotFound("no such connection")
        bump_features(run)


def note_greeting(db: Database, connection_id: str, greeting: Mapping[str, Any], *, now: int) -> None:
    """The server could be talked to, and said this of itself."""
    with db.write() as run:
        run(
            """
            UPDATE upstreams
            SET greeting_json = :greeting_json, discovered_at = :now, failed_at = NULL, failure = NULL
            WHERE connection_id = :connection_id
            """,
            connection_id=connection_id,
            greeting_json=json.dumps(greeting),
            now=now,
        )


def note_failure(db: Database, connection_id: str, failure: str, *, now: int) -> None:
    """The server could not be talked to; `failure` is a sentence of ours, with nothing in it that the server said."""
    with db.write() as run:
        run(
            """
            UPDATE upstreams
            SET failed_at = :now, failure = :failure
            WHERE connection_id = :connection_id
            """,
            connection_id=connection_id,
            failure=failure,
            now=now,
        )


def find_era(db: Database, connection_id: str) -> bool | None:
    """Whether the server is of the stateless era; None: nobody has talked to it since its connection was changed."""
    rows = db.query(
        """
        SELECT u.greeting_json
        FROM upstreams u
        JOIN connections c ON c.id = u.connection_id
        WHERE u.connection_id = :connection_id AND u.greeting_json IS NOT NULL AND u.discovered_at >= c.updated_at
        """,
        connection_id=connection_id,
    )
    return bool(json.loads(rows[0]["greeting_json"]).get("is_modern")) if rows else None


def find_capabilities(db: Database, connection_id: str) -> Mapping[str, Any]:
    """What the server said that it can do, when it was last looked at; nothing if it never was."""
    rows = db.query("SELECT greeting_json FROM upstreams WHERE connection_id = :connection_id", connection_id=connection_id)
    greeting = json.loads(rows[0]["greeting_json"]) if rows and rows[0]["greeting_json"] else {}
    return greeting.get("capabilities") or {}


def list_current(db: Database) -> dict[str, int]:
    """When each connection was last changed, of those that are switched on; whoever's they are."""
    rows = db.query("""
        SELECT c.id, c.updated_at
        FROM connections c
        JOIN upstreams u ON u.connection_id = c.id
        WHERE u.is_enabled = 1
    """)
    return {row["id"]: row["updated_at"] for row in rows}


def list_stale(db: Database, *, before: int) -> list[str]:
    """The ids of connections whose servers, if switched on, were last tried `before` this; the longest ago first."""
    rows = db.query(
        """
        SELECT u.connection_id
        FROM upstreams u
        WHERE u.is_enabled = 1 AND COALESCE(u.discovered_at, 0) < :before AND COALESCE(u.failed_at, 0) < :before
        ORDER BY COALESCE(u.discovered_at, 0), u.connection_id
        """,
        before=before,
    )
    return [row["connection_id"] for row in rows]


def load_upstreams(db: Database, condition: str, **values: str) -> list[Upstream]:
    """The servers that a fixed SQL condition of this file selects."""
    rows = db.query(
        f"""
        SELECT u.connection_id, u.source, u.definition_json, u.is_enabled, u.greeting_json, u.discovered_at,
               u.failed_at, u.failure
        FROM upstreams u
        JOIN connections c ON c.id = u.connection_id
        WHERE {condition}
        """,  # noqa: S608 (no part of it comes from outside)
        **values,
    )
    return [as_upstream(row) for row in rows]


def as_upstream(row: Row) -> Upstream:
    """A row as an Upstream."""
    return Upstream(
        row["connection_id"],
        row["source"],
        json.loads(row["definition_json"]) if row["definition_json"] else None,
        bool(row["is_enabled"]),
        json.loads(row["greeting_json"]) if row["greeting_json"] else None,
        row["discovered_at"],
        row["failed_at"],
        row["failure"],
    )

"""Connections and their credentials. Knows SQL; seals secrets on the way in and opens them on the way out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crypto import Vault, new_id
from db import Database, Row, Run
from errors import InvalidInput, NotFound
from store.revisions import bump_features


@dataclass(frozen=True)
class Draft:
    """What a person typed for a connection: checked, but not kept yet."""

    connector: str
    name: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    forget: frozenset[str] = frozenset()  # secrets to drop when an old connection is changed


@dataclass(frozen=True)
class Connection:
    """One user's configured instance of a connector; `secret_names` tells which secrets it has, never what they are."""

    id: str
    user_id: str
    connector: str
    name: str
    settings: Mapping[str, Any]
    secret_names: frozenset[str]
    created_at: int
    updated_at: int


def insert_connection(run: Run, vault: Vault, user_id: str, draft: Draft, now: int) -> str:
    """Make a connection, in an open transaction; it stands in no profile yet. Answers its id.

    Raises InvalidInput if the user has one of this name.
    """
    connection_id = new_id()
    check_name_free(run, user_id, draft.name, connection_id)
    run(
        """
        INSERT INTO connections
            (id, user_id, connector, name, settings_json, created_at, updated_at)
        VALUES
            (:id, :user_id, :connector, :name, :settings_json, :now, :now)
        """,
        id=connection_id,
        user_id=user_id,
        connector=draft.connector,
        name=draft.name,
        settings_json=json.dumps(draft.settings),
        now=now,
    )
    put_secrets(run, vault, connection_id, draft.secrets, now)
    return connection_id


def update_connection(run: Run, vault: Vault, user_id: str, connection_id: str, draft: Draft, now: int) -> None:
    """Change a connection, in an open transaction: the draft's secrets are replaced or forgotten, all others stay as they are.

    `updated_at` moves even if nothing but a secret has changed, and that twice in a second: by it processes see that the sessions
    that they hold open are out of date.
    """
    check_name_free(run, user_id, draft.name, connection_id)
    changed = run(
        """
        UPDATE connections
        SET name = :name, settings_json = :settings_json,
            updated_at = CASE WHEN updated_at < :now THEN :now ELSE updated_at + 1 END
        WHERE id = :id AND user_id = :user_id
        RETURNING id
        """,
        id=connection_id,
        user_id=user_id,
        name=draft.name,
        settings_json=json.dumps(draft.settings),
        now=now,
    )
    if not changed:
        raise NotFound("no such connection")
    drop_secrets(run, connection_id, draft.forget)
    put_secrets(run, vault, connection_id, draft.secrets, now)
    bump_features(run)


def delete_connection(db: Database, user_id: str, connection_id: str) -> None:
    """Remove a connection with its secrets, its data and its place in every profile."""
    with db.write() as run:
        if not run(
            "DELETE FROM connections WHERE id = :id AND user_id = :user_id RETURNING id", id=connection_id, user_id=user_id
        ):
            raise NotFound("no such connection")
        bump_features(run)


def check_name_free(run: Run, user_id: str, name: str, connection_id: str) -> None:
    """Raise InvalidInput if another connection of this user has the name."""
    if run(
        "SELECT id FROM connections WHERE user_id = :user_id AND name = :name AND id <> :id",
        user_id=user_id,
        name=name,
        id=connection_id,
    ):
        raise InvalidInput("You already have a connection of this name.", {"connection_name": "This name is taken."})


def find_twin(db: Database, vault: Vault, user_id: str, draft: Draft, *, after: int) -> Connection | None:
    """What a new draft has become already, later than `after`: by the same form, which was sent twice."""
    wanted = draft.connector, draft.name, json.loads(json.dumps(draft.settings)), dict(draft.secrets)
    for item in list_connections(db, user_id):
        if item.created_at > after and (item.connector, item.name, item.settings, list_secrets(db, vault, item.id)) == wanted:
            return item
    return None


def find_free_name(db: Database, user_id: str, wanted: str) -> str:
    """A name that no connection of this user has: `wanted`, or with a number behind it."""
    taken = {connection.name for connection in list_connections(db, user_id)}
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def put_secrets(
    run: Run, vault: Vault, connection_id: str, secrets: Mapping[str, str], now: int, *, expires_at: int | None = None
) -> None:
    """Seal and keep each secret, in an open transaction."""
    for name, value in secrets.items():
        run(
            """
            INSERT INTO credentials
                (connection_id, name, value_sealed, expires_at, updated_at)
            VALUES
                (:connection_id, :name, :value_sealed, :expires_at, :now)
            ON CONFLICT (connection_id, name) DO UPDATE
            SET value_sealed = excluded.value_sealed, expires_at = excluded.expires_at, updated_at = excluded.updated_at
            """,
            connection_id=connection_id,
            name=name,
            value_sealed=vault.seal(value.encode(), "credentials", connection_id, name),
            expires_at=expires_at,
            now=now,
        )


def drop_secrets(run: Run, connection_id: str, names: Iterable[str]) -> None:
    """Forget secrets, in an open transaction."""
    for name in names:
        run("DELETE FROM credentials WHERE connection_id = :id AND name = :name", id=connection_id, name=name)


def touch_connection(run: Run, connection_id: str, now: int) -> None:
    """Say, in an open transaction, that whatever is open for a connection is out of date: twice in a second too.

    Raises NotFound for one that was deleted meanwhile.
    """
    touched = run(
        """
        UPDATE connections
        SET updated_at = CASE WHEN updated_at < :now THEN :now ELSE updated_at + 1 END
        WHERE id = :id
        RETURNING id
        """,
        id=connection_id,
        now=now,
    )
    if not touched:
        raise NotFound("no such connection")
    bump_features(run)


def list_secrets(db: Database, vault: Vault, connection_id: str) -> dict[str, str]:
    """The secrets of a connection, opened. Raises crypto.Unreadable if one was damaged."""
    rows = db.query(
        """
        SELECT name, value_sealed
        FROM credentials
        WHERE connection_id = :connection_id
        """,
        connection_id=connection_id,
    )
    return {row["name"]: vault.unseal(row["value_sealed"], "credentials", connection_id, row["name"]).decode() for row in rows}


def list_secrets_with(db: Database, vault: Vault, connection: Connection | None, draft: Draft) -> dict[str, str]:
    """The secrets that a connection would have once the draft is kept."""
    kept = list_secrets(db, vault, connection.id) if connection else {}
    return {name: value for name, value in kept.items() if name not in draft.forget} | dict(draft.secrets)


def get_connection(db: Database, user_id: str, connection_id: str) -> Connection:
    """One connection of this user; raises NotFound for any other."""
    found = [item for item in list_connections(db, user_id) if item.id == connection_id]
    if not found:
        raise NotFound("no such connection")
    return found[0]


def find_connection(db: Database, connection_id: str) -> Connection | None:
    """A connection, whoever's it is: for periodic work."""
    found = load_connections(db, "c.id = :connection_id", connection_id=connection_id)
    return found[0] if found else None


def list_connections(db: Database, user_id: str) -> list[Connection]:
    """A user's connections, by name."""
    return load_connections(db, "c.user_id = :user_id ORDER BY c.name", user_id=user_id)


def list_connections_of(db: Database, connector: str) -> list[Connection]:
    """Every user's connections of one connector: for periodic work."""
    return load_connections(db, "c.connector = :connector ORDER BY c.id", connector=connector)


def load_connections(db: Database, condition: str, **values: str) -> list[Connection]:
    """The connections that a fixed SQL condition of this file selects."""
    rows = db.query(
        f"""
        SELECT c.id, c.user_id, c.connector, c.name, c.settings_json, c.created_at, c.updated_at
        FROM connections c
        WHERE {condition}
        """,  # noqa: S608 (no part of it comes from outside)
        **values,
    )
    names = db.query(
        f"""
        SELECT connection_id, name
        FROM credentials
        WHERE connection_id IN (SELECT c.id FROM connections c WHERE {condition})
        """,  # noqa: S608 (no part of it comes from outside)
        **values,
    )
    secrets: dict[str, set[str]] = {}
    for row in names:
        secrets.setdefault(row["connection_id"], set()).add(row["name"])
    return [as_connection(row, frozenset(secrets.get(row["id"], ()))) for row in rows]


def as_connection(row: Row, names: frozenset[str]) -> Connection:
    """A row as a Connection."""
    return Connection(
        row["id"], row["user_id"], row["connector"], row["name"], json.loads(row["settings_json"]), names, row["created_at"],
        row["updated_at"],
    )  # fmt: skip

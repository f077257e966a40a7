"""The last look at what a connection's server offers, and what is to become of changes there. Knows SQL; looks at nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from db import Database, Run
from errors import NotFound
from store.revisions import bump_features

CHANGES = ("hold", "hold_new", "follow")


@dataclass(frozen=True)
class Look:
    """What the last look at a server left out, a sentence each, and what shall become of what changes there."""

    left_out: tuple[str, ...] = ()
    changes: str = "hold"


def put_left_out(run: Run, connection_id: str, left_out: list[str]) -> None:
    """Keep what a look left out, in an open transaction."""
    run(
        """
        INSERT INTO looks
            (connection_id, changes, left_out_json)
        VALUES
            (:connection_id, 'hold', :left_out_json)
        ON CONFLICT (connection_id) DO UPDATE
        SET left_out_json = excluded.left_out_json
        """,
        connection_id=connection_id,
        left_out_json=json.dumps(left_out),
    )


def set_changes(db: Database, user_id: str, connection_id: str, changes: str) -> None:
    """Choose what becomes of changed and new features of a connection. Raises NotFound for another's."""
    with db.write() as run:
        check_owner(run, user_id, connection_id)
        run(
            """
            INSERT INTO looks
                (connection_id, changes, left_out_json)
            VALUES
                (:connection_id, :changes, '[]')
            ON CONFLICT (connection_id) DO UPDATE
            SET changes = excluded.changes
            """,
            connection_id=connection_id,
            changes=changes,
        )
        bump_features(run)


def list_looks(db: Database, user_id: str) -> dict[str, Look]:
    """What is known of the looks at a user's servers, by the connection's id."""
    rows = db.query(
        """
        SELECT l.connection_id, l.changes, l.left_out_json
        FROM looks l
        JOIN connections c ON c.id = l.connection_id
        WHERE c.user_id = :user_id
        """,
        user_id=user_id,
    )
    return {row["connection_id"]: Look(tuple(json.loads(row["left_out_json"])), row["changes"]) for row in rows}


def check_owner(run: Run, user_id: str, connection_id: str) -> None:
    """Raise NotFound unless the connection is this user's."""
    if not run("SELECT id FROM connections WHERE id = :id AND user_id = :user_id", id=connection_id, user_id=user_id):
        raise NotFound("no such connection")

"""Calls of other servers that wait for an answer which another request brings. Knows SQL, neither MCP nor who waits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from crypto import Vault
from db import Database
from errors import NotFound

TABLE = "continuations"


@dataclass(frozen=True)
class Continuation:
    """Where such a call stands: its last question, and how it ended (None: it has not)."""

    id: str
    number: int
    question: dict[str, Any]
    outcome: dict[str, Any] | None


def put_question(
    db: Database,
    vault: Vault,
    continuation_id: str,
    connection_id: str,
    number: int,
    question: dict[str, Any],
    *,
    expires_at: int,
) -> None:
    """Note that the server asked its question `number`; the one before, and its answer, are forgotten."""
    with db.write() as run:
        run(
            """
            INSERT INTO continuations
                (id, connection_id, number, question_sealed, expires_at)
            VALUES
                (:id, :connection_id, :number, :question_sealed, :expires_at)
            ON CONFLICT (id) DO UPDATE
            SET number = excluded.number, question_sealed = excluded.question_sealed, reply_sealed = NULL,
                expires_at = excluded.expires_at
            """,
            id=continuation_id,
            connection_id=connection_id,
            number=number,
            question_sealed=seal(vault, question, "question", continuation_id),
            expires_at=expires_at,
        )


def put_reply(db: Database, vault: Vault, continuation_id: str, number: int, reply: dict[str, Any]) -> bool:
    """Hand over the answer to question `number`; False if it has one already, or was not the last. The first answer counts."""
    with db.write() as run:
        taken = run(
            """
            UPDATE continuations
            SET reply_sealed = :reply_sealed
            WHERE id = :id AND number = :number AND reply_sealed IS NULL
            RETURNING id
            """,
            id=continuation_id,
            number=number,
            reply_sealed=seal(vault, reply, "reply", continuation_id),
        )
    return bool(taken)


def find_reply(db: Database, vault: Vault, continuation_id: str) -> dict[str, Any] | None:
    """The answer to the last question; None while there is none. Raises NotFound if the call has been forgotten."""
    rows = db.query("SELECT reply_sealed FROM continuations WHERE id = :id", id=continuation_id)
    if not rows:
        raise NotFound("nobody goes on with this call")
    sealed = rows[0]["reply_sealed"]
    return unseal(vault, sealed, "reply", continuation_id) if sealed else None


def put_outcome(db: Database, vault: Vault, continuation_id: str, outcome: dict[str, Any]) -> None:
    """Note how the call ended, if anybody was ever asked."""
    with db.write() as run:
        run(
            "UPDATE continuations SET outcome_sealed = :outcome_sealed WHERE id = :id",
            id=continuation_id,
            outcome_sealed=seal(vault, outcome, "outcome", continuation_id),
        )


def find_continuation(db: Database, vault: Vault, continuation_id: str, *, now: int) -> Continuation | None:
    """Where a call stands; None if it is unknown, or nobody waits any more."""
    rows = db.query(
        """
        SELECT number, question_sealed, outcome_sealed
        FROM continuations
        WHERE id = :id AND expires_at > :now
        """,
        id=continuation_id,
        now=now,
    )
    if not rows:
        return None
    sealed = rows[0]["outcome_sealed"]
    outcome = unseal(vault, sealed, "outcome", continuation_id) if sealed else None
    question = unseal(vault, rows[0]["question_sealed"], "question", continuation_id)
    return Continuation(continuation_id, rows[0]["number"], question, outcome)


def delete_continuation(db: Database, continuation_id: str) -> None:
    """Forget a call: whoever wants to go on with it is told that it is over."""
    with db.write() as run:
        run("DELETE FROM continuations WHERE id = :id", id=continuation_id)


def purge_continuations(db: Database, *, now: int) -> None:
    """Forget what nobody waits for any more."""
    with db.write() as run:
        run("DELETE FROM continuations WHERE expires_at <= :now", now=now)


def seal(vault: Vault, value: dict[str, Any], column: str, continuation_id: str) -> str:
    """A JSON object as it stands in a column of a row."""
    return vault.seal(json.dumps(value).encode(), TABLE, column, continuation_id)


def unseal(vault: Vault, sealed: str, column: str, continuation_id: str) -> dict[str, Any]:
    """The JSON object behind `seal`."""
    return json.loads(vault.unseal(sealed, TABLE, column, continuation_id))

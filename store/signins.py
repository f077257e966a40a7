"""The sign-in log: which steps of each attempt to get in were seen. Knows SQL; holds ids and words, never values."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import new_id
from db import Database, Run

WINDOW_SECONDS = 600  # steps that nothing but a client or an address ties together are of one attempt for so long
LOOKING_MAX, STEPS_MAX = 20, 60  # steps of one attempt: before a client is known, and in all
ATTEMPTS_MAX = 2000
KEEP_SECONDS = 14 * 86400


@dataclass(frozen=True)
class Clue:
    """What is known of whose step it is. The ids are of rows that we made; without an address no attempt is begun."""

    address_hash: str | None = None
    user_agent: str = ""
    client_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    resource: str | None = None


@dataclass(frozen=True)
class Step:
    """One step that was seen. `error` is None if it went well."""

    at: float
    step: str
    error: str | None
    detail: str | None


@dataclass(frozen=True)
class Attempt:
    """One attempt with its steps in their order; the names are those of today, None if there are none."""

    id: str
    client_id: str | None
    client_name: str | None
    user_name: str | None
    session_id: str | None
    resource: str | None
    user_agent: str
    started_at: float
    last_at: float
    steps: tuple[Step, ...]


# --- writing ---


def note_step(
    db: Database, step: str, clue: Clue, *, error: str | None = None, detail: str | None = None, now: float
) -> None:
    """Write a step down where it belongs. Raises StorageError rather than wait long for other writers."""
    with db.write(hasty=True) as run:
        attempt_id = find_attempt(run, step, clue, now)
        if attempt_id is None and clue.address_hash is None:
            return
        if attempt_id is None:
            attempt_id = begin_attempt(run, clue, now)
        position = next_position(run, attempt_id)
        if position >= (LOOKING_MAX if clue.client_id is None and clue.session_id is None else STEPS_MAX):
            return
        learn(run, attempt_id, clue, now)
        run(
            """
            INSERT INTO sign_in_steps
                (attempt_id, position, at, step, error, detail)
            VALUES
                (:attempt_id, :position, :now, :step, :error, :detail)
            """,
            attempt_id=attempt_id,
            position=position,
            now=now,
            step=step,
            error=error,
            detail=detail,
        )


def find_attempt(run: Run, step: str, clue: Clue, now: float) -> str | None:
    """The attempt that a step belongs to: by session or request, else by client, else by address.

    An assistant looks around from one address and sends its person's browser from another. When it shows up again itself, and
    says which attempt is its own, what it saw while it looked around becomes a part of that.
    """
    named = find_by_id(run, clue) or find_by_client(run, step, clue, now)
    unnamed = find_by_address(run, clue, now)
    if named and unnamed:
        merge(run, unnamed, named)
    return named or unnamed


def find_by_id(run: Run, clue: Clue) -> str | None:
    """The attempt of a session or of an authorization request."""
    rows = run(
        """
        SELECT id
        FROM sign_in_attempts
        WHERE session_id = :session_id OR request_id = :request_id
        """,
        session_id=clue.session_id,
        request_id=clue.request_id,
    )
    return rows[0]["id"] if rows else None


def find_by_client(run: Run, step: str, clue: Clue, now: float) -> str | None:
    """The client's latest attempt from this address, or else its only one. Each authorization request is an attempt of its own.

    Many people share a client whose id is a URL: if there are several attempts elsewhere, none of them is taken.
    """
    rows = run(
        """
        SELECT id, CASE WHEN address_hash = :address_hash AND user_agent = :user_agent THEN 1 ELSE 0 END AS same
        FROM sign_in_attempts
        WHERE client_id = :client_id AND last_at >= :since AND (request_id IS NULL OR :is_later = 1)
        ORDER BY same DESC, last_at DESC
        LIMIT 2
        """,
        client_id=clue.client_id,
        address_hash=clue.address_hash,
        user_agent=clue.user_agent,
        since=now - WINDOW_SECONDS,
        is_later=int(step in ("token", "refresh")),
    )
    return rows[0]["id"] if rows and (rows[0]["same"] or len(rows) == 1) else None


def find_by_address(run: Run, clue: Clue, now: float) -> str | None:
    """What the same program at the same address has begun without saying who it is."""
    rows = run(
        """
        SELECT id
        FROM sign_in_attempts
        WHERE client_id IS NULL AND address_hash = :address_hash AND user_agent = :user_agent AND started_at >= :since
        ORDER BY started_at DESC
        LIMIT 1
        """,
        address_hash=clue.address_hash,
        user_agent=clue.user_agent,
        since=now - WINDOW_SECONDS,
    )
    return rows[0]["id"] if rows else None


def merge(run: Run, source: str, target: str) -> None:
    """Move the steps of one attempt into another, in an open transaction; the times tell their order."""
    run(
        """
        UPDATE sign_in_steps
        SET attempt_id = :target, position = position + :first
        WHERE attempt_id = :source
        """,
        target=target,
        first=next_position(run, target),
        source=source,
    )
    gone = run(
        """
        DELETE FROM sign_in_attempts
        WHERE id = :source
        RETURNING address_hash, user_agent, started_at
        """,
        source=source,
    )[0]
    run(
        """
        UPDATE sign_in_attempts
        SET address_hash = :address_hash, user_agent = :user_agent, started_at = :started_at
        WHERE id = :target AND started_at > :started_at
        """,
        **dict(gone),
        target=target,
    )


def begin_attempt(run: Run, clue: Clue, now: float) -> str:
    """A new attempt, in an open transaction. When there are too many the oldest go, first those that nobody signed in for."""
    attempt_id = new_id()
    run(
        """
        DELETE FROM sign_in_attempts
        WHERE id NOT IN (
            SELECT id
            FROM sign_in_attempts
            ORDER BY CASE WHEN user_id IS NULL THEN 1 ELSE 0 END, last_at DESC
            LIMIT :others
        )
        """,
        others=ATTEMPTS_MAX - 1,
    )
    run(
        """
        INSERT INTO sign_in_attempts
            (id, address_hash, user_agent, started_at, last_at)
        VALUES
            (:id, :address_hash, :user_agent, :now, :now)
        """,
        id=attempt_id,
        address_hash=clue.address_hash,
        user_agent=clue.user_agent,
        now=now,
    )
    return attempt_id


def next_position(run: Run, attempt_id: str) -> int:
    """How many steps an attempt has."""
    return run("SELECT count(*) AS number FROM sign_in_steps WHERE attempt_id = :id", id=attempt_id)[0]["number"]


def learn(run: Run, attempt_id: str, clue: Clue, now: float) -> None:
    """Add to an attempt what was not known of it before, in an open transaction."""
    run(
        """
        UPDATE sign_in_attempts
        SET client_id = coalesce(client_id, :client_id), user_id = coalesce(user_id, :user_id),
            request_id = coalesce(request_id, :request_id), session_id = coalesce(session_id, :session_id),
            resource = coalesce(resource, :resource), last_at = :now
        WHERE id = :id
        """,
        id=attempt_id,
        client_id=clue.client_id,
        user_id=clue.user_id,
        request_id=clue.request_id,
        session_id=clue.session_id,
        resource=clue.resource,
        now=now,
    )


def purge_sign_ins(db: Database, *, now: float) -> None:
    """Drop the attempts of long ago, with their steps."""
    with db.write() as run:
        run("DELETE FROM sign_in_attempts WHERE last_at <= :then", then=now - KEEP_SECONDS)


# --- reading ---


def list_attempts(db: Database, client_id: str | None = None, *, last: int) -> list[Attempt]:
    """The `last` attempts, of one client or of all, the oldest of them first."""
    rows = db.query(
        """
        SELECT a.id, a.client_id, c.name AS client_name, u.name AS user_name, a.session_id, a.resource, a.user_agent,
            a.started_at, a.last_at
        FROM sign_in_attempts a
        LEFT JOIN clients c ON c.id = a.client_id
        LEFT JOIN users u ON u.id = a.user_id
        WHERE :client_id = '' OR a.client_id = :client_id
        ORDER BY a.last_at DESC, a.id
        LIMIT :last
        """,
        client_id=client_id or "",
        last=last,
    )
    found = [Attempt(*row, steps=list_steps(db, row["id"])) for row in reversed(rows)]
    return [attempt for attempt in found if attempt.steps]  # one may have become a part of another meanwhile


def list_steps(db: Database, attempt_id: str) -> tuple[Step, ...]:
    """The steps of an attempt, in their order."""
    rows = db.query(
        """
        SELECT at, step, error, detail
        FROM sign_in_steps
        WHERE attempt_id = :attempt_id
        ORDER BY at, position
        """,
        attempt_id=attempt_id,
    )
    return tuple(Step(*row) for row in rows)

"""Sessions: approved sign-ins of clients. Knows SQL; the tokens of one are in tokens.py, which stands above."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import new_id
from db import Database, Row, Run
from errors import NotFound
from store.revisions import bump_features

KEEP_ENDED_SECONDS = 7 * 86400


@dataclass(frozen=True)
class Session:
    """One approved sign-in, as its person sees it."""

    id: str
    client_id: str
    client_name: str | None
    profile_name: str
    resource: str
    created_at: int
    used_at: int | None
    expires_at: int


def insert_session(run: Run, grant_id: str, resource: str, scope: str, *, lifetime: int, now: int) -> str:
    """Open a session on a grant, in an open transaction; answers its id."""
    session_id = new_id()
    run(
        """
        INSERT INTO sessions
            (id, grant_id, resource, scope, created_at, expires_at)
        VALUES
            (:id, :grant_id, :resource, :scope, :now, :expires_at)
        """,
        id=session_id,
        grant_id=grant_id,
        resource=resource,
        scope=scope,
        now=now,
        expires_at=now + lifetime,
    )
    return session_id


def is_alive(row: Row, now: int) -> bool:
    """Whether the session in a joined row may still issue tokens."""
    return row["ended_at"] is None and row["session_expires_at"] > now


def close_session(run: Run, session_id: str, reason: str, now: int) -> None:
    """End a session and so every token of it, in an open transaction; the first reason stays."""
    run(
        """
        UPDATE sessions
        SET ended_at = :now, end_reason = :reason
        WHERE id = :id AND ended_at IS NULL
        """,
        id=session_id,
        reason=reason,
        now=now,
    )
    bump_features(run)  # who listens for changes looks again, and learns that the token is good no more


def end_session(db: Database, user_id: str, session_id: str, *, now: int) -> None:
    """End one of this user's sessions; raises NotFound for any other."""
    if session_id not in {session.id for session in list_sessions(db, user_id, now=now)}:
        raise NotFound("no such session")
    with db.write() as run:
        close_session(run, session_id, "person", now)


def end_client_sessions(db: Database, user_id: str, client_id: str, *, now: int) -> None:
    """End all of this user's sessions of a client; raises NotFound if there is none."""
    ids = [session.id for session in list_sessions(db, user_id, now=now) if session.client_id == client_id]
    if not ids:
        raise NotFound("no such client")
    with db.write() as run:
        for session_id in ids:
            close_session(run, session_id, "person", now)


def close_sessions(run: Run, user_id: str, now: int) -> None:
    """End every session of a user, and so every code and token, in an open transaction."""
    run(
        """
        UPDATE sessions
        SET ended_at = :now, end_reason = 'person'
        WHERE ended_at IS NULL AND grant_id IN (
            SELECT g.id
            FROM grants g
            JOIN profiles p ON p.id = g.profile_id
            WHERE p.user_id = :user_id
        )
        """,
        user_id=user_id,
        now=now,
    )
    bump_features(run)


def list_sessions(db: Database, user_id: str, *, now: int) -> list[Session]:
    """A user's sessions that are alive, the latest first."""
    rows = db.query(
        """
        SELECT s.id, g.client_id, c.name AS client_name, p.name AS profile_name, s.resource, s.created_at, s.used_at, s.expires_at
        FROM sessions s
        JOIN grants g ON g.id = s.grant_id
        JOIN clients c ON c.id = g.client_id
        JOIN profiles p ON p.id = g.profile_id
        WHERE p.user_id = :user_id AND s.ended_at IS NULL AND s.expires_at > :now
        ORDER BY s.created_at DESC, s.id
        """,
        user_id=user_id,
        now=now,
    )
    return [Session(*row) for row in rows]


def note_session_used(db: Database, session_id: str, *, now: int) -> None:
    """Remember that a session was used; the caller sees to it that this is at most once a minute.

    Raises StorageError rather than wait long for other writers.
    """
    with db.write(hasty=True) as run:
        run("UPDATE sessions SET used_at = :now WHERE id = :id", id=session_id, now=now)


def purge_sessions(db: Database, *, now: int) -> None:
    """Drop sessions that ended long ago, with all they had."""
    with db.write() as run:
        run(
            """
            DELETE FROM sessions
            WHERE expires_at <= :then OR ended_at <= :then
            """,
            then=now - KEEP_ENDED_SECONDS,
        )

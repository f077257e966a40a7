"""MCP sessions of the handshake era: what is asked in them, and what they want to hear of. Knows SQL, not MCP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto import Vault, hash_token, new_id, new_token
from db import Database
from errors import NotFound
from store.revisions import bump_mcp_sessions

IDLE_SECONDS = 86400
SEEN_EVERY_SECONDS = 60
STREAM_SECONDS = 150  # a stream whose process has not told of it for so long is gone
SESSIONS_MAX = 32  # of one grant; the one that was idle longest makes room
SUBSCRIPTIONS_MAX = 100  # of one session


@dataclass(frozen=True)
class McpSession:
    """What was agreed on at `initialize`. `log_level`: None until the client chooses one."""

    id_hash: str
    version: str
    capabilities: Mapping[str, Any]
    log_level: str | None
    seen_at: int


def create_mcp_session(db: Database, grant_id: str, version: str, capabilities: Mapping[str, Any], *, now: int) -> str:
    """Begin a session; answers its id, which is nowhere kept in clear."""
    session_id = new_token("mcp_ms_")
    with db.write() as run:
        run(
            """
            INSERT INTO mcp_sessions
                (id_hash, grant_id, version, capabilities_json, created_at, seen_at, expires_at)
            VALUES
                (:id_hash, :grant_id, :version, :capabilities_json, :now, :now, :expires_at)
            """,
            id_hash=hash_token(session_id),
            grant_id=grant_id,
            version=version,
            capabilities_json=json.dumps(capabilities),
            now=now,
            expires_at=now + IDLE_SECONDS,
        )
        pushed_out = run(
            """
            DELETE FROM mcp_sessions
            WHERE grant_id = :grant_id AND id_hash NOT IN (
                SELECT id_hash
                FROM mcp_sessions
                WHERE grant_id = :grant_id
                ORDER BY CASE id_hash WHEN :id_hash THEN 0 ELSE 1 END, seen_at DESC, created_at DESC, id_hash
                LIMIT :most
            )
            RETURNING id_hash
            """,
            id_hash=hash_token(session_id),
            grant_id=grant_id,
            most=SESSIONS_MAX,
        )
        if pushed_out:
            bump_mcp_sessions(run)
    return session_id


def find_mcp_session(db: Database, session_id: str, grant_id: str, *, now: int) -> McpSession | None:
    """This grant's session; None if it is unknown, ended, expired or another grant's."""
    rows = db.query(
        """
        SELECT id_hash, version, capabilities_json, log_level, seen_at
        FROM mcp_sessions
        WHERE id_hash = :id_hash AND grant_id = :grant_id AND expires_at > :now
        """,
        id_hash=hash_token(session_id),
        grant_id=grant_id,
        now=now,
    )
    if not rows:
        return None
    row = rows[0]
    return McpSession(row["id_hash"], row["version"], json.loads(row["capabilities_json"]), row["log_level"], row["seen_at"])


def note_mcp_session_seen(db: Database, session: McpSession, *, now: int) -> None:
    """Put off the end of a session that is in use; writes at most once a minute.

    Raises StorageError rather than wait long for other writers.
    """
    if now - session.seen_at < SEEN_EVERY_SECONDS:
        return
    with db.write(hasty=True) as run:
        run(
            """
            UPDATE mcp_sessions
            SET seen_at = :now, expires_at = :expires_at
            WHERE id_hash = :id_hash
            """,
            id_hash=session.id_hash,
            now=now,
            expires_at=now + IDLE_SECONDS,
        )


def set_log_level(db: Database, session: McpSession, level: str) -> None:
    """Remember from which level on the client wants log lines."""
    with db.write() as run:
        run("UPDATE mcp_sessions SET log_level = :level WHERE id_hash = :id_hash", level=level, id_hash=session.id_hash)


def end_mcp_session(db: Database, session: McpSession) -> None:
    """End a session, with all that was asked in it."""
    with db.write() as run:
        run("DELETE FROM mcp_sessions WHERE id_hash = :id_hash", id_hash=session.id_hash)
        bump_mcp_sessions(run)


def purge_mcp_sessions(db: Database, *, now: int) -> None:
    """Forget sessions that have expired, and questions that a process left behind when it died."""
    with db.write() as run:
        if run("DELETE FROM mcp_sessions WHERE expires_at <= :now RETURNING id_hash", now=now):
            bump_mcp_sessions(run)
        run("DELETE FROM mcp_asks WHERE created_at <= :before", before=now - IDLE_SECONDS)


# --- what a session wants to hear of ---


def begin_stream(db: Database, session: McpSession, *, now: int) -> str | None:
    """Note that the session has a stream; answers the stream's id, or None if there is one already, at whichever process."""
    with db.write() as run:
        begun = run(
            """
            UPDATE mcp_sessions
            SET stream_id = :stream_id, stream_until = :until
            WHERE id_hash = :id_hash AND (stream_id IS NULL OR stream_until <= :now)
            RETURNING stream_id
            """,
            stream_id=new_id(),
            until=now + STREAM_SECONDS,
            id_hash=session.id_hash,
            now=now,
        )
    return begun[0]["stream_id"] if begun else None


def keep_stream(db: Database, id_hash: str, stream_id: str, *, now: int) -> None:
    """The stream is still there, and so the session is in use."""
    with db.write() as run:
        run(
            """
            UPDATE mcp_sessions
            SET stream_until = :until, seen_at = :now, expires_at = :expires_at
            WHERE id_hash = :id_hash AND stream_id = :stream_id
            """,
            until=now + STREAM_SECONDS,
            now=now,
            expires_at=now + IDLE_SECONDS,
            id_hash=id_hash,
            stream_id=stream_id,
        )


def end_stream(db: Database, id_hash: str, stream_id: str) -> None:
    """The stream has ended; there may be another."""
    with db.write() as run:
        run(
            """
            UPDATE mcp_sessions
            SET stream_id = NULL, stream_until = NULL
            WHERE id_hash = :id_hash AND stream_id = :stream_id
            """,
            id_hash=id_hash,
            stream_id=stream_id,
        )


def find_stream(db: Database, id_hash: str) -> tuple[str | None, list[str]] | None:
    """The id of a session's stream, and the URIs that it wants to hear of; None if the session has ended."""
    rows = db.query(
        """
        SELECT m.stream_id, s.uri
        FROM mcp_sessions m
        LEFT JOIN mcp_subscriptions s ON s.session_hash = m.id_hash
        WHERE m.id_hash = :id_hash
        ORDER BY s.created_at, s.uri
        """,
        id_hash=id_hash,
    )
    return (rows[0]["stream_id"], [row["uri"] for row in rows if row["uri"] is not None]) if rows else None


def subscribe(db: Database, session: McpSession, uri: str, *, now: int) -> bool:
    """Want to hear of a resource; False if the session wants to hear of too many already."""
    with db.write() as run:
        others = run(
            "SELECT COUNT(*) AS number FROM mcp_subscriptions WHERE session_hash = :id_hash AND uri <> :uri",
            id_hash=session.id_hash,
            uri=uri,
        )
        if others[0]["number"] >= SUBSCRIPTIONS_MAX:
            return False
        run(
            """
            INSERT INTO mcp_subscriptions
                (session_hash, uri, created_at)
            VALUES
                (:id_hash, :uri, :now)
            ON CONFLICT (session_hash, uri) DO NOTHING
            """,
            id_hash=session.id_hash,
            uri=uri,
            now=now,
        )
        bump_mcp_sessions(run)
    return True


def unsubscribe(db: Database, session: McpSession, uri: str) -> None:
    """Want to hear of it no more."""
    with db.write() as run:
        run(
            "DELETE FROM mcp_subscriptions WHERE session_hash = :id_hash AND uri = :uri", id_hash=session.id_hash, uri=uri
        )
        bump_mcp_sessions(run)


# --- questions ---


def create_ask(db: Database, session: McpSession, *, now: int) -> str:
    """Note that a question is out; answers the id under which its answer will come."""
    ask_id = new_id()
    with db.write() as run:
        run(
            """
            INSERT INTO mcp_asks
                (id, session_hash, created_at)
            VALUES
                (:id, :session_hash, :now)
            """,
            id=ask_id,
            session_hash=session.id_hash,
            now=now,
        )
    return ask_id


def answer_ask(db: Database, vault: Vault, session: McpSession, ask_id: str, reply: Mapping[str, Any]) -> bool:
    """Hand over an answer; False if this session waits for no such answer. The first one counts."""
    with db.write() as run:
        answered = run(
            """
            UPDATE mcp_asks
            SET reply_sealed = :reply_sealed
            WHERE id = :id AND session_hash = :session_hash AND reply_sealed IS NULL
            RETURNING id
            """,
            id=ask_id,
            session_hash=session.id_hash,
            reply_sealed=vault.seal(json.dumps(reply).encode(), "mcp_asks", "reply", ask_id),
        )
    return bool(answered)


def find_reply(db: Database, vault: Vault, ask_id: str) -> dict[str, Any] | None:
    """The answer to a question, or None while there is none. Raises NotFound if the session has ended meanwhile."""
    rows = db.query("SELECT reply_sealed FROM mcp_asks WHERE id = :id", id=ask_id)
    if not rows:
        raise NotFound("the question is gone")
    sealed = rows[0]["reply_sealed"]
    return json.loads(vault.unseal(sealed, "mcp_asks", "reply", ask_id)) if sealed else None


def delete_ask(db: Database, ask_id: str) -> None:
    """Forget a question, with its answer."""
    with db.write() as run:
        run("DELETE FROM mcp_asks WHERE id = :id", id=ask_id)

"""MCP sessions of the handshake era, and the questions that wait for an answer in them. Knows SQL, not MCP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto import Vault, hash_token, new_id, new_token
from db import Database
from errors import NotFound

IDLE_SECONDS = 86400
SEEN_EVERY_SECONDS = 60
SESSIONS_MAX = 32  # of one grant; the one that was idle longest makes room


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
        run(
            """
            DELETE FROM mcp_sessions
            WHERE grant_id = :grant_id AND id_hash NOT IN (
                SELECT id_hash
                FROM mcp_sessions
                WHERE grant_id = :grant_id
                ORDER BY CASE id_hash WHEN :id_hash THEN 0 ELSE 1 END, seen_at DESC, created_at DESC, id_hash
                LIMIT :most
            )
            """,
            id_hash=hash_token(session_id),
            grant_id=grant_id,
            most=SESSIONS_MAX,
        )
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
    """Put off the end of a session that is in use; writes at most once a minute."""
    if now - session.seen_at < SEEN_EVERY_SECONDS:
        return
    with db.write() as run:
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


def purge_mcp_sessions(db: Database, *, now: int) -> None:
    """Forget sessions that have expired, and questions that a process left behind when it died."""
    with db.write() as run:
        run("DELETE FROM mcp_sessions WHERE expires_at <= :now", now=now)
        run("DELETE FROM mcp_asks WHERE created_at <= :before", before=now - IDLE_SECONDS)


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

"""What a user says of a client: its alias, and whether it is paused. Knows SQL; a client's own words are in clients.py.

The ids of clients that describe themselves are shared by all users, so none of this stands with the client.
"""

from __future__ import annotations

from dataclasses import dataclass

from db import Database, Run
from errors import InvalidInput, NotFound
from store.sessions import Session, list_sessions

ALIAS_MAX = 60


@dataclass(frozen=True)
class UserClient:
    """A client that is signed in for a user, as this user sees it; `sessions` are those that are alive, the latest first."""

    client_id: str
    name: str | None  # untrusted text, by which the client calls itself
    alias: str | None
    paused_at: int | None
    sessions: tuple[Session, ...]

    @property
    def seen_at(self) -> int | None:
        """When it last called, to the minute; None: it never has."""
        return max((session.used_at for session in self.sessions if session.used_at), default=None)


@dataclass(frozen=True)
class Note:
    """What a user says of a client; nothing, if there is no row."""

    alias: str | None = None
    paused_at: int | None = None


def list_user_clients(db: Database, user_id: str, *, now: int) -> list[UserClient]:
    """The clients that are signed in for a user: that which was let in last comes first."""
    rows = db.query("SELECT client_id, alias, paused_at FROM user_clients WHERE user_id = :user_id", user_id=user_id)
    notes = {row["client_id"]: Note(row["alias"], row["paused_at"]) for row in rows}
    sessions: dict[str, list[Session]] = {}
    for session in list_sessions(db, user_id, now=now):
        sessions.setdefault(session.client_id, []).append(session)
    return [
        UserClient(client_id, group[0].client_name, note.alias, note.paused_at, tuple(group))
        for client_id, group in sessions.items()
        for note in [notes.get(client_id, Note())]
    ]


def find_note(db: Database, user_id: str, client_id: str) -> Note:
    """What a user says of a client."""
    rows = db.query(
        """
        SELECT alias, paused_at
        FROM user_clients
        WHERE user_id = :user_id AND client_id = :client_id
        """,
        user_id=user_id,
        client_id=client_id,
    )
    return Note(rows[0]["alias"], rows[0]["paused_at"]) if rows else Note()


def set_alias(db: Database, user_id: str, client_id: str, alias: str) -> None:
    """Call a client by another name than its own; an empty one takes that back.

    Raises InvalidInput for a bad name, NotFound for a client that this user never let in.
    """
    alias = alias.strip()
    if len(alias) > ALIAS_MAX or not alias.isprintable():
        raise InvalidInput(f"A name has at most {ALIAS_MAX} ordinary characters.")
    with db.write() as run:
        add_row(run, user_id, client_id)
        run(
            """
            UPDATE user_clients
            SET alias = :alias
            WHERE user_id = :user_id AND client_id = :client_id
            """,
            user_id=user_id,
            client_id=client_id,
            alias=alias or None,
        )


def pause_client(db: Database, user_id: str, client_id: str, *, now: int) -> None:
    """Let a client do nothing for this user until it is resumed. Raises NotFound for one that this user never let in."""
    with db.write() as run:
        add_row(run, user_id, client_id)
        run(
            """
            UPDATE user_clients
            SET paused_at = COALESCE(paused_at, :now)
            WHERE user_id = :user_id AND client_id = :client_id
            """,
            user_id=user_id,
            client_id=client_id,
            now=now,
        )


def resume_client(db: Database, user_id: str, client_id: str) -> None:
    """Let a client work again for this user. Raises NotFound for one of which this user has never said anything."""
    with db.write() as run:
        if not lift_pause(run, user_id, client_id):
            raise NotFound("no such client")


def lift_pause(run: Run, user_id: str, client_id: str) -> bool:
    """Let a client work again, paused or not, in an open transaction; answers whether anything was ever said of it."""
    changed = run(
        """
        UPDATE user_clients
        SET paused_at = NULL
        WHERE user_id = :user_id AND client_id = :client_id
        RETURNING client_id
        """,
        user_id=user_id,
        client_id=client_id,
    )
    return bool(changed)


def add_row(run: Run, user_id: str, client_id: str) -> None:
    """See to it that there is a row, in an open transaction. Raises NotFound for a client without a grant of this user's."""
    found = run(
        """
        INSERT INTO user_clients
            (user_id, client_id)
        SELECT DISTINCT
            p.user_id, g.client_id
        FROM grants g
        JOIN profiles p ON p.id = g.profile_id
        WHERE p.user_id = :user_id AND g.client_id = :client_id
        ON CONFLICT (user_id, client_id) DO UPDATE
        SET alias = user_clients.alias
        RETURNING client_id
        """,
        user_id=user_id,
        client_id=client_id,
    )
    if not found:
        raise NotFound("no such client")

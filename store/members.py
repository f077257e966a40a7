"""Which connections are in which profile, in which order and under which prefix. Knows SQL, not what a connection offers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from db import Database, Run
from errors import InvalidInput, NotFound
from store.revisions import bump_features


@dataclass(frozen=True)
class Member:
    """A connection's place in a profile."""

    connection_id: str
    connector: str
    name: str
    prefix: str
    is_enabled: bool = True  # False: switched off, so nothing of it is listed or called
    joined_at: int = 0


def insert_member(run: Run, profile_id: str, connection_id: str, wanted_prefix: str, now: int = 0) -> None:
    """Let a connection join at the end, in an open transaction. The first one gets no prefix, later ones a free one.

    `now` decides who keeps a name that two features claim; 0 is before everybody else.
    """
    rows = run("SELECT prefix, position FROM profile_connections WHERE profile_id = :id", id=profile_id)
    taken = {row["prefix"] for row in rows}
    run(
        """
        INSERT INTO profile_connections
            (profile_id, connection_id, position, prefix, joined_at)
        VALUES
            (:profile_id, :connection_id, :position, :prefix, :now)
        """,
        profile_id=profile_id,
        connection_id=connection_id,
        position=max((row["position"] for row in rows), default=0) + 1,
        prefix=choose_prefix(wanted_prefix, taken),
        now=now,
    )
    bump_features(run)


def choose_prefix(wanted: str, taken: set[str]) -> str:
    """'' for the first; else `wanted` in letters that a tool's name may hold, numbered if it is taken."""
    if not taken:
        return ""
    base = re.sub(r"[^a-z0-9]+", "_", wanted.lower()).strip("_")[:20].strip("_") or "more"
    numbered = (base if number == 1 else f"{base}{number}" for number in range(1, len(taken) + 2))
    return next(prefix for prefix in numbered if prefix not in taken)


def list_members(db: Database, profile_id: str) -> list[Member]:
    """The connections of a profile, in order."""
    rows = db.query(
        """
        SELECT c.id, c.connector, c.name, m.prefix, m.joined_at, COALESCE(u.is_enabled, 1) AS is_enabled
        FROM profile_connections m
        JOIN connections c ON c.id = m.connection_id
        LEFT JOIN upstreams u ON u.connection_id = c.id
        WHERE m.profile_id = :profile_id
        ORDER BY m.position, c.id
        """,
        profile_id=profile_id,
    )
    return [
        Member(row["id"], row["connector"], row["name"], row["prefix"], bool(row["is_enabled"]), row["joined_at"]) for row in rows
    ]


def add_member(db: Database, user_id: str, profile_id: str, connection_id: str, *, now: int) -> None:
    """Let a connection of the user's join one of their profiles, unless it is there. Raises NotFound for another's."""
    with db.write() as run:
        check_profile(run, user_id, profile_id)
        rows = run("SELECT name FROM connections WHERE id = :id AND user_id = :user_id", id=connection_id, user_id=user_id)
        if not rows:
            raise NotFound("no such connection")
        if not find_positions(run, profile_id).get(connection_id):
            insert_member(run, profile_id, connection_id, rows[0]["name"], now)


def delete_member(db: Database, user_id: str, profile_id: str, connection_id: str) -> None:
    """Take a connection out of a profile, with all that was changed of its features there. Raises NotFound for another's."""
    with db.write() as run:
        check_profile(run, user_id, profile_id)
        run(
            """
            DELETE FROM profile_connections
            WHERE profile_id = :profile_id AND connection_id = :connection_id
            """,
            profile_id=profile_id,
            connection_id=connection_id,
        )
        bump_features(run)


def set_prefix(db: Database, user_id: str, profile_id: str, connection_id: str, prefix: str) -> None:
    """Let the names of a connection's tools begin otherwise. Raises InvalidInput if another connection's begin so already."""
    with db.write() as run:
        check_profile(run, user_id, profile_id)
        taken = run(
            """
            SELECT connection_id
            FROM profile_connections
            WHERE profile_id = :profile_id AND prefix = :prefix AND connection_id <> :connection_id
            """,
            profile_id=profile_id,
            prefix=prefix,
            connection_id=connection_id,
        )
        if taken:
            raise InvalidInput("Another connection in this profile has that prefix already.")
        run(
            """
            UPDATE profile_connections
            SET prefix = :prefix
            WHERE profile_id = :profile_id AND connection_id = :connection_id
            """,
            profile_id=profile_id,
            prefix=prefix,
            connection_id=connection_id,
        )
        bump_features(run)


def move_member(db: Database, user_id: str, profile_id: str, connection_id: str, steps: int) -> None:
    """Move a connection down the order by so many steps, or up if negative. Raises NotFound for another's profile."""
    with db.write() as run:
        check_profile(run, user_id, profile_id)
        order = [key for key, _ in sorted(find_positions(run, profile_id).items(), key=lambda item: (item[1], item[0]))]
        if connection_id not in order:
            raise NotFound("no such connection in this profile")
        place = order.index(connection_id)
        order.insert(max(0, place + steps), order.pop(place))
        for position, item in enumerate(order, start=1):
            run(
                """
                UPDATE profile_connections
                SET position = :position
                WHERE profile_id = :profile_id AND connection_id = :connection_id
                """,
                position=position,
                profile_id=profile_id,
                connection_id=item,
            )
        bump_features(run)


def check_profile(run: Run, user_id: str, profile_id: str) -> None:
    """Raise NotFound unless the profile is this user's."""
    if not run("SELECT id FROM profiles WHERE id = :id AND user_id = :user_id", id=profile_id, user_id=user_id):
        raise NotFound("no such profile")


def find_positions(run: Run, profile_id: str) -> dict[str, int]:
    """Where each connection of a profile stands, by its id, in an open transaction."""
    rows = run("SELECT connection_id, position FROM profile_connections WHERE profile_id = :id", id=profile_id)
    return {row["connection_id"]: row["position"] for row in rows}

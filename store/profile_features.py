"""What a person changes of features in one profile: off, renamed, described anew. Knows SQL, not what a name may hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from db import Database, Row, Run
from errors import NotFound
from store.revisions import bump_features

Key = tuple[str, str, str]  # connection's id, kind, the feature's own name


@dataclass(frozen=True)
class Change:
    """How one profile shows a feature; None: as it comes."""

    is_enabled: bool = True
    name: str | None = None
    title: str | None = None
    description: str | None = None


UNCHANGED = Change()


def list_changes(db: Database, profile_id: str) -> Mapping[Key, Change]:
    """All changes in a profile, by connection, kind and name."""
    rows = db.query(
        """
        SELECT connection_id, kind, name, is_enabled, shown_name, shown_title, shown_description
        FROM profile_features
        WHERE profile_id = :profile_id
        """,
        profile_id=profile_id,
    )
    return {(row["connection_id"], row["kind"], row["name"]): as_change(row) for row in rows}


def put_change(db: Database, user_id: str, profile_id: str, key: Key, change: Change) -> None:
    """Show a feature like this from now on. Raises NotFound unless the profile is the user's and has the connection in it."""
    with db.write() as run:
        check_member(run, user_id, profile_id, key[0])
        upsert_change(run, profile_id, key, change)
        drop_unchanged(run, profile_id)
        bump_features(run)


def set_enabled_features(
    db: Database,
    user_id: str,
    profile_id: str,
    connection_id: str,
    shown: Collection[tuple[str, str]],
    enabled: Collection[tuple[str, str]],
) -> None:
    """Of the features (kind, name) that a page showed, switch exactly those `enabled` on. Raises as `put_change` does."""
    with db.write() as run:
        check_member(run, user_id, profile_id, connection_id)
        for kind, name in shown:
            upsert_enabled(run, profile_id, (connection_id, kind, name), (kind, name) in enabled)
        drop_unchanged(run, profile_id)
        bump_features(run)


def check_member(run: Run, user_id: str, profile_id: str, connection_id: str) -> None:
    """Raise NotFound unless the profile is this user's and the connection is in it."""
    found = run(
        """
        SELECT m.connection_id
        FROM profile_connections m
        JOIN profiles p ON p.id = m.profile_id
        WHERE p.user_id = :user_id AND p.id = :profile_id AND m.connection_id = :connection_id
        """,
        user_id=user_id,
        profile_id=profile_id,
        connection_id=connection_id,
    )
    if not found:
        raise NotFound("no such connection in such a profile")


def upsert_change(run: Run, profile_id: str, key: Key, change: Change) -> None:
    """Keep how a feature is shown, in an open transaction."""
    run(
        """
        INSERT INTO profile_features
            (profile_id, connection_id, kind, name, is_enabled, shown_name, shown_title, shown_description)
        VALUES
            (:profile_id, :connection_id, :kind, :name, :is_enabled, :shown_name, :shown_title, :shown_description)
        ON CONFLICT (profile_id, connection_id, kind, name) DO UPDATE
        SET is_enabled = excluded.is_enabled, shown_name = excluded.shown_name, shown_title = excluded.shown_title,
            shown_description = excluded.shown_description
        """,
        profile_id=profile_id,
        connection_id=key[0],
        kind=key[1],
        name=key[2],
        is_enabled=int(change.is_enabled),
        shown_name=change.name,
        shown_title=change.title,
        shown_description=change.description,
    )


def upsert_enabled(run: Run, profile_id: str, key: Key, is_enabled: bool) -> None:
    """Switch a feature on or off, in an open transaction; what else was changed of it stays."""
    run(
        """
        INSERT INTO profile_features
            (profile_id, connection_id, kind, name, is_enabled)
        VALUES
            (:profile_id, :connection_id, :kind, :name, :is_enabled)
        ON CONFLICT (profile_id, connection_id, kind, name) DO UPDATE
        SET is_enabled = excluded.is_enabled
        """,
        profile_id=profile_id,
        connection_id=key[0],
        kind=key[1],
        name=key[2],
        is_enabled=int(is_enabled),
    )


def drop_unchanged(run: Run, profile_id: str) -> None:
    """Forget rows that change nothing, in an open transaction."""
    run(
        """
        DELETE FROM profile_features
        WHERE profile_id = :profile_id AND is_enabled = 1
            AND shown_name IS NULL AND shown_title IS NULL AND shown_description IS NULL
        """,
        profile_id=profile_id,
    )


def as_change(row: Row) -> Change:
    """A row as a Change."""
    return Change(bool(row["is_enabled"]), row["shown_name"], row["shown_title"], row["shown_description"])

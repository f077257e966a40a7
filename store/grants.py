"""Grants: what clients and API keys may do in profiles. Knows SQL, not what a feature is."""

from __future__ import annotations

from crypto import new_id
from db import Database, Run
from errors import NotFound
from store.revisions import bump_features


def put_grant(run: Run, profile_id: str, client_id: str, feature_set_id: str, now: int) -> str:
    """Give a client a feature set of a profile, in an open transaction; what it had there is replaced. Answers the grant's id.

    Raises NotFound if the feature set is not the profile's, or one of them has gone.
    """
    check_own_set(run, profile_id, feature_set_id)
    grant_id = run(
        """
        INSERT INTO grants
            (id, profile_id, client_id, created_at, updated_at)
        VALUES
            (:id, :profile_id, :client_id, :now, :now)
        ON CONFLICT (client_id, profile_id) DO UPDATE
        SET updated_at = excluded.updated_at
        RETURNING id
        """,
        id=new_id(),
        profile_id=profile_id,
        client_id=client_id,
        now=now,
    )[0]["id"]
    put_feature_set(run, grant_id, feature_set_id)
    return grant_id


def insert_key_grant(run: Run, profile_id: str, api_key_id: str, feature_set_id: str, now: int) -> str:
    """Give an API key its one grant, in an open transaction; answers the grant's id.

    Raises NotFound if the feature set is not the profile's, or one of them has gone.
    """
    check_own_set(run, profile_id, feature_set_id)
    grant_id = new_id()
    run(
        """
        INSERT INTO grants
            (id, profile_id, api_key_id, created_at, updated_at)
        VALUES
            (:id, :profile_id, :api_key_id, :now, :now)
        """,
        id=grant_id,
        profile_id=profile_id,
        api_key_id=api_key_id,
        now=now,
    )
    put_feature_set(run, grant_id, feature_set_id)
    return grant_id


def check_own_set(run: Run, profile_id: str, feature_set_id: str) -> None:
    """Raise NotFound, in an open transaction, unless this is a feature set of the profile."""
    if not run("SELECT id FROM feature_sets WHERE id = :id AND profile_id = :profile", id=feature_set_id, profile=profile_id):
        raise NotFound("no such feature set")


def put_feature_set(run: Run, grant_id: str, feature_set_id: str) -> None:
    """Let a grant hold this feature set and no other, in an open transaction."""
    run("DELETE FROM grant_feature_sets WHERE grant_id = :grant_id", grant_id=grant_id)
    run(
        """
        INSERT INTO grant_feature_sets
            (grant_id, feature_set_id)
        VALUES
            (:grant_id, :feature_set_id)
        """,
        grant_id=grant_id,
        feature_set_id=feature_set_id,
    )
    bump_features(run)


def list_granted_kinds(db: Database, grant_id: str) -> frozenset[str]:
    """The kinds of the feature sets that a grant holds."""
    rows = db.query(
        """
        SELECT s.kind
        FROM grant_feature_sets g
        JOIN feature_sets s ON s.id = g.feature_set_id
        WHERE g.grant_id = :grant_id
        """,
        grant_id=grant_id,
    )
    return frozenset(row["kind"] for row in rows)


def list_granted_profiles(db: Database, user_id: str, client_id: str) -> frozenset[str]:
    """The ids of this user's profiles in which a client already has a grant."""
    rows = db.query(
        """
        SELECT p.id
        FROM grants g
        JOIN profiles p ON p.id = g.profile_id
        WHERE p.user_id = :user_id AND g.client_id = :client_id
        """,
        user_id=user_id,
        client_id=client_id,
    )
    return frozenset(row["id"] for row in rows)


def list_client_names(db: Database, profile_id: str) -> list[str]:
    """What the profile's user calls the clients with a grant in it: they will see what joins it."""
    rows = db.query(
        """
        SELECT COALESCE(u.alias, c.name, c.id) AS name
        FROM grants g
        JOIN profiles p ON p.id = g.profile_id
        JOIN clients c ON c.id = g.client_id
        LEFT JOIN user_clients u ON u.user_id = p.user_id AND u.client_id = c.id
        WHERE g.profile_id = :profile_id
        ORDER BY 1
        """,
        profile_id=profile_id,
    )
    return [row["name"] for row in rows]

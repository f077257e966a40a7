"""Profiles and their feature sets. Knows SQL, not what a feature is; the grants on them are in grants.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from crypto import new_id
from db import Database, Row, Run
from errors import InvalidInput, NotFound
from store.members import Member, choose_prefix, insert_member, list_members
from store.revisions import bump_features

__all__ = ("Member", "choose_prefix", "insert_member", "list_members")  # a profile is its members: they can be had here too
BUILT_IN_SETS = (("all", "Everything"), ("read_only", "Read only"), ("core", "Core"))


@dataclass(frozen=True)
class Profile:
    """A named bundle of a user's connections; `slug` is its address."""

    id: str
    user_id: str
    slug: str
    name: str
    is_default: bool
    is_searchable: bool = True  # whether assistants get `search` and `fetch`


@dataclass(frozen=True)
class FeatureSet:
    """A permission bundle of a profile."""

    id: str
    kind: str
    name: str


# --- profiles ---


def insert_profile(run: Run, user_id: str, name: str, slug: str, *, is_default: bool, now: int) -> str:
    """Make a profile with its built-in feature sets, in an open transaction; answers its id."""
    profile_id = new_id()
    run(
        """
        INSERT INTO profiles
            (id, user_id, slug, name, is_default, created_at)
        VALUES
            (:id, :user_id, :slug, :name, :is_default, :now)
        """,
        id=profile_id,
        user_id=user_id,
        slug=slug,
        name=name,
        is_default=int(is_default),
        now=now,
    )
    for kind, title in BUILT_IN_SETS:
        run(
            """
            INSERT INTO feature_sets
                (id, profile_id, kind, name)
            VALUES
                (:id, :profile_id, :kind, :name)
            """,
            id=new_id(),
            profile_id=profile_id,
            kind=kind,
            name=title,
        )
    return profile_id


def create_profile(db: Database, user_id: str, name: str, slug: str, *, now: int) -> Profile:
    """Make a further profile. Raises InvalidInput if the name is taken, or the address by anybody on this server."""
    with db.write() as run:
        check_profile_name(run, user_id, name, "")
        if run("SELECT id FROM profiles WHERE slug = :slug", slug=slug):
            raise InvalidInput("Please look at the marked fields.", {"slug": "This address is taken."})
        profile_id = insert_profile(run, user_id, name, slug, is_default=False, now=now)
    return Profile(profile_id, user_id, slug, name, False)


def was_just_made(db: Database, user_id: str, name: str, slug: str, *, after: int) -> bool:
    """Whether the user has this very profile since a moment later than `after`: by the same form, which was sent twice."""
    made = db.query(
        """
        SELECT id
        FROM profiles
        WHERE user_id = :user_id AND name = :name AND slug = :slug AND is_default = 0 AND created_at > :after
        """,
        user_id=user_id,
        name=name,
        slug=slug,
        after=after,
    )
    return bool(made)


def rename_profile(db: Database, user_id: str, profile_id: str, name: str) -> None:
    """Call a profile something else; its address stays. Raises InvalidInput if the name is taken."""
    with db.write() as run:
        check_profile_name(run, user_id, name, profile_id)
        renamed = run(
            """
            UPDATE profiles
            SET name = :name
            WHERE id = :id AND user_id = :user_id
            RETURNING id
            """,
            name=name,
            id=profile_id,
            user_id=user_id,
        )
        if not renamed:
            raise NotFound("no such profile")


def check_profile_name(run: Run, user_id: str, name: str, profile_id: str) -> None:
    """Raise InvalidInput if another profile of this user has the name."""
    if run(
        "SELECT id FROM profiles WHERE user_id = :user_id AND name = :name AND id <> :id",
        user_id=user_id,
        name=name,
        id=profile_id,
    ):
        raise InvalidInput("Please look at the marked fields.", {"profile_name": "You already have a profile of this name."})


def delete_profile(db: Database, user_id: str, profile_id: str) -> None:
    """Remove a profile with all access that was given to it. Raises NotFound for another's, and for the default one."""
    with db.write() as run:
        gone = run(
            """
            DELETE FROM profiles
            WHERE id = :id AND user_id = :user_id AND is_default = 0
            RETURNING id
            """,
            id=profile_id,
            user_id=user_id,
        )
        if not gone:
            raise NotFound("no such profile that can be deleted")
        bump_features(run)


def find_free_slug(run: Run, wanted: str, owner_name: str) -> str:
    """An address that nobody has: `wanted`, else with the owner's name, else with a random end."""
    polite = re.sub(r"[^a-z0-9-]+", "-", f"{wanted}-{owner_name}".lower()).strip("-")[:32]
    for slug in (wanted, polite):
        if not run("SELECT id FROM profiles WHERE slug = :slug", slug=slug):
            return slug
    return f"{polite[:20]}-{new_id()[:8]}"


def list_profiles(db: Database, user_id: str) -> list[Profile]:
    """A user's profiles, the default one first."""
    rows = db.query(
        """
        SELECT id, user_id, slug, name, is_default, is_searchable
        FROM profiles
        WHERE user_id = :user_id
        ORDER BY is_default DESC, name
        """,
        user_id=user_id,
    )
    return [as_profile(row) for row in rows]


def find_profile_by_slug(db: Database, user_id: str, slug: str) -> Profile | None:
    """This user's profile at an address; another user's is unknown."""
    found = [profile for profile in list_profiles(db, user_id) if profile.slug == slug]
    return found[0] if found else None


def find_profile(db: Database, user_id: str, profile_id: str) -> Profile | None:
    """This user's profile with an id."""
    found = [profile for profile in list_profiles(db, user_id) if profile.id == profile_id]
    return found[0] if found else None


def set_searchable(db: Database, user_id: str, profile_id: str, is_searchable: bool) -> None:
    """Let assistants have `search` and `fetch` over a profile, or not. Raises NotFound for another's."""
    with db.write() as run:
        changed = run(
            """
            UPDATE profiles
            SET is_searchable = :is_searchable
            WHERE id = :id AND user_id = :user_id
            RETURNING id
            """,
            is_searchable=int(is_searchable),
            id=profile_id,
            user_id=user_id,
        )
        if not changed:
            raise NotFound("no such profile")
        bump_features(run)


def as_profile(row: Row) -> Profile:
    """A row as a Profile."""
    return Profile(
        row["id"], row["user_id"], row["slug"], row["name"], bool(row["is_default"]), bool(row["is_searchable"])
    )


# --- feature sets ---


def find_choice(
    db: Database, profiles: Iterable[Profile], slug: str | None, kind: str | None
) -> tuple[Profile, FeatureSet] | None:
    """The one of these profiles that has this slug, and its feature set of this kind; None if there are no such two."""
    profile = next((item for item in profiles if item.slug == slug), None)
    sets = list_feature_sets(db, profile.id) if profile else []
    return next(((profile, item) for item in sets if item.kind == kind), None)


def list_feature_sets(db: Database, profile_id: str) -> list[FeatureSet]:
    """The feature sets of a profile; the preselected one, `all`, first."""
    rows = db.query(
        """
        SELECT id, kind, name
        FROM feature_sets
        WHERE profile_id = :profile_id
        ORDER BY CASE kind WHEN 'all' THEN 0 WHEN 'read_only' THEN 1 ELSE 2 END, name
        """,
        profile_id=profile_id,
    )
    return [FeatureSet(row["id"], row["kind"], row["name"]) for row in rows]

"""API keys: how they are made, recognised and taken back. Knows SQL, not HTTP; what a key may do is its grant, in grants.py."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import hash_token, new_id, new_token
from db import Database, Row, Run
from errors import InvalidInput, NotFound
from store.revisions import bump_features

KEY_START = "mcp_sk_"
SHOWN_LETTERS = 5  # behind the start: enough to tell a person's keys apart, and 30 of 256 bits
IDLE_SECONDS = 90 * 86400  # a key that nobody has used for so long is good no more
KEYS_MAX = 20  # of one user, that are good
NAME_MAX = 60
KEEP_SECONDS = 30 * 86400


@dataclass(frozen=True)
class ApiKey:
    """A key as its person sees it; `ends_at` is when it will be good no more unless it is used before."""

    id: str
    name: str
    prefix: str
    profile_name: str
    slug: str
    feature_set: str
    created_at: int
    used_at: int | None
    expires_at: int | None
    ends_at: int


@dataclass(frozen=True)
class KeyHolder:
    """Who a key stands for, on which grant. It opens /mcp and the address of its profile, /mcp/<slug>."""

    id: str
    grant_id: str
    user_id: str
    profile_id: str
    slug: str
    used_at: int | None
    ends_at: int
    revision: int


def insert_key(
    run: Run, user_id: str, name: str, random_part: str = "", *, lifetime: int | None, now: int
) -> tuple[str, str]:
    """Make a key that lives for `lifetime` seconds (None: for ever), in an open transaction, which has to give it a grant.

    Answers its id, and the key in clear: this is the only time that it is seen. Raises InvalidInput for a bad name, or
    if the user has KEYS_MAX good ones already.
    """
    name = check_key_name(name)
    if count_good_keys(run, user_id, now) >= KEYS_MAX:
        raise InvalidInput(f"You have {KEYS_MAX} keys already. Revoke one that you do not need any more.")
    key_id, key = new_id(), KEY_START + (random_part or new_token(""))
    run(
        """
        INSERT INTO api_keys
            (id, user_id, name, key_hash, prefix, created_at, expires_at)
        VALUES
            (:id, :user_id, :name, :key_hash, :prefix, :now, :expires_at)
        """,
        id=key_id,
        user_id=user_id,
        name=name,
        key_hash=hash_token(key),
        prefix=key[: len(KEY_START) + SHOWN_LETTERS],
        now=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    return key_id, key


def was_just_made(run: Run, random_part: str, wanted: tuple[str, str, str, int | None], after: int) -> bool:
    """Whether a key was made later than `after`, in an open transaction: by the same form, which was sent twice.

    `wanted` is its name, profile, feature set and lifetime. Raises InvalidInput if it was made before, or is another one now.
    """
    rows = run(
        """
        SELECT k.name, g.profile_id, h.feature_set_id, k.expires_at - k.created_at AS lifetime, k.created_at, k.revoked_at
        FROM api_keys k
        LEFT JOIN grants g ON g.api_key_id = k.id
        LEFT JOIN grant_feature_sets h ON h.grant_id = g.id
        WHERE k.key_hash = :key_hash
        """,
        key_hash=hash_token(KEY_START + random_part),
    )
    if rows and (tuple(rows[0])[:4] != wanted or rows[0]["created_at"] <= after or rows[0]["revoked_at"] is not None):
        raise InvalidInput("This form has made its key already, which is shown only once. Press again to make another one.")
    return bool(rows)


def check_key_name(name: str) -> str:
    """The name without blanks around it; raises InvalidInput unless it is a short line of ordinary characters."""
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidInput("Please look at the marked fields.", {"key_name": f"1 to {NAME_MAX} ordinary characters."})
    return name


def find_key(db: Database, key: str) -> KeyHolder | None:
    """Who a key stands for, in one indexed query; None if it is unknown or was revoked. The caller checks the end."""
    rows = db.query(
        """
        SELECT k.id, g.id AS grant_id, k.user_id, g.profile_id, p.slug, k.created_at, k.used_at, k.expires_at,
            r.number AS revision
        FROM api_keys k
        JOIN grants g ON g.api_key_id = k.id
        JOIN profiles p ON p.id = g.profile_id
        JOIN revisions r ON r.name = 'features'
        WHERE k.key_hash = :key_hash AND k.revoked_at IS NULL
        """,
        key_hash=hash_token(key),
    )
    if not rows:
        return None
    row = rows[0]
    return KeyHolder(
        row["id"], row["grant_id"], row["user_id"], row["profile_id"], row["slug"], row["used_at"], row_ends_at(row),
        row["revision"],
    )  # fmt: skip


def row_ends_at(row: Row) -> int:
    """When the key in a row is good no more: at its expiry, or when it has been idle for too long."""
    idle_at = (row["used_at"] or row["created_at"]) + IDLE_SECONDS
    return idle_at if row["expires_at"] is None else min(idle_at, row["expires_at"])


def count_good_keys(run: Run, user_id: str, now: int) -> int:
    """How many of a user's keys open something."""
    rows = run(
        """
        SELECT k.created_at, k.used_at, k.expires_at
        FROM api_keys k
        JOIN grants g ON g.api_key_id = k.id
        WHERE k.user_id = :user_id AND k.revoked_at IS NULL
        """,
        user_id=user_id,
    )
    return sum(row_ends_at(row) > now for row in rows)


def list_keys(db: Database, user_id: str) -> list[ApiKey]:
    """A user's keys that were not revoked, the latest first: those too that have expired, so that the person can see why."""
    rows = db.query(
        """
        SELECT k.id, k.name, k.prefix, p.name AS profile_name, p.slug, s.name AS feature_set, k.created_at, k.used_at,
            k.expires_at
        FROM api_keys k
        JOIN grants g ON g.api_key_id = k.id
        JOIN profiles p ON p.id = g.profile_id
        JOIN grant_feature_sets h ON h.grant_id = g.id
        JOIN feature_sets s ON s.id = h.feature_set_id
        WHERE k.user_id = :user_id AND k.revoked_at IS NULL
        ORDER BY k.created_at DESC, k.id
        """,
        user_id=user_id,
    )
    return [ApiKey(*row, row_ends_at(row)) for row in rows]


def revoke_key(db: Database, user_id: str, key_id: str, *, now: int) -> None:
    """Take one of this user's keys back, as listed: it opens nothing from the next request on. Raises NotFound for any other."""
    with db.write() as run:
        revoked = run(
            """
            UPDATE api_keys
            SET revoked_at = :now
            WHERE id = :id AND user_id = :user_id AND revoked_at IS NULL
                AND EXISTS (SELECT id FROM grants WHERE api_key_id = api_keys.id)
            RETURNING id
            """,
            id=key_id,
            user_id=user_id,
            now=now,
        )
        if not revoked:
            raise NotFound("no such key")
        bump_features(run)  # who listens for changes looks again, and learns that the key is good no more


def note_key_used(db: Database, key_id: str, *, now: int) -> None:
    """Remember that a key was used; the caller sees to it that this is at most once a minute.

    Raises StorageError rather than wait long for other writers.
    """
    with db.write(hasty=True) as run:
        run("UPDATE api_keys SET used_at = :now WHERE id = :id", id=key_id, now=now)


def purge_keys(db: Database, *, now: int) -> None:
    """Forget keys that have been good for nothing for a month, with their grants, and those whose profile is gone."""
    with db.write() as run:
        run(
            """
            DELETE FROM api_keys
            WHERE revoked_at <= :then OR expires_at <= :then OR COALESCE(used_at, created_at) + :idle <= :then
                OR NOT EXISTS (SELECT id FROM grants WHERE api_key_id = api_keys.id)
            """,
            then=now - KEEP_SECONDS,
            idle=IDLE_SECONDS,
        )

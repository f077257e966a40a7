"""What the servers behind connections offer, as they listed it. Knows SQL; lists nothing by itself, and names nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from db import Database, Row, Run
from store.looks import check_owner, put_left_out
from store.revisions import bump_features

KINDS = ("tool", "prompt", "resource", "template")
HELD_KINDS = ("tool", "prompt")  # those whose words speak to a model; a resource may change its size or date at any time
GONE_MAX = 1_000  # features of one connection that are kept though its server lists them no more


@dataclass(frozen=True)
class Found:
    """A feature as a server has just listed it, found to be sound."""

    kind: str
    name: str
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Feature:
    """A feature of a connection's server. `accepted` is the definition that counts as seen by the connection's person."""

    connection_id: str
    kind: str
    name: str  # a tool's or prompt's name, a resource's URI, a template's URI template
    raw: Mapping[str, Any]  # as the server listed it last
    accepted: Mapping[str, Any] | None  # None: it came later, and nobody has looked at it
    hash: str
    accepted_hash: str | None
    reads_confirmed_hash: str | None
    first_seen_at: int
    last_seen_at: int
    is_available: bool
    searchable_hash: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether it came after the connection was made, and nobody has looked at it since."""
        return self.accepted_hash is None

    @property
    def is_changed(self) -> bool:
        """Whether its definition is another one than the one last looked at."""
        return self.accepted_hash not in (None, self.hash)

    @property
    def claims_to_read(self) -> bool:
        """Whether its server says that it changes nothing: a hint, which anybody may give (MCP, ToolAnnotations)."""
        return self.kind == "tool" and (self.raw.get("annotations") or {}).get("readOnlyHint") is True

    @property
    def reads(self) -> bool:
        """Whether a person has confirmed that hint, for exactly the definition that the server gives now."""
        return self.claims_to_read and self.reads_confirmed_hash == self.hash

    @property
    def is_searchable(self) -> bool:
        """Whether a person lets `search` and `fetch` use it, in exactly the definition that the server gives now."""
        return self.kind == "tool" and self.searchable_hash == self.hash

    def served(self, changes: str) -> Mapping[str, Any] | None:
        """The definition that assistants get, as the connection's rule about changes has it; None: none yet."""
        if changes == "follow":
            return self.raw
        return self.accepted or (self.raw if changes == "hold" else None)


def hash_definition(raw: Mapping[str, Any]) -> str:
    """What tells two definitions apart: whatever they say, in whichever order."""
    return sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


# --- what was found ---


def save_features(
    db: Database, connection_id: str, kinds: Iterable[str], found: Iterable[Found], left_out: Iterable[str], *, now: int
) -> bool:
    """Keep what a look at a server found of these kinds; what it found no more is kept as unavailable. Answers whether anything
    is different now. What the first look finds counts as accepted, for the person has just let the server in.
    """
    listed = {(item.kind, item.name): item for item in found}
    with db.write() as run:
        if not run("SELECT id FROM connections WHERE id = :id", id=connection_id):
            return False
        put_left_out(run, connection_id, list(left_out))
        known = list_known(run, connection_id)
        last = max((row["position"] for row in known.values()), default=0)
        fresh = [item for key, item in listed.items() if key not in known]
        for position, item in enumerate(fresh, start=last + 1):
            insert_feature(run, connection_id, item, position, is_accepted=not known or item.kind not in HELD_KINDS, now=now)
        other = [item for key, item in listed.items() if key in known and is_other(known[key], item)]
        for item in other:
            replace_feature(run, connection_id, item)
        gone = [key for key, row in known.items() if key[0] in kinds and key not in listed and row["is_available"]]
        for kind, name in gone:
            lose_feature(run, connection_id, kind, name)
        touch_features(run, connection_id, now)
        drop_long_gone(run, connection_id)
        if fresh or other or gone:
            bump_features(run)
    return bool(fresh or other or gone)


def list_known(run: Run, connection_id: str) -> dict[tuple[str, str], Row]:
    """What is kept of a connection's features to tell what is different, by kind and name, in an open transaction."""
    rows = run(
        """
        SELECT kind, name, position, hash, is_available
        FROM features
        WHERE connection_id = :connection_id
        """,
        connection_id=connection_id,
    )
    return {(row["kind"], row["name"]): row for row in rows}


def is_other(row: Row, item: Found) -> bool:
    """Whether what was found differs from what is kept, or had been away."""
    return not row["is_available"] or row["hash"] != hash_definition(item.raw)


def insert_feature(run: Run, connection_id: str, item: Found, position: int, *, is_accepted: bool, now: int) -> None:
    """Keep a feature that was never seen before, in an open transaction."""
    raw_json, digest = json.dumps(item.raw), hash_definition(item.raw)
    run(
        """
        INSERT INTO features
            (connection_id, kind, name, position, raw_json, hash, accepted_json, accepted_hash, first_seen_at, last_seen_at,
            is_available)
        VALUES
            (:connection_id, :kind, :name, :position, :raw_json, :hash, :accepted_json, :accepted_hash, :now, :now, 1)
        """,
        connection_id=connection_id,
        kind=item.kind,
        name=item.name,
        position=position,
        raw_json=raw_json,
        hash=digest,
        accepted_json=raw_json if is_accepted else None,
        accepted_hash=digest if is_accepted else None,
        now=now,
    )


def replace_feature(run: Run, connection_id: str, item: Found) -> None:
    """Keep the new definition of a feature, in an open transaction. The accepted one stays, where there is one to hold."""
    raw_json, digest = json.dumps(item.raw), hash_definition(item.raw)
    run(
        """
        UPDATE features
        SET raw_json = :raw_json, hash = :hash, is_available = 1,
            accepted_json = CASE :is_held WHEN 1 THEN accepted_json ELSE :raw_json END,
            accepted_hash = CASE :is_held WHEN 1 THEN accepted_hash ELSE :hash END
        WHERE connection_id = :connection_id AND kind = :kind AND name = :name
        """,
        connection_id=connection_id,
        kind=item.kind,
        name=item.name,
        raw_json=raw_json,
        hash=digest,
        is_held=int(item.kind in HELD_KINDS),
    )


def lose_feature(run: Run, connection_id: str, kind: str, name: str) -> None:
    """Note that a server lists a feature no more, in an open transaction."""
    run(
        """
        UPDATE features
        SET is_available = 0
        WHERE connection_id = :connection_id AND kind = :kind AND name = :name
        """,
        connection_id=connection_id,
        kind=kind,
        name=name,
    )


def touch_features(run: Run, connection_id: str, now: int) -> None:
    """Note when everything that is available was seen, in an open transaction."""
    run(
        """
        UPDATE features
        SET last_seen_at = :now
        WHERE connection_id = :connection_id AND is_available = 1
        """,
        connection_id=connection_id,
        now=now,
    )


def drop_long_gone(run: Run, connection_id: str) -> None:
    """Forget what has been away longest, in an open transaction, so that a server which always lists others fills nothing."""
    run(
        """
        DELETE FROM features
        WHERE connection_id = :connection_id AND position IN (
            SELECT position
            FROM features
            WHERE connection_id = :connection_id AND is_available = 0
            ORDER BY last_seen_at DESC, position DESC
            LIMIT 100000 OFFSET :kept
        )
        """,
        connection_id=connection_id,
        kept=GONE_MAX,
    )


# --- what a person says to it ---


def accept_features(db: Database, user_id: str, connection_id: str, keys: Iterable[tuple[str, str, str]]) -> None:
    """The person has looked at these features (kind, name, hash): what is new or changed counts as accepted from now on. One that
    has changed again since it was shown is left as it is. Raises NotFound for another's connection.
    """
    with db.write() as run:
        check_owner(run, user_id, connection_id)
        for kind, name, digest in keys:
            run(
                """
                UPDATE features
                SET accepted_json = raw_json, accepted_hash = hash
                WHERE connection_id = :connection_id AND kind = :kind AND name = :name AND hash = :hash
                """,
                connection_id=connection_id,
                kind=kind,
                name=name,
                hash=digest,
            )
        bump_features(run)


def confirm_reads(db: Database, user_id: str, connection_id: str, keys: Iterable[tuple[str, str]], *, confirmed: bool) -> None:
    """The person believes that these tools (name, hash) only read, or does so no more. Raises as `believe` does."""
    believe(db, user_id, connection_id, "reads_confirmed_hash", keys, confirmed)


def mark_searchable(db: Database, user_id: str, connection_id: str, keys: Iterable[tuple[str, str]], *, marked: bool) -> None:
    """The person lets `search` and `fetch` use these tools (name, hash), or does so no more. Raises as `believe` does."""
    believe(db, user_id, connection_id, "searchable_hash", keys, marked)


def believe(
    db: Database, user_id: str, connection_id: str, column: str, keys: Iterable[tuple[str, str]], believed: bool
) -> None:
    """What a person believes of tools as they are defined now, in one of two columns; believing accepts their definition too. One
    that has changed again since it was shown is left as it is. Raises NotFound for another's connection.
    """
    with db.write() as run:
        check_owner(run, user_id, connection_id)
        for name, digest in keys:
            run(
                f"""
                UPDATE features
                SET {column} = CASE :believed WHEN 1 THEN hash ELSE NULL END,
                    accepted_json = CASE :believed WHEN 1 THEN raw_json ELSE accepted_json END,
                    accepted_hash = CASE :believed WHEN 1 THEN hash ELSE accepted_hash END
                WHERE connection_id = :connection_id AND kind = 'tool' AND name = :name AND hash = :hash
                """,  # noqa: S608 (no part of it comes from outside)
                connection_id=connection_id,
                name=name,
                hash=digest,
                believed=int(believed),
            )
        bump_features(run)


# --- what there is ---


def list_features(db: Database, connection_id: str) -> list[Feature]:
    """All features of a connection that are kept, in the order in which they were first seen."""
    return load_features(db, "f.connection_id = :connection_id", connection_id=connection_id)


def list_features_of_profile(db: Database, profile_id: str) -> list[Feature]:
    """All features that the servers in a profile have, in one query."""
    return load_features(
        db,
        "f.connection_id IN (SELECT connection_id FROM profile_connections WHERE profile_id = :profile_id)",
        profile_id=profile_id,
    )


def find_feature(db: Database, connection_id: str, kind: str, name: str) -> Feature | None:
    """One feature of a connection, under its server's own name."""
    found = load_features(
        db,
        "f.connection_id = :connection_id AND f.kind = :kind AND f.name = :name",
        connection_id=connection_id,
        kind=kind,
        name=name,
    )
    return found[0] if found else None


def load_features(db: Database, condition: str, **values: str) -> list[Feature]:
    """The features that a fixed SQL condition of this file selects."""
    rows = db.query(
        f"""
        SELECT f.connection_id, f.kind, f.name, f.raw_json, f.accepted_json, f.hash, f.accepted_hash, f.reads_confirmed_hash,
            f.first_seen_at, f.last_seen_at, f.is_available, f.searchable_hash
        FROM features f
        WHERE {condition}
        ORDER BY f.connection_id, f.position
        """,  # noqa: S608 (no part of it comes from outside)
        **values,
    )
    return [as_feature(row) for row in rows]


def as_feature(row: Row) -> Feature:
    """A row as a Feature."""
    raw, accepted = json.loads(row["raw_json"]), row["accepted_json"]
    accepted = raw if row["accepted_hash"] == row["hash"] else json.loads(accepted) if accepted else None
    facts = [row[name] for name in ("hash", "accepted_hash", "reads_confirmed_hash", "first_seen_at", "last_seen_at")]
    is_available, searchable_hash = bool(row["is_available"]), row["searchable_hash"]
    return Feature(row["connection_id"], row["kind"], row["name"], raw, accepted, *facts, is_available, searchable_hash)


def count_features(db: Database, user_id: str) -> dict[str, tuple[dict[str, int], int]]:
    """({kind: how many are available}, how many of them are new or changed since their person looked), by connection."""
    rows = db.query(
        """
        SELECT f.connection_id, f.kind, COUNT(*) AS number,
            SUM(CASE WHEN f.accepted_hash IS NULL OR f.accepted_hash <> f.hash THEN 1 ELSE 0 END) AS unseen
        FROM features f
        JOIN connections c ON c.id = f.connection_id
        WHERE c.user_id = :user_id AND f.is_available = 1
        GROUP BY f.connection_id, f.kind
        """,
        user_id=user_id,
    )
    counted: dict[str, tuple[dict[str, int], int]] = {}
    for row in rows:
        numbers, unseen = counted.get(row["connection_id"], ({}, 0))
        counted[row["connection_id"]] = (numbers | {row["kind"]: row["number"]}, unseen + row["unseen"])
    return counted

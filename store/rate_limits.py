"""Token buckets that all workers share. Knows SQL; the policies in words stand in limits.py."""

from __future__ import annotations

import math

from crypto import hash_token
from db import Database

JUMP_SECONDS = 60  # the clocks of two requests differ by less


def take_token(db: Database, policy: str, identity: str, *, capacity: int, per_seconds: float, now: float) -> int:
    """Take one token from the bucket of `identity` under `policy`: it holds `capacity` and refills in `per_seconds`.

    One statement, so that no two requests take the same token. A bucket that would be full later than an empty one was left
    behind by a clock that has jumped back since, and says nothing. Answers 0 if there was a token, else the seconds to wait.
    """
    bucket_hash = hash_token(f"{policy}\n{identity}")
    interval = per_seconds / capacity
    with db.write() as run:
        taken = run(
            """
            INSERT INTO rate_limits
                (bucket_hash, full_at)
            VALUES
                (:bucket_hash, :now + :interval)
            ON CONFLICT (bucket_hash) DO UPDATE
            SET full_at = :interval + CASE
                WHEN rate_limits.full_at BETWEEN :now AND :latest THEN rate_limits.full_at
                ELSE :now
            END
            WHERE rate_limits.full_at <= :now + :most OR rate_limits.full_at > :latest
            RETURNING full_at
            """,
            bucket_hash=bucket_hash,
            now=now,
            interval=interval,
            most=per_seconds - interval / 2,  # half of one: sums of fractions are not exact
            latest=now + per_seconds + JUMP_SECONDS,
        )
        if taken:
            return 0
        row = run("SELECT full_at FROM rate_limits WHERE bucket_hash = :bucket_hash", bucket_hash=bucket_hash)[0]
    return max(1, math.ceil(row["full_at"] - now - (per_seconds - interval)))


def purge_rate_limits(db: Database, *, now: float) -> None:
    """Drop the buckets that are full again: they say nothing."""
    with db.write() as run:
        run("DELETE FROM rate_limits WHERE full_at <= :now", now=now)

"""Who does a periodic task just now, and when it was last done. Knows SQL, not the tasks."""

from __future__ import annotations

from db import Database


def take_lease(db: Database, name: str, holder: str, *, every_seconds: int, lease_seconds: int, now: int) -> bool:
    """Take the task `name` for `lease_seconds`, if nobody has it and it was last done `every_seconds` ago or never.

    One statement, so that of all processes only one gets it. A holder that dies keeps others out until its lease expires.
    """
    with db.write() as run:
        taken = run(
            """
            INSERT INTO leases
                (name, holder, expires_at)
            VALUES
                (:name, :holder, :now + :lease_seconds)
            ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE leases.expires_at <= :now AND (leases.done_at IS NULL OR leases.done_at + :every_seconds <= :now)
            RETURNING name
            """,
            name=name,
            holder=holder,
            every_seconds=every_seconds,
            lease_seconds=lease_seconds,
            now=now,
        )
    return bool(taken)


def finish_lease(db: Database, name: str, holder: str, *, now: int) -> bool:
    """Note that the task is done and let go of it; False if it had already passed to another holder, who is left alone."""
    with db.write() as run:
        finished = run(
            """
            UPDATE leases
            SET done_at = :now, expires_at = :now
            WHERE name = :name AND holder = :holder
            RETURNING name
            """,
            name=name,
            holder=holder,
            now=now,
        )
    return bool(finished)

"""The number that moves whenever what a caller may see changes. Stands below the other stores, so that they may move it."""

from __future__ import annotations

from db import Database, Run


def bump_features(run: Run) -> None:
    """Move the number inside an open transaction: every process then drops what it had prepared."""
    run("""
        UPDATE revisions
        SET number = revisions.number + 1
        WHERE name = 'features'
    """)


def find_revision(db: Database) -> int:
    """The number as it is now."""
    return db.query("SELECT number FROM revisions WHERE name = 'features'")[0]["number"]

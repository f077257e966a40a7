"""The number that moves whenever what a caller may see changes. Stands below the other stores, so that they may move it."""

from __future__ import annotations

from db import Run


def bump_features(run: Run) -> None:
    """Move the number inside an open transaction: every process then drops what it had prepared."""
    run("""
        UPDATE revisions
        SET number = revisions.number + 1
        WHERE name = 'features'
    """)

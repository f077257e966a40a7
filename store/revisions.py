"""Numbers that move whenever others have to look again. Stands below the other stores, so that they may move them."""

from __future__ import annotations

from db import Database, Run


def bump_features(run: Run) -> None:
    """Move the number inside an open transaction: every process then drops what it had prepared."""
    bump(run, "features")


def bump_mcp_sessions(run: Run) -> None:
    """The same for those who serve the streams of MCP sessions."""
    bump(run, "mcp_sessions")


def bump(run: Run, name: str) -> None:
    """One of the numbers."""
    run(
        """
        UPDATE revisions
        SET number = revisions.number + 1
        WHERE name = :name
        """,
        name=name,
    )


def find_revisions(db: Database) -> tuple[int, int]:
    """Both numbers: of what callers see, and of MCP sessions."""
    numbers = {row["name"]: row["number"] for row in db.query("SELECT name, number FROM revisions")}
    return numbers["features"], numbers["mcp_sessions"]


def find_revision(db: Database) -> int:
    """The number of what callers see, as it is now."""
    return find_revisions(db)[0]

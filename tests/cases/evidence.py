"""What stands in a server's database, so that a test can say that nothing has changed. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

# They count and remember; they give nothing.
UNTOLD_TABLES = frozenset({"rate_limits", "leases", "cache", "sign_in_attempts", "sign_in_steps"})
UNTOLD_COLUMNS = {  # notes of when somebody was here
    "logins": {"seen_at", "expires_at"},
    "sessions": {"used_at"},
    "api_keys": {"used_at"},
    "mcp_sessions": {"seen_at", "expires_at"},
}

Snapshot = dict[str, set[tuple[Any, ...]]]


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot change anything."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def read(path: Path, sql: str, **values: Any) -> list[Any]:
    """The rows of one SELECT in a server's database file."""
    with closing(open_read_only(path)) as connection:
        return connection.execute(sql, values).fetchall()


def snapshot(path: Path) -> Snapshot:
    """Every row of every table that says who may do what."""
    found: Snapshot = {}
    with closing(open_read_only(path)) as connection:
        connection.execute("BEGIN")  # one moment for all tables
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in set(tables) - UNTOLD_TABLES:
            columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
            told = [name for name in columns if name not in UNTOLD_COLUMNS.get(table, ())]
            found[table] = {tuple(row) for row in connection.execute(f"SELECT {', '.join(told)} FROM {table}")}
    return found


def changes(before: Snapshot, after: Snapshot) -> dict[str, set[tuple[Any, ...]]]:
    """For each table that differs, the rows that came, went or look different now."""
    return {table: rows ^ before[table] for table, rows in after.items() if rows != before[table]}


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Fails unless the database is afterwards as it was before."""
    before = snapshot(path)
    yield
    assert changes(before, snapshot(path)) == {}

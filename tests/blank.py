"""An empty database with the current schema: made once in each process, and copied from then on. Holds no test."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from db import migrate, open_database

ROOT = Path(__file__).parent.parent
NOW = 1_790_000_000


@functools.cache
def blank() -> bytes:
    """The file's content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blank.db"
        database = open_database(f"sqlite:///{path}")
        migrate(database, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
        database.close()
        return path.read_bytes()


def put_blank(url: str) -> None:
    """Put one where nothing is yet."""
    database = open_database(url)
    database.close()
    if database.path.stat().st_size == 0:
        database.path.write_bytes(blank())

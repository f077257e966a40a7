"""Fixtures that every test file may use: settings, a fresh database, a vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import Settings, load_settings
from crypto import Vault
from db import Database, migrate, open_database

ROOT = Path(__file__).parent.parent
MASTER_KEY = "8f1d6ca9024ebb73c05ad1e9f62b97403dce15a86f7290b4e813dd5c6aa24f0b"
NOW = 1_790_000_000  # 2026-09-21, a Monday


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a loopback server whose database lies in the test's own folder."""
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/data/postern.db"}
    return load_settings(environ, dotenv=None)


@pytest.fixture
def db(settings: Settings):
    """A fresh database with the current schema."""
    database: Database = open_database(settings.database_url)
    migrate(database, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    yield database
    database.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a fixed data key."""
    return Vault(bytes.fromhex(MASTER_KEY))

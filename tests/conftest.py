"""Fixtures that every test file may use: settings, a fresh database, a vault."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import compiled
import pytest
from blank import put_blank

import crypto
from config import Settings, load_settings
from crypto import Vault
from db import Database, open_database

ROOT = Path(__file__).parent.parent
MASTER_KEY = "8f1d6ca9024ebb73c05ad1e9f62b97403dce15a86f7290b4e813dd5c6aa24f0b"
NOW = 1_790_000_000  # 2026-09-21, a Monday
ARGON2 = dict(crypto.ARGON2)  # what a password costs; in a test's own process it costs next to nothing, but in test_crypto
crypto.ARGON2 |= {"iterations": 1, "memory_cost": 8}
compiled.share()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a loopback server whose database lies in the test's own folder."""
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/data/postern.db"}
    return load_settings(environ, dotenv=None)


@pytest.fixture
def db(settings: Settings):
    """A fresh database with the current schema."""
    put_blank(settings.database_url)
    database: Database = open_database(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a fixed data key."""
    return Vault(bytes.fromhex(MASTER_KEY))


# --- tools that a test may need; where one is missing its tests are skipped, but in CI a skipped test has failed ---

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NODE_PACKAGES = ROOT / "tests" / "node" / "node_modules"
NEEDS = {  # marker -> (is it there?, what to say)
    "browser": (CHROMIUM is not None, "Chromium is missing: apt-get install chromium"),
    "node": (NODE_PACKAGES.is_dir(), "The packages of tests/node are missing: make test installs them"),
}


# files that take long come first, for in the end one process would be left to itself with them (`make test` has several)
LONG = [
    "test_key_machine", "test_looks", "test_machine", "test_soak", "test_eras", "test_gateway_conformance",
    "test_browser", "test_crowds", "test_gunicorn_conf", "test_canary", "test_conformance_client", "test_real_server",
    "test_authorization_server",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the long files to the front, in that order."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tool is not there."""
    for marker, (is_there, advice) in NEEDS.items():
        if item.get_closest_marker(marker) and not is_there:
            pytest.skip(advice)


def fail_what_was_skipped(report: Any) -> None:
    """In CI nothing is skippable."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which CI does not allow: {report.longrepr[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """For a test that was skipped."""
    report = yield
    fail_what_was_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """For a whole file that was skipped."""
    report = yield
    fail_what_was_skipped(report)
    return report

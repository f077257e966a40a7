"""Fixtures for the tests of ClickUp."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from clickup.world import World
from crypto import Vault
from db import Database


@pytest.fixture
def world(db: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> World:
    """A furnished world whose connector goes by its clock."""
    made = World(db, vault)
    monkeypatch.setattr("service_calls.time", SimpleNamespace(monotonic=made.clock))
    return made

"""Fixtures for the tests of Google Workspace."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from google_workspace.world import World


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    """Makes furnished worlds that are alike, whose connector goes by their clock."""

    def make() -> World:
        made = World()
        monkeypatch.setattr("service_calls.time", SimpleNamespace(monotonic=made.clock))
        return made

    return make


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A furnished world."""
    return make_world()

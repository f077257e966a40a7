"""Fixtures: a house (household.py), and the browsers of those who live in it. Test files that want them name this as a plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_upstreams import FakeUpstreams
from household import House, opened
from werkzeug.test import Client

from config import Settings


@pytest.fixture
def upstreams() -> FakeUpstreams | None:
    """What stands for other MCP servers, where a test file has something for that."""
    return None


@pytest.fixture
def house(settings: Settings, upstreams: FakeUpstreams | None) -> Iterator[House]:
    """Where Alice and Bob live."""
    with opened(settings, upstreams=upstreams) as house:
        yield house.settle()


@pytest.fixture
def alice(house: House) -> Client:
    """The browser in which Alice is signed in."""
    return house.browser(house.alice)


@pytest.fixture
def bob(house: House) -> Client:
    """The browser in which Bob is signed in."""
    return house.browser(house.bob)

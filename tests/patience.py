"""Waiting in tests for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SECONDS = 30  # the machine may be busy


def wait_until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until a condition holds; what it answered then. Fails the test if it never does."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return answer

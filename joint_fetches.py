"""Fetches that strangers cause: few at a time, and one for all who wait for the same. Knows neither what is fetched nor why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from errors import TooManyRequests

AT_ONCE, WAITING_MAX = 4, 6  # each holds a thread of the server, for as long as the other side likes within the time of a fetch
PATIENCE_SECONDS = 1
AGAIN_SECONDS = 5

T = TypeVar("T")


class JointFetches:
    """Runs fetches by name. Who comes while one runs shares its outcome, a failure too; afterwards nothing of it is left."""

    def __init__(self) -> None:
        self._running: dict[str, Future[Any]] = {}
        self._guard = threading.Lock()
        self._working, self._waiting = threading.BoundedSemaphore(AT_ONCE), threading.BoundedSemaphore(WAITING_MAX)

    def run(self, name: str, fetch: Callable[[], T]) -> T:
        """What `fetch` answers or raises, or the one of that name that runs. Raises TooManyRequests while there is no place."""
        with self._guard:
            running = self._running.get(name)
            if running is None:
                mine = self._running[name] = Future()
        if running is not None:
            with place(self._waiting):
                return running.result()
        try:
            with place(self._working):
                mine.set_result(fetch())
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._guard:
                del self._running[name]
        return mine.result()


@contextmanager
def place(places: threading.BoundedSemaphore) -> Iterator[None]:
    """One of these places, for as long as this lasts."""
    if not places.acquire(timeout=PATIENCE_SECONDS):
        raise TooManyRequests(AGAIN_SECONDS)
    try:
        yield
    finally:
        places.release()

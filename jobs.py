"""Periodic work: in each process a thread, and for each task a lease that only one of them gets. Knows no connector."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crypto import new_id
from db import Database
from errors import PosternError, trace
from store.leases import finish_lease, take_lease

TICK_SECONDS = 30
STOP_SECONDS = 5
log = logging.getLogger("postern.jobs")


@dataclass(frozen=True)
class Task:
    """Something to do every so often. `run(now)` must bear being cut off and done again: a process may die in it."""

    name: str
    every_seconds: int
    run: Callable[[int], None]
    lease_seconds: int = 900  # longer than it ever takes; after that another process may begin it anew


class Jobs:
    """Does the tasks of one process, as far as it gets their leases."""

    def __init__(self, db: Database, tasks: Iterable[Task], *, clock: Callable[[], float] = time.time):
        self._db, self._tasks, self._clock = db, tuple(tasks), clock
        self._holder = new_id()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tick in a thread of its own; a second start does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin no further task, for good, and wait a little for the one that runs."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def tick(self) -> list[str]:
        """Do each task that is due and not in other hands; answers their names."""
        done = []
        for task in self._tasks:
            if self._stopping.is_set():
                break
            if attempt(task.name, lambda task=task: self._do(task, int(self._clock()))):
                done.append(task.name)
        return done

    def _do(self, task: Task, now: int) -> bool:
        """Do a task if its lease is to be had. A task that failed counts as done, and is tried again when next due."""
        if not take_lease(
            self._db, task.name, self._holder, every_seconds=task.every_seconds, lease_seconds=task.lease_seconds, now=now
        ):
            return False
        attempt(task.name, lambda: task.run(now))
        finish_lease(self._db, task.name, self._holder, now=now)
        return True

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self.tick()
            self._stopping.wait(TICK_SECONDS)


def for_each(name: str, items: Callable[[], Iterable[Any]], run: Callable[[Any, int], None]) -> Callable[[int], None]:
    """A task's `run` that does `run(item, now)` for each item, which has an `id`; one that fails does not stop the others."""

    def run_all(now: int) -> None:
        for item in items():
            attempt(f"{name} of {item.id}", lambda item=item: run(item, now))

    return run_all


def attempt(name: str, act: Callable[[], Any]) -> Any:
    """What `act` answers; None if it fails, which is logged by name and place, without the values an error's text may hold."""
    try:
        return act()
    except PosternError as error:
        log.warning("%s failed: %s", name, type(error).__name__)
    except Exception as error:
        log.error("%s failed: %s", name, trace(error))
    return None

"""A loop that passes from thread to thread: whoever leads may also do work, and is relieved if it takes long. Knows no socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 0.005  # how long everything else may wait for what the leader does


class Lead:
    """One thread of `pool` at a time, the leader, takes turn after turn. `pool` must always have a free thread to take over.

    Handing work to another thread and waiting for its word costs more than most work does. So the leader does it itself, inside
    `serve`; a watchman looks whether that takes too long, and then another thread leads on. What is done outside of `serve` is
    never done by two threads at a time, and must not block.
    """

    def __init__(self, pool: Executor, turn: Callable[[], None]):
        self._pool, self._turn = pool, turn
        self._baton = threading.Lock()  # held by whoever looks at the next two to change them
        self._leader: int | None = None  # a thread; None while the lead passes on
        self._since: float | None = None  # when the leader began to serve; None: it does not
        self._served = 0
        self._stirred = threading.Event()  # there is something to watch
        self._ended = threading.Event()
        self.turned_at = time.monotonic()  # the last sign of life
        self.failure: BaseException | None = None  # what a turn raised: it has ended all

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread leads."""
        return self._leader == threading.get_ident()

    def begin(self) -> None:
        """Let a thread of the pool lead."""
        self._pool.submit(self._lead)

    def end(self) -> None:
        """No further turn. May be called by any thread, and twice."""
        self._ended.set()
        self._stirred.set()

    # --- the leader's thread ---

    def serve(self, act: Callable[[], Answer]) -> Answer:
        """What `act` answers. Afterwards the thread may lead no more (`is_mine`), and has to leave the turn at once."""
        self._since = time.monotonic()
        self._served += 1
        if not self._stirred.is_set():
            self._stirred.set()
        try:
            return act()
        finally:
            with self._baton:
                if self.is_mine:
                    self._since = None

    def step_aside(self) -> None:
        """Let another thread lead at once: what is served here is going to wait. Does nothing in any other thread."""
        with self._baton:
            if self.is_mine and self._since is not None:
                self._pass_on()

    def _lead(self) -> None:
        with self._baton:
            self._leader = threading.get_ident()
        try:
            while self.is_mine and not self._ended.is_set():
                self.turned_at = time.monotonic()
                self._turn()
        except BaseException as error:
            self.failure = error
            self.end()

    def _pass_on(self) -> None:
        """With the baton in hand."""
        self._leader = self._since = None
        self._pool.submit(self._lead)

    # --- the watchman's thread ---

    def watch(self, seconds: float) -> bool:
        """Relieve every leader that serves for too long, for about so many seconds; whether all has ended."""
        until = time.monotonic() + seconds
        while not self._ended.is_set() and (left := until - time.monotonic()) > 0:
            if self._stirred.wait(left):
                self._look()
        return self._ended.is_set()

    def _look(self) -> None:
        served = self._served
        time.sleep(PATIENCE_SECONDS)
        since = self._since
        if since is not None and time.monotonic() - since >= PATIENCE_SECONDS:
            with self._baton:
                if self._since == since:
                    self._pass_on()
        elif since is None and served == self._served and not self._ended.is_set():
            self._stirred.clear()  # sleep until the leader serves again, …
            if self._since is not None:
                self._stirred.set()  # … which it may just have begun to

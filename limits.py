"""Limits of pages and endpoints for signing in, in words. Counts in the database, for all workers together; knows no HTTP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from db import Database
from errors import TooManyRequests
from store.rate_limits import take_token

WAIT_SECONDS = 6
QUEUE_MAX = 8  # who wait for a password to be checked: a second, or a few


class Limits:
    """Named policies. Each takes one from the caller's bucket, or raises TooManyRequests with the seconds to wait."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep):
        self._db, self._clock, self._sleep = db, clock, sleep
        self._noted: Counter[str] = Counter()
        self._noted_minute, self._noting = 0, threading.Lock()
        self._waiting = threading.Semaphore(2)
        self._checking, self._queueing = threading.Semaphore(2), threading.Semaphore(2 + QUEUE_MAX)

    def registration(self, address: str) -> None:
        """150 registrations and changes of one for an address, and 150 more in each hour."""
        self._take("registration", address, capacity=150, per_seconds=3600)

    def authorize(self, address: str) -> None:
        """120 visits to /authorize for an address, and 120 more in each minute."""
        self._take("authorize", address, capacity=120, per_seconds=60)

    def token(self, address: str) -> None:
        """300 requests about tokens for an address, and 300 more in each minute: many assistants come from one."""
        self._take("token", address, capacity=300, per_seconds=60)

    def failed_client(self, client_id: str, address: str) -> None:
        """20 failed authentications of a client from an address, and 20 more in each minute.

        Only failures are counted and refused, so that nobody can keep out a client by failing in its name.
        """
        self._take("failed client", f"{client_id} {address}", capacity=20, per_seconds=60)

    def client_document(self, address: str) -> None:
        """20 descriptions of clients to fetch for an address, and 20 more in each minute; 200 a minute for all together."""
        self._take("client document", address, capacity=20, per_seconds=60)
        self._take("client document", "everybody", capacity=200, per_seconds=60)

    def setup(self, address: str) -> None:
        """10 tries of a set-up code for an address, and 10 more in each minute."""
        self._take("setup", address, capacity=10, per_seconds=60)

    def api_key(self, user_id: str) -> None:
        """10 API keys made by a user, and 10 more in each hour."""
        self._take("API key", user_id, capacity=10, per_seconds=3600)

    def login(self, identity: str) -> None:
        """10 tries to sign in, and 10 more in each minute.

        Nobody is ever locked out: who comes too soon waits here for some seconds, two at a time, before being refused.
        """
        try:
            self._take("login", identity, capacity=10, per_seconds=60)
        except TooManyRequests as refusal:
            if refusal.retry_after > WAIT_SECONDS or not self._waiting.acquire(blocking=False):
                raise
            try:
                self._sleep(refusal.retry_after)
                self._take("login", identity, capacity=10, per_seconds=60)
            finally:
                self._waiting.release()

    def may_note(self, address: str) -> bool:
        """Whether one more step of a stranger may go into the sign-in log: 60 a minute for an address, 600 for all together.

        This one counts in the process, where counting is cheaper than the write that it saves.
        """
        minute = int(self._clock() // 60)
        with self._noting:
            if minute != self._noted_minute:
                self._noted.clear()
                self._noted_minute = minute
            if self._noted[address] >= 60 or self._noted.total() >= 600:
                return False
            self._noted[address] += 1
            return True

    @contextmanager
    def password_check(self) -> Iterator[None]:
        """Two at a time: each takes 64 MiB and a fifth of a second. Raises TooManyRequests rather than queue for long.

        Few may queue: each holds a thread, and assistants need those too while somebody tries passwords from everywhere.
        """
        if not self._queueing.acquire(blocking=False):
            raise TooManyRequests(5)
        try:
            with self._checking:
                yield
        finally:
            self._queueing.release()

    def _take(self, policy: str, identity: str, *, capacity: int, per_seconds: float) -> None:
        wait = take_token(self._db, policy, identity, capacity=capacity, per_seconds=per_seconds, now=self._clock())
        if wait:
            raise TooManyRequests(wait)

"""Several sources asked at once, under a deadline, and what they found taken in turns. Knows no source and no client."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from crypto import new_id
from errors import Cancelled, FetchError, ProtocolError, ToolError, UpstreamRefused, trace
from tools import Call

log = logging.getLogger("postern.search")

WORKERS = 32  # threads of one process that work for searches; each keeps a connection to the database
LATE_MAX = 2  # runs of one source that go on after their search has ended; until one ends, it is not asked again
TICK_SECONDS = 0.2


class Errand(Call):
    """The call in which a source works: it says nothing, can ask nobody, and lasts for `seconds` at the most."""

    def __init__(self, seconds: float, cancelled: threading.Event):
        super().__init__()
        self.seconds, self.cancelled = seconds, cancelled


@dataclass(frozen=True)
class Job:
    """One source to ask. `key` is the same whenever it is the same source."""

    key: Hashable
    run: Callable[[Call], list[Any]]


class Errands:
    """Asks sources in threads of its own, which are there from the first search on. Threads may share it."""

    def __init__(self, workers: int = WORKERS):
        self._workers, self._lock = workers, threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._late: Counter[Hashable] = Counter()

    def run_all(self, jobs: Iterable[Job], call: Call, *, seconds: float) -> list[list[Any] | ToolError]:
        """What each job answers within these seconds, in order; a ToolError says why one does not. Raises Cancelled."""
        jobs, cancelled, ends = list(jobs), threading.Event(), time.monotonic() + seconds
        futures = [self._start(job, Errand(seconds, cancelled)) for job in jobs]
        left = set(futures)
        try:
            while left and (rest := ends - time.monotonic()) > 0:
                _, left = wait(left, timeout=min(rest, TICK_SECONDS))
                call.check_cancelled()
        finally:
            cancelled.set()  # nobody waits any more for what is not done
            for job, future in zip(jobs, futures, strict=True):
                self._leave(job, future)
        late = ToolError(f"it took longer than {seconds:g} seconds")
        return [late if future in left else future.result() for future in futures]

    def stop(self) -> None:
        """Begin nothing more: the process is going down."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, job: Job, errand: Errand) -> Future[Any]:
        with self._lock:
            if self._late[job.key] >= LATE_MAX:
                return answered(ToolError("it is still busy with an earlier search"))
            self._pool = self._pool or ThreadPoolExecutor(self._workers, thread_name_prefix="search")
            return self._pool.submit(attempt, job, errand)

    def _leave(self, job: Job, future: Future[Any]) -> None:
        """Count what could not be called off, until it ends."""
        if future.done() or future.cancel():
            return
        with self._lock:
            self._late[job.key] += 1
        future.add_done_callback(lambda _: self._forget(job.key))

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            self._late[key] -= 1
            if not self._late[key]:
                del self._late[key]


def answered(answer: Any) -> Future[Any]:
    """An answer that is there already."""
    future: Future[Any] = Future()
    future.set_result(answer)
    return future


def attempt(job: Job, errand: Errand) -> list[Any] | ToolError:
    """What a job answers, or why it does not: whatever goes wrong in it is its own trouble, and nobody else's."""
    try:
        errand.check_cancelled()
        return job.run(errand)
    except ToolError as error:
        return error
    except FetchError as error:
        return ToolError(str(error))
    except (ProtocolError, UpstreamRefused) as error:
        return ToolError(f"its server answered with error {error.code}")
    except Cancelled:
        return ToolError("it was called off")
    except Exception as error:
        error_id = new_id()
        log.error("a source failed, error %s: %s", error_id, trace(error))
        return ToolError(f"it failed inside Postern; the server's log has the details under {error_id}")


def take_turns(lists: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """One of each list, then the second of each, and so on: no list has to wait for the end of another."""
    missing = object()
    for row in zip_longest(*lists, fillvalue=missing):
        yield from (item for item in row if item is not missing)

"""What connectors share when they ask a service over HTTP: how long a call may last, waiting, trying again. Knows no service."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from errors import FetchError, ToolError
from fetch import Response
from service_messages import MAY_BE_DONE
from tools import Call

BUDGET_SECONDS = 55  # for all that one call does: assistants give up after a minute
REQUEST_SECONDS = 30
TRIES = 4
FIRST_PAUSE = 0.25
RETRIED = (429, 500, 502, 503, 504)
MAX_WORKERS = 10
TICK_SECONDS = 0.2


class OutOfTime(ToolError):
    """The call may last no longer; what was not done by now is not done."""


@dataclass(frozen=True)
class Reading:
    """How a service's answers are read: what status one amounts to, and how many seconds it asks to wait; None: it does not."""

    status: Callable[[Response], int]
    wait: Callable[[Response], float | None]


class Patience:
    """The time that one call has, and how it is spent on waiting."""

    def __init__(self, call: Call, service: str, seconds: float = BUDGET_SECONDS):
        self._call, self._service, self._seconds = call, service, min(seconds, call.seconds)
        self._began = time.monotonic()
        self._resume = 0.0  # no request before this moment: a rate limit said so

    def passed(self) -> float:
        """The seconds that the call has taken so far."""
        return time.monotonic() - self._began

    def seconds_left(self) -> float:
        """The seconds that the call may still take."""
        return self._seconds - self.passed()

    def seconds_for_request(self) -> float:
        """How long the next request may take. Raises OutOfTime if there is no time left."""
        left = self.seconds_left()
        if left <= 0:
            raise OutOfTime(f"{self._service} took too long: this call has no time left.")
        return min(REQUEST_SECONDS, left)

    def pause(self, seconds: float) -> None:
        """Wait, unless the call is cancelled; raises Cancelled then, and OutOfTime if the call cannot last so long."""
        if seconds > self.seconds_left():
            raise OutOfTime(f"{self._service} asks to wait {int(seconds) + 1} seconds, which is longer than this call can last.")
        self._call.cancelled.wait(seconds)
        self._call.check_cancelled()

    def insist(self, method: str, send: Callable[[], Response], reading: Reading) -> Response:
        """What `send` answers in the end: what passes is tried again. A POST is not, unless it was refused for the rate alone.

        What is not there when a DELETE is tried again, is deleted. Raises FetchError or OutOfTime.
        """
        may_be_done = False
        for attempt in range(TRIES):
            self._call.check_cancelled()
            if (early := self._resume - self.passed()) > 0:
                self.pause(early)
            is_last = attempt == TRIES - 1
            try:
                response = send()
            except FetchError as error:
                if method == "POST":
                    raise FetchError(f"{error} {MAY_BE_DONE}.") from error
                if is_last:
                    raise
                may_be_done = True
                self.pause(back_off(attempt))
                continue
            status = reading.status(response)
            if method == "DELETE" and may_be_done and status in (404, 410):
                return Response(204, {}, b"", response.host)
            may_be_done |= status >= 500
            if is_last or not may_repeat(method, status):
                return response
            seconds = reading.wait(response)
            if status == 429 and seconds is not None:
                self._resume = max(self._resume, self.passed() + seconds)
            self.pause(back_off(attempt) if seconds is None else seconds)
        raise AssertionError("the last try returns or raises")

    def run_all(
        self, jobs: Iterable[Callable[[], Any]], *, workers: int = 5, tell: Callable[[int], None] | None = None
    ) -> list[Any]:
        """What the jobs answer, in order, a ToolError for each that failed. `tell` hears how many are done."""
        jobs = list(jobs)
        if len(jobs) <= 1:
            return [attempt_job(job) for job in jobs]
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=min(workers, MAX_WORKERS, len(jobs))) as pool:
            futures = [pool.submit(attempt_job, job, stop) for job in jobs]
            try:
                self._watch(futures, tell)
            except BaseException:
                stop.set()  # what has not begun never does
                raise
        return [future.result() for future in futures]

    def _watch(self, futures: list[Future[Any]], tell: Callable[[int], None] | None) -> None:
        """Wait for all, saying how many are done, and noticing when nobody waits any more."""
        left, told = set(futures), 0
        while left:
            _, left = wait(left, timeout=TICK_SECONDS)
            self._call.check_cancelled()
            if tell and (count := len(futures) - len(left)) > told:
                tell(count)
                told = count


def attempt_job(job: Callable[[], Any], stop: threading.Event | None = None) -> Any:
    """What a job answers, or the ToolError that it ended with."""
    if stop is not None and stop.is_set():
        return OutOfTime("It was not tried: the call had ended.")
    try:
        return job()
    except ToolError as error:
        return error
    except FetchError as error:
        return ToolError(str(error))


def may_repeat(method: str, status: int) -> bool:
    """Whether a refused request may be sent again. After 429 nothing was done; after other errors a POST might have been."""
    return status in RETRIED and (status == 429 or method != "POST")


def read_wait(response: Response) -> float | None:
    """The seconds that an answer asks to wait (RFC 9110 §10.2.3), with a little more, for others wait for the same moment."""
    text = response.headers.get("Retry-After", "")
    return float(text) + random.uniform(0.05, 0.25) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) else None


def back_off(attempt: int) -> float:
    """Twice as long each time, with some jitter."""
    return FIRST_PAUSE * 2**attempt * random.uniform(0.8, 1.2)

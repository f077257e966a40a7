"""What the worlds and fake services of ClickUp and Google share: time that waits for nobody, the wire, rate limits. No test."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

from fetch import prepare
from tools import Cached, Call

# what no id may lead anywhere with
TRAVERSALS = (
    "..", ".", "../1", "1/../2", "//evil.example", "@evil.example", "a b", "1?x=1", "1#x", "%2e%2e", "1\n2", "ü", ":x", "a:b", "",
)  # fmt: skip


class Clock:
    """Seconds that pass only when somebody waits, or the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.seconds


class PatientCall(Call):
    """A call whose waiting moves the clock; it remembers what was reported, and can be cancelled after so many reports."""

    def __init__(self, clock: Clock, cancel_after: int | None = None):
        super().__init__()
        self.reports: list[tuple[float, float | None, str | None]] = []
        self._clock, self._cancel_after = clock, cancel_after
        real = self.cancelled
        self.cancelled = SimpleNamespace(is_set=real.is_set, set=real.set, wait=self._wait)  # type: ignore[assignment]

    def _wait(self, seconds: float) -> bool:
        self._clock.waits.append(seconds)
        self._clock.seconds += seconds
        return self.cancelled.is_set()

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        self.reports.append((progress, total, message))
        if self._cancel_after is not None and len(self.reports) >= self._cancel_after:
            self.cancelled.set()
        super().progress(progress, total, message)


class MemoryCache:
    """A cache of one connection that is quick and forgets nothing by itself."""

    def __init__(self) -> None:
        self.copies: dict[str, str] = {}

    def get(self, key: str) -> Cached | None:
        return Cached(jsonlib.loads(self.copies[key]), 0, fresh=True) if key in self.copies else None

    def put(self, key: str, value: Any, *, fresh_seconds: int, keep_seconds: int) -> None:
        self.copies[key] = jsonlib.dumps(value)

    def drop(self, prefix: str) -> None:
        self.copies = {key: value for key, value in self.copies.items() if not key.startswith(prefix)}


# --- the service's side ---


@dataclass(frozen=True)
class Arrived:
    """A request as a service reads it."""

    url: str  # without the query
    query: list[tuple[str, str]]
    json: Any
    form: bytes | None
    headers: Mapping[str, str]


def deliver(method: str, url: str, headers: Mapping[str, str], params: Any, json: Any, form: bytes | None) -> Arrived:
    """A request after the way that every one takes: put together as it goes out, then taken apart again."""
    message = prepare(method, url, headers, params, json, form)
    where, _, query = str(message.url).partition("?")
    body = None if json is None else jsonlib.loads(message.body)
    raw = None if form is None else message.body
    return Arrived(where, parse_qsl(query, keep_blank_values=True), body, raw, message.headers)


class Rate:
    """So many requests in so many seconds, and then none until these are over."""

    def __init__(self, requests: int, seconds: float, clock: Callable[[], float]):
        self._requests, self._seconds, self.clock = requests, seconds, clock
        self._began, self._count = clock(), 0
        self.refused = 0

    def wait(self) -> float | None:
        """The seconds that the one who asks has to wait; None if it is let in."""
        if self.clock() >= self._began + self._seconds:
            self._began, self._count = self.clock(), 0
        self._count += 1
        if self._count <= self._requests:
            return None
        self.refused += 1
        return self._began + self._seconds - self.clock()


# --- what tools answer ---


def close(schema: Any) -> Any:
    """A JSON Schema that takes no member that it does not name."""
    if isinstance(schema, list):
        return [close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: close(value) for key, value in schema.items()}
    return shut | ({"additionalProperties": False} if "properties" in schema else {})


def strict(schema: Any) -> Draft202012Validator:
    """What checks an answer against a tool's output schema: nothing may be in it that the schema does not name."""
    assert schema is not None
    return Draft202012Validator(close(schema))

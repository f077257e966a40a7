"""The door of a Google in memory: who is let in, what is held against Google's description, what goes wrong. Keeps the rooms."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from connector_world import Rate, deliver

from connectors.google_workspace.scopes import GROUPS, PREFIX
from fetch import VENDOR, Response
from google_workspace.contract import Method, faults_of, find_method, value_faults

NOW = 1_790_000_000  # 2026-09-21T14:13:20Z
ALICE = "alice@example.com"
TOKEN = "ya29.alice"
EVERYTHING = frozenset(PREFIX + scope for group in GROUPS for level in group.levels for scope in level.scopes) | {
    "openid",
    PREFIX + "userinfo.email",
}


class Refusal(Exception):
    """An error of Google's, as its services word it."""

    def __init__(self, status: int, reason: str, message: str = "No."):
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Sent:
    """A request that came."""

    method: Method
    ids: dict[str, str]
    query: list[tuple[str, str]]
    body: Any
    form: bytes | None
    headers: dict[str, str]
    url: str

    @property
    def id(self) -> str:
        """Which of Google's methods it is."""
        return self.method.id

    def many(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def one(self, name: str, default: str = "") -> str:
        """The value of a query parameter."""
        return next(iter(self.many(name)), default)

    @property
    def shown(self) -> str:
        """What can be compared: all that the request says."""
        return json.dumps([self.id, self.url, sorted(self.query), self.body, repr(self.form)], sort_keys=True)


Handler = Callable[[Any, Sent], Any]
HANDLERS: dict[str, Handler] = {}


def serves(*ids: str) -> Callable[[Handler], Handler]:
    """Say which of Google's methods a function answers."""

    def keep(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(ids, handler))
        return handler

    return keep


@dataclass
class FakeGoogle:
    """Answers like Google. `faults` come first, in order: a Response, or an error to raise, each for one request that fits."""

    tokens: dict[str, frozenset[str]] = field(default_factory=lambda: {TOKEN: EVERYTHING})
    sent: list[Sent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    faults: list[tuple[Callable[[Sent], bool], Any]] = field(default_factory=list)
    rate: Rate | None = None

    def __post_init__(self) -> None:
        self.numbers = itertools.count(100)
        self.rooms: dict[str, Any] = {}

    def room(self, name: str) -> dict[str, Any]:
        """What one service keeps, by kind."""
        return self.rooms.setdefault(name, {})

    def new_id(self, prefix: str) -> str:
        """An id that nothing else has."""
        return f"{prefix}{next(self.numbers)}"

    # --- the door ---

    def request(self, method: str, url: str, *, trust: Any, headers: Any = None, params: Any = None, json: Any = None,
                form: Any = None, timeout: float = 30, max_bytes: int = 0) -> Response:  # fmt: skip
        """What `fetch.Fetcher.request` does."""
        assert trust is VENDOR
        assert timeout > 0
        came = deliver(method, url, headers, params, json, form)
        found = find_method(method, came.url)
        if found is None:
            self.problems.append(f"{method} {url} is not in Google's descriptions")
            return refuse(404, "notFound", "Not Found")
        known, groups = found
        ids = {name: unquote(part) for name, part in zip(known.holes, groups, strict=True)}
        sent = Sent(known, ids, came.query, came.json, came.form, dict(headers), came.url)
        self.sent.append(sent)
        content_type = headers.get("Content-Type", "")
        self.problems += [f"{known.id}: {fault}" for fault in faults_of(known, sent.query, came.json, came.form, content_type)]
        return self.respond(sent)

    def respond(self, sent: Sent) -> Response:
        """A fault if one is due, else what the method does."""
        for index, (fits, fault) in enumerate(self.faults):
            if fits(sent):
                del self.faults[index]
                if isinstance(fault, Exception):
                    raise fault
                return fault
        if self.rate and (wait := self.rate.wait()) is not None:
            return refuse(429, "rateLimitExceeded", "Quota exceeded.", **{"Retry-After": str(math.ceil(wait))})
        scopes = self.tokens.get(sent.headers["Authorization"].removeprefix("Bearer "))
        if scopes is None:
            challenge = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
            return refuse(401, "authError", "Invalid Credentials", **{"WWW-Authenticate": challenge})
        if scopes.isdisjoint(sent.method.scopes):
            challenge = 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'
            return refuse(403, "insufficientPermissions", "Insufficient Permission", **{"WWW-Authenticate": challenge})
        try:
            return self.answer(sent, HANDLERS[sent.id](self, sent))
        except Refusal as error:
            return refuse(error.status, error.reason, error.message)
        except KeyError as error:
            return refuse(404, "notFound", f"Not found: {error}")

    def answer(self, sent: Sent, found: Any) -> Response:
        """An answer, which has to be one that Google describes."""
        if isinstance(found, bytes):
            return Response(200, {"Content-Type": "application/octet-stream"}, found, "www.googleapis.com")
        if found is None:
            return Response(204, {}, b"", "www.googleapis.com")
        faults = value_faults(sent.method.document, sent.method.schema("response"), found, "answer")
        self.problems += [f"{sent.id}: the fake's {fault}" for fault in faults]
        return Response(200, {"Content-Type": "application/json"}, json.dumps(found).encode(), "www.googleapis.com")

    # --- for tests ---

    def fail(self, fault: Any, times: int = 1, id: str = "") -> None:
        """Let the next requests fail, or those of one method."""
        self.faults += [(lambda sent: id in ("", sent.id), fault)] * times

    def ids(self) -> list[str]:
        """The methods that were asked for, in order."""
        return [sent.id for sent in self.sent]


def refuse(status: int, reason: str, message: str = "No.", **headers: str) -> Response:
    """An error as Google words it."""
    body = {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}
    return Response(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode(), "www.googleapis.com")


# --- what the rooms share ---


def take(shelf: dict[str, Any], key: str) -> Any:
    """Something that is there. Raises Refusal if it is not."""
    if key not in shelf:
        raise Refusal(404, "notFound", f"Requested entity was not found: {key}")
    return shelf[key]


def page(sent: Sent, items: list[Any], name: str, *, size: str = "maxResults", default: int = 100) -> dict[str, Any]:
    """One page of a list."""
    if not sent.one("pageToken", "0").isdecimal():
        raise Refusal(400, "invalid", "Invalid value for: pageToken")
    start, count = int(sent.one("pageToken", "0")), int(sent.one(size, str(default)))
    found: dict[str, Any] = {name: items[start : start + count]}
    return found | ({"nextPageToken": str(start + count)} if start + count < len(items) else {})


def patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396), in place."""
    for name, value in new.items():
        if value is None:
            old.pop(name, None)
        elif isinstance(value, dict) and isinstance(old.get(name), dict):
            patch(old[name], value)
        else:
            old[name] = value
    return old

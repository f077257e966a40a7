"""What a handler of a connector gets, and what it answers: one connection opened, for one call. Knows no connector."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from errors import Cancelled, ToolError
from fetch import Fetcher


class Cache(Protocol):
    """Copies of what a service answered, bound to one connection (or shared, for public data)."""

    def get(self, key: str) -> Cached | None:
        """The copy under `key`, fresh or stale, or None."""

    def put(self, key: str, value: Any, *, fresh_seconds: int, keep_seconds: int) -> None:
        """Keep a JSON value; it is fresh, then stale, then gone."""

    def drop(self, prefix: str) -> None:
        """Forget every copy whose key begins with `prefix`: what it is a copy of has changed."""


@dataclass(frozen=True)
class Cached:
    """A copy: a JSON value, when it was fetched (epoch seconds), and whether it is still fresh."""

    value: Any
    fetched_at: int
    fresh: bool


CANNOT_BE_ASKED = "This client cannot be asked anything."
ASKABLE = frozenset({"elicitation", "sampling", "roots"})  # capabilities of clients
LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")  # RFC 5424 §6.2.1
DEFAULT_LOG_LEVEL = "info"  # until the client names one, the server may choose (MCP 2025-11-25, server/utilities/logging)


class Call:
    """What a running handler may say to the one who called it. This base says nothing: jobs and tests use it."""

    seconds: float = math.inf  # how long it may last

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.kept: dict[str, Any] = {}  # JSON that is here again when an answer has come and the handler runs again

    def check_cancelled(self) -> None:
        """Raise Cancelled if nobody waits any more."""
        if self.cancelled.is_set():
            raise Cancelled("cancelled")

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress, if the client asked for it (MCP `notifications/progress`)."""
        self.check_cancelled()

    def log(self, level: str, data: Any, logger: str | None = None) -> None:
        """Send a log line to the client, if it asked for them (MCP `notifications/message`). `logger`: None is ourselves."""
        self.check_cancelled()

    def ask(self, key: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the client's person or model something and answer the result. Ask first, then act: see `ask_all`."""
        return self.ask_all({key: (method, params)})[key]

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Ask several things at once. What stands before an ask runs again when the answer comes."""
        raise ToolError(CANNOT_BE_ASKED)

    def check_capability(self, method: str, params: Mapping[str, Any]) -> None:
        """Raise ProtocolError or ToolError if the client did not declare that it can be asked this."""
        raise ToolError(CANNOT_BE_ASKED)

    def forget_answers(self) -> None:
        """What was answered so far is used up: the same keys may ask something else."""

    @property
    def asks_by_ending(self) -> bool:
        """Whether an ask ends this run, and the answers come with another; else it waits for them."""
        return False

    @property
    def can_be_asked(self) -> bool:
        """Whether the client declared that it can be asked anything at all."""
        return not ASKABLE.isdisjoint(self.capabilities)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared that it can do."""
        return {}

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the client's request."""
        return {}

    @property
    def sender(self) -> Any:
        """Which client it is, as well as can be told; None: none, as when we ask for ourselves."""
        return None

    @property
    def log_level(self) -> str | None:
        """From which level on the client wants log lines of this call; None: it wants none."""
        return None

    @property
    def chosen_log_level(self) -> str | None:
        """That level if the client itself has named it; None: it leaves that to the server."""
        return None

    @property
    def wants_progress(self) -> bool:
        """Whether the client asked to be told of progress."""
        return False


class SignedIn(Protocol):
    """The sign-in of a connection, good for a while. Threads may share one."""

    def headers(self) -> Mapping[str, str]:
        """The headers that let a request in. Raises SignInNeeded."""

    def access_token(self) -> str:
        """The access token itself. Raises SignInNeeded."""

    def refused(self, status: int, challenge: str | None) -> None:
        """The service answered 401 or 403. Returns if one more try with new `headers` is worth it, else raises SignInNeeded."""

    def account(self) -> str | None:
        """Whose it is, in the service's words; None if it did not say."""


Greet = Callable[[str, Any], Mapping[str, Any]]  # (kind, target of links.py) -> what the server says of itself


@dataclass(frozen=True)
class Context:
    """What a handler gets besides its arguments: one connection, unsealed, for one call."""

    connection_id: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    fetch: Fetcher
    cache: Cache
    shared_cache: Cache
    storage: Any  # bound to the connection; None unless the connector declares one
    now: int  # epoch seconds
    call: Call
    greet: Greet | None = None  # only where a connection to another MCP server is tried
    signed_in: SignedIn | None = None  # where the connector declares a sign-in
    filled_in: Mapping[str, str] = field(default_factory=dict)  # completion only: what is known of the other variables


class PassedOn(dict[str, Any]):
    """Another server's result on its way to the client, who may know more kinds of content than we do: not ours to judge."""


@dataclass(frozen=True)
class Result:
    """A tool's result. `structured` is a JSON object; `content` MCP content blocks (text of `structured` if left out)."""

    structured: dict[str, Any] | None = None
    content: list[dict[str, Any]] | None = None
    is_error: bool = False
    meta: dict[str, Any] | None = None
    raw: dict[str, Any] | None = None  # another server's result, passed on as it came; then nothing else here counts

    def to_json(self) -> dict[str, Any]:
        """The result of `tools/call` (MCP, server/tools)."""
        if self.raw is not None:
            return self.raw
        content = self.content
        if content is None:
            content = [text(json.dumps(self.structured, ensure_ascii=False))]
        shaped: dict[str, Any] = {"content": content, "isError": self.is_error}
        if self.structured is not None:
            shaped["structuredContent"] = self.structured
        if self.meta is not None:
            shaped["_meta"] = self.meta
        return shaped


def text(value: str) -> dict[str, Any]:
    """A text content block."""
    return {"type": "text", "text": value}

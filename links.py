"""What a session with another MCP server looks like from above, and where it leads. Opens nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tools import Call

PRODUCT = {"name": "postern", "title": "Postern", "version": "0.1.0"}  # what we call ourselves, as a server and as a client


@dataclass(frozen=True)
class HttpTarget:
    """A server behind an address, with every placeholder filled in. `headers` are the person's own, secrets among them."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: float = 60  # for one request, from sending to its result


@dataclass(frozen=True)
class StdioTarget:
    """A server that is a child process. `environment` is all that it gets, beside what every child needs.

    Its values are not shown where the child writes them, nor are `secrets`, which may be part of an argument.
    """

    command: str
    arguments: tuple[str, ...] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: str | None = None
    seconds: float = 60
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Authorizer(Protocol):
    """What lets us in to a server that wants OAuth. Safe for use by several threads."""

    def headers(self) -> Mapping[str, str]:
        """The headers to send, with an access token that is good for a while. Raises SignInNeeded."""

    def refused(self, status: int, challenge: str | None) -> None:
        """The server answered 401 or 403, with this `WWW-Authenticate`. Returns if one more try with new `headers` is worth it.

        Raises SignInNeeded if only the connection's person can help.
        """


@dataclass(frozen=True)
class Greeting:
    """What a server said of itself: at `initialize`, or to `server/discover`."""

    version: str  # the protocol version that both speak
    is_modern: bool  # the stateless era
    capabilities: Mapping[str, Any]
    server: Mapping[str, Any]  # its serverInfo, as it came
    instructions: str | None = None


Hear = Callable[[str, Mapping[str, Any]], None]  # (method, params) of a notification that belongs to no call of ours


class Link(Protocol):
    """One session with one server. Safe for use by several threads; requests may run side by side."""

    greeting: Greeting

    @property
    def is_alive(self) -> bool:
        """Whether another request is worth trying on it."""

    def request(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask and wait; answers the `result` member just as it came, `input_required` too.

        `params` go out as they are, but for `_meta`, to which the link adds what its era demands. While it waits, progress and
        log lines go to `call.progress` and `call.log`, and what the server asks goes to `call.ask`, which may block. If
        `call.cancelled` is set, the server is told and Cancelled is raised. Raises UpstreamRefused for a JSON-RPC error,
        SignInNeeded, or UpstreamError if the server cannot be talked to.
        """

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the server something that has no answer. Raises UpstreamError."""

    def watch(self, uris: frozenset[str]) -> frozenset[str]:
        """Be told of changes of exactly these resources from now on: what the server agreed to. May take some seconds.

        For one thread at a time. Raises UpstreamError, SignInNeeded.
        """

    @property
    def watched(self) -> frozenset[str]:
        """What of that holds at the moment."""

    def close(self) -> None:
        """End the session, and whatever it holds. Never raises; may be called twice."""

"""What leads to other MCP servers, put together once for each process. Assembly only: does no work of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from config import Settings
from crypto import Vault
from db import Database
from discovery import Discovery
from fetch import Fetcher
from forwarding import Forwarding
from links import Greeting
from store.connections import Connection
from tools import Call
from upstream import Upstreams
from upstream_oauth import UpstreamOAuth
from upstream_opener import Opener
from upstream_stdio import StdioServers, make_stdio_servers
from upstream_tokens import find_tokens


class Servers(Protocol):
    """The sessions with other servers: upstream.Upstreams, or what stands for it in a test."""

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """The result of a request."""

    def greeting(self, connection: Connection, call: Call) -> Greeting:
        """What the server said of itself to such a caller."""

    def greet(self, kind: str, target: Any) -> Mapping[str, Any]:
        """What a server says of itself that is no connection's yet."""

    def drop(self, connection_id: str) -> None:
        """End those of one connection."""

    def stop(self) -> None:
        """End all of them."""


@dataclass(frozen=True)
class Gateway:
    """The sessions with other servers, what is known of them, and the way there for a call."""

    upstreams: Servers
    discovery: Discovery
    forwarding: Forwarding
    stdio: StdioServers

    def stop(self) -> None:
        """End all sessions, and the processes behind them: the worker is going down."""
        self.discovery.stop()
        self.forwarding.stop()
        self.upstreams.stop()
        self.stdio.stop()


def open_gateway(
    db: Database,
    vault: Vault,
    fetch: Fetcher,
    settings: Settings,
    sign_ins: UpstreamOAuth,
    clock: Callable[[], float] = time.time,
    upstreams: Servers | None = None,
) -> Gateway:
    """The gateway of one worker. It opens nothing until somebody needs it. `upstreams` stands in for the sessions, in tests."""
    stdio = make_stdio_servers(settings)

    def hear(connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        discovery.hear(connection_id, method, params)

    def find_schema(connection_id: str, name: str) -> Mapping[str, Any] | None:
        return discovery.find_schema(connection_id, name)

    opener = Opener(fetch, stdio, find_schema)
    upstreams = upstreams or Upstreams(
        db,
        vault,
        opener,
        authorizer=lambda connection: find_tokens(sign_ins, connection),
        hear=hear,
    )
    discovery = Discovery(db, upstreams, clock=clock)
    return Gateway(upstreams, discovery, Forwarding(db, vault, upstreams, clock), stdio)

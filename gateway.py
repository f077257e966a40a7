"""What leads to other MCP servers, put together once for each process. Assembly only: does no work of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from child_folders import remove_leftovers
from config import Settings
from crypto import Vault
from db import Database
from definitions import COMMAND
from discovery import Discovery
from fetch import Fetcher
from forwarding import Forwarding
from links import Greeting
from store.connections import Connection, list_connections_of
from store.tails import keep_tail
from store.upstreams import find_era
from tools import Call
from upstream import Upstreams
from upstream_oauth import UpstreamOAuth
from upstream_opener import Opener
from upstream_stdio import StdioServers, make_stdio_servers
from upstream_tokens import find_tokens
from watches import Watches


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

    def forget(self, connection_id: str) -> None:
        """End those of one that was deleted, and leave nothing of it."""

    def stop(self) -> None:
        """End all of them."""


@dataclass(frozen=True)
class Gateway:
    """The sessions with other servers, what is known of them, and the way there for a call."""

    upstreams: Servers
    discovery: Discovery
    forwarding: Forwarding
    stdio: StdioServers
    watches: Watches

    def stop(self) -> None:
        """End all sessions, and the processes behind them: the worker is going down."""
        self.discovery.stop()
        self.forwarding.stop()
        self.watches.stop()
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
    def keep(connection_id: str, words: str) -> None:
        keep_tail(db, vault, connection_id, words, now=int(clock()))

    stdio = make_stdio_servers(settings, keep=keep, find_era=lambda connection_id: find_era(db, connection_id))

    def hear(connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        discovery.hear(connection_id, method, params)
        watches.hear(connection_id, method, params)

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
    watches = Watches(db, upstreams)
    return Gateway(upstreams, discovery, Forwarding(db, vault, upstreams, clock), stdio, watches)


def remove_folders_of_none(db: Database, settings: Settings, now: float) -> None:
    """Remove the folders of commands whose connections are gone. `now` is the machine's own clock, as the folders have it."""
    remove_leftovers(settings.children_folder, lambda: {item.id for item in list_connections_of(db, COMMAND)}, now)

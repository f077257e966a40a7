"""What leads to other MCP servers, put together once for each process. Assembly only: does no work of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from children import Children
from config import Settings
from crypto import Vault
from db import Database
from discovery import Discovery
from fetch import Fetcher
from forwarding import Forwarding
from store.features import find_feature
from upstream import Upstreams
from upstream_oauth import UpstreamOAuth
from upstream_opener import Opener
from upstream_stdio import StdioServers
from upstream_tokens import find_tokens


@dataclass(frozen=True)
class Gateway:
    """The sessions with other servers, what is known of them, and the way there for a call. `children` only where allowed."""

    upstreams: Upstreams
    discovery: Discovery
    forwarding: Forwarding
    children: Children | None

    def stop(self) -> None:
        """End all sessions, and the processes behind them: the worker is going down."""
        self.discovery.stop()
        self.forwarding.stop()
        self.upstreams.stop()
        if self.children:
            self.children.stop()


def open_gateway(
    db: Database,
    vault: Vault,
    fetch: Fetcher,
    settings: Settings,
    sign_ins: UpstreamOAuth,
    clock: Callable[[], float] = time.time,
) -> Gateway:
    """The gateway of one worker. It opens nothing until somebody needs it."""
    children = open_children(settings) if settings.allow_stdio else None

    def hear(connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        discovery.hear(connection_id, method, params)

    opener = Opener(fetch, StdioServers(children) if children else None, lambda owner, name: find_schema(db, owner, name))
    upstreams = Upstreams(
        db,
        vault,
        opener,
        authorizer=lambda connection: find_tokens(sign_ins, connection),
        hear=hear,
    )
    discovery = Discovery(db, upstreams, clock=clock)
    return Gateway(upstreams, discovery, Forwarding(db, vault, upstreams, clock), children)


def open_children(settings: Settings) -> Children:
    """The commands that the owner allows, kept away from everything private."""
    return Children(settings.data_folder / "stdio", settings.private_paths, unconfined=settings.allow_stdio_unconfined)


def find_schema(db: Database, connection_id: str, tool: str) -> Mapping[str, Any] | None:
    """What arguments a server said that its tool takes."""
    feature = find_feature(db, connection_id, "tool", tool)
    return feature.raw.get("inputSchema") if feature else None

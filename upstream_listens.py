"""One `subscriptions/listen` of ours: what was asked for, and what the server has agreed to. Knows no transport."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

SUBSCRIPTION_META_KEY = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


class Listen:
    """A request whose answer comes when it ends (MCP 2026-07-28, basic/utilities/subscriptions)."""

    def __init__(self, message: dict[str, Any]):
        self.message = message
        self.is_over = False
        self._settled = threading.Event()
        self._agreed: frozenset[str] = frozenset()

    @property
    def resources(self) -> frozenset[str]:
        """The URIs of whose changes the server tells at the moment."""
        return frozenset() if self.is_over else self._agreed

    def take(self, params: Mapping[str, Any]) -> None:
        """The server's acknowledgement. What it agrees to beyond our wishes is not believed."""
        agreed = params.get("notifications")
        uris = agreed.get("resourceSubscriptions") if isinstance(agreed, dict) else None
        wanted = self.message["params"]["notifications"].get("resourceSubscriptions") or ()
        named = {uri for uri in uris if isinstance(uri, str)} if isinstance(uris, list) else set()
        self._agreed = frozenset(wanted) & named
        self._settled.set()

    def end(self) -> None:
        """Nothing more will come."""
        self.is_over = True
        self._settled.set()

    def wait(self, seconds: float) -> None:
        """Return once the server has said what it agrees to, or has ended it; after so long in any case."""
        self._settled.wait(seconds)


class Listens:
    """Those of one session, by their ids. Threads may share it."""

    def __init__(self) -> None:
        self._listens: dict[Any, Listen] = {}

    def add(self, message: dict[str, Any]) -> Listen:
        """One more, that begins with this message."""
        listen = self._listens[message["id"]] = Listen(message)
        return listen

    def end(self, identity: Any) -> bool:
        """Whether there was such a one; there is no more."""
        listen = self._listens.pop(identity, None)
        if listen:
            listen.end()
        return listen is not None

    def end_all(self) -> None:
        """The session is over."""
        for identity in list(self._listens):
            self.end(identity)

    def take(self, params: Mapping[str, Any]) -> None:
        """An acknowledgement, if it is of one of these."""
        meta = params.get("_meta")
        identity = meta.get(SUBSCRIPTION_META_KEY) if isinstance(meta, dict) else None
        listen = self._listens.get(identity) if isinstance(identity, int) else None
        if listen:
            listen.take(params)

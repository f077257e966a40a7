"""Being told when resources of a server change, in the way of its era and transport. Knows no connection and no pool.

Each kind has `set(uris)`, which asks for exactly these from now on and answers what the server agreed to, and `told`: what of
that holds at the moment. They are for one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from errors import UpstreamError, UpstreamRefused
from upstream_listen import ResourceListener
from upstream_listens import Listen
from upstream_rpc import Rpc

ACK_SECONDS = 5.0
NONE: frozenset[str] = frozenset()


class HandshakeWatch:
    """`resources/subscribe`, once for each (MCP 2025-11-25, server/resources, "Subscriptions").

    `find_era()` answers what a subscription hangs on, such as the session's id; None: there is no way to tell us anything.
    """

    def __init__(self, ask: Callable[[str, dict[str, str]], Any], find_era: Callable[[], Any] = lambda: "the session"):
        self._ask, self._find_era = ask, find_era
        self._era: Any = None
        self._told: frozenset[str] = NONE

    @property
    def told(self) -> frozenset[str]:
        """See above."""
        return self._told if self._era is not None and self._era == self._find_era() else NONE

    def set(self, uris: frozenset[str]) -> frozenset[str]:
        """See above. Raises UpstreamError, SignInNeeded."""
        kept, era = self.told, self._find_era()
        for uri in kept - uris:
            with suppress(UpstreamError, UpstreamRefused):  # what still comes is nobody's
                self._ask("resources/unsubscribe", {"uri": uri})
        self._told = kept & uris
        for uri in sorted(uris - kept):
            with suppress(UpstreamRefused):
                self._ask("resources/subscribe", {"uri": uri})
                self._told |= {uri}
        if self._find_era() != era:
            self._told -= kept  # the session has begun anew on the way
        return self.confirm()

    def confirm(self) -> frozenset[str]:
        """What was agreed hangs on what there is now."""
        self._era = self._find_era()
        return self.told


class ListenWatch:
    """`subscriptions/listen`, on a transport on which everything comes the same way: a new one takes the place of the old."""

    def __init__(self, rpc: Rpc):
        self._rpc = rpc
        self._current: Any = None  # what `_begin` answered last, as long as anything is wanted

    @property
    def told(self) -> frozenset[str]:
        """See above."""
        return self._current.resources if self._current else NONE

    def set(self, uris: frozenset[str]) -> frozenset[str]:
        """See above. Raises UpstreamError."""
        new = self._begin(sorted(uris)) if uris else None
        if new:
            new.wait(ACK_SECONDS)
        old, self._current = self._current, new
        if old:
            self._end(old)
        return self.told

    def stop(self) -> None:
        """The session is over."""
        if self._current:
            self._end(self._current)

    def _begin(self, uris: list[str]) -> Listen:
        return self._rpc.listen({"resourceSubscriptions": uris})

    def _end(self, listen: Listen) -> None:
        self._rpc.end_listen(listen)


class StreamWatch(ListenWatch):
    """The same over HTTP, where each has a stream of its own."""

    def _begin(self, uris: list[str]) -> ResourceListener:
        return ResourceListener(self._rpc, uris)

    def _end(self, listener: ResourceListener) -> None:
        listener.stop()

"""Which resources one listener is told of, and which of them have changed. Knows no stream and no message."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from errors import PosternError
from views import Origin
from watches import Watches, Wish, find_parent

WAIT_SECONDS = 8.0  # for servers to agree, while a client waits
MARK_SECONDS = 1.0  # between looks at a resource of ours
TOLD_MAX = 1_000  # changes that wait to be told


class Updates:
    """What one listener wants to hear of, by the URIs that its client knows. For one thread at a time, but for `close`."""

    def __init__(self, toolbox: Any, watches: Watches, capabilities: Mapping[str, Any]):
        self._toolbox, self._watches, self._capabilities = toolbox, watches, capabilities
        self._origins: dict[str, Origin] = {}
        self._wishes: dict[str, Wish] = {}  # by connection
        self._marks: dict[str, str] = {}  # of resources of ours
        self._marked_at = 0.0
        self._is_closed = False
        self._lock = threading.Lock()
        self._heard: dict[tuple[str, str], None] = {}  # by connection and its server's URI, in order

    # --- what is wanted ---

    def want(self, caller: Any, uris: Iterable[str], *, seconds: float = 0.0) -> list[str]:
        """Want exactly these from now on, as far as the caller may see them; answers those of which it is told by now. Waits so
        long for servers that were not asked before.
        """
        found = {uri: self._toolbox.find_origin(caller, uri) for uri in dict.fromkeys(uris)}
        self._origins = {uri: origin for uri, origin in found.items() if origin}
        known = self._marks.keys()
        self._marks = {uri: mark for uri in self._origins if (mark := self._find_mark(uri)) is not None}
        for uri in () if seconds else self._marks.keys() - known:  # it may have changed before
            self._hear_from(self._origins[uri].key[0])(self._origins[uri].uri)
        wanted: dict[str, set[str]] = {connection_id: set() for connection_id in self._wishes}
        for origin in self._origins.values():
            if not origin.mark:
                wanted.setdefault(origin.key[0], set()).add(origin.uri)
        for connection_id, theirs in wanted.items():
            wish = self._wishes.get(connection_id)
            if wish is None:
                wish = self._watches.wish(connection_id, self._capabilities, self._hear_from(connection_id))
                self._wishes[connection_id] = wish
            self._watches.change(wish, frozenset(theirs), is_awaited=seconds > 0)
        if seconds and self._wishes:
            self._watches.wait(list(self._wishes.values()), seconds)
        self._wishes = {connection_id: wish for connection_id, wish in self._wishes.items() if wish.uris}
        if self._is_closed:  # meanwhile, by another thread
            self.close()
        return [uri for uri, origin in self._origins.items() if uri in self._marks or self._is_told(origin)]

    def is_refused(self, uri: str) -> bool:
        """Whether this is nothing that the caller may see, or whoever has it has said that it will not tell."""
        origin = self._origins.get(uri)
        if origin is None:
            return True
        wish = self._wishes.get(origin.key[0])
        return uri not in self._marks and (wish is None or origin.uri in self._watches.refused(wish))

    def close(self) -> None:
        """Want nothing any more. Fit for any thread."""
        self._is_closed = True
        for wish in list(self._wishes.values()):
            self._watches.change(wish, frozenset())

    def _is_told(self, origin: Origin) -> bool:
        wish = self._wishes.get(origin.key[0])
        return wish is not None and origin.uri in self._watches.told(wish)

    def _find_mark(self, uri: str) -> str | None:
        """The mark that a resource of ours had when it was last looked at."""
        return self._marks[uri] if uri in self._marks else self._read_mark(self._origins[uri])

    def _read_mark(self, origin: Origin) -> str | None:
        try:
            return self._toolbox.read_mark(origin) if origin.mark else None
        except PosternError:
            return None  # its connection cannot be opened just now

    # --- what has changed ---

    def _hear_from(self, connection_id: str) -> Any:
        def hear(uri: str) -> None:
            with self._lock:
                if len(self._heard) < TOLD_MAX:
                    self._heard[connection_id, uri] = None

        return hear

    def collect(self, caller: Any) -> list[str]:
        """The URIs that have changed since the last time, each once, as far as the caller may see them now."""
        with self._lock:
            heard, self._heard = list(self._heard), {}
        changed = [uri for key in heard for uri in self._find_names(caller, *key)]
        return list(dict.fromkeys([*changed, *self._find_marked()]))

    def _find_names(self, caller: Any, connection_id: str, theirs: str) -> Iterator[str]:
        """What a server's URI is called here; it may be below one that is wanted."""
        wanted = {origin.uri: (uri, origin) for uri, origin in self._origins.items() if origin.key[0] == connection_id}
        parent = find_parent(wanted, theirs)
        if parent is None:
            return
        uri, origin = wanted[parent]
        name = uri if parent == theirs else origin.expose(theirs)
        seen = self._toolbox.find_origin(caller, name)
        if seen is not None and seen.key == (connection_id, theirs):
            yield name

    def _find_marked(self) -> Iterator[str]:
        if not self._marks or time.monotonic() < self._marked_at + MARK_SECONDS:
            return
        self._marked_at = time.monotonic()
        for uri, before in self._marks.items():
            mark = self._read_mark(self._origins[uri])
            if mark is not None and mark != before:
                self._marks[uri] = mark
                yield uri

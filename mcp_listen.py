"""`subscriptions/listen`: tells a client when the lists that it may see have changed. Knows no HTTP server and no tool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from db import Database
from errors import InvalidToken, PosternError
from protocol import Request, encode_json, stamp, tell
from store.revisions import find_revision
from streams import EventStream

SUBSCRIPTION_META_KEY = "io.modelcontextprotocol/subscriptionId"
POLL_SECONDS = 0.1  # one small query for the whole process, and only while somebody listens

# what a client may ask for -> the part of the method's name, and the lists of the toolbox that it is about
KINDS = {
    "toolsListChanged": ("tools", ("list_tools",)),
    "promptsListChanged": ("prompts", ("list_prompts",)),
    "resourcesListChanged": ("resources", ("list_resources", "list_templates")),
}


@dataclass(eq=False)
class Listener:
    """One open stream: whose it is, what it wants to hear of, and what that looked like last."""

    request: Request
    stream: EventStream
    authenticate: Callable[[], Any]  # the caller as of now; raises InvalidToken once the token is good no more
    caller: Any
    seen: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def wanted(self) -> list[str]:
        """The kinds that it asked for, of those there are."""
        return [kind for kind in KINDS if self.request.params["notifications"].get(kind)]

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification, tagged with the id of the request that opened the stream."""
        tagged = {"_meta": {SUBSCRIPTION_META_KEY: self.request.id}, **params}
        self.stream.put(encode_json({"jsonrpc": "2.0", "method": method, "params": tagged}))

    def finish(self) -> None:
        """End the subscription politely, with its result."""
        result = stamp(self.request.method, {"_meta": {SUBSCRIPTION_META_KEY: self.request.id}})
        self.stream.finish(encode_json({"jsonrpc": "2.0", "id": self.request.id, "result": result}))


class Listeners:
    """All open streams of one process, and the one thread that watches the database for them."""

    def __init__(self, db: Database, toolbox: Any):
        self._db, self._toolbox = db, toolbox
        self._listeners: set[Listener] = set()
        self._needed = threading.Event()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Acknowledge a subscription, before anything else is said on its stream, and begin to watch for it."""
        listener.seen = self._read_lists(listener, listener.caller)
        listener.notify("notifications/subscriptions/acknowledged", notifications=dict.fromkeys(listener.wanted, True))
        with self._lock:
            self._listeners.add(listener)
            self._needed.set()
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="listen", daemon=True)
                self._watcher.start()

    def remove(self, listener: Listener) -> None:
        """Its client has gone, or need not be told anything more."""
        with self._lock:
            self._listeners.discard(listener)
            if not self._listeners:
                self._needed.clear()
        listener.finish()

    def stop(self) -> None:
        """End every subscription: the server is going down."""
        for listener in list(self._listeners):
            self.remove(listener)

    def _watch(self) -> None:
        while self._needed.wait():
            time.sleep(POLL_SECONDS)
            try:
                if self._listeners:
                    self.look()
            except Exception as error:  # whatever it is, the others go on listening
                tell(error)

    def look(self) -> None:
        """Tell each listener what has changed for it, if anything has changed for anybody."""
        try:
            revision = find_revision(self._db)
        except PosternError:
            return  # the next look may succeed
        for listener in list(self._listeners):
            if listener.caller.revision != revision:
                self._refresh(listener)

    def _refresh(self, listener: Listener) -> None:
        try:
            caller = listener.authenticate()
            lists = self._read_lists(listener, caller)
        except InvalidToken:
            self.remove(listener)
            return
        except PosternError:
            return
        for kind in listener.wanted:
            if lists[kind] != listener.seen[kind]:
                listener.notify(f"notifications/{KINDS[kind][0]}/list_changed")
        listener.caller, listener.seen = caller, lists

    def _read_lists(self, listener: Listener, caller: Any) -> dict[str, list[Any]]:
        """What the caller sees of each kind that the listener wants to hear of."""
        return {kind: [getattr(self._toolbox, name)(caller) for name in KINDS[kind][1]] for kind in listener.wanted}

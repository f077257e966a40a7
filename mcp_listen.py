"""Streams on which a client hears of changes: `subscriptions/listen`, and the GET stream of an MCP session. Knows no HTTP server.

A server's changes of single resources come from watches.py, by way of mcp_updates.py; that lists have changed is seen here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mcp_types.jsonrpc import INVALID_REQUEST

from db import Database
from errors import InvalidToken, PosternError, ProtocolError
from mcp_updates import WAIT_SECONDS, Updates
from protocol import Request, encode_json, stamp, tell
from store.mcp_sessions import (
    SEEN_EVERY_SECONDS,
    SUBSCRIPTIONS_MAX,
    McpSession,
    begin_stream,
    end_stream,
    find_stream,
    keep_stream,
)
from store.revisions import find_revisions
from streams import EventStream
from upstream_listens import ACKNOWLEDGED, SUBSCRIPTION_META_KEY
from watches import UPDATED, Watches

POLL_SECONDS = 0.1  # one small query for the whole process, and only while somebody listens

# what a client may ask for -> the part of the method's name, and the lists of the toolbox that it is about
KINDS = {
    "toolsListChanged": ("tools", ("list_tools",)),
    "promptsListChanged": ("prompts", ("list_prompts",)),
    "resourcesListChanged": ("resources", ("list_resources", "list_templates")),
}


@dataclass(eq=False)
class Listener:
    """One open stream: whose it is, what it wants to hear of, and what that looked like last.

    It has the request that opened it, or the MCP session whose stream it is. `lock` is held by whoever changes what it wants.
    """

    stream: EventStream
    authenticate: Callable[[], Any]  # the caller as of now; raises InvalidToken once the token is good no more
    caller: Any
    request: Request | None = None
    session: McpSession | None = None
    seen: dict[str, list[Any]] = field(default_factory=dict)
    updates: Updates | None = None
    is_over: bool = False
    agreed: list[str] = field(default_factory=list)  # the resources that the request was promised
    stream_id: str | None = None  # in the session
    kept_at: float = 0  # when it was last noted that the stream is there
    number: int = 0  # the revision of MCP sessions that was seen last
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def wanted(self) -> list[str]:
        """The kinds that it asked for, of those there are. A session hears of all."""
        return [kind for kind in KINDS if self.request is None or self.request.params["notifications"].get(kind) is True]

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification, tagged with the id of the request that opened the stream."""
        meta = {"_meta": {SUBSCRIPTION_META_KEY: self.request.id}} if self.request else {}
        self.stream.put(encode_json({"jsonrpc": "2.0", "method": method, "params": {**meta, **params}}))

    def finish(self) -> None:
        """End the stream politely: a request has a result."""
        if self.request is None:
            self.stream.finish()
            return
        result = stamp(self.request.method, {"_meta": {SUBSCRIPTION_META_KEY: self.request.id}})
        self.stream.finish(encode_json({"jsonrpc": "2.0", "id": self.request.id, "result": result}))


class Listeners:
    """All open streams of one process, and the one thread that watches the database for them."""

    def __init__(self, db: Database, toolbox: Any, watches: Watches, clock: Callable[[], float] = time.time):
        self._db, self._toolbox, self._watches, self._clock = db, toolbox, watches, clock
        self._listeners: set[Listener] = set()
        self._needed = threading.Event()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Begin to watch for a listener. A request is acknowledged before anything else is said on its stream."""
        with listener.lock:
            capabilities = (listener.session or listener.request).capabilities
            listener.updates = Updates(self._toolbox, self._watches, capabilities)
            with self._lock:
                self._listeners.add(listener)
                self._needed.set()
                if self._watcher is None:
                    self._watcher = threading.Thread(target=self._watch, name="listen", daemon=True)
                    self._watcher.start()
            listener.seen = self._read_lists(listener, listener.caller)
            (self._begin_session_stream if listener.session else self._acknowledge)(listener)

    def remove(self, listener: Listener) -> None:
        """Its client has gone, or need not be told anything more."""
        with self._lock:
            self._listeners.discard(listener)
            if not self._listeners:
                self._needed.clear()
        listener.is_over = True
        if listener.updates:
            listener.updates.close()
        if listener.session and listener.stream_id:
            with suppress(PosternError):  # it is forgotten by itself
                end_stream(self._db, listener.session.id_hash, listener.stream_id)
        listener.finish()

    def stop(self) -> None:
        """End every stream: the server is going down."""
        for listener in list(self._listeners):
            self.remove(listener)

    def follow(self, session: McpSession, change: Callable[[], None], wanted: str | None = None) -> bool:
        """Change what a session wants to hear of, and see to it at once if its stream is here: whether the server of the one
        that is `wanted` refuses it. Where the stream is elsewhere, its own process will see to it a moment later.
        """
        for listener in list(self._listeners):
            if listener.session and listener.session.id_hash == session.id_hash and not listener.is_over:
                with listener.lock:
                    change()
                    listener.updates.want(
                        listener.caller, self._read_uris(listener) or (), seconds=WAIT_SECONDS if wanted else 0
                    )
                    return wanted is not None and not listener.is_over and listener.updates.is_refused(wanted)
        change()
        return False

    # --- the beginning ---

    def _acknowledge(self, listener: Listener) -> None:
        """Say what will be told: of the resources, those whose servers agree (MCP 2026-07-28, basic/utilities/subscriptions)."""
        wanted = listener.request.params["notifications"].get("resourceSubscriptions") or ()
        if wanted:
            agreed = listener.updates.want(listener.caller, wanted[:SUBSCRIPTIONS_MAX], seconds=WAIT_SECONDS)
            listener.agreed = agreed
            listener.updates.want(listener.caller, agreed)  # the others are not waited for
        promised = dict.fromkeys(listener.wanted, True) | ({"resourceSubscriptions": listener.agreed} if listener.agreed else {})
        listener.notify(ACKNOWLEDGED, notifications=promised)

    def _begin_session_stream(self, listener: Listener) -> None:
        """What changed before it began was told to nobody. Raises ProtocolError if there is one already: each message goes out
        once (MCP 2025-11-25, basic/transports, "Multiple Connections").
        """
        now = self._clock()
        listener.stream_id, listener.kept_at = begin_stream(self._db, listener.session, now=int(now)), now
        if listener.stream_id is None:
            raise ProtocolError(INVALID_REQUEST, "This session has its stream already", status=409)
        listener.number = find_revisions(self._db)[1]
        listener.updates.want(listener.caller, self._read_uris(listener) or ())

    # --- the watching thread ---

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
            numbers = find_revisions(self._db)
        except PosternError:
            return  # the next look may succeed
        for listener in list(self._listeners):
            if listener.lock.acquire(blocking=False):  # else somebody waits for a server
                try:
                    self._look_at(listener, *numbers)
                finally:
                    listener.lock.release()

    def _look_at(self, listener: Listener, revision: int, number: int) -> None:
        if listener.is_over:
            return
        if listener.session and self._clock() >= listener.kept_at + SEEN_EVERY_SECONDS:
            self._keep(listener)
        if listener.caller.revision != revision or (listener.session and listener.number != number):
            self._refresh(listener, number)
        if listener.caller.revision >= revision and not listener.is_over:
            for uri in listener.updates.collect(listener.caller):
                listener.notify(UPDATED, uri=uri)

    def _keep(self, listener: Listener) -> None:
        """Note that the stream of a session is still there."""
        listener.kept_at = self._clock()
        with suppress(PosternError):  # the next time is soon enough
            keep_stream(self._db, listener.session.id_hash, listener.stream_id, now=int(listener.kept_at))

    def _refresh(self, listener: Listener, number: int) -> None:
        """Look again at who it is, and what it sees and wants. It ends with its token, or its session."""
        try:
            caller = listener.authenticate()
            lists, uris = self._read_lists(listener, caller), self._read_uris(listener)
        except InvalidToken:
            uris = None
        except PosternError:
            return
        if uris is None:
            self.remove(listener)
            return
        for kind in listener.wanted:
            if lists[kind] != listener.seen[kind]:
                listener.notify(f"notifications/{KINDS[kind][0]}/list_changed")
        listener.updates.want(caller, uris)
        listener.caller, listener.seen, listener.number = caller, lists, number

    def _read_lists(self, listener: Listener, caller: Any) -> dict[str, list[Any]]:
        """What the caller sees of each kind that the listener wants to hear of."""
        return {kind: [getattr(self._toolbox, name)(caller) for name in KINDS[kind][1]] for kind in listener.wanted}

    def _read_uris(self, listener: Listener) -> list[str] | None:
        """The resources that it wants to hear of; None if its session has ended."""
        if listener.session is None:
            return listener.agreed
        found = find_stream(self._db, listener.session.id_hash)
        return found[1] if found and found[0] == listener.stream_id else None

"""Which resources of other servers somebody here wants to hear of: a server is asked for each once, however many they are.

Knows no grant and no client. What is wanted of one connection is seen to by a thread of its own, so that a slow server delays no
other; it holds a session with the server for as long as anything is wanted, and asks again whenever that was lost. It is the
session that the same clients' calls go through: many a server, such as a command, knows only of what happens in its own.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from db import Database
from errors import PosternError, UpstreamError, trace
from store.connections import Connection, find_connection
from store.upstreams import list_current
from tools import Call
from upstream import Session, Upstreams
from upstream_rpc import declare

log = logging.getLogger("postern.upstream")

UPDATED = "notifications/resources/updated"
LOOK_SECONDS = 1.0  # between looks whether what was agreed still holds
FIRST_PAUSE, LAST_PAUSE = 2.0, 300.0  # before a server that did not agree to everything is asked again
STOP_SECONDS = 1.0
NONE: frozenset[str] = frozenset()

Key = tuple[str, str]  # a connection, and what its callers can be asked


@dataclass(eq=False)
class Wish:
    """What one listener wants to hear of one connection; `tell(uri)` must not block. `awaited`: what its client waits for."""

    key: Key
    tell: Callable[[str], None]
    uris: frozenset[str] = NONE
    awaited: frozenset[str] = NONE


@dataclass(eq=False)
class Place:
    """What is wanted of one connection by callers of one kind, and how far that is so. Its thread alone touches the session."""

    key: Key
    wishes: list[Wish] = field(default_factory=list)
    asked: int = 0  # rises with each wish that changes
    done: int = 0  # the value of `asked` that was seen to
    tried: frozenset[str] = NONE
    told: frozenset[str] = NONE
    is_reached: bool = False  # the last try went well, so that what is not told is refused
    pause: float = 0
    retry_at: float = 0
    wake: threading.Event = field(default_factory=threading.Event)
    session: Session | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def wanted(self) -> frozenset[str]:
        """By anybody."""
        return frozenset().union(*(wish.uris for wish in self.wishes))

    @property
    def is_lost(self) -> bool:
        """Whether what was agreed does not hold any more."""
        session = self.session
        return session is None or session.is_dismissed or not session.link.is_alive or not self.told <= session.link.watched


class Asker(Call):
    """A caller who can be asked this; it gets the session of all of that kind."""

    def __init__(self, declared: str):
        super().__init__()
        self._declared = json.loads(declared)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it can be asked."""
        return self._declared


class Watches:
    """All such wishes of one process. Threads may share it."""

    def __init__(self, db: Database, pool: Upstreams):
        self._db, self._pool = db, pool
        self._changed = threading.Condition()
        self._places: dict[Key, Place] = {}
        # In the stateless era several places have the same session: what each wants in it, under a lock.
        self._shares: WeakKeyDictionary[Session, tuple[threading.Lock, dict[Key, frozenset[str]]]] = WeakKeyDictionary()
        self._is_stopped = False

    # --- for those who want something ---

    def wish(self, connection_id: str, capabilities: Mapping[str, Any], tell: Callable[[str], None]) -> Wish:
        """One more listener, who wants nothing yet."""
        return Wish((connection_id, json.dumps(declare(capabilities), sort_keys=True)), tell)

    def change(self, wish: Wish, uris: frozenset[str], *, is_awaited: bool = False) -> None:
        """Want exactly these from now on. What begins to be told later than its client waits for is told of once, unasked: it
        may have changed meanwhile.
        """
        with self._changed:
            if self._is_stopped or uris == wish.uris:
                return
            place = self._places.get(wish.key)
            if place is None:
                place = self._begin(wish.key)
            new = uris - wish.uris
            wish.uris, wish.awaited = uris, new if is_awaited else NONE
            place.wishes = [other for other in place.wishes if other is not wish] + ([wish] if uris else [])
            place.asked += 1
            late = NONE if is_awaited else new & place.told
            place.wake.set()
        for uri in late:
            wish.tell(uri)

    def wait(self, wishes: list[Wish], seconds: float) -> None:
        """Return once these were seen to, or after so long."""
        with self._changed:
            places = [self._places[wish.key] for wish in wishes if wish.key in self._places]
            wanted = [(place, place.asked) for place in places]
            self._changed.wait_for(lambda: self._is_stopped or all(place.done >= asked for place, asked in wanted), seconds)
            for wish in wishes:
                wish.awaited = NONE

    def told(self, wish: Wish) -> frozenset[str]:
        """What of a wish its server tells of at the moment."""
        place = self._places.get(wish.key)
        return wish.uris & place.told if place else NONE

    def refused(self, wish: Wish) -> frozenset[str]:
        """What of a wish its server was asked for, and does not tell of."""
        place = self._places.get(wish.key)
        return wish.uris & place.tried - place.told if place and place.is_reached else NONE

    def hear(self, connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        """A server has said something unasked. It may name what is below a resource that somebody wants to hear of."""
        uri = params.get("uri")
        if method != UPDATED or not isinstance(uri, str):
            return
        with self._changed:
            wishes = [wish for key, place in self._places.items() if key[0] == connection_id for wish in place.wishes]
        for wish in wishes:
            if find_parent(wish.uris, uri) is not None:
                wish.tell(uri)

    def stop(self) -> None:
        """Want nothing any more: the process is going down."""
        with self._changed:
            self._is_stopped = True
            places = list(self._places.values())
            for place in places:
                place.wishes = []
                place.wake.set()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._places, STOP_SECONDS)

    # --- the thread of a place ---

    def _begin(self, key: Key) -> Place:
        place = self._places[key] = Place(key)
        threading.Thread(target=self._run, args=(place,), name="watch " + key[0][:8], daemon=True).start()
        return place

    def _run(self, place: Place) -> None:
        """See to what is wanted, and again when that changes or was lost, until nothing is."""
        while True:
            place.wake.clear()
            with self._changed:
                wanted, asked = place.wanted, place.asked
            try:
                self._see_to(place, wanted)
            except Exception as error:  # whatever it is: the next round may go well
                log.error("watching connection %s failed: %s", place.key[0], trace(error))
            with self._changed:
                place.done = asked
                self._changed.notify_all()
                if not place.wanted:
                    if place.session is None:
                        del self._places[place.key]
                        self._changed.notify_all()
                        return
                    continue
            place.wake.wait(LOOK_SECONDS)

    def _see_to(self, place: Place, wanted: frozenset[str]) -> None:
        if not wanted:
            self._let_go(place)
            return
        is_lost = bool(place.told) and place.is_lost
        is_missing = place.told < wanted and time.monotonic() >= place.retry_at
        if wanted == place.tried and not is_lost and not is_missing:
            return
        kept = NONE if is_lost else place.told
        try:
            told = self._ask(place, wanted)
            place.is_reached = True
        except PosternError as error:
            log.info("connection %s tells of no changes: %s", place.key[0], type(error).__name__)
            told = NONE
            place.is_reached = False
        place.pause = 0 if told >= wanted else min(place.pause * 2 or FIRST_PAUSE, LAST_PAUSE)
        place.retry_at = time.monotonic() + place.pause
        place.tried = wanted
        self._tell_of_new(place, told, kept)

    def _tell_of_new(self, place: Place, told: frozenset[str], kept: frozenset[str]) -> None:
        """What is told of from now on may have changed before, unless its client is just waiting for this."""
        with self._changed:
            place.told = told
            late = [(wish, uri) for wish in place.wishes for uri in (wish.uris & told) - kept - wish.awaited]
        for wish, uri in late:
            wish.tell(uri)

    def _ask(self, place: Place, wanted: frozenset[str]) -> frozenset[str]:
        """What the server agrees to. Raises PosternError."""
        session = place.session
        if session is None or session.is_dismissed or not session.link.is_alive:
            place.stack.close()
            place.session = None
            connection = self._find(place.key[0])
            place.session = session = place.stack.enter_context(self._pool.lend(connection, Asker(place.key[1])))
        return self._share(place.key, session, wanted) if can_subscribe(session.link.greeting.capabilities) else NONE

    def _share(self, key: Key, session: Session, wanted: frozenset[str]) -> frozenset[str]:
        """What a server agrees to of what one place wants in a session, beside what others want in it."""
        with self._changed:
            lock, shares = self._shares.setdefault(session, (threading.Lock(), {}))
        with lock:
            shares[key] = wanted
            together = frozenset().union(*shares.values())
            told = together if together == session.link.watched else session.link.watch(together)
        return told & wanted

    def _find(self, connection_id: str) -> Connection:
        """A connection as it is now. Raises UpstreamError if it is switched off or gone."""
        connection = find_connection(self._db, connection_id) if connection_id in list_current(self._db) else None
        if connection is None:
            raise UpstreamError("The connection is switched off.")
        return connection

    def _let_go(self, place: Place) -> None:
        """Nobody wants anything: tell the server, and give the session back."""
        session, place.session = place.session, None
        place.told = place.tried = NONE
        try:
            if session and session.link.is_alive:  # also if the server has lost what was agreed: others ask for theirs again
                self._share(place.key, session, NONE)
        except PosternError:
            pass  # it will notice that the session ends
        finally:
            place.stack.close()


def can_subscribe(capabilities: Mapping[str, Any]) -> bool:
    """Whether a server says that it tells of changes of single resources."""
    resources = capabilities.get("resources")
    return isinstance(resources, Mapping) and resources.get("subscribe") is True


def find_parent(wanted: Mapping[str, Any] | frozenset[str], uri: str) -> str | None:
    """Which of these a URI is, or is below; a server may be told of both (MCP 2025-11-25, `ResourceUpdatedNotification`)."""
    if uri in wanted:
        return uri
    return max((one for one in wanted if uri.startswith(one.rstrip("/") + "/")), key=len, default=None)

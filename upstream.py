"""Sessions with other MCP servers, kept and used again: one pool for each process. Speaks no protocol and knows no page.

A session belongs to one connection and, in the handshake era, to what its callers can be asked, for that is what the server was
told. A server that cannot be reached is left alone for a while: whoever asks meanwhile is told at once, and no other connection
notices.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crypto import Unreadable, Vault, new_id
from db import Database
from definitions import find_target
from errors import PosternError, ToolError, UpstreamError, trace
from links import Authorizer, Greeting, HttpTarget, Link, StdioTarget
from store.connections import Connection, find_connection, list_secrets
from store.upstreams import list_current
from tools import Call
from upstream_endpoint import Unreachable
from upstream_levels import ToldLevel
from upstream_opener import Opener
from upstream_rpc import declare

log = logging.getLogger("postern.upstream")

IDLE_SECONDS = 300  # after which a session that nobody uses is ended
TIDY_SECONDS = 30
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # for which a server is left alone, twice as long each time
MAX_SESSIONS = 8  # of one connection
LOOK_SECONDS = 0.1  # between looks whether a caller who waits for a session still wants it
STOP_SECONDS = 4.0
STATELESS = "every caller"  # the key of a session of the stateless era, in which each request says what its caller can be asked

FindTarget = Callable[[str, Mapping[str, Any], Mapping[str, str]], HttpTarget | StdioTarget]


@dataclass(eq=False)
class Session:
    """A link in the pool. One that is `dismissed` is closed when its last user leaves."""

    link: Link
    level: ToldLevel = field(default_factory=ToldLevel)
    users: int = 0
    used_at: float = 0
    is_dismissed: bool = False


@dataclass(eq=False)
class Place:
    """What is kept for one connection as it is set up now: its sessions, and since when its server cannot be reached."""

    made_for: tuple[int, str]
    opening: threading.Lock = field(default_factory=threading.Lock)
    sessions: dict[str, Session] = field(default_factory=dict)
    pause: float = 0
    paused_until: float = 0
    failed_at: float = -math.inf
    failure: str = ""


class Upstreams:
    """The pool. Threads may share it. `hear(connection id, method, params)` gets what a server says unasked.

    Raises UpstreamError, UpstreamRefused, SignInNeeded, Cancelled, or ToolError for a setting that is missing.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        opener: Opener,
        *,
        authorizer: Callable[[Connection], Authorizer | None] = lambda connection: None,
        hear: Callable[[str, str, Mapping[str, Any]], None] = lambda connection_id, method, params: None,
        find_target: FindTarget = find_target,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._db, self._vault, self._opener, self._clock = db, vault, opener, clock
        self._authorizer, self._hear, self._find_target = authorizer, hear, find_target
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._forgotten: set[str] = set()
        self._stopping = threading.Event()
        self._tidier: threading.Thread | None = None

    # --- for those who ask ---

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask a connection's server and wait: see `links.Link.request`."""
        with self.lend(connection, call) as session:
            session.level.tell(session.link, call)
            return session.link.request(method, params, call)

    def greeting(self, connection: Connection, call: Call | None = None) -> Greeting:
        """What its server said of itself, to a caller who can be asked the same."""
        with self.lend(connection, call or Call()) as session:
            return session.link.greeting

    def notify(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call | None = None) -> None:
        """Tell its server something that has no answer."""
        with self.lend(connection, call or Call()) as session:
            session.link.notify(method, params)

    @contextmanager
    def lend(self, connection: Connection, call: Call) -> Iterator[Session]:
        """A living session, opened if need be; others may use it at the same time."""
        declared = declare(call.capabilities)
        key = json.dumps(declared, sort_keys=True)
        place = self._find_place(connection)
        self._check_pause(place)
        session = self._find(place, key) or self._open(place, connection, key, declared, call)
        try:
            with self._judging(place, Unreachable):
                yield session
                place.pause = 0
        finally:
            self._give_back(session)

    def greet(self, kind: str, target: HttpTarget | StdioTarget) -> dict[str, Any]:
        """Open a server once and close it again, to see whether it answers: what it says of itself.

        A command that is tried has a folder of its own, so that it can leave nothing there for the next one.
        """
        owner = "try-" + new_id()
        try:
            link = self._opener.open(kind, target, owner, {}, lambda method, params: None, None)
            greeting = link.greeting
            link.close()
        finally:
            self._opener.forget(owner)
        return {"version": greeting.version, "server": greeting.server, "capabilities": greeting.capabilities}

    def drop(self, connection_id: str) -> None:
        """End the sessions of a connection: it was changed or switched off. Requests under way come to their end."""
        with self._lock:
            place = self._places.pop(connection_id, None)
            unused = dismiss(place) if place else []
        close_all(unused)

    def forget(self, connection_id: str) -> None:
        """Do that for a connection that was deleted, of which nothing shall be left, nor begin anew for a call that is late."""
        self._forgotten.add(connection_id)
        self.drop(connection_id)
        self._opener.forget(connection_id)

    def stop(self) -> None:
        """End every session, whoever uses it: the process is going down."""
        self._stopping.set()
        with self._lock:
            places, self._places = list(self._places.values()), {}
            sessions = [session for place in places for session in place.sessions.values()]
        close_all(sessions, STOP_SECONDS)

    def tidy(self) -> None:
        """End what was idle for long."""
        before = self._clock() - IDLE_SECONDS
        stale, links = list[Session](), list[Link]()
        with self._lock:
            for connection_id, place in list(self._places.items()):
                stale += [session for session in place.sessions.values() if not session.users and session.used_at < before]
                place.sessions = {key: session for key, session in place.sessions.items() if session not in stale}
                links += [session.link for session in place.sessions.values()]
                if not place.sessions and place.paused_until < before and not place.opening.locked():
                    del self._places[connection_id]
        close_all(stale)
        for link in links:
            getattr(link, "close_idle", lambda: None)()

    def catch_up(self) -> None:
        """Do what another process has done that changed, switched off or deleted a connection."""
        with self._lock:
            held = {connection_id: place.made_for[0] for connection_id, place in self._places.items()}
        current = list_current(self._db) if held else {}
        for connection_id, made_for in held.items():
            if current.get(connection_id, 0) > made_for or connection_id not in current:
                exists = find_connection(self._db, connection_id) is not None
                (self.drop if exists else self.forget)(connection_id)

    # --- sessions ---

    def _find_place(self, connection: Connection) -> Place:
        """Where the sessions of a connection are kept. Once it was changed, those from before are ended."""
        made_for = (connection.updated_at, json.dumps(dict(connection.settings), sort_keys=True))
        unused: list[Session] = []
        with self._lock:
            if self._stopping.is_set():
                raise UpstreamError("Postern is going down.")
            if connection.id in self._forgotten:
                raise UpstreamError("This connection was deleted.")
            place = self._places.get(connection.id)
            if place is None or (place.made_for != made_for and place.made_for[0] <= connection.updated_at):
                unused = dismiss(place) if place else []
                place = self._places[connection.id] = Place(made_for)
        close_all(unused)
        return place

    def _find(self, place: Place, key: str) -> Session | None:
        """A session that lives, lent to one more."""
        with self._lock:
            key = STATELESS if STATELESS in place.sessions else key
            session = place.sessions.get(key)
            if session is None or session.link.is_alive:
                if session:
                    session.users += 1
                return session
            del place.sessions[key]
        close_all([session])
        return None

    def _open(self, place: Place, connection: Connection, key: str, declared: Mapping[str, Any], call: Call) -> Session:
        """Open a session; whoever wants one to the same server at the same time waits for that one."""
        while not place.opening.acquire(timeout=LOOK_SECONDS):
            call.check_cancelled()
        try:
            self._check_pause(place)
            if (session := self._find(place, key)) is not None:
                return session
            self._make_room(place)
            with self._judging(place, UpstreamError):
                link = self._connect(connection, declared)
            session = Session(link, users=1)
            with self._lock:
                place.sessions[STATELESS if link.greeting.is_modern else key] = session
                session.is_dismissed = self._places.get(connection.id) is not place
        finally:
            place.opening.release()
        self._begin_to_tidy()
        return session

    def _connect(self, connection: Connection, declared: Mapping[str, Any]) -> Link:
        """A new session with the server of a connection. Raises ToolError if something is missing for it."""
        try:
            secrets = list_secrets(self._db, self._vault, connection.id)
        except Unreadable:
            raise UpstreamError("What is kept for this connection cannot be read. Please fill in its secrets again.") from None
        current = find_connection(self._db, connection.id)  # after its secrets: new ones must not go to an old address
        if current is not None and current.updated_at > connection.updated_at:
            raise ToolError("This connection was changed a moment ago. Please try again.")
        target = self._find_target(connection.connector, connection.settings, secrets)
        authorizer = self._authorizer(connection)

        def hear(method: str, params: Mapping[str, Any]) -> None:
            self._hear(connection.id, method, params)

        log.info("opening a session for connection %s", connection.id)
        return self._opener.open(connection.connector, target, connection.id, declared, hear, authorizer)

    def _give_back(self, session: Session) -> None:
        with self._lock:
            session.users -= 1
            session.used_at = self._clock()
            is_last = session.is_dismissed and not session.users
        if is_last:
            close_all([session])

    def _make_room(self, place: Place) -> None:
        """End the session that was idle longest if there are too many. Raises UpstreamError if all are in use."""
        with self._lock:
            if len(place.sessions) < MAX_SESSIONS:
                return
            idle = [(session.used_at, key) for key, session in place.sessions.items() if not session.users]
            if not idle:
                raise UpstreamError("Too many different assistants use this connection at the moment.")
            oldest = place.sessions.pop(min(idle)[1])
        close_all([oldest])

    # --- servers that cannot be reached ---

    def _check_pause(self, place: Place) -> None:
        """Raise UpstreamError if its server could not be reached a moment ago."""
        if place.pause and self._clock() < place.paused_until:
            raise UpstreamError(place.failure)

    @contextmanager
    def _judging(self, place: Place, failure: type[UpstreamError]) -> Iterator[None]:
        """After such a failure its server is left alone for a while. What was under way when the last try failed says nothing
        new: one break of a session ends many calls."""
        began = self._clock()
        try:
            yield
        except failure as error:
            with self._lock:
                if began > place.failed_at:
                    place.pause = min(place.pause * 2 or FIRST_PAUSE, LAST_PAUSE)
                    place.failed_at = self._clock()
                    place.paused_until = place.failed_at + place.pause
                    place.failure = str(error)
            raise

    # --- housekeeping ---

    def _begin_to_tidy(self) -> None:
        with self._lock:
            if self._tidier is None and not self._stopping.is_set():
                self._tidier = threading.Thread(target=self._tidy_again, name="tidy sessions", daemon=True)
                self._tidier.start()

    def _tidy_again(self) -> None:
        while not self._stopping.wait(TIDY_SECONDS):
            try:
                self.catch_up()
                self.tidy()
            except Exception as error:  # the next time may succeed
                log.error("tidying failed: %s", trace(error))


def dismiss(place: Place) -> list[Session]:
    """Mark all sessions of a place for their end; answers those that nobody uses."""
    for session in place.sessions.values():
        session.is_dismissed = True
    return [session for session in place.sessions.values() if not session.users]


def close_all(sessions: list[Session], seconds: float = math.inf) -> None:
    """Close them, outside any lock, and side by side, for each may take a moment. Waits no longer than so many seconds."""
    threads = [threading.Thread(target=close, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(min(max(0, deadline - time.monotonic()), threading.TIMEOUT_MAX))


def close(session: Session) -> None:
    """Close one."""
    try:
        session.link.close()
    except PosternError as error:  # a link promises not to raise; if one does, the others are closed all the same
        log.error("a session could not be closed: %s", trace(error))

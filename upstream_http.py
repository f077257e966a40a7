"""A session with an MCP server over Streamable HTTP, in whichever era the server is of. Knows no connection and no pool."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mcp_types import HEADER_MISMATCH

from errors import PosternError, SignInNeeded, UpstreamError, UpstreamRefused
from fetch import Fetcher
from links import Authorizer, Greeting, Hear, HttpTarget
from tools import Call
from upstream_endpoint import Endpoint, NotUnderstood, TimedOut
from upstream_greeting import discover, find_wanted, initialize
from upstream_headers import FindSchema, ToolHeaders
from upstream_listen import Listener
from upstream_posts import Posts, SessionGone
from upstream_watch import HandshakeWatch, StreamWatch
from wire import Deadline

PROBE_SECONDS = 10.0  # for a server to say whether it is of the stateless era
GREETING_SECONDS = 30.0
GOODBYE_SECONDS = 2.0
SETTLE_SECONDS = 2.0
MAX_PAGES = 100


class HttpLink:
    """One session: see `links.Link`. It is open once it is made; raises UpstreamError, SignInNeeded, if it cannot be."""

    greeting: Greeting

    def __init__(
        self,
        target: HttpTarget,
        fetch: Fetcher,
        capabilities: Mapping[str, Any],
        hear: Hear,
        authorizer: Authorizer | None = None,
        find_schema: FindSchema = lambda name: None,
    ):
        self._seconds, self._hear = target.seconds, hear
        self._tools = ToolHeaders(find_schema)
        self._endpoint = Endpoint(fetch, target, authorizer)
        self._posts = Posts(self._endpoint, self._take_note, capabilities, self._tools.describe)
        self._lock, self._renewing = threading.Lock(), threading.Lock()
        self._listener: Listener | None = None
        self._streams = StreamWatch(self._posts)
        self._subscriptions = HandshakeWatch(lambda method, params: self.request(method, params, Call()), self._find_era)
        self.is_alive = True
        try:
            self.greeting = self._greet()
            self._wanted = find_wanted(self.greeting.capabilities)
            may_ask = self._posts.session_id is not None and (self._wanted or capabilities)
            self._says_things = bool(self._wanted if self.greeting.is_modern else may_ask)
        except UpstreamRefused as error:
            self.close()
            raise UpstreamError(f"The server refuses to begin a session (error {error.code}).") from None
        except BaseException:
            self.close()
            raise

    # --- what a Link does ---

    def request(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask and wait: see `links.Link.request`."""
        self._listen()
        session_id = self._posts.session_id
        try:
            return self._ask(method, params, call)
        except SessionGone:
            self._renew(session_id)
        except UpstreamRefused as error:
            if error.code != HEADER_MISMATCH or method != "tools/call" or not self.greeting.is_modern:
                raise
            self._learn_tools()
        return self._ask(method, params, call)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the server something, unless it is of the era that takes no notifications over HTTP. Raises UpstreamError."""
        if not self.greeting.is_modern:
            self._posts.notify(method, params)

    def watch(self, uris: frozenset[str]) -> frozenset[str]:
        """Be told of changes of these: see `links.Link.watch`."""
        if self.greeting.is_modern:
            return self._streams.set(uris)
        if self._posts.session_id is None:
            return frozenset()  # there is no stream for it
        self._begin_to_listen()
        if self._listener and uris:
            self._listener.is_settled.wait(SETTLE_SECONDS)
        self._subscriptions.set(uris)
        if self._listener and uris and not self._listener.is_open:  # in a session that has just begun anew
            self._listener.hurry(SETTLE_SECONDS)
        return self._subscriptions.confirm()

    @property
    def watched(self) -> frozenset[str]:
        """What of that holds."""
        return self._streams.told if self.greeting.is_modern else self._subscriptions.told

    def _find_era(self) -> tuple[str | None, int] | None:
        """What a subscription of the handshake era hangs on; None while nothing can reach us."""
        listener = self._listener
        return (self._posts.session_id, listener.opened) if listener and listener.is_open else None

    def close(self) -> None:
        """End the session, and tell the server if it has one (MCP 2025-11-25, basic/transports, "Session Management")."""
        with self._lock:
            was_alive, self.is_alive = self.is_alive, False
            session_id, self._posts.session_id = self._posts.session_id, None
        if self._listener:
            self._listener.stop()
        self._streams.stop()
        if was_alive and session_id is not None:
            headers = {"Mcp-Session-Id": session_id, "MCP-Protocol-Version": self._posts.version or ""}
            with suppress(PosternError), self._endpoint.send("DELETE", headers, None, Deadline(GOODBYE_SECONDS)):
                pass
        self._posts.fail("The session was closed.")
        self._endpoint.channel.close()

    def close_idle(self) -> None:
        """Close the sockets that nobody used for a while; the session goes on."""
        self._endpoint.channel.close_idle()

    # --- the beginning ---

    def _greet(self) -> Greeting:
        """Try the stateless era first, then the handshake (MCP 2026-07-28, basic/transports, "Backward Compatibility")."""
        try:
            greeting = discover(self._posts, min(self._seconds, PROBE_SECONDS))
        except (NotUnderstood, TimedOut):
            greeting = None
        self._posts.tells_cancelled = greeting is None  # in the stateless era, hanging up does
        return greeting or initialize(self._posts, min(self._seconds, GREETING_SECONDS))

    def _renew(self, lost: str | None) -> None:
        """Begin a new session in place of one that the server has lost; of several threads that notice, one does it."""
        with self._renewing:
            if self._posts.session_id != lost or not self.is_alive:
                return
            try:
                self.greeting = initialize(self._posts, min(self._seconds, GREETING_SECONDS))
            except SignInNeeded:
                raise
            except PosternError as error:
                self.is_alive = False
                raise UpstreamError("The server has forgotten our session, and begins no new one.") from error

    # --- one request ---

    def _ask(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        result = self._posts.request(method, params, call, self._seconds)
        if method == "tools/list" and self.greeting.is_modern:
            self._tools.learn(result)
        return result

    def _learn_tools(self) -> None:
        """Read the list of tools again: the headers of one have changed (MCP 2026-07-28, basic/transports, "Client Behavior")."""
        self._tools.forget()
        params: dict[str, Any] = {}
        seen: set[str] = set()
        while len(seen) < MAX_PAGES:
            cursor = self._ask("tools/list", params, Call()).get("nextCursor")
            if not isinstance(cursor, str) or cursor in seen:
                return
            seen.add(cursor)
            params = {"cursor": cursor}

    # --- what the server says unasked ---

    def _take_note(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "notifications/tools/list_changed":
            self._tools.forget()
        self._hear(method, params)

    def _listen(self) -> None:
        """Begin to listen, if the server has anything to say: changed lists, or questions in a session where it may ask."""
        if self._listener or not self._says_things:
            return
        self._begin_to_listen()
        if self._posts.capabilities and not self.greeting.is_modern and self._listener:
            self._listener.is_settled.wait(SETTLE_SECONDS)  # some ask on that stream only, and lose what they ask too early

    def _begin_to_listen(self) -> None:
        with self._lock:
            if self.is_alive and not self._listener:
                self._listener = Listener(self._posts, self._wanted)

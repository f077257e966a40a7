"""MCP sessions of the handshake era: who gets one, and how a handler's question finds its answer. Knows no HTTP server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from crypto import Vault
from db import Database
from errors import Cancelled, NotFound, ProtocolError, StorageError, ToolError
from mcp_call import Relay, can_be_asked
from protocol import Request, encode_json
from store.mcp_sessions import (
    McpSession,
    answer_ask,
    create_ask,
    create_mcp_session,
    delete_ask,
    end_mcp_session,
    find_mcp_session,
    find_reply,
    note_mcp_session_seen,
    set_log_level,
    subscribe,
    unsubscribe,
)
from streams import EventStream
from tools import Call

SESSION_NOT_FOUND = -32001  # as the SDKs have it
REPLY_SECONDS = 600  # how long a person may take to answer
POLL_SECONDS = 0.05  # the answer may arrive at another worker, so it comes through a row


class McpSessions:
    """Begins, finds and ends sessions, and relays questions and answers between requests."""

    def __init__(self, db: Database, vault: Vault, clock: Callable[[], float] = time.time):
        self._db, self._vault, self._clock = db, vault, clock

    def begin(self, caller: Any, request: Request) -> str | None:
        """A session for a client that can be asked something, else None: all others are served without."""
        if not can_be_asked(request.capabilities):
            return None
        return create_mcp_session(self._db, caller.grant_id, request.version, request.capabilities, now=int(self._clock()))

    def find(self, caller: Any, session_id: str) -> McpSession:
        """The caller's session. Raises ProtocolError for any other."""
        now = int(self._clock())
        session = find_mcp_session(self._db, session_id, caller.grant_id, now=now)
        if session is None:
            raise ProtocolError(SESSION_NOT_FOUND, "Session not found", status=404)  # MCP 2025-11-25, basic/transports
        with suppress(StorageError):  # a note is not worth a failed call
            note_mcp_session_seen(self._db, session, now=now)
        return session

    def end(self, session: McpSession) -> None:
        """End a session, as its client wishes."""
        end_mcp_session(self._db, session)

    def set_log_level(self, session: McpSession, level: str) -> None:
        """Send log lines from this level on."""
        set_log_level(self._db, session, level)

    def subscribe(self, session: McpSession, uri: str) -> None:
        """Want to hear of a resource. Raises ProtocolError if there are too many."""
        if not subscribe(self._db, session, uri, now=int(self._clock())):
            raise ProtocolError(INTERNAL_ERROR, "This session has subscribed to as many resources as it can")

    def unsubscribe(self, session: McpSession, uri: str) -> None:
        """Want to hear of it no more."""
        unsubscribe(self._db, session, uri)

    def take_reply(self, session: McpSession, message: Mapping[str, Any]) -> None:
        """Hand a client's response to the handler that waits for it. Raises ProtocolError if none does."""
        reply = {name: message[name] for name in ("result", "error") if name in message}
        if not answer_ask(self._db, self._vault, session, str(message.get("id")), reply):
            raise ProtocolError(INVALID_REQUEST, "Nothing here waits for this response", status=400)

    def relay(self, session: McpSession, stream: EventStream) -> Relay:
        """What asks over the stream of one call, and waits."""

        def ask(call: Call, method: str, params: dict[str, Any]) -> dict[str, Any]:
            ask_id = create_ask(self._db, session, now=int(self._clock()))
            try:
                if not stream.put(encode_json({"jsonrpc": "2.0", "id": ask_id, "method": method, "params": params})):
                    raise Cancelled("nobody is there to answer")
                return self._await_reply(ask_id, call, stream)
            finally:
                delete_ask(self._db, ask_id)

        return ask

    def _await_reply(self, ask_id: str, call: Call, stream: EventStream) -> dict[str, Any]:
        """The result that the client sends. Raises ToolError if it declines or is too slow, Cancelled if it has gone."""
        deadline = time.monotonic() + REPLY_SECONDS
        while time.monotonic() < deadline:
            if call.cancelled.wait(POLL_SECONDS) or stream.is_abandoned:
                raise Cancelled("nobody is there to answer")
            try:
                reply = find_reply(self._db, self._vault, ask_id)
            except NotFound:
                raise Cancelled("the session has ended") from None
            if reply is not None:
                if "result" not in reply:
                    raise ToolError("The client declined to answer.")
                return reply["result"]
        raise ToolError("Nobody answered in time.")

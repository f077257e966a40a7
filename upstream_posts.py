"""Requests to an MCP server over Streamable HTTP, each a POST with an answer of its own. Begins no session and knows no pool."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from channels import Answer
from errors import Cancelled, FetchError, PosternError, UpstreamError
from event_lines import EventLines
from links import Hear
from mcp_inbound import NAME_BEARING_METHODS, encode_header_value
from strict_json import decode_json, encode_json
from tools import Call
from upstream_endpoint import MAX_BYTES, Endpoint, NotUnderstood, TimedOut, Unreachable, blame, feed, not_understood
from upstream_messages import Message
from upstream_rpc import Exchange, Rpc
from wire import Deadline

MAX_REFUSAL_BYTES = 1024 * 1024
NOTE_SECONDS = 10  # for what has no answer
RESUME_SECONDS = 1  # to wait before a broken stream is asked for again, unless the server says
MAX_RESUMES = 3  # in a row without a single event
POST = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
GET = {"Accept": "text/event-stream"}
SESSION_ID = re.compile(r"[!-~]{1,1024}")  # MCP 2025-11-25, basic/transports, "Session Management"
SERVER_ERROR = -32000  # with status 400, what the TypeScript SDK says of a session that it does not know
# What may be asked twice: the rest may have been acted upon already when a kept connection breaks.
REPEATABLE = frozenset(
    (
        "initialize", "server/discover", "ping", "tools/list", "prompts/list", "prompts/get", "resources/list",
        "resources/templates/list", "resources/read", "completion/complete",
    )
)  # fmt: skip


class SessionGone(UpstreamError):
    """The server does not know the session any more; the request has not been acted upon."""


class Posts(Rpc):
    """What is under way at one endpoint. `session_id` and `version` are those of a handshake, None before it.

    `describe(message)` answers further headers of a request, in the stateless era.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        hear: Hear,
        capabilities: Mapping[str, Any],
        describe: Callable[[Message], Mapping[str, str]],
    ):
        super().__init__(self.post, hear, capabilities)
        self.endpoint, self._describe = endpoint, describe
        self.session_id: str | None = None
        self.version: str | None = None

    # --- the two ways to send ---

    def request(self, method: str, params: Mapping[str, Any], call: Call, seconds: float) -> dict[str, Any]:
        """Send a request and read its answer: what `links.Link.request` promises. Raises SessionGone too."""
        deadline = Deadline(seconds)
        with self.exchange(method, params, call) as exchange:
            try:
                return self._ask(exchange, deadline)
            except (Cancelled, TimedOut):
                raise  # the server has still to be told
            except PosternError:
                exchange.is_over = True
                raise

    def _ask(self, exchange: Exchange, deadline: Deadline) -> dict[str, Any]:
        message, method = exchange.message, exchange.message["method"]
        check = self._watch(exchange, deadline)
        try:
            with self.endpoint.send(
                "POST", self.headers_of(message), encode_json(message), deadline, check, may_repeat=method in REPEATABLE
            ) as answer:
                if method == "initialize" and answer.status == 200:
                    self._begin_session(answer)
                result = self._read(exchange, answer, deadline)
        except (FetchError, TimeoutError) as error:
            raise blame(error) from error
        if method == "initialize" and result.get("protocolVersion") in HANDSHAKE_PROTOCOL_VERSIONS:
            self.version = result["protocolVersion"]
        return result

    def post(self, message: Message) -> None:
        """Send what has no answer: a notification, or the reply to a question. Raises UpstreamError."""
        deadline = Deadline(NOTE_SECONDS)
        try:
            with self.endpoint.send("POST", self.headers_of(message), encode_json(message), deadline) as answer:
                if not 200 <= answer.status < 300:
                    raise not_understood(answer)
        except FetchError as error:
            raise blame(error) from error

    # --- headers ---

    def headers_of(self, message: Message) -> dict[str, str]:
        """What goes with a POST (MCP 2026-07-28, basic/transports, "Request Metadata"; 2025-11-25, "Session Management")."""
        if not self.modern:
            return POST if message.get("method") == "initialize" else POST | self.session_headers()
        method, params = message.get("method", ""), message.get("params") or {}
        headers = {**POST, "MCP-Protocol-Version": self.modern, "Mcp-Method": method}
        if isinstance(name := params.get(NAME_BEARING_METHODS.get(method, "")), str):
            headers["Mcp-Name"] = encode_header_value(name)
        return {**headers, **self._describe(message)}

    def session_headers(self) -> dict[str, str]:
        """What every request of the handshake era has once the session has begun."""
        headers = {"MCP-Protocol-Version": self.version, "Mcp-Session-Id": self.session_id}
        return {name: value for name, value in headers.items() if value is not None}

    def _begin_session(self, answer: Answer) -> None:
        session_id = answer.headers.get("mcp-session-id")
        if session_id is not None and not SESSION_ID.fullmatch(session_id):
            raise NotUnderstood("The server names its session in a way that HTTP does not carry.", answer.status)
        self.session_id = session_id

    # --- answers ---

    def _watch(self, exchange: Exchange, deadline: Deadline) -> Callable[[], None]:
        """What is done again and again while we wait. Time in which the person is asked does not count."""

        def check() -> None:
            exchange.call.check_cancelled()
            if not exchange.inbox.empty():
                self._handle_in_time(exchange, deadline)

        return check

    def _handle_in_time(self, exchange: Exchange, deadline: Deadline) -> dict[str, Any] | None:
        began = time.monotonic()
        result = self.handle_waiting(exchange)
        deadline.extend(time.monotonic() - began)
        return result

    def _read(self, exchange: Exchange, answer: Answer, deadline: Deadline) -> dict[str, Any]:
        """The result in an answer, whichever form it has."""
        if answer.status != 200:
            return self._read_refusal(exchange, answer)
        if answer.kind == "application/json":
            if not self._take_json(exchange, answer, answer.read(MAX_BYTES)):
                raise not_understood(answer)
            if (result := self._handle_in_time(exchange, deadline)) is not None:
                return result
        elif answer.kind == "text/event-stream":
            return self._read_stream(exchange, answer, deadline)
        raise not_understood(answer)

    def _read_refusal(self, exchange: Exchange, answer: Answer) -> dict[str, Any]:
        """Raise what a status other than 200 means; the body may hold a JSON-RPC error."""
        is_in_session = self.session_id is not None and exchange.message["method"] != "initialize"
        if answer.status == 404 and is_in_session:
            raise SessionGone("The server has forgotten our session.")
        message: Any = None
        if answer.kind == "application/json":
            with suppress(ValueError):
                message = decode_json(answer.read(MAX_REFUSAL_BYTES))
        error = message.get("error") if isinstance(message, dict) else None
        if not isinstance(error, dict):
            raise not_understood(answer)
        if answer.status == 400 and is_in_session and error.get("code") == SERVER_ERROR:
            raise SessionGone("The server has forgotten our session.")
        self.take({**message, "id": exchange.id if message.get("id") is None else message["id"]}, exchange)
        self.handle_waiting(exchange)  # raises UpstreamRefused
        raise not_understood(answer)

    def _take_json(self, exchange: Exchange, answer: Answer, body: bytes) -> bool:
        """Take a message; False if it is JSON, but none."""
        try:
            message = decode_json(body)
        except ValueError:
            raise not_understood(answer) from None
        return self.take(message, exchange)

    def _read_stream(self, exchange: Exchange, answer: Answer, deadline: Deadline) -> dict[str, Any]:
        """The result at the end of an event stream. A stream of the handshake era that breaks is taken up where it was, if its
        events have ids (MCP 2025-11-25, basic/transports, "Resumability and Redelivery")."""
        lines, failures, opened = EventLines(MAX_BYTES), 0, answer
        while True:
            seen = lines.last_id
            try:
                result = self._read_events(exchange, opened, lines, deadline)
            except FetchError as error:
                if isinstance(error.__cause__, TimeoutError):
                    raise
                result = None
            finally:
                if opened is not answer:
                    opened.close(keep=False)
            if result is not None:
                return result
            failures = 0 if lines.last_id != seen else failures + 1
            if self.modern or not lines.last_id or failures > MAX_RESUMES:
                raise Unreachable("The server stopped in the middle of its answer.")
            opened = self._resume(exchange, lines, deadline)

    def _read_events(self, exchange: Exchange, answer: Answer, lines: EventLines, deadline: Deadline) -> dict[str, Any] | None:
        """The result, if it comes before the stream ends."""
        if answer.status != 200 or answer.kind != "text/event-stream":
            raise not_understood(answer)
        for piece in answer.pieces():
            for event in feed(lines, piece, answer):
                if event.kind == "message" and event.data:  # without data it is only there for its id
                    self._take_json(exchange, answer, event.data)
                    result = self._handle_in_time(exchange, deadline)
                    if result is not None:
                        return result
        return None

    def _resume(self, exchange: Exchange, lines: EventLines, deadline: Deadline) -> Answer:
        """Ask for the rest of a stream, as soon as the server wants to be asked."""
        wait = RESUME_SECONDS if lines.retry_seconds is None else lines.retry_seconds
        if wait >= deadline.left():
            raise TimeoutError
        exchange.call.cancelled.wait(wait)
        exchange.call.check_cancelled()
        check = self._watch(exchange, deadline)
        return self.endpoint.send("GET", self.listen_headers(lines), None, deadline, check, may_repeat=True)

    def listen_headers(self, lines: EventLines) -> dict[str, str]:
        """What goes with a GET for a stream, or for the rest of one."""
        headers = GET | self.session_headers()
        return headers | {"Last-Event-ID": lines.last_id} if lines.last_id.isascii() and lines.last_id else headers



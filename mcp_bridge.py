"""`/mcp` as a plain WSGI callable: the rules of HTTP around the protocol. Knows no tool and writes no table."""

from __future__ import annotations

import functools
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from mcp.shared.inbound import validate_mcp_param_headers
from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND

import streams
from config import Settings
from crypto import Vault
from errors import InvalidRequest, InvalidToken, OAuthError, PosternError, ProtocolError, StorageError, TooManyRequests
from mcp_call import RequestCall, open_state, run_asking
from mcp_methods import METHODS, Handler
from protocol import (
    Request,
    answer,
    answer_error,
    check_message,
    check_notification,
    encode_json,
    is_modern,
    parse_json,
    read_handshake,
    read_modern,
    rejected,
    request_id,
)
from tools import Tool

MAX_BODY = 4 * 1024 * 1024
QUIET_SECONDS = 0.1  # a call that ends this soon without a word is answered as JSON, with the right status
PATH = re.compile(r"/mcp(/[a-z0-9-]{1,40})?")
RUNS_CODE = frozenset({"tools/call", "prompts/get", "resources/read"})  # methods whose handlers may take long and report
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

Environ = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    headers: Iterable[tuple[str, str]]
    body: Iterable[bytes]


class Bridge:
    """A WSGI application for `/mcp` and `/mcp/<slug>`.

    `authenticate(authorization, resource)` answers a Caller or raises InvalidToken; `toolbox` has what a Caller may use.
    """

    def __init__(
        self,
        settings: Settings,
        authenticate: Callable[[str | None, str], Any],
        toolbox: Any,
        vault: Vault,
        clock: Callable[[], float] = time.time,
    ):
        self._public_url = settings.public_url
        self._accepts_host = functools.lru_cache(256)(settings.accepts_host)
        self._accepts_origin = functools.lru_cache(256)(settings.accepts_origin)
        self._check_bearer, self._toolbox, self._vault, self._clock = authenticate, toolbox, vault, clock
        self._stream_limit = settings.threads - 1  # one thread is left for /healthz
        self._streams: dict[streams.EventStream, RequestCall] = {}
        self._workers = ThreadPoolExecutor(self._stream_limit, thread_name_prefix="stream")
        self._running: set[tuple[str, str | int, RequestCall]] = set()  # sign-in, request id, call

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        try:
            answered = self._serve(environ)
        except Exception as error:
            answered = refuse(error, self._public_url + "/.well-known/oauth-protected-resource" + environ["PATH_INFO"])
        start_response(STATUS_LINES[answered.status], list(answered.headers))
        return answered.body

    def stop(self) -> None:
        """Cancel what streams, and end its streams: the server is going down."""
        for stream, call in list(self._streams.items()):
            call.cancelled.set()
            stream.stop()

    def _serve(self, environ: Environ) -> Answer:
        """Who may speak here at all; then who it is; then what was said. The order is what a stranger can learn from it."""
        self._check_host(environ)  # 421
        self._check_origin(environ)  # 403
        path = find_path(environ)  # 404
        check_verb(environ)  # 405
        caller = self._authenticate(environ, path)  # 401
        body = read_body(environ)  # 413
        check_media_types(environ.get("CONTENT_TYPE", ""), environ.get("HTTP_ACCEPT", ""))  # 415, 406
        return self._receive(environ, caller, body)

    def _check_host(self, environ: Environ) -> None:
        if not self._accepts_host(environ.get("HTTP_HOST")):  # DNS rebinding
            raise ProtocolError(INVALID_REQUEST, "This server does not answer to that Host", status=421)

    def _check_origin(self, environ: Environ) -> None:
        if not self._accepts_origin(environ.get("HTTP_ORIGIN")):  # MCP 2026-07-28, basic/transports, "Security Warning"
            raise ProtocolError(INVALID_REQUEST, "Pages of that Origin may not use this server", status=403)

    def _authenticate(self, environ: Environ, path: str) -> Any:
        authorization = environ.get("HTTP_AUTHORIZATION")
        query = environ.get("QUERY_STRING")
        if query and authorization is not None and "access_token" in parse_qs(query, keep_blank_values=True):
            raise InvalidRequest("The token must be sent in one way only, in the Authorization header.")  # RFC 6750 §2
        return self._check_bearer(authorization, self._public_url + path)

    def _receive(self, environ: Environ, caller: Any, body: bytes) -> Answer:
        """One message in, one answer out. What is wrong with the message is told under its id."""
        version = environ.get("HTTP_MCP_PROTOCOL_VERSION")
        message, modern = None, False
        try:
            message = parse_json(body)
            check_message(message)
            modern = is_modern(message, version)
            if "method" not in message:
                raise ProtocolError(INVALID_REQUEST, "Nothing here waits for a response", status=400)
            if "id" not in message:
                return self._take_notification(caller, message, version)
            request = read_modern(message, mcp_headers(environ)) if modern else read_handshake(message, version, {})
            return self._take_request(environ, caller, request)
        except ProtocolError as error:
            return json_answer(*answer_error(error, request_id(message), modern))

    def _take_notification(self, caller: Any, message: Mapping[str, Any], version: str | None) -> Answer:
        """Accept a notification; act on it if it cancels a running call of the handshake era."""
        check_notification(message, version)
        if message["method"] == "notifications/cancelled" and not is_modern(message, version):
            wanted = (caller.session_id, (message.get("params") or {}).get("requestId"))
            calls = [call for session_id, identity, call in list(self._running) if (session_id, identity) == wanted]
            if len(calls) == 1:  # ids are unique within one client only, and two windows of it share a sign-in
                calls[0].cancelled.set()
        return Answer(202, [("Content-Length", "0")], ())

    def _take_request(self, environ: Environ, caller: Any, request: Request) -> Answer:
        handler = METHODS.get(request.method)
        if handler is None:
            raise ProtocolError(METHOD_NOT_FOUND, "Method not found")
        tool = self._toolbox.find_tool(caller, request.params["name"]) if request.method == "tools/call" else None
        if request.modern and tool is not None:
            check_param_headers(tool, request, environ)
        answers = {}
        if request.modern:
            answers = open_state(self._vault, request, (caller.user_id, caller.grant_id), now=self._clock())
        if wants_stream(request, tool):
            return self._answer_stream(environ, caller, request, handler, answers)
        return json_answer(*self._run(caller, handler, RequestCall(request, answers=answers)))

    def _run(self, caller: Any, handler: Handler, call: RequestCall) -> tuple[int, bytes]:
        """HTTP status and body of the response to the request behind `call`, which can be cancelled meanwhile."""
        entry = (caller.session_id, call.request.id, call)
        self._running.add(entry)
        try:
            return answer(call.request, lambda: self._work(caller, handler, call))
        finally:
            self._running.discard(entry)

    def _work(self, caller: Any, handler: Handler, call: RequestCall) -> dict[str, Any]:
        identity = (caller.user_id, caller.grant_id)
        work = functools.partial(handler, self._toolbox, caller, call.request, call)
        return run_asking(call, work, self._vault, identity, now=self._clock())

    def _answer_stream(
        self, environ: Environ, caller: Any, request: Request, handler: Handler, answers: Mapping[str, Any]
    ) -> Answer:
        """Work in a thread of its own, and stream what it says; plain JSON if it ends at once without a word."""
        if len(self._streams) >= self._stream_limit:
            raise ProtocolError(INTERNAL_ERROR, "Too many calls are running; try again soon", status=503)
        stream = streams.EventStream(
            environ.get("gunicorn.socket"),
            on_close=lambda: call.cancelled.set() if request.modern else None,  # MCP 2026-07-28, basic/transports, "Cancellation"
            on_end=lambda: self._streams.pop(stream, None),
        )
        call = RequestCall(
            request,
            answers=answers,
            notify=lambda method, params: stream.put(encode_json({"jsonrpc": "2.0", "method": method, "params": params})),
        )
        self._streams[stream] = call
        outcome = self._workers.submit(self._run, caller, handler, call)
        outcome.add_done_callback(lambda done: stream.finish(None if call.cancelled.is_set() else done.result()[1]))
        if stream.is_silent_after(QUIET_SECONDS):
            stream.close()
            return json_answer(*outcome.result())
        return Answer(200, streams.HEADERS, stream)


# --- the checks, in their order ---


def find_path(environ: Environ) -> str:
    """`/mcp` or `/mcp/<slug>`, exactly. Raises ProtocolError for anything else, never a redirect."""
    path = environ["PATH_INFO"]
    if not PATH.fullmatch(path):
        raise ProtocolError(INVALID_REQUEST, "There is nothing at this address", status=404)
    return path


def check_verb(environ: Environ) -> None:
    """Raise ProtocolError unless it is a POST: there are no other streams to GET, and nothing to DELETE."""
    if environ["REQUEST_METHOD"] != "POST":
        raise ProtocolError(INVALID_REQUEST, "Only POST is offered here", status=405)


def read_body(environ: Environ) -> bytes:
    """The whole body, of declared length or chunked. Raises ProtocolError, and reads no further, if it is too long."""
    declared = environ.get("CONTENT_LENGTH")
    if not declared and environ.get("HTTP_TRANSFER_ENCODING") is None:
        return b""
    length = int(declared or 0)
    body = environ["wsgi.input"].read(length if declared else MAX_BODY + 1) if length <= MAX_BODY else b""
    if max(length, len(body)) > MAX_BODY:
        hang_up(environ)
        raise ProtocolError(INVALID_REQUEST, "The body is longer than 4 MiB", status=413)
    return body


def hang_up(environ: Environ) -> None:
    """Take nothing more from this connection: the server would read the rest of the body only to throw it away."""
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RD)


@functools.lru_cache(256)
def check_media_types(content_type: str, accept: str) -> None:
    """Raise ProtocolError unless JSON comes, and both JSON and event streams are welcome (MCP, basic/transports)."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ProtocolError(INVALID_REQUEST, "The Content-Type must be application/json", status=415)
    welcome = {item.partition(";")[0].strip().lower() for item in accept.split(",") if not re.search(r";\s*q=0(\.0*)?\s*$", item)}
    for kind in ("application/json", "text/event-stream"):
        if not welcome & {kind, kind.partition("/")[0] + "/*", "*/*"}:
            raise ProtocolError(INVALID_REQUEST, "Accept must name application/json and text/event-stream", status=406)


def mcp_headers(environ: Environ) -> dict[str, str]:
    """The `Mcp-…` headers by lower-case name. (No name has an underscore: gunicorn drops those.)"""
    return {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_MCP_")}


def check_param_headers(tool: Tool, request: Request, environ: Environ) -> None:
    """Raise ProtocolError -32020 if an `Mcp-Param-…` header and the argument it mirrors differ."""
    rejection = validate_mcp_param_headers(tool.input_schema, request.params.get("arguments") or {}, mcp_headers(environ))
    if rejection is not None:
        raise rejected(rejection)


def wants_stream(request: Request, tool: Tool | None) -> bool:
    """Whether something may have to be said before the result."""
    if tool is not None and tool.streams:
        return True
    asked = "progressToken" in request.meta or LOG_LEVEL_META_KEY in request.meta
    return asked and request.method in RUNS_CODE


# --- answers ---


STATUS_HEADERS = {405: (("Allow", "POST"),), 503: (("Retry-After", "1"),)}


def json_answer(status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    """A JSON answer that nobody may keep."""
    fixed = (("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"))
    return Answer(status, (*fixed, *headers, *STATUS_HEADERS.get(status, ())), (body,))


def refuse(error: Exception, metadata_url: str) -> Answer:
    """The answer to a request that got no further than the checks of HTTP and of the bearer."""
    if isinstance(error, OAuthError):
        return refuse_bearer(error, metadata_url)
    if isinstance(error, TooManyRequests):
        return json_answer(429, answer_error(error, None, True)[1], ("Retry-After", str(error.retry_after)))
    status, body = answer_error(error, None, True)
    if isinstance(error, StorageError):
        status = 503
    elif not isinstance(error, PosternError):
        status = 500
    return json_answer(status, body)


def refuse_bearer(error: OAuthError, metadata_url: str) -> Answer:
    """401 with the way to a token (RFC 9728 §5.1; RFC 6750 §3: no error code if no token came), or 400."""
    code = error.code or "unauthorized"
    body = encode_json({"error": code, "error_description": error.description})
    if not isinstance(error, InvalidToken):
        return json_answer(error.status, body)
    challenge = f'Bearer resource_metadata="{metadata_url}", scope="mcp"'
    if error.code:
        challenge += f', error="{code}", error_description="{error.description}"'
    return json_answer(error.status, body, ("WWW-Authenticate", challenge))

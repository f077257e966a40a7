"""`/mcp` as a plain WSGI callable: brings a message to its handler, and the result back. Knows no tool and no table."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND

import cors
import streams
from config import Settings
from crypto import Vault
from db import Database
from errors import ProtocolError
from mcp_call import Earlier, RequestCall, open_state, run_asking
from mcp_http import (
    STATUS_LINES,
    Answer,
    Environ,
    LastWords,
    check_accepts_stream,
    check_media_types,
    check_verb,
    empty_answer,
    find_path,
    json_answer,
    mcp_headers,
    read_body,
    read_credentials,
    refuse,
)
from mcp_listen import Listener, Listeners
from mcp_methods import METHODS, RESOURCE_NOT_FOUND
from mcp_sessions import McpSessions
from mcp_turns import Sender, Turn, check_param_headers, may_wait, name_sender, wants_stream
from protocol import (
    answer,
    answer_error,
    check_message,
    check_notification,
    encode_json,
    is_modern,
    parse_json,
    read_handshake,
    read_modern,
    request_id,
)
from store.mcp_sessions import McpSession
from watches import Watches

QUIET_SECONDS = 3  # a call that ends this soon without a word is answered as JSON, with the right status …
IMPATIENT_SECONDS = 0.1  # … or this soon, if its client waits for progress and so for a first byte


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
        db: Database,
        clock: Callable[[], float] = time.time,
        watches: Watches | None = None,
    ):
        self._public_url = settings.public_url
        self._accepts_host = functools.lru_cache(256)(settings.accepts_host)
        self._accepts_origin = functools.lru_cache(256)(settings.accepts_origin)
        self._authenticate, self._toolbox, self._vault, self._clock = authenticate, toolbox, vault, clock
        self._sessions = McpSessions(db, vault, clock)
        self._listeners = Listeners(db, toolbox, watches, clock)
        self._stream_limit = settings.threads - 1  # one thread is left for /healthz
        self._listen_limit = max(settings.threads // 4, 1)  # who only listens shall not keep others from calling
        self._streams: dict[streams.EventStream, RequestCall | None] = {}  # None: it only listens
        self._door = threading.Lock()  # held by whoever counts the streams, and lets one more in
        self._workers = ThreadPoolExecutor(self._stream_limit, thread_name_prefix="stream")
        self._running: set[tuple[Sender, str | int, RequestCall]] = set()  # with the request's id

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        try:
            answered = self._serve(environ)
        except Exception as error:
            answered = refuse(error, self._public_url + "/.well-known/oauth-protected-resource" + environ["PATH_INFO"])
        start_response(STATUS_LINES[answered.status], [*answered.headers, *self._cors_headers(environ)])
        if answered.status == 413:
            return LastWords(answered.body, environ.get("gunicorn.socket"))
        return answered.body

    def _cors_headers(self, environ: Environ) -> Iterable[tuple[str, str]]:
        """For a web page whose Origin is accepted: it may read the answer, a refusal too."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or not self._accepts_origin(origin):
            return ()
        return cors.mcp_headers(origin, environ["REQUEST_METHOD"]).items()

    def stop(self) -> None:
        """Cancel what streams, and end its streams: the server is going down."""
        self._listeners.stop()
        for stream, call in list(self._streams.items()):
            if call:
                call.cancelled.set()
                stream.stop()

    def _serve(self, environ: Environ) -> Answer:
        """Who may speak here at all; then who it is; then what was said. The order is what a stranger can learn from it."""
        self._check_host(environ)  # 421
        self._check_origin(environ)  # 403
        find_path(environ)  # 404
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ORIGIN" in environ:
            return empty_answer(204)  # a browser asks what it may send, without credentials
        caller = self._find_caller(environ)  # 401, to a GET as well: clients probe by it
        check_verb(environ)  # 405
        if environ["REQUEST_METHOD"] != "POST":
            return {"DELETE": self._end_session, "GET": self._open_session_stream}[environ["REQUEST_METHOD"]](environ, caller)
        body = read_body(environ)  # 413
        check_media_types(environ.get("CONTENT_TYPE", ""), environ.get("HTTP_ACCEPT", ""))  # 415, 406
        return self._receive(environ, caller, body)

    def _check_host(self, environ: Environ) -> None:
        if not self._accepts_host(environ.get("HTTP_HOST")):  # DNS rebinding
            raise ProtocolError(INVALID_REQUEST, "This server does not answer to that Host", status=421)

    def _check_origin(self, environ: Environ) -> None:
        if not self._accepts_origin(environ.get("HTTP_ORIGIN")):  # MCP 2026-07-28, basic/transports, "Security Warning"
            raise ProtocolError(INVALID_REQUEST, "Pages of that Origin may not use this server", status=403)

    def _find_caller(self, environ: Environ) -> Any:
        """Who it is. Raises InvalidToken or InvalidRequest."""
        return self._authenticate(read_credentials(environ), self._public_url + find_path(environ))

    # --- messages ---

    def _receive(self, environ: Environ, caller: Any, body: bytes) -> Answer:
        """One message in, one answer out. What is wrong with the message is told under its id."""
        version = environ.get("HTTP_MCP_PROTOCOL_VERSION")
        message, modern = None, False
        try:
            message = parse_json(body)
            check_message(message)
            modern = is_modern(message, version)
            session = None if modern else self._find_session(environ, caller)
            if "method" not in message:
                return self._take_response(message, session)
            if "id" not in message:
                check_notification(message, version)
                return self._take_notification(name_sender(caller, session), message, modern)
            return self._take_request(self._read_turn(environ, caller, message, session))
        except ProtocolError as error:
            return json_answer(*answer_error(error, request_id(message), modern))

    def _read_turn(self, environ: Environ, caller: Any, message: Mapping[str, Any], session: McpSession | None) -> Turn:
        """The request in a message, as its era has it."""
        version = environ.get("HTTP_MCP_PROTOCOL_VERSION")
        if is_modern(message, version):
            headers = mcp_headers(environ)
            return Turn(environ, headers, caller, read_modern(message, headers), None)
        if session is None:
            return Turn(environ, {}, caller, read_handshake(message, version, {}), None)
        return Turn(environ, {}, caller, read_handshake(message, version or session.version, session.capabilities), session)

    def _take_response(self, message: Mapping[str, Any], session: McpSession | None) -> Answer:
        if session is None:  # clients of the stateless era must not send any (MCP 2026-07-28, basic/transports)
            raise ProtocolError(INVALID_REQUEST, "Nothing here waits for a response", status=400)
        self._sessions.take_reply(session, message)
        return empty_answer(202)

    def _take_notification(self, sender: Sender, message: Mapping[str, Any], modern: bool) -> Answer:
        """Accept a notification; act on it if it cancels a running call of the handshake era."""
        if message["method"] == "notifications/cancelled" and not modern:
            wanted = (sender, request_id({"id": (message.get("params") or {}).get("requestId")}))  # true is not 1
            calls = [call for running, identity, call in list(self._running) if (running, identity) == wanted]
            if len(calls) == 1:  # two windows without MCP sessions may use the same id
                calls[0].cancelled.set()
        return empty_answer(202)

    def _take_request(self, turn: Turn) -> Answer:
        request = turn.request
        if request.method in ANSWERED_HERE:
            return ANSWERED_HERE[request.method](self, turn)
        if request.method not in METHODS:
            raise ProtocolError(METHOD_NOT_FOUND, "Method not found")
        tool = self._toolbox.find_tool(turn.caller, request.params["name"]) if request.method == "tools/call" else None
        earlier = Earlier()
        if request.modern:
            check_param_headers(tool, turn)
            earlier = open_state(self._vault, request, turn.identity, now=self._clock())
        if may_wait(request, tool):
            turn.environ.get("gate.step_aside", int)()  # the event loop, if this thread runs it, goes on in another
        if wants_stream(request, tool):
            return self._answer_stream(turn, earlier)
        headers = self._keep_session(turn)
        return json_answer(*self._run(turn, RequestCall(request, earlier=earlier, sender=turn.sender)), *headers)

    # --- work ---

    def _run(self, turn: Turn, call: RequestCall) -> tuple[int, bytes]:
        """HTTP status and body of the response. Meanwhile the call can be cancelled."""
        entry = (turn.sender, turn.request.id, call)
        self._running.add(entry)
        try:
            return answer(turn.request, lambda: self._work(turn, call))
        finally:
            self._running.discard(entry)

    def _work(self, turn: Turn, call: RequestCall) -> dict[str, Any]:
        work = functools.partial(METHODS[turn.request.method], self._toolbox, turn.caller, turn.request, call)
        return run_asking(call, work, self._vault, turn.identity, now=self._clock())

    def _answer_stream(self, turn: Turn, earlier: Earlier) -> Answer:
        """Work in a thread of its own, and stream what it says; plain JSON if it ends at once without a word."""
        modern = turn.request.modern
        stream = streams.EventStream(
            turn.environ.get("gunicorn.socket"),
            on_close=lambda: call.cancelled.set() if modern else None,  # MCP 2026-07-28, basic/transports, "Cancellation"
            on_end=lambda: self._streams.pop(stream, None),
        )
        call = self._make_call(turn, earlier, stream)
        self._let_in(stream, call, ProtocolError(INTERNAL_ERROR, "Too many streams are open; try again soon", status=503))
        outcome = self._workers.submit(self._run, turn, call)
        outcome.add_done_callback(lambda done: stream.finish(None if call.cancelled.is_set() else done.result()[1]))
        if stream.is_silent_after(IMPATIENT_SECONDS if call.wants_progress else QUIET_SECONDS):
            stream.close()
            return json_answer(*outcome.result())
        return Answer(200, streams.HEADERS, stream)

    def _let_in(self, stream: streams.EventStream, call: RequestCall | None, full: ProtocolError) -> None:
        """Count a stream in until both its ends are closed. Raises `full` if there is no room for one more of its kind."""
        with self._door:
            listening = list(self._streams.values()).count(None)
            has_room = len(self._streams) < self._stream_limit and (call is not None or listening < self._listen_limit)
            if has_room:
                self._streams[stream] = call
        if not has_room:
            stream.finish()
            stream.close()
            raise full

    def _listen(self, turn: Turn) -> Answer:
        """A stream that stays open and tells of changes (MCP 2026-07-28, basic/utilities/subscriptions)."""
        turn.environ.get("gate.step_aside", int)()  # other servers may have to be asked
        full = ProtocolError(INTERNAL_ERROR, "Too many clients are listening; try again soon", status=503)
        return self._open_stream(turn.environ, lambda *of: Listener(*of, request=turn.request), turn.caller, full)

    def _open_session_stream(self, environ: Environ, caller: Any) -> Answer:
        """The same in the handshake era, for as long as the session lasts (MCP 2025-11-25, basic/transports, "Listening for
        Messages from the Server")."""
        check_accepts_stream(environ)  # 406
        session = self._sessions.find(caller, environ["HTTP_MCP_SESSION_ID"])  # 404
        # clients take it for a server without such streams, and go on; anything else for a failure
        full = ProtocolError(INVALID_REQUEST, "No stream is offered at the moment", status=405)
        return self._open_stream(environ, lambda *of: Listener(*of, session=session), caller, full)

    def _open_stream(self, environ: Environ, make: Callable[..., Listener], caller: Any, full: ProtocolError) -> Answer:
        """A stream for a listener. Raises `full` if there is no room for one more that only listens."""
        stream = streams.EventStream(
            environ.get("gunicorn.socket"),
            on_close=lambda: self._listeners.remove(listener),
            on_end=lambda: self._streams.pop(stream, None),
        )
        listener = make(stream, functools.partial(self._find_caller, environ), caller)
        self._let_in(stream, None, full)
        try:
            self._listeners.add(listener)
        except BaseException:
            stream.close()
            raise
        return Answer(200, streams.HEADERS, stream)

    def _subscribe(self, turn: Turn) -> Answer:
        """`resources/subscribe` and its contrary, in a session, whose stream may be at another worker."""
        turn.environ.get("gate.step_aside", int)()
        return json_answer(*answer(turn.request, lambda: self._change_subscription(turn)))

    def _change_subscription(self, turn: Turn) -> dict[str, Any]:
        uri, session = turn.request.params["uri"], turn.session
        if session is None:
            raise ProtocolError(METHOD_NOT_FOUND, "Resources can only be subscribed to in an MCP session")
        if turn.request.method == "resources/unsubscribe":
            self._listeners.follow(session, lambda: self._sessions.unsubscribe(session, uri))
            return {}
        origin = self._toolbox.find_origin(turn.caller, uri)
        if origin is None or not self._toolbox.tells_of(origin):
            raise ProtocolError(RESOURCE_NOT_FOUND, "There is no such resource, or nobody can tell when it changes", {"uri": uri})
        if self._listeners.follow(session, lambda: self._sessions.subscribe(session, uri), wanted=uri):
            self._sessions.unsubscribe(session, uri)
            raise ProtocolError(RESOURCE_NOT_FOUND, "The server does not tell when this resource changes", {"uri": uri})
        return {}

    def _make_call(self, turn: Turn, earlier: Earlier, stream: streams.EventStream) -> RequestCall:
        """A call that speaks over `stream`, and in a session also asks over it."""
        session = turn.session
        return RequestCall(
            turn.request,
            earlier=earlier,
            notify=lambda method, params: stream.put(encode_json({"jsonrpc": "2.0", "method": method, "params": params})),
            relay=self._sessions.relay(session, stream) if session else None,
            log_level=session.log_level if session else None,
            sender=turn.sender,
        )

    # --- MCP sessions ---

    def _find_session(self, environ: Environ, caller: Any) -> McpSession | None:
        session_id = environ.get("HTTP_MCP_SESSION_ID")
        return None if session_id is None else self._sessions.find(caller, session_id)

    def _keep_session(self, turn: Turn) -> list[tuple[str, str]]:
        """Begin a session at `initialize` if the client needs one, and remember in it what the client chooses."""
        request = turn.request
        if request.method == "initialize" and (session_id := self._sessions.begin(turn.caller, request)):
            return [("Mcp-Session-Id", session_id)]
        if request.method == "logging/setLevel" and turn.session:
            self._sessions.set_log_level(turn.session, request.params["level"])
        return []

    def _end_session(self, environ: Environ, caller: Any) -> Answer:
        self._sessions.end(self._sessions.find(caller, environ["HTTP_MCP_SESSION_ID"]))
        return empty_answer(204)


ANSWERED_HERE: Mapping[str, Callable[[Bridge, Turn], Answer]] = {
    "subscriptions/listen": Bridge._listen,
    "resources/subscribe": Bridge._subscribe,
    "resources/unsubscribe": Bridge._subscribe,
}

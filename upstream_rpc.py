"""Requests under way on one session with an MCP server: ids, waiting, its questions to us. Knows no transport.

A transport hands in `send` and gives what arrives to `take`. The thread that asked does everything for its own request, so a
call that is slow to take a progress note, or asks its person something, delays no other.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, LOG_LEVEL_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.jsonrpc import INTERNAL_ERROR, METHOD_NOT_FOUND

from contexts import LOG_LEVELS
from errors import Cancelled, ProtocolError, SignInNeeded, ToolError, UpstreamError, trace
from links import PRODUCT, Hear
from tools import Call
from upstream_listens import ACKNOWLEDGED, Listen, Listens
from upstream_messages import UNREADABLE, Message, is_id, is_number, read_response

log = logging.getLogger("postern.upstream")

LOOK_SECONDS = 0.1  # between looks whether the call was cancelled
MEND_SECONDS = 2.0  # for the answer itself to follow one that cannot be read
MAX_WAITING = 1000  # messages for one call; further notes are dropped, further questions refused
MAX_QUESTIONS = 100  # of a server during one call
UNHEARD = ("notifications/cancelled",)  # of no interest to anybody above
NOT_TO_BE_CANCELLED = ("initialize", "server/discover")  # MCP 2025-11-25, basic/utilities/cancellation
DECLARABLE = {"elicitation": ("form", "url"), "sampling": ("tools", "context"), "roots": ()}
ASKABLE = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


@dataclass(eq=False)
class Exchange:
    """One request of ours: what goes out, and what came for it. `asked` counts the server's questions during it."""

    id: int
    message: Message
    call: Call
    inbox: queue.SimpleQueue[Message | UpstreamError] = field(default_factory=queue.SimpleQueue)
    asked: int = 0
    is_asking: bool = False
    is_answered: bool = False  # its response is in the inbox, or was
    is_over: bool = False  # the server has said its last word, or cannot
    spoiled_at: float = math.inf  # an answer came that cannot be read


class Rpc:
    """What is under way on one session. `capabilities` are those we declare at its beginning: what its callers can be asked.

    `modern` is the version of the stateless era to put into each request, None in the handshake era. `tells_cancelled` is false
    where the transport has another way to cancel.
    """

    modern: str | None = None
    tells_cancelled = True

    def __init__(self, send: Callable[[Message], None], hear: Hear, capabilities: Mapping[str, Any]):
        self.send, self.hear, self.capabilities = send, hear, dict(capabilities)
        self._lock = threading.Lock()
        self._last_id = 0
        self._exchanges: dict[int, Exchange] = {}  # in the order in which they began
        self._listens = Listens()
        self._failure: str | None = None

    # --- the thread that asks ---

    def request(self, method: str, params: Mapping[str, Any], call: Call, seconds: float) -> dict[str, Any]:
        """Send a request and wait for its result: what `links.Link.request` promises."""
        with self.exchange(method, params, call) as exchange:
            self.send(exchange.message)
            return self.wait(exchange, seconds)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send what has no answer. Raises UpstreamError."""
        self.send({"jsonrpc": "2.0", "method": method} | ({"params": dict(params)} if params else {}))

    def listen(self, wanted: Mapping[str, Any]) -> Listen:
        """In the stateless era: ask for notifications until it is ended (MCP 2026-07-28, subscriptions/listen).

        Nobody waits for the answer, which comes when it ends. Raises UpstreamError.
        """
        listen = self.make_listen(wanted)
        self.send(listen.message)
        return listen

    def make_listen(self, wanted: Mapping[str, Any]) -> Listen:
        """The request for that, for a transport on which its answer is a stream of its own."""
        with self._lock:
            return self._listens.add(self._message("subscriptions/listen", {"notifications": dict(wanted)}))

    def end_listen(self, listen: Listen) -> None:
        """Want no more of it; the server is told, unless the transport has another way."""
        if self._listens.end(listen.message["id"]) and self.tells_cancelled:
            with suppress(UpstreamError):
                self.notify("notifications/cancelled", {"requestId": listen.message["id"]})

    @contextmanager
    def exchange(self, method: str, params: Mapping[str, Any], call: Call) -> Iterator[Exchange]:
        """A request under way while this lasts; its `message` is to be sent. Whatever comes for it later is dropped.

        If it ends before the server has said its last word, because of time or the caller, the server is told.
        """
        exchange = self._begin(method, params, call)
        try:
            yield exchange
        finally:
            with self._lock:
                del self._exchanges[exchange.id]
            if self.tells_cancelled and not exchange.is_over and method not in NOT_TO_BE_CANCELLED:
                with suppress(UpstreamError):
                    self.notify("notifications/cancelled", {"requestId": exchange.id})

    def wait(self, exchange: Exchange, seconds: float) -> dict[str, Any]:
        """Handle what comes for a request until its result is there. Time in which its person is asked does not count."""
        deadline = time.monotonic() + seconds
        while True:
            exchange.call.check_cancelled()
            left = deadline - time.monotonic()
            if left <= 0:
                raise UpstreamError(f"The server did not answer within {seconds:g} seconds.")
            if time.monotonic() > exchange.spoiled_at + MEND_SECONDS:
                raise UpstreamError("The server's answer cannot be read.")
            with suppress(queue.Empty):
                message = exchange.inbox.get(timeout=min(left, LOOK_SECONDS))
                began = time.monotonic()
                result = self._handle(exchange, message)
                if result is not None:
                    return result
                deadline += time.monotonic() - began

    def handle_waiting(self, exchange: Exchange) -> dict[str, Any] | None:
        """For a transport whose asking thread reads: handle what is in the inbox, without waiting; the result if it came."""
        result = None
        while result is None and not exchange.inbox.empty():
            result = self._handle(exchange, exchange.inbox.get())
        return result

    def _begin(self, method: str, params: Mapping[str, Any], call: Call) -> Exchange:
        call.check_cancelled()
        with self._lock:
            if self._failure:
                raise UpstreamError(self._failure)
            message = self._message(method, params, call)
            exchange = self._exchanges[message["id"]] = Exchange(message["id"], message, call)
        return exchange

    def _message(self, method: str, params: Mapping[str, Any], call: Call | None = None) -> Message:
        """A request with the next id, our own progress token, and what the stateless era demands (MCP 2026-07-28, basic)."""
        self._last_id += 1
        meta = {name: value for name, value in (params.get("_meta") or {}).items() if name != "progressToken"}
        if call and call.wants_progress:
            meta["progressToken"] = self._last_id
        if self.modern:
            meta[PROTOCOL_VERSION_META_KEY] = self.modern
            meta[CLIENT_INFO_META_KEY] = PRODUCT
            meta[CLIENT_CAPABILITIES_META_KEY] = declare(call.capabilities) if call else {}
            if call and call.log_level:  # this era sends no log line unless asked (MCP 2026-07-28, server/utilities/logging)
                meta[LOG_LEVEL_META_KEY] = call.log_level
        stamped = {name: value for name, value in params.items() if name != "_meta"} | ({"_meta": meta} if meta else {})
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method} | ({"params": stamped} if stamped else {})

    def _handle(self, exchange: Exchange, message: Message | UpstreamError) -> dict[str, Any] | None:
        """One message for a request, in the thread that waits for it. The result, if this is it."""
        if isinstance(message, UpstreamError):
            exchange.is_over = True
            raise message
        if "method" not in message:
            exchange.is_over = True
            return read_response(message)
        if "id" in message:
            self._answer(exchange, message)
        elif message["method"] == "notifications/progress":
            tell_progress(exchange.call, message["params"])
        else:
            tell_log(exchange.call, message["params"])
        return None

    def _answer(self, exchange: Exchange, request: Message) -> None:
        """Ask the caller what the server wants to know, and tell it. Where the caller is gone, so is the request."""
        exchange.asked += 1
        if exchange.asked > MAX_QUESTIONS:
            raise UpstreamError("The server asks without end.")
        exchange.is_asking = True
        try:
            answer = exchange.call.ask(f"ask-{exchange.asked}", request["method"], dict(request.get("params") or {}))
        except Cancelled:
            raise
        except ProtocolError as error:
            self._reply(request, error={"code": error.code, "message": error.message})
        except ToolError as error:
            self._reply(request, error={"code": INTERNAL_ERROR, "message": str(error)})
        else:
            self._reply(request, result=answer)
        finally:
            exchange.is_asking = False

    def _reply(self, request: Message, **outcome: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": request["id"]} | outcome)

    # --- the thread that reads ---

    def take(self, message: Any, exchange: Exchange | None = None) -> bool:
        """Give a message that arrived to whom it concerns; False if it is none. Does not block, but for answers to pings.

        `exchange` is the request whose own stream it came on, if the transport has such a thing. Answers with an id that is not
        under way, or that come twice, are dropped, and so are questions in the era that has none.
        """
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return False
        if "method" not in message:
            return self._take_response(message)
        if not isinstance(message["method"], str) or not isinstance(message.get("params"), dict | None):
            return False
        if "id" not in message:
            self._take_notification(message, exchange)
            return True
        if not is_id(message["id"]):
            return False
        if not self.modern:  # MCP 2026-07-28, basic/transports/stdio: servers send no requests
            self._take_request(message, exchange)
        return True

    def fail(self, sentence: str) -> None:
        """The session is over: whatever is under way, or begins later, raises UpstreamError with this sentence."""
        with self._lock:
            self._failure = self._failure or sentence
            for exchange in self._exchanges.values():
                exchange.inbox.put(UpstreamError(sentence))
        self._listens.end_all()

    def _take_response(self, message: Message) -> bool:
        if not is_id(message.get("id")):
            return False
        self._listens.end(message["id"])
        with self._lock:
            exchange = self._exchanges.get(message["id"]) if isinstance(message["id"], int) else None
            if exchange and UNREADABLE in message and not message.keys() & {"result", "error"}:
                exchange.spoiled_at = min(exchange.spoiled_at, time.monotonic())
            elif exchange and not exchange.is_answered:
                exchange.is_answered = True
                exchange.inbox.put(message)
        return True

    def _take_notification(self, message: Message, exchange: Exchange | None) -> None:
        method, params = message["method"], message.get("params") or {}
        if method == "notifications/progress":
            self._take_progress(message, params)
            return
        if method == ACKNOWLEDGED:
            self._listens.take(params)
            return
        is_line = method == "notifications/message" and str(params.get("level")) in LOG_LEVELS
        if is_line and (owner := exchange or self._find_reader()):
            put_note(owner, message)
        elif method.startswith("notifications/") and method not in UNHEARD:
            try:
                self.hear(method, params)
            except Exception as error:  # one bad listener must not end the session
                log.error("a notification could not be handled: %s", trace(error))

    def _take_progress(self, message: Message, params: Mapping[str, Any]) -> None:
        token = params.get("progressToken")
        with self._lock:
            exchange = self._exchanges.get(token) if is_number(token) and isinstance(token, int) else None
        if exchange and exchange.call.wants_progress and is_number(params.get("progress")):
            put_note(exchange, message)

    def _take_request(self, message: Message, exchange: Exchange | None) -> None:
        if message["method"] == "ping":
            self._refuse_or_reply(message, result={})
        elif ASKABLE.get(message["method"]) not in self.capabilities:
            self._refuse_or_reply(message, error={"code": METHOD_NOT_FOUND, "message": "Method not found"})
        elif (owner := exchange or self._likeliest()) and owner.inbox.qsize() < MAX_WAITING:
            owner.inbox.put(message)
        else:
            self._refuse_or_reply(message, error={"code": INTERNAL_ERROR, "message": "There is nobody to ask"})

    def _refuse_or_reply(self, message: Message, **outcome: Any) -> None:
        with suppress(UpstreamError, SignInNeeded):  # the transport notices by itself that it is broken
            self._reply(message, **outcome)

    def _find_reader(self) -> Exchange | None:
        """Whose a log line is, where the transport does not say: of the only request, or else, if all are one client's, of the
        one that wants to hear most. Nobody is told what may belong to a call of somebody else's, who may be allowed more.
        """
        with self._lock:
            exchanges = list(self._exchanges.values())
        if len(exchanges) == 1:
            return exchanges[0]
        theirs = [exchange for exchange in exchanges if exchange.call.sender is not None]  # the others are questions of our own
        readers = [exchange for exchange in theirs if exchange.call.log_level]
        is_one = len({exchange.call.sender for exchange in theirs}) == 1
        return min(readers, key=lambda one: LOG_LEVELS.index(one.call.log_level), default=None) if is_one else None

    def _likeliest(self) -> Exchange | None:
        """The request that a question belongs to, where the transport does not say: the youngest whose caller is not being
        asked already, for servers ask early. All of a session's callers act for one person, so a wrong guess asks that person
        at another of their assistants."""
        with self._lock:
            youngest_first = list(reversed(self._exchanges.values()))
        return next((exchange for exchange in youngest_first if not exchange.is_asking), next(iter(youngest_first), None))


# --- messages ---


def tell_progress(call: Call, params: Mapping[str, Any]) -> None:
    """Pass a progress note on; what is not well-formed in it is left out."""
    total, message = params.get("total"), params.get("message")
    call.progress(params["progress"], total if is_number(total) else None, message if isinstance(message, str) else None)


def tell_log(call: Call, params: Mapping[str, Any]) -> None:
    """Pass a log line on, under the name that the server gave it."""
    logger = params.get("logger")
    call.log(str(params["level"]), params.get("data"), logger if isinstance(logger, str) else None)


def put_note(exchange: Exchange, message: Message) -> None:
    """Keep a note for a request, unless too many wait already."""
    if exchange.inbox.qsize() < MAX_WAITING:
        exchange.inbox.put(message)


def declare(capabilities: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a server is told that its caller can be asked: the parts of it that we can pass on."""
    return {
        name: {part: {} for part in parts if part in capabilities[name]}
        for name, parts in DECLARABLE.items()
        if isinstance(capabilities.get(name), Mapping)
    }

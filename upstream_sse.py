"""A session with an MCP server over the transport of 2024: one stream for all that it says, and an address that it names for what
we say (MCP 2024-11-05, basic/transports, "HTTP with SSE"). Knows no connection and no pool.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from channels import Answer
from errors import FetchError, UpstreamError, UpstreamRefused
from event_lines import Event, EventLines
from fetch import Fetcher
from links import Authorizer, Greeting, Hear, HttpTarget
from strict_json import encode_json
from tools import Call
from upstream_endpoint import MAX_BYTES, Endpoint, blame, feed, not_understood
from upstream_greeting import discover, find_wanted, initialize
from upstream_messages import Message, read_message
from upstream_rpc import Rpc
from upstream_watch import HandshakeWatch, ListenWatch
from wire import Deadline

OPEN_SECONDS = 20
GREETING_SECONDS = 30.0
PROBE_SECONDS = 5.0
SEND_SECONDS = 20
SILENCE_SECONDS = 3600  # after so long without a byte the stream is taken for dead
POST = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
GET = {"Accept": "text/event-stream"}
CLOSED = "The server has closed the stream."
BROKEN = "The session broke."


class SseLink:
    """One session: see `links.Link`. It is open once it is made; raises UpstreamError, SignInNeeded, if it cannot be."""

    greeting: Greeting

    def __init__(
        self,
        target: HttpTarget,
        fetch: Fetcher,
        capabilities: Mapping[str, Any],
        hear: Hear,
        authorizer: Authorizer | None = None,
    ):
        self._seconds = target.seconds
        self._begin = partial(Stream, target, fetch, capabilities, hear, authorizer)
        self._stream = self._begin()
        try:
            self.greeting = self._greet()
        except UpstreamRefused as error:
            self.close()
            raise UpstreamError(f"The server refuses to begin a session (error {error.code}).") from None
        except BaseException:
            self.close()
            raise
        self._stream.version = self.greeting.version
        self._watch = (
            ListenWatch(self._stream.rpc)
            if self.greeting.is_modern
            else HandshakeWatch(lambda method, params: self.request(method, params, Call()))
        )
        if self.greeting.is_modern and (wanted := find_wanted(self.greeting.capabilities)):
            self._stream.rpc.listen(wanted)

    def _greet(self) -> Greeting:
        """Try the stateless era first, as on any stream that goes both ways. A server that hangs up on the question, now or a
        moment later, is older: a new stream begins with the handshake."""
        rpc, seconds = self._stream.rpc, min(self._seconds, GREETING_SECONDS)
        try:
            greeting = discover(rpc, min(self._seconds, PROBE_SECONDS))
        except UpstreamError:
            greeting = rpc.modern = None
        if greeting is not None:
            return greeting
        try:
            return initialize(rpc, seconds)
        except UpstreamError:
            if self.is_alive:
                raise
        self._stream = self._begin()
        return initialize(self._stream.rpc, seconds)

    @property
    def is_alive(self) -> bool:
        """Whether another request is worth trying."""
        return not self._stream.is_over.is_set()

    def request(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask and wait: see `links.Link.request`."""
        return self._stream.rpc.request(method, params, call, self._seconds)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the server something. Raises UpstreamError."""
        self._stream.rpc.notify(method, params)

    def watch(self, uris: frozenset[str]) -> frozenset[str]:
        """Be told of changes of these: see `links.Link.watch`."""
        return self._watch.set(uris)

    @property
    def watched(self) -> frozenset[str]:
        """What of that holds."""
        return self._watch.told if self.is_alive else frozenset()

    def close(self) -> None:
        """End the session: the server notices that the stream is closed."""
        self._stream.end("The session was closed.")

    def close_idle(self) -> None:
        """Close the sockets that nobody used for a while; the session goes on."""
        self._stream.endpoint.channel.close_idle()


class Stream:
    """One stream with what is under way on it. It is open once it is made; raises UpstreamError, SignInNeeded, if it cannot be.

    `version` is what was agreed on, None before that.
    """

    def __init__(
        self,
        target: HttpTarget,
        fetch: Fetcher,
        capabilities: Mapping[str, Any],
        hear: Hear,
        authorizer: Authorizer | None,
    ):
        self.endpoint, self.rpc = Endpoint(fetch, target, authorizer), Rpc(self._send, hear, capabilities)
        self.is_over = threading.Event()
        self.version: str | None = None
        self._failure = self._path = ""
        try:
            self._open(Deadline(min(target.seconds, OPEN_SECONDS)))
        except BaseException:
            self.end("The session was closed.")
            raise

    def end(self, sentence: str) -> None:
        """It is over, for everybody who waits. May be called twice, and by any thread."""
        self._failure = self._failure or sentence
        self.is_over.set()
        self.rpc.fail(sentence)
        self.endpoint.channel.close()

    # --- what goes out ---

    def _send(self, message: Message) -> None:
        """The answer comes on the stream; this one only says that the message has arrived."""
        headers = POST | ({"MCP-Protocol-Version": self.version} if self.version else {})
        try:
            with self.endpoint.send(
                "POST", headers, encode_json(message), Deadline(SEND_SECONDS), path=self._path
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise not_understood(answer)
        except FetchError as error:
            raise UpstreamError(self._failure) if self._failure else blame(error) from error

    # --- what comes in ---

    def _open(self, deadline: Deadline) -> None:
        """Open the stream, wait for the address, and leave the rest to a thread of its own."""
        try:
            answer = self.endpoint.send("GET", GET, None, deadline)
            try:
                events = self._find_path(answer)
            except BaseException:
                answer.close(keep=False)
                raise
        except FetchError as error:
            raise blame(error) from error
        threading.Thread(target=self._read, args=(answer, events), name="read a server", daemon=True).start()

    def _find_path(self, answer: Answer) -> Iterator[Event]:
        """Read up to the address for messages; answers the events after that."""
        if answer.status != 200 or answer.kind != "text/event-stream":
            raise not_understood(answer)
        events = read_events(answer)
        first = next((event for event in events if event.kind == "endpoint"), None)
        path = self.endpoint.resolve(first.data.decode(errors="replace")) if first else None
        if path is None:  # with an address elsewhere, our credentials would go there
            raise UpstreamError("The server names no address of its own for messages.")
        self._path = path
        return events

    def _read(self, answer: Answer, events: Iterator[Event]) -> None:
        """The reading thread. Whatever ends it ends the session: nobody else would notice that no answer can come any more."""
        sentence = BROKEN
        try:
            with answer:
                self._take_events(answer, events)
            sentence = CLOSED
        except ValueError:
            sentence = "The server sends something that is not JSON."
        except (FetchError, UpstreamError) as error:
            sentence = str(error)
        finally:
            self.end(sentence)

    def _take_events(self, answer: Answer, events: Iterator[Event]) -> None:
        answer.wait_until(Deadline(SILENCE_SECONDS))
        for event in events:
            answer.wait_until(Deadline(SILENCE_SECONDS))
            if event.kind == "message" and event.data:
                self.rpc.take(read_message(event.data))


def read_events(answer: Answer) -> Iterator[Event]:
    """The events of a stream."""
    lines = EventLines(MAX_BYTES)
    for piece in answer.pieces():
        yield from feed(lines, piece, answer)

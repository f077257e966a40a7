"""Event streams over WSGI: keep-alive comments, and noticing at once that the reader has gone. Knows no protocol."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator

KEEPALIVE_SECONDS = 15
MAX_WAITING_BYTES = 16 * 1024 * 1024  # for a reader who is slower than the writer
OPENING = b": open\n\n"
KEEPALIVE = b": keep-alive\n\n"
PEER_CLOSED = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere POLLHUP, which is always reported, has to do

HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),  # nginx would hold events back
)


def frame(message: bytes) -> bytes:
    """One event (WHATWG HTML §9.2.6). The message is JSON, and so has no line break in it."""
    return b"event: message\ndata: " + message + b"\n\n"


class EventStream:
    """The body of one `text/event-stream` answer: one thread puts events in, the server's thread iterates.

    It has two ends: `finish` closes the writer's, `close` the reader's, which the server calls in any case (PEP 3333).
    `on_close` runs when the reader's end is closed, `on_end` once both are.
    """

    def __init__(
        self,
        connection: socket.socket | None,
        *,
        on_close: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
    ):
        self._connection, self._keepalive_seconds = connection, keepalive_seconds
        self._on_close, self._on_end = on_close, on_end
        self._events: deque[bytes] = deque()
        self.waiting_bytes = 0  # of the events that nobody has read yet
        self._last: bytes | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self._open_ends = {"writer", "reader"}
        self._bell, self._rope = os.pipe()  # pulling the rope wakes the reading thread
        os.set_blocking(self._rope, False)
        self._iterator = self._iterate()

    # --- the writer's end ---

    def put(self, message: bytes) -> bool:
        """Send one message. False: it was dropped, for nobody reads any more, or so slowly that too much waits already."""
        event = frame(message)
        with self._lock:
            if self.is_abandoned or self.waiting_bytes > MAX_WAITING_BYTES:
                return False
            self._events.append(event)
            self.waiting_bytes += len(event)
        self._ring()
        return True

    def finish(self, message: bytes | None = None) -> None:
        """Send the last message, if there is one: the stream ends after it."""
        self._last = message
        self._end("writer", lambda: None)
        self._ring()

    def is_silent_after(self, seconds: float) -> bool:
        """Whether the writer finishes within `seconds` without having put anything before its last message.

        Answers at once when it has put something, or when the reader has gone.
        """
        self._watch().poll(seconds * 1000)  # the bell stays unread, for the reader
        return "writer" not in self._open_ends and not self._events

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody reads any more."""
        return "reader" not in self._open_ends

    # --- the reader's end ---

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def close(self) -> None:
        """The answer is over. A method, because the `finally` of a generator that never started never runs."""
        self._end("reader", self._on_close)
        while self._take() is not None:  # what nobody will read is not kept until the writer has finished
            pass

    def stop(self) -> None:
        """End the answer soon, whatever the writer does: the server is going down. Fit for a signal handler's thread."""
        self._stopped = True
        self._ring()

    def _iterate(self) -> Iterator[bytes]:
        poll = self._watch()
        yield OPENING
        while True:
            ready = dict(poll.poll(self._keepalive_seconds * 1000))
            if self._bell in ready:
                os.read(self._bell, 4096)
            if self._stopped or ready.keys() - {self._bell}:
                return
            finished = "writer" not in self._open_ends  # looked at first: nothing is put after it
            while (event := self._take()) is not None:
                yield event
            if finished:
                if self._last is not None:
                    yield frame(self._last)
                return
            if not ready:
                yield KEEPALIVE

    def _take(self) -> bytes | None:
        """The next event, if one waits."""
        with self._lock:
            if not self._events:
                return None
            event = self._events.popleft()
            self.waiting_bytes -= len(event)
            return event

    def _watch(self) -> select.poll:
        """What tells of events, and of the reader's end."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection, PEER_CLOSED)
        return poll

    # --- both ---

    def _ring(self) -> None:
        with self._lock:
            if self._open_ends:
                try:
                    os.write(self._rope, b"!")
                except BlockingIOError:
                    return  # so many rings wait that it will wake anyway

    def _end(self, end: str, then: Callable[[], None]) -> None:
        with self._lock:
            if end not in self._open_ends:
                return
            self._open_ends.discard(end)
            over = not self._open_ends
            if over:
                os.close(self._bell)
                os.close(self._rope)
        then()
        if over:
            self._on_end()

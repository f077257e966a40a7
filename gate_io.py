"""What a connection is to the worker: its input, its waiting, its answer. Takes no decision, and knows no application."""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

HEAD_BYTES = 64 * 1024  # past this a thread gets it, whose parser says what is wrong with it
HEAD_END = re.compile(rb"[^\r\n]\r?\n\r?\n")  # a bare LF is the parser's to refuse, but it must get to see it
BODY_RATE = 10_000  # bytes of a body that buy it one second more


class Intake(SocketUnreader):
    """A connection's input: the event loop gathers it up to the end of the head, then a thread reads on against a deadline."""

    def __init__(self, sock: socket.socket):
        super().__init__(sock)
        self.searched = 0
        self.deadline = 0.0

    def gather(self) -> bool:
        """Take what is there without waiting; whether a thread can begin. Raises OSError once the client is gone."""
        while not self.has_head():
            try:
                data = self.sock.recv(self.mxchunk)
            except BlockingIOError:
                return False
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the client left")
            self.buf.seek(0, os.SEEK_END)
            self.buf.write(data)
        return True

    def has_head(self) -> bool:
        """Whether the buffer holds a whole request head, or more than one may be."""
        with self.buf.getbuffer() as view:
            start, self.searched = self.searched, max(0, len(view) - 4)
            return len(view) > HEAD_BYTES or HEAD_END.search(view, start) is not None

    def begins_with(self, beginnings: tuple[bytes, ...]) -> bool:
        """Whether the buffer begins with one of these."""
        with self.buf.getbuffer() as view:
            return bytes(view[:16]).startswith(beginnings)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes for a thread; each one buys a little time. Raises NoMoreData when the client falls behind."""
        self.sock.settimeout(max(self.deadline - time.monotonic(), 0.1))
        try:
            data = super().chunk(size_hint)
        except TimeoutError:
            raise NoMoreData() from None
        finally:
            self.sock.setblocking(True)  # sending has a limit of its own, which knows progress from none
        self.deadline += len(data) / BODY_RATE
        return data


class Waiting:
    """Connections that only wait, watched by the event loop: the oldest first, each for the same number of seconds."""

    def __init__(self, poller: selectors.BaseSelector, seconds: float, on_readable: Callable[..., None]):
        self.poller = poller
        self.seconds = seconds
        self.on_readable = on_readable
        self.deadlines: dict[TConn, float] = {}

    def add(self, conn: TConn) -> None:
        """Call `on_readable(conn, socket)` whenever input comes. Its time counts from the first call of this."""
        if conn in self.deadlines:
            return
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_readable, conn))
        self.deadlines[conn] = time.monotonic() + self.seconds

    def remove(self, conn: TConn) -> None:
        """Watch it no longer, if it was watched."""
        if self.deadlines.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)

    def pop_due(self, now: float) -> Iterator[TConn]:
        """Remove and give those whose time is up, the oldest first."""
        while self.deadlines:
            conn, deadline = next(iter(self.deadlines.items()))
            if deadline > now:
                return
            self.remove(conn)
            yield conn


class Response(wsgi.Response):
    """An answer whose head goes out together with the beginning of its body: one system call, and one packet."""

    head = b""

    def send_headers(self) -> None:
        """Make the head ready to be sent."""
        if not self.headers_sent:
            lines = self.default_headers() + [f"{name}: {value}\r\n" for name, value in self.headers]
            self.head, self.headers_sent = "".join([*lines, "\r\n"]).encode("latin-1"), True

    def _emit_body(self, data: bytes) -> None:
        """Send the next bytes of the body; of a chunked one (RFC 9112 §7.1) no bytes are the end."""
        if self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        head, self.head = self.head, b""
        self.sock.sendall(head + data)

    def close(self) -> None:
        """Send what is left."""
        self.send_headers()
        if self.head or self.chunked:
            self._emit_body(b"")


def write_refusal(client: socket.socket, status: int, _reason: str, _message: str) -> None:
    """Answer what could not be read, and close. It is no page, so that no browser frames it, and repeats nothing of what came."""
    text = HTTPStatus(status).phrase
    head = (
        f"HTTP/1.1 {status} {text}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text)}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
    )
    util.write_nonblock(client, "\r\n".join((*head, "", text)).encode())

"""The gunicorn worker: threads that a slow or rude client cannot occupy, and a log without secrets. Imports nothing of ours.

Stock gthread gives a thread to a connection before its request is there, and lingers on closed ones in the accept loop, so that
a handful of idle sockets stops the server. Here the event loop waits, for the request's head and for the close; a thread works.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from gunicorn.errors import ConfigError
from gunicorn.glogging import Logger
from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_SECONDS = 10  # for the whole request head, counted from the connect, or from the first byte on a kept-alive connection
HEAD_BYTES = 64 * 1024  # past this a thread gets it, whose parser says what is wrong with it
BODY_SECONDS = 5  # for a request body, and one second more …
BODY_RATE = 10_000  # … for each of these many bytes that came
SEND_SECONDS = 5  # without any progress: the client does not read its answer
LINGER_SECONDS = 2  # after the last byte of an answer
DRAIN_BYTES = 64 * 1024  # of a lingering client's input, at a time
STOP_SECONDS = 2  # how long a stopping worker still waits for a head
BEAT_SECONDS = 1  # between signs of life, which are system calls: gunicorn's `timeout` is so much longer
QUIET = frozenset({"/healthz", "/readyz"})
HEAD_END = re.compile(rb"[^\r\n]\r?\n\r?\n")  # a bare LF is the parser's to refuse, but it must get to see it


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


class Worker(ThreadWorker):
    """gthread, with everything that only waits kept in its event loop. Speaks plain HTTP/1.1: TLS is a proxy's work.

    The application may have two methods that are called once each, in the event loop's thread: `start` when it begins to serve,
    and `stop` when the worker is told to end, so that long answers end too.
    """

    told_to_stop = False
    next_beat = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker cannot do."""
        if cfg.is_ssl:
            raise ConfigError("this worker speaks plain HTTP; let a reverse proxy end TLS")
        super().check_config(cfg, log)

    def run(self) -> None:
        """The event loop, with its two waiting rooms."""
        self.heads = Waiting(self.poller, HEAD_SECONDS, self.on_head)
        self.lingering = Waiting(self.poller, LINGER_SECONDS, self.on_leftover)
        self.call_application("start")
        super().run()

    # --- the event loop ---

    def notify(self) -> None:
        """Show the arbiter a sign of life. gunicorn calls this at every turn of the loop, twice a request."""
        now = time.monotonic()
        if now >= self.next_beat:
            self.next_beat = now + BEAT_SECONDS
            super().notify()

    def accept(self, listener: Any) -> None:
        """Take a connection; where places or file descriptors run out, the one that waited longest gives way."""
        if self.nr_conns >= self.worker_connections - 1:
            self.drop_oldest()
        try:
            super().accept(listener)
        except OSError as error:
            self.log.warning("Cannot accept a connection: %s", error.strerror)
            self.drop_oldest()

    def enqueue_req(self, conn: TConn) -> None:
        """Where gunicorn would take a thread at once, wait for the whole request head, unless all of it is there already."""
        if conn.parser is None:
            set_up(conn, self.cfg)
        if conn.sock.getblocking():
            conn.sock.setblocking(False)
        conn.parser.unreader.searched = 0
        self.on_head(conn)

    def on_head(self, conn: TConn, _sock: Any = None) -> None:
        """Gather more of a head; a thread takes the connection once it is whole, until then it waits."""
        try:
            whole = conn.parser.unreader.gather()
        except OSError:
            self.heads.remove(conn)
            self.drop(conn)
            return
        if whole:
            self.heads.remove(conn)
            conn.data_ready = True
            super().enqueue_req(conn)
        else:
            self.heads.add(conn)

    def finish_request(self, conn: TConn, future: Future[Any]) -> None:
        """A thread is done: gunicorn keeps the connection alive, or it lingers here instead of in gunicorn's accept loop."""
        if future.cancelled() or future.exception() or future.result():
            super().finish_request(conn, future)
        else:
            self.linger(conn)

    def linger(self, conn: TConn) -> None:
        """Close in two steps, so that input nobody read does not destroy the answer on its way (RFC 9112 §9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(conn)
        else:
            self.lingering.add(conn)

    def on_leftover(self, conn: TConn, sock: socket.socket) -> None:
        """Throw away what a lingering client still sends; close once it has closed."""
        try:
            if sock.recv(DRAIN_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset: as good as closed
        self.lingering.remove(conn)
        self.drop(conn)

    def murder_pending(self) -> None:
        """Drop whoever waited too long; gunicorn calls this at least once a second, and at once when it stops."""
        if not self.alive and not self.told_to_stop:
            self.told_to_stop = True
            self.call_application("stop")
        now = time.monotonic()
        hurry = 0 if self.alive else HEAD_SECONDS - STOP_SECONDS
        for conn in (*self.heads.pop_due(now + hurry), *self.lingering.pop_due(now)):
            self.drop(conn)

    def call_application(self, method: str) -> None:
        """Call a method of the application if it has such a one."""
        getattr(self.wsgi, method, lambda: None)()

    def drop_oldest(self) -> None:
        """Make room: the longest lingering one goes, else the oldest unfinished head, else the longest idle."""
        for waiting in (self.lingering, self.heads):
            if oldest := next(waiting.pop_due(math.inf), None):
                self.drop(oldest)
                return
        if self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()

    def drop(self, conn: TConn) -> None:
        """Close now."""
        self.nr_conns -= 1
        conn.close()

    # --- a thread ---

    def handle(self, conn: TConn) -> Any:
        """One request, whose body has to come in time."""
        conn.parser.unreader.deadline = time.monotonic() + BODY_SECONDS
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer it. A client that stopped reading is treated as one that hung up."""
        try:
            return super().handle_request(req, conn)
        except BlockingIOError:
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from None

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Log and answer a failure, without what may be a secret in it: query strings, and lines that could not be parsed."""
        if req is not None:
            req.uri = req.uri.partition("?")[0]
        for name in ("req", "hdr"):
            if isinstance(getattr(exc, name, None), str | bytes):
                setattr(exc, name, "(not shown)")
        super().handle_error(req, client, addr, exc)


def set_up(conn: TConn, cfg: Any) -> None:
    """Give a new connection our parser input, and its sending a limit. (A kernel limit: it counts only time without progress.)"""
    conn.parser = get_parser(cfg, conn.sock, conn.client)
    conn.parser.unreader = Intake(conn.sock)
    with contextlib.suppress(OSError):
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))


class Log(Logger):
    """gunicorn's log. A request is one line without query string or headers: those carry codes, states and tokens."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Note one answered request; the probes of a monitor are not worth a line."""
        path = environ.get("PATH_INFO", "-")
        if path in QUIET or not self.access_log_enabled:
            return
        self.access_log.info(
            '%s %s "%s %s" %s %s %d ms',
            self.now(),
            environ.get("REMOTE_ADDR") or "-",
            environ["REQUEST_METHOD"],
            quote(path, encoding="latin-1"),  # so that %0A in a path cannot forge a line
            str(resp.status).partition(" ")[0],
            resp.sent,
            request_time.total_seconds() * 1000,
        )

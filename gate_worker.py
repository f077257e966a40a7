"""The gunicorn worker: threads that a slow or rude client cannot occupy, and a log without secrets. Knows no application.

Stock gthread gives a thread to a connection before its request is there, and lingers on closed ones in the accept loop, so that
a handful of idle sockets stops the server. Here the event loop waits, for the request's head and for the close; a thread works.
For what the application calls quick, that is the event loop's own thread; another takes the loop over if need be (lead.py).
"""

from __future__ import annotations

import contextlib
import errno
import math
import selectors
import socket
import struct
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

from gunicorn import util
from gunicorn.errors import ConfigError
from gunicorn.glogging import Logger
from gunicorn.http import get_parser, wsgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from gate_io import Intake, Response, Waiting, write_refusal
from lead import Lead

util.write_error = write_refusal  # gunicorn's own answer would be a page, without what our pages tell browsers
HEAD_SECONDS = 10  # for the whole request head, counted from the connect, or from the first byte on a kept-alive connection
BODY_SECONDS = 5  # for a request body, and one more for each gate_io.BODY_RATE bytes that came
SEND_SECONDS = 5  # without any progress: the client does not read its answer
LINGER_SECONDS = 2  # after the last byte of an answer
DRAIN_BYTES = 64 * 1024  # of a lingering client's input, at a time
STOP_SECONDS = 2  # how long a stopping worker still waits for a head
BEAT_SECONDS = 1  # between signs of life: gunicorn's `timeout` is so much longer
STALL_SECONDS = 5  # without a turn of the event loop: it shows no life any more
STEP_ASIDE = "gate.step_aside"  # in the WSGI environ
QUIET = frozenset({"/healthz", "/readyz"})


def outcome_of(keeps_alive: bool) -> Future[bool]:
    """How a request went, in the form in which gunicorn's own threads tell it."""
    outcome: Future[bool] = Future()
    outcome.set_result(keeps_alive)
    return outcome


OUTCOMES = {True: outcome_of(True), False: outcome_of(False)}


class Worker(ThreadWorker):
    """gthread, with everything that only waits kept in its event loop. Speaks plain HTTP/1.1: TLS is a proxy's work.

    The application may have two methods that are called once each: `start` when the worker begins to serve, and `stop`, in the
    event loop's thread, when it is told to end, so that long answers end too. It may have `quick`, the beginnings of requests
    that the event loop's thread answers itself; one that is going to wait calls `environ["gate.step_aside"]()` first.
    """

    told_to_stop = False
    grace_until = math.inf  # how long a stopping worker still works
    busy = 0  # requests that are worked on; at most `threads`

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker cannot do."""
        if cfg.is_ssl:
            raise ConfigError("this worker speaks plain HTTP; let a reverse proxy end TLS")
        super().check_config(cfg, log)

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """A thread for each request, and one to run the event loop meanwhile."""
        return ThreadPoolExecutor(self.cfg.threads + 1, thread_name_prefix="gate")

    # --- the main thread, which gets the signals ---

    def run(self) -> None:
        """Serve until told to stop."""
        self.heads = Waiting(self.poller, HEAD_SECONDS, self.on_head)
        self.lingering = Waiting(self.poller, LINGER_SECONDS, self.on_leftover)
        self.ready: deque[TConn] = deque()  # each with a whole head, waiting for a thread
        self.quick = getattr(self.wsgi, "quick", ())
        self.lead = Lead(self.tpool, self.turn)
        self.call_application("start")
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.set_accept_enabled(True)
        try:
            self.lead.begin()
            self.watch()
        finally:
            self.lead.end()  # whatever signal ended the watch: the process waits for its threads
        self.tidy_up()

    def watch(self) -> None:
        """Watch over the event loop, and show the arbiter its signs of life. Raises what the event loop raised."""
        while not self.lead.watch(BEAT_SECONDS):
            if time.monotonic() < self.lead.turned_at + STALL_SECONDS:
                self.notify()
            if not self.is_parent_alive():
                self.handle_exit(None, None)
        if self.lead.failure:
            raise self.lead.failure

    def tidy_up(self) -> None:
        """Close what is still open; who still works is waited for by the interpreter, and killed by the arbiter."""
        self.murder_keepalived(force=True)
        self.tpool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()
        for listener in self.sockets:
            listener.close()

    # --- the event loop ---

    def turn(self) -> None:
        """Wait for something to happen, and take it as far as it goes without waiting again."""
        can_accept = self.nr_conns < self.worker_connections
        if can_accept != self._accepting and self.alive:
            self.set_accept_enabled(can_accept)
        self.wait_for_and_dispatch_events(self.seconds_to_wait())
        self.murder_keepalived()
        self.murder_pending()
        if not self.alive:
            self.wind_down()
        while self.ready and self.busy < self.cfg.threads and self.lead.is_mine:
            self.serve(self.ready.popleft())

    def seconds_to_wait(self) -> float:
        """At most so long until the next turn."""
        if self.ready and self.busy < self.cfg.threads:
            return 0
        if self.alive or not self.keepalived_conns:
            return 1
        return min(1, max(self.keepalived_conns[0].timeout - time.monotonic(), 0))

    def wind_down(self) -> None:
        """Accept nothing new, and end once nobody is connected or the time for that is over."""
        now = time.monotonic()
        if self.grace_until == math.inf:
            self.set_accept_enabled(False)
            self._cap_keepalive(now + STOP_KEEPALIVE_LINGER)
            self.grace_until = now + self.cfg.graceful_timeout
        if self.nr_conns == 0 or now > self.grace_until:
            self.lead.end()

    def serve(self, conn: TConn) -> None:
        """Answer a request: here if it is said to be quick, else in another thread."""
        self.busy += 1
        if not conn.parser.unreader.begins_with(self.quick):
            super().enqueue_req(conn)
            return
        outcome = OUTCOMES[bool(self.lead.serve(partial(self.handle, conn)))]
        if self.lead.is_mine:
            self.finish_request(conn, outcome)
        else:
            self.method_queue.defer(self.finish_request, conn, outcome)

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
        """Gather more of a head; the connection is ready once it is whole, until then it waits."""
        try:
            whole = conn.parser.unreader.gather()
        except OSError:
            self.heads.remove(conn)
            self.drop(conn)
            return
        if whole:
            self.heads.remove(conn)
            conn.data_ready = True
            self.ready.append(conn)
        else:
            self.heads.add(conn)

    def finish_request(self, conn: TConn, future: Future[Any]) -> None:
        """A request is done: gunicorn keeps the connection alive, or it lingers here instead of in gunicorn's accept loop."""
        self.busy -= 1
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
        """Close now, unless that was done meanwhile."""
        if conn.sock.fileno() >= 0:
            self.nr_conns -= 1
            conn.close()

    # --- whichever thread answers ---

    def handle(self, conn: TConn) -> Any:
        """One request, whose body has to come in time."""
        conn.parser.unreader.deadline = time.monotonic() + BODY_SECONDS
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer it; whether the connection stays open. A client that stopped reading is treated as one that hung up."""
        response, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, response_class=Response)
        environ["wsgi.multithread"] = True
        environ[STEP_ASIDE] = self.lead.step_aside
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            response.force_close()
        try:
            self.send_answer(req, response, environ)
        except BlockingIOError:
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from None
        except OSError:
            raise
        except Exception:
            if not response.headers_sent:
                raise  # there is still time to say so
            self.log.exception("Error handling request")
            return False
        return not response.should_close()

    def send_answer(self, req: Any, response: Response, environ: dict[str, Any]) -> None:
        """Let the application answer, send it, and note it in the log."""
        begun = datetime.now()
        body = self.wsgi(environ, response.start_response)
        try:
            for item in body:
                response.write(item)
            response.close()
        finally:
            self.log.access(response, req, environ, datetime.now() - begun)
            getattr(body, "close", lambda: None)()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Log and answer a failure, without what may be a secret in it: query strings, and lines that could not be parsed."""
        if req is not None:
            req.uri = req.uri.partition("?")[0]
        for name in ("req", "hdr"):
            if isinstance(getattr(exc, name, None), str | bytes):
                setattr(exc, name, "(not shown)")
        super().handle_error(req, client, addr, exc)  # which answers by write_error


def set_up(conn: TConn, cfg: Any) -> None:
    """Give a new connection our parser input, and its sending a limit. (A kernel limit: it counts only time without progress.)"""
    conn.parser = get_parser(cfg, conn.sock, conn.client)
    conn.parser.unreader = Intake(conn.sock)
    with contextlib.suppress(OSError):
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))


class Log(Logger):
    """gunicorn's log. A request is one line without query string or headers: those carry codes, states and tokens."""

    second = 0, ""  # the last one, and how it is written

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
            quote_path(path),
            str(resp.status).partition(" ")[0],
            resp.sent,
            request_time.total_seconds() * 1000,
        )

    def now(self) -> str:
        """The time as it stands in the log, written out once a second."""
        if self.second[0] != (second := int(time.time())):
            self.second = second, super().now()
        return self.second[1]


@lru_cache(256)
def quote_path(path: str) -> str:
    """A path as one word, so that %0A in it cannot forge a line."""
    return quote(path, encoding="latin-1")

"""Kept connections to one server, each guarded as `fetch.py` guards every way out. Knows HTTP, and nothing above it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from urllib.parse import quote, urlsplit

from addresses import join_host
from carrier import Carrier, Head, ImproperHttp, NoAnswer
from errors import FetchError
from fetch import OWNER, PLAIN, Fetcher, Trust, check_headers, explain
from wire import Deadline

MAX_OPEN = 64  # connections to one server at a time
MAX_IDLE = 16
IDLE_SECONDS = 60
CONNECT_SECONDS = 15
TAIL_SECONDS = 0.02  # for the end of an answer whose reader already had all it needed
MAX_TAIL_BYTES = 64 * 1024
# identity: what is compressed could unpack to any size (RFC 9110 §12.5.3)
ALWAYS = {"User-Agent": "Postern", "Accept-Encoding": "identity"}
KEPT = re.compile(r"(?:^|[,; ])timeout=([0-9]{1,4})")
SAFE_IN_PATH = "!#$%&'()*+,/:;=?@[]~"  # what a URL may hold as it is; the rest is written as %XX (RFC 3986 §2)


class Channel:
    """Sends requests to one server, over connections that are kept for the next one. Threads may share it.

    A connection is looked up and vetted when it is opened, and closed once it was idle for a minute. No cookies, no redirects, no
    proxies. `headers` go out with every request. Everything here raises FetchError, whose text names the host and nothing else.
    """

    def __init__(self, fetch: Fetcher, url: str, *, trust: Trust = OWNER, headers: Mapping[str, str] | None = None):
        self._fetch, self._trust = fetch, trust
        self.target = fetch.check_url(url, trust=trust)
        self.path = path_of(url)
        check_headers(headers or {})
        every = ALWAYS | dict(headers or {})
        default = {"https": 443, "http": 80}[self.target.scheme]
        host = join_host(self.target.host, self.target.port).removesuffix(f":{default}")
        self._usual = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": host} | every).items())
        self._lock = threading.Lock()
        self._idle: list[tuple[Carrier, float]] = []  # with the time until which it is good
        self._busy: set[Carrier] = set()
        self._opening = 0
        self._is_closed = False
        self._has_tails = True  # this server ends an answer soon after what we wanted from it

    def send(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        deadline: Deadline,
        check: Callable[[], None] | None = None,
        path: str | None = None,
        may_repeat: bool = False,
    ) -> Answer:
        """Send a request and answer as soon as the head of the answer is there. `check` is called ten times a second while
        it waits, and may raise.

        A kept connection may turn out to be dead. The request is then sent again on a new one, but only if `may_repeat`: else
        nobody knows whether it was already acted upon (RFC 9110 §9.2.2).
        """
        check_headers(headers)
        message = self._compose(method, path or self.path, headers, body)
        try:
            while True:
                carrier, is_new = self._take(deadline)
                try:
                    carrier.deadline, carrier.check = deadline, check
                    carrier.send(message)
                    return Answer(self, carrier, carrier.read_head(method))
                except BaseException as error:
                    self.give_back(carrier, keep=False)
                    if is_new or not (may_repeat and isinstance(error, NoAnswer)):
                        raise
        except (OSError, ImproperHttp) as error:
            raise FetchError(self.explain(error)) from error

    def _compose(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """The whole message, so that it goes out in one packet if it is small."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{self._usual}{lines}{length}\r\n".encode("ascii") + (body or b"")

    def explain(self, error: Exception) -> str:
        """A sentence that names the host and nothing else."""
        return f"{self.target.host} was left: the connection was closed." if self._is_closed else explain(self.target.host, error)

    # --- connections ---

    def _take(self, deadline: Deadline) -> tuple[Carrier, bool]:
        """A connection for one exchange, and whether it is a new one."""
        while (kept := self._pop()) is not None:
            carrier, good_until = kept
            was_done = carrier.is_done
            if time.monotonic() < good_until and carrier.finish(TAIL_SECONDS, MAX_TAIL_BYTES):
                return carrier, False
            self._has_tails = self._has_tails and was_done
            self.give_back(carrier, keep=False)
        return self._open(Deadline(min(CONNECT_SECONDS, deadline.left()))), True

    def _open(self, deadline: Deadline) -> Carrier:
        """A new connection."""
        with self._lock:
            if len(self._busy) + self._opening >= MAX_OPEN:
                raise FetchError(f"{self.target.host} has not answered {MAX_OPEN} earlier requests yet.")
            self._opening += 1
        try:
            carrier = Carrier(self._fetch.connect(self.target, trust=self._trust, deadline=deadline))
            with self._lock:
                self._busy.add(carrier)
        finally:
            with self._lock:
                self._opening -= 1
        if self._is_closed:
            self.give_back(carrier, keep=False)
            raise ConnectionAbortedError
        return carrier

    def _pop(self) -> tuple[Carrier, float] | None:
        """The connection that was used last, if any is idle."""
        with self._lock:
            if not self._idle:
                return None
            kept = self._idle.pop()
            self._busy.add(kept[0])
            return kept

    def give_back(self, carrier: Carrier, *, keep: bool, seconds: float = IDLE_SECONDS) -> None:
        """An exchange is over. Its connection is kept for the next one if that is possible; may be called twice."""
        keep = keep and carrier.keeps and (carrier.is_done or self._has_tails)
        with self._lock:
            if carrier not in self._busy:
                return
            self._busy.discard(carrier)
            if keep and not self._is_closed and len(self._idle) < MAX_IDLE:
                self._idle.append((carrier, time.monotonic() + seconds))
                return
        carrier.close()

    def close_idle(self) -> None:
        """Close the connections that nobody used for a while."""
        now = time.monotonic()
        with self._lock:
            stale = [carrier for carrier, good_until in self._idle if good_until <= now]
            self._idle = [kept for kept in self._idle if kept[1] > now]
        for carrier in stale:
            carrier.close()

    def close(self) -> None:
        """Close every connection; whoever waits for an answer gets FetchError at once."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for carrier, _ in idle:
            carrier.close()
        for carrier in busy:
            carrier.abort()


class Answer:
    """What a server answers: the head, and the body as it comes. Leaving the `with` block gives the connection back."""

    def __init__(self, channel: Channel, carrier: Carrier, head: Head):
        self._channel, self._carrier = channel, carrier
        self.status, self.headers = head.status, head.headers
        if any(head.headers.get(name.lower(), plain).lower() != plain for name, plain in PLAIN.items()):
            self.close(keep=False)
            raise FetchError(f"{channel.target.host} answered in a compressed form, which is not accepted here.")

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def read(self, max_bytes: int) -> bytes:
        """The whole body; raises FetchError if it is longer than `max_bytes`."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > max_bytes:
                raise FetchError(f"{self._channel.target.host} answered with more than {max_bytes} bytes.")
        return bytes(body)

    def pieces(self) -> Iterator[bytes]:
        """The body, piece by piece as it comes."""
        try:
            while piece := self._carrier.read_piece():
                yield piece
        except (OSError, ImproperHttp) as error:
            raise FetchError(self._channel.explain(error)) from error

    def wait_until(self, deadline: Deadline) -> None:
        """Let what is still to come take until then."""
        self._carrier.deadline = deadline

    def abort(self) -> None:
        """Whoever reads it gets FetchError at once. Fit for any thread, before `close`."""
        self._carrier.abort()

    def close(self, *, keep: bool = True) -> None:
        """The rest is not wanted."""
        limit = KEPT.search(self.headers.get("keep-alive", ""))
        seconds = min(IDLE_SECONDS, int(limit[1]) - 1) if limit else IDLE_SECONDS
        self._channel.give_back(self._carrier, keep=keep, seconds=seconds)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close(keep=kind is None)


def path_of(url: str) -> str:
    """The path and the query of a checked URL, as they stand in a request (RFC 9112 §3.2.1)."""
    parts = urlsplit(url)
    return quote(parts.path or "/", SAFE_IN_PATH) + (f"?{quote(parts.query, SAFE_IN_PATH)}" if parts.query else "")

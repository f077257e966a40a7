"""HTTP/1.1 over one open socket, one exchange after another (RFC 9112). Judges no address and keeps no time of its own."""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from wire import MAX_HEADER_BYTES, PIECE, Deadline

SLICE_SECONDS = 0.1  # how long one wait may last before somebody looks whether anybody still wants the answer
MAX_LINES = 100  # of a head
MAX_INTERIM = 20  # answers such as 103 before the one that counts
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")  # RFC 9110 §5.1 and §5.5
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")
LENGTH = re.compile(r"[0-9]{1,15}")
UNTIL_CLOSE = -1


class ImproperHttp(Exception):
    """The other side does not speak HTTP/1.1 as it should, or says more than it may."""


class CutOff(ConnectionError):
    """The other side hung up in the middle of its answer."""


class NoAnswer(ConnectionError):
    """The other side hung up without a word."""


@dataclass(frozen=True)
class Head:
    """The beginning of an answer. Names are in lower case; repeated ones are joined by commas (RFC 9110 §5.3)."""

    status: int
    headers: dict[str, str]


class Carrier:
    """A socket, and how far the answer on it has been read. One thread uses it at a time; only `abort` is for another one.

    Every wait ends at `deadline`; in between, `check` is called if there is one, which may raise to give up.
    """

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._buffer = bytearray()
        self._rest = 0  # bytes to come of the body or of its current chunk; UNTIL_CLOSE: nobody knows
        self._chunked = False
        self._inside = False  # a chunk has begun: its line end comes before the next size
        self._keeps = False  # the other side will take another request
        self._is_aborted = False
        self.is_done = True  # the answer has been read to its end
        self.deadline = Deadline(0)
        self.check: Callable[[], None] | None = None

    # --- to and fro ---

    def send(self, message: bytes) -> None:
        """Send a whole request, piece by piece, so that a server that reads slowly cannot hold us."""
        rest = memoryview(message)
        while rest:
            self._sock.settimeout(self._slice())
            try:
                rest = rest[self._sock.send(rest[:PIECE]) :]
            except TimeoutError:
                continue
            except ConnectionError:
                raise NoAnswer from None

    def read_head(self, method: str) -> Head:
        """The head of the answer to a request of this method."""
        self.is_done = False
        for _ in range(MAX_INTERIM):
            lines = self._read_lines()
            match = STATUS_LINE.fullmatch(lines[0])
            if match is None:
                raise ImproperHttp("no status line")
            status = int(match[2])
            headers = parse_fields(lines[1:])
            if status >= 200:
                self._frame(method, status, headers, is_old=match[1] == b"0")
                return Head(status, headers)
            if status == 101:
                break
        raise ImproperHttp("no final answer")

    def read_piece(self) -> bytes:
        """Some more of the body; empty at its end."""
        if self._chunked and self._rest == 0 and not self.is_done:
            self._next_chunk()
        if self.is_done:
            return b""
        if self._rest == UNTIL_CLOSE:
            piece = self._take(PIECE)
            self.is_done = not piece
            return piece
        piece = self._take(self._rest)
        if not piece:
            raise CutOff
        self._rest -= len(piece)
        self.is_done = self._rest == 0 and not self._chunked
        return piece

    def _slice(self) -> float:
        """How long the next wait may last."""
        if self.check is None:
            return self.deadline.left()
        self.check()
        return min(SLICE_SECONDS, self.deadline.left())

    # --- between two exchanges ---

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: the answer is at its end, nothing follows it, and nobody hung up."""
        return self.is_done and self._keeps and not self._buffer and not self._is_readable()

    def finish(self, seconds: float, max_bytes: int) -> bool:
        """Read what is left of an answer that nobody needs any more; False unless the connection can then be used again."""
        if self.is_done:
            return self.is_reusable
        self.deadline, self.check = Deadline(seconds), None
        try:
            while not self.is_done and max_bytes > 0:
                max_bytes -= len(self.read_piece())
        except (OSError, ImproperHttp):
            return False
        return self.is_reusable

    @property
    def keeps(self) -> bool:
        """Whether the other side has not said that this answer is the last one."""
        return self._keeps

    def _is_readable(self) -> bool:
        return bool(self._poll.poll(0)) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def close(self) -> None:
        """Let go of the socket."""
        self._keeps = False
        self._sock.close()

    def abort(self) -> None:
        """Wake whoever waits on it, with an error: the connection is no more. Fit for any thread."""
        self._keeps, self._is_aborted = False, True
        try:
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # beneath TLS, which is not made for two threads
        except OSError:
            return  # it has been closed already

    # --- bytes ---

    def _frame(self, method: str, status: int, headers: dict[str, str], *, is_old: bool) -> None:
        """Find out where the body ends (RFC 9112 §6.3). What could be read in two ways is refused."""
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        connection = headers.get("connection", "").lower()
        self._keeps = "close" not in connection and (not is_old or "keep-alive" in connection)
        self._chunked, self._inside, self._rest = False, False, 0
        if method == "HEAD" or status in (204, 304):
            self.is_done = True
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None or is_old:
                raise ImproperHttp("a body with an unclear end")
            self._chunked = True
        elif length is not None:
            if not LENGTH.fullmatch(length):
                raise ImproperHttp("a body with an unclear end")
            self._rest = int(length)
            self.is_done = self._rest == 0
        else:
            self._rest, self._keeps = UNTIL_CLOSE, False

    def _next_chunk(self) -> None:
        """Go to the next chunk, or to the end of the body (RFC 9112 §7.1)."""
        if self._inside and self._read_line():
            raise ImproperHttp("a chunk that is longer than it says")
        self._inside = True
        size = CHUNK_SIZE.fullmatch(self._read_line())
        if size is None:
            raise ImproperHttp("a chunk without a size")
        self._rest = int(size[1], 16)
        if self._rest == 0:
            for _ in range(MAX_LINES):
                if not self._read_line():
                    self.is_done = True
                    return
            raise ImproperHttp("too many trailers")

    def _take(self, limit: int) -> bytes:
        """At most `limit` bytes, at least one, or none if there will be none."""
        if not self._buffer and not self._fill():
            return b""
        piece = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return piece

    def _read_line(self) -> bytes:
        """One line without its end, inside a chunked body."""
        start = 0
        while (end := self._buffer.find(b"\r\n", start)) < 0:
            start = max(0, len(self._buffer) - 1)
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise ImproperHttp("a line without an end")
            if not self._fill():
                raise CutOff
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_lines(self) -> list[bytes]:
        """The lines of a head."""
        start = 0
        while (end := self._buffer.find(b"\r\n\r\n", start)) < 0:
            start = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise ImproperHttp("a head that is too long")
            if not self._fill():
                raise CutOff if self._buffer else NoAnswer
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        if end > MAX_HEADER_BYTES or len(lines) > MAX_LINES:
            raise ImproperHttp("a head that is too long")
        return lines

    def _fill(self) -> bool:
        """Wait for more bytes; False if there will be none."""
        while True:
            self._sock.settimeout(self._slice())
            try:
                piece = self._sock.recv(PIECE)
            except TimeoutError:
                continue
            except ConnectionError:
                piece = b""
            if self._is_aborted:
                raise CutOff
            self._buffer += piece
            return bool(piece)


def parse_fields(lines: list[bytes]) -> dict[str, str]:
    """The header fields of a head (RFC 9112 §5)."""
    headers: dict[str, str] = {}
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            raise ImproperHttp("a header that is none")
        name, value = match[1].decode().lower(), match[2].decode("latin-1").rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers

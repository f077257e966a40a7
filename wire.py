"""One HTTP/1.1 connection to a given address, within one deadline. Judges no address and knows no URL."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

MAX_HEADER_BYTES = 64 * 1024
PIECE = 16 * 1024

Dial = Callable[[tuple[str, int], float], socket.socket]


class Deadline:
    """One budget of time for everything that a request does."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds left; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def extend(self, seconds: float) -> None:
        """Give it more time."""
        self._end += seconds


def open_socket(address: tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection that does not wait to fill a packet: header and body go out one after the other."""
    sock = socket.create_connection(address, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def open_connection(
    host: str, port: int, addresses: tuple[str, ...], *, tls: ssl.SSLContext | None, dial: Dial, deadline: Deadline
) -> socket.socket:
    """Dial the first of `addresses` that answers, then shake hands if it is https, by the name `host` and within the deadline."""
    sock = dial_first(port, addresses, dial, deadline)
    if tls is None:
        return sock
    try:
        sock.settimeout(deadline.left())  # bounds the handshake as a whole
        return tls.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def dial_first(port: int, addresses: tuple[str, ...], dial: Dial, deadline: Deadline) -> socket.socket:
    """Try the addresses in turn, each for its share of the time."""
    for index, address in enumerate(addresses, 1):
        try:
            return dial((address, port), deadline.left() / (len(addresses) - index + 1))
        except OSError:
            if index == len(addresses):
                raise
    raise OSError("no address to dial")


class Connection(http.client.HTTPConnection):
    """One connection to the first of `addresses` that answers. Host header, SNI and certificate go by the name `host`.

    `http.client` follows nothing, unpacks nothing and reads no environment. `tls` None means plain http; `max_bytes` is the size
    of the body that somebody downstream will count.
    """

    def __init__(
        self,
        host: str,
        port: int,
        addresses: tuple[str, ...],
        *,
        tls: ssl.SSLContext | None,
        dial: Dial,
        deadline: Deadline,
        max_bytes: int,
    ):
        super().__init__(host, port)
        self.default_port = 443 if tls else 80  # a default port stays out of the Host header (RFC 9110 §4.2)
        self._addresses, self._tls, self._open, self._deadline = addresses, tls, dial, deadline
        self._max_wire_bytes = MAX_HEADER_BYTES + 6 * max_bytes  # a chunk of one byte is six on the wire (RFC 9112 §7.1)

    def connect(self) -> None:
        """Dial, and shake hands if it is https."""
        sock = open_connection(self.host, self.port, self._addresses, tls=self._tls, dial=self._open, deadline=self._deadline)
        self.sock = Wire(sock, self._deadline)

    def getresponse(self) -> http.client.HTTPResponse:
        """The status and the headers; from here on the wire may carry the body too, however it is cut into chunks."""
        wire = self.sock
        answer = super().getresponse()
        wire.reader.allowed = self._max_wire_bytes
        return answer


class Wire:
    """What `http.client` needs of a socket, with every wait ending at the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline):
        self._sock, self._deadline = sock, deadline
        self.reader: Reader | None = None

    def sendall(self, data: bytes) -> None:
        """Send piece by piece, so that a server that reads slowly cannot hold us."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._deadline.left())
            rest = rest[self._sock.send(rest[:PIECE]) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The answer's bytes."""
        self.reader = Reader(self._sock, self._deadline)
        return io.BufferedReader(self.reader)

    def close(self) -> None:
        """Let go of the socket; it closes for good once the reader is closed too."""
        self._sock.close()


class Reader(io.RawIOBase):
    """Reads a socket against the deadline, and only so many bytes: first those of the headers, then all that may follow."""

    def __init__(self, sock: socket.socket, deadline: Deadline):
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)
        self.allowed = MAX_HEADER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        count = self._raw.readinto(buffer)
        self.allowed -= count
        if self.allowed < 0:
            raise http.client.HTTPException("more bytes than were allowed")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()

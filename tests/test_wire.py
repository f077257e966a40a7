"""One connection: its deadline, its addresses, and how much it reads."""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import closing

import pytest
from raw_server import RawServer, drip, plain

from wire import Connection, Deadline, open_socket


def connect(server: RawServer, *, seconds: float = 5, max_bytes: int = 1000, addresses=("127.0.0.1",), dial=open_socket):
    return closing(
        Connection(
            "alice.example", server.port, addresses, tls=None, dial=dial, deadline=Deadline(seconds), max_bytes=max_bytes
        )
    )


def test_a_deadline_that_has_passed_is_a_timeout():
    assert 4 < Deadline(5).left() <= 5
    with pytest.raises(TimeoutError):
        Deadline(0).left()


def test_it_says_the_name_to_the_address():
    with RawServer(plain(b"hello")) as server, connect(server) as connection:
        connection.request("GET", "/a?b=c")
        with connection.getresponse() as answer:
            assert answer.read() == b"hello"
    assert server.heads[0].startswith(f"GET /a?b=c HTTP/1.1\r\nHost: alice.example:{server.port}\r\n")


def test_it_tries_the_next_address_and_shares_the_time():
    dialled = []

    def dial(address: tuple[str, int], timeout: float) -> socket.socket:
        dialled.append((address[0], timeout))
        if address[0] != "1.1.1.3":
            raise OSError("nobody there")
        return open_socket(("127.0.0.1", address[1]), timeout)

    three = ("1.1.1.1", "1.1.1.2", "1.1.1.3")
    with RawServer(plain()) as server, connect(server, seconds=3, addresses=three, dial=dial) as connection:
        connection.request("GET", "/")
        connection.getresponse().close()
    assert tuple(address for address, _ in dialled) == three
    assert [round(timeout, 1) for _, timeout in dialled] == [1, 1.5, 3]


def test_it_raises_what_the_last_address_said():
    def dial(address: tuple[str, int], _timeout: float) -> socket.socket:
        raise ConnectionRefusedError(address[0])

    deadline = Deadline(5)
    connection = Connection("alice.example", 80, ("1.1.1.1", "1.1.1.2"), tls=None, dial=dial, deadline=deadline, max_bytes=1)
    with pytest.raises(ConnectionRefusedError, match=r"1\.1\.1\.2"):
        connection.request("GET", "/")


def test_a_server_that_does_not_read_cannot_hold_us():
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(listener):
        deadline = Deadline(0.2)
        connection = Connection(
            "alice.example", listener.getsockname()[1], ("127.0.0.1",), tls=None, dial=open_socket, deadline=deadline, max_bytes=1
        )
        started = time.monotonic()
        with closing(connection), pytest.raises(TimeoutError):
            connection.request("POST", "/", body=b"x" * 50_000_000)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("piece", "first"),
    [
        (b"X-Padding: " + b"x" * 8000 + b"\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"x" * 8000, b"HTTP/1.1 200 OK\r\nX-Padding: "),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 300, b""),
        (b"x" * 8000, b""),
    ],
)
def test_endless_headers_are_cut_off_long_before_the_deadline(piece: bytes, first: bytes):
    with RawServer(drip(piece, 0, first)) as server, connect(server) as connection:
        connection.request("GET", "/")
        with pytest.raises(http.client.HTTPException):
            connection.getresponse()


def test_a_chunk_of_negative_size_does_not_read_for_ever():
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    with RawServer(drip(b"x" * 8000, 0, first)) as server, connect(server) as connection:
        connection.request("GET", "/")
        with connection.getresponse() as answer, pytest.raises(http.client.HTTPException, match="more bytes than were allowed"):
            answer.read(100)


def test_a_body_in_the_smallest_chunks_still_arrives():
    body = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    with RawServer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body) as server, connect(server) as connection:
        connection.request("GET", "/")
        with connection.getresponse() as answer:
            assert answer.read() == b"x" * 1000

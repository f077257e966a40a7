"""HTTP over one socket: where an answer ends, and what is refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from carrier import Carrier, CutOff, ImproperHttp, NoAnswer
from errors import Cancelled
from wire import Deadline


@pytest.fixture
def pair() -> Iterator[tuple[Carrier, socket.socket]]:
    """A carrier, and the other side."""
    ours, theirs = socket.socketpair()
    carrier = Carrier(ours)
    carrier.deadline = Deadline(5)
    with theirs:
        yield carrier, theirs
    carrier.close()


def read(carrier: Carrier) -> bytes:
    """The rest of the body."""
    return b"".join(iter(carrier.read_piece, b""))


BODIES = {  # an answer -> its body
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": b"hello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": b"",
    b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello": b"hello",
    b"HTTP/1.1 204 No Content\r\n\r\n": b"",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n": b"",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\n\r\n": b"hello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-After: a\r\n\r\n": b"hello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n": b"",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi": b"hi",
}


@pytest.mark.parametrize("cut", [None, 1, 7])
@pytest.mark.parametrize("answer", BODIES)
def test_it_finds_the_end_of_an_answer_and_asks_again(pair, answer: bytes, cut: int | None):
    carrier, server = pair
    for _ in range(2):
        carrier.send(b"POST / HTTP/1.1\r\n\r\n")
        assert server.recv(100) == b"POST / HTTP/1.1\r\n\r\n"

        def serve() -> None:
            for at in range(0, len(answer), cut or len(answer)):
                server.sendall(answer[at : at + (cut or len(answer))])

        thread = threading.Thread(target=serve)
        thread.start()
        assert carrier.read_head("POST").status in (200, 204, 304)
        assert read(carrier) == BODIES[answer]
        thread.join()
        assert carrier.is_reusable


def test_it_joins_headers_and_lowers_their_names(pair):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 401\r\nWWW-Authenticate: Basic \r\nwww-authenticate:\tBearer\r\nX: caf\xe9\r\n\r\n")
    head = carrier.read_head("GET")
    assert (head.status, head.headers) == (401, {"www-authenticate": "Basic, Bearer", "x": "café"})


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\nsmuggled", b"hello"),
    ],
)
def test_it_knows_when_a_connection_is_good_for_nothing_more(pair, answer: bytes, body: bytes):
    carrier, server = pair
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    assert carrier.read_head("GET").status == 200
    assert read(carrier) == body
    assert not carrier.is_reusable


def test_it_notices_a_server_that_left_or_spoke_unasked(pair):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    carrier.read_head("GET")
    assert carrier.is_reusable
    server.sendall(b"H")
    assert not carrier.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 21,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
)
def test_it_refuses_a_head_that_could_be_read_in_two_ways(pair, answer: bytes):
    carrier, server = pair
    thread = threading.Thread(target=server.sendall, args=(answer,))
    thread.start()
    with pytest.raises(ImproperHttp):
        carrier.read_head("GET")
    carrier.abort()
    thread.join()


@pytest.mark.parametrize(
    "chunk", [b"-1\r\nx", b"0x5\r\nhello\r\n", b"\r\n", b"5\r\nhelloo\r\n0\r\n\r\n", b"zz\r\n", b"1" * 13 + b"\r\n"]
)
def test_it_refuses_a_chunk_that_is_none(pair, chunk: bytes):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    carrier.read_head("GET")
    with pytest.raises(ImproperHttp):
        read(carrier)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", NoAnswer),
        (b"HTTP/1.1 200", CutOff),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", CutOff),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", CutOff),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CutOff),
    ],
)
def test_an_answer_that_stops_is_no_answer(pair, answer: bytes, error: type[Exception]):
    carrier, server = pair
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)

    def ask() -> None:
        carrier.read_head("GET")
        read(carrier)

    with pytest.raises(error):
        ask()


def test_a_piece_comes_before_its_chunk_has_ended(pair):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello")
    carrier.read_head("GET")
    assert carrier.read_piece() == b"hello"


def test_every_wait_ends_at_the_deadline(pair):
    carrier, server = pair
    carrier.deadline = Deadline(0.2)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        carrier.read_head("GET")
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
    carrier.deadline = Deadline(0.2)
    carrier.read_head("GET")
    with pytest.raises(TimeoutError):
        read(carrier)
    carrier.deadline = Deadline(0.2)
    with pytest.raises(TimeoutError):
        carrier.send(b"x" * 50_000_000)
    assert 0.5 < time.monotonic() - started < 3


def test_somebody_may_give_up_while_it_waits(pair):
    carrier, _ = pair
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise Cancelled("nobody waits")

    carrier.check = check
    with pytest.raises(Cancelled):
        carrier.read_head("GET")
    assert len(looks) == 3


def test_another_thread_may_end_it_at_once(pair):
    carrier, _ = pair
    timer = threading.Timer(0.05, carrier.abort)
    timer.start()
    started = time.monotonic()
    with pytest.raises(CutOff):
        carrier.read_head("GET")
    assert time.monotonic() - started < 1
    timer.join()
    carrier.abort()


def test_the_rest_of_an_answer_can_be_passed_over(pair):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    carrier.read_head("GET")
    assert carrier.read_piece() == b"hello"
    server.sendall(b"3\r\nabc\r\n0\r\n\r\n")
    assert carrier.finish(1, 1000)
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    carrier.deadline = Deadline(1)
    carrier.read_head("GET")
    assert not carrier.finish(1, 1000)


def test_the_rest_of_an_answer_is_not_waited_for_long(pair):
    carrier, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    carrier.read_head("GET")
    assert not carrier.finish(0.01, 1000)

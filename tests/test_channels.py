"""Kept connections: guarded like any other, used again, and given up in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from raw_server import RawServer, drip, in_turn, plain
from test_fetch import PUBLIC, authority, fetcher, network, serve, tls

import channels
from channels import Channel, path_of
from errors import Cancelled, FetchError
from fetch import ANONYMOUS, OWNER, UPSTREAM, Fetcher
from wire import Deadline

__all__ = ["authority", "fetcher", "network", "serve", "tls"]  # fixtures
URL = "https://alice.example/mcp?a=b"


@pytest.fixture
def channel_to(fetcher) -> Iterator[Callable[..., Channel]]:
    """Make a channel that is closed in the end."""
    made = []

    def make(url: str = URL, fetch: Fetcher = fetcher, **options) -> Channel:
        made.append(Channel(fetch, url, **options))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


def ask(channel: Channel, method: str = "POST", headers=None, body=b"{}", *, seconds: float = 5, **options) -> bytes:
    """One request and its whole body."""
    with channel.send(method, headers or {}, body, deadline=Deadline(seconds), **options) as answer:
        return answer.read(1_000_000)


def test_it_sends_one_request_after_another_over_one_connection(channel_to, network, serve):
    server = serve(in_turn(plain(b"one"), plain(b"two", "404 Not Found"), plain(b"three")))
    channel = channel_to(headers={"X-Api-Key": "k"})
    answers = [ask(channel, headers={"Mcp-Method": "ping"}), ask(channel), ask(channel, "GET", body=None)]
    assert answers == [b"one", b"two", b"three"]
    assert (network.lookups, network.dialled) == ([("alice.example", 443)], [(PUBLIC, 443)])
    assert server.heads[0] == (
        "POST /mcp?a=b HTTP/1.1\r\nHost: alice.example\r\nUser-Agent: Postern\r\nAccept-Encoding: identity\r\n"
        "X-Api-Key: k\r\nMcp-Method: ping\r\nContent-Length: 2\r\n"
    )
    assert server.heads[2].startswith("GET /mcp?a=b HTTP/1.1\r\n")
    assert "Content-Length" not in server.heads[2]
    assert server.bodies == [b"{}", b"{}", b""]


def test_a_port_of_its_own_stands_in_the_host_header(channel_to, authority):
    with RawServer(plain(b"")) as server:
        listed = Fetcher(frozenset({f"127.0.0.1:{server.port}"}))
        ask(channel_to(f"http://127.0.0.1:{server.port}", listed))
        assert server.heads[0].startswith(f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a", "/"),
        ("https://a?b", "/?b"),
        ("https://a/b//c?d=e&f=%20", "/b//c?d=e&f=%20"),
        ('https://a/<b>?"c"={d}', "/%3Cb%3E?%22c%22=%7Bd%7D"),
    ],
)
def test_the_path_is_written_as_http_wants_it(url: str, path: str):
    assert path_of(url) == path


# --- the guard ---


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"])
@pytest.mark.parametrize("trust", [OWNER, UPSTREAM])
def test_it_dials_no_address_that_is_not_public(channel_to, network, address, trust):
    network.names["alice.example"] = [PUBLIC, address]
    with pytest.raises(FetchError, match=r"^alice\.example leads to an address that is not public"):
        ask(channel_to(trust=trust))
    assert network.dialled == []


def test_it_is_not_for_addresses_that_anybody_may_name(channel_to, network):
    with pytest.raises(FetchError, match="not trusted with a connection that stays open"):
        ask(channel_to(trust=ANONYMOUS))
    with pytest.raises(FetchError, match="has to be reached by https"):
        channel_to("http://alice.example/", trust=UPSTREAM)
    assert (network.lookups, network.dialled) == ([], [])


def test_a_name_is_looked_up_and_vetted_again_for_every_new_connection(channel_to, network, serve):
    serve(plain(b"one", "200 OK", "Connection: close"))
    channel = channel_to()
    assert ask(channel) == b"one"
    network.names["alice.example"] = ["10.0.0.1"]
    with pytest.raises(FetchError, match="not public"):
        ask(channel)
    assert (len(network.lookups), network.dialled) == (2, [(PUBLIC, 443)])


def test_the_certificate_has_to_prove_the_name(channel_to, serve, authority):
    server = serve(plain(b""), tls=authority.issue("bob.example"))
    with pytest.raises(FetchError, match=r"^alice\.example has a certificate that cannot be trusted: Hostname mismatch"):
        ask(channel_to())
    assert server.heads == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_it_follows_no_redirect(channel_to, network, serve, status):
    with RawServer(plain(b"")) as second:
        serve(plain(b"", status, f"Location: http://127.0.0.1:{second.port}/"))
        with channel_to().send("POST", {}, b"{}", deadline=Deadline(5)) as answer:
            assert answer.status == int(status[:3])
        assert second.heads == []
    assert network.dialled == [(PUBLIC, 443)]


@pytest.mark.parametrize("headers", [{"Host": "b"}, {"Content-Length": "5"}, {"X": "a\r\nY: b"}, {"X:": "a"}, {"X": "ключ"}])
def test_a_header_that_breaks_out_is_refused(channel_to, network, headers):
    with pytest.raises(FetchError, match="header"):
        channel_to(headers=headers)
    with pytest.raises(FetchError, match="header"):
        ask(channel_to(), headers=headers)
    assert network.lookups == []


@pytest.mark.parametrize("coding", ["Content-Encoding: gzip", "Content-Encoding: identity, br"])
def test_it_takes_nothing_compressed(channel_to, serve, coding):
    serve(plain(b"x", "200 OK", coding))
    with pytest.raises(FetchError, match=r"^alice\.example answered in a compressed form"):
        ask(channel_to())


def test_a_body_that_is_too_long_is_cut_off(channel_to, serve):
    serve(drip(b"x" * 4000, 0, b"HTTP/1.1 200 OK\r\n\r\n"))
    with pytest.raises(FetchError, match=r"^alice\.example answered with more than 1000000 bytes\.$"):
        ask(channel_to())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "closed the connection without an answer."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "stopped in the middle of its answer."),
        (b"secret\r\n\r\n", "did not answer in proper HTTP."),
        (drip(b"X: y\r\n", 0.02, b"HTTP/1.1 200 OK\r\n"), "did not answer in time."),
        (drip(b"x", 0.02, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"), "did not answer in time."),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(channel_to, serve, answer, sentence):
    serve(answer)
    with pytest.raises(FetchError) as refusal:
        ask(channel_to(), seconds=0.5)
    assert str(refusal.value) == "alice.example " + sentence


def test_nobody_at_the_address_is_said_in_a_sentence(channel_to, network):
    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        raise ConnectionRefusedError

    with pytest.raises(FetchError, match=r"^alice\.example could not be reached\.$"):
        ask(channel_to(fetch=Fetcher(resolver=network.resolve, dial=refuse)))


# --- keeping ---


def hang_up(server: RawServer, sock: socket.socket) -> None:
    sock.close()


def test_a_kept_connection_that_the_server_closed_is_not_used(channel_to, network, serve):
    serve(in_turn(plain(b"one"), hang_up))
    channel = channel_to()
    assert ask(channel) == b"one"
    network.port = serve(plain(b"two")).port
    time.sleep(0.05)
    with pytest.raises(FetchError, match="closed the connection without an answer"):
        ask(channel)  # the old server closes only now that it is asked
    assert ask(channel) == b"two"


def test_what_was_only_asked_is_asked_again_on_a_new_connection(channel_to, serve):
    old = serve(in_turn(plain(b"one"), hang_up))
    channel = channel_to()
    assert ask(channel) == b"one"
    new = serve(plain(b"two"))
    assert ask(channel, may_repeat=True) == b"two"
    assert (len(old.heads), len(new.heads)) == (2, 1)


def test_it_is_asked_again_only_once(channel_to, serve):
    server = serve(hang_up)
    with pytest.raises(FetchError, match="closed the connection without an answer"):
        ask(channel_to(), may_repeat=True)
    assert len(server.heads) == 1


@pytest.mark.parametrize(("seconds", "connections"), [(0, 2), (60, 1)])
def test_a_connection_that_was_idle_for_long_is_given_up(channel_to, network, serve, monkeypatch, seconds, connections):
    monkeypatch.setattr(channels, "IDLE_SECONDS", seconds)
    serve(in_turn(plain(b"one"), plain(b"two")))
    channel = channel_to()
    for _ in range(2):
        with channel.send("POST", {}, b"", deadline=Deadline(5)) as answer:
            answer.read(100)
        channel.close_idle()
    assert len(network.dialled) == connections


@pytest.mark.parametrize(("keep_alive", "connections"), [("timeout=1", 2), ("timeout=5, max=100", 1), ("max=5", 1)])
def test_a_server_may_say_how_long_it_waits(channel_to, network, serve, keep_alive, connections):
    serve(in_turn(plain(b"one", "200 OK", f"Keep-Alive: {keep_alive}"), plain(b"two")))
    channel = channel_to()
    ask(channel)
    ask(channel)
    assert len(network.dialled) == connections


def test_so_many_connections_and_no_more(channel_to, serve, monkeypatch):
    monkeypatch.setattr(channels, "MAX_OPEN", 2)
    serve(in_turn(plain(b"one")))
    channel = channel_to()
    first, second = (channel.send("POST", {}, b"", deadline=Deadline(5)) for _ in range(2))
    with pytest.raises(FetchError, match=r"^alice\.example has not answered 2 earlier requests yet\.$"):
        ask(channel)
    first.read(10)
    first.close()
    first.close()
    assert second.read(10) == b"one"
    second.close()


# --- answers that are read as they come ---

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_pieces_come_as_they_are_sent(channel_to, serve):
    more = threading.Event()

    def answer(server: RawServer, sock: socket.socket) -> None:
        sock.sendall(CHUNKED + b"5\r\nhello\r\n")
        assert more.wait(5)
        sock.sendall(b"5\r\nworld\r\n0\r\n\r\n")

    serve(answer)
    with channel_to().send("POST", {}, b"", deadline=Deadline(5)) as reply:
        pieces = reply.pieces()
        assert (reply.kind, next(pieces)) == ("text/event-stream", b"hello")
        more.set()
        assert list(pieces) == [b"world"]


def test_a_reader_who_has_enough_leaves_the_connection_good(channel_to, network, serve):
    serve(in_turn(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", plain(b"two")))
    channel = channel_to()
    with channel.send("POST", {}, b"", deadline=Deadline(5)) as answer:
        assert next(answer.pieces()) == b"hello"
    assert ask(channel) == b"two"
    assert len(network.dialled) == 1


def test_a_server_that_does_not_end_its_answers_gets_a_new_connection_each_time(channel_to, network, serve):
    serve(in_turn(CHUNKED + b"5\r\nhello\r\n"))
    channel = channel_to()
    for _ in range(3):
        with channel.send("POST", {}, b"", deadline=Deadline(5)) as answer:
            assert next(answer.pieces()) == b"hello"
    assert len(network.dialled) == 3


def test_a_reader_who_gives_up_closes_the_connection(channel_to, network, serve):
    gone = threading.Event()

    def answer(server: RawServer, sock: socket.socket) -> None:
        sock.sendall(CHUNKED)
        with suppress(ConnectionError):  # what we had not read yet makes it a reset
            assert sock.recv(1) == b""
        gone.set()

    serve(answer)
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise Cancelled("nobody waits")

    channel = channel_to()
    threading.Timer(0.05, cancelled.set).start()
    with pytest.raises(Cancelled), channel.send("POST", {}, b"", deadline=Deadline(5), check=check) as reply:
        reply.read(100)
    assert gone.wait(2)
    assert len(network.dialled) == 1


def test_closing_wakes_whoever_waits(channel_to, serve):
    serve(drip(b": x\n", 0.02, b"HTTP/1.1 200 OK\r\n\r\n"))
    channel = channel_to()
    with channel.send("GET", {}, deadline=Deadline(5)) as answer:
        threading.Timer(0.05, channel.close).start()
        started = time.monotonic()
        with pytest.raises(FetchError, match=r"^alice\.example was left: the connection was closed\.$"):
            for _ in answer.pieces():
                pass
        assert time.monotonic() - started < 2
    with pytest.raises(FetchError, match="was left"):
        ask(channel)

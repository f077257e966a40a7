"""gate_worker.py under a real gunicorn with four threads: one rude client must not keep the others waiting."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.errors import ConfigError
from server import Server, running_gunicorn

from gate_worker import Worker

pytestmark = pytest.mark.server

THREADS = 4
SOON = 1.5  # seconds for an answer that nothing holds up, on a busy machine; stock gthread takes more than 5
HALF_A_HEAD = b"GET /page HTTP/1.1\r\nHost: loc"


def gate(folder: Path, *arguments: str, **environ: str) -> AbstractContextManager[Server]:
    """A server of gate_app.py with our worker and our log."""
    ours = ["--worker-class=gate_worker.Worker", "--logger-class=gate_worker.Log", "--access-logfile=-", "--no-control-socket"]
    times = ["--keep-alive=65", "--graceful-timeout=10"]
    place = ["--bind=127.0.0.1:{port}", f"--threads={THREADS}", "gate_app:application"]
    return running_gunicorn(folder, [*ours, *times, *arguments, *place], **environ)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with its real limits."""
    with gate(tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose limits are a second each, so that tests can wait for them."""
    with gate(tmp_path_factory.mktemp("hasty"), HURRY="1") as running:
        yield running


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Whatever is opened here is closed after the test."""
    with ExitStack() as stack:
        yield stack


def get(path: str, *headers: str) -> bytes:
    """The bytes of a GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def post(path: str, length: int) -> bytes:
    """The head of a POST request, after whose answer the server shall close."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode()


def send(server: Server, clients: ExitStack, data: bytes = b"", times: int = 1) -> list[socket.socket]:
    """Open connections and send `data` on each; they stay open, and unread, until the test is over."""
    opened = [clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)) for _ in range(times)]
    for client in opened:
        client.sendall(data)
    return opened


def read_all(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def read_until(client: socket.socket, end: bytes) -> None:
    """Read up to `end`, which is all that the server has to say for now."""
    received = b""
    while not received.endswith(end):
        received += client.recv(65536) or pytest.fail(f"the server closed after {received!r}")


def seconds_until_free(server: Server) -> float:
    """How long a well-behaved client waits for its answer."""
    time.sleep(0.2)  # let the server take up what was sent before
    begun = time.monotonic()
    assert server.answers(timeout=30)
    return time.monotonic() - begun


# --- rude clients ---


def test_it_answers_others_while_closed_connections_are_kept_open(server: Server, clients: ExitStack):
    send(server, clients, get("/page", "Connection: close"), times=3 * THREADS)
    assert seconds_until_free(server) < SOON


def test_it_answers_others_while_heads_are_half_sent(server: Server, clients: ExitStack):
    send(server, clients, HALF_A_HEAD, times=3 * THREADS)
    assert seconds_until_free(server) < SOON


def test_it_answers_others_while_connections_say_nothing(server: Server, clients: ExitStack):
    send(server, clients, times=3 * THREADS)
    assert seconds_until_free(server) < SOON


def test_it_answers_others_when_silent_connections_take_every_place(tmp_path: Path, clients: ExitStack):
    with gate(tmp_path, "--worker-connections=12") as server:
        send(server, clients, times=40)
        assert seconds_until_free(server) < SOON


def test_it_answers_others_when_idle_connections_take_every_place(tmp_path: Path, clients: ExitStack):
    with gate(tmp_path, "--worker-connections=12") as server:
        for _ in range(40):
            read_until(send(server, clients, get("/page"))[0], b"page\r\n0\r\n\r\n")
        assert seconds_until_free(server) < SOON


def test_it_cuts_bodies_that_are_half_sent(hasty: Server, clients: ExitStack):
    send(hasty, clients, post("/read", 100) + b"half of it", times=THREADS)
    assert 0.3 < seconds_until_free(hasty) < 4  # the threads were busy with them, and are not any more


def test_it_cuts_a_head_that_does_not_end(hasty: Server, clients: ExitStack):
    [client] = send(hasty, clients, HALF_A_HEAD)
    begun = time.monotonic()
    assert read_all(client) == b""
    assert time.monotonic() - begun < 4


def test_it_cuts_streams_that_nobody_reads(hasty: Server, clients: ExitStack):
    send(hasty, clients, get("/flood"), times=THREADS)
    assert 0.3 < seconds_until_free(hasty) < 12
    assert "Traceback" not in hasty.log


# --- clients who are only slow, or unusual ---


def test_it_waits_for_a_head_that_comes_in_pieces(server: Server, clients: ExitStack):
    [client] = send(server, clients)
    for piece in (b"\r\nGET /pa", b"ge HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r", b"\n"):
        time.sleep(0.1)
        client.sendall(piece)
    assert read_all(client).endswith(b"page\r\n0\r\n\r\n")


def test_it_takes_a_body_that_comes_late_but_in_time(hasty: Server, clients: ExitStack):
    [client] = send(hasty, clients, post("/read", 60_000))
    for _ in range(12):  # 1.8 seconds in all: more than the second it has, but each piece buys half of one
        client.sendall(b"z" * 5000)
        time.sleep(0.15)
    assert read_all(client).count(b"z") == 60_000


def test_it_answers_requests_that_were_sent_together(server: Server, clients: ExitStack):
    [client] = send(server, clients, get("/page") + get("/page") + get("/page", "Connection: close"))
    assert read_all(client).count(b"page\r\n") == 3


def test_it_keeps_a_connection_for_the_next_request(server: Server, clients: ExitStack):
    [client] = send(server, clients)
    for _ in range(3):
        client.sendall(get("/page"))
        read_until(client, b"page\r\n0\r\n\r\n")


def test_it_sends_a_large_answer_whole_to_a_slow_reader(hasty: Server, clients: ExitStack):
    [client] = send(hasty, clients, get("/large", "Connection: close"))
    received = 0
    while data := client.recv(400_000):
        received += data.count(b"z")
        time.sleep(0.05)
    assert received == 8_000_000


def test_it_gives_the_answer_to_a_client_that_still_sends(server: Server, clients: ExitStack):
    [client] = send(server, clients, post("/page", 3_000_000) + b"z" * 1_000_000)
    assert b"page" in read_all(client)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /page HTTP/1.1\nHost: localhost\n\n", b"400"),
        (b"GET /page HTTP/9.9\r\n\r\n", b"400"),
        (b"GET /" + b"z" * 70_000, b"414"),
    ],
)
def test_it_refuses_a_malformed_head(server: Server, clients: ExitStack, head: bytes, status: bytes):
    [client] = send(server, clients, head)
    begun = time.monotonic()
    answer, _, text = read_all(client).partition(b"\r\n\r\n")
    assert answer.split(b" ")[1] == status
    assert time.monotonic() - begun < SOON
    assert {b"Content-Type: text/plain; charset=utf-8", b"X-Content-Type-Options: nosniff"} <= set(answer.split(b"\r\n"))
    assert text in (b"Bad Request", b"Request-URI Too Long", b"URI Too Long")


def test_it_refuses_to_speak_tls():
    with pytest.raises(ConfigError, match="reverse proxy"):
        Worker.check_config(SimpleNamespace(is_ssl=True), None)


# --- quick requests, which the event loop's own thread answers ---


def ask(server: Server, path: str) -> tuple[int, bytes]:
    """GET it; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_one_thread_answers_quick_requests(server: Server):
    assert len({ask(server, "/quick/thread") for _ in range(20)}) <= 2  # a pause of the machine may look like slowness once


@pytest.mark.parametrize("path", ["/quick/sleep", "/quick/aside"])
def test_it_answers_others_while_a_quick_request_is_slow(server: Server, clients: ExitStack, path: str):
    slow = send(server, clients, get(path, "Connection: close"), times=THREADS - 1)
    begun = time.monotonic()
    assert ask(server, "/quick/thread")[0] == 200
    assert server.answers()
    assert time.monotonic() - begun < 1  # one after the other they would take three
    assert all(b"slept" in read_all(client) for client in slow)


def test_more_slow_requests_than_threads_are_all_answered(server: Server, clients: ExitStack):
    slow = send(server, clients, get("/quick/sleep", "Connection: close"), times=2 * THREADS)
    assert all(b"slept" in read_all(client) for client in slow)
    assert seconds_until_free(server) < SOON


def test_it_answers_others_while_bodies_of_quick_requests_do_not_come(server: Server, clients: ExitStack):
    send(server, clients, post("/quick/read", 9), times=THREADS - 1)
    assert seconds_until_free(server) < SOON


def test_a_quick_request_that_fails_is_answered_and_the_loop_goes_on(server: Server):
    assert ask(server, "/quick/fail")[0] == 500
    assert server.answers()


def test_quick_requests_sent_at_once_are_answered_in_order(server: Server, clients: ExitStack):
    [client] = send(server, clients, get("/quick/sleep") + get("/quick/thread") + get("/page", "Connection: close"))
    answers = read_all(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.index(b"slept") < answers.index(b"page")


def test_the_head_and_the_body_of_an_answer_come_in_one_piece(server: Server, clients: ExitStack):
    [client] = send(server, clients, get("/page"))
    assert b"\r\n\r\n4\r\npage\r\n" in client.recv(65536)


def test_an_answer_without_a_body_is_sent_as_well(server: Server, clients: ExitStack):
    [client] = send(server, clients, b"HEAD /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert read_all(client).endswith(b"\r\n\r\n")


# --- starting and stopping ---


@pytest.mark.parametrize(("quiet_for", "beats"), [(0, 1), (60, 0)])
def test_it_shows_the_arbiter_a_sign_of_life_only_while_its_event_loop_turns(quiet_for: float, beats: int):
    worker, shown = Worker.__new__(Worker), []
    over = iter([False, True])
    worker.lead = SimpleNamespace(watch=lambda seconds: next(over), turned_at=time.monotonic() - quiet_for, failure=None)
    worker.tmp, worker.ppid = SimpleNamespace(notify=lambda: shown.append(1)), os.getppid()
    worker.watch()
    assert len(shown) == beats


def test_it_ends_with_what_ended_its_event_loop():
    worker = Worker.__new__(Worker)
    worker.lead = SimpleNamespace(watch=lambda seconds: True, failure=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        worker.watch()


def test_it_starts_the_application_once_in_each_worker(tmp_path: Path):
    with gate(tmp_path, "--workers=2") as server:
        server.stop()
        assert server.log.count("the application was started") == 2


def test_it_ends_open_streams_when_it_is_told_to_stop(tmp_path: Path, clients: ExitStack):
    with gate(tmp_path) as server:
        streams = send(server, clients, get("/wait"), times=2) + send(server, clients, times=2)
        read_until(streams[0], b"begun\r\n")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 6  # the grace is ten
        assert b"ended" in read_all(streams[0])


def test_it_goes_on_serving_through_a_hangup(tmp_path: Path, clients: ExitStack):
    with gate(tmp_path) as server:
        send(server, clients, get("/wait"))
        probes: list[bool] = []
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while server.log.count("Worker exiting") < 1 or len(probes) < 150:
            assert time.monotonic() < deadline
            probes.append(server.answers())
        assert all(probes)
        assert server.log.count("Booting worker") == 2


# --- the log ---


def test_it_logs_a_request_without_its_query_and_headers(server: Server, clients: ExitStack):
    headers = ("Authorization: Bearer t0ken", "Referer: /r3ferer", "Connection: close")
    [client] = send(server, clients, get("/page?code=s3cret", *headers))
    assert b"200 OK" in read_all(client)
    assert '"GET /page" 200 ' in server.log
    assert not [word for word in ("s3cret", "t0ken", "r3ferer") if word in server.log]


def test_it_logs_no_health_checks(server: Server):
    assert server.answers()
    assert "healthz" not in server.log


def test_it_lets_no_path_forge_a_line(server: Server, clients: ExitStack):
    [client] = send(server, clients, get("/page%0A", "Connection: close"))
    assert b"200 OK" in read_all(client)
    assert '"GET /page%0A" 200 ' in server.log


def test_it_logs_a_crash_without_the_query(server: Server, clients: ExitStack):
    [client] = send(server, clients, get("/fail?code=s3cret-of-a-crash"))
    assert b"500 Internal Server Error" in read_all(client)
    assert "ZeroDivisionError" in server.log
    assert "s3cret-of-a-crash" not in server.log


@pytest.mark.parametrize("head", [b"GET /page?code=s3cret-line\r\n\r\n", get("/page", "Authorization: Bearer s3cret-line\0")])
def test_it_neither_logs_nor_repeats_a_line_that_it_cannot_parse(server: Server, clients: ExitStack, head: bytes):
    [client] = send(server, clients, head)
    answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"s3cret-line" not in answer
    assert "Invalid request" in server.log
    assert "s3cret-line" not in server.log


# --- for minutes ---


@pytest.mark.soak
def test_it_leaks_no_connection_however_clients_behave(tmp_path: Path):
    requests = (
        b"",
        b"GET /pa",
        get("/page"),
        get("/page", "Connection: close"),
        get("/page") * 3,
        post("/read", 9),
        get("/fail"),
        get("/flood"),
    )
    with gate(tmp_path, HURRY="1") as server:
        worker = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().strip()
        before = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        chance = random.Random(1)
        for _ in range(300):
            with ExitStack() as clients:
                for request in chance.choices(requests, k=20):
                    for client in send(server, clients, request):
                        client.settimeout(0.01)
                        with suppress(OSError):
                            client.recv(chance.choice((1, 1000)))
            assert seconds_until_free(server) < 8
        time.sleep(4)
        assert len(list(Path(f"/proc/{worker}/fd").iterdir())) <= before + 1
        assert server.log.count("Traceback") == server.log.count("ZeroDivisionError")

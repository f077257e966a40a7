"""Rude crowds: wrong passwords without end, long bodies, connections that break anywhere. The owner still gets in."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import sqlite3
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from actors import PASSWORD, Assistant, FormReader, Person
from house import House
from server import Server, running_server

from cases.catalogue import case
from cases.evidence import unchanged
from cases.messages import handshake, headers_of, initialize, modern, send

pytestmark = pytest.mark.server

MEGABYTE = 1 << 20
MAX_BODY = 4 * MEGABYTE


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, with few threads."""
    with running_server(
        tmp_path_factory.mktemp("busy"), "cases.trouble_connector", OWNER_PASSWORD=PASSWORD, TRUST_PROXY="1", THREADS="8"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def owner_of_busy(busy: Server) -> Person:
    person = Person(busy.url)
    person.sign_in()
    form = person.get("/connections/new?connector=trouble")
    person.submit(form, button=("action", "save"), connection_name="trouble")
    return person


@pytest.fixture(scope="module")
def guest(busy: Server, owner_of_busy: Person) -> Assistant:
    assistant = Assistant(busy.url)
    assistant.sign_in(owner_of_busy)
    return assistant


def worker_of(server: Server) -> int:
    """The process that serves."""
    master = server.process.pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(worker)


def measure(pid: int, what: str) -> int:
    """A number of a process, in bytes where it is memory: VmRSS, VmHWM (the most it ever had), Threads."""
    found = re.search(rf"^{what}:\s+(\d+)( kB)?", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * (1024 if found[2] else 1)


# --- W-09, W-10: passwords ---


def guess(person: Person, address: str, password: str) -> requests.Response:
    """One try to sign in, from an address; the form is fetched with the same browser."""
    page = person.session.get(person.base_url + "/login", timeout=60)
    form = FormReader(page.text).forms[-1]
    data = form.values | {"username": "owner", "password": password}
    headers = {"X-Forwarded-For": address}
    return person.session.post(person.base_url + "/login", data=data, headers=headers, allow_redirects=False, timeout=60)


def test_w09_a_thousand_wrong_passwords_from_one_address_take_long(house: House):
    begin = house.clock()
    statuses = Counter(guess(Person(house.url, session=house.session()), "", "wrong").status_code for _ in range(300))
    assert set(statuses) <= {401, 429}
    tries_in_an_hour = 300 / (house.clock() - begin) * 3600
    assert tries_in_an_hour < 630  # 10 a minute, and the first 10 at once
    with unchanged(house.db.path):
        assert guess(Person(house.url, session=house.session()), "", "wrong").status_code == 401


def test_w09_the_owner_still_gets_in_from_a_known_device_from_a_new_one_and_from_elsewhere(build_house: Callable[..., House]):
    house = build_house(OWNER_PASSWORD=PASSWORD, TRUST_PROXY="1")
    known = Person(house.url, session=house.session())
    assert guess(known, "192.0.2.1", PASSWORD).status_code == 303
    known.session.cookies.clear(domain="localhost.local", path="/", name="postern")  # signed out; the device is still known
    for _ in range(100):
        assert guess(Person(house.url, session=house.session()), "192.0.2.1", "wrong").status_code in (401, 429)
    begin = house.clock()
    assert guess(known, "192.0.2.1", PASSWORD).status_code == 303
    assert guess(Person(house.url, session=house.session()), "198.51.100.7", PASSWORD).status_code == 303
    assert house.clock() == begin  # neither had to wait
    assert guess(Person(house.url, session=house.session()), "192.0.2.1", PASSWORD).status_code == 303
    assert house.clock() - begin <= 6


def test_w09_wrong_passwords_from_many_addresses_lock_nobody_out(build_house: Callable[..., House]):
    house = build_house(OWNER_PASSWORD=PASSWORD, TRUST_PROXY="1")
    for number in range(200):
        address = f"203.0.113.{number}" if number % 2 else f"2001:db8:{number:x}::1"
        assert guess(Person(house.url, session=house.session()), address, "wrong").status_code == 401
    assert guess(Person(house.url, session=house.session()), "198.51.100.7", PASSWORD).status_code == 303


def test_w10_a_crowd_of_passwords_is_checked_two_at_a_time(busy: Server, owner_of_busy: Person):
    worker = worker_of(busy)
    before = measure(worker, "VmRSS")
    crowd = [Person(busy.url) for _ in range(32)]
    with ThreadPoolExecutor(len(crowd)) as pool:
        tries = [pool.submit(guess, person, f"203.0.113.{number}", "wrong") for number, person in enumerate(crowd)]
        alone = busy.answers(timeout=10)
        statuses = Counter(answer.result().status_code for answer in tries)
    assert alone
    assert set(statuses) <= {401, 429}
    assert statuses[401] >= 4
    assert measure(worker, "VmHWM") - before < 3 * 64 * MEGABYTE  # two checks of 64 MiB each, and what else a server needs
    assert guess(Person(busy.url), "198.51.100.7", PASSWORD).status_code == 303


# --- E-07: long bodies ---


def read_to_the_end(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up, which it has to do."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


def pieces(size: int) -> Iterator[bytes]:
    """A body of that size."""
    for _ in range(size // 65536):
        yield b"x" * 65536
    yield b"x" * (size % 65536 or 65536)


@pytest.mark.parametrize("size", [case("E-07", "one byte too many", MAX_BODY + 1), case("E-07", "60 MB", 60 * MEGABYTE)])
@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_a_long_body_is_refused_and_not_kept(busy: Server, guest: Assistant, size: int, kind: str):
    worker = worker_of(busy)
    before = measure(worker, "VmHWM")
    head = [
        "POST /mcp HTTP/1.1", f"Host: localhost:{busy.port}", f"Authorization: Bearer {guest.tokens['access_token']}",
        "Content-Type: application/json", "Accept: application/json, text/event-stream",
        f"Content-Length: {size}" if kind == "declared" else "Transfer-Encoding: chunked",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", busy.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        with contextlib.suppress(OSError):  # it may hang up in the midst of a piece
            for piece in pieces(size):
                if select.select([connection], [], [], 0)[0]:
                    break  # it has answered already
                connection.sendall(piece if kind == "declared" else b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n" if kind == "chunked" else b"")
        answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert measure(worker, "VmHWM") - before < 4 * MAX_BODY


def test_e07_the_longest_body_is_taken(guest: Assistant):
    body = json.dumps(handshake("tools/call", name="trouble_echo", arguments={"word": "x"})).encode()
    assert send(guest, body=body + b" " * (MAX_BODY - len(body)), MCP_Protocol_Version="2025-11-25").status_code == 200


# --- E-35: sessions without use ---


def test_e35_a_thousand_initializes_leave_nothing_behind(busy: Server, guest: Assistant):
    with unchanged(busy.folder / "data" / "postern.db"):
        for _ in range(200):
            assert send(guest, initialize(), MCP_Protocol_Version=None).status_code == 200


# --- E-46: connections that break ---


def break_off(server: Server, data: bytes, *, reset: bool, read: int = 0) -> None:
    """Send the beginning of a request, read the beginning of the answer, and go: politely, or with a reset."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(data)
        if read:
            connection.recv(read)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def whole_request(server: Server, assistant: Assistant, message: dict) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps(message).encode()
    headers = headers_of(message) | {
        "Host": f"localhost:{server.port}",
        "Authorization": f"Bearer {assistant.tokens['access_token']}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
    }
    lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def assert_well(server: Server, assistant: Assistant, threads: int) -> None:
    """It answers, writes, lets others write, and has no more threads than before."""
    assert said(assistant) == "still here"
    assert assistant.refresh().status_code == 200
    path = server.folder / "data" / "postern.db"
    with contextlib.closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # nobody holds the lock
        connection.execute("ROLLBACK")
    assert measure(worker_of(server), "Threads") <= threads


def said(assistant: Assistant) -> str:
    answer = send(assistant, handshake("tools/call", name="trouble_echo", arguments={"word": "still here"}))
    return answer.json()["result"]["content"][0]["text"]


@pytest.fixture
def threads(busy: Server, guest: Assistant) -> int:
    """How many threads the worker has once every one of its pool was needed."""
    with ThreadPoolExecutor(16) as crowd:
        list(crowd.map(lambda _: Assistant.call(guest, "ping"), range(64)))
    return measure(worker_of(busy), "Threads") + 8  # threads for streams come and stay


@pytest.mark.parametrize("reset", [case("E-46", "politely", False), case("E-46", "with a reset", True)])
def test_a_request_that_breaks_off_anywhere_leaves_nothing(
    busy: Server, owner_of_busy: Person, threads: int, reset: bool
):
    assistant = Assistant(busy.url)
    assistant.sign_in(owner_of_busy)
    request = whole_request(busy, assistant, handshake("tools/call", name="trouble_echo", arguments={"word": "x" * 50}))
    for position in range(0, len(request) + 1, 7):
        break_off(busy, request[:position], reset=reset)
    assert_well(busy, assistant, threads)


@pytest.mark.parametrize("reset", [case("E-46", "a stream, politely", False), case("E-46", "a stream, with a reset", True)])
def test_a_stream_that_breaks_off_anywhere_leaves_nothing(busy: Server, owner_of_busy: Person, threads: int, reset: bool):
    assistant = Assistant(busy.url)
    assistant.sign_in(owner_of_busy)
    message = modern("tools/call", name="trouble_wait", arguments={"gate": "never"})
    message["params"]["_meta"]["progressToken"] = 1
    request = whole_request(busy, assistant, message)
    for read in (0, 1, 20, 100, 150, 200, 250, 300, 400, 500) * 3:
        break_off(busy, request, reset=reset, read=read)
    assert_well(busy, assistant, threads)
    deadline = time.monotonic() + 3
    while not (answered := first_bytes(busy, request)).startswith(b"HTTP/1.1 200"):  # a place for a stream is free again
        assert time.monotonic() < deadline, answered
        time.sleep(0.05)


def first_bytes(server: Server, request: bytes) -> bytes:
    """The first line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request)
        return connection.recv(20)

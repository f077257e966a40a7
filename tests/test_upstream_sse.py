"""A session over the transport of 2024: the stream, the address that it names, and how it ends."""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_upstream import MODERN, OLDER, STREAM, Asked, FakeUpstream, answered, chunk, event, note, question
from patience import wait_until
from raw_server import RawServer, plain
from test_upstream_http import CALL, DONE, FORBIDDEN, Ear, Key, ignore

import upstream_rpc
import upstream_sse
from errors import Cancelled, SignInNeeded, UpstreamError, UpstreamRefused
from links import HttpTarget
from tools import Call
from upstream_sse import SseLink

Talk = Callable[[Asked], list[Any]]  # what the server says on its stream when it is told something


def unheard_of(asked: Asked) -> list[Any]:
    """What a server says of a method that it does not have."""
    return [{"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": -32601, "message": "Method not found"}}]


class FakeSse(FakeUpstream):
    """A server of 2024: what is posted to /messages is answered on the stream. `endpoint` is the address that it names."""

    def __init__(self, endpoint: str = "/messages?session=1", **talk: Talk):
        self.talk = {name.replace("__", "/"): answer for name, answer in talk.items()}
        self.endpoint, self.said = endpoint, queue.SimpleQueue()
        super().__init__({"GET": self.stream})

    def stream(self, asked: Asked) -> Any:
        def talk(server: RawServer, sock: socket.socket) -> None:
            sock.sendall(STREAM + chunk(f"event: endpoint\ndata: {self.endpoint}\n\n".encode()))
            while (message := self.said.get()) is not None:
                sock.sendall(message if isinstance(message, bytes) else event(message))
            sock.close()

        return talk

    def hear(self, asked: Asked) -> bytes:
        found = {"protocolVersion": OLDER, "capabilities": {"tools": {}}, "serverInfo": {"name": "sse"}}
        usual: dict[str, Talk] = {"initialize": lambda asked: [answered(asked, **found)], "server/discover": unheard_of}
        for message in (usual | self.talk).get(asked.method, lambda asked: [])(asked):
            self.said.put(message)
        return plain(b"Accepted", "202 Accepted")

    def serve(self, sock: socket.socket) -> None:
        usual = ("server/discover", "initialize", "notifications/initialized", "notifications/cancelled", "reply")
        for name in (*usual, *self.talk):
            self.handlers.setdefault(name, self.hear)
        super().serve(sock)

    def __exit__(self, *error: object) -> None:
        self.said.put(None)
        super().__exit__(*error)


@pytest.fixture
def start() -> Iterator[Callable[..., FakeSse]]:
    """Start a fake server."""
    running = []

    def make(*arguments: Any, **talk: Talk) -> FakeSse:
        server = FakeSse(*arguments, **talk)
        server.answer = lambda raw, sock: server.serve(sock)
        running.append(server.__enter__())
        return server

    yield make
    for server in running:
        server.__exit__()


@pytest.fixture
def link_to() -> Iterator[Callable[..., SseLink]]:
    """Open a session that is closed in the end."""
    links = []

    def open_link(server: FakeSse, capabilities=None, hear=ignore, *, seconds=5.0, headers=None, **more) -> SseLink:
        links.append(SseLink(HttpTarget(server.url, headers or {}, seconds), server.fetcher, capabilities or {}, hear, **more))
        return links[-1]

    yield open_link
    for link in links:
        link.close()


def done(asked: Asked) -> list[Any]:
    """The usual result."""
    return [answered(asked, **DONE)]


def test_it_begins_with_the_stream_and_the_handshake(start, link_to):
    server = start(tools__call=done)
    link = link_to(server, {"roots": {}}, headers={"X-Api-Key": "k"})
    assert (link.greeting.version, link.greeting.is_modern, link.greeting.server) == (OLDER, False, {"name": "sse"})
    assert link.request("tools/call", CALL, Call()) == DONE
    assert [(asked.verb, asked.path) for asked in server.asked] == [("GET", "/mcp")] + [("POST", "/messages?session=1")] * 4
    assert server.methods()[1:] == ["server/discover", "initialize", "notifications/initialized", "tools/call"]
    assert server.asked[2].message["params"]["capabilities"] == {"roots": {}}
    assert all(asked.headers["x-api-key"] == "k" for asked in server.asked)
    assert not {name for asked in server.asked for name in asked.headers} & FORBIDDEN


def test_a_newer_server_is_spoken_to_as_one(start, link_to):
    about = {"supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}}, "ttlMs": 0, "cacheScope": "private"}
    heard: list[str] = []
    server = start(
        server__discover=lambda asked: [answered(asked, resultType="complete", **about)],
        subscriptions__listen=lambda asked: [note("notifications/tools/list_changed")],
        tools__call=done,
    )
    link = link_to(server, hear=lambda method, params: heard.append(method))
    assert (link.greeting.version, link.greeting.is_modern) == (MODERN, True)
    assert link.request("tools/call", CALL, Call()) == DONE
    assert server.methods() == ["GET", "server/discover", "subscriptions/listen", "tools/call"]
    wait_until(lambda: heard == ["notifications/tools/list_changed"])


def test_a_server_that_keeps_silent_about_what_it_does_not_know_is_greeted_as_an_older_one(start, link_to, monkeypatch):
    monkeypatch.setattr(upstream_sse, "PROBE_SECONDS", 0.2)
    server = start(server__discover=lambda asked: [], tools__call=done)
    assert link_to(server).request("tools/call", CALL, Call()) == DONE
    assert server.methods() == ["GET", "server/discover", "initialize", "notifications/initialized", "tools/call"]


def test_a_server_that_hangs_up_on_what_it_does_not_know_is_greeted_as_an_older_one(start, link_to):
    server = start(server__discover=lambda asked: [None], tools__call=done)
    link = link_to(server)
    assert link.request("tools/call", CALL, Call()) == DONE
    assert server.methods() == ["GET", "server/discover", "GET", "initialize", "notifications/initialized", "tools/call"]


@pytest.mark.parametrize("endpoint", ["messages", "/messages", "{origin}/messages"])
def test_the_address_may_be_named_in_any_way(start, link_to, endpoint):
    server = start(tools__call=done)
    server.endpoint = endpoint.format(origin=server.url.removesuffix("/mcp"))
    assert link_to(server).request("tools/call", CALL, Call()) == DONE
    assert server.asked[-1].path == "/messages"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:{other}/messages", "//127.0.0.1:{other}/messages", "https://127.0.0.1:{port}/messages",
        "http://localhost:{port}/messages", "http://169.254.169.254/", "http://a@127.0.0.1:{port}/", "ftp://127.0.0.1/",
        "\\\\evil/",
    ],
)  # fmt: skip
def test_no_message_goes_to_an_address_elsewhere(start, link_to, endpoint):
    with RawServer(plain()) as other:
        server = start()
        server.endpoint = endpoint.format(other=other.port, port=server.port)
        with pytest.raises(UpstreamError, match=r"^The server names no address of its own for messages\.$"):
            link_to(server, headers={"X-Api-Key": "k"}, authorizer=Key("t"))
        assert other.heads == []
    assert server.methods() == ["GET"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (plain(b"secret", "404 Not Found"), "has nothing at this address (status 404)."),
        (plain(b"secret", "405 Method Not Allowed"), "takes no MCP requests at this address (status 405)."),
        (plain(b"{}", "200 OK", "Content-Type: application/json"), "answered something that is not MCP (status 200)."),
        (plain(b"", "307 Moved", "Location: http://169.254.169.254/"), "sends us to another address, which is not followed."),
        (STREAM + chunk(b"data: secret\n\n") + b"0\r\n\r\n", "names no address of its own for messages."),
    ],
)
def test_what_is_no_such_server_is_said_in_a_sentence(start, link_to, answer, sentence):
    server = start()
    server.handlers["GET"] = answer
    with pytest.raises(UpstreamError) as refusal:
        link_to(server)
    assert str(refusal.value) == "The server " + sentence


def test_requests_run_side_by_side_and_answers_find_theirs(start, link_to):
    waiting: list[Asked] = []

    def call(asked: Asked) -> list[Any]:
        waiting.append(asked)
        if len(waiting) < 3:
            return []
        strays: list[Any] = [answered(asked) | {"id": 999}, answered(asked) | {"id": "1"}, {"jsonrpc": "2.0"}]
        return strays + [answered(item, n=item.message["params"]["n"]) for item in reversed(waiting)] * 2

    link = link_to(start(tools__call=call))
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append((n, link.request("tools/call", {"n": n}, Call())))) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=str) == [(n, {"n": n}) for n in range(3)]


def test_the_server_may_tell_and_ask_on_the_stream(start, link_to):
    heard: list[str] = []
    asked_for: list[Asked] = []

    def call(asked: Asked) -> list[Any]:
        asked_for.append(asked)
        token = asked.message["params"]["_meta"]["progressToken"]
        return [
            note("notifications/progress", progressToken=token, progress=1),
            note("notifications/message", level="info", data="x"),
            note("notifications/tools/list_changed"),
            question("q", "elicitation/create", message="?"),
        ]

    server = start(tools__call=call, reply=lambda asked: [answered(asked_for[0], **DONE)])
    link = link_to(server, {"elicitation": {}}, lambda method, params: heard.append(method))
    ear = Ear()
    assert link.request("tools/call", CALL, ear) == DONE
    assert ear.said == [(1, None, None), ("info", "x"), [("elicitation/create", {"message": "?"})]]
    assert heard == ["notifications/tools/list_changed"]
    assert server.asked[-1].message == {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}


def test_an_error_is_told_as_it_is(start, link_to):
    refusal = {"code": -32602, "message": "no"}
    server = start(tools__call=lambda asked: [{"jsonrpc": "2.0", "id": asked.message["id"], "error": refusal}])
    with pytest.raises(UpstreamRefused, match="error -32602"):
        link_to(server).request("tools/call", CALL, Call())


def test_a_message_that_is_not_taken_is_an_error(start, link_to):
    server = start(tools__call=done)
    link = link_to(server)
    server.handlers["tools/call"] = plain(b"secret", "400 Bad Request")
    with pytest.raises(UpstreamError, match=r"^The server did not accept the request \(status 400\)\.$"):
        link.request("tools/call", CALL, Call())
    server.handlers["tools/call"] = server.hear
    assert link.request("tools/call", CALL, Call()) == DONE


def test_cancelling_tells_the_server_and_drops_what_comes_later(start, link_to):
    server = start(tools__call=lambda asked: [], notifications__cancelled=lambda asked: [
        {"jsonrpc": "2.0", "id": asked.message["params"]["requestId"], "result": DONE}
    ], tools__list=done)  # fmt: skip
    link, call = link_to(server), Call()
    threading.Timer(0.1, call.cancelled.set).start()
    with pytest.raises(Cancelled):
        link.request("tools/call", CALL, call)
    wait_until(lambda: "notifications/cancelled" in server.methods())
    assert link.request("tools/list", {}, Call()) == DONE


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        (b"0\r\n\r\n", "The server has closed the stream."),
        (None, "127.0.0.1 stopped in the middle of its answer."),
        (chunk(b"data: {secret\n\n"), "The server sends something that is not JSON."),
    ],
)
def test_a_stream_that_breaks_ends_the_session_for_everybody(start, link_to, last, sentence):
    server = start(tools__call=lambda asked: [last])
    link = link_to(server)
    with pytest.raises(UpstreamError, match=f"^{re.escape(sentence)}$"):
        link.request("tools/call", CALL, Call())
    assert not link.is_alive
    with pytest.raises(UpstreamError, match=f"^{re.escape(sentence)}$"):
        link.request("tools/call", CALL, Call())


def test_closing_closes_the_stream(start, link_to):
    server = start(tools__call=lambda asked: [])
    link = link_to(server)
    threading.Timer(0.1, link.close).start()
    started = time.monotonic()
    with pytest.raises(UpstreamError, match="was closed"):
        link.request("tools/call", CALL, Call())
    assert time.monotonic() - started < 3
    link.close()
    assert not link.is_alive
    begun = ["GET", "server/discover", "initialize", "notifications/initialized"]
    assert server.methods() == [*begun, "tools/call"]  # it sees that the stream is gone


def test_a_refused_token_is_replaced_once(start, link_to):
    server = start(tools__call=done)

    def guard(asked: Asked) -> Any:
        let_in = asked.headers.get("authorization") == "Bearer new"
        return server.stream(asked) if let_in else plain(b"", "401 Unauthorized", "WWW-Authenticate: Bearer")

    server.handlers["GET"] = guard
    assert link_to(server, authorizer=Key("old", "new")).request("tools/call", CALL, Call()) == DONE
    with pytest.raises(SignInNeeded):
        link_to(server)


def test_a_stream_that_ends_takes_no_other_with_it(start, link_to, monkeypatch):
    server = start(server__discover=lambda asked: [None], tools__call=done)
    fail = upstream_sse.Rpc.fail

    def fail_slowly(rpc: Any, sentence: str) -> None:  # so that the next stream is there before the rest of the end
        fail(rpc, sentence)
        wait_until(lambda: server.methods().count("GET") == 2)

    monkeypatch.setattr(upstream_sse.Rpc, "fail", fail_slowly)
    link = link_to(server)
    assert link.request("tools/call", CALL, Call()) == DONE
    assert link.is_alive


def test_a_server_that_refuses_what_it_does_not_know_and_then_hangs_up_is_greeted_as_an_older_one(start, link_to):
    server = start(tools__call=done)

    def refuse(asked: Asked) -> bytes:
        server.said.put(None)
        return plain(b"", "400 Bad Request")

    server.handlers["server/discover"] = refuse
    assert link_to(server).request("tools/call", CALL, Call()) == DONE


def test_a_reply_that_is_not_taken_ends_nothing(start, link_to):
    server = start(tools__call=lambda asked: [question("p", "ping"), *done(asked)])
    server.handlers["reply"] = plain(b"", "401 Unauthorized", "WWW-Authenticate: Bearer")
    link = link_to(server, authorizer=Key("t", "t"))
    for _ in range(2):
        assert link.request("tools/call", CALL, Call()) == DONE


def test_whatever_ends_the_reading_ends_the_session(start, link_to, monkeypatch):
    server = start(tools__call=done)
    link = link_to(server)

    def break_down(*_: Any) -> None:
        raise SignInNeeded("Nobody foresaw this.")

    monkeypatch.setattr(threading, "excepthook", lambda failure: None)
    monkeypatch.setattr(upstream_sse.Rpc, "take", break_down)
    with pytest.raises(UpstreamError, match=r"^The session broke\.$"):
        link.request("tools/call", CALL, Call())
    assert not link.is_alive


@pytest.mark.parametrize("odd", [rb'"\ud83d"', b"NaN", b'{"a": 1, "a": 2}', b"[" * 70 + b"]" * 70])
def test_an_answer_that_cannot_be_read_is_told_soon_and_ends_nothing(start, link_to, monkeypatch, odd):
    monkeypatch.setattr(upstream_rpc, "MEND_SECONDS", 0.1)

    def answer(asked: Asked) -> list[Any]:
        line = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":%s}}\n\n' % odd
        return [chunk(line), chunk(b'data: {"jsonrpc":"2.0","id":%d,"result":{"a":%s}}\n\n' % (asked.message["id"], odd))]

    link = link_to(start(tools__call=answer, tools__list=done))
    with pytest.raises(UpstreamError, match=r"^The server's answer cannot be read\.$"):
        link.request("tools/call", CALL, Call())
    assert link.request("tools/list", {}, Call()) == DONE

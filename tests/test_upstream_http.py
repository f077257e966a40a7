"""A session over Streamable HTTP, in both eras: what goes out, what counts as an answer, and how it ends."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from fake_upstream import (
    END,
    JSON,
    MODERN,
    OLDER,
    STREAM,
    Asked,
    FakeUpstream,
    answered,
    as_json,
    chunk,
    event,
    modern,
    note,
    older,
    question,
)
from patience import wait_until
from raw_server import RawServer, drip, plain

import upstream_http
from errors import Cancelled, SignInNeeded, ToolError, UpstreamError, UpstreamRefused
from links import HttpTarget
from tools import Call
from upstream_http import HttpLink

DONE = {"content": [], "resultType": "complete"}
CALL = {"name": "greet", "arguments": {"who": "Ä"}}
FORBIDDEN = {"authorization", "cookie", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip"}


class Ear(Call):
    """A call that notes what is said to it, and answers what it is asked."""

    def __init__(self, answer: Callable[[], dict[str, Any]] = lambda: {"action": "accept"}):
        super().__init__()
        self.said: list[Any] = []
        self._answer = answer

    wants_progress = True
    capabilities = {"elicitation": {}, "sampling": {}, "roots": {}}  # noqa: RUF012

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        self.said.append((progress, total, message))

    def log(self, level: str, data: Any, logger: str | None = None) -> None:
        self.said.append((level, data))

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        self.said.append(list(requests.values()))
        return {key: self._answer() for key in requests}


class Key:
    """Lets in with one token after another."""

    def __init__(self, *tokens: str):
        self.tokens, self.refusals = list(tokens), []

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    def refused(self, status: int, challenge: str | None) -> None:
        self.refusals.append((status, challenge))
        if len(self.tokens) == 1:
            raise SignInNeeded("Sign in again.")
        self.tokens.pop(0)


@pytest.fixture
def upstream() -> Iterator[Callable[..., FakeUpstream]]:
    """Start a fake server."""
    running = []

    def start(handlers: Mapping[str, Any], **options: Any) -> FakeUpstream:
        running.append(FakeUpstream(handlers, **options).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def link_to() -> Iterator[Callable[..., HttpLink]]:
    """Open a session that is closed in the end."""
    links = []

    def open_link(server: FakeUpstream, capabilities=None, hear=ignore, *, seconds=5.0, headers=None, **more) -> HttpLink:
        target = HttpTarget(server.url, headers or {}, seconds)
        links.append(HttpLink(target, server.fetcher, capabilities or {}, hear, **more))
        return links[-1]

    yield open_link
    for link in links:
        link.close()


def ignore(method: str, params: Mapping[str, Any]) -> None:
    """For who does not listen."""


# --- how it begins ---


def test_a_server_of_the_stateless_era_is_asked_what_it_is(upstream, link_to):
    server = upstream(modern({"tools": {"listChanged": False}}))
    greeting = link_to(server, {"elicitation": {"form": {}}}).greeting
    assert (greeting.version, greeting.is_modern, greeting.instructions) == (MODERN, True, "Be kind.")
    assert (greeting.capabilities, greeting.server) == ({"tools": {"listChanged": False}}, {"name": "fake", "version": "1"})
    first = server.asked[0]
    assert (first.headers["mcp-protocol-version"], first.headers["mcp-method"]) == (MODERN, "server/discover")
    assert first.headers["accept"] == "application/json, text/event-stream"
    assert first.message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}  # each request has its own
    assert first.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN
    assert first.message["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "postern"
    assert server.methods() == ["server/discover"]


REFUSAL = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "x"}}
NOT_MODERN = {
    "an empty 400": plain(b"", "400 Bad Request"),
    "a 400 in words": plain(b"Bad Request: No valid session ID provided", "400 Bad Request"),
    "an error without an id": as_json(REFUSAL, "400 Bad Request"),
    "an error at 404": lambda asked: asked.error(-32601, "404 Not Found"),
    "an error at 200": lambda asked: asked.error(-32601, "200 OK"),
    "a page": plain(b"<html>", "404 Not Found", "Content-Type: text/html"),
    "405": plain(b"", "405 Method Not Allowed"),
    "an empty result": lambda asked: asked.result({}),
    "only older versions": lambda asked: asked.result({"supportedVersions": [OLDER], "capabilities": {}}),
    "an error that names older versions": lambda asked: asked.error(-32022, data={"supported": [OLDER]}),
    "500": plain(b"", "500 Broken"),
}


@pytest.mark.parametrize("answer", NOT_MODERN.values(), ids=NOT_MODERN)
def test_any_other_server_gets_the_handshake(upstream, link_to, answer):
    server = upstream(older() | {"server/discover": answer})
    link = link_to(server, {"roots": {}})
    assert (link.greeting.version, link.greeting.is_modern, link.greeting.server["name"]) == (OLDER, False, "old")
    assert server.methods() == ["server/discover", "initialize", "notifications/initialized"]
    _, first, second = server.asked
    assert first.message["params"]["protocolVersion"] == OLDER
    assert first.message["params"]["capabilities"] == {"roots": {}}
    assert not {"mcp-protocol-version", "mcp-method", "mcp-session-id"} & first.headers.keys()
    assert (second.headers["mcp-session-id"], second.headers["mcp-protocol-version"]) == ("s-1", OLDER)
    assert "id" not in second.message


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
def test_it_speaks_every_version_of_the_handshake_era(upstream, link_to, version):
    server = upstream(older(version=version, session=""))
    link = link_to(server)
    assert link.request("tools/list", {}, Call()) == {"resultType": "complete"}
    assert link.greeting.version == server.asked[-1].headers["mcp-protocol-version"] == version
    assert "mcp-session-id" not in server.asked[-1].headers


@pytest.mark.parametrize(
    "handlers",
    [
        modern(server__discover=lambda asked: asked.error(-32022, data={"supported": ["2027-01-01"]})),
        older(version="2023-01-01"),
        older() | {"initialize": lambda asked: asked.error(-32602)},
        older() | {"initialize": lambda asked: asked.result({})},
        older() | {"initialize": plain(b"<html>", "200 OK", "Content-Type: text/html")},
        older(session="a b"),
        older() | {"notifications/initialized": plain(b"", "400 Bad Request")},
    ],
)
def test_a_server_with_which_nothing_can_be_begun_is_an_error(upstream, link_to, handlers):
    with pytest.raises(UpstreamError, match=r"^The server"):
        link_to(upstream(handlers))


def test_a_server_that_says_nothing_to_the_newer_question_may_answer_the_older(upstream, link_to):
    silence = drip(b": x\n\n", 0.05, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    server = upstream(older() | {"server/discover": lambda asked: silence})
    assert link_to(server, seconds=0.5).greeting.version == OLDER


# --- one request ---


def test_a_request_of_the_stateless_era_says_everything_by_itself(upstream, link_to):
    server = upstream(modern(tools__call=lambda asked: asked.result(DONE | {"unknown": [None]})))
    link = link_to(server, headers={"X-Api-Key": "k", "Mcp-Method": "evil", "Accept": "evil"})
    params = CALL | {"_meta": {"progressToken": "theirs", "example.com/a": 1}}
    assert link.request("tools/call", params, Call()) == DONE | {"unknown": [None]}
    asked = server.asked[-1]
    assert (asked.headers["mcp-method"], asked.headers["mcp-name"]) == ("tools/call", "greet")
    assert asked.headers["mcp-protocol-version"] == MODERN
    assert (asked.headers["x-api-key"], asked.headers["user-agent"]) == ("k", "Postern")
    assert asked.message["params"]["arguments"] == {"who": "Ä"}
    assert asked.message["params"]["_meta"].keys() == {
        "example.com/a",
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/clientCapabilities",
    }
    assert len({asked.message["id"] for asked in server.asked}) == 2


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "größe", "arguments": {}}, "=?base64?Z3LDtsOfZQ==?="),
        ("prompts/get", {"name": " a"}, "=?base64?IGE=?="),
        ("resources/read", {"uri": "file:///a"}, "file:///a"),
        ("tools/list", {}, None),
        ("tools/call", {"name": 5}, None),
    ],
)
def test_names_are_mirrored_in_a_header(upstream, link_to, method, params, name):
    server = upstream(modern())
    link_to(server).request(method, params, Call())
    assert server.asked[-1].headers.get("mcp-name") == name


SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
    },
}


def test_arguments_are_mirrored_as_the_tools_schema_says(upstream, link_to):
    server = upstream(modern())
    schemas = {"greet": SCHEMA, "bad": {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}}
    link = link_to(server, find_schema=schemas.get)
    sent = []
    for name, arguments in [
        ("greet", {"region": "eu\nX: y", "deep": {"count": 5}}),
        ("greet", {"region": None}),
        ("bad", {"a": 1}),
        ("unknown", {"region": "eu"}),
    ]:
        link.request("tools/call", {"name": name, "arguments": arguments}, Call())
        sent.append({name: value for name, value in server.asked[-1].headers.items() if name.startswith("mcp-param-")})
    assert sent == [{"mcp-param-region": "=?base64?ZXUKWDogeQ==?=", "mcp-param-count": "5"}, {}, {}, {}]


def test_a_schema_that_changed_is_read_again_when_the_headers_do_not_fit(upstream, link_to):
    def call(asked: Asked) -> bytes:
        return asked.result(DONE) if "mcp-param-region" in asked.headers else asked.error(-32020)

    def list_tools(asked: Asked) -> bytes:
        is_second = asked.message["params"].get("cursor") == "2"
        tools = [{"name": "greet", "inputSchema": SCHEMA}] if is_second else [{"name": "x"}, None, {"name": 5}]
        return asked.result({"tools": tools} | ({} if is_second else {"nextCursor": "2"}))

    server = upstream(modern(tools__call=call, tools__list=list_tools))
    link = link_to(server)
    assert link.request("tools/call", {"name": "greet", "arguments": {"region": "eu"}}, Call()) == DONE
    assert server.methods()[1:] == ["tools/call", "tools/list", "tools/list", "tools/call"]
    with pytest.raises(UpstreamRefused, match="error -32020"):
        link.request("tools/call", {"name": "greet", "arguments": {}}, Call())


@pytest.mark.parametrize("endless", ["new cursors", "one cursor"])
def test_a_list_without_end_is_not_read_without_end(upstream, link_to, monkeypatch, endless: str):
    monkeypatch.setattr(upstream_http, "MAX_PAGES", 5)
    cursors = itertools.count() if endless == "new cursors" else itertools.repeat(0)

    def list_tools(asked: Asked) -> bytes:
        return asked.result({"tools": [], "nextCursor": str(next(cursors))})

    server = upstream(modern(tools__call=lambda asked: asked.error(-32020), tools__list=list_tools))
    with pytest.raises(UpstreamRefused, match="error -32020"):
        link_to(server).request("tools/call", {"name": "greet", "arguments": {}}, Call())
    assert server.methods().count("tools/list") == (5 if endless == "new cursors" else 2)


def test_a_tool_is_known_from_a_list_that_passed(upstream, link_to):
    server = upstream(modern(tools__list=lambda asked: asked.result({"tools": [{"name": "greet", "inputSchema": SCHEMA}]})))
    link = link_to(server)
    link.request("tools/list", {}, Call())
    link.request("tools/call", {"name": "greet", "arguments": {"region": "eu"}}, Call())
    assert server.asked[-1].headers["mcp-param-region"] == "eu"


def test_a_request_of_the_handshake_era_is_of_its_session(upstream, link_to):
    server = upstream(older(tools__call=lambda asked: asked.result(DONE)))
    assert link_to(server).request("tools/call", CALL, Call()) == DONE
    asked = server.asked[-1]
    assert (asked.headers["mcp-session-id"], asked.headers["mcp-protocol-version"]) == ("s-1", OLDER)
    assert not {"mcp-method", "mcp-name"} & asked.headers.keys()
    assert asked.message["params"] == CALL


@pytest.mark.parametrize("handlers", [modern, functools.partial(older, session="")])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found", "500 Broken"])
def test_an_error_of_the_servers_is_told_as_it_is(upstream, link_to, handlers, status):
    server = upstream(handlers(tools__call=lambda asked: asked.error(-32602, status, message="secret", data={"a": 1})))
    with pytest.raises(UpstreamRefused) as refusal:
        link_to(server).request("tools/call", CALL, Call())
    assert (refusal.value.code, refusal.value.message, refusal.value.data) == (-32602, "secret", {"a": 1})
    assert "notifications/cancelled" not in server.methods()


def test_what_a_server_asks_by_ending_is_handed_back_as_it_is(upstream, link_to):
    asks = {"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list"}}, "requestState": "s"}
    server = upstream(modern(tools__call=lambda asked: asked.result(asks)))
    assert link_to(server).request("tools/call", CALL, Call()) == asks


# --- event streams ---


def stream(*messages: Any) -> Callable[[Asked], bytes]:
    """An answer as an event stream; a function makes a message from what was asked."""
    return lambda asked: STREAM + b"".join(event(item(asked) if callable(item) else item) for item in messages) + END


def test_progress_and_log_lines_reach_the_caller_before_the_result(upstream, link_to):
    def progress(asked: Asked, **params: Any) -> dict[str, Any]:
        return note("notifications/progress", progressToken=asked.message["params"]["_meta"]["progressToken"], **params)

    server = upstream(
        modern(
            tools__call=stream(
                lambda asked: progress(asked, progress=1, total=2, message="half"),
                lambda asked: progress(asked, progress="much"),
                note("notifications/progress", progressToken=999, progress=1),
                note("notifications/message", level="info", data={"a": 1}),
                note("notifications/message", level="loud", data="x"),
                lambda asked: progress(asked, progress=2, total="x", message=None),
                lambda asked: answered(asked, **DONE),
                note("notifications/message", level="info", data="too late"),
            )
        )
    )
    call = Ear()
    assert link_to(server).request("tools/call", CALL, call) == DONE
    assert call.said == [(1, 2, "half"), ("info", {"a": 1}), (2, None, None)]


def test_without_a_wish_for_progress_there_is_no_token(upstream, link_to):
    server = upstream(modern())
    link_to(server).request("tools/call", CALL, Call())
    assert "progressToken" not in server.asked[-1].message["params"]["_meta"]


def test_connections_are_used_again_after_a_stream(upstream, link_to):
    server = upstream(modern(tools__call=stream(lambda asked: answered(asked, **DONE))))
    link = link_to(server)
    for _ in range(5):
        assert link.request("tools/call", CALL, Call()) == DONE
    assert len(server._streams) == 1


def test_an_older_server_may_ask_in_the_middle(upstream, link_to):
    replied = threading.Event()
    replies = []

    def reply(asked: Asked) -> bytes:
        replies.append(asked)
        replied.set()
        return plain(b"", "202 Accepted")

    def answer(asked: Asked):
        def talk(server: FakeUpstream, sock) -> None:
            sock.sendall(STREAM + event(question("q1", "elicitation/create", message="Name?")))
            assert replied.wait(5)
            sock.sendall(event(answered(asked, **DONE)) + END)

        return talk

    server = upstream(older(tools__call=answer, reply=reply))
    call = Ear()
    assert link_to(server, {"elicitation": {}}).request("tools/call", CALL, call) == DONE
    assert call.said == [[("elicitation/create", {"message": "Name?"})]]
    assert replies[0].message == {"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept"}}
    assert replies[0].headers["mcp-session-id"] == "s-1"


def test_time_in_which_the_person_is_asked_does_not_count(upstream, link_to):
    def slow() -> dict[str, Any]:
        time.sleep(0.8)
        return {"action": "accept"}

    server = upstream(
        older(tools__call=stream(question(1, "elicitation/create", message="?"), lambda asked: answered(asked, **DONE)))
    )
    assert link_to(server, {"elicitation": {}}, seconds=0.6).request("tools/call", CALL, Ear(slow)) == DONE


@pytest.mark.parametrize(
    ("capabilities", "asked_for", "error"),
    [
        ({}, question(7, "elicitation/create", message="?"), -32601),
        ({"elicitation": {}}, question(7, "sampling/createMessage", messages=[]), -32601),
        ({"elicitation": {}}, question(7, "tools/call", name="x"), -32601),
        ({"elicitation": {}}, question(7, "elicitation/create", message="?"), -32603),
    ],
)
def test_what_cannot_be_asked_is_refused(upstream, link_to, capabilities, asked_for, error):
    def refuse() -> dict[str, Any]:
        raise ToolError("Nobody answers.")

    server = upstream(older(tools__call=stream(asked_for, lambda asked: answered(asked, **DONE))))
    call = Ear(refuse)
    assert link_to(server, capabilities).request("tools/call", CALL, call) == DONE
    replies = [asked.message for asked in server.asked if asked.method == "reply"]
    assert [(reply["id"], reply["error"]["code"]) for reply in replies] == [(7, error)]


def test_a_ping_is_answered_and_a_question_of_the_wrong_era_is_not(upstream, link_to):
    older_one = upstream(older(tools__call=stream(question(7, "ping"), lambda asked: answered(asked, **DONE))))
    assert link_to(older_one).request("tools/call", CALL, Call()) == DONE
    assert [asked.message for asked in older_one.asked if asked.method == "reply"] == [{"jsonrpc": "2.0", "id": 7, "result": {}}]
    newer = upstream(modern(tools__call=stream(question(7, "roots/list"), lambda asked: answered(asked, **DONE))))
    assert link_to(newer, {"roots": {}}).request("tools/call", CALL, Ear()) == DONE
    assert newer.methods() == ["server/discover", "tools/call"]


def test_changed_lists_are_heard_of_on_any_stream(upstream, link_to):
    heard = []
    server = upstream(
        older(tools__call=stream(note("notifications/tools/list_changed"), lambda asked: answered(asked, **DONE)))
    )
    link_to(server, hear=lambda method, params: heard.append((method, dict(params)))).request("tools/call", CALL, Call())
    assert heard == [("notifications/tools/list_changed", {})]


# --- what is no answer (cases G-03, G-09) ---

SECRET = "hunter2-secret"


def raw(asked: Asked, result: bytes) -> bytes:
    """A JSON answer whose result no library would write."""
    return plain(b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (asked.message["id"], result), "200 OK", JSON)


BAD_ANSWERS = {
    "no JSON": plain(SECRET.encode(), "200 OK", JSON),
    "a page": plain(f"<html>{SECRET}".encode(), "200 OK", "Content-Type: text/html"),
    "no type": plain(SECRET.encode()),
    "accepted": plain(SECRET.encode(), "202 Accepted"),
    "nothing": plain(b"", "200 OK", JSON),
    "a batch": lambda asked: as_json([answered(asked, **DONE)]),
    "a text": as_json(SECRET),
    "no version": lambda asked: as_json({"id": asked.message["id"], "result": DONE}),
    "the id of another": lambda asked: as_json(answered(asked, **DONE) | {"id": asked.message["id"] + 1}),
    "an id as text": lambda asked: as_json(answered(asked, **DONE) | {"id": str(asked.message["id"])}),
    "no id": as_json({"jsonrpc": "2.0", "result": DONE}),
    "a question for an answer": lambda asked: as_json(question(asked.message["id"], "ping")),
    "neither result nor error": lambda asked: as_json({"jsonrpc": "2.0", "id": asked.message["id"]}),
    "a list as result": lambda asked: as_json({"jsonrpc": "2.0", "id": asked.message["id"], "result": [SECRET]}),
    "an error in words": lambda asked: as_json({"jsonrpc": "2.0", "id": asked.message["id"], "error": SECRET}),
    "NaN": lambda asked: plain(b'{"jsonrpc":"2.0","id":%d,"result":{"a":NaN}}' % asked.message["id"], "200 OK", JSON),
    "half a character": lambda asked: plain(
        b'{"jsonrpc":"2.0","id":%d,"result":{"a":"\\ud800"}}' % asked.message["id"], "200 OK", JSON
    ),
    "a name twice": lambda asked: plain(
        b'{"jsonrpc":"2.0","id":%d,"result":{"a":1,"a":2}}' % asked.message["id"], "200 OK", JSON
    ),
    "compressed": plain(b"x", "200 OK", JSON, "Content-Encoding: gzip"),
    "a stream that ends": STREAM + END,
    "a stream of rubbish": STREAM + chunk(f"data: {SECRET}\n\n".encode()) + END,
    "a stream that breaks": lambda asked: lambda server, sock: (sock.sendall(STREAM + b"5\r\nda"), sock.close()),
    "a redirect elsewhere": plain(SECRET.encode(), "307 Temporary Redirect", "Location: http://169.254.169.254/"),
    "a redirect by 302": plain(b"", "302 Found", "Location: /other"),
    "too many requests": plain(SECRET.encode(), "429 Too Many Requests", "Content-Type: text/plain"),
    "an error page": plain(SECRET.encode(), "500 Broken", JSON),
    "forbidden": plain(SECRET.encode(), "403 Forbidden"),
    "hung up": lambda asked: lambda server, sock: sock.close(),
}


@pytest.mark.parametrize("era", [modern, older])
@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_what_is_no_answer_is_said_in_a_sentence_without_the_servers_words(upstream, link_to, era, name):
    answer = BAD_ANSWERS[name]
    server = upstream(era(tools__call=lambda asked: answer(asked) if callable(answer) else answer))
    link = link_to(server)
    with pytest.raises(UpstreamError) as refusal:
        link.request("tools/call", CALL, Call())
    assert SECRET not in str(refusal.value)
    assert str(refusal.value).startswith(("The server", "127.0.0.1 "))
    assert server.methods().count("tools/call") == 1
    server.handlers["tools/call"] = lambda asked: asked.result(DONE)
    assert link.request("tools/call", CALL, Call()) == DONE


def test_answers_to_nobody_are_dropped(upstream, link_to):
    server = upstream(
        modern(
            tools__call=stream(
                lambda asked: answered(asked) | {"id": 999, "result": {"not": "yours"}},
                lambda asked: answered(asked) | {"id": asked.message["id"] - 1},
                lambda asked: answered(asked) | {"id": "x"},
                lambda asked: answered(asked, **DONE),
                lambda asked: answered(asked, second=True),
            )
        )
    )
    link = link_to(server)
    assert [link.request("tools/call", CALL, Call()) for _ in range(3)] == [DONE] * 3


def test_a_body_without_an_end_is_cut_off(upstream, link_to, monkeypatch):
    monkeypatch.setattr("upstream_posts.MAX_BYTES", 100_000)
    endless = drip(b"x" * 4000, 0, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    server = upstream(modern(tools__call=lambda asked: endless))
    with pytest.raises(UpstreamError, match="answered with more than 100000 bytes"):
        link_to(server).request("tools/call", CALL, Call())
    event_stream = drip(b"data: " + b"x" * 4000, 0, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    server.handlers["tools/call"] = lambda asked: event_stream
    with pytest.raises(UpstreamError, match="answered something that is not MCP"):
        link_to(server).request("tools/call", CALL, Call())


def test_a_server_that_does_not_answer_in_time_is_told_to_stop(upstream, link_to):
    never = drip(b": x\n\n", 0.05, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    server = upstream(older(tools__call=lambda asked: never))
    link = link_to(server, seconds=0.6)
    started = time.monotonic()
    with pytest.raises(UpstreamError, match="did not answer in time"):
        link.request("tools/call", CALL, Call())
    assert time.monotonic() - started < 3
    told = wait_until(lambda: [asked for asked in server.asked if asked.method == "notifications/cancelled"])
    called = next(asked for asked in server.asked if asked.method == "tools/call")
    assert told[0].message["params"] == {"requestId": called.message["id"]}


# --- cancelling (case G-10) ---


@pytest.mark.parametrize("era", [modern, older])
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_cancelling_tells_the_server_in_the_way_of_its_era(upstream, link_to, era, kind):
    left = threading.Event()
    went = threading.Event()

    def hang(server: RawServer, sock) -> None:
        if kind == "text/event-stream":
            sock.sendall(STREAM)
        went.set()
        with suppress(ConnectionError):  # what we had not read yet makes it a reset
            assert sock.recv(1) == b""
        left.set()

    server = upstream(era(tools__call=lambda asked: hang))
    link, call = link_to(server), Call()
    threading.Thread(target=lambda: (went.wait(5), call.cancelled.set())).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        link.request("tools/call", CALL, call)
    assert time.monotonic() - started < 3
    assert left.wait(3)
    assert server.methods().count("notifications/cancelled") == (era is older)
    server.handlers["tools/call"] = lambda asked: asked.result(DONE)
    assert link.request("tools/call", CALL, Call()) == DONE


# --- sessions that get lost ---


def lose(server: FakeUpstream, answer: bytes, session: str = "s-2") -> None:
    """From now on the server knows only a session that does not exist yet."""

    def call(asked: Asked) -> bytes:
        return asked.result(DONE) if asked.headers.get("mcp-session-id") == session else answer

    server.handlers |= older(session=session) | {"tools/call": call}


LOST = {
    "404": plain(b"", "404 Not Found"),
    "404 with an error": as_json(REFUSAL, "404 Not Found"),
    "400 as the TypeScript SDK says it": as_json(REFUSAL | {"error": {"code": -32000, "message": "x"}}, "400 Bad Request"),
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_a_lost_session_is_begun_again_once(upstream, link_to, answer):
    server = upstream(older())
    link = link_to(server)
    lose(server, answer)
    assert link.request("tools/call", CALL, Call()) == DONE
    assert server.methods()[3:] == ["tools/call", "initialize", "notifications/initialized", "tools/call"]
    assert "mcp-session-id" not in server.asked[4].headers
    lose(server, answer, "s-3")
    server.handlers["initialize"] = older(session="s-9")["initialize"]
    with pytest.raises(UpstreamError, match="forgotten our session"):
        link.request("tools/call", CALL, Call())
    assert server.methods().count("tools/call") == 4


def test_many_threads_begin_one_new_session(upstream, link_to):
    server = upstream(older())
    link = link_to(server)
    lose(server, LOST["404"])
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(link.request("tools/call", CALL, Call()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [DONE] * 8
    assert server.methods().count("initialize") == 2


def test_a_session_that_cannot_be_begun_again_is_dead(upstream, link_to):
    server = upstream(older())
    link = link_to(server)
    lose(server, LOST["404"])
    server.handlers["initialize"] = plain(b"", "500 Broken")
    with pytest.raises(UpstreamError, match="begins no new one"):
        link.request("tools/call", CALL, Call())
    assert not link.is_alive


def test_closing_says_goodbye_to_a_server_that_keeps_a_session(upstream, link_to):
    server = upstream(older())
    link = link_to(server)
    link.close()
    link.close()
    assert [(asked.verb, asked.headers["mcp-session-id"]) for asked in server.asked[3:]] == [("DELETE", "s-1")]
    assert not link.is_alive
    with pytest.raises(UpstreamError, match="closed"):
        link.request("tools/call", CALL, Call())
    newer = upstream(modern())
    link_to(newer).close()
    assert newer.methods() == ["server/discover"]


def test_closing_wakes_whoever_waits(upstream, link_to):
    went = threading.Event()

    def hang(server: RawServer, sock) -> None:
        went.set()
        server.stopping.wait(5)

    server = upstream(modern(tools__call=lambda asked: hang))
    link = link_to(server)
    threading.Thread(target=lambda: (went.wait(5), link.close())).start()
    started = time.monotonic()
    with pytest.raises(UpstreamError, match=r"was left|was closed"):
        link.request("tools/call", CALL, Call())
    assert time.monotonic() - started < 3


# --- streams that are taken up again ---


def test_a_broken_stream_is_asked_for_again_after_the_time_that_the_server_wants(upstream, link_to):
    times: dict[str, float] = {}
    question_id: list[int] = []

    def call(asked: Asked) -> bytes:
        question_id.append(asked.message["id"])
        times["broken"] = time.monotonic()
        return STREAM + chunk(b"id: e-1\nretry: 300\ndata: \n\n") + END

    def rest(asked: Asked) -> bytes:
        times.setdefault("asked", time.monotonic())
        if asked.headers["last-event-id"] == "e-1":
            return STREAM + event(note("notifications/message", level="info", data="again"), "e-2") + END
        return STREAM + event({"jsonrpc": "2.0", "id": question_id[0], "result": DONE}, "e-3") + END

    server = upstream(older(tools__call=call, GET=rest))
    ear = Ear()
    assert link_to(server).request("tools/call", CALL, ear) == DONE
    assert times["asked"] - times["broken"] >= 0.3
    assert [asked.headers["last-event-id"] for asked in server.asked if asked.verb == "GET"] == ["e-1", "e-2"]
    assert all(asked.headers["mcp-session-id"] == "s-1" for asked in server.asked if asked.verb == "GET")
    assert ear.said == [("info", "again")]


def test_a_stream_that_never_goes_on_is_given_up(upstream, link_to):
    begun = STREAM + chunk(b"id: e-1\nretry: 10\ndata: \n\n") + END
    server = upstream(older(tools__call=lambda asked: begun, GET=lambda asked: STREAM + END))
    with pytest.raises(UpstreamError, match="stopped in the middle"):
        link_to(server).request("tools/call", CALL, Call())
    assert server.methods().count("GET") == 4
    server.handlers["GET"] = plain(b"", "405 Method Not Allowed")
    with pytest.raises(UpstreamError, match="status 405"):
        link_to(server).request("tools/call", CALL, Call())


def test_a_wait_longer_than_the_request_may_take_is_not_begun(upstream, link_to):
    begun = STREAM + chunk(b"id: e-1\nretry: 60000\ndata: \n\n") + END
    server = upstream(older(tools__call=lambda asked: begun))
    started = time.monotonic()
    with pytest.raises(UpstreamError, match="did not answer in time"):
        link_to(server).request("tools/call", CALL, Call())
    assert time.monotonic() - started < 3


# --- being let in ---


def test_without_a_key_a_server_that_wants_one_is_a_matter_for_its_person(upstream, link_to):
    refusal = plain(SECRET.encode(), "401 Unauthorized", f"WWW-Authenticate: Bearer realm={SECRET}")
    server = upstream(modern(server__discover=refusal))
    with pytest.raises(SignInNeeded) as needed:
        link_to(server)
    assert SECRET not in str(needed.value)
    assert server.methods() == ["server/discover"]


def guarded(token: str, challenge: str = 'Bearer resource_metadata="http://169.254.169.254/"', status: str = "401 No") -> Any:
    """Lets in only this token."""

    def answer(asked: Asked) -> bytes:
        let_in = asked.headers.get("authorization") == f"Bearer {token}"
        return asked.result(DONE) if let_in else plain(b"", status, f"WWW-Authenticate: {challenge}")

    return answer


@pytest.mark.parametrize("era", [modern, older])
def test_a_refused_token_is_replaced_once(upstream, link_to, era):
    server, key = upstream(era(tools__call=guarded("new"))), Key("old", "new")
    link = link_to(server, authorizer=key, headers={"Authorization": "Basic typed"})
    assert link.request("tools/call", CALL, Call()) == DONE
    assert key.refusals == [(401, 'Bearer resource_metadata="http://169.254.169.254/"')]
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == ["Bearer old"] * (len(sent) - 1) + ["Bearer new"]
    server.handlers["tools/call"] = guarded("newest")
    with pytest.raises(SignInNeeded, match=r"^Sign in again\.$"):
        link.request("tools/call", CALL, Call())
    assert "notifications/cancelled" not in server.methods()


def test_it_does_not_try_for_ever(upstream, link_to):
    server, key = upstream(modern(tools__call=guarded("never"))), Key("a", "b", "c", "d")
    with pytest.raises(SignInNeeded, match="does not let this connection in"):
        link_to(server, authorizer=key).request("tools/call", CALL, Call())
    assert server.methods().count("tools/call") == 2


@pytest.mark.parametrize(
    ("challenge", "is_told"),
    [('Bearer error="insufficient_scope", scope="a"', True), ('Bearer error="invalid_request"', False), ("Basic", False)],
)
def test_403_is_about_the_sign_in_only_if_it_says_so(upstream, link_to, challenge, is_told):
    server, key = upstream(modern(tools__call=guarded("b", challenge, "403 Forbidden"))), Key("a", "b")
    link = link_to(server, authorizer=key)
    if is_told:
        assert link.request("tools/call", CALL, Call()) == DONE
    else:
        with pytest.raises(UpstreamError, match=r"did not accept the request \(status 403\)"):
            link.request("tools/call", CALL, Call())
    assert key.refusals == ([(403, challenge)] if is_told else [])


# --- where it leads (cases S-22, S-23, G-01) ---


def test_a_redirect_to_another_path_of_the_same_server_is_followed_and_remembered(upstream, link_to):
    def discover(asked: Asked) -> bytes:
        moved = plain(b"", "307 Temporary Redirect", "Location: /mcp/")
        return modern()["server/discover"](asked) if asked.path == "/mcp/" else moved

    server = upstream(modern(server__discover=discover))
    link_to(server, authorizer=Key("t")).request("tools/list", {}, Call())
    assert [(asked.path, asked.method) for asked in server.asked] == [
        ("/mcp", "server/discover"), ("/mcp/", "server/discover"), ("/mcp/", "tools/list"),
    ]  # fmt: skip


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_nothing_goes_to_another_server(upstream, link_to, status):
    with RawServer(plain()) as other:
        moved = plain(b"", status, f"Location: http://127.0.0.1:{other.port}/mcp")
        server = upstream(modern() | {"server/discover": moved, "initialize": moved})
        with pytest.raises(UpstreamError, match="another address, which is not followed"):
            link_to(server, authorizer=Key("t"), headers={"X-Api-Key": "k"})
        assert other.heads == []
    assert server.methods() == ["server/discover", "initialize"]


def test_a_redirect_in_a_circle_ends(upstream, link_to):
    moved = plain(b"", "307 Temporary", "Location: /mcp")
    server = upstream({"server/discover": moved, "initialize": moved})
    with pytest.raises(UpstreamError, match="not followed"):
        link_to(server)
    assert len(server.asked) == 4


@pytest.mark.parametrize("url", ["http://192.168.1.5:3000/mcp", "https://169.254.169.254/mcp", "ftp://a/", "https://a/../b"])
def test_an_address_that_may_not_be_reached_is_refused(url):
    with FakeUpstream(modern()) as server, pytest.raises(UpstreamError):
        HttpLink(HttpTarget(url), server.fetcher, {}, lambda method, params: None)
    assert server.asked == []


def test_nothing_of_ours_goes_along(upstream, link_to):
    server = upstream(older(tools__call=lambda asked: asked.result(DONE)))
    link = link_to(server)
    link.request("tools/call", CALL, Ear())
    link.close()
    newer = upstream(modern())
    link_to(newer).request("tools/call", CALL, Ear())
    seen = {name for asked in [*server.asked, *newer.asked] for name in asked.headers}
    assert not seen & FORBIDDEN
    assert seen == {
        "host", "user-agent", "accept-encoding", "accept", "content-type", "content-length", "mcp-protocol-version",
        "mcp-session-id", "mcp-method", "mcp-name",
    }  # fmt: skip


# --- what a server says unasked ---

TELLS = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}}


def open_stream(*messages: Any) -> Callable[[Asked], Any]:
    """A stream that stays open after some messages."""

    def answer(asked: Asked):
        def talk(server: FakeUpstream, sock) -> None:
            sock.sendall(STREAM + b"".join(event(item(asked) if callable(item) else item) for item in messages))
            server.stopping.wait(10)

        return talk

    return answer


def test_a_newer_server_is_asked_to_tell_of_changed_lists(upstream, link_to):
    heard: list[str] = []
    listen = open_stream(note("notifications/subscriptions/acknowledged"), note("notifications/tools/list_changed"))
    server = upstream(modern(TELLS, subscriptions__listen=listen))
    link = link_to(server, hear=lambda method, params: heard.append(method))
    assert "subscriptions/listen" not in server.methods()
    link.request("tools/list", {}, Call())
    wait_until(lambda: "notifications/tools/list_changed" in heard)
    asked = next(asked for asked in server.asked if asked.method == "subscriptions/listen")
    assert asked.message["params"]["notifications"] == {"toolsListChanged": True, "promptsListChanged": True}
    assert (asked.headers["mcp-method"], asked.headers["mcp-protocol-version"]) == ("subscriptions/listen", MODERN)
    link.request("tools/list", {}, Call())
    assert server.methods().count("subscriptions/listen") == 1


def test_an_older_server_tells_on_a_stream_that_is_taken_up_again(upstream, link_to):
    heard: list[str] = []
    once = STREAM + chunk(b"retry: 20\n") + event(note("notifications/tools/list_changed"), "e-1") + END
    answers = iter([once, once])
    server = upstream(older(TELLS, GET=lambda asked: next(answers, plain(b"", "405 Method Not Allowed"))))
    link_to(server, hear=lambda method, params: heard.append(method)).request("tools/list", {}, Call())
    wait_until(lambda: server.methods().count("GET") == 3)
    assert heard[len(TELLS) :] == ["notifications/tools/list_changed"] * 2  # the first ones are our own: what may have changed
    streams = [asked for asked in server.asked if asked.verb == "GET"]
    assert [asked.headers.get("last-event-id") for asked in streams] == [None, "e-1", "e-1"]
    assert {asked.headers["accept"] for asked in streams} == {"text/event-stream"}


def test_a_question_on_that_stream_goes_to_whoever_asks_just_now(upstream, link_to):
    replied, may_ask = threading.Event(), threading.Event()

    def listen(asked: Asked):
        def talk(server: FakeUpstream, sock) -> None:
            sock.sendall(STREAM)
            assert may_ask.wait(5)
            sock.sendall(event(question(1, "elicitation/create", message="?")))
            server.stopping.wait(10)

        return talk

    def call(asked: Asked):
        def talk(server: FakeUpstream, sock) -> None:
            may_ask.set()
            assert replied.wait(5)
            sock.sendall(asked.result(DONE))

        return talk

    def reply(asked: Asked) -> bytes:
        replied.set()
        return plain(b"", "202 Accepted")

    server = upstream(older(GET=listen, tools__call=call, reply=reply))
    ear = Ear()
    assert link_to(server, {"elicitation": {}}).request("tools/call", CALL, ear) == DONE
    assert ear.said == [[("elicitation/create", {"message": "?"})]]


def test_a_server_that_may_ask_is_listened_to_before_it_is_called(upstream, link_to):
    is_open = threading.Event()

    def listen(asked: Asked):
        def talk(server: FakeUpstream, sock) -> None:
            time.sleep(0.3)
            is_open.set()
            sock.sendall(STREAM)
            server.stopping.wait(10)

        return talk

    server = upstream(older(GET=listen, tools__call=lambda asked: asked.result({"open": is_open.is_set()})))
    assert link_to(server, {"elicitation": {}}).request("tools/call", CALL, Ear()) == {"open": True}
    refusing = upstream(older(GET=plain(b"", "405 Method Not Allowed")))
    started = time.monotonic()
    link_to(refusing, {"elicitation": {}}).request("tools/call", CALL, Ear())
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("handlers", [modern(), older(), older(TELLS, session="")])
def test_a_server_with_nothing_to_tell_is_not_listened_to(upstream, link_to, handlers):
    server = upstream(handlers)
    link_to(server).request("tools/list", {}, Call())
    time.sleep(0.1)
    assert not {"GET", "subscriptions/listen"} & set(server.methods())


def test_what_needs_no_answer_is_told_only_to_those_who_take_it(upstream, link_to):
    for handlers, count in ((older(), 1), (modern(), 0)):
        server = upstream(handlers)
        link_to(server).notify("notifications/roots/list_changed", {})
        assert server.methods().count("notifications/roots/list_changed") == count

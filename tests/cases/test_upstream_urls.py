"""Other MCP servers over HTTP: where requests to them may lead, what goes along, and what they must not get away with."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from conftest import NOW
from fake_upstream import STREAM, Asked, FakeUpstream, answered, as_json, event, modern, note, older
from raw_server import RawServer, plain
from test_upstream_http import DONE, FORBIDDEN, Ear, Key
from test_upstream_sse import FakeSse

from cases.catalogue import case
from definitions import find_target
from errors import Cancelled, ToolError, UpstreamError, UpstreamRefused
from fetch import Fetcher
from store.connections import Connection, Draft, get_connection, insert_connection
from store.users import insert_user
from tools import Call
from upstream import Upstreams
from upstream_opener import Opener

OURS = "mcp_at_our-own-bearer"
NEVER_SENT = FORBIDDEN - {"authorization"} | {"via", "origin", "referer"}
SECRET = "sk-hunter2-secret"
ERAS = {"modern": modern, "older": older}


@pytest.fixture
def start() -> Iterator[Callable[..., FakeUpstream]]:
    """Start a server that an assistant's calls are forwarded to."""
    running: list[FakeUpstream] = []

    def make(handlers: Mapping[str, Any]) -> FakeUpstream:
        running.append(FakeUpstream(handlers).__enter__())
        return running[-1]

    yield make
    for server in running:
        server.__exit__()


class Desk:
    """Alice's connections, and the pool that leads to their servers."""

    def __init__(self, db: Any, vault: Any):
        self._db, self._vault = db, vault
        with db.write() as run:
            self._user = insert_user(run, "alice", "no password", NOW).id
        self.allowed: set[str] = set()
        self.keys: dict[str, Key] = {}
        self.schema: dict[str, Any] | None = None
        self._pools: list[Upstreams] = []

    def connect(
        self, url: str, connector: str = "remote_http", secrets: Mapping[str, str] | None = None, **settings: Any
    ) -> Connection:
        """A connection as a person would have filled it in."""
        name = f"{connector} {len(self.allowed)} {time.monotonic_ns()}"
        with self._db.write() as run:
            draft = Draft(connector, name, {"url": url, "seconds": 5, **settings}, secrets or {})
            return get_connection(self._db, self._user, insert_connection(run, self._vault, self._user, draft, NOW))

    def to(self, server: FakeUpstream, **more: Any) -> Connection:
        """A connection to a server that may be reached."""
        self.allowed.add(f"127.0.0.1:{server.port}")
        return self.connect(server.url, **more)

    def pool(self) -> Upstreams:
        """The pool, with the guard as it is set now."""
        opener = Opener(Fetcher(frozenset(self.allowed)), None, lambda owner, name: self.schema)
        self._pools.append(Upstreams(self._db, self._vault, opener, authorizer=lambda one: self.keys.get(one.id)))
        return self._pools[-1]

    def call(self, one: Connection, call: Call | None = None, pool: Upstreams | None = None, **arguments: Any) -> Any:
        """Call a tool."""
        params = {"name": "look", "arguments": arguments}
        return (pool or self.pool()).request(one, "tools/call", params, call or Call())

    def stop(self) -> None:
        for pool in self._pools:
            pool.stop()


@pytest.fixture
def desk(db: Any, vault: Any) -> Iterator[Desk]:
    desk = Desk(db, vault)
    yield desk
    desk.stop()


# --- S-22, S-23: where a request may lead ---


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        case("S-22", "a private address", "http://192.168.1.5:3000/mcp", "add 192.168.1.5:3000 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "this machine", "http://127.0.0.1:9/mcp", "add 127.0.0.1:9 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "IPv6", "https://[fd12::1]/mcp", r"add \[fd12::1\]:443 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "metadata", "http://169.254.169.254/mcp", "leads to an address that is not public"),
        case("S-22", "metadata though listed", "http://169.254.169.254:80/mcp", "leads to an address that is not public"),
    ],
)
@pytest.mark.parametrize("connector", ["remote_http", "remote_sse"])
def test_an_address_inside_is_refused_unless_it_is_listed(desk, url, sentence, connector):
    desk.allowed.add("169.254.169.254:80")
    with pytest.raises(UpstreamError, match=sentence):
        desk.call(desk.connect(url, connector))


def test_s22_a_listed_address_is_reached(desk, start):
    assert desk.call(desk.to(start(modern(tools__call=lambda asked: asked.result(DONE))))) == DONE


@pytest.mark.parametrize(
    ("status", "location"),
    [
        case("S-23", f"{status} to {words}", status, location)
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
        for words, location in {
            "another port": "http://127.0.0.1:{other}/mcp",
            "another port, without a scheme": "//127.0.0.1:{other}/mcp",
            "another name": "http://localhost:{port}/mcp",
            "the same port by https": "https://127.0.0.1:{port}/mcp",
            "metadata": "http://169.254.169.254/latest/meta-data/",
        }.items()
    ],
)
def test_no_redirect_leads_to_another_origin(desk, start, status, location):
    with RawServer(plain()) as other:
        server = start(modern())
        one = desk.to(server, auth="api_key", secrets={"api_key": SECRET})
        desk.allowed |= {f"127.0.0.1:{other.port}", f"localhost:{server.port}"}
        where = location.format(other=other.port, port=server.port)
        server.handlers["tools/call"] = plain(b"", status, f"Location: {where}")
        with pytest.raises(UpstreamError, match=r"^The server sends us to another address, which is not followed\.$"):
            desk.call(one)
        assert (other.heads, server.methods()) == ([], ["server/discover", "tools/call"])
    assert server.asked[-1].headers["authorization"] == f"Bearer {SECRET}"


# --- S-25, S-26: what people and assistants write ---

HOSTILE = {
    "a path that climbs": "../../admin",
    "another host": "//evil.example/",
    "a user name": "@evil.example/",
    "a port": ":80/x",
    "a query": "?a=b#c",
    "a line break": "a\r\nHost: evil.example\r\n\r\nGET / HTTP/1.1",
    "a URL": "http://169.254.169.254/",
}


@pytest.mark.parametrize("value", [case("S-25", words, value) for words, value in HOSTILE.items()])
@pytest.mark.parametrize("era", ERAS)
def test_arguments_and_uris_do_not_change_where_a_request_goes(desk, start, era, value):
    server = start(ERAS[era]())
    desk.schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "Host"}}}
    one, pool = desk.to(server), desk.pool()
    desk.call(one, pool=pool, a=value)
    for method, params in (("resources/read", {"uri": value}), ("prompts/get", {"name": value}), ("tools/call", {"name": value})):
        pool.request(one, method, params, Call())
    assert {(asked.verb, asked.path, asked.headers["host"]) for asked in server.asked} == {
        ("POST", "/mcp", f"127.0.0.1:{server.port}")
    }
    assert len([asked for asked in server.asked if json.dumps(value) in json.dumps(asked.message)]) == 4


@pytest.mark.parametrize("value", [case("S-25", f"in the address: {words}", value) for words, value in HOSTILE.items()])
def test_a_persons_value_stays_in_its_place_in_an_address(value):
    settings = {"url": "https://api.example/v1/${input:TEAM}/mcp?q=${input:TEAM}", "inputs": {"TEAM": value}}
    try:
        url = find_target("remote_http", settings, {}).url
    except ToolError:
        return
    assert url.startswith("https://api.example/v1/")
    assert url.count("/") == 5
    assert not {"@", "#", " ", "\r"} & set(url)


def test_a_value_that_fits_is_put_into_the_address():
    settings = {"url": "https://api.example/v1/${input:TEAM}/mcp", "inputs": {"TEAM": "blue"}}
    assert find_target("remote_http", settings, {}).url == "https://api.example/v1/blue/mcp"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        case("S-26", name, name, value)
        for name, value in {
            "url": "http://evil.example/mcp",
            "Host": "evil.example",
            "X-Atlassian-Jira-Url": "http://evil.example",
            "x-upstream": "169.254.169.254",
            "authorization": f"Bearer {OURS}",
        }.items()
    ],
)
def test_nothing_that_an_assistant_sends_names_the_destination_or_a_header(desk, start, name, value):
    server = start(modern())
    one = desk.to(server)
    params = {"name": "look", "arguments": {name: value}, "_meta": {name: value, "headers": {name: value}}, name: value}
    desk.pool().request(one, "tools/call", params, Call())
    asked = server.asked[-1]
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert {value, name.lower()} & ({*asked.headers.values()} | (asked.headers.keys() - {"host"})) == set()
    assert asked.message["params"]["arguments"] == {name: value}


# --- G-01, G-08: what an upstream receives ---


def start_sse() -> FakeSse:
    """A server of 2024."""
    server = FakeSse(tools__call=lambda asked: [answered(asked, **DONE)])
    server.answer = lambda raw, sock: server.serve(sock)
    return server


@pytest.mark.parametrize("kind", [case("G-01", kind, kind) for kind in ("modern", "older", "sse")])
def test_an_upstream_gets_its_own_credential_and_nothing_else(desk, start, kind):
    servers = [start_sse().__enter__() if kind == "sse" else start(ERAS[kind]()) for _ in range(3)]
    try:
        connector = "remote_sse" if kind == "sse" else "remote_http"
        by_key = desk.to(servers[0], connector=connector, auth="api_key", secrets={"api_key": "key-of-a"})
        extra = {"header_names": ["X-Team"], "secrets": {"header:X-Team": "team-of-b"}}
        by_header = desk.to(servers[1], connector=connector, **extra)
        by_oauth = desk.to(servers[2], connector=connector)
        desk.keys[by_oauth.id] = Key("token-of-c")
        pool = desk.pool()
        for one in (by_key, by_header, by_oauth):
            assert desk.call(one, Ear(), pool)["resultType"] == "complete"
        desk.stop()
        seen = [" ".join(server.heads) + b" ".join(server.bodies).decode() for server in servers]
        secrets = ("key-of-a", "team-of-b", "token-of-c")
        assert [[secret in text for secret in secrets] for text in seen] == [
            [True, False, False], [False, True, False], [False, False, True],
        ]  # fmt: skip
        assert not any({*asked.headers} & NEVER_SENT for server in servers for asked in server.asked)
        assert all("mcp_at_" not in text for text in seen)
    finally:
        if kind == "sse":
            for server in servers:
                server.__exit__()


@pytest.mark.parametrize(
    ("era", "method", "params", "name"),
    [
        case("G-08", f"{era} {method}", era, method, params, name)
        for era in ERAS
        for method, params, name in (
            ("tools/call", {"name": "look", "arguments": {"where": "eu"}}, "look"),
            ("resources/read", {"uri": "file:///a"}, "file:///a"),
            ("prompts/get", {"name": "größe"}, "=?base64?Z3LDtsOfZQ==?="),
            ("tools/list", {}, None),
        )
    ],
)
def test_headers_are_made_anew_for_each_upstream(desk, start, era, method, params, name):
    server = start(ERAS[era]())
    desk.schema = {"type": "object", "properties": {"where": {"type": "string", "x-mcp-header": "Where"}}}
    theirs = {"io.modelcontextprotocol/protocolVersion": "1999-01-01", "io.modelcontextprotocol/clientInfo": {"name": "ChatGPT"}}
    one = desk.to(server)
    desk.pool().request(one, method, params | ({"_meta": theirs} if era == "modern" else {}), Call())
    asked = server.asked[-1]
    headers = {key: value for key, value in asked.headers.items() if key.startswith("mcp-")}
    if era == "older":
        assert headers == {"mcp-protocol-version": "2025-11-25", "mcp-session-id": "s-1"}
        return
    expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name}
    expected |= {"mcp-param-where": "eu"} if method == "tools/call" else {}
    assert headers == {key: value for key, value in expected.items() if value}
    assert asked.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert asked.message["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "postern"


# --- G-03, G-09, G-10: what an upstream must not get away with ---


@pytest.mark.parametrize(
    "answer",
    [
        case("G-03", "in a page", plain(f"<html>{SECRET}".encode(), "500 Broken", "Content-Type: text/html")),
        case("G-03", "in a status line", plain(b"", f"418 {SECRET}")),
        case("G-03", "in a challenge", plain(b"", "403 Forbidden", f'WWW-Authenticate: Bearer realm="{SECRET}"')),
        case("G-03", "in an address", plain(b"", "307 Moved", f"Location: http://evil.example/{SECRET}")),
        case("G-03", "in broken JSON", plain(SECRET.encode(), "200 OK", "Content-Type: application/json")),
        case("G-03", "in a media type", plain(b"", "200 OK", f"Content-Type: {SECRET}/x")),
    ],
)
def test_what_goes_wrong_is_told_without_the_servers_words(desk, start, answer):
    server = start(modern(tools__call=answer))
    one = desk.to(server, auth="api_key", secrets={"api_key": SECRET})
    with pytest.raises(UpstreamError) as refusal:
        desk.call(one)
    assert SECRET not in str(refusal.value)
    assert SECRET in server.asked[-1].headers["authorization"]


def test_g03_an_error_of_the_servers_is_kept_apart_from_our_own_words(desk, start):
    server = start(modern(tools__call=lambda asked: asked.error(-32000, "200 OK", message=SECRET)))
    with pytest.raises(UpstreamRefused) as refusal:
        desk.call(desk.to(server))
    assert (refusal.value.message, str(refusal.value)) == (SECRET, "the server answered with error -32000")


STRAYS: dict[str, Callable[[Asked], Any]] = {
    "another id": lambda asked: answered(asked) | {"id": asked.message["id"] + 1, "result": {"stolen": True}},
    "an id of before": lambda asked: answered(asked) | {"id": asked.message["id"] - 1, "result": {"stolen": True}},
    "an id as text": lambda asked: answered(asked) | {"id": str(asked.message["id"]), "result": {"stolen": True}},
    "no id": lambda asked: {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}},
    "a request for a method of ours": lambda asked: {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}},
    "a question that nobody offered to answer": lambda asked: {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage"},
    "progress of another": lambda asked: note("notifications/progress", progressToken=asked.message["id"] + 1, progress=1),
}


@pytest.mark.parametrize(
    ("era", "stray"), [case("G-09", f"{era}: {words}", era, stray) for era in ERAS for words, stray in STRAYS.items()]
)
def test_what_nobody_asked_for_is_dropped(desk, start, era, stray):
    def call(asked: Asked) -> bytes:
        after = event(answered(asked, second=True))  # an answer that comes twice
        return STREAM + event(stray(asked)) + event(answered(asked, **DONE)) + after + b"0\r\n\r\n"

    server, ear = start(ERAS[era](tools__call=call)), Ear()
    ear.capabilities = {}
    one, pool = desk.to(server), desk.pool()
    assert [desk.call(one, ear, pool) for _ in range(3)] == [DONE] * 3
    assert ear.said == []


def test_g09_a_json_answer_with_the_id_of_another_is_none(desk, start):
    wrong = lambda asked: as_json(answered(asked) | {"id": asked.message["id"] + 1, "result": {"stolen": True}})  # noqa: E731
    with pytest.raises(UpstreamError, match="answered something that is not MCP"):
        desk.call(desk.to(start(modern(tools__call=wrong))))


@pytest.mark.parametrize("era", [case("G-10", era, era) for era in ERAS])
def test_an_answer_after_cancellation_reaches_nobody(desk, start, era):
    late = threading.Event()

    def call(asked: Asked) -> Any:
        if asked.message["params"]["arguments"]:
            return asked.result(DONE)

        def talk(server: RawServer, sock: Any) -> None:
            sock.sendall(STREAM)
            late.wait(5)
            sock.sendall(event(answered(asked, stolen=True)) + b"0\r\n\r\n")

        return talk

    server = start(ERAS[era](tools__call=call))
    one, pool, caller = desk.to(server), desk.pool(), Call()
    threading.Timer(0.2, caller.cancelled.set).start()
    with pytest.raises(Cancelled):
        desk.call(one, caller, pool)
    late.set()
    assert [desk.call(one, None, pool, n=n) for n in range(3)] == [DONE] * 3
    assert server.methods().count("notifications/cancelled") == (era == "older")

"""`/mcp` over WSGI: the checks in their order, answers of both eras, streams, cancelling."""

from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as some
from patience import wait_until
from werkzeug.test import Client

from errors import InvalidToken, ProtocolError, StorageError, ToolError, TooManyRequests
from mcp_bridge import Bridge
from mcp_http import MAX_BODY
from mcp_methods import METHODS
from tools import Tool, text

MODERN = "2026-07-28"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
BOTH = "application/json, text/event-stream"
PRM = "http://localhost:8000/.well-known/oauth-protected-resource"
HEADER_SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


class FakeToolbox:
    """Tools by name; each gets the call and its arguments."""

    def __init__(self):
        self.handlers = {}
        self.tools = {}

    def add(self, name, handler, *, streams=False, schema=None):
        self.handlers[name] = handler
        self.tools[name] = Tool(name, name, "", schema or {"type": "object"}, handler, streams=streams)

    def list_tools(self, caller, *, modern):
        return [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]

    def list_nothing(self, caller):
        return []

    list_resources = list_templates = list_prompts = list_nothing

    def can_subscribe(self, caller):
        return False

    def read_resource(self, caller, uri, call):
        return None

    def get_prompt(self, caller, name, arguments, call):
        return {"messages": []}

    def complete(self, caller, ref, argument, call):
        return {"completion": {"values": []}}

    def find_tool(self, caller, name):
        return self.tools.get(name)

    def call_tool(self, caller, name, arguments, call):
        if name not in self.handlers:
            raise ProtocolError(-32602, "Unknown tool")
        return {"content": [text(str(self.handlers[name](call, arguments)))]}


CALLERS = {
    "alice": SimpleNamespace(user_id="alice", grant_id="grant-1", session_id="session-1", paused_at=None),
    "bob": SimpleNamespace(user_id="bob", grant_id="grant-2", session_id="session-2", paused_at=None),
}


def authenticate(authorization, resource):
    """`Bearer alice` is Alice, at any address that ends in /mcp or /mcp/home."""
    if authorization is None:
        raise InvalidToken("A bearer token is needed.", code=None)
    name = authorization.partition(" ")[2]
    if name not in CALLERS or not resource.endswith(("/mcp", "/mcp/home")):
        raise InvalidToken("The access token is unknown, expired or revoked.")
    return CALLERS[name]


@pytest.fixture
def toolbox():
    box = FakeToolbox()
    box.add("echo", lambda call, arguments: arguments.get("word", "…"))
    return box


@pytest.fixture
def bridge(settings, toolbox, vault, db):
    return Bridge(dataclasses.replace(settings, threads=3), authenticate, toolbox, vault, db)


@pytest.fixture
def post(bridge):
    """Post a message as Alice; keyword arguments change what a request has."""
    client = Client(bridge)

    def send(message=None, *, method="POST", path="/mcp", data=None, **headers):
        usual = {
            "Host": "localhost:8000",
            "Authorization": "Bearer alice",
            "Content-Type": "application/json",
            "Accept": BOTH,
        }
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        merged = {name: value for name, value in {**usual, **given}.items() if value is not None}
        body = data if data is not None else json.dumps(message or modern())
        return client.open(path, method=method, data=body, headers=merged, environ_overrides={"HTTP_HOST": merged.get("Host")})

    return send


def modern(method="tools/list", /, **params):
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": ENVELOPE, **params}}


def handshake(method="tools/list", identity=7, /, **params):
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def modern_headers(name="tools/list", tool=None):
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": name}
    return headers if tool is None else {**headers, "Mcp-Name": tool}


def call_modern(post, tool, headers=None, **params):
    message = modern("tools/call", name=tool, **params)
    return post(message, **{**modern_headers("tools/call", tool), **(headers or {})})


def events(response):
    """The messages of an event stream."""
    lines = response.get_data(as_text=True).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def code_of(response):
    return response.status_code, response.get_json()["error"]["code"]


# --- the checks, in their order ---


def test_both_eras_are_served_at_one_address(post):
    for response in (post(modern(), **modern_headers()), post(handshake(), MCP_Protocol_Version="2025-11-25"), post(handshake())):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.get_json()["result"]["tools"][0]["name"] == "echo"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost/", "localhost?", "a@localhost", ""])
def test_another_host_is_misdirected(post, host):
    assert code_of(post(Host=host)) == (421, -32600)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil", "http://localhost@evil.example", ""])
def test_pages_of_another_origin_are_forbidden(post, origin):
    assert code_of(post(Origin=origin)) == (403, -32600)


def test_pages_of_our_own_origin_may_ask(post):
    assert post(modern(), Origin="http://localhost:8000", **modern_headers()).status_code == 200


@pytest.mark.parametrize("path", ["/mcp/", "/mcp/a/b", "/mcp/UPPER", "/mcp/a%2Fb", "/mcp/ä", "/mcp/a%0A", "/mcp/" + "a" * 41])
def test_other_addresses_are_not_found_and_never_redirected(post, path):
    response = post(path=path)

    assert code_of(response) == (404, -32600)
    assert "Location" not in response.headers


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "MCP"])
def test_other_methods_are_not_allowed(post, method):
    response = post(method=method)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("path", "metadata"), [("/mcp", PRM + "/mcp"), ("/mcp/home", PRM + "/mcp/home")])
def test_without_a_token_it_says_where_to_get_one(post, path, metadata, method):
    response = post(path=path, method=method, Authorization=None)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{metadata}", scope="mcp"'


def test_a_wrong_token_is_told_to_be_wrong(post):
    response = post(Authorization="Bearer charlie")

    assert response.status_code == 401
    assert response.get_json()["error"] == "invalid_token"
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer resource_metadata="{PRM}/mcp", scope="mcp", error="invalid_token",'
        ' error_description="The access token is unknown, expired or revoked."'
    )


def test_a_token_in_the_query_is_no_token(post):
    assert post(path="/mcp?access_token=alice", Authorization=None).status_code == 401


def test_a_token_in_the_header_and_in_the_query_is_one_too_many(post):
    response = post(path="/mcp?access_token=alice")

    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


def test_an_api_key_may_come_in_a_header_of_its_own(post, monkeypatch):
    monkeypatch.setitem(CALLERS, "mcp_sk_alice", CALLERS["alice"])

    assert post(handshake(), Authorization=None, X_API_Key="mcp_sk_alice").status_code == 200
    assert post(handshake(), Authorization="Bearer mcp_sk_alice").status_code == 200


def test_that_header_takes_api_keys_only(post):
    response = post(Authorization=None, X_API_Key="alice")

    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("authorization", ["Bearer mcp_sk_alice", "Bearer alice", "Basic eDp5", ""])
def test_both_headers_are_one_too_many(post, monkeypatch, authorization):
    monkeypatch.setitem(CALLERS, "mcp_sk_alice", CALLERS["alice"])
    response = post(Authorization=authorization, X_API_Key="mcp_sk_alice")

    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["access_token", "api_key", "apiKey", "key", "x-api-key"])
def test_an_api_key_in_the_query_is_no_key(post, monkeypatch, name):
    monkeypatch.setitem(CALLERS, "mcp_sk_alice", CALLERS["alice"])

    assert post(path=f"/mcp?{name}=mcp_sk_alice", Authorization=None).status_code == 401


def test_an_api_key_in_its_header_and_a_token_in_the_query_is_one_too_many(post):
    response = post(path="/mcp?access_token=alice", Authorization=None, X_API_Key="mcp_sk_alice")

    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


def test_a_long_body_is_refused_without_being_read(bridge, post):
    class Unreadable:
        def read(self, size=-1):
            raise AssertionError("nobody should read this")

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/mcp",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": "Bearer alice",
        "CONTENT_LENGTH": str(MAX_BODY + 1),
        "wsgi.input": Unreadable(),
    }
    said = []
    bridge(environ, lambda status, headers: said.append(status))
    assert [status[:3] for status in said] == ["413"]


def test_a_body_of_the_greatest_length_is_read(post):
    assert code_of(post(data=b" " * MAX_BODY)) == (400, -32700)
    assert code_of(post(data=b" " * (MAX_BODY + 1))) == (413, -32600)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/jsonp", "application/x-www-form-urlencoded"])
def test_only_json_is_taken(post, content_type):
    assert code_of(post(Content_Type=content_type)) == (415, -32600)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "application/json",
        "text/event-stream",
        "text/html",
        "application/json, text/event-stream;q=0",
        "application/json, text/event-stream; Q=0.000",
        "*/*, text/event-stream;q=0",
        "application/json;q=0;a=b, */*",
        "*/*;q=0",
        "text/*, */*;q=0",
    ],
)
def test_the_client_must_welcome_both_kinds_of_answer(post, accept):
    assert code_of(post(Accept=accept)) == (406, -32600)


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "text/event-stream;q=0.5,application/json",
        "application/*, TEXT/*",
        "*/*;q=0.001",
        "text/*, application/json;v=1, */*;q=0",
    ],
)
def test_ranges_of_media_types_are_welcome_too(post, accept):
    response = post(modern(), Accept=accept, Content_Type="Application/JSON; charset=utf-8", **modern_headers())

    assert response.status_code == 200


def test_the_checks_come_in_the_order_of_the_specification(post):
    wrongs = {
        "Host": ("evil.example", 421),
        "Origin": ("http://evil.example", 403),
        "path": ("/mcp/", 404),
        "Authorization": (None, 401),
        "method": ("GET", 405),
        "data": (b" " * (MAX_BODY + 1), 413),
        "Content_Type": ("text/plain", 415),
        "Accept": ("text/plain", 406),
    }
    seen = []
    while wrongs:
        seen.append(post(**{name: value for name, (value, _) in wrongs.items()}).status_code)
        del wrongs[next(iter(wrongs))]

    assert seen == [421, 403, 404, 401, 405, 413, 415, 406]


def test_a_busy_database_is_a_503_and_a_used_up_limit_a_429(settings, toolbox, vault, db):
    answers = {}
    for error in (StorageError("locked"), TooManyRequests(9), RuntimeError("bug")):

        def fail(authorization, resource, error=error):
            raise error

        response = Client(Bridge(settings, fail, toolbox, vault, db)).post("/mcp", headers={"Host": "localhost"})
        answers[response.status_code] = response.headers.get("Retry-After")

    assert answers == {503: "1", 429: "9", 500: None}


# --- messages ---


@pytest.mark.parametrize("data", [b"", b"{", b'"\\ud800"', b"NaN", b"[" * 10_000, b"9" * 5000, b'{"id":1,"id":2}', b"\xff"])
def test_a_body_that_is_not_strict_json_is_a_parse_error(post, data):
    response = post(data=data or b" ")

    assert code_of(response) == (400, -32700)
    assert response.get_json()["id"] is None


@pytest.mark.parametrize(
    "data", [b"[]", b"5", b'{"jsonrpc":"2.0","id":null,"method":"ping"}', b'{"jsonrpc":"2.0","id":1,"result":{}}']
)
def test_a_batch_a_scalar_a_null_id_and_a_response_are_refused(post, data):
    assert code_of(post(data=data)) == (400, -32600)


def test_a_refused_request_is_told_under_its_own_id(post):
    response = post({"jsonrpc": "2.0", "id": "x", "method": 5})
    assert (response.status_code, response.get_json()["id"]) == (400, "x")

    response = post(modern("x/y"), **modern_headers("x/y"))
    assert (response.status_code, response.get_json()["id"]) == (404, 7)


def test_the_handshake_era_answers_errors_with_200(post):
    assert code_of(post(handshake("x/y"))) == (200, -32601)
    assert code_of(post(handshake("tools/call", name="nothing"))) == (200, -32602)


def test_header_and_envelope_must_agree(post):
    assert code_of(post(modern(), MCP_Protocol_Version="2025-11-25")) == (400, -32020)
    assert code_of(post(modern())) == (400, -32020)


def test_an_unknown_version_is_refused(post):
    envelope = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}
    response = post(modern(_meta=envelope), **{**modern_headers(), "MCP-Protocol-Version": "1900-01-01"})

    assert code_of(response) == (400, -32022)


def test_a_param_header_must_mirror_its_argument(post, toolbox):
    toolbox.add("where", lambda call, arguments: arguments.get("region"), schema=HEADER_SCHEMA)
    region = {"arguments": {"region": "eu"}}

    assert call_modern(post, "where", {"Mcp-Param-Region": "eu"}, **region).status_code == 200
    assert code_of(call_modern(post, "where", {"Mcp-Param-Region": "us"}, **region)) == (400, -32020)
    assert code_of(call_modern(post, "where", **region)) == (400, -32020)
    assert code_of(call_modern(post, "where", {"Mcp-Param-Region": "eu"})) == (400, -32020)


@pytest.mark.parametrize("name", ["notifications/initialized", "notifications/whatever", "notifications/cancelled"])
def test_a_notification_is_accepted_and_not_answered(post, name):
    response = post({"jsonrpc": "2.0", "method": name})

    assert (response.status_code, response.get_data()) == (202, b"")


def test_a_notification_of_an_unknown_version_is_refused(post):
    assert code_of(post({"jsonrpc": "2.0", "method": "notifications/x"}, MCP_Protocol_Version="1900-01-01")) == (400, -32022)


def test_initialize_gives_nobody_a_session_without_need(post):
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    response = post(handshake("initialize", **params))

    assert response.get_json()["result"]["protocolVersion"] == "2025-06-18"
    assert "Mcp-Session-Id" not in response.headers


def test_a_handler_that_breaks_does_not_break_the_server(post, toolbox):
    toolbox.add("broken", lambda call, arguments: 1 / 0)

    assert code_of(call_modern(post, "broken")) == (200, -32603)
    assert call_modern(post, "echo").status_code == 200


def test_a_question_comes_back_sealed_for_the_one_who_was_asked(post, toolbox):
    question = ("elicitation/create", {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}})
    toolbox.add("ask", lambda call, arguments: call.ask("sure", *question)["action"])
    meta = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}

    asked = call_modern(post, "ask", _meta=meta).get_json()["result"]
    assert asked["resultType"] == "input_required"

    retry = {"_meta": meta, "requestState": asked["requestState"], "inputResponses": {"sure": {"action": "accept"}}}
    assert call_modern(post, "ask", **retry).get_json()["result"]["content"][0]["text"] == "accept"
    assert code_of(call_modern(post, "ask", {"Authorization": "Bearer bob"}, **retry)) == (400, -32602)
    assert code_of(call_modern(post, "ask")) == (400, -32021)


# --- streams ---

WITH_TOKEN = {**ENVELOPE, "progressToken": "t"}


def test_what_is_said_before_the_result_comes_as_events(post, toolbox):
    toolbox.add("slow", lambda call, arguments: [call.progress(1), call.progress(2)])

    response = call_modern(post, "slow", _meta=WITH_TOKEN)

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert [event.get("method", event.get("id")) for event in events(response)] == ["notifications/progress"] * 2 + [7]


def test_a_call_that_ends_without_a_word_is_plain_json_with_its_status(post, toolbox):
    toolbox.add("streaming", lambda call, arguments: "quick", streams=True)

    assert call_modern(post, "streaming").get_json()["result"]["content"][0]["text"] == "quick"
    assert code_of(call_modern(post, "missing", _meta=WITH_TOKEN)) == (400, -32602)


def test_lists_are_never_streamed(post):
    assert post(modern(_meta=WITH_TOKEN), **modern_headers()).is_json


@pytest.fixture
def waiting(toolbox):
    """A tool that speaks once and then waits until it is cancelled, and what became of it."""
    fate = SimpleNamespace(started=threading.Event(), cancelled=threading.Event(), go=threading.Event())

    def wait(call, arguments):
        call.log("error", "started")
        fate.started.set()
        if call.cancelled.wait(0 if fate.go.is_set() else 10):
            fate.cancelled.set()
        return "over"

    toolbox.add("wait", wait, streams=True)
    return fate


def open_stream(bridge, message, headers=()):
    """Begin an answer, as a WSGI server does; the caller iterates and closes it."""
    body = json.dumps(message).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/mcp",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": "Bearer alice",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        "HTTP_ACCEPT": BOTH,
        "wsgi.input": SimpleNamespace(read=lambda size: body),
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in dict(headers).items()},
    }
    said = []
    answer = bridge(environ, lambda status, headers: said.append(status))
    return said[0], answer


MODERN_WAIT = modern("tools/call", name="wait", _meta={**ENVELOPE, "io.modelcontextprotocol/logLevel": "error"})


def test_closing_the_stream_cancels_in_the_stateless_era(bridge, waiting):
    _, answer = open_stream(bridge, MODERN_WAIT, modern_headers("tools/call", "wait"))
    assert next(answer).startswith(b":")

    answer.close()

    assert waiting.cancelled.wait(5)


def test_closing_the_stream_before_it_is_read_cancels_too(bridge, waiting):
    _, answer = open_stream(bridge, MODERN_WAIT, modern_headers("tools/call", "wait"))

    answer.close()

    assert waiting.cancelled.wait(5)


def test_closing_the_stream_does_not_cancel_in_the_handshake_era(bridge, post, waiting):
    _, answer = open_stream(bridge, handshake("tools/call", 1, name="wait"))
    next(answer)
    answer.close()
    assert not waiting.cancelled.wait(0.1)

    post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})

    assert waiting.cancelled.wait(5)


@pytest.mark.parametrize(
    ("who", "identity"), [("bob", 1), ("alice", "1"), ("alice", 2), ("alice", [1]), ("alice", True), ("alice", 1.0)]
)
def test_nobody_cancels_another_call(bridge, post, waiting, who, identity):
    _, answer = open_stream(bridge, handshake("tools/call", 1, name="wait"))
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": identity}}

    assert post(cancel, Authorization=f"Bearer {who}").status_code == 202
    assert not waiting.cancelled.wait(0.1)

    post({**cancel, "params": {"requestId": 1}})
    assert waiting.cancelled.wait(5)
    assert not any(b'"result"' in event for event in answer)
    answer.close()


def test_a_key_cancels_its_own_calls_and_those_of_no_other_key(bridge, post, waiting, monkeypatch):
    for name in ("a", "b"):
        key = {"session_id": None, "paused_at": None, "api_key_id": f"key-{name}"}
        who = SimpleNamespace(user_id="alice", grant_id=f"grant-{name}", **key)
        monkeypatch.setitem(CALLERS, f"mcp_sk_{name}", who)
    _, answer = open_stream(bridge, handshake("tools/call", 1, name="wait"), {"Authorization": "Bearer mcp_sk_a"})
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}

    assert post(cancel, Authorization="Bearer mcp_sk_b").status_code == 202
    assert not waiting.cancelled.wait(0.1)

    assert post(cancel, Authorization="Bearer mcp_sk_a").status_code == 202
    assert waiting.cancelled.wait(5)
    answer.close()


def test_of_two_calls_under_one_id_neither_is_cancelled(bridge, post, waiting):
    streams = [open_stream(bridge, handshake("tools/call", 1, name="wait"))[1] for _ in range(2)]

    post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})

    assert not waiting.cancelled.wait(0.1)
    bridge.stop()
    for stream in streams:
        stream.close()


def test_streams_leave_a_thread_for_others(bridge, post, waiting):
    streams = [open_stream(bridge, MODERN_WAIT, modern_headers("tools/call", "wait"))[1] for _ in range(2)]

    refused = call_modern(post, "wait")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert call_modern(post, "echo").status_code == 200

    for stream in streams:
        stream.close()
    assert waiting.cancelled.wait(5)


def test_streams_that_come_at_the_same_moment_leave_a_thread_too(bridge, waiting, monkeypatch):
    together, make_call = threading.Barrier(4, timeout=10), bridge._make_call
    monkeypatch.setattr(bridge, "_make_call", lambda *of: (together.wait(), make_call(*of))[1])

    with ThreadPoolExecutor(4) as clients:
        begun = [clients.submit(open_stream, bridge, MODERN_WAIT, modern_headers("tools/call", "wait")) for _ in range(4)]
    answers = [answer.result() for answer in begun]

    assert sorted(status[:3] for status, _ in answers) == ["200", "200", "503", "503"]
    for status, answer in answers:
        if status.startswith("200"):
            answer.close()
    assert waiting.cancelled.wait(5)
    wait_until(lambda: not bridge._streams)


def test_stopping_the_server_ends_the_streams(bridge, waiting):
    _, answer = open_stream(bridge, MODERN_WAIT, modern_headers("tools/call", "wait"))

    bridge.stop()

    assert b'"id":7' not in b"".join(answer)
    answer.close()
    assert waiting.cancelled.wait(5)


def test_a_tool_that_breaks_while_it_streams_ends_the_stream_with_an_error(post, toolbox):
    def breaks(call, arguments):
        call.progress(1)
        raise ToolError("no")

    toolbox.add("breaks", breaks, streams=True)

    last = events(call_modern(post, "breaks", _meta=WITH_TOKEN))[-1]
    assert (last["id"], last["error"]["code"]) == (7, -32603)


# --- whatever comes ---

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=9) | some.just("\ud800"),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = some.fixed_dictionaries(
    {},
    optional={
        "name": some.just("echo") | JSON,
        "uri": JSON,
        "arguments": JSON,
        "cursor": JSON,
        "ref": JSON,
        "argument": JSON,
        "requestState": JSON,
        "inputResponses": JSON,
        "protocolVersion": JSON,
        "capabilities": JSON,
        "_meta": some.just(ENVELOPE) | JSON | some.dictionaries(some.sampled_from([*ENVELOPE, "progressToken"]), JSON),
    },
)
MESSAGES = JSON | some.fixed_dictionaries(
    {"jsonrpc": some.just("2.0")},
    optional={
        "id": some.just(1) | JSON,
        "method": some.sampled_from([*METHODS, "notifications/cancelled"]) | JSON,
        "params": MEMBERS | JSON,
        "result": JSON,
    },
)
HEADERS = some.fixed_dictionaries(
    {},
    optional={
        "MCP-Protocol-Version": some.sampled_from([MODERN, "2025-11-25", "2024-11-05", "1", ""]),
        "Mcp-Method": some.sampled_from(["tools/call", "tools/list", "server/discover", ""]),
        "Mcp-Name": some.sampled_from(["echo", "=?base64?ZWNobw==?=", "=?base64?*?="]),
        "Mcp-Session-Id": some.text(some.characters(min_codepoint=32, max_codepoint=126), max_size=9),
    },
)


@given(message=MESSAGES, headers=HEADERS)
@settings_of_hypothesis(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_a_caller_sends_breaks_the_server(post, caplog, message, headers):
    caplog.clear()
    response = post(data=json.dumps(message).encode(), **headers)

    assert response.status_code in (200, 202, 400, 404)
    assert response.status_code == 202 or response.get_json()["jsonrpc"] == "2.0"
    assert caplog.text == ""

"""forwarding.py and continuing.py: calls reach another server, and its questions reach the client, whatever era either is of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from conftest import NOW
from grants import make_grant
from patience import wait_until

from continuing import Continuations
from db import Database
from errors import Cancelled, ProtocolError, SignInNeeded, ToolError, UpstreamError, UpstreamRefused
from forwarding import ROUNDS_MAX, Forwarding, redact
from links import Greeting
from mcp_call import Earlier, RequestCall, open_state, run_asking
from protocol import Request, answer
from store.connections import Connection, Draft, get_connection, insert_connection

CALL = {"name": "greet", "arguments": {"n": 1}}
FORM = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {}}}
ALICE = {"action": "accept", "content": {"name": "Alice"}}
BOB = {"action": "accept", "content": {"name": "Bob"}}
DONE = {"content": [{"type": "text", "text": "Hello"}], "structuredContent": {"x": None}, "_meta": {"a": 1}, "odd": [1]}
IDENTITY = ("alice", "grant")
KEY = "s3cret-api-key"


class Servers:
    """One other server: what it does is `act(params, call)`."""

    def __init__(self, act: Callable[[Mapping[str, Any], Any], dict[str, Any]], *, is_modern: bool):
        self.act, self.is_modern = act, is_modern
        self.received: list[tuple[str, dict[str, Any]]] = []

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Any) -> dict[str, Any]:
        self.received.append((method, dict(params)))
        return self.act(params, call)

    def greeting(self, connection: Connection, call: Any) -> Greeting:
        return Greeting("2026-07-28" if self.is_modern else "2025-11-25", self.is_modern, {}, {})


def request_of(*, modern: bool, capabilities: dict[str, Any] | None = None, **more: Any) -> Request:
    capabilities = {"elicitation": {}} if capabilities is None else capabilities
    return Request(1, "tools/call", {**CALL, **more}, "2026-07-28" if modern else "2025-11-25", modern, capabilities)


@pytest.fixture
def connection(db: Database, vault) -> Connection:
    make_grant(db, vault, "alice")
    [user] = db.query("SELECT id FROM users WHERE name = 'alice'")
    draft = Draft("remote_http", "Other", {"url": "http://localhost:1"}, {"api_key": KEY, "pin": "1234"})
    with db.write() as run:
        connection_id = insert_connection(run, vault, user["id"], draft, NOW)
    return get_connection(db, user["id"], connection_id)


@pytest.fixture
def forward(db, vault, connection):
    """Calls `greet` for one request of a client; each time it could be another process."""
    processes: list[Forwarding] = []

    def go(servers: Servers, request: Request, relay: Any = None, forwarding: Forwarding | None = None) -> dict[str, Any]:
        forwarding = forwarding or Forwarding(db, vault, servers, lambda: NOW)
        processes.append(forwarding)
        earlier = open_state(vault, request, IDENTITY, now=NOW) if request.modern else Earlier()
        call = RequestCall(request, earlier=earlier, notify=lambda method, params: None, relay=relay)
        work = lambda: forwarding.call_tool(connection, "greet", {"n": 1}, call.request.meta, call)  # noqa: E731
        return run_asking(call, work, vault, IDENTITY, now=NOW)

    yield go
    for forwarding in processes:
        forwarding.stop()
    wait_until(lambda: not any(forwarding._continuations._calls for forwarding in processes))


def answered(asked: dict[str, Any], answer: dict[str, Any]) -> Request:
    """The client's next request: every question has the same answer."""
    responses = dict.fromkeys(asked["inputRequests"], answer)
    return request_of(modern=True, inputResponses=responses, requestState=asked["requestState"])


# --- without questions ---


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("is_modern", [True, False])
def test_a_result_passes_as_it_came(forward, modern: bool, is_modern: bool):
    servers = Servers(lambda params, call: DONE, is_modern=is_modern)
    assert forward(servers, request_of(modern=modern)) is DONE or forward(servers, request_of(modern=modern)) == DONE
    assert servers.received[0] == ("tools/call", CALL)


ODD_RESULTS = [  # what some servers answer, and some clients understand
    {"content": [{"type": "hologram", "x": 1}]},
    {"content": [{"type": "image", "data": "AAAA"}]},
    {"content": [{"type": "text", "text": "x", "annotations": {"audience": ["robot"], "priority": 5}}], "isError": "no"},
    {"content": [], "structuredContent": [1]},
    {"content": [], "n": 10**30, "f": 0.1},
]


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("odd", ODD_RESULTS)
def test_a_result_that_we_do_not_understand_passes_too(forward, modern: bool, odd: dict[str, Any]):
    request = request_of(modern=modern)
    status, body = answer(request, lambda: forward(Servers(lambda params, call: odd, is_modern=True), request))
    assert status == 200
    assert json.loads(body)["result"].items() >= odd.items()


@pytest.mark.parametrize("modern", [True, False])
def test_a_prompt_that_we_do_not_understand_passes_too(db, vault, connection, modern: bool):
    odd = {"messages": [{"role": "system", "content": {"type": "hologram"}}], "odd": 1}
    forwarding = Forwarding(db, vault, Servers(lambda params, call: odd, is_modern=True))
    request = replace(request_of(modern=modern), method="prompts/get")
    _, body = answer(request, lambda: forwarding.get_prompt(connection, "p", {}, RequestCall(request)))
    assert json.loads(body)["result"].items() >= odd.items()


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"structuredContent": {"a": "ü"}}, [{"type": "text", "text": '{"a": "ü"}'}]),
        ({"structuredContent": {"a": 1}, "content": None}, [{"type": "text", "text": '{"a": 1}'}]),
        ({"structuredContent": {"a": 1}, "content": []}, []),
        ({"_meta": {}}, []),
    ],
)
def test_a_result_without_content_gets_it_from_what_is_structured(forward, result, content):
    found = forward(Servers(lambda params, call: result, is_modern=False), request_of(modern=False))
    assert found == result | {"content": content}


@pytest.mark.parametrize("content", ["text", {"type": "text", "text": "a"}, ["text"], 5])
def test_a_content_that_is_none_is_an_error(forward, content):
    servers = Servers(lambda params, call: {"content": content}, is_modern=True)
    with pytest.raises(UpstreamError, match=r"^The server's answer has no content\.$"):
        forward(servers, request_of(modern=True))


@pytest.mark.parametrize("messages", [None, "text", ["text"]])
def test_messages_that_are_none_are_an_error(db, vault, connection, messages):
    forwarding = Forwarding(db, vault, Servers(lambda params, call: {"messages": messages}, is_modern=True))
    with pytest.raises(UpstreamError, match=r"^The server's answer has no messages\.$"):
        forwarding.get_prompt(connection, "p", {}, RequestCall(request_of(modern=True)))


def test_the_clients_meta_passes_but_for_what_belongs_to_one_hop(forward):
    servers = Servers(lambda params, call: DONE, is_modern=True)
    meta = {"progressToken": 7, "io.modelcontextprotocol/protocolVersion": "2026-07-28", "example.com/trace": "t1"}
    forward(servers, request_of(modern=True, _meta=meta))
    assert servers.received[0][1]["_meta"] == {"example.com/trace": "t1"}


@pytest.mark.parametrize("contents", [None, "text", ["text"]])
def test_contents_that_are_none_are_an_error(db, vault, connection, contents):
    forwarding = Forwarding(db, vault, Servers(lambda params, call: {"contents": contents}, is_modern=True))
    with pytest.raises(UpstreamError, match="no contents"):
        forwarding.read_resource(connection, "a:b", RequestCall(request_of(modern=True)))


def test_contents_pass_with_all_that_comes_along_but_for_how_long_they_may_be_kept(db, vault, connection):
    contents = {"contents": [{"uri": "a:b", "text": "x", "odd": [1]}], "_meta": {"x": 1}, "odd": None}
    servers = Servers(lambda params, call: contents | {"ttlMs": 9, "cacheScope": "public"}, is_modern=True)
    forwarding = Forwarding(db, vault, servers)
    assert forwarding.read_resource(connection, "a:b", RequestCall(request_of(modern=True))) == contents


@pytest.mark.parametrize("completion", [None, [], {"values": "a"}])
def test_a_completion_that_is_none_is_an_error(db, vault, connection, completion):
    forwarding = Forwarding(db, vault, Servers(lambda params, call: {"completion": completion}, is_modern=True))
    with pytest.raises(UpstreamError, match="no completion"):
        forwarding.complete(connection, {"type": "ref/prompt"}, {}, {}, RequestCall(request_of(modern=True)))


def test_what_is_known_already_goes_along_with_a_completion(db, vault, connection):
    answered = {"completion": {"values": ["b"]}, "_meta": {"x": 1}}
    servers = Servers(lambda params, call: answered, is_modern=True)
    forwarding, call = Forwarding(db, vault, servers), RequestCall(request_of(modern=True))
    found = forwarding.complete(connection, {"type": "ref/prompt"}, {"name": "a", "value": ""}, {"x": "1"}, call)
    assert found == answered
    assert servers.received[0][1]["context"] == {"arguments": {"x": "1"}}


# --- errors ---


def refuse(code: int, message: str = "no", data: Any = None):
    def act(params: Any, call: Any) -> dict[str, Any]:
        raise UpstreamRefused(code, message, data)

    return act


@pytest.mark.parametrize(
    ("code", "told"), [(-32602, -32602), (-32002, -32002), (7, 7), (-32601, -32603), (-32020, -32603), (-32022, -32603)]
)
def test_an_error_of_the_server_is_told_unless_it_speaks_of_its_own_hop(forward, code: int, told: int):
    with pytest.raises(ProtocolError) as raised:
        forward(Servers(refuse(code, "because", {"a": 1}), is_modern=True), request_of(modern=True))
    assert (raised.value.code, raised.value.message, raised.value.data) == (told, "because", {"a": 1})


def test_an_error_does_not_give_the_key_away(forward):
    act = refuse(1, f'bad key "{KEY}"', {"deep": [f"x{KEY}x", 1234, "1234"]})
    with pytest.raises(ProtocolError) as raised:
        forward(Servers(act, is_modern=True), request_of(modern=True))
    assert raised.value.message == 'bad key "[redacted]"'
    assert raised.value.data == {"deep": ["x[redacted]x", 1234, "1234"]}  # a PIN stands in too many innocent places


def test_a_secret_with_quotes_is_found_as_well():
    assert redact({"a": 'it is "q\\uote" here'}, ['"q\\uote"']) == {"a": "it is [redacted] here"}


def test_a_secret_is_found_wherever_it_stands_and_nothing_else_is_touched():
    told = {"n12345": [123456, 1.5, True, None], "lines": "\n12345", "deep": {"k": "no 123456"}}
    assert redact(told, ["n12345", "123456"]) == {
        "[redacted]": ["[redacted]", 1.5, True, None],
        "lines": "\n12345",
        "deep": {"k": "no [redacted]"},
    }


# --- a newer server asks ---


def ask_twice(params: Mapping[str, Any], call: Any) -> dict[str, Any]:
    """Asks for a name, then under the same key for another one; its state counts the rounds."""
    question = {"name": {"method": "elicitation/create", "params": FORM}}
    if "requestState" not in params:
        return {"resultType": "input_required", "requestState": "one", "inputRequests": question}
    if params["requestState"] == "one":
        assert params["inputResponses"] == {"name": ALICE}
        return {"resultType": "input_required", "requestState": "two", "inputRequests": question}
    assert params == {**CALL, "requestState": "two", "inputResponses": {"name": BOB}}
    return DONE


def test_a_newer_server_asks_a_newer_client_round_by_round(forward):
    servers = Servers(ask_twice, is_modern=True)
    first = forward(servers, request_of(modern=True))
    assert first["inputRequests"] == {"name": {"method": "elicitation/create", "params": FORM}}
    assert "one" not in first["requestState"]  # the server's own state is sealed in ours
    second = forward(servers, answered(first, ALICE))
    assert second["resultType"] == "input_required"
    assert forward(servers, answered(second, BOB)) == DONE
    assert len(servers.received) == 3


def test_a_newer_server_asks_an_older_client_in_the_middle(forward):
    answers = iter([ALICE, BOB])
    asked = []

    def relay(call, method, params):
        asked.append((method, params))
        return next(answers)

    assert forward(Servers(ask_twice, is_modern=True), request_of(modern=False), relay) == DONE
    assert asked == [("elicitation/create", FORM)] * 2


def test_a_question_that_the_client_cannot_be_asked_is_refused(forward):
    servers = Servers(ask_twice, is_modern=True)
    with pytest.raises(ProtocolError) as raised:
        forward(servers, request_of(modern=True, capabilities={}))
    assert raised.value.code == -32021
    with pytest.raises(ToolError):
        forward(servers, request_of(modern=False, capabilities={}))


@pytest.mark.parametrize("questions", ["x", {"a": 1}, {"a": {"method": 1}}, {"a": {"method": "roots/list", "params": []}}])
def test_questions_that_cannot_be_understood_are_an_error(forward, questions):
    servers = Servers(lambda params, call: {"resultType": "input_required", "inputRequests": questions}, is_modern=True)
    with pytest.raises(UpstreamError, match="understood"):
        forward(servers, request_of(modern=True))


def test_answers_that_come_unasked_are_taken_when_the_question_comes(forward):
    def act(params: Mapping[str, Any], call: Any) -> dict[str, Any]:
        if "inputResponses" not in params:
            return {"resultType": "input_required", "inputRequests": {"name": {"method": "elicitation/create", "params": FORM}}}
        assert params["inputResponses"] == {"name": ALICE}
        return DONE

    servers = Servers(act, is_modern=True)
    assert forward(servers, request_of(modern=True, inputResponses={"name": ALICE, "more": BOB})) == DONE


def test_a_server_that_asks_without_end_is_stopped(forward):
    endless = Servers(lambda params, call: {"resultType": "input_required", "requestState": "s"}, is_modern=True)
    with pytest.raises(UpstreamError, match="without end"):
        forward(endless, request_of(modern=False), lambda *_: ALICE)
    assert len(endless.received) == ROUNDS_MAX


# --- an older server asks ---


def ask_names(params: Mapping[str, Any], call: Any) -> dict[str, Any]:
    """Asks in the middle of the call, as a link does, and greets."""
    names = [call.ask(f"ask-{n}", "elicitation/create", FORM)["content"]["name"] for n in (1, 2)]
    return {"content": [{"type": "text", "text": " and ".join(names)}]}


def test_an_older_server_asks_an_older_client_over_the_stream(forward):
    answers = iter([ALICE, BOB])
    result = forward(Servers(ask_names, is_modern=False), request_of(modern=False), lambda *_: next(answers))
    assert result["content"][0]["text"] == "Alice and Bob"


def test_an_older_server_asks_a_newer_client_and_is_called_once_only(forward):
    servers = Servers(ask_names, is_modern=False)
    first = forward(servers, request_of(modern=True))
    assert first["inputRequests"] == {"ask-1": {"method": "elicitation/create", "params": FORM}}
    second = forward(servers, answered(first, ALICE))  # a Forwarding of its own each time: it could be another process
    assert second["inputRequests"] == {"ask-2": {"method": "elicitation/create", "params": FORM}}
    assert forward(servers, answered(second, BOB))["content"][0]["text"] == "Alice and Bob"
    assert len(servers.received) == 1


VISIT = {"mode": "url", "message": "Please sign in.", "url": "https://a.example/in"}
SENT_AWAY = {"elicitations": [{**VISIT, "elicitationId": "e1"}]}
URLS = {"elicitation": {"url": {}}}
AGREED, DECLINED = {"action": "accept"}, {"action": "decline"}


def visited(times: int, data: Any = SENT_AWAY, code: int = -32042) -> Servers:
    """An older server that refuses so many times until its person has been somewhere."""
    left = [None] * times

    def act(params: Mapping[str, Any], call: Any) -> dict[str, Any]:
        if left:
            left.pop()
            raise UpstreamRefused(code, "Sign in first", data)
        return DONE

    return Servers(act, is_modern=False)


def test_where_an_older_server_sends_its_person_a_newer_client_is_asked_to_send_it(forward):
    asked = forward(server := visited(2), request_of(modern=True, capabilities=URLS))
    for number in range(2):
        assert asked["inputRequests"] == {f"visit-{number}-0": {"method": "elicitation/create", "params": VISIT}}
        asked = forward(server, replace(answered(asked, AGREED), capabilities=URLS))
    assert (asked, len(server.received)) == (DONE, 3)


def test_who_does_not_want_to_go_there_is_told_the_refusal(forward):
    asked = forward(server := visited(9), request_of(modern=True, capabilities=URLS))
    with pytest.raises(ProtocolError) as raised:
        forward(server, replace(answered(asked, DECLINED), capabilities=URLS))
    assert (raised.value.code, raised.value.message, len(server.received)) == (-32042, "Sign in first", 1)


@pytest.mark.parametrize(
    ("modern", "capabilities", "data", "code"),
    [
        (False, URLS, SENT_AWAY, -32042),  # it reads the error by itself
        (True, {"elicitation": {"form": {}}}, SENT_AWAY, -32042),
        (True, URLS, SENT_AWAY, -32000),
        (True, URLS, None, -32042),
        (True, URLS, {"elicitations": ["x"]}, -32042),
        (True, URLS, {"elicitations": [{**VISIT, "url": 1}]}, -32042),
        (True, URLS, {"elicitations": [VISIT] * 6}, -32042),
    ],
)
def test_any_other_refusal_is_told_as_it_came(forward, modern: bool, capabilities: dict[str, Any], data: Any, code: int):
    with pytest.raises(ProtocolError) as raised:
        forward(visited(1, data, code), request_of(modern=modern, capabilities=capabilities))
    assert (raised.value.code, raised.value.data) == (code, data)


def test_an_answer_that_comes_twice_counts_once_and_both_get_what_follows(forward):
    servers = Servers(ask_names, is_modern=False)
    first = forward(servers, request_of(modern=True))
    second = forward(servers, answered(first, ALICE))
    again = forward(servers, answered(first, BOB))
    assert again["inputRequests"] == second["inputRequests"]
    last = [forward(servers, answered(second, BOB)) for _ in range(2)]
    assert [result["content"][0]["text"] for result in last] == ["Alice and Bob"] * 2


def test_an_answer_that_does_not_fit_can_be_given_again(forward):
    servers = Servers(ask_names, is_modern=False)
    first = forward(servers, request_of(modern=True))
    with pytest.raises(ProtocolError) as raised:
        forward(servers, answered(first, {"roots": []}))
    assert raised.value.code == -32602
    assert forward(servers, answered(first, ALICE))["resultType"] == "input_required"


def test_its_error_comes_through_as_well(forward):
    def act(params: Any, call: Any) -> dict[str, Any]:
        call.ask("ask-1", "elicitation/create", FORM)
        raise UpstreamRefused(-32602, "no such name")

    servers = Servers(act, is_modern=False)
    first = forward(servers, request_of(modern=True))
    with pytest.raises(ProtocolError, match="no such name"):
        forward(servers, answered(first, ALICE))


@pytest.mark.parametrize("asks_first", [False, True])
def test_that_its_person_has_to_sign_in_comes_through_with_all_that_clients_are_told_of_it(forward, asks_first: bool):
    def act(params: Any, call: Any) -> dict[str, Any]:
        if asks_first:
            call.ask("ask-1", "elicitation/create", FORM)
        raise SignInNeeded("Sign in.", link="http://localhost/1", code="insufficient_scope", scope="mcp:write")

    servers, request = Servers(act, is_modern=False), request_of(modern=True)
    if asks_first:
        request = answered(forward(servers, request), ALICE)
    with pytest.raises(SignInNeeded, match=r"^Sign in\.$") as raised:
        forward(servers, request)
    needed = raised.value
    assert (needed.link, needed.code, needed.scope) == ("http://localhost/1", "insufficient_scope", "mcp:write")


def test_what_breaks_inside_is_told_without_details_and_logged_without_values(forward, caplog):
    def act(params: Any, call: Any) -> dict[str, Any]:
        raise RuntimeError(KEY)

    with pytest.raises(ToolError, match="inside Postern"):
        forward(Servers(act, is_modern=False), request_of(modern=True))
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text


def test_a_client_that_cannot_be_asked_gets_no_thread_of_its_own(forward):
    threads = []
    servers = Servers(lambda params, call: threads.append(threading.current_thread()) or DONE, is_modern=False)
    forward(servers, request_of(modern=True, capabilities={}))
    assert threads == [threading.current_thread()]


def test_what_the_client_did_not_declare_is_refused_to_the_server(forward):
    seen = []

    def act(params: Any, call: Any) -> dict[str, Any]:
        with pytest.raises(ProtocolError) as raised:
            call.ask("ask-1", "sampling/createMessage", {"messages": [], "maxTokens": 1})
        seen.append(raised.value.code)
        return DONE

    assert forward(Servers(act, is_modern=False), request_of(modern=True)) == DONE
    assert seen == [-32021]


def test_a_continuation_whose_process_has_gone_is_told_to_the_client(forward, db):
    servers = Servers(ask_names, is_modern=False)
    first = forward(servers, request_of(modern=True))
    with db.write() as run:
        run("DELETE FROM continuations")
    with pytest.raises(ToolError, match="no longer waits"):
        forward(servers, answered(first, ALICE))


def test_stopping_lets_the_server_go(db, vault, connection, forward):
    over = threading.Event()

    def act(params: Any, call: Any) -> dict[str, Any]:
        try:
            call.ask("ask-1", "elicitation/create", FORM)
        finally:
            over.set()
        return DONE

    servers = Servers(act, is_modern=False)
    forwarding = Forwarding(db, vault, servers, lambda: NOW)
    forward(servers, request_of(modern=True), forwarding=forwarding)
    forwarding.stop()
    assert over.wait(10)


def test_a_client_that_goes_away_cancels_what_it_began(db, vault, connection):
    begun, over = threading.Event(), threading.Event()

    def act(params: Any, call: Any) -> dict[str, Any]:
        begun.set()
        over.set() if call.cancelled.wait(10) else None
        raise Cancelled("cancelled")

    forwarding = Forwarding(db, vault, Servers(act, is_modern=False), lambda: NOW)
    call = RequestCall(request_of(modern=True))
    threading.Thread(target=lambda: (begun.wait(10), call.cancelled.set())).start()
    with pytest.raises(Cancelled):
        forwarding.call_tool(connection, "greet", {}, {}, call)
    assert over.wait(10)


def test_progress_reaches_the_client_until_the_first_question(db, vault, connection):
    said = []

    def act(params: Any, call: Any) -> dict[str, Any]:
        assert call.wants_progress
        call.progress(1, 3)
        call.log("info", "working")
        call.ask("ask-1", "elicitation/create", FORM)
        call.progress(2, 3)  # nobody hears this one
        return DONE

    meta = {"progressToken": "t", "io.modelcontextprotocol/logLevel": "info"}
    servers = Servers(act, is_modern=False)
    forwarding = Forwarding(db, vault, servers, lambda: NOW)
    call = RequestCall(request_of(modern=True, _meta=meta), notify=lambda method, params: said.append(method))
    first = run_asking(call, lambda: forwarding.call_tool(connection, "greet", {}, {}, call), vault, IDENTITY, now=NOW)
    request = answered(first, ALICE)
    again = RequestCall(request, earlier=open_state(vault, request, IDENTITY, now=NOW))
    assert forwarding.call_tool(connection, "greet", {}, {}, again) == DONE
    assert said == ["notifications/progress", "notifications/message"]


def test_too_many_that_wait_are_refused(db, vault, connection, monkeypatch):
    monkeypatch.setattr("continuing.CALLS_MAX", 1)
    continuations = Continuations(db, vault, pytest.fail, lambda: NOW)
    release = threading.Event()

    def work(call: Any) -> dict[str, Any]:
        release.wait(10)
        return DONE

    waiting = threading.Thread(target=lambda: continuations.run(connection.id, work, RequestCall(request_of(modern=True))))
    waiting.start()
    wait_until(lambda: continuations._calls)
    with pytest.raises(ToolError, match="Too many"):
        continuations.run(connection.id, work, RequestCall(request_of(modern=True)))
    release.set()
    waiting.join(10)
    assert not continuations._calls

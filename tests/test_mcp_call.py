"""What a handler may say and ask: progress, log lines, and questions in both eras."""

from __future__ import annotations

import pytest

from crypto import Vault
from errors import Cancelled, InputRequired, ProtocolError, ToolError
from mcp_call import STATE_SECONDS, Earlier, RequestCall, open_state, run_asking
from protocol import Request

NOW = 1_790_000_000
ALICE, BOB = ("alice", "grant-1"), ("bob", "grant-2")
NAME = ("elicitation/create", {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {}}})
ROOTS = ("roots/list", {})
ANSWER = {"action": "accept", "content": {"name": "Alice"}}
ALL = {"elicitation": {}, "sampling": {}, "roots": {}}


def modern(capabilities=ALL, meta=None, **params) -> Request:
    return Request(1, "tools/call", {"name": "a", "_meta": meta or {}, **params}, "2026-07-28", True, capabilities)


def handshake(capabilities=ALL, meta=None, **params) -> Request:
    return Request(1, "tools/call", {"name": "a", "_meta": meta or {}, **params}, "2025-11-25", False, capabilities)


@pytest.fixture
def said() -> list:
    return []


@pytest.fixture
def notify(said):
    return lambda method, params: said.append((method, params))


# --- progress and log lines ---


def test_progress_carries_the_clients_token(said, notify):
    call = RequestCall(modern(meta={"progressToken": 0}), notify=notify)

    call.progress(1, 2)
    call.progress(2, message="done")

    assert said == [
        ("notifications/progress", {"progressToken": 0, "progress": 1, "total": 2}),
        ("notifications/progress", {"progressToken": 0, "progress": 2, "message": "done"}),
    ]


def test_progress_that_nobody_asked_for_is_not_sent(said, notify):
    RequestCall(modern(), notify=notify).progress(1)

    assert said == []


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (modern(), []),
        (modern(meta={"io.modelcontextprotocol/logLevel": "warning"}), ["warning", "emergency"]),
        (modern(meta={"io.modelcontextprotocol/logLevel": "debug"}), ["debug", "info", "warning", "emergency"]),
        (handshake(), ["info", "warning", "emergency"]),
    ],
)
def test_log_lines_are_sent_from_the_level_on_that_the_client_wants(said, notify, request_, sent):
    call = RequestCall(request_, notify=notify)
    for level in ("debug", "info", "warning", "emergency"):
        call.log(level, "line")

    assert [params["level"] for _, params in said] == sent


@pytest.mark.parametrize(
    ("request_", "in_session", "chosen", "wanted"),
    [
        (handshake(), None, None, "info"),
        (handshake(), "debug", "debug", "debug"),
        (modern(), "debug", None, None),  # a session is of the other era
        (modern(meta={"io.modelcontextprotocol/logLevel": "error"}), None, "error", "error"),
        (modern(meta={"io.modelcontextprotocol/logLevel": "loud"}), None, None, None),
    ],
)
def test_a_level_that_the_client_has_named_is_told_from_what_is_usual(notify, request_, in_session, chosen, wanted):
    call = RequestCall(request_, notify=notify, log_level=in_session)
    assert (call.chosen_log_level, call.log_level) == (chosen, wanted)
    mute = RequestCall(request_, log_level=in_session)
    assert (mute.chosen_log_level, mute.log_level) == (None, None)


def test_a_log_line_bears_the_name_that_its_writer_has(said, notify):
    call = RequestCall(handshake(), notify=notify)
    call.log("info", "ours")
    call.log("info", "theirs", "database")
    assert [params["logger"] for _, params in said] == ["postern", "database"]


def test_a_cancelled_call_can_say_nothing_and_ask_nothing(said, notify):
    call = RequestCall(handshake(meta={"progressToken": 1}), notify=notify)
    call.cancelled.set()

    for attempt in (lambda: call.progress(1), lambda: call.log("error", ""), lambda: call.ask("a", *ROOTS)):
        with pytest.raises(Cancelled):
            attempt()
    assert said == []


# --- who can be asked ---


@pytest.mark.parametrize(
    ("capabilities", "question", "missing"),
    [
        ({}, NAME, {"elicitation": {}}),
        ({"sampling": {}}, ROOTS, {"roots": {}}),
        ({"elicitation": {}}, ("elicitation/create", {"mode": "url"}), {"elicitation": {"url": {}}}),
        ({"sampling": {}}, ("sampling/createMessage", {"tools": []}), {"sampling": {"tools": {}}}),
    ],
)
def test_a_client_is_asked_only_what_it_declared(capabilities, question, missing):
    with pytest.raises(ProtocolError) as caught:
        RequestCall(modern(capabilities)).ask("a", *question)
    assert (caught.value.code, caught.value.data) == (-32021, {"requiredCapabilities": missing})

    with pytest.raises(ToolError):
        RequestCall(handshake(capabilities), relay=pytest.fail).ask("a", *question)


def test_the_handshake_era_needs_a_stream_to_ask_over():
    with pytest.raises(ToolError):
        RequestCall(handshake()).ask("a", *NAME)


# --- the handshake era: over the stream ---


def test_over_the_stream_the_answer_comes_back_to_the_handler():
    asked = []

    def relay(call, method, params):
        asked.append((method, params))
        return ANSWER

    assert RequestCall(handshake(), relay=relay).ask("name", *NAME) == ANSWER
    assert asked == [NAME]


def test_an_answer_of_another_kind_is_refused_in_both_eras():
    with pytest.raises(ProtocolError) as caught:
        RequestCall(handshake(), relay=lambda call, method, params: {"roots": []}).ask("name", *NAME)
    assert caught.value.code == -32602

    with pytest.raises(ProtocolError) as caught:
        RequestCall(modern(inputResponses={"name": {"roots": []}})).ask("name", *NAME)
    assert caught.value.code == -32602


# --- the stateless era: round by round ---


def two_questions(call: RequestCall):
    """A handler that asks twice."""
    name = call.ask("name", *NAME)["content"]["name"]
    return {"content": [], "structuredContent": {"name": name, "roots": len(call.ask("roots", *ROOTS)["roots"])}}


def run(vault: Vault, request: Request, identity=ALICE, now=NOW):
    call = RequestCall(request, earlier=open_state(vault, request, identity, now=now))
    return run_asking(call, lambda: two_questions(call), vault, identity, now=now)


def test_a_handler_runs_again_until_all_is_answered(vault):
    first = run(vault, modern())
    assert first["resultType"] == "input_required"
    assert first["inputRequests"] == {"name": {"method": NAME[0], "params": NAME[1]}}

    second = run(vault, modern(requestState=first["requestState"], inputResponses={"name": ANSWER}))
    assert set(second["inputRequests"]) == {"roots"}

    third = run(vault, modern(requestState=second["requestState"], inputResponses={"roots": {"roots": []}}))
    assert third["structuredContent"] == {"name": "Alice", "roots": 0}


def test_answers_are_taken_without_a_state_and_others_are_ignored(vault):
    answers = {"name": ANSWER, "roots": {"roots": []}, "other": ANSWER}

    assert run(vault, modern(inputResponses=answers))["structuredContent"]["name"] == "Alice"


def test_several_questions_go_out_in_one_round(vault):
    call = RequestCall(modern())

    with pytest.raises(InputRequired):
        call.ask_all({"name": NAME, "roots": ROOTS})

    assert set(call.required) == {"name", "roots"}


def test_a_handler_that_swallows_the_interruption_still_asks(vault):
    call = RequestCall(modern())

    def careless():
        try:
            call.ask("name", *NAME)
        except Exception:
            return {"content": []}

    assert run_asking(call, careless, vault, ALICE, now=NOW)["resultType"] == "input_required"


@pytest.mark.parametrize(
    ("changes", "identity", "now"),
    [
        ({}, BOB, NOW),
        ({}, ("alice", "grant-2"), NOW),
        ({}, ALICE, NOW + STATE_SECONDS),
        ({"name": "b"}, ALICE, NOW),
        ({"arguments": {"sum": 1_000_000}}, ALICE, NOW),
        ({"requestState": ""}, ALICE, NOW),
        ({"requestState": "ÄÄÄÄ"}, ALICE, NOW),
        ({"requestState": "AQ" * 40}, ALICE, NOW),
    ],
)
def test_a_state_opens_for_the_same_request_of_the_same_caller_only(vault, changes, identity, now):
    state = run(vault, modern())["requestState"]
    control = modern(requestState=state, inputResponses={"name": ANSWER})
    assert run(vault, control, now=NOW + STATE_SECONDS - 1)["resultType"] == "input_required"

    with pytest.raises(ProtocolError) as caught:
        run(vault, modern(**{"requestState": state, **changes}), identity, now)
    assert caught.value.code == -32602


def test_a_state_holds_the_answers_that_were_used_and_no_others(vault):
    second = modern(inputResponses={"name": ANSWER, "noise": ANSWER})
    state = run(vault, second)["requestState"]

    assert open_state(vault, modern(requestState=state), ALICE, now=NOW) == Earlier({"name": ANSWER})


def test_an_error_without_a_question_stays_an_error(vault):
    def broken():
        raise ToolError("no")

    with pytest.raises(ToolError):
        run_asking(RequestCall(modern()), broken, vault, ALICE, now=NOW)

"""upstream_rpc.py: who gets what arrives, and what goes out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from patience import wait_until

from errors import Cancelled, InputRequired, ProtocolError, ToolError, UpstreamError, UpstreamRefused
from tools import Call
from upstream_rpc import MAX_QUESTIONS, MAX_WAITING, Rpc

ELICIT = {"message": "Which one?", "requestedSchema": {"type": "object", "properties": {}}}


class Wire:
    """What was sent, and a way to wait for it."""

    def __init__(self):
        self.sent: list[dict[str, Any]] = []
        self._grown = threading.Condition()

    def send(self, message: dict[str, Any]) -> None:
        """The `send` of an Rpc."""
        with self._grown:
            self.sent.append(message)
            self._grown.notify_all()

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Everything sent, once it is so many messages."""
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.sent) >= count, 5), self.sent
            return self.sent


class Caller(Call):
    """A caller that keeps what it is told, and answers with `answer`, or raises it."""

    wants_progress = True

    def __init__(self, answer: Any = None):
        super().__init__()
        self.answer = answer
        self.told: list[tuple[Any, ...]] = []

    def progress(self, progress, total=None, message=None):
        self.told.append((progress, total, message))

    def log(self, level, data, logger=None):
        self.told.append((level, data))

    def ask_all(self, requests):
        self.told.append(tuple(requests.items()))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = self.answer() if callable(self.answer) else self.answer
        return dict.fromkeys(requests, answer)


class Heard(list):
    """A `hear` that keeps what it hears."""

    def __call__(self, method, params):
        self.append((method, params))


@pytest.fixture
def wire() -> Wire:
    """Where the session leads."""
    return Wire()


@pytest.fixture
def heard() -> Heard:
    """Notifications that belong to no call."""
    return Heard()


@pytest.fixture
def rpc(wire: Wire, heard: Heard) -> Rpc:
    """A session of the handshake era, whose caller can be asked by a form."""
    return Rpc(wire.send, heard, {"elicitation": {}})


@contextmanager
def asking(
    rpc: Rpc, call: Call | None = None, method: str = "tools/call", params: dict[str, Any] | None = None, seconds: float = 5
) -> Iterator[Future[dict[str, Any]]]:
    """A request under way in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(rpc.request, method, params or {}, call or Call(), seconds)


def response(number: Any, **outcome: Any) -> dict[str, Any]:
    """A response; its result is empty unless said otherwise."""
    return {"jsonrpc": "2.0", "id": number} | (outcome or {"result": {}})


def question(number: Any = "q", method: str = "elicitation/create", **params: Any) -> dict[str, Any]:
    """A server's request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params or ELICIT}


def note(method: str, **params: Any) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


# --- results ---


def test_it_gives_the_result_as_it_came(rpc: Rpc, wire: Wire):
    result = {"content": [], "_meta": {"x": None}, "unknown": [1.5]}
    with asking(rpc, params={"name": "a", "arguments": {"b": None}}) as answer:
        assert wire.wait_for(1) == [
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"b": None}}}
        ]
        rpc.take(response(1, result=result))
        assert answer.result() is result


def test_requests_run_side_by_side(rpc: Rpc, wire: Wire):
    with asking(rpc) as first:
        wire.wait_for(1)
        with asking(rpc) as second:
            wire.wait_for(2)
            rpc.take(response(2, result={"of": 2}))
            assert second.result() == {"of": 2}
        rpc.take(response(1, result={"of": 1}))
        assert first.result() == {"of": 1}


def test_an_error_keeps_its_code_message_and_data(rpc: Rpc, wire: Wire):
    with asking(rpc) as answer:
        wire.wait_for(1)
        rpc.take(response(1, error={"code": -32602, "message": "no", "data": {"x": 1}}))
        with pytest.raises(UpstreamRefused) as caught:
            answer.result()
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32602, "no", {"x": 1})
    assert len(wire.sent) == 1  # no cancellation: the server knows


@pytest.mark.parametrize(
    "outcome", [{"result": 1}, {"result": None}, {"error": "x"}, {"error": {"code": True, "message": ""}}, {"nothing": 1}]
)
def test_an_answer_that_is_none_is_an_error(rpc: Rpc, wire: Wire, outcome: dict[str, Any]):
    with asking(rpc) as answer:
        wire.wait_for(1)
        rpc.take(response(1, **outcome))
        with pytest.raises(UpstreamError, match="neither a result nor an error"):
            answer.result()


@pytest.mark.parametrize("number", ["1", 2, 0, -1, 1.0, True, None, [1], {}])
def test_answers_with_other_ids_are_dropped(rpc: Rpc, wire: Wire, number: Any):
    with asking(rpc) as answer:
        wire.wait_for(1)
        rpc.take(response(number, result={"foreign": True}))
        rpc.take(response(1))
        assert answer.result() == {}


def test_a_second_answer_is_dropped(rpc: Rpc, wire: Wire):
    with asking(rpc) as answer:
        wire.wait_for(1)
        rpc.take(response(1, result={"first": True}))
        rpc.take(response(1, result={"first": False}))
        assert answer.result() == {"first": True}
    rpc.take(response(1, result={"late": True}))
    with asking(rpc) as answer:
        wire.wait_for(2)
        rpc.take(response(2))
        assert answer.result() == {}


@pytest.mark.parametrize(
    "message",
    [
        None,
        1,
        "text",
        [],
        [{"jsonrpc": "2.0", "id": 1, "result": {}}],
        {},
        {"id": 1, "result": {}},
        {"jsonrpc": "1.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "method": 1},
        {"jsonrpc": "2.0", "method": "x", "params": []},
        {"jsonrpc": "2.0", "method": "ping", "id": None},
        {"jsonrpc": "2.0", "method": "ping", "id": True},
        {"jsonrpc": "2.0", "result": {}},
    ],
)
def test_what_is_no_message_is_called_so(rpc: Rpc, wire: Wire, message: Any):
    assert rpc.take(message) is False
    assert wire.sent == []


# --- the end of waiting ---


def test_it_tells_the_server_when_time_is_up(rpc: Rpc, wire: Wire):
    with asking(rpc, seconds=0.05) as answer, pytest.raises(UpstreamError, match=r"within 0\.05 seconds"):
        answer.result()
    assert wire.sent[1] == note("notifications/cancelled", requestId=1)
    rpc.take(response(1))  # too late, and nobody minds


def test_it_tells_the_server_when_the_caller_cancels(rpc: Rpc, wire: Wire):
    call = Call()
    with asking(rpc, call) as answer:
        wire.wait_for(1)
        call.cancelled.set()
        with pytest.raises(Cancelled):
            answer.result()
    assert wire.sent[1] == note("notifications/cancelled", requestId=1)


def test_a_call_cancelled_before_is_not_sent(rpc: Rpc, wire: Wire):
    call = Call()
    call.cancelled.set()
    with pytest.raises(Cancelled):
        rpc.request("tools/call", {}, call, 5)
    assert wire.sent == []


@pytest.mark.parametrize("method", ["initialize", "server/discover"])
def test_a_greeting_is_never_cancelled(rpc: Rpc, wire: Wire, method: str):
    with asking(rpc, method=method, seconds=0.05) as answer, pytest.raises(UpstreamError):
        answer.result()
    assert [message["method"] for message in wire.sent] == [method]


def test_a_transport_may_cancel_in_its_own_way(rpc: Rpc, wire: Wire):
    rpc.tells_cancelled = False
    with asking(rpc, seconds=0.05) as answer, pytest.raises(UpstreamError):
        answer.result()
    assert len(wire.sent) == 1


def test_when_the_session_ends_all_waiting_and_later_requests_fail(rpc: Rpc, wire: Wire):
    with asking(rpc) as first, asking(rpc) as second:
        wire.wait_for(2)
        rpc.fail("It broke.")
        for answer in (first, second):
            with pytest.raises(UpstreamError, match=r"It broke\."):
                answer.result()
    with pytest.raises(UpstreamError, match=r"It broke\."):
        rpc.request("tools/call", {}, Call(), 5)
    assert len(wire.sent) == 2


# --- what goes out ---


class Curious(Call):
    """Wants to hear log lines, and can be sent to a page."""

    log_level = "warning"
    capabilities = {"elicitation": {"url": {}}, "experimental": {}}  # noqa: RUF012


def test_the_stateless_era_says_everything_in_each_request(rpc: Rpc, wire: Wire):
    rpc.modern = "2026-07-28"
    with asking(rpc, Curious(), params={"_meta": {"x": 1}}) as answer:
        meta = wire.wait_for(1)[0]["params"]["_meta"]
        rpc.take(response(1))
        assert answer.result() == {}
    assert meta.pop("io.modelcontextprotocol/clientInfo")["name"] == "postern"
    assert meta == {
        "x": 1,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},  # this very caller's
        "io.modelcontextprotocol/logLevel": "warning",
    }


@pytest.mark.parametrize(("modern", "asked"), [("2026-07-28", "warning"), (None, None)])
def test_log_lines_are_asked_for_where_none_come_unasked(rpc: Rpc, wire: Wire, modern: str | None, asked: str | None):
    rpc.modern = modern
    with asking(rpc, Curious()) as answer:
        sent = wire.wait_for(1)[0].get("params", {}).get("_meta", {})
        rpc.take(response(1))
        assert answer.result() == {}
    assert sent.get("io.modelcontextprotocol/logLevel") == asked


@pytest.mark.parametrize(("call", "meta"), [(Caller(), {"progressToken": 1, "x": 1}), (Call(), {"x": 1})])
def test_the_progress_token_is_our_own(rpc: Rpc, wire: Wire, call: Call, meta: dict[str, Any]):
    params = {"_meta": {"progressToken": "theirs", "x": 1}}
    with asking(rpc, call, params=params) as answer:
        assert wire.wait_for(1)[0]["params"]["_meta"] == meta
        rpc.take(response(1))
        assert answer.result() == {}
    assert params == {"_meta": {"progressToken": "theirs", "x": 1}}  # the caller's own are left alone


# --- notes ---


def test_progress_goes_to_the_call_with_the_token(rpc: Rpc, wire: Wire):
    mine, other = Caller(), Caller()
    with asking(rpc, mine) as first:
        wire.wait_for(1)
        with asking(rpc, other) as second:
            wire.wait_for(2)
            rpc.take(note("notifications/progress", progressToken=1, progress=0.5, total=2, message="half"))
            rpc.take(note("notifications/progress", progressToken=2, progress=1, total="x", message=7))
            for token, progress in [("1", 9), (True, 9), (3, 9), (1, "much"), (1, None), ([], 1)]:
                rpc.take(note("notifications/progress", progressToken=token, progress=progress))
            rpc.take(response(1))
            rpc.take(response(2))
            assert first.result() == second.result() == {}
    assert (mine.told, other.told) == ([(0.5, 2, "half")], [(1, None, None)])


def test_progress_that_nobody_wants_is_dropped(rpc: Rpc, wire: Wire, heard: Heard):
    with asking(rpc) as answer:
        wire.wait_for(1)
        rpc.take(note("notifications/progress", progressToken=1, progress=1))
        rpc.take(response(1))
        assert answer.result() == {}
    assert heard == []


def test_a_log_line_goes_to_the_only_call_and_else_to_nobody_in_particular(rpc: Rpc, wire: Wire, heard: Heard):
    mine, other = Caller(), Caller()
    line = {"level": "info", "data": "words"}
    rpc.take(note("notifications/message", level=["info"], data="odd"))
    heard.clear()
    with asking(rpc, mine) as first:
        wire.wait_for(1)
        rpc.take(note("notifications/message", **line))
        with asking(rpc, other) as second:
            wire.wait_for(2)
            rpc.take(note("notifications/message", **line))
            rpc.take(response(2))
            assert second.result() == {}
        rpc.take(response(1))
        assert first.result() == {}
    assert (mine.told, other.told, heard) == ([("info", "words")], [], [("notifications/message", line)])


class Assistant(Caller):
    """A caller that is some assistant's, and wants to hear from this level on."""

    def __init__(self, sender: str | None, level: str | None = "info"):
        super().__init__()
        self._facts = sender, level

    @property
    def sender(self) -> str | None:
        return self._facts[0]

    @property
    def log_level(self) -> str | None:
        return self._facts[1]


@pytest.mark.parametrize(
    ("calls", "reader"),
    [
        ([Assistant("a"), Assistant("a", "debug"), Assistant("a", None)], 1),
        ([Assistant("a"), Assistant("a")], 0),
        ([Assistant(None), Assistant("a"), Assistant(None)], 1),  # what we ask for ourselves is nobody's
        ([Assistant("a"), Assistant("b")], None),
        ([Assistant("a"), Assistant("b", None)], None),  # it may be about what the other one asked
        ([Assistant("a", None), Assistant("a", None)], None),
        ([Assistant(None), Assistant(None)], None),
    ],
)
def test_a_log_line_that_belongs_to_no_call_goes_to_one_of_the_only_clients(rpc: Rpc, wire: Wire, calls, reader):
    with ExitStack() as stack:
        answers = []
        for call in calls:
            call.told.clear()
            answers.append(stack.enter_context(asking(rpc, call)))
            wire.wait_for(len(answers))
        rpc.take(note("notifications/message", level="info", data="words"))
        for number in range(len(calls)):
            rpc.take(response(number + 1))
        assert [answer.result() for answer in answers] == [{}] * len(calls)
    assert [call.told for call in calls] == [[("info", "words")] if number == reader else [] for number in range(len(calls))]


def test_other_notifications_are_heard_and_a_listener_that_fails_ends_nothing(rpc: Rpc, heard: Heard):
    def fall(_method: str, _params: Any) -> None:
        raise RuntimeError

    assert rpc.take({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    assert heard == [("notifications/tools/list_changed", {})]
    rpc.hear = fall
    assert rpc.take(note("notifications/tools/list_changed"))


def test_a_flood_of_notes_is_bounded_and_does_not_drown_the_result(rpc: Rpc, wire: Wire):
    gate, call = threading.Event(), Caller()
    call.answer = lambda: gate.wait(5) and {"action": "decline"}
    with asking(rpc, call) as answer:
        wire.wait_for(1)
        rpc.take(question())
        for _ in range(MAX_WAITING * 3):
            rpc.take(note("notifications/progress", progressToken=1, progress=1))
        rpc.take(response(1))
        gate.set()
        assert answer.result() == {}
    assert MAX_WAITING <= len(call.told) <= MAX_WAITING + 2


# --- questions ---


def test_a_ping_is_answered_at_once(rpc: Rpc, wire: Wire):
    rpc.take({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    assert wire.sent == [response("p")]


def test_a_question_goes_to_the_caller_and_its_answer_back(rpc: Rpc, wire: Wire):
    call = Caller({"action": "accept", "content": {}})
    with asking(rpc, call) as answer:
        wire.wait_for(1)
        rpc.take(question(7))
        assert wire.wait_for(2)[1] == response(7, result={"action": "accept", "content": {}})
        rpc.take(response(1))
        assert answer.result() == {}
    assert call.told == [(("ask-1", ("elicitation/create", ELICIT)),)]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ToolError("Cannot be asked."), {"code": -32603, "message": "Cannot be asked."}),
        (ProtocolError(-32602, "The answer does not fit"), {"code": -32602, "message": "The answer does not fit"}),
    ],
)
def test_a_caller_that_cannot_answer_gives_the_server_an_error(
    rpc: Rpc, wire: Wire, failure: Exception, error: dict[str, Any]
):
    with asking(rpc, Caller(failure)) as answer:
        wire.wait_for(1)
        rpc.take(question(7))
        assert wire.wait_for(2)[1] == response(7, error=error)
        rpc.take(response(1))
        assert answer.result() == {}


@pytest.mark.parametrize("failure", [Cancelled("gone"), InputRequired("later")])
def test_a_caller_that_goes_away_while_asked_cancels(rpc: Rpc, wire: Wire, failure: Exception):
    with asking(rpc, Caller(failure)) as answer:
        wire.wait_for(1)
        rpc.take(question(7))
        with pytest.raises(type(failure)):
            answer.result()
    assert wire.sent[1:] == [note("notifications/cancelled", requestId=1)]


def test_the_time_of_a_question_does_not_count(rpc: Rpc, wire: Wire):
    call = Caller(lambda: threading.Event().wait(0.3) or {"action": "cancel"})
    with asking(rpc, call, seconds=0.2) as answer:
        wire.wait_for(1)
        rpc.take(question(7))
        wire.wait_for(2)
        rpc.take(response(1))
        assert answer.result() == {}


def test_a_server_that_asks_without_end_is_stopped(rpc: Rpc, wire: Wire):
    with asking(rpc, Caller({"action": "cancel"})) as answer:
        wire.wait_for(1)
        for number in range(MAX_QUESTIONS + 1):
            rpc.take(question(number))
        with pytest.raises(UpstreamError, match="without end"):
            answer.result()
    assert wire.sent[-1] == note("notifications/cancelled", requestId=1)


@pytest.mark.parametrize("method", ["sampling/createMessage", "roots/list", "tools/list", "secrets/read"])
def test_what_we_did_not_declare_cannot_be_asked(rpc: Rpc, wire: Wire, method: str):
    call = Caller({})
    with asking(rpc, call) as answer:
        wire.wait_for(1)
        rpc.take(question(7, method))
        assert wire.wait_for(2)[1] == response(7, error={"code": -32601, "message": "Method not found"})
        rpc.take(response(1))
        assert answer.result() == {}
    assert call.told == []


def test_without_a_call_there_is_nobody_to_ask(rpc: Rpc, wire: Wire):
    rpc.take(question(7))
    assert wire.sent == [response(7, error={"code": -32603, "message": "There is nobody to ask"})]


def test_the_stateless_era_has_no_questions(rpc: Rpc, wire: Wire):
    rpc.modern = "2026-07-28"
    call = Caller({})
    with asking(rpc, call) as answer:
        wire.wait_for(1)
        assert rpc.take(question(7))
        assert rpc.take({"jsonrpc": "2.0", "id": 8, "method": "ping"})
        rpc.take(response(1))
        assert answer.result() == {}
    assert (len(wire.sent), call.told) == (1, [])


def test_of_several_callers_the_youngest_is_asked_that_is_not_being_asked(rpc: Rpc, wire: Wire):
    gate = threading.Event()
    old, young = Caller(lambda: {"by": "old"}), Caller(lambda: gate.wait(5) and {"by": "young"})
    with asking(rpc, old) as first:
        wire.wait_for(1)
        with asking(rpc, young) as second:
            wire.wait_for(2)
            rpc.take(question("a"))
            wait_until(lambda: young.told)
            rpc.take(question("b"))
            assert wire.wait_for(3)[2] == response("b", result={"by": "old"})
            gate.set()
            assert wire.wait_for(4)[3] == response("a", result={"by": "young"})
            rpc.take(response(2))
            assert second.result() == {}
        rpc.take(response(1))
        assert first.result() == {}


def test_a_transport_that_knows_says_whose_question_it_is(rpc: Rpc, wire: Wire):
    old, young = Caller({"by": "old"}), Caller({"by": "young"})
    with rpc.exchange("tools/call", {}, old) as mine, rpc.exchange("tools/call", {}, young):
        rpc.take(question("a"), mine)
        assert rpc.handle_waiting(mine) is None
        assert wire.sent[0] == response("a", result={"by": "old"})
        rpc.take(response(mine.id, result={"done": True}), mine)
        assert rpc.handle_waiting(mine) == {"done": True}


def test_what_goes_wrong_in_a_callers_own_code_is_not_hidden(rpc: Rpc, wire: Wire):
    with asking(rpc, Caller(ZeroDivisionError())) as answer:
        wire.wait_for(1)
        rpc.take(question(7))
        with pytest.raises(ZeroDivisionError):
            answer.result()
    assert wire.sent[1:] == [note("notifications/cancelled", requestId=1)]

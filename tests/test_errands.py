"""errands.py: whoever is slow or broken is told of, and nobody waits for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from patience import wait_until

from errands import LATE_MAX, Errand, Errands, Job, take_turns
from errors import Cancelled, FetchError, ProtocolError, ToolError, UpstreamRefused
from tools import CANNOT_BE_ASKED, Call


@pytest.fixture
def errands() -> Iterator[Errands]:
    made = Errands()
    yield made
    made.stop()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a hanging job waits for; it opens in the end."""
    event = threading.Event()
    yield event
    event.set()


def send_out(errands: Errands, *runs, seconds: float = 5, call: Call | None = None) -> list:
    jobs = [Job(number, run) for number, run in enumerate(runs)]
    answers = errands.run_all(jobs, call or Call(), seconds=seconds)
    return [str(answer) if isinstance(answer, ToolError) else answer for answer in answers]


def test_jobs_run_side_by_side_and_answer_in_order(errands):
    meeting = threading.Barrier(3)

    def meet(answer: str):
        return lambda errand: [meeting.wait(5) >= 0 and answer]

    assert send_out(errands, meet("a"), meet("b"), meet("c")) == [["a"], ["b"], ["c"]]


def test_who_takes_too_long_is_told_of_while_the_others_answer(errands, gate):
    began = time.monotonic()
    answers = send_out(errands, lambda errand: [1], lambda errand: gate.wait(30), lambda errand: [3], seconds=0.2)
    assert answers == [[1], "it took longer than 0.2 seconds", [3]]
    assert time.monotonic() - began < 5


def test_who_takes_too_long_is_told_to_stop(errands):
    told = threading.Event()

    def work(errand: Call) -> list:
        if errand.cancelled.wait(30):
            told.set()
        errand.check_cancelled()
        return []

    assert send_out(errands, work, seconds=0.05) == ["it took longer than 0.05 seconds"]
    assert told.wait(5)


def test_a_source_that_still_hangs_is_not_asked_a_third_time(errands, gate):
    for _ in range(LATE_MAX):
        assert send_out(errands, lambda errand: gate.wait(30), seconds=0.05) == ["it took longer than 0.05 seconds"]
    asked = []
    assert send_out(errands, lambda errand: asked.append(1) or []) == ["it is still busy with an earlier search"]
    assert asked == []
    gate.set()
    wait_until(lambda: not errands._late)
    assert send_out(errands, lambda errand: ["awake"]) == [["awake"]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ToolError("it is glued"), "it is glued"),
        (FetchError("no way there"), "no way there"),
        (ProtocolError(-32002, "evil words"), "its server answered with error -32002"),
        (UpstreamRefused(-32000, "evil words"), "its server answered with error -32000"),
        (Cancelled("cancelled"), "it was called off"),
    ],
)
def test_a_job_that_fails_says_why(errands, error, reason):
    def fail(errand: Call) -> list:
        raise error

    assert send_out(errands, fail, lambda errand: [1]) == [reason, [1]]


def test_a_bug_is_in_the_log_and_its_words_are_nowhere(errands, caplog):
    words = "secret 42"

    def fail(errand: Call) -> list:
        raise ZeroDivisionError(words)

    with caplog.at_level(logging.ERROR, logger="postern.search"):
        (reason,) = send_out(errands, fail)
    assert reason.startswith("it failed inside Postern; the server's log has the details under ")
    assert "ZeroDivisionError" in caplog.text
    assert words not in caplog.text + reason


def test_a_cancelled_call_ends_and_takes_its_jobs_with_it(errands):
    call, told = Call(), threading.Event()

    def work(errand: Call) -> list:
        call.cancelled.set()
        assert errand.cancelled.wait(30)
        told.set()
        return []

    with pytest.raises(Cancelled):
        send_out(errands, work, call=call)
    assert told.wait(5)


def test_an_errand_can_ask_nobody_and_knows_how_long_it_may_last():
    errand = Errand(3, threading.Event())
    assert errand.seconds == 3
    with pytest.raises(ToolError, match=CANNOT_BE_ASKED):
        errand.ask("name", "elicitation/create", {})


def test_lists_take_turns():
    assert list(take_turns([["a1", "a2", "a3"], [], ["c1"], ["d1", "d2"]])) == ["a1", "c1", "d1", "a2", "d2", "a3"]

"""lead.py: one thread leads at a time, and one that serves for too long is relieved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lead import PATIENCE_SECONDS, Lead

LONG = 20 * PATIENCE_SECONDS
PATIENT = 10  # seconds for what has to happen at all, on a busy machine


class Loop:
    """A loop whose turns serve what is put into `jobs`, and note who took them."""

    def __init__(self, threads: int = 3):
        self.pool = ThreadPoolExecutor(threads)
        self.lead = Lead(self.pool, self.turn)
        self.jobs: list[Callable[[], None]] = []
        self.turns: list[int] = []
        self.inside = 0
        self.watchman = threading.Thread(target=lambda: [None for _ in iter(lambda: self.lead.watch(0.5), True)])

    def turn(self) -> None:
        self.inside += 1
        assert self.inside == 1, "two threads in a turn"
        self.turns.append(threading.get_ident())
        time.sleep(0.001)
        self.inside -= 1
        if self.jobs:
            self.lead.serve(self.jobs.pop())

    def begin(self) -> None:
        self.lead.begin()
        self.watchman.start()

    def wait_for_turns(self, more: int = 3) -> int:
        """Wait until it went round a few times more; answers in which thread."""
        wanted, deadline = len(self.turns) + more, time.monotonic() + PATIENT
        while len(self.turns) < wanted:
            assert time.monotonic() < deadline, "nobody leads"
            time.sleep(0.001)
        return self.turns[-1]


def assert_true(value: bool) -> None:
    """Fail unless it is."""
    assert value


@pytest.fixture
def loop() -> Iterator[Loop]:
    """One that is going round."""
    going = Loop()
    going.begin()
    yield going
    going.lead.end()
    going.watchman.join(PATIENT)
    going.pool.shutdown()


def test_the_leader_goes_on_leading_after_quick_work(loop: Loop):
    before = loop.wait_for_turns()
    done = threading.Event()
    loop.jobs.append(done.set)
    assert done.wait(PATIENT)
    assert loop.wait_for_turns() == before


def test_another_thread_takes_over_while_the_work_takes_long(loop: Loop):
    before, release = loop.wait_for_turns(), threading.Event()
    loop.jobs.append(lambda: assert_true(release.wait(PATIENT)))
    while loop.jobs:
        time.sleep(0.001)
    time.sleep(LONG)
    assert loop.wait_for_turns() != before
    release.set()


def test_another_thread_takes_over_at_once_if_the_work_says_so(loop: Loop):
    before, leading = loop.wait_for_turns(), []

    def work() -> None:
        loop.lead.step_aside()
        leading.append(loop.lead.is_mine)
        loop.wait_for_turns()

    loop.jobs.append(work)
    loop.wait_for_turns(20)
    assert (leading, before in loop.turns[-3:]) == ([False], False)


def test_stepping_aside_twice_or_from_elsewhere_changes_nothing(loop: Loop):
    before = loop.wait_for_turns()
    loop.lead.step_aside()
    assert loop.wait_for_turns() == before

    def work() -> None:
        loop.lead.step_aside()
        loop.lead.step_aside()

    loop.jobs.append(work)
    assert loop.wait_for_turns(20) != before


def test_every_one_of_many_slow_works_is_relieved_and_no_two_threads_share_a_turn(loop: Loop):
    done: list[bool] = []

    def work() -> None:
        time.sleep(4 * PATIENCE_SECONDS)
        done.append(True)

    loop.jobs += [work] * 20
    deadline = time.monotonic() + PATIENT
    while len(done) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    loop.wait_for_turns()
    assert loop.lead.failure is None
    assert len(set(loop.turns)) > 1


def test_what_a_turn_raises_ends_all_and_is_kept():
    pool = ThreadPoolExecutor(2)
    lead = Lead(pool, lambda: 1 // 0)
    lead.begin()
    while not lead.watch(0.1):
        pass
    assert isinstance(lead.failure, ZeroDivisionError)
    pool.shutdown()


def test_the_watchman_sleeps_while_nothing_is_served(loop: Loop, monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    look = loop.lead._look
    monkeypatch.setattr(loop.lead, "_look", lambda: (looks.append(1), look()))
    loop.wait_for_turns()
    time.sleep(LONG)
    quiet = len(looks)
    time.sleep(LONG)
    assert len(looks) == quiet  # whatever the start stirred up is over, and nothing new came
    loop.jobs.append(lambda: None)
    loop.wait_for_turns()
    deadline = time.monotonic() + PATIENT
    while len(looks) == quiet:
        assert time.monotonic() < deadline

"""joint_fetches.py: one fetch for all who wait for the same, and few at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from patience import wait_until

import joint_fetches
from errors import FetchError, TooManyRequests
from joint_fetches import AT_ONCE, WAITING_MAX, JointFetches


class Other:
    """The other side, which answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answers, self.failure = 0, threading.Event(), None

    def fetch(self) -> str:
        self.asked += 1
        assert self.answers.wait(10)
        if self.failure:
            raise self.failure
        return "an answer"


@pytest.fixture
def other() -> Other:
    return Other()


@pytest.fixture
def crowd(other: Other, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Future[str]]]]:
    """Lets many come at once; nobody waits for a place."""
    monkeypatch.setattr(joint_fetches, "PATIENCE_SECONDS", 0)
    pool = ThreadPoolExecutor(32)
    yield lambda run, *names: [pool.submit(run, name, other.fetch) for name in names]
    other.answers.set()
    pool.shutdown()


def test_who_comes_while_it_runs_gets_its_answer(other: Other, crowd: Callable[..., list[Future[str]]]):
    fetches = JointFetches()
    futures = crowd(fetches.run, *["a"] * WAITING_MAX)
    wait_until(lambda: fetches._waiting._value == 1)
    other.answers.set()
    assert [future.result() for future in futures] == ["an answer"] * WAITING_MAX
    assert other.asked == 1


def test_who_comes_while_it_runs_gets_its_failure_and_who_comes_later_does_not(
    other: Other, crowd: Callable[..., list[Future[str]]]
):
    fetches, other.failure = JointFetches(), FetchError("It did not answer.")
    futures = crowd(fetches.run, *["a"] * WAITING_MAX)
    wait_until(lambda: fetches._waiting._value == 1)
    other.answers.set()
    for future in futures:
        with pytest.raises(FetchError, match="did not answer"):
            future.result()
    other.failure = None
    assert fetches.run("a", other.fetch) == "an answer"
    assert other.asked == 2


def test_only_so_many_wait_for_one(other: Other, crowd: Callable[..., list[Future[str]]]):
    fetches = JointFetches()
    first = crowd(fetches.run, *["a"] * (WAITING_MAX + 1))
    wait_until(lambda: fetches._waiting._value == 0)
    with pytest.raises(TooManyRequests):
        fetches.run("a", other.fetch)
    other.answers.set()
    assert [future.result() for future in first] == ["an answer"] * (WAITING_MAX + 1)


def test_only_so_many_run_and_a_place_that_was_left_is_free_again(other: Other, crowd: Callable[..., list[Future[str]]]):
    fetches = JointFetches()
    first = crowd(fetches.run, *map(str, range(AT_ONCE)))
    wait_until(lambda: other.asked == AT_ONCE)
    with pytest.raises(TooManyRequests) as refusal:
        fetches.run("one more", other.fetch)
    assert refusal.value.retry_after == 5
    other.answers.set()
    assert [future.result() for future in first] == ["an answer"] * AT_ONCE
    assert fetches.run("one more", other.fetch) == "an answer"
    assert not fetches._running

"""Periodic work: who does what when, and what a failure does to the rest."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import pytest
from conftest import NOW

from errors import FetchError
from jobs import Jobs, Task, for_each


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now + 0.9  # whole seconds are what tasks get


@dataclass(frozen=True)
class Item:
    """Something with an id."""

    id: str


@pytest.fixture
def clock() -> Clock:
    """A clock at NOW."""
    return Clock()


def make_jobs(db, clock, *tasks: Task) -> Jobs:
    return Jobs(db, tasks, clock=clock)


def test_it_does_every_task_at_first_and_tells_them_the_time(db, clock):
    calls = []
    jobs = make_jobs(db, clock, Task("purge", 60, lambda now: calls.append(("purge", now))), Task("poll", 900, calls.append))
    assert jobs.tick() == ["purge", "poll"]
    assert calls == [("purge", NOW), NOW]


def test_it_does_a_task_again_only_when_its_period_is_over(db, clock):
    calls = []
    jobs = make_jobs(db, clock, Task("poll", 900, calls.append))
    for clock.now in (NOW, NOW + 30, NOW + 899, NOW + 900, NOW + 930):
        jobs.tick()
    assert calls == [NOW, NOW + 900]


def test_it_does_a_task_in_one_process_only(db, clock):
    calls = []
    first, second = (make_jobs(db, clock, Task("poll", 900, calls.append)) for _ in range(2))
    assert first.tick() == ["poll"]
    assert second.tick() == []
    clock.now += 900
    assert second.tick() == ["poll"]
    assert first.tick() == []
    assert calls == [NOW, NOW + 900]


def test_it_takes_over_from_a_process_that_died_in_a_task(db, clock):
    class Death(BaseException):
        """What no handler catches."""

    def die(now: int) -> None:
        raise Death

    calls = []
    with pytest.raises(Death):
        make_jobs(db, clock, Task("poll", 60, die, lease_seconds=300)).tick()
    survivor = make_jobs(db, clock, Task("poll", 60, calls.append, lease_seconds=300))
    clock.now += 299
    assert survivor.tick() == []
    clock.now += 1
    assert survivor.tick() == ["poll"]
    assert calls == [NOW + 300]


@pytest.mark.parametrize("error", [FetchError("secret text"), KeyError("secret text")])
def test_it_logs_a_failing_task_by_name_and_goes_on(db, clock, caplog, error):
    def fail(now: int) -> None:
        raise error

    calls = []
    jobs = make_jobs(db, clock, Task("poll", 900, fail), Task("purge", 900, calls.append))
    with caplog.at_level(logging.WARNING, "postern.jobs"):
        assert jobs.tick() == ["poll", "purge"]
    assert calls == [NOW]
    assert f"poll failed: {type(error).__name__}" in caplog.text
    assert "secret text" not in caplog.text


def test_it_tries_a_failed_task_again_when_next_due(db, clock):
    calls = []

    def fail(now: int) -> None:
        calls.append(now)
        raise FetchError("down")

    jobs = make_jobs(db, clock, Task("poll", 900, fail))
    for clock.now in (NOW, NOW + 30, NOW + 900):
        jobs.tick()
    assert calls == [NOW, NOW + 900]


def test_it_survives_a_database_that_is_gone(db, clock, caplog):
    jobs = make_jobs(db, clock, Task("poll", 900, lambda now: None))
    with db.write() as run:
        run("DROP TABLE leases")
    with caplog.at_level(logging.WARNING, "postern.jobs"):
        assert jobs.tick() == []
    assert "poll failed: StorageError" in caplog.text


def test_it_measures_each_lease_from_its_own_beginning(db, clock):
    def be_slow(now: int) -> None:
        clock.now += 600

    calls = []
    make_jobs(db, clock, Task("slow", 900, be_slow), Task("poll", 900, calls.append)).tick()
    assert calls == [NOW + 600]


def test_it_does_one_item_after_a_failing_one(caplog):
    def run(item: Item, now: int) -> None:
        if item.id == "bad":
            raise FetchError("secret text")
        done.append((item.id, now))

    done: list[tuple[str, int]] = []
    with caplog.at_level(logging.WARNING, "postern.jobs"):
        for_each("poll", lambda: [Item("bad"), Item("good")], run)(NOW)
    assert done == [("good", NOW)]
    assert "poll of bad failed: FetchError" in caplog.text
    assert "secret text" not in caplog.text


def test_it_ticks_in_a_thread_until_it_is_stopped(db, clock):
    ticked = threading.Event()
    jobs = make_jobs(db, clock, Task("poll", 900, lambda now: ticked.set()))
    jobs.start()
    jobs.start()
    assert ticked.wait(10)
    assert sum(thread.name == "jobs" for thread in threading.enumerate()) == 1
    jobs.stop()
    assert not any(thread.name == "jobs" for thread in threading.enumerate())


def test_it_begins_nothing_after_a_stop(db, clock):
    jobs = make_jobs(db, clock, Task("poll", 900, lambda now: None))
    jobs.stop()
    assert jobs.tick() == []

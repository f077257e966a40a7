"""Limits in words: how many, how long to wait, and that nobody is locked out. Time passes when a test says so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from house import Clock
from patience import wait_until

from errors import TooManyRequests
from limits import QUEUE_MAX, Limits

NOW = 1_790_000_000


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def limits(db, clock):
    """Whoever has to wait moves the clock."""
    return Limits(db, clock, sleep=clock.forward)


def count_allowed(take, tries):
    """How many of so many tries at once are allowed, and what the last refused one is told."""
    allowed, wait = 0, None
    for _ in range(tries):
        try:
            take()
            allowed += 1
        except TooManyRequests as refusal:
            wait = refusal.retry_after
    return allowed, wait


@pytest.mark.parametrize(("policy", "capacity", "interval"), [("registration", 150, 24), ("setup", 10, 6), ("api_key", 10, 360)])
def test_a_policy_allows_so_many_and_then_one_after_the_other(limits, clock, policy, capacity, interval):
    take = getattr(limits, policy)
    assert count_allowed(lambda: take("192.0.2.1"), capacity + 5) == (capacity, interval)
    clock.forward(interval)
    assert count_allowed(lambda: take("192.0.2.1"), 2) == (1, interval)
    clock.forward(capacity * interval * 100)
    assert count_allowed(lambda: take("192.0.2.1"), capacity + 5)[0] == capacity  # it does not save up more


@pytest.mark.parametrize(("policy", "capacity"), [("authorize", 120), ("token", 300)], ids=["authorize", "token"])
def test_endpoints_allow_a_crowd_at_once_and_another_each_minute(limits, clock, policy, capacity):
    take = getattr(limits, policy)
    assert count_allowed(lambda: take("192.0.2.1"), capacity + 5) == (capacity, 1)
    assert count_allowed(lambda: take("192.0.2.2"), 1) == (1, None)
    clock.forward(1)
    assert count_allowed(lambda: take("192.0.2.1"), capacity) == (capacity // 60, 1)
    clock.forward(60)
    assert count_allowed(lambda: take("192.0.2.1"), capacity + 5) == (capacity, 1)


def test_an_address_is_not_written_down(limits, db):
    limits.token("192.0.2.1")
    limits.failed_client("client_a", "192.0.2.1")
    rows = db.query("SELECT bucket_hash FROM rate_limits")
    assert [len(row["bucket_hash"]) for row in rows] == [64, 64]
    assert not any("192.0.2" in row["bucket_hash"] or "client" in row["bucket_hash"] for row in rows)


def test_a_clock_that_jumps_back_locks_nobody_out(limits, clock):
    count_allowed(lambda: limits.setup("192.0.2.1"), 15)
    clock.forward(-86400)
    assert count_allowed(lambda: limits.setup("192.0.2.1"), 15) == (10, 6)


def test_clocks_that_differ_a_little_let_nobody_have_more(limits, clock):
    count_allowed(lambda: limits.setup("192.0.2.1"), 15)
    clock.forward(-30)
    assert count_allowed(lambda: limits.setup("192.0.2.1"), 15) == (0, 36)


def test_failures_of_a_client_are_counted_for_it_and_where_it_is(limits):
    assert count_allowed(lambda: limits.failed_client("client_a", "192.0.2.1"), 25) == (20, 3)
    assert count_allowed(lambda: limits.failed_client("client_a", "192.0.2.2"), 1) == (1, None)
    assert count_allowed(lambda: limits.failed_client("client_b", "192.0.2.1"), 1) == (1, None)


def test_one_address_does_not_use_up_another_ones(limits):
    count_allowed(lambda: limits.setup("192.0.2.1"), 20)
    assert count_allowed(lambda: limits.setup("192.0.2.2"), 20)[0] == 10


def test_many_workers_count_together(db, clock):
    workers = [Limits(db, clock) for _ in range(4)]
    with ThreadPoolExecutor(8) as crowd:
        results = crowd.map(lambda number: count_allowed(lambda: workers[number % 4].setup("192.0.2.1"), 1)[0], range(40))
        assert sum(results) == 10


def test_who_signs_in_too_often_waits_and_then_is_let_in(limits, clock):
    for _ in range(10):
        limits.login("address 192.0.2.1")
    assert clock() == NOW
    limits.login("address 192.0.2.1")
    assert clock() == NOW + 6


def test_two_wait_at_a_time_and_all_others_are_refused_at_once(db, clock):
    asleep, wake = threading.Semaphore(0), threading.Event()

    def sleep(_seconds):
        asleep.release()
        wake.wait(10)

    limits = Limits(db, clock, sleep=sleep)
    count_allowed(lambda: limits.login("device a"), 10)
    with ThreadPoolExecutor(2) as crowd:
        waiting = [crowd.submit(limits.login, "device a") for _ in range(2)]
        assert asleep.acquire(timeout=10)
        assert asleep.acquire(timeout=10)
        assert count_allowed(lambda: limits.login("device a"), 5) == (0, 6)
        limits.login("device b")  # somebody else does not wait
        clock.forward(6)
        wake.set()
        outcomes = [outcome.exception() for outcome in waiting]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "TooManyRequests"]


def test_two_passwords_are_checked_at_a_time(limits):
    inside, most, lock = 0, 0, threading.Lock()
    meet = threading.Barrier(2)

    def check(_number):
        nonlocal inside, most
        with limits.password_check():
            with lock:
                inside += 1
                most = max(most, inside)
            meet.wait(10)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(check, range(8)))
    assert most == 2


def test_a_check_that_fails_makes_room(limits):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), limits.password_check():
            raise ZeroDivisionError


def test_few_wait_for_a_password_to_be_checked_and_all_others_are_refused_at_once(limits):
    inside, goes_on = threading.Semaphore(0), threading.Event()

    def check():
        with limits.password_check():
            inside.release()
            goes_on.wait(10)

    with ThreadPoolExecutor(2 + QUEUE_MAX) as crowd:
        checks = [crowd.submit(check) for _ in range(2 + QUEUE_MAX)]
        wait_until(lambda: limits._queueing._value == 0)
        assert inside.acquire(timeout=10)
        with pytest.raises(TooManyRequests) as refusal, limits.password_check():
            pass
        goes_on.set()
        assert [check.result() for check in checks] == [None] * (2 + QUEUE_MAX)
    assert refusal.value.retry_after == 5
    with limits.password_check():
        pass

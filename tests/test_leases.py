"""Leases: one holder at a time, a period between turns, and none that outlives a dead holder."""

from __future__ import annotations

import threading

import pytest
from conftest import NOW

from store.leases import finish_lease, take_lease

HOUR = 3600


def take(db, holder: str, now: int, name: str = "purge") -> bool:
    return take_lease(db, name, holder, every_seconds=HOUR, lease_seconds=900, now=now)


def test_it_gives_a_free_lease_to_the_first_who_asks(db):
    assert take(db, "alice", NOW)
    assert not take(db, "bob", NOW)


def test_it_does_not_give_a_lease_twice_to_its_own_holder(db):
    assert take(db, "alice", NOW)
    assert not take(db, "alice", NOW)


def test_it_keeps_leases_of_different_names_apart(db):
    assert take(db, "alice", NOW, "purge")
    assert take(db, "bob", NOW, "poll")


@pytest.mark.parametrize(("later", "taken"), [(899, False), (900, True)])
def test_it_frees_a_dead_holders_lease_when_that_expires(db, later, taken):
    assert take(db, "alice", NOW)
    assert take(db, "bob", NOW + later) is taken


@pytest.mark.parametrize(("later", "taken"), [(HOUR - 1, False), (HOUR, True)])
def test_it_waits_for_the_period_after_a_task_is_done(db, later, taken):
    assert take(db, "alice", NOW)
    assert finish_lease(db, "purge", "alice", now=NOW)
    assert take(db, "bob", NOW + later) is taken


def test_it_leaves_the_new_holder_alone_when_the_old_one_finishes_late(db):
    assert take(db, "alice", NOW)
    assert take(db, "bob", NOW + 900)
    assert not finish_lease(db, "purge", "alice", now=NOW + 901)
    assert not take(db, "charlie", NOW + 902)
    assert finish_lease(db, "purge", "bob", now=NOW + 903)


def test_it_cannot_finish_what_nobody_took(db):
    assert not finish_lease(db, "purge", "charlie", now=NOW)


def test_it_has_one_winner_among_many_threads(db):
    barrier, winners = threading.Barrier(8), []

    def compete(holder: str) -> None:
        barrier.wait()
        if take(db, holder, NOW):
            winners.append(holder)

    threads = [threading.Thread(target=compete, args=(f"holder {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1

"""The rows of Personal Context: which event is newest, whose it is, and what a purge may take."""

from __future__ import annotations

import sqlite3

import pytest
from conftest import NOW
from context_fixture import make_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.personal_context import PersonalContextStorage, earliest_date, purge_personal_context

DAY = 86400
PLACE = (51.5, -0.1, "Waterloo")


@pytest.fixture
def alice(db) -> PersonalContextStorage:
    """Alice's rows, with Bob's beside them in the same database."""
    make_connections(db, "alice", "bob")
    return PersonalContextStorage(db, "alice")


@pytest.fixture
def bob(db, alice) -> PersonalContextStorage:
    """Bob's rows."""
    return PersonalContextStorage(db, "bob")


def find_status(storage: PersonalContextStorage, moment: int) -> str | None:
    event = storage.find_work_event(moment)
    return event.status if event else None


# --- work ---


def test_it_finds_the_newest_work_event_of_a_moment(alice):
    alice.add_work_event("office", None, now=NOW)
    alice.add_work_event("remote", "train strike", now=NOW + 10)
    assert [find_status(alice, NOW + offset) for offset in (-1, 0, 9, 10, 99)] == [None, "office", "office", "remote", "remote"]


def test_it_keeps_every_part_of_a_work_event(alice):
    added = alice.add_work_event("remote", "train strike", source="automated", expires_at=NOW + 5, now=NOW)
    assert alice.find_work_event(NOW) == added
    assert (added.source, added.reason, added.created_at, added.expires_at) == ("automated", "train strike", NOW, NOW + 5)


@pytest.mark.parametrize(("offset", "status"), [(59, "break"), (60, "office")])
def test_it_lets_a_work_event_expire_at_its_very_second(alice, offset, status):
    alice.add_work_event("office", None, now=NOW - 1)
    alice.add_work_event("break", None, expires_at=NOW + 60, now=NOW)
    assert find_status(alice, NOW + offset) == status


def test_it_takes_the_last_of_several_words_in_one_second(alice):
    for number in range(20):
        alice.add_work_event(f"status {number}", None, now=NOW)
        alice.add_location_event(number, 0, None, now=NOW)
    assert find_status(alice, NOW) == "status 19"
    assert alice.find_last_location().latitude == 19
    assert [event.latitude for event in alice.list_location_events(since=0, until=NOW, limit=3)] == [19, 18, 17]


def test_it_goes_by_the_position_within_a_second_and_not_by_the_order_of_rows(db, alice):
    for status, latitude in (("last word", 1), ("first word", 2)):
        alice.add_work_event(status, None, now=NOW)
        alice.add_location_event(latitude, 0, None, now=NOW)
    with db.write() as run:
        run("UPDATE work_events SET position = 1 - position")
        run("UPDATE location_events SET position = 1 - position")
    assert find_status(alice, NOW) == "last word"
    assert alice.find_location_event(NOW, not_before=0).latitude == 1
    assert alice.find_last_location().latitude == alice.find_nameless_location().latitude == 1
    assert [event.latitude for event in alice.list_location_events(since=0, until=NOW, limit=9)] == [1, 2]


# --- location ---


@pytest.mark.parametrize(("not_before", "found"), [(NOW, True), (NOW + 1, False)])
def test_it_finds_a_location_from_the_moment_it_was_made(alice, not_before, found):
    event = alice.add_location_event(*PLACE, now=NOW)
    assert alice.find_location_event(NOW + 50, not_before=not_before) == (event if found else None)


@pytest.mark.parametrize(("offset", "name"), [(-1, None), (0, "Waterloo"), (59, "Waterloo"), (60, None)])
def test_it_finds_a_location_until_it_expires(alice, offset, name):
    alice.add_location_event(*PLACE, expires_at=NOW + 60, now=NOW)
    event = alice.find_location_event(NOW + offset, not_before=0)
    assert (event.name if event else None) == name


def test_it_lists_locations_between_two_moments_newest_first(alice):
    for offset in range(5):
        alice.add_location_event(offset, 0, None, now=NOW + offset)
    listed = alice.list_location_events(since=NOW + 1, until=NOW + 3, limit=50)
    assert [event.latitude for event in listed] == [3, 2, 1]


def test_it_names_a_nameless_location_once(alice):
    older = alice.add_location_event(1, 2, None, now=NOW)
    newer = alice.add_location_event(3, 4, None, now=NOW + 1)
    alice.add_location_event(*PLACE, now=NOW + 2)
    assert alice.find_nameless_location() == newer
    assert alice.name_location(newer.id, "Bridge").name == "Bridge"
    assert alice.name_location(newer.id, "Tower") is None
    assert alice.find_nameless_location() == older


@pytest.mark.parametrize("place", [(90.1, 0), (-90.1, 0), (0, 180.1), (0, -180.1)])
def test_it_refuses_coordinates_that_are_not_on_earth(alice, place):
    with pytest.raises(sqlite3.IntegrityError):
        alice.add_location_event(*place, None, now=NOW)


# --- plans ---


def test_it_replaces_the_whole_plan_of_a_date(alice):
    alice.put_schedule("2026-09-22", "office", PLACE, "workshop", now=NOW)
    plan = alice.put_schedule("2026-09-22", "off", None, None, now=NOW + 5)
    assert (plan.work_status, plan.latitude, plan.location_name, plan.reason) == ("off", None, None, None)
    assert (plan.created_at, plan.updated_at) == (NOW, NOW + 5)
    assert alice.find_schedule("2026-09-22") == plan


def test_it_lists_plans_by_date_with_both_ends(alice):
    for day in (24, 22, 23, 21):
        alice.put_schedule(f"2026-09-{day}", "office", None, None, now=NOW)
    listed = alice.list_schedules(since="2026-09-22", until="2026-09-23")
    assert [plan.date for plan in listed] == ["2026-09-22", "2026-09-23"]


def test_it_tells_whether_there_was_a_plan_to_delete(alice):
    alice.put_schedule("2026-09-22", "office", None, None, now=NOW)
    assert alice.delete_schedule("2026-09-22")
    assert not alice.delete_schedule("2026-09-22")
    assert alice.find_schedule("2026-09-22") is None


def test_it_refuses_a_plan_of_nothing(alice):
    with pytest.raises(sqlite3.IntegrityError):
        alice.put_schedule("2026-09-22", None, None, "only a reason", now=NOW)


# --- whose ---


def test_it_never_shows_or_touches_the_rows_of_another_connection(alice, bob):
    alice.add_work_event("office", None, now=NOW)
    place = alice.add_location_event(1, 2, None, now=NOW)
    plan = alice.put_schedule("2026-09-22", "office", None, None, now=NOW)

    assert bob.find_work_event(NOW) is None
    assert bob.find_location_event(NOW, not_before=0) is None
    assert bob.find_last_location() is None
    assert bob.find_nameless_location() is None
    assert bob.list_location_events(since=0, until=NOW, limit=50) == []
    assert bob.find_schedule("2026-09-22") is None
    assert bob.list_schedules(since="0000", until="9999") == []
    assert bob.name_location(place.id, "Bob was here") is None
    assert not bob.delete_schedule("2026-09-22")
    bob.put_schedule("2026-09-22", "off", None, None, now=NOW)

    assert find_status(alice, NOW) == "office"
    assert alice.find_last_location() == place
    assert alice.find_schedule("2026-09-22") == plan


def test_it_goes_with_its_connection(db, alice):
    alice.add_work_event("office", None, now=NOW)
    alice.add_location_event(*PLACE, now=NOW)
    alice.put_schedule("2026-09-22", "office", None, None, now=NOW)
    with db.write() as run:
        run("DELETE FROM connections WHERE id = 'alice'")
    assert [count(db, table) for table in ("work_events", "location_events", "scheduled_statuses")] == [0, 0, 0]


# --- purging ---


def count(db, table: str) -> int:
    return db.query(f"SELECT count(*) AS number FROM {table}")[0]["number"]


def test_a_purge_takes_old_locations_and_plans_and_leaves_the_rest(db, alice, bob):
    for storage in (alice, bob):
        storage.add_location_event(1, 2, None, now=NOW - 1)
        storage.add_location_event(3, 4, None, now=NOW)
        storage.put_schedule("2026-09-20", "office", None, None, now=NOW)
        storage.put_schedule("2026-09-21", "office", None, None, now=NOW)
    purge_personal_context(db, before=NOW)  # 2026-09-21 13:33 UTC; nowhere is it still the 20th
    for storage in (alice, bob):
        assert [event.latitude for event in storage.list_location_events(since=0, until=NOW, limit=9)] == [3]
        assert [plan.date for plan in storage.list_schedules(since="0000", until="9999")] == ["2026-09-21"]


def test_a_purge_leaves_the_old_work_event_that_still_counts(db, alice, bob):
    alice.add_work_event("office", None, now=NOW - 3)
    alice.add_work_event("remote", None, now=NOW - 2)
    alice.add_work_event("break", None, expires_at=NOW, now=NOW - 1)
    bob.add_work_event("office", None, now=NOW - 4)
    purge_personal_context(db, before=NOW)
    assert count(db, "work_events") == 2
    assert (find_status(alice, NOW), find_status(bob, NOW)) == ("remote", "office")


@pytest.mark.parametrize(("hour", "date"), [(0, "2026-09-20"), (11, "2026-09-20"), (12, "2026-09-21"), (23, "2026-09-21")])
def test_it_knows_the_date_in_the_west(hour, date):
    midnight = NOW - NOW % DAY
    assert earliest_date(midnight + hour * 3600) == date


moments = st.integers(min_value=NOW - 6, max_value=NOW + 6)
said = st.lists(st.tuples(moments, st.none() | st.integers(min_value=1, max_value=8)), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=said)
def test_a_purge_changes_no_answer_about_a_moment_since(db, events):
    with db.write() as run:
        run("DELETE FROM users")
    make_connections(db, "alice", "bob")
    alice = PersonalContextStorage(db, "alice")
    for number, (moment, ttl) in enumerate(sorted(events, key=lambda event: event[0])):
        alice.add_work_event(str(number), None, expires_at=moment + ttl if ttl else None, now=moment)
    since = range(NOW, NOW + 20)
    before = [alice.find_work_event(moment) for moment in since]
    purge_personal_context(db, before=NOW)
    assert [alice.find_work_event(moment) for moment in since] == before

"""What counts when: the resolver's contract, over work, locations and plans. What is said later never changes the past."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from context_fixture import LONDON_EYE, World, at, make_connections, world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.personal_context.days import make_day, parse_date

__all__ = ["world"]

LONDON = ZoneInfo("Europe/London")
EVENT = {"source": "work-status-event", "eventSource": "manual"}
PLAN = {"source": "scheduled-context", "scheduledContextSource": "manual"}
HOUR = 3600


# --- work ---

MONDAY, FRIDAY, SATURDAY, NEXT_SATURDAY = "2026-09-21", "2026-09-18", "2026-09-19", "2026-09-26"


@pytest.mark.parametrize(
    ("date", "event_at", "ttl", "planned", "expected"),
    [
        # nothing said
        (MONDAY, None, None, None, ("off", {"source": "baseline"})),
        (NEXT_SATURDAY, None, None, None, ("off", {"source": "baseline"})),
        # an event, today
        (MONDAY, "2026-09-21 08:00", None, None, ("office", EVENT)),
        (MONDAY, "2026-09-10 08:00", None, None, ("office", EVENT)),
        (MONDAY, "2026-09-21 08:00", HOUR + 1, None, ("office", EVENT)),
        (MONDAY, "2026-09-21 08:00", HOUR, None, ("off", {"source": "baseline"})),
        # a plan for today, alone and against an event
        (MONDAY, None, None, "leave", ("leave", PLAN)),
        (MONDAY, "2026-09-21 08:00", None, "leave", ("office", EVENT)),
        (MONDAY, "2026-09-21 08:00", HOUR, "leave", ("leave", PLAN)),
        # a past date: until its last second
        (FRIDAY, "2026-09-18 22:59", None, None, ("office", EVENT)),
        (FRIDAY, "2026-09-18 23:00", None, None, ("off", {"source": "baseline"})),
        (FRIDAY, "2026-09-21 08:00", None, None, ("off", {"source": "baseline"})),
        (FRIDAY, "2026-09-18 08:00", None, "leave", ("leave", PLAN)),
        (FRIDAY, "2026-09-18 22:00", HOUR, None, ("office", EVENT)),
        (FRIDAY, "2026-09-18 22:00", HOUR - 1, None, ("off", {"source": "baseline"})),
        (SATURDAY, None, None, "on call", ("on call", PLAN)),
        # a future date: from its first second
        (NEXT_SATURDAY, "2026-09-21 08:00", None, None, ("office", EVENT)),
        (NEXT_SATURDAY, "2026-09-21 08:00", 3 * 86400, None, ("off", {"source": "baseline"})),
        (NEXT_SATURDAY, "2026-09-21 08:00", None, "leave", ("leave", PLAN)),
    ],
)
def test_it_resolves_work(world, date, event_at, ttl, planned, expected):
    now = world.now
    if event_at:
        world.now = at(event_at)
        world.call("status_set_work", workStatus="office", **({"ttlSeconds": ttl} if ttl else {}))
    if planned:
        world.call("status_schedule_set", date=date, workStatus=planned)
    world.now = now
    status = world.call("status_get", date=date)
    assert (status["workStatus"], status["workStatusProvenance"]) == expected
    work = world.call("status_get_work", date=date)
    assert (work["effectiveDate"], work["workStatus"], work["workStatusProvenance"]) == (date, *expected)


def test_it_shows_facts_and_reasons_beside_the_status(world):
    world.now = at("2026-08-31 09:00")  # a bank holiday
    world.call("status_set_work", workStatus=" on call ", reason=" rota ")
    world.now += 60
    assert world.call("status_get") == {
        "effectiveDate": "2026-08-31",
        "resolvedAt": "2026-08-31T09:01:00Z",
        "bankHoliday": True,
        "weekend": False,
        "workStatus": "on call",
        "location": None,
        "reason": "rota",
        "workStatusProvenance": EVENT,
        "locationProvenance": {"source": "none"},
        "lastUpdated": "2026-08-31T09:00:00Z",
    }


@pytest.mark.parametrize(("date", "weekend"), [(FRIDAY, False), (SATURDAY, True), ("2026-09-20", True), (MONDAY, False)])
def test_it_knows_a_weekend(world, date, weekend):
    assert world.call("status_get", date=date)["weekend"] is weekend


def test_it_falls_back_to_the_earlier_word_when_the_later_one_expires(world):
    world.call("status_set_work", workStatus="office")
    world.now += HOUR
    assert world.call("status_set_work", workStatus="lunch", ttlSeconds=60)["workStatus"] == "lunch"
    world.now += 60
    assert world.call("status_get_work")["workStatus"] == "office"


def test_it_says_today_in_the_connections_time_zone(world):
    world.settings = {"time_zone": "Pacific/Kiritimati"}
    world.now = at("2026-09-21 10:00")
    assert world.call("status_get")["effectiveDate"] == "2026-09-22"


EVENTS = st.lists(st.tuples(st.integers(min_value=0, max_value=5 * 86400), st.none() | st.integers(1, 86400)), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(earlier=EVENTS, later=EVENTS)
def test_what_is_said_later_never_changes_a_past_date(db, vault, earlier, later):
    with db.write() as run:
        run("DELETE FROM users")
    make_connections(db, "alice")
    world = World(db, vault)
    end = make_day(parse_date("2026-09-16", "date"), LONDON, 0).ends_at

    def say(moment: int, ttl: int | None) -> None:
        world.now = moment
        given = {"ttlSeconds": ttl} if ttl else {}
        world.call("status_set_work", workStatus=f"said at {moment}", **given)
        world.call("status_set_location", **LONDON_EYE, **given)

    def ask() -> dict:
        world.now = end + 6 * 86400
        answers = [world.call("status_get", date=f"2026-09-{day}") for day in (14, 15, 16)]
        return [{key: value for key, value in answer.items() if key != "resolvedAt"} for answer in answers]

    for offset, ttl in sorted(earlier, key=lambda event: event[0]):
        say(end - 1 - offset, ttl)
    before = ask()
    for offset, ttl in later:
        say(end + offset, ttl)
    assert ask() == before


# --- location ---


@pytest.mark.parametrize(
    ("age", "ttl", "source"),
    [
        (0, None, "location-event"),
        (6 * HOUR, None, "location-event"),  # stale is older than six hours
        (6 * HOUR + 1, None, "scheduled-context"),
        (59, 60, "location-event"),
        (60, 60, "scheduled-context"),  # expired is from that second on
    ],
)
def test_it_takes_a_live_location_before_a_planned_one(world, age, ttl, source):
    planned = {"latitude": 55.95, "longitude": -3.19, "locationName": "Edinburgh"}
    world.call("status_schedule_set", date=MONDAY, location=planned)
    given = {"ttlSeconds": ttl} if ttl else {}
    world.call("status_set_location", **LONDON_EYE, locationName="London Eye", **given)
    world.now += age
    found = world.call("status_get_location")
    assert found["locationProvenance"]["source"] == source
    seen = {**LONDON_EYE, "locationName": "London Eye", "source": "manual", "timestamp": "2026-09-21T09:00:00Z"}
    assert found["location"] == (seen if source == "location-event" else planned)


def test_it_takes_the_newest_location_that_still_counts(world):
    world.call("status_set_location", **LONDON_EYE, locationName="London Eye")
    world.now += 10
    world.call("status_set_location", latitude=1, longitude=2, locationName="Expired", ttlSeconds=60)
    assert world.call("status_get_location")["location"]["locationName"] == "Expired"
    world.now += 60
    assert world.call("status_get_location")["location"]["locationName"] == "London Eye"


def test_it_lets_a_location_outlive_midnight(world):
    world.now = at("2026-09-20 22:30")
    world.call("status_set_location", **LONDON_EYE)
    world.now += HOUR
    found = world.call("status_get_location")
    assert (found["effectiveDate"], found["location"]["latitude"]) == ("2026-09-21", 51.5033)


@pytest.mark.parametrize("date", [FRIDAY, "2026-09-20", "2026-09-22"])
def test_it_knows_the_location_on_other_dates_from_plans_only(world, date):
    world.now = at(f"{date} 09:00")
    world.call("status_set_location", **LONDON_EYE)
    world.now = at("2026-09-21 09:00")
    world.call("status_set_location", **LONDON_EYE)
    assert world.call("status_get", date=date)["location"] is None
    world.call("status_schedule_set", date=date, location={"latitude": 1, "longitude": 2}, reason="trip")
    status = world.call("status_get", date=date)
    assert status["location"] == {"latitude": 1, "longitude": 2, "locationName": None}
    assert status["locationProvenance"] == PLAN
    assert status["reason"] == "trip"


def test_it_forgets_a_location_after_the_hours_a_person_set(world):
    world.settings = {"location_stale_hours": 1}
    world.call("status_set_location", **LONDON_EYE)
    world.now += HOUR
    assert world.call("status_get_location")["location"] is not None
    world.now += 1
    assert world.call("status_get_location")["location"] is None

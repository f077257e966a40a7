"""Days of Personal Context: their edges, where the clocks change, and what is no date; and the settings they depend on."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from context_fixture import at, world

from connectors.personal_context.days import Day, find_zone, make_day, parse_date, parse_moment, today
from connectors.personal_context.settings import FIELDS, check_entity, check_url, read_settings
from errors import ToolError

__all__ = ["world"]

LONDON = ZoneInfo("Europe/London")
HOUR = 3600


# --- days ---


@pytest.mark.parametrize(
    ("zone", "day", "starts", "hours"),
    [
        ("Europe/London", "2026-09-21", "2026-09-20 23:00", 24),
        ("Europe/London", "2026-03-29", "2026-03-29 00:00", 23),  # the clocks go forward
        ("Europe/London", "2026-10-25", "2026-10-24 23:00", 25),  # and back
        ("Africa/Cairo", "2026-04-24", "2026-04-23 22:00", 23),  # there is no midnight on this day
        ("Pacific/Kiritimati", "2026-09-21", "2026-09-20 10:00", 24),
        ("America/Los_Angeles", "2026-09-21", "2026-09-21 07:00", 24),
    ],
)
def test_it_knows_when_a_day_begins_and_ends(zone, day, starts, hours):
    found = make_day(parse_date(day, "date"), ZoneInfo(zone), 0)
    assert (found.starts_at, found.ends_at) == (at(starts), at(starts) + hours * HOUR)


@pytest.mark.parametrize(
    ("moment", "date"),
    [("2026-09-20 22:59", "2026-09-20"), ("2026-09-20 23:00", "2026-09-21"), ("2026-12-20 23:59", "2026-12-20")],
)
def test_it_takes_today_from_the_time_zone(moment, date):
    day = today(LONDON, at(moment))
    assert str(day) == date
    assert day.is_today


@pytest.mark.parametrize(
    ("now", "target", "is_today"), [(50, 100, False), (100, 100, True), (150, 150, True), (199, 199, True), (200, 199, False)]
)
def test_it_asks_about_the_moment_of_a_day_that_is_nearest_to_now(now, target, is_today):
    day = Day(parse_date("2026-09-21", "date"), 100, 200, now)
    assert (day.target, day.is_today) == (target, is_today)


NO_DATES = ["2026-02-29", "2026-13-01", "20260921", "2026-9-1", "2026-W39-1", "２０２６-09-21", "2026-09-21\n", ""]


@pytest.mark.parametrize("text", [*NO_DATES, "1969-12-31", "2200-01-01", "9999-12-31"])
def test_it_refuses_what_is_no_date(text):
    with pytest.raises(ToolError, match="real calendar date"):
        parse_date(text, "date")


@pytest.mark.parametrize(
    ("text", "end", "moment"),
    [
        ("2026-09-21", False, "2026-09-20 23:00:00"),
        ("2026-09-21", True, "2026-09-21 22:59:59"),
        ("2026-09-21T10:00:00", False, "2026-09-21 09:00:00"),
        ("2026-09-21T10:00:00Z", False, "2026-09-21 10:00:00"),
        ("2026-09-21T10:00:00+05:30", True, "2026-09-21 04:30:00"),
    ],
)
def test_it_reads_moments_in_the_time_zone(text, end, moment):
    assert parse_moment(text, "from", LONDON, end=end) == at(moment)


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-09-21T25:00", "0001-01-01T00:00:00", "T", ""])
def test_it_refuses_what_is_no_moment(text):
    with pytest.raises(ToolError, match="`from` must be a"):
        parse_moment(text, "from", LONDON)


# --- settings ---


@pytest.mark.parametrize("name", ["Atlantis", "", "Europe", "../../etc/passwd", "/etc/localtime", "Europe/London\0"])
def test_it_refuses_what_is_no_time_zone(world, name):
    with pytest.raises(ValueError, match="not a time zone"):
        find_zone(name)


@pytest.mark.parametrize(
    "url", ["", "ha.local", "ftp://ha.local", "http://", "http://alice:pw@ha.local", "http://ha.local/?a", "http://ha.local/#a"]
)
def test_it_refuses_what_is_no_address_of_home_assistant(url):
    with pytest.raises(ValueError, match="Write it as in http"):
        check_url(url)


@pytest.mark.parametrize("entity", ["alice", "person.", "person.a/../x", "Person.alice", "person.a\n", "a.b.c", "person.a%2f"])
def test_it_refuses_what_is_no_entity(entity):
    with pytest.raises(ValueError, match=r"person\.alice"):
        check_entity(entity)


def test_its_form_accepts_its_own_defaults_and_hides_its_secrets(world):
    for field in FIELDS:
        if field.check and field.default:
            field.check(field.default)
    assert {field.name for field in FIELDS if field.kind == "secret"} == {"google_maps_api_key", "home_assistant_token"}
    world.secrets = {"google_maps_api_key": "AIza-secret", "home_assistant_token": "ha-secret"}
    world.settings = {"home_assistant_url": "http://ha.local:8123", "home_assistant_entity": "person.alice"}
    assert "secret" not in repr(read_settings(world.context()))


def test_it_tells_the_model_when_a_setting_is_unfit(world):
    world.settings = {"time_zone": "Atlantis"}
    with pytest.raises(ToolError, match="not a time zone"):
        world.call("status_get")

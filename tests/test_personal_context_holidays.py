"""Bank holidays: once a day from GOV.UK, for everybody; and what is said while it is down."""

from __future__ import annotations

import pytest
from context_fixture import BANK_HOLIDAYS_URL, FEED, answer, at, world

from connectors.personal_context import CONNECTOR
from fetch import VENDOR, Response

__all__ = ["world"]

DAY = 86400
JOBS = {job.name: job for job in CONNECTOR.jobs}


@pytest.mark.parametrize(
    ("region", "date", "found"),
    [
        ("england-and-wales", "2026-08-31", True),
        ("england-and-wales", "2026-11-30", False),
        ("scotland", "2026-11-30", True),
        ("scotland", "2026-08-31", False),
        ("northern-ireland", "2026-07-13", True),
    ],
)
def test_it_knows_the_bank_holidays_of_the_persons_region(world, region, date, found):
    world.settings = {"holiday_region": region}
    status = world.call("status_get", date=date)
    assert status["bankHoliday"] is found
    assert "note" not in status


def test_it_asks_gov_uk_once_a_day_for_everybody(world):
    for moment in (0, 5, DAY - 1):
        world.now = at("2026-09-21 09:00") + moment
        world.call("status_get", owner="alice")
        world.call("status_get", owner="bob")
    assert world.fetch.requests == [
        {"method": "GET", "url": BANK_HOLIDAYS_URL, "trust": VENDOR, "timeout": 1.5, "max_bytes": 1024 * 1024}
    ]
    world.now += 1
    world.call("status_get")
    assert world.fetch.urls() == [BANK_HOLIDAYS_URL] * 2


def test_it_does_not_need_bank_holidays_to_tell_work_or_location(world):
    world.call("status_get_work")
    world.call("status_get_location")
    assert world.fetch.requests == []


def test_it_says_that_bank_holidays_are_not_known_when_there_has_never_been_a_copy(world):
    world.fetch.answers.clear()
    status = world.call("status_get")
    assert status["bankHoliday"] is None
    assert "GOV.UK cannot be reached" in status["note"]
    listed = world.call("holidays_list")
    assert (listed["events"], listed["note"]) == (None, status["note"])


def test_it_leaves_gov_uk_alone_for_a_minute_after_a_failure(world):
    world.fetch.answers.clear()
    for _ in range(3):
        world.call("status_get")
    world.now += 59
    world.call("status_get")
    assert len(world.fetch.requests) == 1
    world.now += 1
    world.fetch.answers[BANK_HOLIDAYS_URL] = answer(FEED)
    assert world.call("status_get")["bankHoliday"] is False
    assert len(world.fetch.requests) == 2


@pytest.mark.parametrize(
    "broken",
    [
        None,
        Response(503, {}, b""),
        Response(200, {}, b"<html>"),
        answer([]),
        answer({"scotland": FEED["scotland"]}),
        answer({**FEED, "scotland": {"events": [{"title": "x", "date": "soon"}]}}),
        answer({**FEED, "scotland": {"events": None}}),
    ],
)
def test_it_serves_a_stale_copy_when_gov_uk_is_down_or_talks_nonsense(world, broken):
    world.call("status_get")
    world.now += 300 * DAY
    world.fetch.answers = {BANK_HOLIDAYS_URL: broken} if broken else {}
    status = world.call("status_get", date="2026-08-31")
    assert (status["bankHoliday"], "note" in status) == (True, False)
    listed = world.call("holidays_list")
    assert len(listed["events"]) == 3
    assert "earlier copy" in listed["note"]


@pytest.mark.parametrize("date", ["2025-12-25", "2027-12-25"])
def test_it_does_not_call_a_day_of_an_unpublished_year_a_working_day(world, date):
    status = world.call("status_get", date=date)
    assert status["bankHoliday"] is None
    assert status["note"] == "Bank holidays of that year are not published."


def test_it_lists_the_bank_holidays_of_any_region(world):
    assert world.call("holidays_list") == {
        "region": "england-and-wales",
        "events": FEED["england-and-wales"]["events"],
        "note": None,
    }
    assert world.call("holidays_list", region="scotland")["events"][1]["title"] == "St Andrew’s Day"


def test_its_job_fetches_bank_holidays_before_anybody_asks(world):
    JOBS["bank_holidays"].run(world.context())
    world.fetch.answers.clear()
    assert world.call("status_get", date="2026-12-25")["bankHoliday"] is True
    assert len(world.fetch.requests) == 1

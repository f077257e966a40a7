"""Personal Context as a source of search: today and planned days, found by the words that people use for them."""

from __future__ import annotations

import pytest
from context_fixture import world

from connectors.personal_context import CONNECTOR
from connectors.personal_context.search import find_days, read_day
from errors import NotFound

__all__ = ["world"]

(SOURCE,) = CONNECTOR.sources


def titles(world, query: str) -> list[str]:
    return [hit.title for hit in find_days(world.context(), query, 9)]


def test_today_is_found_by_what_people_ask_about_it(world):
    world.call("status_set_work", workStatus="remote", reason="the plumber comes")
    for query in ("what is my work status today", "where am I now", "plumber"):
        (found, *_) = titles(world, query)
        assert found.startswith("Today: remote the plumber comes"), query
    assert titles(world, "invoice of the umbrella shop") == []


def test_planned_days_are_found_by_date_and_plan_and_long_gone_ones_are_not(world):
    today = world.call("status_get")["effectiveDate"]
    assert today.startswith("2026-09")
    world.call("status_schedule_set", date="2026-10-05", workStatus="office", reason="budget meeting")
    world.call("status_schedule_set", date="2026-01-05", workStatus="office", reason="budget of old")
    assert titles(world, "budget") == ["Monday 05 October 2026 (2026-10-05): office, budget meeting"]
    assert titles(world, "Monday October office")[0].startswith("Monday 05 October 2026")


def test_a_day_is_read_whole_and_has_no_address(world):
    world.call("status_schedule_set", date="2026-10-05", workStatus="office", reason="budget meeting")
    (hit,) = find_days(world.context(), "budget", 9)
    assert (hit.id, hit.url) == ("2026-10-05", "")
    document = read_day(world.context(), hit.id)
    assert document.title == "Work status and location on Monday 05 October 2026 (2026-10-05)"
    assert "Work status: office, known from: scheduled-context\nReason: budget meeting\n" in document.text
    assert (document.url, document.metadata) == ("", {"date": "2026-10-05"})


@pytest.mark.parametrize("item_id", ["", "today", "2026-02-29", "2026-10-05/..", "9999-12-31"])
def test_what_is_no_date_is_nothing(world, item_id):
    with pytest.raises(NotFound):
        read_day(world.context(), item_id)

"""Personal Context as a source of `search`: today, and each day that has a plan. Adds nothing to the tools."""

from __future__ import annotations

from datetime import date, timedelta

from connectors.personal_context.days import parse_date, today
from connectors.personal_context.resolver import find_whereabouts, find_work
from connectors.personal_context.schedule import status_schedule_list
from connectors.personal_context.settings import read_settings
from connectors.personal_context.status import describe_day, status_get
from errors import NotFound, ToolError
from sources import Document, Hit, Source, rank_by_words
from store.personal_context import ScheduledStatus
from tools import Context

PAST_DAYS = 31
ABOUT = "status work working office remote location place where plan planned schedule calendar day"  # what all days are about
ABOUT_TODAY = ABOUT + " today now current currently"


def find_days(context: Context, query: str, limit: int) -> list[Hit]:
    """Today and the planned days that a query is about, the likest first."""
    settings = read_settings(context)
    now = today(settings.zone, context.now)
    since = (now.date - timedelta(days=PAST_DAYS)).isoformat()
    plans = {plan.date: plan for plan in context.storage.list_schedules(since=since, until="9999-12-31")}
    work, whereabouts = find_work(context.storage, now), find_whereabouts(context.storage, now, settings.stale_seconds)
    place = (whereabouts.location or {}).get("locationName") or ""
    days = {str(now): (f"today {work.status} {work.reason or ''} {place}", ABOUT_TODAY)}
    days |= {day: (name_plan(plan), ABOUT) for day, plan in plans.items() if day != str(now)}
    named = [(day, f"{spell(day)} {words}", about) for day, (words, about) in days.items()]
    found = rank_by_words(named, query, lambda item: item[1:], limit)
    return [Hit(day, f"{'Today' if day == str(now) else spell(day)}: {days[day][0].removeprefix('today ')}") for day, *_ in found]


def name_plan(plan: ScheduledStatus) -> str:
    """What is planned, in a few words."""
    return ", ".join(part for part in (plan.work_status, plan.location_name, plan.reason) if part)


def spell(day: str) -> str:
    """A date with the names by which people look for it."""
    return date.fromisoformat(day).strftime("%A %d %B %Y") + f" ({day})"


def read_day(context: Context, day: str) -> Document:
    """All that counts on a day. Raises NotFound for what is no date."""
    try:
        parse_date(day, "date")
    except ToolError:
        raise NotFound("no such day") from None
    status = describe_day(context, day)
    place = status["location"]
    where = f"{place['locationName'] or 'unnamed'} ({place['latitude']}, {place['longitude']})" if place else "not known"
    holiday = {True: "yes", False: "no", None: "not known"}[status["bankHoliday"]]
    lines = [
        f"Date: {spell(day)}",
        f"Work status: {status['workStatus']}, known from: {status['workStatusProvenance']['source']}",
        f"Reason: {status['reason'] or 'none given'}",
        f"Location: {where}, known from: {status['locationProvenance']['source']}",
        f"Weekend: {'yes' if status['weekend'] else 'no'}",
        f"Bank holiday: {holiday}",
    ]
    return Document(f"Work status and location on {spell(day)}", "\n".join(lines), metadata={"date": day})


SOURCES = (Source("day", "days", find_days, read_day, (status_get.name, status_schedule_list.name)),)

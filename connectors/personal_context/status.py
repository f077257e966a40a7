"""Status tools: what a person is doing on a day, and saying so."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from connectors.personal_context.days import parse_day, show_moment, today
from connectors.personal_context.holidays import find_holiday
from connectors.personal_context.resolver import Work, find_whereabouts, find_work
from connectors.personal_context.settings import read_settings
from connectors.personal_context.shapes import (
    DateText,
    Location,
    LocationProvenance,
    ReasonText,
    StatusText,
    TtlSeconds,
    WorkProvenance,
    tidy,
)
from tools import Context, tool


class Status(TypedDict):
    """What counts on a day. `bankHoliday` is null if it is not known, and then `note` says why."""

    effectiveDate: str
    resolvedAt: str
    bankHoliday: bool | None
    weekend: bool
    workStatus: str
    location: Location | None
    reason: str | None
    workStatusProvenance: WorkProvenance
    locationProvenance: LocationProvenance
    lastUpdated: str | None
    note: NotRequired[str]


class WorkStatus(TypedDict):
    """The part of it that is about work."""

    effectiveDate: str
    workStatus: str
    reason: str | None
    workStatusProvenance: WorkProvenance


@tool(title="Get status", core=True, reads=True)
def status_get(context: Context, date: DateText | None = None) -> Status:
    """Tell what the person is doing: work status, location, weekend and bank holiday, each with where it is known from.

    Without a date: now. For another date, past or future, only what was known or planned for it counts.
    """
    return describe_day(context, date)


@tool(title="Get work status", core=True, reads=True)
def status_get_work(context: Context, date: DateText | None = None) -> WorkStatus:
    """Tell whether the person works, and how: now, or on a date."""
    day = parse_day(date, "date", read_settings(context).zone, context.now)
    return show_work(str(day), find_work(context.storage, day))


@tool(title="Set work status", core=True)
def status_set_work(
    context: Context, workStatus: StatusText, reason: ReasonText | None = None, ttlSeconds: TtlSeconds | None = None
) -> WorkStatus:
    """Say what the person's work status is from now on, until ttlSeconds have passed or another is set.

    It outranks what is planned for today. For another day, plan it with status_schedule_set.
    """
    day = today(read_settings(context).zone, context.now)
    expires_at = context.now + ttlSeconds if ttlSeconds else None
    context.storage.add_work_event(workStatus.strip(), tidy(reason), expires_at=expires_at, now=context.now)
    return show_work(str(day), find_work(context.storage, day))


def describe_day(context: Context, date: str | None = None) -> Status:
    """All that counts on a date, or now; raises ToolError if it is no date."""
    settings = read_settings(context)
    day = parse_day(date, "date", settings.zone, context.now)
    work = find_work(context.storage, day)
    whereabouts = find_whereabouts(context.storage, day, settings.stale_seconds)
    bank_holiday, note = find_holiday(context, settings.region, day.date)
    said_at = max(work.said_at or 0, whereabouts.said_at or 0)
    status: Status = {
        "effectiveDate": str(day),
        "resolvedAt": show_moment(context.now),
        "bankHoliday": bank_holiday,
        "weekend": day.is_weekend,
        "workStatus": work.status,
        "location": whereabouts.location,
        "reason": work.reason or whereabouts.reason,
        "workStatusProvenance": work.provenance,
        "locationProvenance": whereabouts.provenance,
        "lastUpdated": show_moment(said_at) if said_at else None,
    }
    return {**status, "note": note} if note else status


def show_work(date: str, work: Work) -> WorkStatus:
    """A work status, as the tools answer it."""
    return {
        "effectiveDate": date,
        "workStatus": work.status,
        "reason": work.reason,
        "workStatusProvenance": work.provenance,
    }

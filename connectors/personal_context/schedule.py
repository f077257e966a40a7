"""Schedule tools: what a person has planned for which date."""

from __future__ import annotations

from typing_extensions import TypedDict

from connectors.personal_context.days import YEARS, check_order, parse_date
from connectors.personal_context.shapes import DateText, Plan, PlannedLocation, ReasonText, StatusText, show_plan, tidy
from errors import ToolError
from tools import Context, tool


class Schedule(TypedDict):
    """Plans, earliest first."""

    schedules: list[Plan]


class Deletion(TypedDict):
    """`success`: nothing is planned for the date any more. `deleted`: something was."""

    success: bool
    deleted: bool


@tool(title="Plan a date", core=True, destructive=True, idempotent=True)
def status_schedule_set(
    context: Context,
    date: DateText,
    workStatus: StatusText | None = None,
    location: PlannedLocation | None = None,
    reason: ReasonText | None = None,
) -> Plan:
    """Plan a date: a work status, a location, or both. It takes the place of all that was planned for that date."""
    day = parse_date(date, "date")
    if workStatus is None and location is None:
        raise ToolError("A plan needs a `workStatus`, a `location`, or both; a `reason` alone is none.")
    place = (location["latitude"], location["longitude"], tidy(location.get("locationName"))) if location else None
    return show_plan(context.storage.put_schedule(day.isoformat(), tidy(workStatus), place, tidy(reason), now=context.now))


@tool(title="List plans", core=True, reads=True)
def status_schedule_list(context: Context, from_: DateText | None = None, to: DateText | None = None) -> Schedule:
    """List what is planned, by date: from one date to another, both included, or all of it."""
    return list_plans(context, from_, to)


@tool(title="Delete a plan", core=True, destructive=True, idempotent=True)
def status_schedule_delete(context: Context, date: DateText) -> Deletion:
    """Forget what is planned for a date."""
    return {"success": True, "deleted": context.storage.delete_schedule(parse_date(date, "date").isoformat())}


def list_plans(context: Context, since: str | None = None, until: str | None = None) -> Schedule:
    """The plans from one date to another; without them, from the first or to the last."""
    first = parse_date(since or f"{YEARS[0]}-01-01", "from").isoformat()
    last = parse_date(until or f"{YEARS[-1]}-12-31", "to").isoformat()
    check_order(first, last)
    return {"schedules": [show_plan(plan) for plan in context.storage.list_schedules(since=first, until=last)]}

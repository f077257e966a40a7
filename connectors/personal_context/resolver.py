"""Which of the things a person said counts on a day. Knows rows, not how tools are called; reads, never writes."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.personal_context.days import Day
from connectors.personal_context.shapes import (
    Location,
    LocationProvenance,
    WorkProvenance,
    show_planned_location,
    show_seen_location,
)
from store.personal_context import LocationEvent, PersonalContextStorage, ScheduledStatus, WorkEvent

BASELINE = "off"  # of any day; weekends and bank holidays are facts beside it, and a person's word outranks both


@dataclass(frozen=True)
class Work:
    """The work status that counts, and whose word it is. `said_at` is None if nobody said anything."""

    status: str
    reason: str | None
    provenance: WorkProvenance
    said_at: int | None


@dataclass(frozen=True)
class Whereabouts:
    """The location that counts, and where it is known from. `reason` is that of a plan."""

    location: Location | None
    reason: str | None
    provenance: LocationProvenance
    said_at: int | None


def resolve_work(day: Day, event: WorkEvent | None, plan: ScheduledStatus | None) -> Work:
    """The plan for the date if there is one, else the event, else the baseline; but today an event outranks the plan.

    `event` is the newest that was there and unexpired at `day.target`.
    """
    planned = plan is not None and plan.work_status is not None
    if event is not None and (day.is_today or not planned):
        provenance: WorkProvenance = {"source": "work-status-event", "eventSource": event.source}
        return Work(event.status, event.reason, provenance, event.created_at)
    if planned:
        provenance = {"source": "scheduled-context", "scheduledContextSource": "manual"}
        return Work(plan.work_status, plan.reason, provenance, plan.updated_at)
    return Work(BASELINE, None, {"source": "baseline"}, None)


def resolve_location(day: Day, event: LocationEvent | None, plan: ScheduledStatus | None) -> Whereabouts:
    """Today the event if there is one; else, and on any other date, the plan for the date; else nothing.

    `event` is the newest that is neither expired nor stale now.
    """
    if day.is_today and event is not None:
        provenance: LocationProvenance = {"source": "location-event", "eventSource": event.source}
        return Whereabouts(show_seen_location(event), None, provenance, event.created_at)
    if plan is not None and plan.latitude is not None:
        provenance = {"source": "scheduled-context", "scheduledContextSource": "manual"}
        return Whereabouts(show_planned_location(plan), plan.reason, provenance, plan.updated_at)
    return Whereabouts(None, None, {"source": "none"}, None)


def find_work(storage: PersonalContextStorage, day: Day) -> Work:
    """The work status of a day, from what is kept."""
    return resolve_work(day, storage.find_work_event(day.target), storage.find_schedule(str(day)))


def find_whereabouts(storage: PersonalContextStorage, day: Day, stale_seconds: int) -> Whereabouts:
    """The location on a day, from what is kept. An event of exactly `stale_seconds` ago still counts."""
    event = storage.find_location_event(day.now, not_before=day.now - stale_seconds)
    return resolve_location(day, event, storage.find_schedule(str(day)))

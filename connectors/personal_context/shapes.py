"""What the tools take and answer, as JSON has it. Knows rows in, shapes out; decides nothing."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from connectors.personal_context.days import show_moment
from store.personal_context import LocationEvent, ScheduledStatus

DateText = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="YYYY-MM-DD, in the person's time zone.")]
MomentText = Annotated[str, Field(max_length=40, description="A date (YYYY-MM-DD) or an ISO 8601 time.")]
StatusText = Annotated[
    str, Field(pattern=r"\S", max_length=80, description="A few words, such as working, office, remote, sick or off.")
]
ReasonText = Annotated[str, Field(pattern=r"\S", max_length=500, description="Why, in a few words.")]
NameText = Annotated[str, Field(pattern=r"\S", max_length=200, description="What the place is called.")]
Latitude = Annotated[float, Field(ge=-90, le=90, description="Decimal degrees.")]
Longitude = Annotated[float, Field(ge=-180, le=180, description="Decimal degrees.")]
TtlSeconds = Annotated[int, Field(ge=1, le=366 * 86400, description="It no longer counts after so many seconds.")]
Source = Literal["manual", "homeassistant", "automated"]


class Location(TypedDict):
    """A place. `source` and `timestamp` stand there if the person was seen at it, not if it is only planned."""

    latitude: float
    longitude: float
    locationName: str | None
    source: NotRequired[Source]
    timestamp: NotRequired[str]


class WorkProvenance(TypedDict):
    """Where a work status comes from."""

    source: Literal["baseline", "work-status-event", "scheduled-context"]
    eventSource: NotRequired[Source]
    scheduledContextSource: NotRequired[Source]


class LocationProvenance(TypedDict):
    """Where a location comes from."""

    source: Literal["none", "location-event", "scheduled-context"]
    eventSource: NotRequired[Source]
    scheduledContextSource: NotRequired[Source]


class PlannedLocation(TypedDict):
    """A place to be at, as a plan has it."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    latitude: Latitude
    longitude: Longitude
    locationName: NotRequired[NameText | None]


class LocationRecord(TypedDict):
    """A location event as it is kept."""

    latitude: float
    longitude: float
    locationName: str | None
    source: Source
    timestamp: str
    expiresAt: str | None


class Plan(TypedDict):
    """What is planned for a date."""

    date: str
    workStatus: str | None
    location: Location | None
    reason: str | None
    createdAt: str
    updatedAt: str


def tidy(text: str | None) -> str | None:
    """A person's text without the blanks around it; None if nothing is left."""
    return (text or "").strip() or None


def show_seen_location(event: LocationEvent) -> Location:
    """Where the person was seen."""
    return {
        "latitude": event.latitude,
        "longitude": event.longitude,
        "locationName": event.name,
        "source": event.source,
        "timestamp": show_moment(event.created_at),
    }


def show_planned_location(plan: ScheduledStatus) -> Location | None:
    """Where the person means to be, if the plan says so."""
    if plan.latitude is None:
        return None
    return {"latitude": plan.latitude, "longitude": plan.longitude, "locationName": plan.location_name}


def show_record(event: LocationEvent | None) -> LocationRecord | None:
    """A location event with its expiry."""
    if event is None:
        return None
    return {**show_seen_location(event), "expiresAt": show_moment(event.expires_at) if event.expires_at else None}


def show_plan(plan: ScheduledStatus) -> Plan:
    """A plan."""
    return {
        "date": plan.date,
        "workStatus": plan.work_status,
        "location": show_planned_location(plan),
        "reason": plan.reason,
        "createdAt": show_moment(plan.created_at),
        "updatedAt": show_moment(plan.updated_at),
    }

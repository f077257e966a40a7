"""Location tools: where a person is, was, and what that place is called."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from connectors.personal_context.days import check_order, parse_moment, today
from connectors.personal_context.google_maps import find_address
from connectors.personal_context.home_assistant import sync_location
from connectors.personal_context.resolver import find_whereabouts
from connectors.personal_context.settings import Settings, read_settings
from connectors.personal_context.shapes import (
    Latitude,
    Location,
    LocationProvenance,
    LocationRecord,
    Longitude,
    MomentText,
    NameText,
    Source,
    TtlSeconds,
    show_record,
    show_seen_location,
    tidy,
)
from errors import FetchError, ToolError
from store.personal_context import LocationEvent
from tools import Context, tool


class CurrentLocation(TypedDict):
    """Where the person is now; null if that is not known, or not any more."""

    effectiveDate: str
    location: Location | None
    locationProvenance: LocationProvenance


class SeenLocation(TypedDict):
    """Where the person was once."""

    latitude: float
    longitude: float
    locationName: str | None
    source: Source
    timestamp: str


class History(TypedDict):
    """Where the person was, newest first."""

    events: list[SeenLocation]


class SyncResult(CurrentLocation):
    """What Home Assistant said, and where the person is now."""

    configured: bool
    synced: bool
    record: LocationRecord | None


class EnrichResult(CurrentLocation):
    """The place that got its name, and where the person is now."""

    configured: bool
    updated: bool
    record: LocationRecord | None


@tool(title="Get location", core=True, reads=True)
def status_get_location(context: Context) -> CurrentLocation:
    """Tell where the person is now: the last known place that is not too old, else what is planned for today."""
    return show_current(context, read_settings(context))


@tool(title="Set location", core=True, open_world=True)
def status_set_location(
    context: Context,
    latitude: Latitude,
    longitude: Longitude,
    locationName: NameText | None = None,
    source: Literal["manual"] = "manual",
    ttlSeconds: TtlSeconds | None = None,
) -> CurrentLocation:
    """Say where the person is from now on. A place without a name gets its address, if Google Maps is configured."""
    settings = read_settings(context)
    name = tidy(locationName) or find_name(context, settings, latitude, longitude)
    expires_at = context.now + ttlSeconds if ttlSeconds else None
    context.storage.add_location_event(latitude, longitude, name, source=source, expires_at=expires_at, now=context.now)
    return show_current(context, settings)


@tool(title="Get location history", core=True, reads=True)
def status_get_location_history(
    context: Context,
    from_: MomentText | None = None,
    to: MomentText | None = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
) -> History:
    """List where the person was, newest first. A date as `to` means its end. Places are forgotten after 90 days."""
    zone = read_settings(context).zone
    since = parse_moment(from_, "from", zone) if from_ else 0
    until = parse_moment(to, "to", zone, end=True) if to else max(since, context.now)
    check_order(since, until)
    events = context.storage.list_location_events(since=since, until=until, limit=limit)
    return {"events": [show_seen_location(event) for event in events]}


@tool(title="Sync location from Home Assistant", core=True, open_world=True)
def status_sync_homeassistant_location(context: Context) -> SyncResult:
    """Ask Home Assistant where the person is, and keep it for an hour. Not synced: it knows no coordinates."""
    settings = read_settings(context)
    event = sync_location(context)
    return {
        "configured": settings.home_assistant is not None,
        "synced": event is not None,
        "record": show_record(event),
        **show_current(context, settings),
    }


@tool(title="Name the latest location", core=True, open_world=True)
def status_enrich_latest_location(context: Context) -> EnrichResult:
    """Look up the address of the newest place that has no name yet, with Google Maps."""
    settings = read_settings(context)
    event = enrich_location(context, settings.google_key) if settings.google_key else None
    return {
        "configured": settings.google_key is not None,
        "updated": event is not None,
        "record": show_record(event),
        **show_current(context, settings),
    }


def enrich_location(context: Context, key: str) -> LocationEvent | None:
    """Name the newest nameless place; None if there is none, or Google knows no name. Raises FetchError or ToolError."""
    event = context.storage.find_nameless_location()
    name = find_address(context, key, event.latitude, event.longitude) if event else None
    return context.storage.name_location(event.id, name) if name else None


def find_name(context: Context, settings: Settings, latitude: float, longitude: float) -> str | None:
    """The address of a place that is about to be kept; None if it cannot be had, for the place matters more than its name."""
    if settings.google_key is None:
        return None
    try:
        return find_address(context, settings.google_key, latitude, longitude)
    except (FetchError, ToolError):
        return None


def show_current(context: Context, settings: Settings) -> CurrentLocation:
    """Where the person is now."""
    day = today(settings.zone, context.now)
    whereabouts = find_whereabouts(context.storage, day, settings.stale_seconds)
    return {
        "effectiveDate": str(day),
        "location": whereabouts.location,
        "locationProvenance": whereabouts.provenance,
    }

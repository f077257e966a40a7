"""Calendar tools that read: calendars, events, free and busy times, who may see a calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, objects, part
from connectors.google_workspace.declare import Page, PageSize, PageToken, reads
from connectors.google_workspace.moments import When, instant
from errors import ToolError
from fitting import Answer, compact

READ = ("calendar.readonly", "calendar")
MAX_PROPOSALS = 20
HOUR = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

CalendarId = Annotated[str, Field(min_length=1, max_length=300, description="`primary`, or an id of list_calendars.")]
EventId = Annotated[str, Field(min_length=1, max_length=1024, description="Of get_events.")]
TimeZone = Annotated[str | None, Field(max_length=60, description="Such as Europe/London.")]


class CalendarEntry(TypedDict):
    """A calendar."""

    id: str
    name: str
    primary: NotRequired[bool]
    description: NotRequired[str]
    time_zone: NotRequired[str]
    role: NotRequired[str]


class Calendars(Page):
    """The calendars of this account."""

    calendars: list[CalendarEntry]


class Attendee(TypedDict):
    """Somebody who is invited."""

    email: str
    name: NotRequired[str]
    response: NotRequired[str]
    optional: NotRequired[bool]


class EventFile(TypedDict):
    """A file at an event."""

    title: str
    url: str


class Event(TypedDict):
    """An event. A whole day ends on the day after its last."""

    id: str
    summary: NotRequired[str]
    start: NotRequired[str]
    end: NotRequired[str]
    time_zone: NotRequired[str]
    all_day: NotRequired[bool]
    location: NotRequired[str]
    description: NotRequired[str]
    status: NotRequired[str]
    organizer: NotRequired[str]
    attendees: NotRequired[list[Attendee]]
    meet_url: NotRequired[str]
    recurrence: NotRequired[list[str]]
    recurring_event_id: NotRequired[str]
    attachments: NotRequired[list[EventFile]]
    visibility: NotRequired[str]
    url: NotRequired[str]


class Events(Page):
    """Events, in the order of their beginning."""

    events: list[Event]
    time_zone: NotRequired[str]


class Span(TypedDict):
    """From when to when."""

    start: str
    end: str


class Busy(TypedDict):
    """When a calendar is taken."""

    calendar_id: str
    busy: list[Span]
    error: NotRequired[str]


class FreeBusy(Answer):
    """When calendars are taken."""

    calendars: list[Busy]


class Proposals(Answer):
    """Times at which nobody is busy. `unknown`: whose times could not be read."""

    free: list[Span]
    unknown: NotRequired[list[str]]


class Rule(TypedDict):
    """Who may do what with a calendar."""

    rule_id: str
    role: str
    scope_type: str
    scope_value: NotRequired[str]


class Rules(Page):
    """All who may see or change a calendar."""

    rules: list[Rule]


@reads(*READ, title="List calendars", core=True)
def list_calendars(api: Api, page_size: PageSize = 100, page_token: PageToken = None) -> Calendars:
    """List the calendars of this account."""
    found = api.get("calendar", "users/me/calendarList", {"maxResults": page_size, "pageToken": page_token})
    return {"calendars": [show_calendar(item) for item in objects(found, "items")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*READ, title="Read events", core=True)
def get_events(
    api: Api,
    calendar_id: CalendarId = "primary",
    event_id: Annotated[EventId | None, Field(description="For this one event; the other arguments do not count then.")] = None,
    time_min: Annotated[When | None, Field(description="Events that end after this; now if left out.")] = None,
    time_max: Annotated[
        When | None, Field(description="Events that begin before this; a day counts from its 00:00 in UTC.")
    ] = None,
    page_size: PageSize = 25,
    page_token: PageToken = None,
    query: Annotated[str | None, Field(description="Words that occur in the event.")] = None,
    detailed: Annotated[bool, Field(description="With description, attendees and more.")] = False,
    include_attachments: bool = False,
) -> Events:
    """List the events of a calendar, the repeated ones one by one, or read a single event by its id."""
    if event_id:
        found = api.get("calendar", "calendars/{calendar_id}/events/{event_id}", calendar_id=calendar_id, event_id=event_id)
        return {"events": [show_event(found, detailed=True, with_files=True)]}
    asked = {
        "singleEvents": True,
        "orderBy": "startTime",
        "timeMin": instant(time_min) if time_min else datetime.fromtimestamp(api.context.now, UTC).isoformat(),
        "timeMax": instant(time_max) if time_max else None,
        "maxResults": page_size,
        "pageToken": page_token,
        "q": query,
    }
    found = api.get("calendar", "calendars/{calendar_id}/events", asked, calendar_id=calendar_id)
    events = [show_event(item, detailed=detailed, with_files=include_attachments) for item in objects(found, "items")]
    return {"events": events} | compact({"time_zone": found.get("timeZone"), "next_page_token": found.get("nextPageToken")})


@reads(*READ, title="List repeats of an event")
def list_event_instances(
    api: Api,
    event_id: EventId,
    calendar_id: CalendarId = "primary",
    time_min: When | None = None,
    time_max: When | None = None,
    page_size: PageSize = 25,
    page_token: PageToken = None,
) -> Events:
    """List the single events of a repeated one; each can be changed or deleted by its own id."""
    asked = {
        "timeMin": instant(time_min) if time_min else None,
        "timeMax": instant(time_max) if time_max else None,
        "maxResults": page_size,
        "pageToken": page_token,
    }
    path = "calendars/{calendar_id}/events/{event_id}/instances"
    found = api.get("calendar", path, asked, calendar_id=calendar_id, event_id=event_id)
    events = [show_event(item, detailed=False, with_files=False) for item in objects(found, "items")]
    return {"events": events} | compact({"time_zone": found.get("timeZone"), "next_page_token": found.get("nextPageToken")})


@reads(*READ, title="Find free and busy times", core=True)
def get_free_busy(
    api: Api,
    time_min: When,
    time_max: When,
    items: Annotated[list[str], Field(min_length=1, max_length=50, description="Calendar ids: primary, or people's addresses.")],
    time_zone: TimeZone = None,
) -> FreeBusy:
    """Ask when calendars are taken, without what for."""
    found = ask_busy(api, time_min, time_max, items, time_zone)
    return {"calendars": [show_busy(name, found.get(name)) for name in found]}


@reads(*READ, title="Suggest meeting times")
def suggest_meeting_times(
    api: Api,
    attendees: Annotated[list[str], Field(max_length=49, description="Addresses; this account is always one of them.")],
    time_min: When,
    time_max: When,
    duration_minutes: Annotated[int, Field(ge=5, le=1440)] = 30,
    day_starts: Annotated[str, Field(pattern=HOUR, description="HH:MM.")] = "09:00",
    day_ends: Annotated[str, Field(pattern=HOUR, description="HH:MM.")] = "17:00",
) -> Proposals:
    """Find times at which everybody is free, inside working hours of the offset in which `time_min` is given."""
    found = ask_busy(api, time_min, time_max, ["primary", *attendees], None)
    unknown = [name for name, item in found.items() if objects(item, "errors")]
    busy = sorted((read_time(span["start"]), read_time(span["end"])) for item in found.values() for span in objects(item, "busy"))
    start, end = read_time(instant(time_min)), read_time(instant(time_max))
    free = find_gaps(busy, start, end, timedelta(minutes=duration_minutes), (day_starts, day_ends))
    return {"free": free} | compact({"unknown": unknown})


@reads("calendar.acls.readonly", "calendar", title="List who may see a calendar")
def list_calendar_acl(
    api: Api, calendar_id: CalendarId = "primary", page_size: PageSize = 100, page_token: PageToken = None
) -> Rules:
    """List who may see or change a calendar."""
    asked = {"maxResults": page_size, "pageToken": page_token}
    found = api.get("calendar", "calendars/{calendar_id}/acl", asked, calendar_id=calendar_id)
    return {"rules": [show_rule(item) for item in objects(found, "items")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


# --- free and busy ---


def ask_busy(api: Api, time_min: str, time_max: str, items: list[str], time_zone: str | None) -> dict[str, Any]:
    """When calendars are taken, by their ids."""
    asked = {"timeMin": instant(time_min), "timeMax": instant(time_max), "items": [{"id": name} for name in items]}
    found = api.post("calendar", "freeBusy", asked | ({"timeZone": time_zone} if time_zone else {}))
    return part(found, "calendars")


def show_busy(name: str, item: Any) -> dict[str, Any]:
    """When one calendar is taken."""
    errors = [str(error.get("reason")) for error in objects(item, "errors")]
    busy = [{"start": str(span.get("start")), "end": str(span.get("end"))} for span in objects(item, "busy")]
    return {"calendar_id": name, "busy": busy} | compact({"error": ", ".join(errors)})


def read_time(text: str) -> datetime:
    """A point in time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def find_gaps(
    busy: list[tuple[datetime, datetime]], start: datetime, end: datetime, length: timedelta, hours: tuple[str, str]
) -> list[dict[str, str]]:
    """Times of this length between the busy ones, inside the hours of each day; at most a few."""
    if end <= start or end - start > timedelta(days=62):
        raise ToolError("time_max has to be after time_min, and at most two months.")
    found, at = [], start
    while at + length <= end and len(found) < MAX_PROPOSALS:
        opens, closes = (at.replace(hour=int(hour[:2]), minute=int(hour[3:]), second=0, microsecond=0) for hour in hours)
        clash = next((until for since, until in busy if since < at + length and until > at), None)
        if at < opens:
            at = opens
        elif at + length > closes:
            at = opens + timedelta(days=1)
        elif clash is not None:
            at = clash.astimezone(at.tzinfo)
        else:
            found.append({"start": at.isoformat(), "end": (at + length).isoformat()})
            at += length
    return found


# --- Google's objects as shapes ---


def show_calendar(item: dict[str, Any]) -> dict[str, Any]:
    """A calendar."""
    facts = {
        "primary": item.get("primary"),
        "description": item.get("description"),
        "time_zone": item.get("timeZone"),
        "role": item.get("accessRole"),
    }
    return {"id": str(item.get("id", "")), "name": str(item.get("summaryOverride") or item.get("summary") or "")} | compact(facts)


def show_event(item: dict[str, Any], *, detailed: bool, with_files: bool) -> dict[str, Any]:
    """An event."""
    start, end = part(item, "start"), part(item, "end")
    facts = {
        "summary": item.get("summary"),
        "start": start.get("dateTime") or start.get("date"),
        "end": end.get("dateTime") or end.get("date"),
        "time_zone": start.get("timeZone"),
        "all_day": True if start.get("date") else None,
        "location": item.get("location"),
        "status": item.get("status"),
        "meet_url": item.get("hangoutLink"),
        "recurring_event_id": item.get("recurringEventId"),
        "url": item.get("htmlLink"),
    }
    if detailed:
        facts |= {
            "description": item.get("description"),
            "organizer": part(item, "organizer").get("email"),
            "attendees": [show_attendee(person) for person in objects(item, "attendees")],
            "recurrence": item.get("recurrence"),
            "visibility": item.get("visibility"),
        }
    if with_files:
        files = objects(item, "attachments")
        facts["attachments"] = [{"title": str(file.get("title", "")), "url": str(file.get("fileUrl", ""))} for file in files]
    return {"id": str(item.get("id", ""))} | compact(facts)


def show_attendee(item: dict[str, Any]) -> dict[str, Any]:
    """Somebody who is invited."""
    facts = {"name": item.get("displayName"), "response": item.get("responseStatus"), "optional": item.get("optional")}
    return {"email": str(item.get("email", ""))} | compact(facts)


def show_rule(item: dict[str, Any]) -> dict[str, Any]:
    """Who may do what with a calendar."""
    scope = part(item, "scope")
    shown = {"rule_id": str(item.get("id", "")), "role": str(item.get("role", "")), "scope_type": str(scope.get("type", ""))}
    return shown | compact({"scope_value": scope.get("value")})


TOOLS = (
    list_calendars,
    get_events,
    list_event_instances,
    get_free_busy,
    suggest_meeting_times,
    list_calendar_acl,
)

"""Calendar tools that write: create, change, move, answer and delete events; calendars, and who may see them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects
from connectors.google_workspace.calendar import (
    CalendarEntry,
    CalendarId,
    Event,
    EventId,
    Rule,
    TimeZone,
    show_calendar,
    show_event,
    show_rule,
)
from connectors.google_workspace.declare import ADDRESS, Done, writes
from connectors.google_workspace.moments import When, is_local, point
from errors import ToolError
from fitting import Answer

WRITE = ("calendar",)

Guests = Annotated[list[Annotated[str, Field(pattern=ADDRESS)]], Field(max_length=200, description="Addresses.")]
Updates = Annotated[Literal["all", "externalOnly", "none"], Field(description="Who is told by mail.")]
Recurrence = Annotated[
    list[Annotated[str, Field(pattern=r"^(RRULE|EXRULE|RDATE|EXDATE)[:;]")]],
    Field(max_length=20, description="RFC 5545, such as RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=10."),
]
EVENT = "calendars/{calendar_id}/events/{event_id}"


class Reminder(TypedDict):
    """When and how to remind."""

    method: Literal["email", "popup"]
    minutes: Annotated[int, Field(ge=0, le=40320)]


Reminders = Annotated[list[Reminder], Field(max_length=5, description="In place of the calendar's own.")]


class EventMade(Answer):
    """The event as it is now."""

    event: Event


class CalendarMade(Answer):
    """The calendar."""

    calendar: CalendarEntry


class RuleMade(Answer):
    """Who may see or change the calendar now."""

    rule: Rule


@writes(*WRITE, title="Create event", core=True)
def create_event(
    api: Api,
    summary: Annotated[str, Field(max_length=1000)],
    start_time: When,
    end_time: Annotated[When, Field(description="For whole days: the day after the last.")],
    calendar_id: CalendarId = "primary",
    description: str | None = None,
    location: str | None = None,
    attendees: Guests | None = None,
    timezone: TimeZone = None,
    add_google_meet: bool = False,
    reminders: Reminders | None = None,
    use_default_reminders: bool = True,
    recurrence: Recurrence | None = None,
    send_updates: Updates = "all",
) -> EventMade:
    """Create an event, once or repeated. Those invited get a mail unless send_updates is none."""
    if not timezone and (is_local(start_time) or is_local(end_time) or (recurrence and "T" in start_time)):
        timezone = calendar_zone(api, calendar_id)  # Google wants one, for what is repeated always
    body = given(
        summary=summary,
        start=point(start_time, timezone),
        end=point(end_time, timezone),
        description=description,
        location=location,
        attendees=[{"email": guest} for guest in attendees] if attendees else None,
        recurrence=recurrence,
    ) | remind(reminders, use_default_reminders)
    params: dict[str, Any] = {"sendUpdates": send_updates}
    if add_google_meet:
        body |= meeting(api, body)
        params["conferenceDataVersion"] = 1
    return shown(api.post("calendar", "calendars/{calendar_id}/events", body, params, calendar_id=calendar_id))


@writes(*WRITE, title="Change event", core=True, destructive=True, idempotent=True)
def modify_event(
    api: Api,
    event_id: EventId,
    calendar_id: CalendarId = "primary",
    summary: str | None = None,
    start_time: When | None = None,
    end_time: When | None = None,
    description: str | None = None,
    location: str | None = None,
    attendees: Annotated[Guests | None, Field(description="All that shall be invited; others are taken off.")] = None,
    timezone: TimeZone = None,
    add_google_meet: bool = False,
    reminders: Reminders | None = None,
    recurrence: Recurrence | None = None,
    send_updates: Updates = "all",
) -> EventMade:
    """Change an event. What is left out stays; the id of a repeated event changes all its repeats, that of one only this one."""
    if timezone and not start_time and not end_time:
        raise ToolError("A time zone only counts together with start_time and end_time.")
    if not timezone and (is_local(start_time) or is_local(end_time)):
        timezone = calendar_zone(api, calendar_id)
    body = given(
        summary=summary,
        start=moved(start_time, timezone),
        end=moved(end_time, timezone),
        description=description,
        location=location,
        recurrence=recurrence,
    )
    if attendees is not None:
        body["attendees"] = keep_answers(api, calendar_id, event_id, attendees)
    if reminders is not None:
        body |= remind(reminders, False)
    params: dict[str, Any] = {"sendUpdates": send_updates}
    if add_google_meet:
        body |= meeting(api, {"event": event_id, **body})
        params["conferenceDataVersion"] = 1
    if not body:
        raise ToolError("Name what shall change.")
    return shown(api.patch("calendar", EVENT, body, params, calendar_id=calendar_id, event_id=event_id))


@writes(*WRITE, title="Delete event", core=True, destructive=True, idempotent=True)
def delete_event(api: Api, event_id: EventId, calendar_id: CalendarId = "primary", send_updates: Updates = "all") -> Done:
    """Delete an event; the id of a repeated event deletes all its repeats."""
    api.delete("calendar", EVENT, {"sendUpdates": send_updates}, calendar_id=calendar_id, event_id=event_id)
    return {"done": f"Deleted event {event_id}."}


@writes(*WRITE, title="Create event from a sentence")
def quick_add_event(
    api: Api, text: Annotated[str, Field(min_length=1, max_length=1000)], calendar_id: CalendarId = "primary"
) -> EventMade:
    """Create an event from a sentence, such as “Lunch with Bob tomorrow at noon”."""
    return shown(api.post("calendar", "calendars/{calendar_id}/events/quickAdd", None, {"text": text}, calendar_id=calendar_id))


@writes(*WRITE, title="Move event to another calendar", destructive=True)
def move_event(
    api: Api,
    event_id: EventId,
    destination_calendar_id: CalendarId,
    calendar_id: CalendarId = "primary",
    send_updates: Updates = "all",
) -> EventMade:
    """Move an event to another calendar. To move it in time, use modify_event."""
    params = {"destination": destination_calendar_id, "sendUpdates": send_updates}
    return shown(api.post("calendar", f"{EVENT}/move", None, params, calendar_id=calendar_id, event_id=event_id))


@writes(*WRITE, title="Answer invitation", idempotent=True)
def respond_to_event(
    api: Api,
    event_id: EventId,
    response: Literal["accepted", "declined", "tentative"],
    calendar_id: CalendarId = "primary",
    comment: str | None = None,
    send_updates: Updates = "all",
) -> EventMade:
    """Accept or decline an invitation to this account."""
    event = api.get("calendar", EVENT, calendar_id=calendar_id, event_id=event_id)
    attendees = objects(event, "attendees")
    me = next((person for person in attendees if person.get("self")), None)
    if me is None:
        raise ToolError("This account is not invited to the event.")
    me |= given(responseStatus=response, comment=comment)
    params = {"sendUpdates": send_updates}
    return shown(api.patch("calendar", EVENT, {"attendees": attendees}, params, calendar_id=calendar_id, event_id=event_id))


@writes(*WRITE, title="Create calendar")
def create_calendar(api: Api, name: str, description: str | None = None, timezone: TimeZone = None) -> CalendarMade:
    """Create a calendar of this account."""
    body = given(summary=name, description=description, timeZone=timezone)
    return {"calendar": show_calendar(api.post("calendar", "calendars", body))}


@writes(*WRITE, title="Delete calendar", destructive=True, idempotent=True)
def delete_calendar(
    api: Api, calendar_id: Annotated[str, Field(pattern="@", description="Not primary: that cannot be deleted.")]
) -> Done:
    """Delete a calendar with all its events, for everybody who sees it."""
    api.delete("calendar", "calendars/{calendar_id}", calendar_id=calendar_id)
    return {"done": f"Deleted calendar {calendar_id}."}


@writes(*WRITE, title="Let somebody see a calendar")
def create_calendar_acl_rule(
    api: Api,
    role: Literal["freeBusyReader", "reader", "writer", "owner", "none"],
    scope_type: Literal["user", "group", "domain", "default"],
    scope_value: Annotated[str | None, Field(description="Address or domain; none for default, which is everybody.")] = None,
    calendar_id: CalendarId = "primary",
    send_notifications: bool = True,
) -> RuleMade:
    """Let a person, a group, a domain or everybody see or change a calendar."""
    if (scope_type == "default") == bool(scope_value):
        raise ToolError("scope_value names whom, and there is none for default.")
    body = {"role": role, "scope": given(type=scope_type, value=scope_value)}
    params = {"sendNotifications": send_notifications}
    return {"rule": show_rule(api.post("calendar", "calendars/{calendar_id}/acl", body, params, calendar_id=calendar_id))}


@writes(*WRITE, title="Take a calendar from somebody", destructive=True, idempotent=True)
def delete_calendar_acl_rule(
    api: Api,
    rule_id: Annotated[str, Field(min_length=1, description="Of list_calendar_acl.")],
    calendar_id: CalendarId = "primary",
) -> Done:
    """Take away what a rule let somebody see or change."""
    api.delete("calendar", "calendars/{calendar_id}/acl/{rule_id}", calendar_id=calendar_id, rule_id=rule_id)
    return {"done": f"Deleted rule {rule_id}."}


# --- parts of them ---


def shown(event: dict[str, Any]) -> dict[str, Any]:
    """An event that was written."""
    return {"event": show_event(event, detailed=True, with_files=True)}


def moved(text: str | None, timezone: str | None) -> dict[str, Any] | None:
    """A new beginning or end; what the old one said in the other way (a day or a time) is emptied."""
    if text is None:
        return None
    new: dict[str, Any] = point(text, timezone)
    return new | ({"dateTime": None, "timeZone": None} if "date" in new else {"date": None})


def remind(reminders: list[Reminder] | None, use_default: bool) -> dict[str, Any]:
    """How the event reminds, unless that is left to the calendar."""
    if reminders is None and use_default:
        return {}
    return {"reminders": {"useDefault": False, "overrides": reminders or []}}


def meeting(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    """What makes Google add a meeting, once for the same request."""
    seed = json.dumps([api.context.connection_id, api.context.now, body], sort_keys=True)
    kind = {"type": "hangoutsMeet"}
    request = {"requestId": sha256(seed.encode()).hexdigest()[:32], "conferenceSolutionKey": kind}
    return {"conferenceData": {"createRequest": request}}


def keep_answers(api: Api, calendar_id: str, event_id: str, guests: list[str]) -> list[dict[str, Any]]:
    """The guests, with what those said who were invited before."""
    event = api.get("calendar", EVENT, calendar_id=calendar_id, event_id=event_id)
    known = {str(person.get("email", "")).casefold(): person for person in objects(event, "attendees")}
    return [known.get(guest.casefold(), {"email": guest}) for guest in guests]


def calendar_zone(api: Api, calendar_id: str) -> str | None:
    """The time zone of a calendar."""
    return api.get("calendar", "calendars/{calendar_id}", calendar_id=calendar_id).get("timeZone")


TOOLS = (
    create_event,
    modify_event,
    delete_event,
    quick_add_event,
    move_event,
    respond_to_event,
    create_calendar,
    delete_calendar,
    create_calendar_acl_rule,
    delete_calendar_acl_rule,
)

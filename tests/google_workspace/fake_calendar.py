"""The fake's Calendar: calendars, events, free and busy times, rules; and whose account it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from google_workspace.fake import ALICE, FakeGoogle, Refusal, Sent, page, patch, serves, take

CAL = "calendar."


def room(fake: FakeGoogle) -> dict[str, Any]:
    """Calendar's room."""
    kept = fake.room("calendar")
    mine = {"id": ALICE, "summary": "Alice", "primary": True, "accessRole": "owner", "timeZone": "Europe/London"}
    kept.setdefault("calendars", {ALICE: mine})
    kept.setdefault("events", {ALICE: {}})
    kept.setdefault(
        "acl", {ALICE: {f"user:{ALICE}": {"id": f"user:{ALICE}", "role": "owner", "scope": {"type": "user", "value": ALICE}}}}
    )
    return kept


def name_of(sent: Sent) -> str:
    """The calendar that a path names."""
    named = sent.ids["calendarId"]
    return ALICE if named == "primary" else named


def add_event(fake: FakeGoogle, summary: str, start: str, end: str, calendar: str = ALICE, **facts: Any) -> str:
    """An event; answers its id."""
    key = "dateTime" if "T" in start else "date"
    return keep(fake, calendar, {"summary": summary, "start": {key: start}, "end": {key: end}, **facts})["id"]


def keep(fake: FakeGoogle, calendar: str, body: dict[str, Any]) -> dict[str, Any]:
    """Put an event away."""
    event_id = fake.new_id("e")
    event = {
        "id": event_id, "status": "confirmed", "htmlLink": f"https://calendar.google.com/event?eid={event_id}",
        "organizer": {"email": ALICE, "self": True}, **body,
    }  # fmt: skip
    if "conferenceData" in body:
        event["hangoutLink"] = "https://meet.google.com/abc-defg-hij"
    take(room(fake)["events"], calendar)[event_id] = event
    return event


def at(place: dict[str, Any]) -> datetime:
    """The point in time that an event's beginning or end stands for."""
    found = datetime.fromisoformat((place.get("dateTime") or place["date"]).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def within(sent: Sent, event: dict[str, Any]) -> bool:
    """Whether an event lies between timeMin and timeMax."""
    low, high = sent.one("timeMin"), sent.one("timeMax")
    if low and at(event["end"]) <= at({"dateTime": low}):
        return False
    return not high or at(event["start"]) < at({"dateTime": high})


def repeats(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The single events of a weekly one."""
    rule = next((line for line in event.get("recurrence", []) if line.startswith("RRULE")), "")
    if not rule:
        return [event]
    found = []
    for index in range(int((re.search(r"COUNT=(\d+)", rule) or ["", "3"])[1])):
        moved = {
            name: {**event[name], "dateTime": (at(event[name]) + timedelta(weeks=index)).isoformat()} for name in ("start", "end")
        }
        single = {name: value for name, value in event.items() if name != "recurrence"}
        found.append({**single, **moved, "id": f"{event['id']}_{index}", "recurringEventId": event["id"]})
    return found


@serves(CAL + "calendarList.list")
def list_calendars(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(room(fake)["calendars"].values()), "items")


@serves(CAL + "calendars.get")
def get_calendar(fake: FakeGoogle, sent: Sent) -> Any:
    found = take(room(fake)["calendars"], name_of(sent))
    return {name: found[name] for name in ("id", "summary", "timeZone") if name in found}


@serves(CAL + "calendars.insert")
def insert_calendar(fake: FakeGoogle, sent: Sent) -> Any:
    made = {**sent.body, "id": fake.new_id("c") + "@group.calendar.google.com"}
    room(fake)["calendars"][made["id"]] = made
    room(fake)["events"][made["id"]], room(fake)["acl"][made["id"]] = {}, {}
    return made


@serves(CAL + "calendars.delete")
def delete_calendar(fake: FakeGoogle, sent: Sent) -> Any:
    take(room(fake)["calendars"], name_of(sent))
    del room(fake)["calendars"][name_of(sent)]


@serves(CAL + "events.list")
def list_events(fake: FakeGoogle, sent: Sent) -> Any:
    events = [single for event in take(room(fake)["events"], name_of(sent)).values() for single in repeats(event)]
    word = sent.one("q").lower()
    found = [event for event in events if within(sent, event) and word in event.get("summary", "").lower()]
    return page(sent, sorted(found, key=lambda event: at(event["start"])), "items") | {"timeZone": "Europe/London"}


@serves(CAL + "events.instances")
def instances(fake: FakeGoogle, sent: Sent) -> Any:
    event = take(take(room(fake)["events"], name_of(sent)), sent.ids["eventId"])
    return page(sent, [single for single in repeats(event) if within(sent, single)], "items")


@serves(CAL + "events.get")
def get_event(fake: FakeGoogle, sent: Sent) -> Any:
    return take(take(room(fake)["events"], name_of(sent)), sent.ids["eventId"])


def check_zone(sent: Sent) -> None:
    """Google wants to know where a time is: by its offset, but for what is repeated by a time zone."""
    for name in ("start", "end"):
        place = sent.body.get(name) or {}
        time = place.get("dateTime") or ""
        is_told = "timeZone" in place or ("recurrence" not in sent.body and re.search(r"(Z|[+-]\d\d:\d\d)$", time))
        if time and not is_told:
            raise Refusal(400, "required", f"Missing time zone definition for {name} time.")


@serves(CAL + "events.insert")
def insert_event(fake: FakeGoogle, sent: Sent) -> Any:
    check_zone(sent)
    if at(sent.body["end"]) < at(sent.body["start"]):
        raise Refusal(400, "timeRangeEmpty", "The specified time range is empty.")
    return keep(fake, name_of(sent), dict(sent.body))


@serves(CAL + "events.quickAdd")
def quick_add(fake: FakeGoogle, sent: Sent) -> Any:
    body = {
        "summary": sent.one("text"),
        "start": {"dateTime": "2026-09-22T12:00:00Z"},
        "end": {"dateTime": "2026-09-22T13:00:00Z"},
    }
    return keep(fake, name_of(sent), body)


@serves(CAL + "events.patch")
def patch_event(fake: FakeGoogle, sent: Sent) -> Any:
    event = take(take(room(fake)["events"], name_of(sent)), sent.ids["eventId"])
    check_zone(sent)
    patch(event, dict(sent.body))
    if at(event["end"]) < at(event["start"]):
        raise Refusal(400, "timeRangeEmpty", "The specified time range is empty.")
    return event


@serves(CAL + "events.move")
def move_event(fake: FakeGoogle, sent: Sent) -> Any:
    events = room(fake)["events"]
    event = take(take(events, name_of(sent)), sent.ids["eventId"])
    take(events, sent.one("destination"))[event["id"]] = events[name_of(sent)].pop(event["id"])
    return event


@serves(CAL + "events.delete")
def delete_event(fake: FakeGoogle, sent: Sent) -> Any:
    events = take(room(fake)["events"], name_of(sent))
    if sent.ids["eventId"] not in events:
        raise Refusal(410, "deleted", "Resource has been deleted")
    del events[sent.ids["eventId"]]


@serves(CAL + "freebusy.query")
def free_busy(fake: FakeGoogle, sent: Sent) -> Any:
    found: dict[str, Any] = {}
    for item in sent.body["items"]:
        name = ALICE if item["id"] == "primary" else item["id"]
        if name not in room(fake)["events"]:
            found[item["id"]] = {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
            continue
        events = room(fake)["events"][name].values()
        low, high = (at({"dateTime": sent.body[key]}) for key in ("timeMin", "timeMax"))
        busy = [
            {"start": event["start"]["dateTime"], "end": event["end"]["dateTime"]}
            for event in events
            if "dateTime" in event["start"] and at(event["end"]) > low and at(event["start"]) < high
        ]
        found[item["id"]] = {"busy": busy}
    return {"kind": "calendar#freeBusy", "calendars": found}


@serves(CAL + "acl.list")
def list_acl(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(take(room(fake)["acl"], name_of(sent)).values()), "items")


@serves(CAL + "acl.insert")
def insert_acl(fake: FakeGoogle, sent: Sent) -> Any:
    scope = sent.body["scope"]
    rule = {**sent.body, "id": f"{scope['type']}:{scope['value']}" if "value" in scope else "default"}
    take(room(fake)["acl"], name_of(sent))[rule["id"]] = rule
    return rule


@serves(CAL + "acl.delete")
def delete_acl(fake: FakeGoogle, sent: Sent) -> Any:
    rules = take(room(fake)["acl"], name_of(sent))
    take(rules, sent.ids["ruleId"])
    del rules[sent.ids["ruleId"]]


@serves("oauth2.userinfo.get")
def who(fake: FakeGoogle, sent: Sent) -> Any:
    return {"email": ALICE, "verified_email": True}

"""UK bank holidays from GOV.UK, a day fresh and then stale. Knows no person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from typing_extensions import TypedDict

from connectors.personal_context.settings import REGIONS, read_settings
from errors import FetchError
from fetch import VENDOR
from tools import Cached, Context, tool

URL = "https://www.gov.uk/bank-holidays.json"
KEY, DOWN_KEY = "bank-holidays", "bank-holidays-down"
DAY = 86400
FETCH_SECONDS = 1.5  # a question about a person must not hang on it
DOWN_SECONDS = 60  # after a failure, nobody tries again for so long

NO_COPY = "Bank holidays are not known just now: GOV.UK cannot be reached, and there is no earlier copy."
NOT_COVERED = "Bank holidays of that year are not published."
STALE = "GOV.UK cannot be reached just now: these bank holidays are an earlier copy."


class Holiday(TypedDict):
    """A bank holiday, as GOV.UK tells of it."""

    title: str
    date: str
    notes: str
    bunting: bool


class Holidays(TypedDict):
    """A region's bank holidays; `events` is null if they are not known, and `note` says why."""

    region: str
    events: list[Holiday] | None
    note: str | None


@dataclass(frozen=True)
class Calendar:
    """One region's bank holidays, from a copy that is fresh or stale."""

    events: list[Holiday]
    fresh: bool

    def is_holiday(self, day: date) -> bool | None:
        """Whether a date is a bank holiday; None for a year that is not published."""
        if not any(event["date"].startswith(f"{day.year}-") for event in self.events):
            return None
        return any(event["date"] == day.isoformat() for event in self.events)


@tool(title="List bank holidays", core=True, reads=True, open_world=True)
def holidays_list(
    context: Context, region: Literal["england-and-wales", "scotland", "northern-ireland"] | None = None
) -> Holidays:
    """List the bank holidays of a region of the UK, past and published future years. Without a region: the person's own."""
    region = region or read_settings(context).region
    calendar = find_calendar(context, region)
    if calendar is None:
        return {"region": region, "events": None, "note": NO_COPY}
    return {"region": region, "events": calendar.events, "note": None if calendar.fresh else STALE}


def find_holiday(context: Context, region: str, day: date) -> tuple[bool | None, str | None]:
    """Whether a date is a bank holiday; if that is not known: None, and a sentence why. Never raises FetchError."""
    calendar = find_calendar(context, region)
    if calendar is None:
        return None, NO_COPY
    found = calendar.is_holiday(day)
    return found, NOT_COVERED if found is None else None


def find_calendar(context: Context, region: str) -> Calendar | None:
    """A region's bank holidays: fresh, or stale if GOV.UK is down, or None if there has never been a copy."""
    copy = refresh(context)
    return Calendar(copy.value[region], copy.fresh) if copy and region in copy.value else None


def refresh(context: Context) -> Cached | None:
    """The copy of all regions, renewed if it is a day old and GOV.UK answers."""
    copy = context.shared_cache.get(KEY)
    if (copy and copy.fresh) or context.shared_cache.get(DOWN_KEY):
        return copy
    try:
        feed = fetch_feed(context)
    except FetchError:
        context.shared_cache.put(DOWN_KEY, True, fresh_seconds=DOWN_SECONDS, keep_seconds=DOWN_SECONDS)
        return copy
    context.shared_cache.put(KEY, feed, fresh_seconds=DAY, keep_seconds=400 * DAY)
    return Cached(feed, context.now, fresh=True)


def fetch_feed(context: Context) -> dict[str, list[Holiday]]:
    """Ask GOV.UK; raises FetchError if it does not answer with bank holidays."""
    response = context.fetch.request("GET", URL, trust=VENDOR, timeout=FETCH_SECONDS, max_bytes=1024 * 1024)
    if response.status != 200:
        raise FetchError(f"GOV.UK answered with status {response.status}.")
    feed = response.json()
    try:
        return {region: [read_holiday(event) for event in feed[region]["events"]] for region, _ in REGIONS}
    except (KeyError, TypeError, ValueError):
        raise FetchError("GOV.UK answered something else than bank holidays.") from None


def read_holiday(event: dict[str, Any]) -> Holiday:
    """One event of the feed; raises KeyError, TypeError or ValueError if it is none."""
    return {
        "title": str(event["title"]),
        "date": date.fromisoformat(event["date"]).isoformat(),
        "notes": str(event.get("notes") or ""),
        "bunting": bool(event.get("bunting")),
    }

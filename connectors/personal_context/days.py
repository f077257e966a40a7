"""Dates and moments in a person's time zone. Knows no event, no plan and no service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from errors import ToolError

YEARS = range(1970, 2200)


@dataclass(frozen=True)
class Day:
    """A date, as somebody sees it at the moment `now`. `ends_at` is the first second of the next one."""

    date: date
    starts_at: int
    ends_at: int
    now: int

    @property
    def is_today(self) -> bool:
        """Whether it is that date now."""
        return self.starts_at <= self.now < self.ends_at

    @property
    def is_weekend(self) -> bool:
        """Whether it is a Saturday or a Sunday."""
        return self.date.isoweekday() >= 6

    @property
    def target(self) -> int:
        """The moment to ask about: of all the day's, the one nearest to now. What comes after a past day cannot touch it."""
        return min(max(self.now, self.starts_at), self.ends_at - 1)

    def __str__(self) -> str:
        return self.date.isoformat()


def today(zone: ZoneInfo, now: int) -> Day:
    """The day it is."""
    return make_day(datetime.fromtimestamp(now, zone).date(), zone, now)


def make_day(day: date, zone: ZoneInfo, now: int) -> Day:
    """A date between its two midnights, which are 23 or 25 hours apart when the clocks change."""
    return Day(day, midnight(day, zone), midnight(day + timedelta(days=1), zone), now)


def midnight(day: date, zone: ZoneInfo) -> int:
    """The moment at which a date begins."""
    return int(datetime.combine(day, time.min, zone).timestamp())


def parse_day(text: str | None, name: str, zone: ZoneInfo, now: int) -> Day:
    """The day of an argument; today if it was left out. Raises ToolError for anything but a real date."""
    return today(zone, now) if text is None else make_day(parse_date(text, name), zone, now)


def parse_date(text: str, name: str) -> date:
    """A real calendar date, written YYYY-MM-DD; raises ToolError for anything else."""
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        found = None
    if found is None or found.year not in YEARS:
        raise ToolError(f"`{name}` must be a real calendar date from {YEARS[0]} to {YEARS[-1]}, written YYYY-MM-DD.")
    return found


def parse_moment(text: str, name: str, zone: ZoneInfo, *, end: bool = False) -> int:
    """The moment of a date (its first second, or its last one if `end`) or of an ISO 8601 time; raises ToolError for others."""
    if "T" not in text:
        day = make_day(parse_date(text, name), zone, 0)
        return day.ends_at - 1 if end else day.starts_at
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.year not in YEARS:
        raise ToolError(f"`{name}` must be a date such as 2026-09-21 or a time such as 2026-09-21T14:30:00Z.")
    return int((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp())


def check_order(since: Any, until: Any) -> None:
    """Raise ToolError for a range that ends before it begins."""
    if since > until:
        raise ToolError("`from` must not be later than `to`.")


def show_moment(moment: int) -> str:
    """A moment in UTC, as ISO 8601 writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises ValueError with a sentence for the person."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder of names
        raise ValueError("This is not a time zone. Write one such as Europe/London.") from None

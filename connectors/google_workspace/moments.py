"""Times as Google's services take them (RFC 3339), and dates. Knows no clock."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from errors import ToolError

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

When = Annotated[
    str, Field(min_length=10, max_length=40, description="2026-09-20T10:00:00+02:00, or 2026-09-20 for a whole day.")
]


def point(text: str, timezone: str | None) -> dict[str, str]:
    """The beginning or end of an event. Without an offset the time is that of `timezone`, or of the calendar."""
    if DATE.fullmatch(text):
        return {"date": check(date.fromisoformat, text)}
    read(text)
    return {"dateTime": text} | ({"timeZone": timezone} if timezone else {})


def is_local(text: str | None) -> bool:
    """Whether it is a time of day that does not say where: Google wants to hear a time zone then."""
    return text is not None and not DATE.fullmatch(text) and read(text).tzinfo is None


def instant(text: str) -> str:
    """A point in time with an offset; UTC if it has none, midnight if it is a date."""
    if DATE.fullmatch(text):
        return check(date.fromisoformat, text) + "T00:00:00Z"
    return text if read(text).tzinfo else text + "Z"


def read(text: str) -> datetime:
    """A time. Raises ToolError if it is none."""
    check(datetime.fromisoformat, text)
    return datetime.fromisoformat(text)


def check(parse: Any, text: str) -> str:
    """The text, if it can be read. Raises ToolError if not."""
    try:
        parse(text)
    except ValueError:
        raise ToolError(f"“{text[:40]}” is no time: it has to look like 2026-09-20T10:00:00+02:00, or 2026-09-20.") from None
    return text

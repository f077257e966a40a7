"""Times as people and ClickUp write them: ISO 8601 or epoch milliseconds in, ISO 8601 in UTC out. Reads no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from errors import ToolError

Moment = Annotated[
    str | int, Field(description="ISO 8601 (2026-03-31 or 2026-03-31T15:00:00Z; UTC if it names no zone), or epoch milliseconds.")
]
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Point:
    """A moment in epoch milliseconds; `has_time` is false for a day without a time."""

    ms: int
    has_time: bool


def parse_moment(value: str | int, name: str) -> Point:
    """A moment as it was given; a day alone stands for its noon in UTC, which is that day almost everywhere."""
    text = str(value).strip()
    try:
        if re.fullmatch(r"[0-9]{12,14}", text):
            return Point(int(text), has_time=True)
        if re.fullmatch(r"[0-9]{9,11}", text):  # as milliseconds it would be a day before 1974
            raise ToolError(f"`{name}` looks like seconds: epoch milliseconds have three digits more.")
        has_time = len(text) > 10
        moment = datetime.fromisoformat(text.upper()) + (timedelta(0) if has_time else timedelta(hours=12))
    except ValueError:
        raise ToolError(f"`{name}` is not a time: write 2026-03-31, 2026-03-31T15:00:00Z, or epoch milliseconds.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Point(int(moment.timestamp() * 1000), has_time)


def parse_edge(value: str | int, name: str, *, end: bool = False) -> int:
    """Where a range begins or ends, in epoch milliseconds: a day alone is all of it."""
    point = parse_moment(value, name)
    if point.has_time:
        return point.ms
    return point.ms + (DAY_MS // 2 - 1 if end else -DAY_MS // 2)


def parse_range(from_: str | int | None, to: str | int | None, now_ms: int, days: int = 30) -> tuple[int, int]:
    """A range of time; what is not given makes it end now, and last `days`. Raises ToolError if it ends before it begins."""
    end = parse_edge(to, "to", end=True) if to is not None else now_ms
    start = parse_edge(from_, "from") if from_ is not None else end - days * DAY_MS
    if start > end:
        raise ToolError("`from` is after `to`.")
    return start, end


def show_moment(value: Any) -> str | None:
    """Epoch milliseconds, as ClickUp gives them (mostly as a text), in ISO 8601; None if there are none."""
    if isinstance(value, str | int | float) and re.fullmatch(r"[0-9]{1,14}", str(value)):
        return datetime.fromtimestamp(int(value) / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return None


def read_ms(value: Any) -> int | None:
    """Milliseconds that ClickUp gives as a text or a number; None if they are neither."""
    return int(value) if isinstance(value, str | int | float) and re.fullmatch(r"-?[0-9]{1,16}", str(value)) else None


def show_duration(ms: int) -> str:
    """A time span in hours and minutes."""
    minutes = round(ms / 60_000)
    return f"{minutes // 60} h {minutes % 60:02} min"

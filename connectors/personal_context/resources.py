"""Resources: today's status and what is planned, for clients that rather read than call. Adds nothing to the tools."""

from __future__ import annotations

import json
from typing import Any

from connectors.personal_context.days import today
from connectors.personal_context.schedule import list_plans
from connectors.personal_context.settings import read_settings
from connectors.personal_context.status import describe_day
from tools import Context, Resource

JSON = "application/json"


def read_today(context: Context, uri: str) -> list[dict[str, Any]]:
    """What status_get answers without a date."""
    return [as_contents(uri, describe_day(context))]


def read_schedule(context: Context, uri: str) -> list[dict[str, Any]]:
    """What status_schedule_list answers from today on."""
    return [as_contents(uri, list_plans(context, str(today(read_settings(context).zone, context.now))))]


def mark_schedule(context: Context) -> str:
    """The plans as they are: they are few, and at hand."""
    return str(read_schedule(context, SCHEDULE.uri))


def as_contents(uri: str, value: Any) -> dict[str, Any]:
    """Text contents of a resource (MCP `resources/read`)."""
    return {"uri": uri, "mimeType": JSON, "text": json.dumps(value, ensure_ascii=False)}


TODAY = Resource(
    uri="personal-context://status/today",
    name="status_today",
    title="Status today",
    description="Work status, location, weekend and bank holiday, as they are now.",
    mime_type=JSON,
    read=read_today,
)
SCHEDULE = Resource(
    uri="personal-context://schedule",
    name="schedule",
    title="Schedule",
    description="What is planned, from today on.",
    mime_type=JSON,
    read=read_schedule,
    mark=mark_schedule,
)

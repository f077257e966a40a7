"""Where Home Assistant says the person is. Keeps what it learns; decides nothing about what counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.personal_context.settings import HomeAssistant, read_settings
from errors import ToolError
from fetch import OWNER
from store.personal_context import LocationEvent
from tools import Context

POLL_SECONDS = 15 * 60
TTL_SECONDS = 60 * 60
SOURCE = "homeassistant"
NO_PLACE = frozenset({"", "not_home", "unknown", "unavailable"})  # states that name no zone

REFUSALS = {
    401: "Home Assistant does not accept the token.",
    403: "Home Assistant does not accept the token.",
    404: "Home Assistant knows no entity of this id.",
}


@dataclass(frozen=True)
class Reading:
    """Where the entity is; `name` is the zone it is in, if any."""

    latitude: float
    longitude: float
    name: str | None


def fetch_reading(context: Context, target: HomeAssistant, home_name: str) -> Reading | None:
    """Ask Home Assistant; None if it knows no coordinates. Raises FetchError, or ToolError if it refuses."""
    response = context.fetch.request(
        "GET",
        f"{target.url}/api/states/{quote(target.entity, safe='')}",
        trust=OWNER,
        headers={"Authorization": f"Bearer {target.token}", "Accept": "application/json"},
        timeout=5,
        max_bytes=256 * 1024,
    )
    if response.status != 200:
        raise ToolError(REFUSALS.get(response.status, f"Home Assistant answered with status {response.status}."))
    return read_state(response.json(), home_name)


def read_state(state: Any, home_name: str) -> Reading | None:
    """The coordinates of an entity's state; None if it has none. Raises ToolError if it is no state at all."""
    if not isinstance(state, dict) or not isinstance(state.get("attributes"), dict):
        raise ToolError("Home Assistant answered something else than an entity's state.")
    latitude, longitude = state["attributes"].get("latitude"), state["attributes"].get("longitude")
    if not (is_within(latitude, 90) and is_within(longitude, 180)):
        return None
    name = str(state.get("state") or "").strip()[:200]
    if name == "home" and home_name:
        name = home_name
    return Reading(float(latitude), float(longitude), None if name.lower() in NO_PLACE else name)


def is_within(value: Any, bound: int) -> bool:
    """Whether a JSON value is a number from -bound to bound."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -bound <= value <= bound


def sync_location(context: Context) -> LocationEvent | None:
    """Ask Home Assistant and keep what it says; None if it is not configured or knows no coordinates.

    What says the same as the newest event, while that lives for another two polls, is not kept again.
    """
    settings = read_settings(context)
    if settings.home_assistant is None:
        return None
    reading = fetch_reading(context, settings.home_assistant, settings.home_name)
    if reading is None:
        return None
    last = context.storage.find_last_location()
    unmoved = last is not None and is_same(last, reading)
    if unmoved and (last.expires_at or 0) > context.now + 2 * POLL_SECONDS:
        return last
    return context.storage.add_location_event(
        reading.latitude,
        reading.longitude,
        last.name if unmoved else reading.name,
        source=SOURCE,
        expires_at=context.now + TTL_SECONDS,
        now=context.now,
    )


def is_same(event: LocationEvent, reading: Reading) -> bool:
    """Whether an event is of Home Assistant and says what it says now. (A nameless one may have got a name since.)"""
    same_place = (event.latitude, event.longitude) == (reading.latitude, reading.longitude)
    return event.source == SOURCE and same_place and reading.name in (event.name, None)

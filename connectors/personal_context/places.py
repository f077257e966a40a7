"""The places tool: what is around the person, or around a point."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from connectors.personal_context.days import today
from connectors.personal_context.google_maps import Place, Search, search_nearby
from connectors.personal_context.resolver import find_whereabouts
from connectors.personal_context.settings import Settings, read_settings
from connectors.personal_context.shapes import Latitude, Longitude
from errors import ToolError
from tools import Context, tool

DEFAULT_TYPES = ("tourist_attraction", "museum", "art_gallery", "park", "cafe", "bar", "book_store", "library")

PlaceType = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
PlaceTypes = Annotated[list[PlaceType], Field(max_length=50, description="Google place types, such as cafe or museum.")]


class Origin(TypedDict):
    """Around which point was searched: one that was given, where the person was seen, or where they are planned to be."""

    latitude: float
    longitude: float
    source: Literal["explicit", "manual", "homeassistant", "automated", "scheduled"]


class Nearby(TypedDict):
    """Places, and how they were searched for."""

    places: list[Place]
    search: Search
    origin: Origin
    defaultsApplied: bool


@tool(title="Find places nearby", core=True, reads=True, open_world=True)
def places_nearby(
    context: Context,
    latitude: Latitude | None = None,
    longitude: Longitude | None = None,
    radiusMeters: Annotated[int, Field(ge=1, le=50_000)] = 500,
    maxResults: Annotated[int, Field(ge=1, le=20)] = 5,
    includedTypes: PlaceTypes | None = None,
    rankPreference: Literal["POPULARITY", "DISTANCE"] = "POPULARITY",
) -> Nearby:
    """Find places around a point, with Google Maps. Without coordinates: around where the person is now."""
    settings = read_settings(context)
    if settings.google_key is None:
        raise ToolError("This connection has no Google Maps API key. Add one to its settings to search for places.")
    origin = find_origin(context, settings, latitude, longitude)
    search: Search = {
        "latitude": origin["latitude"],
        "longitude": origin["longitude"],
        "radiusMeters": radiusMeters,
        "maxResults": maxResults,
        "includedTypes": includedTypes or list(DEFAULT_TYPES),
        "rankPreference": rankPreference,
    }
    places = search_nearby(context, settings.google_key, search)
    return {"places": places, "search": search, "origin": origin, "defaultsApplied": not includedTypes}


def find_origin(context: Context, settings: Settings, latitude: float | None, longitude: float | None) -> Origin:
    """The point to search around; raises ToolError if half of it is missing, or the person's location is not known."""
    if latitude is not None and longitude is not None:
        return {"latitude": latitude, "longitude": longitude, "source": "explicit"}
    if latitude is not None or longitude is not None:
        raise ToolError("Give both `latitude` and `longitude`, or neither.")
    location = find_whereabouts(context.storage, today(settings.zone, context.now), settings.stale_seconds).location
    if location is None:
        raise ToolError("It is not known where the person is now: give `latitude` and `longitude`.")
    source = location.get("source", "scheduled")
    return {"latitude": location["latitude"], "longitude": location["longitude"], "source": source}

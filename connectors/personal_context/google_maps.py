"""Names of places and places nearby, from Google Maps. No text of an error can hold the key."""

from __future__ import annotations

import re
from typing import Any

from typing_extensions import TypedDict

from errors import FetchError, ToolError
from fetch import VENDOR, Response
from tools import Context

GEOCODE_URL = "https://maps.googleapis.com/maps/api/geocode/json"
NEARBY_URL = "https://places.googleapis.com/v1/places:searchNearby"
FIELD_MASK = "places.id,places.displayName,places.primaryType,places.formattedAddress,places.googleMapsUri"
TIMEOUT_SECONDS = 5


class Place(TypedDict):
    """A place that was found."""

    id: str | None
    displayName: str | None
    primaryType: str | None
    formattedAddress: str | None
    googleMapsUri: str | None


class Search(TypedDict):
    """What was searched for."""

    latitude: float
    longitude: float
    radiusMeters: int
    maxResults: int
    includedTypes: list[str]
    rankPreference: str


def find_address(context: Context, key: str, latitude: float, longitude: float) -> str | None:
    """The address at some coordinates; None if Google knows none. Raises FetchError, or ToolError if it refuses."""
    params = {"latlng": f"{latitude:.6f},{longitude:.6f}", "key": key}
    response = context.fetch.request("GET", GEOCODE_URL, trust=VENDOR, params=params, timeout=TIMEOUT_SECONDS)
    answer = read_answer(response)
    if response.status != 200 or answer.get("status") not in ("OK", "ZERO_RESULTS"):
        raise refusal(response.status, answer.get("status"))
    for result in list_of_objects(answer, "results"):
        if address := text_of(result, "formatted_address"):
            return address[:200]
    return None


def search_nearby(context: Context, key: str, search: Search) -> list[Place]:
    """The places around a point, best first. Raises FetchError, or ToolError if Google refuses."""
    center = {"latitude": search["latitude"], "longitude": search["longitude"]}
    response = context.fetch.request(
        "POST",
        NEARBY_URL,
        trust=VENDOR,
        headers={"X-Goog-Api-Key": key, "X-Goog-FieldMask": FIELD_MASK},
        json={
            "includedTypes": search["includedTypes"],
            "maxResultCount": search["maxResults"],
            "rankPreference": search["rankPreference"],
            "locationRestriction": {"circle": {"center": center, "radius": float(search["radiusMeters"])}},
        },
        timeout=TIMEOUT_SECONDS,
    )
    answer = read_answer(response)
    if response.status != 200:
        error = answer.get("error")
        raise refusal(response.status, error.get("status") if isinstance(error, dict) else None)
    return [read_place(place) for place in list_of_objects(answer, "places")]


def read_place(place: dict[str, Any]) -> Place:
    """One place of an answer; what is missing is None."""
    name = place.get("displayName")
    return {
        "id": text_of(place, "id"),
        "displayName": text_of(name, "text") if isinstance(name, dict) else None,
        "primaryType": text_of(place, "primaryType"),
        "formattedAddress": text_of(place, "formattedAddress"),
        "googleMapsUri": text_of(place, "googleMapsUri"),
    }


def read_answer(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; an error's may be missing, a success's may not."""
    try:
        answer = response.json()
    except FetchError:
        answer = None
    if not isinstance(answer, dict) and response.status == 200:
        raise ToolError("Google Maps answered something that is not understood here.")
    return answer if isinstance(answer, dict) else {}


def refusal(status: int, reason: Any) -> ToolError:
    """Why Google refused: its own word for it, never its text."""
    word = reason if isinstance(reason, str) and re.fullmatch(r"[A-Z_]{1,40}", reason) else f"status {status}"
    return ToolError(f"Google Maps refused the request ({word}). The API key may be wrong, or not allowed to use this API.")


def list_of_objects(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a member that should be a list of them."""
    found = answer.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_of(item: dict[str, Any], name: str) -> str | None:
    """A member that should be a text."""
    value = item.get(name)
    return value if isinstance(value, str) else None

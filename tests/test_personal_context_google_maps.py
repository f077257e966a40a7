"""Google Maps: addresses and places nearby, and a key that no error shows."""

from __future__ import annotations

import pytest
from context_fixture import ADDRESS, GEOCODE_URL, KEY, LONDON_EYE, answer, world

from errors import ToolError
from fetch import VENDOR, Response

__all__ = ["world"]

NEARBY_URL = "https://places.googleapis.com/v1/places:searchNearby"


@pytest.fixture
def maps(world):
    """Alice's world with a Google Maps key."""
    world.secrets = {"google_maps_api_key": KEY}
    world.fetch.answers[GEOCODE_URL] = answer(ADDRESS)
    return world


def test_it_looks_up_the_address_of_a_nameless_place(maps):
    found = maps.call("status_set_location", **LONDON_EYE)
    assert found["location"]["locationName"] == "Lambeth, London"
    assert maps.fetch.requests == [
        {
            "method": "GET",
            "url": GEOCODE_URL,
            "trust": VENDOR,
            "params": {"latlng": "51.503300,-0.119600", "key": KEY},
            "timeout": 5,
        }
    ]


def test_it_does_not_look_up_a_place_that_has_a_name(maps):
    assert maps.call("status_set_location", **LONDON_EYE, locationName="Eye")["location"]["locationName"] == "Eye"
    assert maps.fetch.requests == []


@pytest.mark.parametrize(
    "response", [None, Response(500, {}, b""), answer({"status": "REQUEST_DENIED"}), answer({"status": "ZERO_RESULTS"})]
)
def test_it_keeps_a_place_even_if_its_name_cannot_be_had(maps, response):
    maps.fetch.answers = {GEOCODE_URL: response} if response else {}
    found = maps.call("status_set_location", **LONDON_EYE)
    assert (found["location"]["latitude"], found["location"]["locationName"]) == (51.5033, None)


def test_it_names_the_newest_nameless_place_later(maps):
    maps.secrets = {}
    for latitude in (50, 51):
        maps.call("status_set_location", latitude=latitude, longitude=0)
        maps.now += 1
    maps.call("status_set_location", latitude=52, longitude=0, locationName="Eye")
    result = maps.call("status_enrich_latest_location")
    assert (result["configured"], result["updated"], result["record"]) == (False, False, None)
    maps.secrets = {"google_maps_api_key": KEY}
    result = maps.call("status_enrich_latest_location")
    assert (result["configured"], result["updated"]) == (True, True)
    assert (result["record"]["latitude"], result["record"]["locationName"]) == (51, "Lambeth, London")
    assert result["location"]["locationName"] == "Eye"
    assert maps.call("status_enrich_latest_location")["record"]["latitude"] == 50
    assert maps.call("status_enrich_latest_location")["updated"] is False


PLACE = {
    "id": "ChIJ1",
    "displayName": {"text": "Tate Modern", "languageCode": "en"},
    "primaryType": "museum",
    "formattedAddress": "Bankside, London",
    "googleMapsUri": "https://maps.google.com/?cid=1",
}


def test_it_searches_around_a_point_that_is_given(maps):
    maps.fetch.answers[NEARBY_URL] = answer({"places": [PLACE, {"id": "ChIJ2"}]})
    result = maps.call(
        "places_nearby", **LONDON_EYE, radiusMeters=750, maxResults=2, includedTypes=["museum"], rankPreference="DISTANCE"
    )
    assert maps.fetch.requests == [
        {
            "method": "POST",
            "url": NEARBY_URL,
            "trust": VENDOR,
            "headers": {
                "X-Goog-Api-Key": KEY,
                "X-Goog-FieldMask": ",".join(f"places.{name}" for name in PLACE),
            },
            "json": {
                "includedTypes": ["museum"],
                "maxResultCount": 2,
                "rankPreference": "DISTANCE",
                "locationRestriction": {"circle": {"center": LONDON_EYE, "radius": 750.0}},
            },
            "timeout": 5,
        }
    ]
    assert result["places"] == [
        {**PLACE, "displayName": "Tate Modern"},
        {"id": "ChIJ2", "displayName": None, "primaryType": None, "formattedAddress": None, "googleMapsUri": None},
    ]
    assert result["origin"] == {**LONDON_EYE, "source": "explicit"}
    assert result["defaultsApplied"] is False


def test_it_searches_around_the_person_with_defaults(maps):
    maps.fetch.answers[NEARBY_URL] = answer({})
    maps.call("status_set_location", **LONDON_EYE, locationName="Eye")
    result = maps.call("places_nearby")
    assert result == {
        "places": [],
        "search": {
            **LONDON_EYE,
            "radiusMeters": 500,
            "maxResults": 5,
            "includedTypes": ["tourist_attraction", "museum", "art_gallery", "park", "cafe", "bar", "book_store", "library"],
            "rankPreference": "POPULARITY",
        },
        "origin": {**LONDON_EYE, "source": "manual"},
        "defaultsApplied": True,
    }


def test_it_searches_around_where_the_person_is_planned_to_be(maps):
    maps.fetch.answers[NEARBY_URL] = answer({})
    maps.call("status_schedule_set", date="2026-09-21", location=LONDON_EYE)
    assert maps.call("places_nearby")["origin"] == {**LONDON_EYE, "source": "scheduled"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "not known where the person is"), ({"latitude": 0}, "Give both"), ({"longitude": 0}, "Give both")],
)
def test_it_refuses_to_search_around_nowhere(maps, arguments, message):
    with pytest.raises(ToolError, match=message):
        maps.call("places_nearby", **arguments)
    assert maps.fetch.requests == []


def test_it_refuses_to_search_without_a_key(world):
    with pytest.raises(ToolError, match="no Google Maps API key"):
        world.call("places_nearby", **LONDON_EYE)
    assert world.fetch.requests == []


DENIED = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": f"Key {KEY} is not allowed."}}


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (answer(DENIED, 403), r"\(PERMISSION_DENIED\)"),
        (answer({"error": {"status": f"key={KEY}"}}, 400), r"\(status 400\)"),
        (answer({"error": KEY}, 400), r"\(status 400\)"),
        (Response(502, {}, KEY.encode()), r"\(status 502\)"),
        (Response(200, {}, KEY.encode()), "not understood"),
        (answer([KEY]), "not understood"),
        (None, "could not be reached"),
    ],
)
def test_it_never_shows_the_key_when_a_search_fails(maps, response, message):
    if response:
        maps.fetch.answers[NEARBY_URL] = response
    with pytest.raises(ToolError, match=message) as caught:
        maps.call("places_nearby", **LONDON_EYE)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", ["REQUEST_DENIED", "OVER_QUERY_LIMIT", f"key {KEY}", 7, None])
def test_it_never_shows_the_key_when_an_address_is_refused(maps, status):
    maps.fetch.answers[GEOCODE_URL] = answer({"status": "ZERO_RESULTS"})
    maps.call("status_set_location", **LONDON_EYE)
    maps.fetch.answers[GEOCODE_URL] = answer({"status": status, "error_message": f"{KEY} is wrong"})
    with pytest.raises(ToolError, match="Google Maps refused the request") as caught:
        maps.call("status_enrich_latest_location")
    assert KEY not in str(caught.value)

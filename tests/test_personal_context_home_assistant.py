"""Home Assistant: what it is asked, what is kept of its answer, and for how long."""

from __future__ import annotations

import pytest
from context_fixture import ADDRESS, GEOCODE_URL, KEY, LONDON_EYE, STATE_URL, answer, at, home, say, world

from connectors.personal_context import CONNECTOR
from errors import ToolError
from fetch import OWNER, Fetcher, Response

__all__ = ["home", "world"]

DAY = 86400
JOBS = {job.name: job for job in CONNECTOR.jobs}


def test_it_asks_home_assistant_and_keeps_the_answer_for_an_hour(home):
    result = home.call("status_sync_homeassistant_location")
    assert home.fetch.requests == [
        {
            "method": "GET",
            "url": STATE_URL,
            "trust": OWNER,
            "headers": {"Authorization": "Bearer ha-secret", "Accept": "application/json"},
            "timeout": 5,
            "max_bytes": 256 * 1024,
        }
    ]
    seen = {**LONDON_EYE, "locationName": "home", "source": "homeassistant", "timestamp": "2026-09-21T09:00:00Z"}
    assert result == {
        "configured": True,
        "synced": True,
        "record": {**seen, "expiresAt": "2026-09-21T10:00:00Z"},
        "location": seen,
        "effectiveDate": "2026-09-21",
        "locationProvenance": {"source": "location-event", "eventSource": "homeassistant"},
    }
    home.now += 3599
    assert home.call("status_get_location")["location"] == seen
    home.now += 1
    assert home.call("status_get_location")["location"] is None


@pytest.mark.parametrize(
    ("state", "home_name", "name"),
    [
        ("home", "", "home"),
        ("home", "Rose Cottage", "Rose Cottage"),
        ("Work", "Rose Cottage", "Work"),
        ("not_home", "Rose Cottage", None),
        ("unknown", "", None),
        ("unavailable", "", None),
    ],
)
def test_it_names_the_place_by_the_zone(home, state, home_name, name):
    home.settings["home_name"] = home_name
    say(home, state)
    assert home.call("status_sync_homeassistant_location")["record"]["locationName"] == name


@pytest.mark.parametrize(
    "attributes",
    [
        {"latitude": None},
        {"longitude": "0.1"},
        {"latitude": 91},
        {"longitude": -181},
        {"latitude": True},
        {"latitude": float("nan")},
    ],
)
def test_it_keeps_nothing_without_coordinates(home, attributes):
    say(home, "home", **attributes)
    result = home.call("status_sync_homeassistant_location")
    assert (result["configured"], result["synced"], result["record"]) == (True, False, None)
    assert home.call("status_get_location_history")["events"] == []


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (None, "could not be reached"),
        (Response(401, {}, b"401: Unauthorized"), "does not accept the token"),
        (Response(403, {}, b""), "does not accept the token"),
        (Response(404, {}, b'{"message":"Entity not found."}'), "knows no entity of this id"),
        (Response(302, {"Location": "http://10.0.0.1/"}, b""), "status 302"),
        (Response(200, {}, b"<html>"), "not JSON"),
        (answer([]), "something else"),
        (answer({"state": "home"}), "something else"),
    ],
)
def test_it_tells_the_model_why_home_assistant_did_not_answer(home, response, message):
    home.fetch.answers = {STATE_URL: response} if response else {}
    with pytest.raises(ToolError, match=message) as caught:
        home.call("status_sync_homeassistant_location")
    assert "ha-secret" not in str(caught.value)
    assert home.call("status_get_location_history")["events"] == []


@pytest.mark.parametrize("missing", ["home_assistant_url", "home_assistant_entity", "home_assistant_token"])
def test_it_asks_nobody_unless_home_assistant_is_configured_in_full(home, missing):
    home.settings.pop(missing, None)
    home.secrets.pop(missing, None)
    result = home.call("status_sync_homeassistant_location")
    assert (result["configured"], result["synced"]) == (False, False)
    JOBS["home_assistant"].run(home.context())
    assert home.fetch.requests == []


def test_it_never_sends_an_entity_that_could_change_the_path(home):
    home.settings["home_assistant_entity"] = "person.alice/../../config"
    with pytest.raises(ToolError, match=r"person\.alice"):
        home.call("status_sync_homeassistant_location")
    assert home.fetch.requests == []


def test_it_reaches_a_private_address_only_if_the_server_allows_that(home):
    home.fetch = Fetcher()
    home.settings["home_assistant_url"] = "http://192.168.1.5:8123"
    with pytest.raises(ToolError, match=r"192\.168\.1\.5:8123 to ALLOW_PRIVATE_UPSTREAMS"):
        home.call("status_sync_homeassistant_location")


def poll_at(world, minute: int) -> list[str | None]:
    """Run the periodic sync at a minute; answers the names in the history, oldest first."""
    world.now = at("2026-09-21 09:00") + minute * 60
    JOBS["home_assistant"].run(world.context())
    return [event["locationName"] for event in world.call("status_get_location_history")["events"]][::-1]


def test_its_job_keeps_an_unchanged_place_known_without_a_row_for_each_poll(home):
    assert JOBS["home_assistant"].every_seconds == 15 * 60
    rows = []
    for minute in range(0, 12 * 60, 15):
        rows = poll_at(home, minute)
        home.now += 15 * 60 + 60  # even if the next poll is a minute late
        assert home.call("status_get_location")["location"] is not None
    assert rows == ["home"] * 24


def test_its_job_keeps_every_move(home):
    assert poll_at(home, 0) == ["home"]
    say(home, "Work", latitude=51.6)
    assert poll_at(home, 15) == ["home", "Work"]
    say(home, "Work", latitude=51.7)
    assert poll_at(home, 30) == ["home", "Work", "Work"]
    say(home, "home")
    assert poll_at(home, 45) == ["home", "Work", "Work", "home"]


def test_its_job_puts_the_truth_after_what_a_person_said(home):
    poll_at(home, 0)
    home.call("status_set_location", latitude=1, longitude=2, locationName="Elsewhere")
    assert poll_at(home, 15) == ["home", "Elsewhere", "home"]


def test_its_job_does_not_take_a_persons_word_for_home_assistants(home):
    home.call("status_set_location", **LONDON_EYE, locationName="home", ttlSeconds=DAY)
    assert poll_at(home, 0) == ["home", "home"]
    assert home.call("status_get_location")["locationProvenance"]["eventSource"] == "homeassistant"


def test_its_job_keeps_a_name_that_was_looked_up(home):
    home.secrets["google_maps_api_key"] = KEY
    home.fetch.answers[GEOCODE_URL] = answer(ADDRESS)
    say(home, "not_home")
    assert poll_at(home, 0) == [None]
    home.call("status_enrich_latest_location")
    assert poll_at(home, 15) == ["Lambeth, London"]
    assert poll_at(home, 45) == ["Lambeth, London"] * 2

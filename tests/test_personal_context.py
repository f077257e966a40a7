"""Personal Context as a connector: its tools, what they keep and refuse, and whose it is."""

from __future__ import annotations

import json

import pytest
from context_fixture import ADDRESS, GEOCODE_URL, KEY, LONDON_EYE, STATE_URL, TOOLS, answer, at, home, mistakes, say, world

from connectors.personal_context import CONNECTOR
from errors import FetchError, ToolError

__all__ = ["home", "world"]

MONDAY = "2026-09-21"


# --- the connector ---


def test_it_offers_the_thirteen_tools():
    assert set(TOOLS) == {
        "status_get", "status_get_work", "status_set_work", "status_get_location", "status_set_location",
        "status_get_location_history", "status_schedule_set", "status_schedule_list", "status_schedule_delete", "holidays_list",
        "status_sync_homeassistant_location", "status_enrich_latest_location", "places_nearby",
    }  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_it_describes_every_tool_in_full(name):
    tool = TOOLS[name]
    assert tool.title
    assert tool.description
    assert tool.output_schema["type"] == "object"
    assert not (tool.reads and tool.destructive)


def test_it_says_truly_which_tools_change_something():
    assert {name for name, tool in TOOLS.items() if not tool.reads} == {
        "status_set_work", "status_set_location", "status_schedule_set", "status_schedule_delete",
        "status_sync_homeassistant_location", "status_enrich_latest_location",
    }  # fmt: skip
    assert {name for name, tool in TOOLS.items() if tool.destructive} == {"status_schedule_set", "status_schedule_delete"}


# --- histories and plans ---


def test_it_lists_where_somebody_was(world):
    for hour in range(5):
        world.now = at(f"2026-09-20 2{hour % 4}:00") if hour < 4 else at("2026-09-21 00:00")
        world.call("status_set_location", latitude=hour, longitude=0)
    world.now = at("2026-09-21 09:00")

    def latitudes(**arguments) -> list[float]:
        return [event["latitude"] for event in world.call("status_get_location_history", **arguments)["events"]]

    assert latitudes() == [4, 3, 2, 1, 0]
    assert latitudes(limit=2) == [4, 3]
    assert latitudes(from_=MONDAY) == [4, 3]  # in London the 21st begins at 23:00 UTC
    assert latitudes(to="2026-09-20") == [2, 1, 0]
    assert latitudes(from_="2026-09-20T21:00:00Z", to="2026-09-20T22:00:00Z") == [2, 1]
    assert latitudes(from_="2027-01-01") == []


def test_it_keeps_lists_and_deletes_plans(world):
    saved = world.call("status_schedule_set", date="2026-09-23", workStatus="office", reason="workshop")
    world.call("status_schedule_set", date="2026-09-22", location={**LONDON_EYE, "locationName": " Eye "})
    listed = world.call("status_schedule_list")["schedules"]
    assert [plan["date"] for plan in listed] == ["2026-09-22", "2026-09-23"]
    assert listed[0]["location"] == {**LONDON_EYE, "locationName": "Eye"}
    assert listed[1] == saved
    assert world.call("status_schedule_list", from_="2026-09-23", to="2026-09-30")["schedules"] == [saved]
    assert world.call("status_schedule_delete", date="2026-09-23") == {"success": True, "deleted": True}
    assert world.call("status_schedule_delete", date="2026-09-23") == {"success": True, "deleted": False}
    assert world.call("status_schedule_list", from_="2026-09-23")["schedules"] == []


@pytest.mark.parametrize("reason", [{}, {"reason": "only a reason"}])
def test_it_refuses_an_empty_plan(world, reason):
    with pytest.raises(ToolError, match="needs a `workStatus`, a `location`, or both"):
        world.call("status_schedule_set", date=MONDAY, **reason)
    assert world.call("status_schedule_list")["schedules"] == []


# --- what is refused ---


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status_get", {"date": "2026-02-30"}),
        ("status_get_work", {"date": "2026-02-30"}),
        ("status_schedule_set", {"date": "2026-02-30", "workStatus": "office"}),
        ("status_schedule_delete", {"date": "2026-02-30"}),
        ("status_schedule_list", {"from_": "2026-02-30"}),
        ("status_schedule_list", {"to": "2026-02-30"}),
        ("status_get_location_history", {"to": "2026-02-30"}),
    ],
)
def test_every_tool_refuses_a_date_that_does_not_exist(world, name, arguments):
    with pytest.raises(ToolError, match="real calendar date"):
        world.call(name, **arguments)


@pytest.mark.parametrize("name", ["status_schedule_list", "status_get_location_history"])
def test_it_refuses_a_range_that_ends_before_it_begins(world, name):
    with pytest.raises(ToolError, match="`from` must not be later than `to`"):
        world.call(name, from_="2026-09-22", to="2026-09-21")
    world.call(name, from_="2026-09-21", to="2026-09-21")


PLACE_0 = {"latitude": 0, "longitude": 0}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("status_get", {}, {"date": "21.9.2026"}),
        ("status_set_work", {"workStatus": "office"}, {"workStatus": " "}),
        ("status_set_work", {"workStatus": "x" * 80}, {"workStatus": "x" * 81}),
        ("status_set_work", {"workStatus": "x", "ttlSeconds": 1}, {"workStatus": "x", "ttlSeconds": 0}),
        ("status_set_work", {"workStatus": "x", "ttlSeconds": 31622400}, {"workStatus": "x", "ttlSeconds": 31622401}),
        ("status_set_location", PLACE_0, {"latitude": 0}),
        ("status_set_location", {**PLACE_0, "latitude": 90}, {**PLACE_0, "latitude": 90.1}),
        ("status_set_location", {**PLACE_0, "source": "manual"}, {**PLACE_0, "source": "homeassistant"}),
        ("status_set_location", {**PLACE_0, "ttlSeconds": 60}, {**PLACE_0, "ttlSeconds": -60}),
        ("status_get_location_history", {"limit": 500}, {"limit": 501}),
        ("status_get_location_history", {"limit": 1}, {"limit": -1}),
        ("status_schedule_set", {"date": MONDAY, "location": PLACE_0}, {"date": MONDAY, "location": {"latitude": 0}}),
        ("status_schedule_set", {"date": MONDAY}, {"date": MONDAY, "source": "automated"}),
        ("holidays_list", {"region": "scotland"}, {"region": "wales"}),
        ("places_nearby", {"radiusMeters": 50000}, {"radiusMeters": 50001}),
        ("places_nearby", {"maxResults": 20}, {"maxResults": 0}),
        ("places_nearby", {"includedTypes": ["cafe"]}, {"includedTypes": ["Café"]}),
        ("places_nearby", {"rankPreference": "DISTANCE"}, {"rankPreference": "distance"}),
    ],
)
def test_its_schemas_know_the_limits(name, good, bad):
    assert mistakes(name, good) == []
    assert mistakes(name, bad) != []


# --- whose ---


def test_two_connections_never_see_each_others_context(world):
    world.call("status_set_work", workStatus="office", reason="Alice’s secret")
    world.call("status_set_location", **LONDON_EYE, locationName="Alice’s secret")
    world.call("status_schedule_set", date="2026-09-23", workStatus="office", reason="Alice’s secret")
    reads = ["status_get", "status_get_work", "status_get_location", "status_get_location_history", "status_schedule_list"]
    alices, bobs = ([str(world.call(name, owner=owner)) for name in reads] for owner in ("alice", "bob"))
    assert all("Alice’s secret" in answer for answer in alices)
    assert not any("Alice’s secret" in answer for answer in bobs)
    assert world.call("status_schedule_delete", owner="bob", date="2026-09-23")["deleted"] is False
    for resource in CONNECTOR.resources:
        assert "Alice’s secret" in resource.read(world.context("alice"), resource.uri)[0]["text"]
        assert "Alice’s secret" not in resource.read(world.context("bob"), resource.uri)[0]["text"]


# --- the form's test, and the resources ---


def test_its_form_has_nothing_to_test_where_nothing_is_configured(world):
    assert CONNECTOR.test(world.context()) == "No other service is configured, and none is needed."
    assert world.fetch.requests == []


def test_its_form_tells_what_it_found(home):
    home.secrets["google_maps_api_key"] = KEY
    home.fetch.answers[GEOCODE_URL] = answer(ADDRESS)
    assert CONNECTOR.test(home.context()) == "Home Assistant tells where person.alice is. Google Maps accepts the key."
    assert home.call("status_get_location_history")["events"] == []


def test_its_form_tells_what_is_missing_or_wrong(home):
    token = home.secrets.pop("home_assistant_token")
    with pytest.raises(ToolError, match="needs all three"):
        CONNECTOR.test(home.context())
    home.secrets["home_assistant_token"] = token
    say(home, "home", latitude=None)
    with pytest.raises(ToolError, match="no coordinates"):
        CONNECTOR.test(home.context())
    del home.fetch.answers[STATE_URL]
    with pytest.raises(FetchError, match="could not be reached"):
        CONNECTOR.test(home.context())


def test_its_resources_say_what_the_tools_say(world):
    world.call("status_set_work", workStatus="office")
    for date in ("2026-09-20", "2026-09-21", "2026-09-22"):
        world.call("status_schedule_set", date=date, workStatus="office")
    read = {}
    for resource in CONNECTOR.resources:
        (contents,) = resource.read(world.context(), resource.uri)
        assert (contents["uri"], contents["mimeType"], resource.mime_type) == (
            resource.uri,
            "application/json",
            "application/json",
        )
        read[resource.uri] = json.loads(contents["text"])
    assert read["personal-context://status/today"] == world.call("status_get")
    assert [plan["date"] for plan in read["personal-context://schedule"]["schedules"]] == ["2026-09-21", "2026-09-22"]

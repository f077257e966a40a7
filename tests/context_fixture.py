"""A small world for the tests of Personal Context: two connections, a clock, and services that answer what they are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connectors.personal_context import CONNECTOR
from crypto import Vault
from db import Database
from errors import FetchError
from fetch import Response
from store.cache import ScopedCache
from store.personal_context import PersonalContextStorage
from tools import Call, Context

TOOLS = {tool.name: tool for tool in CONNECTOR.tools}
LONDON_EYE = {"latitude": 51.5033, "longitude": -0.1196}
STATE_URL = "http://homeassistant.local:8123/api/states/person.alice"
GEOCODE_URL = "https://maps.googleapis.com/maps/api/geocode/json"
KEY = "AIza-secret-key"
ADDRESS = {"status": "OK", "results": [{"formatted_address": "Lambeth, London"}, {"formatted_address": "England"}]}
BANK_HOLIDAYS_URL = "https://www.gov.uk/bank-holidays.json"
FEED = {
    region: {
        "division": region,
        "events": [
            {"title": "New Year’s Day", "date": "2026-01-01", "notes": "", "bunting": True},
            {"title": own_day, "date": date, "notes": "", "bunting": False},
            {"title": "Christmas Day", "date": "2026-12-25", "notes": "", "bunting": True},
        ],
    }
    for region, own_day, date in (
        ("england-and-wales", "Summer bank holiday", "2026-08-31"),
        ("scotland", "St Andrew’s Day", "2026-11-30"),
        ("northern-ireland", "Battle of the Boyne", "2026-07-13"),
    )
}


def at(text: str) -> int:
    """A moment in UTC, written like 2026-09-21 09:00."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def answer(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


class FakeFetch:
    """Gives each URL the answer it was told, and remembers the requests. A URL without one cannot be reached."""

    def __init__(self) -> None:
        self.answers: dict[str, Response] = {}
        self.requests: list[dict[str, Any]] = []

    def request(self, method: str, url: str, **rest: Any) -> Response:
        self.requests.append({"method": method, "url": url, **rest})
        if url not in self.answers:
            raise FetchError("The server could not be reached.")
        return self.answers[url]

    def urls(self) -> list[str]:
        return [request["url"] for request in self.requests]


class World:
    """Alice's and Bob's connections at one moment, which may be moved."""

    def __init__(self, db: Database, vault: Vault):
        self.db, self.vault, self.fetch = db, vault, FakeFetch()
        self.fetch.answers[BANK_HOLIDAYS_URL] = answer(FEED)
        self.now = at("2026-09-21 09:00")  # a Monday; in London it is 10:00
        self.settings: dict[str, Any] = {}
        self.secrets: dict[str, str] = {}

    def context(self, owner: str = "alice") -> Context:
        return Context(
            connection_id=owner,
            settings=self.settings,
            secrets=self.secrets,
            fetch=self.fetch,
            cache=self.cache(owner),
            shared_cache=self.cache("shared"),
            storage=PersonalContextStorage(self.db, owner),
            now=self.now,
            call=Call(),
        )

    def cache(self, scope: str) -> ScopedCache:
        return ScopedCache(self.db, self.vault, scope, clock=lambda: self.now)

    def call(self, name: str, *, owner: str = "alice", **arguments: Any) -> dict[str, Any]:
        """Call a tool as the toolbox does; what it answers must fit its output schema."""
        arguments = {key.rstrip("_"): value for key, value in arguments.items()}
        assert not mistakes(name, arguments)
        result = TOOLS[name].run(self.context(owner), arguments)
        Draft202012Validator({**TOOLS[name].output_schema, "additionalProperties": False}).validate(result.structured)
        return result.structured


def mistakes(name: str, arguments: dict[str, Any]) -> list[str]:
    """What a tool's input schema finds wrong with some arguments."""
    return [error.message for error in Draft202012Validator(TOOLS[name].input_schema).iter_errors(arguments)]


def make_connections(db: Database, *owners: str) -> None:
    """A user and a Personal Context connection for each name; the connection has the name as its id."""
    with db.write() as run:
        for owner in owners:
            run(
                "INSERT INTO users (id, name, password_hash, is_owner, created_at) VALUES (:id, :id, '', :is_owner, 0)",
                id=owner,
                is_owner=int(owner == "alice"),
            )
            run(
                """
                INSERT INTO connections
                    (id, user_id, connector, name, settings_json, created_at, updated_at)
                VALUES
                    (:id, :id, 'personal_context', 'Me', '{}', 0, 0)
                """,
                id=owner,
            )


@pytest.fixture
def world(db: Database, vault: Vault) -> World:
    """A world of Alice and Bob, where GOV.UK answers and nothing else is configured."""
    make_connections(db, "alice", "bob")
    return World(db, vault)


@pytest.fixture
def home(world: World) -> World:
    """Alice's world with Home Assistant, which says that she is at home."""
    world.settings = {"home_assistant_url": "http://homeassistant.local:8123/", "home_assistant_entity": "person.alice"}
    world.secrets = {"home_assistant_token": "ha-secret"}
    say(world, "home")
    return world


def say(world: World, state: str, **attributes: Any) -> None:
    """Let Home Assistant give a state."""
    world.fetch.answers[STATE_URL] = answer(
        {"entity_id": "person.alice", "state": state, "attributes": {**LONDON_EYE, **attributes}}
    )

"""What a person can set for a Personal Context connection. Knows the form, not what follows from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connectors.personal_context.days import find_zone
from errors import ToolError
from tools import Context, Field

REGIONS = (("england-and-wales", "England and Wales"), ("scotland", "Scotland"), ("northern-ireland", "Northern Ireland"))


def check_zone(text: str) -> None:
    """Raise ValueError unless it is a time zone."""
    find_zone(text)


def check_url(text: str) -> None:
    """Raise ValueError unless it is the address of a web server."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("Write it as in http://homeassistant.local:8123, without user name, ? or #.")


def check_entity(text: str) -> None:
    """Raise ValueError unless it is an entity id: it becomes a part of a path."""
    if not re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", text):
        raise ValueError("Write it as in person.alice: small letters, digits and _ around one dot.")


FIELDS = (
    Field("time_zone", "Time zone", default="Europe/London", check=check_zone, help="Decides when a day begins."),
    Field("holiday_region", "Bank holidays of", kind="select", default="england-and-wales", options=REGIONS),
    Field("home_name", "Name of your home", help='Shown when Home Assistant says "home".'),
    Field(
        "location_stale_hours",
        "Forget a location after (hours)",
        kind="number",
        default="6",
        minimum=1,
        maximum=168,
        help="An older one no longer counts as where you are.",
    ),
    Field("google_maps_api_key", "Google Maps API key", kind="secret", help="For names of places, and places nearby. Optional."),
    Field("home_assistant_url", "Home Assistant URL", kind="url", check=check_url, help="Optional, as are the next two."),
    Field("home_assistant_token", "Home Assistant token", kind="secret", help="A long-lived access token of your user there."),
    Field("home_assistant_entity", "Home Assistant entity", check=check_entity, help="What tells where you are: person.alice"),
)


@dataclass(frozen=True)
class HomeAssistant:
    """Where to ask for the person's location."""

    url: str
    token: str = field(repr=False)
    entity: str


@dataclass(frozen=True)
class Settings:
    """A connection's settings and secrets, read. None: not configured."""

    zone: ZoneInfo
    region: str
    home_name: str
    stale_seconds: int
    google_key: str | None = field(repr=False)
    home_assistant: HomeAssistant | None


def read_settings(context: Context) -> Settings:
    """The settings of a call's connection, defaults filled in; raises ToolError if they are unfit."""
    words = {item.name: str(context.settings.get(item.name) or item.default).strip() for item in FIELDS if item.kind != "secret"}
    try:
        return Settings(
            zone=find_zone(words["time_zone"]),
            region=words["holiday_region"],
            home_name=words["home_name"],
            stale_seconds=int(float(words["location_stale_hours"]) * 3600),
            google_key=context.secrets.get("google_maps_api_key") or None,
            home_assistant=read_home_assistant(words, context.secrets.get("home_assistant_token", "")),
        )
    except ValueError as error:
        raise ToolError(f"This connection's settings have a mistake: {error}") from None


def read_home_assistant(words: dict[str, str], token: str) -> HomeAssistant | None:
    """The three Home Assistant settings; None unless all are there. Raises ValueError for unfit ones."""
    url, entity = words["home_assistant_url"], words["home_assistant_entity"]
    if not (url and token and entity):
        return None
    check_url(url)
    check_entity(entity)
    return HomeAssistant(url.rstrip("/"), token, entity)

"""The connection form's test: whether the services a person configured answer. Keeps nothing of what they say."""

from __future__ import annotations

from connectors.personal_context.google_maps import find_address
from connectors.personal_context.home_assistant import fetch_reading
from connectors.personal_context.settings import Settings, read_settings
from errors import ToolError
from tools import Context

GREENWICH = (51.4779, -0.0015)  # a place that surely has an address


def check_connection(context: Context) -> str:
    """Ask each configured service; answers a sentence for each. Raises FetchError or ToolError for the first that fails."""
    settings = read_settings(context)
    found = [check_home_assistant(context, settings), check_google_maps(context, settings)]
    return " ".join(sentence for sentence in found if sentence) or "No other service is configured, and none is needed."


def check_home_assistant(context: Context, settings: Settings) -> str:
    """Whether Home Assistant tells the location; an empty text if it is not configured at all."""
    if settings.home_assistant is None:
        given = [context.settings.get("home_assistant_url"), context.settings.get("home_assistant_entity")]
        if any(given) or context.secrets.get("home_assistant_token"):
            raise ToolError("Home Assistant needs all three: its URL, a token and an entity.")
        return ""
    if fetch_reading(context, settings.home_assistant, settings.home_name) is None:
        raise ToolError(f"Home Assistant knows {settings.home_assistant.entity}, but no coordinates of it.")
    return f"Home Assistant tells where {settings.home_assistant.entity} is."


def check_google_maps(context: Context, settings: Settings) -> str:
    """Whether Google Maps accepts the key; an empty text if there is none."""
    if settings.google_key is None:
        return ""
    find_address(context, settings.google_key, *GREENWICH)
    return "Google Maps accepts the key."

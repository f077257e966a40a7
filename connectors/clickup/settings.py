"""What a person can set for a ClickUp connection. Knows the form, not what follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from errors import ToolError
from tools import Context, Field, Tool

ID = re.compile(r"[0-9]{1,20}")


def check_token(text: str) -> None:
    """Raise ValueError unless it can stand in a header as one word."""
    if not re.fullmatch(r"[!-~]{8,300}", text):
        raise ValueError("A token is one word, such as pk_123_ABC.")


def check_id(text: str) -> None:
    """Raise ValueError unless it is an id."""
    if not ID.fullmatch(text):
        raise ValueError("An id has digits only.")


def read_ids(text: str) -> frozenset[str]:
    """The ids of a list with commas or blanks between them; raises ValueError for anything else."""
    words = [word for word in re.split(r"[\s,;]+", text) if word]
    for word in words:
        check_id(word)
    return frozenset(words)


def check_ids(text: str) -> None:
    """Raise ValueError unless it is a list of ids."""
    read_ids(text)


FIELDS = (
    Field(
        "apiKey",
        "API token",
        kind="secret",
        required=True,
        check=check_token,
        help="In ClickUp: your picture, Settings, Apps, API Token. It begins with pk_. An OAuth access token will do as well.",
    ),
    Field("teamId", "Workspace id", check=check_id, help="Only needed if your account is in several workspaces."),
    Field("readOnly", "Only read", kind="checkbox", help="Offer no tool that changes something in ClickUp."),
    Field(
        "selectiveWrite",
        "Write in some places only",
        kind="checkbox",
        help="Changes are let through in the spaces and lists named here, and nowhere else.",
    ),
    Field("writeSpaces", "Spaces to write in", check=check_ids, help="Their ids, with commas between them."),
    Field("writeLists", "Lists to write in", check=check_ids, help="Their ids, with commas between them."),
    Field(
        "charLimit",
        "Longest answer (characters)",
        kind="number",
        default="16000",
        minimum=1000,
        maximum=200_000,
        help="A longer answer is shortened, and says so.",
    ),
    Field(
        "maxAttachmentMb",
        "Largest attachment (MB)",
        kind="number",
        default="8",
        minimum=1,
        maximum=20,
        help="An assistant can send 3 MB at most, even if this says more.",
    ),
)


def withhold(tool: Tool, settings: Mapping[str, Any], scopes: frozenset[str]) -> str:
    """A connection that only reads offers what reads."""
    return "Only read: off" if settings["readOnly"] and not tool.reads else ""


@dataclass(frozen=True)
class Settings:
    """A connection's settings and token, read."""

    token: str = field(repr=False)
    team_id: str | None
    read_only: bool
    selective: bool
    spaces: frozenset[str]
    lists: frozenset[str]
    char_limit: int
    max_attachment_bytes: int


def read_settings(context: Context) -> Settings:
    """The settings of a call's connection, defaults filled in; raises ToolError if they are unfit."""
    kept = {item.name: context.settings.get(item.name) or item.default_value for item in FIELDS}
    token = context.secrets.get("apiKey", "").strip().removeprefix("Bearer ").strip()
    try:
        check_token(token)
        team_id = str(kept["teamId"] or "").strip()
        if team_id:
            check_id(team_id)
        return Settings(
            token=token,
            team_id=team_id or None,
            read_only=bool(kept["readOnly"]),
            selective=bool(kept["selectiveWrite"]),
            spaces=read_ids(str(kept["writeSpaces"] or "")),
            lists=read_ids(str(kept["writeLists"] or "")),
            char_limit=int(kept["charLimit"]),
            max_attachment_bytes=int(float(kept["maxAttachmentMb"]) * 1024 * 1024),
        )
    except ValueError as error:
        raise ToolError(f"This ClickUp connection's settings have a mistake: {error}") from None

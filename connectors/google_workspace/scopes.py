"""What of a Google account a connection asks for: one choice for each service, and the scopes behind it. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors import ToolError
from tools import Field, SignIn

PREFIX = "https://www.googleapis.com/auth/"
WHO = ("openid", PREFIX + "userinfo.email")  # whose account it is
NONE = "none"
TESTING = (
    "If it was signed in about a week ago: while the consent screen of a Google Cloud project is in “Testing”, Google ends every "
    "sign-in after 7 days. Its owner can publish it under Google Auth Platform, Audience; for one's own use no review is needed."
)


@dataclass(frozen=True)
class Level:
    """One choice: its value in the settings, its words, and the scopes that it asks for."""

    value: str
    words: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """A service, its choices from narrow to wide, and which of them stands there at first."""

    name: str
    title: str
    levels: tuple[Level, ...]
    first: str
    help: str = ""


GROUPS = (
    Group(
        "gmail",
        "Gmail",
        (
            Level("read", "read", ("gmail.readonly",)),
            Level("write", "read, write and send", ("gmail.modify",)),
            Level("all", "read, write and send, filters and settings", ("gmail.modify", "gmail.settings.basic")),
        ),
        "write",
    ),
    Group(
        "calendar",
        "Calendar",
        (
            Level("read", "read", ("calendar.readonly", "calendar.acls.readonly")),
            Level("write", "read and change", ("calendar",)),
        ),
        "write",
    ),
    Group(
        "drive",
        "Drive",
        (
            Level("own", "only files that were made here", ("drive.file",)),
            Level("read", "read", ("drive.readonly",)),
            Level("write", "read and change", ("drive",)),
        ),
        "write",
        "To list and export documents, sheets and slides takes Drive as well.",
    ),
    Group(
        "docs",
        "Docs",
        (Level("read", "read", ("documents.readonly",)), Level("write", "read and change", ("documents",))),
        "write",
    ),
    Group(
        "sheets",
        "Sheets",
        (Level("read", "read", ("spreadsheets.readonly",)), Level("write", "read and change", ("spreadsheets",))),
        "write",
    ),
    Group(
        "slides",
        "Slides",
        (Level("read", "read", ("presentations.readonly",)), Level("write", "read and change", ("presentations",))),
        NONE,
    ),
    Group(
        "tasks",
        "Tasks",
        (Level("read", "read", ("tasks.readonly",)), Level("write", "read and change", ("tasks",))),
        "write",
    ),
    Group(
        "contacts",
        "Contacts",
        (Level("read", "read", ("contacts.readonly",)), Level("write", "read and change", ("contacts",))),
        NONE,
    ),
    Group(
        "forms",
        "Forms",
        (
            Level("read", "read", ("forms.body.readonly", "forms.responses.readonly")),
            Level("write", "read and change", ("forms.body", "forms.responses.readonly")),
        ),
        NONE,
    ),
    Group(
        "meet",
        "Meet",
        (
            Level("read", "read", ("meetings.space.readonly",)),
            Level("write", "read, and make meetings", ("meetings.space.readonly", "meetings.space.created")),
        ),
        NONE,
    ),
    Group(
        "chat",
        "Chat",
        (
            Level("read", "read", ("chat.spaces.readonly", "chat.memberships.readonly", "chat.messages.readonly")),
            Level("write", "read and change", ("chat.spaces", "chat.memberships", "chat.messages")),
        ),
        NONE,
        "Only for accounts of a Google Workspace organisation.",
    ),
    Group(
        "admin",
        "Administration",
        (
            Level(
                "read",
                "read",
                ("admin.directory.user.readonly", "admin.directory.group.readonly", "admin.reports.audit.readonly"),
            ),
            Level(
                "write",
                "read and change",
                ("admin.directory.user", "admin.directory.group", "admin.reports.audit.readonly"),
            ),
        ),
        NONE,
        "Only for administrators of a Google Workspace organisation.",
    ),
)


def make_field(group: Group) -> Field:
    """The choice as a part of the connection's form."""
    options = ((NONE, "nothing"), *((level.value, level.words) for level in group.levels))
    return Field(group.name, group.title, kind="select", default=group.first, options=options, help=group.help)


def scope_of(settings: Mapping[str, Any]) -> str:
    """All scopes that a connection's choices ask for."""
    words = dict.fromkeys(WHO)
    for group in GROUPS:
        chosen = settings.get(group.name) or group.first
        for level in group.levels:
            if level.value == chosen:
                words |= dict.fromkeys(PREFIX + name for name in level.scopes)
    return " ".join(words)


def hint_of(scopes: tuple[str, ...]) -> str:
    """The narrowest choice that asks for one of these scopes, in the words of the form."""
    return next(
        f"{group.title}: {level.words}" for group in GROUPS for level in group.levels if not set(level.scopes).isdisjoint(scopes)
    )


def sign_in(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> SignIn | None:
    """How one signs in at Google. Raises ToolError for half a client."""
    client_id, client_secret = str(settings.get("clientId") or ""), secrets.get("clientSecret", "")
    if bool(client_id) != bool(client_secret):
        raise ToolError("A client id and its secret belong together: type in both, or neither.")
    return SignIn(
        issuer="https://accounts.google.com",
        authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
        token_endpoint="https://oauth2.googleapis.com/token",  # noqa: S106 (an address)
        revocation_endpoint="https://oauth2.googleapis.com/revoke",
        scope=scope_of(settings),
        client_id=client_id,
        client_secret=client_secret,
        house_client="google",
        asks_exactly=True,
        when_over=TESTING,
    )

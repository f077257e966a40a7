"""What a person can set for a Google connection. Knows the form, not what follows from it."""

from __future__ import annotations

import re

from connectors.google_workspace.scopes import GROUPS, make_field
from tools import Context, Field

CHARS = 30_000


def check_client_id(text: str) -> None:
    """Raise ValueError unless it looks like a client id of Google's."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}\.apps\.googleusercontent\.com", text):
        raise ValueError("A client id ends in .apps.googleusercontent.com.")


def check_client_secret(text: str) -> None:
    """Raise ValueError unless it is one word."""
    if not re.fullmatch(r"[!-~]{8,200}", text):
        raise ValueError("A client secret is one word, such as GOCSPX-….")


FIELDS = (
    Field(
        "clientId",
        "Client id",
        check=check_client_id,
        help="Empty: this server's own (GOOGLE_OAUTH_CLIENT_ID). Else that of an OAuth client, type Web application, in your "
        "Google Cloud project, with this server's address and /connect/callback behind it as the authorized redirect URI. The "
        "APIs that you choose below have to be enabled in that project.",
    ),
    Field("clientSecret", "Client secret", kind="secret", check=check_client_secret),
    *(make_field(group) for group in GROUPS),
    Field(
        "charLimit",
        "Longest answer (characters)",
        kind="number",
        default=str(CHARS),
        minimum=1000,
        maximum=200_000,
        help="A longer answer is shortened, and says so.",
    ),
)


def char_limit(context: Context) -> int:
    """How long an answer may be."""
    return int(context.settings.get("charLimit") or CHARS)

"""The connection form's test: whether Google lets us in, and as whom. Keeps nothing."""

from __future__ import annotations

from connectors.google_workspace.api import Api
from tools import Context


def check_connection(context: Context) -> str:
    """Ask Google whose sign-in it is; answers a sentence."""
    email = Api(context).get("who", "userinfo").get("email")
    return f"Google lets this connection in as {email}."

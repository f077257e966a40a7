"""A connector for tests: one tool that asks a service (fake_service.py) with the token of a sign-in there. Keeps nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from errors import ToolError
from fetch import UPSTREAM
from tools import Connector, Context, Field, SignIn, tool

NAMES = ("url", "client_id", "authorization_endpoint", "token_endpoint", "scope")


def sign_in(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> SignIn | None:
    """As a remote MCP server's connection has it."""
    given = {name: settings[name] for name in NAMES if settings.get(name)}
    return SignIn(**given, client_secret=secrets.get("client_secret", "")) if given.get("url") else None


@tool(title="Who am I", reads=True)
def who_am_i(context: Context) -> str:
    """Ask the service whose token this is."""
    answer = context.fetch.request(
        "GET", context.settings["url"], trust=UPSTREAM, headers={"Authorization": f"Bearer {context.secrets['access_token']}"}
    )
    if answer.status != 200:
        raise ToolError(f"status {answer.status}, secrets {sorted(context.secrets)}")
    return f"{os.getpid()} {answer.body.decode()}"


CONNECTOR = Connector(
    name="service",
    title="Service",
    description="A service with a sign-in.",
    fields=(*(Field(name, name) for name in NAMES), Field("client_secret", "client_secret", kind="secret")),
    tools=(who_am_i,),
    sign_in=sign_in,
)

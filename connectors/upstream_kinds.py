"""The three kinds of other MCP servers as connectors: their forms, and a try. What they offer is found out elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from addresses import parse_url
from definitions import COMMAND, ENV_NAME, HEADER_NAME, KEY, OWN_HEADERS, PLACEHOLDER, SECONDS, VARIABLE, find_target
from errors import SignInNeeded, ToolError
from texts import plain_text
from tools import Connector, Context, Field, SignIn

AUTHS = (
    ("oauth", "Sign in there, if it asks (OAuth)"),
    ("none", "No sign-in"),
    ("api_key", "An API key"),
    ("basic", "A user name and a password"),
)


def check_address(text: str) -> None:
    """Whether an address would do, once its placeholders are filled in."""
    check_placeholders(text)
    parse_url(PLACEHOLDER.sub(lambda match: "https://host.example" if match.start() == 0 else "x", text))


def check_endpoint(text: str) -> None:
    """Whether an address of an authorization server would do."""
    parse_url(text)


def check_placeholders(text: str) -> None:
    """Whether every `${…}` is one that can be filled in here."""
    if found := VARIABLE.search(PLACEHOLDER.sub("", text)):
        raise ValueError(f"{found[0]} means nothing here. Only ${{input:NAME}} is replaced, if a definition has such an input.")


def check_no_placeholder(text: str) -> None:
    """Whether a text stands for itself."""
    if VARIABLE.search(text):
        raise ValueError("Nothing is replaced here, so it cannot hold ${…}.")


def check_command(text: str) -> None:
    """Whether this is a program, and nothing that only a shell would understand."""
    check_no_placeholder(text)
    if text.startswith("-") or re.search(r"\s", text):
        raise ValueError("Only the program here, such as npx or /usr/bin/python3. Arguments go below, one on each line.")


def check_folder(text: str) -> None:
    """Whether this is a whole path."""
    check_no_placeholder(text)
    if not text.startswith("/"):
        raise ValueError("This must be a whole path, from the first slash on.")


def check_template(text: str) -> None:
    """Whether an API key has its place in it."""
    check_no_placeholder(text)
    if not KEY.search(text):
        raise ValueError("It must hold {key}, where the API key goes.")


def check_header_name(text: str) -> None:
    """Whether a person may set this header."""
    if not HEADER_NAME.fullmatch(text) or text.lower() in OWN_HEADERS:
        raise ValueError(f"“{text[:100]}” is not a header that can be set.")


def check_variable_name(text: str) -> None:
    """Whether this can be the name of an environment variable."""
    if not ENV_NAME.fullmatch(text):
        raise ValueError(f"“{text[:100]}” cannot be the name of a variable: letters, digits and underscores only.")


KEY_CHOSEN, BASIC_CHOSEN, OAUTH_CHOSEN = ("auth", "api_key"), ("auth", "basic"), ("auth", "oauth")
USUALLY_FOUND = "Usually found by itself."
NO_CLIENT = "Leave this and all below empty, unless the service has made you a client."
TIME = Field(
    "seconds", "Seconds to wait for an answer", kind="number", default=str(SECONDS), minimum=1, maximum=600,
    help="Some tools take long. Up to 600.",
)  # fmt: skip
REMOTE_FIELDS = (
    Field("url", "Address", required=True, check=check_address,
          help="Where the server answers, such as https://mcp.example.com/mcp."),
    Field("auth", "How it lets you in", kind="select", default="oauth", options=AUTHS),
    Field("api_key", "API key", kind="secret", required=True, when=KEY_CHOSEN),
    Field("header_name", "Header of the key", default="Authorization", check=check_header_name, when=KEY_CHOSEN),
    Field("header_template", "What the header says", default="Bearer {key}", check=check_template, when=KEY_CHOSEN,
          help="{key} is where the key goes."),
    Field("basic_user", "User name", kind="secret", required=True, when=BASIC_CHOSEN),
    Field("basic_password", "Password", kind="secret", required=True, when=BASIC_CHOSEN),
    Field("client_id", "Client ID", when=OAUTH_CHOSEN, help=NO_CLIENT),
    Field("client_secret", "Client secret", kind="secret", when=OAUTH_CHOSEN),
    Field("authorization_endpoint", "Address to sign in at", check=check_endpoint, when=OAUTH_CHOSEN, help=USUALLY_FOUND),
    Field("token_endpoint", "Address to get tokens at", check=check_endpoint, when=OAUTH_CHOSEN, help=USUALLY_FOUND),
    Field("scope", "Scope", when=OAUTH_CHOSEN, help="What to ask for. " + USUALLY_FOUND),
    Field("header_names", "More headers", kind="pairs", sealed_as="header", check=check_header_name,
          help="Sent with every request."),
    TIME,
)  # fmt: skip
STDIO_FIELDS = (
    Field("command", "Command", required=True, check=check_command, help="The program to start. No shell reads it."),
    Field("args", "Arguments", kind="lines", check=check_placeholders,
          help="One on each line, just as the program gets them."),
    Field("env_names", "Environment", kind="pairs", sealed_as="env", check=check_variable_name,
          help="It gets these, and nothing of Postern's own environment."),
    Field("cwd", "Folder to start in", check=check_folder, help="Leave it empty for one of its own."),
    TIME,
)  # fmt: skip


def look(kind: str, context: Context) -> str:
    """Open the server once, and say what it is. Raises ToolError with the reason if that fails."""
    target = find_target(kind, context.settings, context.secrets)
    if context.greet is None:
        raise ToolError("No server can be tried here.")
    try:
        return describe_greeting(context.greet(kind, target))
    except SignInNeeded:
        if context.settings.get("auth") != "oauth":
            raise
        return "It answers, and asks for a sign-in. Save the connection, and sign in there."


def find_sign_in(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> SignIn | None:
    """How one signs in at a server, if that is how it lets people in. Raises ToolError for an address that does not do."""
    if settings.get("auth") != "oauth":
        return None
    target = find_target(kind, settings, secrets)
    given = {name: settings.get(name) or "" for name in ("authorization_endpoint", "token_endpoint", "scope", "client_id")}
    return SignIn(url=target.url, headers=target.headers, client_secret=secrets.get("client_secret", ""), **given)


def describe_greeting(greeting: Mapping[str, Any]) -> str:
    """A server's words of itself (its `serverInfo` and capabilities) in one sentence; they are not to be trusted."""
    server, offers = greeting.get("server") or {}, greeting.get("capabilities") or {}
    name = plain_text(str(server.get("title") or server.get("name") or ""))[:80] or "no name"
    version = plain_text(str(server.get("version") or ""))[:40]
    kinds = [kind for kind in ("tools", "prompts", "resources") if kind in offers]
    return f"It answers: “{name}”{' ' + version if version else ''}, which offers {' and '.join(kinds) or 'nothing'}."


def make(name: str, title: str, description: str, fields: tuple[Field, ...]) -> Connector:
    """One kind."""
    return Connector(
        name,
        title,
        description,
        fields,
        test=lambda context: look(name, context),
        sign_in=None if name == COMMAND else lambda settings, secrets: find_sign_in(name, settings, secrets),
        is_upstream=True,
    )


CONNECTORS = (
    make("remote_http", "MCP server at an address", "Another MCP server, which you reach by its address.", REMOTE_FIELDS),
    make("remote_sse", "MCP server at an address, old style (SSE)", "A server that speaks the transport of 2024.", REMOTE_FIELDS),
    make("stdio", "MCP server as a command", "A program that runs on this machine, beside Postern.", STDIO_FIELDS),
)

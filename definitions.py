"""From a connection's settings and secrets to where its MCP server is: fills in placeholders and headers. Opens nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from addresses import parse_url
from errors import ToolError
from links import HttpTarget, StdioTarget

PLACEHOLDER = re.compile(r"\$\{input:([A-Za-z0-9_.-]{1,64})\}")
VARIABLE = re.compile(r"\$\{[^}]*\}?")  # any, whoever could fill it in
KEY = re.compile(r"\{(?:key|apiKey)\}")
HOST_VALUE = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110 §5.1
HEADER_VALUE = re.compile(r"[\t -~]*")  # RFC 9110 §5.5, without obs-text
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# What the transport sets by itself (MCP, basic/transports), and what says where a request goes and where it ends.
OWN_HEADERS = frozenset(
    (
        "accept", "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "last-event-id",
        "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "te", "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip
SECONDS = 60


def find_target(connector: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpTarget | StdioTarget:
    """Where a connection of one of the three kinds leads, with every placeholder filled in, and with the headers of API keys and
    passwords; those of OAuth are the Authorizer's.

    Raises ToolError with a sentence that names what is missing or cannot be used, and no value of it.
    """
    return TARGETS[connector](settings, secrets, Inputs(settings, secrets))


class Inputs:
    """The values that stand for `${input:ID}`: an empty one was left out on purpose, an absent one is missing."""

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]):
        sealed = {name.removeprefix("input:"): value for name, value in secrets.items() if name.startswith("input:")}
        self._values = {**(settings.get("inputs") or {}), **sealed}

    def get(self, name: str) -> str:
        """One value. Raises ToolError if nobody has given it."""
        if name not in self._values:
            raise ToolError(f"The value “{name}” is missing. Please fill it in on the connection's page.")
        return str(self._values[name])

    def fill(self, text: str, change: Callable[[str, re.Match[str]], str] | None = None) -> str:
        """`text` with every placeholder replaced; `change(value, match)` fits a value to its place."""
        return PLACEHOLDER.sub(lambda match: change(self.get(match[1]), match) if change else self.get(match[1]), text)

    def are_all_empty(self, text: str) -> bool:
        """Whether `text` has placeholders, and every value was left out: then what it stands for is left out too."""
        names = PLACEHOLDER.findall(text)
        return bool(names) and all(value == "" for value in map(self.get, names))


# --- servers behind an address ---


def find_http_target(settings: Mapping[str, Any], secrets: Mapping[str, str], inputs: Inputs) -> HttpTarget:
    """The address, and every header but those of OAuth."""
    headers = {
        name: inputs.fill(value)
        for name in settings.get("header_names") or ()
        if not inputs.are_all_empty(value := find_secret(secrets, f"header:{name}", f"the header {name}"))
    }
    headers |= CREDENTIALS[settings.get("auth") or "none"](settings, secrets)
    for name, value in headers.items():
        check_header(name, value)
    if len({name.lower() for name in headers}) < len(headers):
        raise ToolError("A header is given twice.")
    return HttpTarget(fill_address(settings.get("url") or "", inputs), headers, float(settings.get("seconds") or SECONDS))


def api_key_header(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    """The header that carries an API key."""
    key = find_secret(secrets, "api_key", "the API key")
    template = settings.get("header_template") or "Bearer {key}"
    return {settings.get("header_name") or "Authorization": KEY.sub(lambda _: key, template)}


def basic_header(_settings: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    """The header that carries a user name and a password (RFC 7617 §2)."""
    user, password = find_secret(secrets, "basic_user", "the user name"), find_secret(secrets, "basic_password", "the password")
    if ":" in user:
        raise ToolError("A user name with a colon cannot be sent (RFC 7617).")
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


CREDENTIALS: dict[str, Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, str]]] = {
    "none": lambda settings, secrets: {},
    "oauth": lambda settings, secrets: {},
    "api_key": api_key_header,
    "basic": basic_header,
}


def fill_address(url: str, inputs: Inputs) -> str:
    """An address with its placeholders filled in. A value is a whole origin where the address begins with it, a host name
    where the host stands, and else one piece of a path or a query, from which it cannot climb out."""
    host_end = re.match(r"https?://[^/?#]*", url)

    def fit(value: str, match: re.Match[str]) -> str:
        if match.start() == 0:
            return value.rstrip("/")
        if host_end and match.start() < host_end.end():
            if not HOST_VALUE.fullmatch(value):
                raise ToolError(f"The value “{match[1]}” stands for a host name, and is none.")
            return value
        return quote(value, safe="")

    filled = inputs.fill(url, fit)
    try:
        parse_url(filled)
    except ValueError as error:
        raise ToolError(str(error)) from None
    return filled


def check_header(name: str, value: str) -> None:
    """Raise ToolError for a header that HTTP cannot carry, or that is not a person's to set."""
    if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
        raise ToolError(f"“{name}” is not a header that can be set.")
    if not HEADER_VALUE.fullmatch(value):
        raise ToolError(f"The header {name} holds characters that HTTP does not carry, such as a line break.")


# --- servers that are commands ---


def find_stdio_target(settings: Mapping[str, Any], secrets: Mapping[str, str], inputs: Inputs) -> StdioTarget:
    """The command with its arguments, as they go to the system: there is no shell."""
    environment = {
        name: inputs.fill(value)
        for name in settings.get("env_names") or ()
        if not inputs.are_all_empty(value := find_secret(secrets, f"env:{name}", f"the variable {name}"))
    }
    if any("\0" in value for value in environment.values()):
        raise ToolError("A variable of the environment holds a character that no system can pass on.")
    return StdioTarget(
        settings.get("command") or "",
        fill_arguments(settings.get("args") or [], inputs),
        environment,
        settings.get("cwd") or None,
        float(settings.get("seconds") or SECONDS),
        tuple(value for name, value in secrets.items() if name.startswith("input:")),
    )


def fill_arguments(arguments: list[str], inputs: Inputs) -> tuple[str, ...]:
    """The arguments with their placeholders filled in; one that was left out on purpose is dropped.

    A value must not become an option: before a lone `--` it may not begin with a dash where the argument begins.
    """
    filled: list[str] = []
    for argument in arguments:
        if inputs.are_all_empty(argument):
            continue
        text = inputs.fill(argument)
        begins = PLACEHOLDER.match(argument)
        if begins and text.startswith("-") and "--" not in filled:
            raise ToolError(f"The value “{begins[1]}” begins with a dash, so the command would take it for an option.")
        if "\0" in text:
            raise ToolError("An argument holds a character that no system can pass on.")
        filled.append(text)
    return tuple(filled)


def find_secret(secrets: Mapping[str, str], name: str, words: str) -> str:
    """A sealed value. Raises ToolError with what it is if there is none."""
    if name not in secrets:
        raise ToolError(f"There is no value for {words}. Please fill it in on the connection's page.")
    return secrets[name]


TARGETS: dict[str, Callable[[Mapping[str, Any], Mapping[str, str], Inputs], HttpTarget | StdioTarget]] = {
    "remote_http": find_http_target,
    "remote_sse": find_http_target,
    "stdio": find_stdio_target,
}
KINDS = tuple(TARGETS)
COMMAND = "stdio"  # the kind that starts a program on this machine

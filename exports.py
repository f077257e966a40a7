"""Connections to other MCP servers, and Postern itself, in the forms that other programs keep. Opens no secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from definitions import KEY, KINDS, PLACEHOLDER
from store.connections import Connection

POSTERN = "postern"


@dataclass
class Sheet:
    """What is written so far: servers by their names, and the values that a person has to fill in."""

    reference: Callable[[str], str]  # how this program names a value to fill in
    remote: Callable[[str, Mapping[str, str]], dict[str, Any]]  # (address, headers) -> how it keeps a server
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # ID -> words

    def ask(self, name: str, words: str) -> str:
        """A reference to a value that is not given away."""
        identity = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:60]
        self.inputs.setdefault(identity, words)
        return self.reference(identity)

    def add(self, name: str, server: dict[str, Any]) -> None:
        """One server, under a name that is free."""
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-").lower()[:50] or "server"
        names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(self.servers) + 2))
        self.servers[next(item for item in names if item not in self.servers)] = server


def export(form: str, connections: Iterable[Connection], mcp_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the entry of Postern itself, the connections to other servers) in a program's own form.

    In the place of each secret stands something to fill in.
    """
    write = FORMS[form].write
    own, others = Sheet(*FORMS[form].habits), Sheet(*FORMS[form].habits)
    own.add(POSTERN, own.remote(mcp_url, {}))
    for connection in connections:
        if connection.connector in KINDS:
            others.add(connection.name, describe(connection, others))
    return write(own), write(others)


def describe(connection: Connection, sheet: Sheet) -> dict[str, Any]:
    """One connection as a server."""
    settings = connection.settings
    if connection.connector == "stdio":
        server: dict[str, Any] = {
            "command": settings.get("command") or "",
            "args": [reveal(connection, sheet, text) for text in settings.get("args") or ()],
        }
        environment = {name: sheet.ask(f"{connection.name} {name}", name) for name in settings.get("env_names") or ()}
        return server | ({"env": environment} if environment else {}) | ({"cwd": settings["cwd"]} if settings.get("cwd") else {})
    headers = {name: sheet.ask(f"{connection.name} {name}", f"The header {name}") for name in settings.get("header_names") or ()}
    if settings.get("auth") == "api_key":
        name, template = settings.get("header_name") or "Authorization", settings.get("header_template") or "Bearer {key}"
        headers[name] = KEY.sub(lambda _: sheet.ask(f"{connection.name} API key", "The API key"), template)
    if settings.get("auth") == "basic":
        headers["Authorization"] = "Basic " + sheet.ask(f"{connection.name} basic", "user:password in base64")
    server = sheet.remote(reveal(connection, sheet, settings.get("url") or ""), headers)
    return server | ({"type": "sse"} if connection.connector == "remote_sse" and "url" in server else {})


def reveal(connection: Connection, sheet: Sheet, text: str) -> str:
    """A text with those placeholders filled in whose values are no secret."""
    values = connection.settings.get("inputs") or {}

    def fill(match: re.Match[str]) -> str:
        is_secret = f"input:{match[1]}" in connection.secret_names
        return str(values[match[1]]) if values.get(match[1]) and not is_secret else sheet.ask(match[1], match[1])

    return PLACEHOLDER.sub(fill, text)


# --- programs ---


def write_servers(sheet: Sheet) -> dict[str, Any]:
    """Claude Desktop and Cursor."""
    return {"mcpServers": sheet.servers}


def write_vscode(sheet: Sheet) -> dict[str, Any]:
    """VS Code, which asks for what is missing."""
    servers = {name: {"type": "stdio"} | server if "command" in server else server for name, server in sheet.servers.items()}
    rows = [
        {"type": "promptString", "id": identity, "description": words, "password": True}
        for identity, words in sheet.inputs.items()
    ]
    return {"servers": servers} | ({"inputs": rows} if rows else {})


def keep_url(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Cursor."""
    return {"url": url} | ({"headers": dict(headers)} if headers else {})


def keep_typed_url(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """VS Code."""
    return {"type": "http"} | keep_url(url, headers)


def keep_bridge(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Claude Desktop, whose file knows only commands: a small program passes everything on."""
    flags = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    return {"command": "npx", "args": ["-y", "mcp-remote", url, *flags]}


def input_reference(identity: str) -> str:
    """VS Code asks for it; elsewhere a person writes the value in its place."""
    return f"${{input:{identity}}}"


def environment_reference(identity: str) -> str:
    """Cursor takes it from the environment."""
    return f"${{env:{identity.upper()}}}"


@dataclass(frozen=True)
class Form:
    """How one program keeps servers."""

    title: str
    place: str  # where a person puts it
    habits: tuple[Callable[[str], str], Callable[[str, Mapping[str, str]], dict[str, Any]]]
    write: Callable[[Sheet], dict[str, Any]]


FORMS = {
    "cursor": Form("Cursor", "~/.cursor/mcp.json", (environment_reference, keep_url), write_servers),
    "vscode": Form("VS Code", ".vscode/mcp.json", (input_reference, keep_typed_url), write_vscode),
    "claude_desktop": Form("Claude Desktop", "claude_desktop_config.json", (input_reference, keep_bridge), write_servers),
}

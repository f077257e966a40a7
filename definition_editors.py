"""Reads the servers that Claude Desktop, Cursor, VS Code and their like keep in `mcpServers` or `servers`. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from definition_parts import Odd, as_text, check_id, finish, need, quoted, read_metadata, read_option, read_texts
from server_definitions import Definition, Input

TYPES = {
    "stdio": "stdio", "local": "stdio", "http": "remote_http", "streamable-http": "remote_http",
    "streamableHttp": "remote_http", "streamable_http": "remote_http", "sse": "remote_sse",
}  # fmt: skip
URL_MEMBERS = ("url", "serverUrl", "httpUrl")
# read below; what is not here and not in HARMLESS is refused, for it might matter
MEMBERS = {
    *URL_MEMBERS, "type", "transport", "transportType", "command", "args", "env", "cwd", "workingDirectory", "headers",
    "requestInit", "name", "description", "metadata", "disabled", "enabled", "auth", "oauth",
}  # fmt: skip
HARMLESS = {
    "alwaysAllow", "alwaysLoad", "autoApprove", "dev", "disabledTools", "excludeTools", "gallery", "icon", "id", "includeTools",
    "logo", "source", "timeout", "tools", "trust", "version", "watchPaths",
}  # fmt: skip
INSTEAD = {  # what a person can do about a member that cannot be taken over
    "envFile": "Put the variables of that file into “env” instead.",
    "headersHelper": "Put the headers that it makes into “headers” instead.",
}


def read_map(servers: Mapping[str, Any], inputs: Any = None) -> Iterator[Definition]:
    """`{name: server}`."""
    shared = {item.id: item for item in read_inputs(inputs)}
    for key, entry in servers.items():
        yield read_entry(key, need(dict, entry, quoted(key)), shared)


def read_inputs(rows: Any) -> Iterator[Input]:
    """The `inputs` of VS Code."""
    for row in need(list, rows or [], "inputs"):
        kind, name = need(dict, row, "An input").get("type"), check_id(row.get("id"))
        if kind not in ("promptString", "pickString"):
            raise Odd(f"The input {quoted(name)} is of the type {quoted(kind)}, which only an editor can fill in.")
        options = tuple(read_option(item) for item in row.get("options") or ())
        yield Input(
            name,
            label=str(row.get("description") or name)[:200],
            kind="select" if options else "text",
            is_secret=bool(row.get("password", False)) and not options,
            default=str(row.get("default") or ""),
            options=options,
        )


# --- one server ---


def read_entry(key: str, entry: Mapping[str, Any], shared: Mapping[str, Input]) -> Definition:
    """One server."""
    if unknown := sorted(entry.keys() - MEMBERS - HARMLESS):
        advice = INSTEAD.get(unknown[0], "Take it out, if it may go.")
        raise Odd(f"The server {quoted(key)} has a member {quoted(unknown[0])}, which is not known here. {advice}")
    address = next((entry[name] for name in URL_MEMBERS if name in entry), None)
    kind = find_kind(key, entry, address)
    inputs = dict(shared) | read_metadata(entry.get("metadata"))
    if kind == "stdio":
        settings, secrets = read_command(key, entry)
    else:
        settings, secrets = read_remote(key, entry, address)
    return finish(
        Definition(
            key=key,
            kind=kind,
            settings=settings,
            secrets=secrets,
            title=str(entry.get("name") or ""),
            description=str(entry.get("description") or "")[:1000],
            is_wanted=not entry.get("disabled", False) and entry.get("enabled", True) is not False,
            left_out=tuple(sorted(entry.keys() & HARMLESS)),
        ),
        inputs,
    )


def find_kind(key: str, entry: Mapping[str, Any], address: Any) -> str:
    """Which of the three kinds a server is: as it says, else by what it has."""
    said = next((entry[name] for name in ("type", "transport", "transportType") if entry.get(name)), None)
    if said is not None and (not isinstance(said, str) or said not in TYPES):
        raise Odd(f"The server {quoted(key)} is of a type that is not known here: {quoted(said)}.")
    if ("command" in entry) == (address is not None):
        raise Odd(f"The server {quoted(key)} must have either a command or a url.")
    if (said and TYPES[said] == "stdio") and address is not None:
        raise Odd(f"The server {quoted(key)} has a url, and says that it is a command.")
    if "command" in entry:
        return "stdio"
    guess = "remote_sse" if isinstance(address, str) and urlsplit(address).path.rstrip("/").endswith("/sse") else "remote_http"
    return TYPES[said] if said else guess


def read_command(key: str, entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings and the secrets of a command."""
    words = f"The command of {quoted(key)}"
    arguments = [as_text(item, f"An argument of {quoted(key)}") for item in need(list, entry.get("args") or [], f"{words}: args")]
    if odd := [item for item in arguments if item != item.strip() or not item or not item.isprintable()]:
        raise Odd(f"{words} has an argument that is empty, begins or ends with a blank, or cannot be seen: {quoted(odd[0])}.")
    environment = read_texts(entry.get("env"), f"The environment of {quoted(key)}")
    settings = {
        "command": need(str, entry.get("command"), words),
        "args": arguments,
        "cwd": str(entry.get("cwd") or entry.get("workingDirectory") or ""),
        "env_names": list(environment),
    }
    return settings, {f"env:{name}": value for name, value in environment.items()}


def read_remote(key: str, entry: Mapping[str, Any], address: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings and the secrets of a server behind an address. What brings headers needs no sign-in of ours."""
    more = need(dict, entry.get("requestInit") or {}, f"The requestInit of {quoted(key)}").get("headers")
    headers = read_texts(entry.get("headers") or more, f"The headers of {quoted(key)}")
    client = need(dict, entry.get("auth") or entry.get("oauth") or {}, f"The client of {quoted(key)}")
    settings = {
        "url": need(str, address, f"The address of {quoted(key)}"),
        "auth": "oauth" if client or not headers else "none",
        "header_names": list(headers),
        "client_id": str(client.get("CLIENT_ID") or client.get("clientId") or ""),
        "scope": " ".join(client.get("scopes") or ())
        if isinstance(client.get("scopes"), list)
        else str(client.get("scope") or ""),
    }
    secret = client.get("CLIENT_SECRET") or client.get("clientSecret")
    secrets = {f"header:{name}": value for name, value in headers.items()}
    return settings, secrets | ({"client_secret": str(secret)} if secret else {})

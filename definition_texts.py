"""Reads definitions of MCP servers from what a person pastes: finds out which kind of document it is. Opens nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from definition_catalogues import read_definition, read_registry_entry, read_table_row
from definition_editors import URL_MEMBERS, read_entry, read_map
from definition_parts import Odd, quoted
from errors import InvalidInput
from server_definitions import Definition

TEXT_MAX = 64 * 1024
SERVERS_MAX = 50
ADDRESS = re.compile(r"\s*(https?://[^\s\"]+)\s*")
FENCE = re.compile(r"\A\ufeff?\s*```\w*|```\s*\Z")  # around what was copied from a text
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
TRAILING_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*(?:[}\]]|\Z))', re.DOTALL)


def read_definitions(text: str) -> list[Definition]:
    """The servers that a pasted document describes. Raises InvalidInput with a sentence that says what is wrong with it."""
    try:
        found = list(read_document(parse_text(text)))
    except Odd as error:
        raise InvalidInput(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):  # a member of a kind that nobody expects there
        raise InvalidInput("This looks like a description of a server, but has another shape than is known here.") from None
    if not found:
        raise InvalidInput("There is no server in it.")
    if len(found) > SERVERS_MAX:
        raise InvalidInput(f"These are more than {SERVERS_MAX} servers.")
    return found


def parse_text(text: str) -> Any:
    """The value of a JSON text, or of an address. Comments and commas before a closing bracket are let through, as editors do,
    and so is what copying leaves around it."""
    if len(text.encode()) > TEXT_MAX:
        raise Odd(f"This is more than {TEXT_MAX // 1024} KiB.")
    if address := ADDRESS.fullmatch(text):
        return {"url": address[1]}
    plain = FENCE.sub("", text).removeprefix("\ufeff")
    plain = COMMENT.sub(lambda match: match[1] or re.sub(r"[^\n]", " ", match[0]), plain)
    plain = TRAILING_COMMA.sub(lambda match: match[1] or " ", plain)
    if re.match(r'\s*"[^"\\]*"\s*:', plain):  # a piece from the middle of a file
        plain = "{" + plain + "}"
    try:
        return json.loads(plain, object_pairs_hook=unique_names)
    except json.JSONDecodeError as error:
        raise Odd(f"This is not JSON: something is wrong in line {error.lineno}, at character {error.colno}.") from None
    except RecursionError:
        raise Odd("This is not JSON that anybody would write: it is nested too deeply.") from None


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different."""
    found, names = dict(pairs), [name for name, _ in pairs]
    if len(found) < len(names):
        raise Odd(f"{quoted(next(name for name in names if names.count(name) > 1))} is there twice.")
    return found


# --- which kind of document it is ---


def read_document(value: Any) -> Iterator[Definition]:
    """Every server in a document of a known shape."""
    if isinstance(value, list):
        for item in value:
            yield from read_document(item)
        return
    shape = next((read for fits, read in SHAPES if isinstance(value, dict) and fits(value)), None)
    if shape is None:
        raise Odd("This is no description of a server: it has neither mcpServers nor servers, and neither a command nor a url.")
    yield from shape(value)


def read_servers(servers: Any, inputs: Any = None) -> Iterator[Definition]:
    """A map of names to servers, or a list."""
    if isinstance(servers, dict):
        return read_map(servers, inputs)
    if isinstance(servers, list):
        return read_document(servers)
    raise Odd("The list of servers must be an object or a list.")


def is_entry(value: Any) -> bool:
    """Whether this looks like one server of an editor."""
    return isinstance(value, dict) and any(name in value for name in ("command", *URL_MEMBERS))


def name_entry(entry: Mapping[str, Any]) -> str:
    """A name for a server that was pasted without one."""
    return str(entry.get("name") or "MCP server")


Shape = tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Iterator[Definition]]]
SHAPES: tuple[Shape, ...] = (
    (lambda value: "mcpServers" in value, lambda value: read_servers(value["mcpServers"], value.get("inputs"))),
    (lambda value: "mcp_servers" in value, lambda value: read_servers(value["mcp_servers"])),
    (lambda value: "context_servers" in value, lambda value: read_servers(value["context_servers"])),
    (lambda value: isinstance(value.get("mcp"), dict) and "servers" in value["mcp"], lambda value: read_document(value["mcp"])),
    (lambda value: "transport" in value and isinstance(value["transport"], dict), read_definition),
    (lambda value: "config" in value and "type" in value, read_table_row),
    (is_entry, lambda value: iter([read_entry(name_entry(value), value, {})])),
    (lambda value: isinstance(value.get("server"), dict) or "remotes" in value or "packages" in value, read_registry_entry),
    (lambda value: "servers" in value, lambda value: read_servers(value["servers"], value.get("inputs"))),
    (lambda value: bool(value) and all(map(is_entry, value.values())), read_map),
)

"""Whether what another server lists can be passed on: one unsound feature would spoil a client's whole list. Fetches nothing."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mcp_types.methods import SERVER_RESULTS
from mcp_types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from argument_checks import check_schema
from mcp_inbound import find_invalid_x_mcp_header
from store.features import Found, hash_definition

METHODS = {  # kind -> (method of its list, member of the result, what names it)
    "tool": ("tools/list", "tools", "name"),
    "prompt": ("prompts/list", "prompts", "name"),
    "resource": ("resources/list", "resources", "uri"),
    "template": ("resources/templates/list", "resourceTemplates", "uriTemplate"),
}
NAME_MAX, URI_MAX = 256, 2048
SIZE_MAX = 256 * 1024  # of one feature, in letters of JSON
FRAME = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}  # what lists of the stateless era must have
VERSIONS = (LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS[-1])


def check_feature(kind: str, raw: Any) -> Found:
    """A listed feature, if it is sound. Raises ValueError with what is wrong, in words that follow its name."""
    if not isinstance(raw, dict):
        raise ValueError("is no object")
    name = check_name(kind, raw)
    if len(json.dumps(raw)) > SIZE_MAX:
        raise ValueError("has a description that is too large")
    CHECKS[kind](raw)
    spare = {member: value for member, value in raw.items() if value is not None}
    if not fits(kind, spare, VERSIONS[1]):
        raise ValueError("does not follow the protocol")
    spare.pop("outputSchema", None)  # clients of the handshake era are shown it only where they can read it
    if not fits(kind, spare, VERSIONS[0]):
        raise ValueError("does not follow the protocol as older assistants know it")
    return Found(kind, name, raw)


def check_name(kind: str, raw: Mapping[str, Any]) -> str:
    """The name of a feature. Raises ValueError unless it is one line of ordinary length."""
    name = raw.get(METHODS[kind][2])
    if not isinstance(name, str) or not name.strip():
        raise ValueError("has no name")
    if len(name) > (NAME_MAX if METHODS[kind][2] == "name" else URI_MAX):
        raise ValueError("has a name that is too long")
    if not name.isprintable():
        raise ValueError("has a name with invisible letters in it")
    return name


def check_tool(raw: Mapping[str, Any]) -> None:
    """Raise ValueError unless a tool's schemas and headers are sound (MCP 2026-07-28, server/tools)."""
    schema = raw.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError("has an input schema that is not of an object")
    check_schema(schema)
    if raw.get("outputSchema") is not None:
        if not isinstance(raw["outputSchema"], dict):
            raise ValueError("has an output schema that is none")
        check_schema(raw["outputSchema"])
    if find_invalid_x_mcp_header(schema) is not None:  # it must be left out (MCP 2026-07-28, basic/transports)
        raise ValueError("has an invalid x-mcp-header")


def check_nothing(_raw: Mapping[str, Any]) -> None:
    """There is nothing more to check."""


CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "tool": check_tool,
    "prompt": check_nothing,
    "resource": check_nothing,
    "template": check_nothing,
}


def fits(kind: str, listing: Mapping[str, Any], version: str) -> bool:
    """Whether a feature may stand in a list of this protocol version, types and all: some clients are strict."""
    method, member, _ = METHODS[kind]
    try:
        list_type(method, version).validate_json(json.dumps({**FRAME, member: [listing]}), strict=True, by_name=False)
    except (ValidationError, ValueError, RecursionError):
        return False
    return True


@functools.cache
def list_type(method: str, version: str) -> TypeAdapter[Any]:
    """What validates the list that a method answers in a version."""
    return TypeAdapter(SERVER_RESULTS[method, version])


def sort_out(kind: str, raws: list[Any], sound: set[str] | None = None) -> Iterator[Found | str]:
    """Each feature of a list if it is sound, else a sentence about it. Of two with one name the first counts.

    `sound` remembers the definitions that were, so that they need no second check: it takes milliseconds for each.
    """
    seen: set[str] = set()
    sound = set() if sound is None else sound
    for raw in raws:
        try:
            mark = kind + hash_definition(raw) if isinstance(raw, dict) else ""
            found = Found(kind, raw[METHODS[kind][2]], raw) if mark in sound else check_feature(kind, raw)
            sound.add(mark)
            if found.name in seen:
                raise ValueError("comes twice")
        except (ValueError, RecursionError) as error:
            label = raw.get(METHODS[kind][2]) if isinstance(raw, dict) else None
            words = str(error) if isinstance(error, ValueError) else "is nested too deeply"
            yield f"The {kind} “{str(label)[:60]}” {words}." if label else f"A {kind} {words}."
            continue
        seen.add(found.name)
        yield found

"""Features as MCP lists show them, under the name, title and words that a profile gives them. Knows no grant and no database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from naming import NAME_MAX, exposed_name
from store.members import Member
from store.profile_features import Change
from tools import Prompt, Resource, ResourceTemplate, Tool

__all__ = ("NAME_MAX", "exposed_name")


@dataclass(frozen=True)
class Shown:
    """How a profile shows a feature. `name` is a URI where the feature has one."""

    name: str
    member: Member
    change: Change

    def title(self, title: str) -> str:
        """The title: a person's, else the feature's, with the connection's name where there are several."""
        return self.change.title or exposed_title(self.member, title)

    def description(self, description: str) -> str:
        """The description: a person's, else the feature's."""
        return description if self.change.description is None else self.change.description


def exposed_uri(prefix: str, uri: str) -> str:
    """The URI under which a resource is listed: `work+scheme:…` tells two connections apart (RFC 3986 §3.1)."""
    return f"{uri_prefix(prefix)}{uri}" if prefix else uri


def uri_prefix(prefix: str) -> str:
    """What the URIs of a connection with a prefix begin with."""
    return prefix.replace("_", "-") + "+"


def exposed_title(member: Member, title: str) -> str:
    """The title, with the connection's name where there are several."""
    return f"{title} ({member.name})" if member.prefix and title else title


# --- our own ---


def list_tool(tool: Tool, shown: Shown) -> dict[str, Any]:
    """A tool as `tools/list` shows it."""
    if tool.raw is not None:
        return list_raw(tool.raw, tool.title, shown) | {"name": shown.name, "inputSchema": tool.input_schema}
    title = shown.title(tool.title)
    listing: dict[str, Any] = {
        "name": shown.name,
        "title": title,
        "description": shown.description(tool.description),
        "inputSchema": tool.input_schema,
        "annotations": {
            "title": title,
            "readOnlyHint": tool.reads,
            "destructiveHint": tool.destructive,
            "idempotentHint": tool.idempotent,
            "openWorldHint": tool.open_world,
        },
    }
    optional = {"outputSchema": tool.output_schema, "icons": list(tool.icons), "_meta": dict(tool.meta)}
    return listing | {key: value for key, value in optional.items() if value}


def list_resource(resource: Resource, shown: Shown) -> dict[str, Any]:
    """A resource as `resources/list` shows it."""
    if resource.raw is not None:
        return list_raw(resource.raw, resource.title, shown) | {"uri": shown.name}
    return {
        "uri": shown.name,
        "name": exposed_name(shown.member.prefix, resource.name),
        "title": shown.title(resource.title),
        "description": shown.description(resource.description),
        "mimeType": resource.mime_type,
    }


def list_template(template: ResourceTemplate, shown: Shown) -> dict[str, Any]:
    """A template as `resources/templates/list` shows it."""
    if template.raw is not None:
        return list_raw(template.raw, template.title, shown) | {"uriTemplate": shown.name}
    return {
        "uriTemplate": shown.name,
        "name": exposed_name(shown.member.prefix, template.name),
        "title": shown.title(template.title),
        "description": shown.description(template.description),
        "mimeType": template.mime_type,
    }


def list_prompt(prompt: Prompt, shown: Shown) -> dict[str, Any]:
    """A prompt as `prompts/list` shows it."""
    if prompt.raw is not None:
        return list_raw(prompt.raw, prompt.title, shown) | {"name": shown.name}
    arguments = [{"name": key, "description": description, "required": needed} for key, description, needed in prompt.arguments]
    return {
        "name": shown.name,
        "title": shown.title(prompt.title),
        "description": shown.description(prompt.description),
        "arguments": arguments,
    }


LISTERS: dict[str, Callable[[Any, Shown], dict[str, Any]]] = {
    "tool": list_tool,
    "resource": list_resource,
    "template": list_template,
    "prompt": list_prompt,
}


# --- another server's ---


def list_raw(raw: Mapping[str, Any], title: str, shown: Shown) -> dict[str, Any]:
    """What another server listed, with everything that it said, but for what the profile says otherwise.

    A member that is null is left out: no schema allows any there, and one of them would spoil the whole list for strict clients.
    """
    listing = without_nulls(raw)
    if "annotations" in listing:
        listing["annotations"] = without_nulls(listing["annotations"])
    if shown.change.title is not None or (shown.member.prefix and title):
        listing["title"] = shown.title(title)
    if shown.change.description is not None:
        listing["description"] = shown.change.description
    return listing


def without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def match_template(template: str, uri: str) -> dict[str, str] | None:
    """The variables of a URI that a template made; None if it did not. A variable never spans a slash."""
    parts = re.split(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", template)
    pattern = "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/?#]+)" for index, part in enumerate(parts))
    match = re.fullmatch(pattern, uri)
    return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


def may_match(template: str, uri: str) -> bool:
    """Whether a template may have made a URI, whatever stands between its braces (RFC 6570)."""
    pieces = re.split(r"\{[^{}]*\}", template)
    if len(pieces) == 1:
        return uri == template
    if not (uri.startswith(pieces[0]) and uri.endswith(pieces[-1]) and len(uri) >= len(pieces[0]) + len(pieces[-1])):
        return False
    place, end = len(pieces[0]), len(uri) - len(pieces[-1])
    for piece in pieces[1:-1]:
        place = uri.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True

"""Features under the names that a profile gives them, as MCP lists show them. Knows no grant and no database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from store.profiles import Member
from tools import Connector, Prompt, Resource, ResourceTemplate, Tool

NAME_MAX = 64  # what assistants accept


def features_of(connector: Connector, kinds: frozenset[str]) -> Iterable[tuple[str, Any]]:
    """(shelf, feature) of all that feature sets of these kinds include: `all`, or `read_only`, which only reads."""
    for tool in connector.tools:
        if "all" in kinds or ("read_only" in kinds and tool.reads):
            yield "tools", tool
    if kinds:
        for shelf in ("resources", "templates", "prompts"):
            for feature in getattr(connector, shelf):
                yield shelf, feature


def count_tools(connectors: Iterable[Connector], kinds: frozenset[str]) -> tuple[int, int]:
    """How many tools feature sets of these kinds let through, and how many of those can change something."""
    tools = [feature for connector in connectors for shelf, feature in features_of(connector, kinds) if shelf == "tools"]
    return len(tools), sum(not tool.reads for tool in tools)


def exposed_name(prefix: str, name: str) -> str:
    """The name under which a feature is listed; one that is too long ends in a digest, so that it stays unique."""
    full = f"{prefix}_{name}" if prefix else name
    return full if len(full) <= NAME_MAX else full[: NAME_MAX - 9] + "_" + sha256(full.encode()).hexdigest()[:8]


def exposed_uri(prefix: str, uri: str) -> str:
    """The URI under which a resource is listed: `work+scheme:…` tells two connections apart (RFC 3986 §3.1)."""
    return f"{prefix.replace('_', '-')}+{uri}" if prefix else uri


def exposed_title(member: Member, title: str) -> str:
    """The title, with the connection's name where there are several."""
    return f"{title} ({member.name})" if member.prefix else title


def list_tool(tool: Tool, member: Member) -> tuple[str, dict[str, Any]]:
    """A tool as `tools/list` shows it."""
    name, title = exposed_name(member.prefix, tool.name), exposed_title(member, tool.title)
    listing: dict[str, Any] = {
        "name": name,
        "title": title,
        "description": tool.description,
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
    return name, listing | {key: value for key, value in optional.items() if value}


def list_resource(resource: Resource, member: Member) -> tuple[str, dict[str, Any]]:
    """A resource as `resources/list` shows it."""
    uri = exposed_uri(member.prefix, resource.uri)
    return uri, {
        "uri": uri,
        "name": exposed_name(member.prefix, resource.name),
        "title": exposed_title(member, resource.title),
        "description": resource.description,
        "mimeType": resource.mime_type,
    }


def list_template(template: ResourceTemplate, member: Member) -> tuple[str, dict[str, Any]]:
    """A template as `resources/templates/list` shows it."""
    uri_template = exposed_uri(member.prefix, template.uri_template)
    return uri_template, {
        "uriTemplate": uri_template,
        "name": exposed_name(member.prefix, template.name),
        "title": exposed_title(member, template.title),
        "description": template.description,
        "mimeType": template.mime_type,
    }


def list_prompt(prompt: Prompt, member: Member) -> tuple[str, dict[str, Any]]:
    """A prompt as `prompts/list` shows it."""
    name = exposed_name(member.prefix, prompt.name)
    arguments = [{"name": key, "description": description, "required": needed} for key, description, needed in prompt.arguments]
    return name, {
        "name": name,
        "title": exposed_title(member, prompt.title),
        "description": prompt.description,
        "arguments": arguments,
    }


LISTERS: dict[type, Callable[[Any, Member], tuple[str, dict[str, Any]]]] = {
    Tool: list_tool,
    Resource: list_resource,
    ResourceTemplate: list_template,
    Prompt: list_prompt,
}


def match_template(template: str, uri: str) -> dict[str, str] | None:
    """The variables of a URI that a template made; None if it did not. A variable never spans a slash."""
    parts = re.split(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", template)
    pattern = "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/?#]+)" for index, part in enumerate(parts))
    match = re.fullmatch(pattern, uri)
    return {name: unquote(value) for name, value in match.groupdict().items()} if match else None

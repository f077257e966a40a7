"""Features of other MCP servers as features like our own: what is listed of them, and how a call reaches them. Opens nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from contexts import PassedOn
from store.connections import Connection
from store.features import Feature
from tools import Call, Context, Prompt, Resource, ResourceTemplate, Result, Tool

READ_DIRECTLY = ("http:", "https:", "data:")  # a client reads these by itself (MCP, server/resources, "Common URI Schemes")


class Forwarder(Protocol):
    """The way to the server behind a connection. Raises ToolError, or UpstreamRefused for an error of the server's."""

    def call_tool(
        self, connection: Connection, name: str, arguments: dict[str, Any], meta: Mapping[str, Any], call: Call
    ) -> dict[str, Any]:
        """The result of `tools/call`, as it came."""

    def read_resource(self, connection: Connection, uri: str, call: Call) -> dict[str, Any]:
        """The result of `resources/read`, as it came."""

    def get_prompt(self, connection: Connection, name: str, arguments: dict[str, str], call: Call) -> dict[str, Any]:
        """The result of `prompts/get`, as it came."""

    def complete(
        self, connection: Connection, ref: Mapping[str, Any], argument: Mapping[str, str], context: Mapping[str, str], call: Call
    ) -> dict[str, Any]:
        """The result of `completion/complete`, as it came; `context` holds the arguments that are known already."""


@dataclass(frozen=True)
class Source:
    """A connection's server as one profile has it: the way there, and what its URIs are called here."""

    connection: Connection
    forward: Forwarder
    expose: Callable[[str], str] | None  # None: the profile leaves its URIs as they are
    listed: frozenset[str]  # the URIs of its resources

    def rename(self, block: Any) -> Any:
        """A content block whose URI, if it has one, is the one under which a client can read it here."""
        if not isinstance(block, dict):
            return block
        if block.get("type") == "resource_link":
            return self._rename_member(block)
        if block.get("type") == "resource":
            return {**block, "resource": self._rename_member(block.get("resource"))}
        return block

    def rename_all(self, blocks: Any) -> Any:
        """The same for a list of them."""
        return [self.rename(block) for block in blocks] if isinstance(blocks, list) else self.rename(blocks)

    def _rename_member(self, holder: Any) -> Any:
        uri = holder.get("uri") if isinstance(holder, dict) else None
        if not isinstance(uri, str) or (uri.startswith(READ_DIRECTLY) and uri not in self.listed):
            return holder
        return {**holder, "uri": self.expose(uri)}

    # --- calls ---

    def call_tool(self, name: str, context: Context, arguments: dict[str, Any]) -> Result:
        """Call a tool. The result passes as it came; only where the profile prefixes this server's URIs, those in it are too."""
        result = self.forward.call_tool(self.connection, name, arguments, context.call.meta, context.call)
        if self.expose is not None and "content" in result:
            result = PassedOn(result | {"content": self.rename_all(result["content"])})
        return Result(raw=result)

    def read(self, context: Context, uri: str) -> dict[str, Any]:
        """Read what stands under a URI of the server's."""
        result = self.forward.read_resource(self.connection, uri, context.call)
        if self.expose is None:
            return result
        contents = [{**item, "uri": self.expose(str(item.get("uri", uri)))} for item in result["contents"]]
        return PassedOn(result | {"contents": contents})

    def get_prompt(self, name: str, context: Context, arguments: dict[str, str]) -> dict[str, Any]:
        """Fill in a prompt; its URIs as in `call_tool`."""
        result = self.forward.get_prompt(self.connection, name, arguments, context.call)
        if self.expose is None:
            return result
        messages = [{**item, "content": self.rename_all(item.get("content"))} for item in result.get("messages", ())]
        return PassedOn(result | {"messages": messages})

    def complete(self, ref: Mapping[str, Any], context: Context, variable: str, typed: str) -> dict[str, Any]:
        """Complete what a person is typing."""
        argument = {"name": variable, "value": typed}
        return self.forward.complete(self.connection, ref, argument, context.filled_in, context.call)


# --- features ---


def make_tool(stored: Feature, raw: Mapping[str, Any], source: Source) -> Tool:
    """A tool. Of its hints only `readOnlyHint` is believed, and that once a person has confirmed it for this definition."""
    hints = raw.get("annotations") or {}
    return Tool(
        name=stored.name,
        title=raw.get("title") or hints.get("title") or "",
        description=raw.get("description") or "",
        takes=without_odd_headers(raw["inputSchema"]),
        gives=raw.get("outputSchema"),
        reads=stored.reads,
        destructive=hints.get("destructiveHint") is not False and not stored.reads,
        idempotent=hints.get("idempotentHint") is True,
        open_world=hints.get("openWorldHint") is not False,
        streams=True,  # whether it will say or ask something, only its server knows
        run=lambda context, arguments: source.call_tool(stored.name, context, arguments),
        raw=raw,
    )


def make_resource(stored: Feature, raw: Mapping[str, Any], source: Source) -> Resource:
    """A resource."""
    return Resource(
        uri=stored.name,
        name=raw["name"],
        title=raw.get("title") or "",
        description=raw.get("description") or "",
        mime_type=raw.get("mimeType") or "",
        read=source.read,
        raw=raw,
    )


def make_template(stored: Feature, raw: Mapping[str, Any], source: Source) -> ResourceTemplate:
    """A resource template."""
    ref = {"type": "ref/resource", "uri": stored.name}
    return ResourceTemplate(
        uri_template=stored.name,
        name=raw["name"],
        title=raw.get("title") or "",
        description=raw.get("description") or "",
        mime_type=raw.get("mimeType") or "",
        read=lambda context, uri, _values: source.read(context, uri),
        complete=lambda context, variable, typed: source.complete(ref, context, variable, typed),
        raw=raw,
    )


def make_prompt(stored: Feature, raw: Mapping[str, Any], source: Source) -> Prompt:
    """A prompt."""
    ref = {"type": "ref/prompt", "name": stored.name}
    arguments = raw.get("arguments") or []
    return Prompt(
        name=stored.name,
        title=raw.get("title") or "",
        description=raw.get("description") or "",
        get=lambda context, values: source.get_prompt(stored.name, context, values),
        arguments=tuple((item["name"], item.get("description") or "", item.get("required") is True) for item in arguments),
        complete=lambda context, variable, typed: source.complete(ref, context, variable, typed),
        raw=raw,
    )


MAKERS: dict[str, Callable[[Feature, Mapping[str, Any], Source], Any]] = {
    "tool": make_tool,
    "prompt": make_prompt,
    "resource": make_resource,
    "template": make_template,
}


def without_odd_headers(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's schema without the headers that cannot reach us: gunicorn drops those with an underscore in their names. The
    argument itself comes in the body all the same.
    """
    if "x-mcp-header" not in str(schema):
        return schema
    copied = copy.deepcopy(dict(schema))
    pending = [copied]
    while pending:
        part = pending.pop()
        if isinstance(part.get("x-mcp-header"), str) and "_" in part["x-mcp-header"]:
            del part["x-mcp-header"]
        properties = part.get("properties")  # a valid one is reached by properties alone (MCP 2026-07-28, basic/transports)
        pending += [item for item in properties.values() if isinstance(item, dict)] if isinstance(properties, dict) else []
    return copied

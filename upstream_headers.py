"""Which arguments of a server's tools also go into HTTP headers (MCP 2026-07-28, `x-mcp-header`). Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp_inbound import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map

MAX_TOOLS = 10_000

FindSchema = Callable[[str], Mapping[str, Any] | None]  # the input schema of a tool, by the server's name for it


class ToolHeaders:
    """Knows the tools that a server listed on this session; of others it asks `find_schema` once."""

    def __init__(self, find_schema: FindSchema):
        self._find_schema = find_schema
        self._maps: dict[str, dict[tuple[str, ...], str]] = {}

    def describe(self, message: Mapping[str, Any]) -> dict[str, str]:
        """The headers of a `tools/call`; none for any other request."""
        params = message.get("params") or {}
        name, arguments = params.get("name"), params.get("arguments")
        if message.get("method") != "tools/call" or not isinstance(name, str) or not isinstance(arguments, dict):
            return {}
        found = self._maps.get(name)
        if found is None:
            found = self._keep(name, self._find_schema(name))
        return mcp_param_headers(found, arguments) if found else {}

    def learn(self, result: Mapping[str, Any]) -> None:
        """Take note of the result of a `tools/list`."""
        tools = result.get("tools")
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._keep(tool["name"], tool.get("inputSchema"))

    def forget(self) -> None:
        """The tools may have changed."""
        self._maps = {}

    def _keep(self, name: str, schema: Any) -> dict[tuple[str, ...], str]:
        """A tool with an invalid annotation is offered to nobody (case G-16), so it has no headers either."""
        found = x_mcp_header_map(schema) if schema and find_invalid_x_mcp_header(schema) is None else {}
        if len(self._maps) < MAX_TOOLS:
            self._maps[name] = found
        return found

"""FastMCP: stateless, JSON answers, one bearer token known by heart. Runs in the peers' environment."""

from __future__ import annotations

import offer
from fastmcp import FastMCP
from fastmcp.server.auth import StaticTokenVerifier
from fastmcp.tools import Tool
from mcp_types import ToolAnnotations

server = FastMCP("bench", auth=StaticTokenVerifier({offer.TOKEN: {"client_id": "bench", "scopes": ["mcp"]}}))
for name in offer.NAMES:
    hints = ToolAnnotations(
        title=offer.TITLE, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    server.add_tool(Tool.from_function(offer.make_function(name), title=offer.TITLE, annotations=hints))

if __name__ == "__main__":
    server.run(
        "http", host="127.0.0.1", port=offer.PORT, json_response=True, stateless_http=True, show_banner=False
    )

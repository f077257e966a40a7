"""FastMCP's proxy before the upstream: stateless, JSON answers, one token known by heart. Runs in the peers' environment."""

from __future__ import annotations

import os

import offer
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.server import create_proxy
from fastmcp.server.auth import StaticTokenVerifier

upstream = StreamableHttpTransport(os.environ["UPSTREAM_URL"], auth=os.environ["UPSTREAM_TOKEN"])
server = create_proxy(
    upstream, name="proxy", auth=StaticTokenVerifier({offer.TOKEN: {"client_id": "bench", "scopes": ["mcp"]}})
)

if __name__ == "__main__":
    server.run("http", host="127.0.0.1", port=offer.PORT, json_response=True, stateless_http=True, show_banner=False)

"""The Python SDK's own server: stateless, JSON answers, one bearer token known by heart. Runs in the peers' environment."""

from __future__ import annotations

import offer
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

URL = f"http://localhost:{offer.PORT}"


class OneToken:
    """Knows one token (the SDK's TokenVerifier)."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the token stands for."""
        if token != offer.TOKEN:
            return None
        return AccessToken(token=token, client_id="bench", scopes=["mcp"], resource=f"{URL}/mcp")


auth = AuthSettings(issuer_url=URL, resource_server_url=f"{URL}/mcp", validate_token_resource=True)
# WARNING: it has a line of its own for each request otherwise, beside the access log, which with `rich` installed is slow
server = MCPServer("bench", auth=auth, token_verifier=OneToken(), log_level="WARNING")
for name in offer.NAMES:
    hints = ToolAnnotations(
        title=offer.TITLE, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    server.add_tool(offer.make_function(name), title=offer.TITLE, annotations=hints)

if __name__ == "__main__":
    app = server.streamable_http_app(json_response=True, stateless_http=True, host="127.0.0.1")
    uvicorn.run(app, host="127.0.0.1", port=offer.PORT, log_level="info")

"""What web pages of other sites may read of us (the Fetch standard's CORS). Never with cookies, and never /authorize."""

from __future__ import annotations

from collections.abc import Mapping

# OAuth 2.1 §3.1 forbids it at /authorize; assistants in a browser need the rest
OPEN_ENDPOINTS = {  # endpoint -> the methods of its address
    "register.create": "POST",
    "register.read": "GET, PUT, DELETE",
    "register.replace": "GET, PUT, DELETE",
    "register.delete": "GET, PUT, DELETE",
    "oauth.token": "POST",
    "oauth.revoke": "POST",
    "wellknown.authorization_server_metadata": "GET",
    "wellknown.protected_resource_metadata": "GET",
    "wellknown.server_description": "GET",
}
READABLE = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After"}
PREFLIGHT = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, MCP-Protocol-Version",
    "Access-Control-Max-Age": "86400",
}
MCP_READABLE = {"Access-Control-Expose-Headers": "WWW-Authenticate, Mcp-Session-Id, Retry-After", "Vary": "Origin"}
MCP_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, GET, DELETE",
    "Access-Control-Allow-Headers": "*, Authorization",  # Mcp-Param-… has any name; * does not include Authorization
    "Access-Control-Max-Age": "86400",
}


def page_headers(endpoint: str | None, method: str) -> Mapping[str, str]:
    """The headers for an endpoint of Flask's: none for most."""
    if endpoint not in OPEN_ENDPOINTS:
        return {}
    allowed = {"Access-Control-Allow-Methods": OPEN_ENDPOINTS[endpoint]}
    return READABLE | PREFLIGHT | allowed if method == "OPTIONS" else READABLE


def mcp_headers(origin: str, method: str) -> Mapping[str, str]:
    """The headers for `/mcp`, for an Origin that has been accepted: that one may read, and no other."""
    allowed = {"Access-Control-Allow-Origin": origin} | MCP_READABLE
    return allowed | MCP_PREFLIGHT if method == "OPTIONS" else allowed

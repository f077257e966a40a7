"""Each MCP method and what of the toolbox answers it: one table for both eras. Knows no HTTP and no way to authenticate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp_types.jsonrpc import INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from errors import ProtocolError, ToolError
from links import PRODUCT
from mcp_call import can_be_asked
from protocol import Request
from tools import Call, text

RESOURCE_NOT_FOUND = -32002  # handshake era only
PAUSED = (
    "The person has paused this assistant in Postern, so nothing was done. Signing in again is not needed: "
    "they can resume it on Postern's page under Connections."
)

CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}, "prompts": {}, "completions": {}, "logging": {}}
LISTENING = CAPABILITIES | {kind: {"listChanged": True} for kind in ("tools", "resources", "prompts")}  # mcp_listen.py
SUBSCRIBING = LISTENING | {"resources": {"listChanged": True, "subscribe": True}}

# (toolbox, caller, request, call) -> result
Handler = Callable[[Any, Any, Request, Call], dict[str, Any]]


def find_capabilities(toolbox: Any, caller: Any) -> dict[str, Any]:
    """What this server can do for a client that can listen."""
    return SUBSCRIBING if toolbox.can_subscribe(caller) else LISTENING


def discover(toolbox: Any, caller: Any, _request: Request, _call: Call) -> dict[str, Any]:
    """What this server can do (MCP 2026-07-28, server/discover)."""
    return {"supportedVersions": list(MODERN_PROTOCOL_VERSIONS), "capabilities": find_capabilities(toolbox, caller)}


def initialize(toolbox: Any, caller: Any, request: Request, _call: Call) -> dict[str, Any]:
    """The server's half of the handshake, in the version that was agreed on (MCP 2025-11-25, basic/lifecycle)."""
    capabilities = find_capabilities(toolbox, caller) if can_be_asked(request.capabilities) else CAPABILITIES
    return {"protocolVersion": request.version, "capabilities": capabilities, "serverInfo": PRODUCT}


def acknowledge(_toolbox: Any, _caller: Any, _request: Request, _call: Call) -> dict[str, Any]:
    """Nothing to say but that it arrived."""
    return {}


def lister(name: str, listing: Callable[[Any, Any, Request], list[dict[str, Any]]]) -> Handler:
    """A handler for a list, which comes whole, so that a cursor cannot be one of ours.

    It is at hand already, and could change between two pages.
    """

    def handle(toolbox: Any, caller: Any, request: Request, _call: Call) -> dict[str, Any]:
        if request.params.get("cursor") is not None:
            raise ProtocolError(INVALID_PARAMS, "Unknown cursor")
        return {name: listing(toolbox, caller, request)}

    return handle


def call_tool(toolbox: Any, caller: Any, request: Request, call: Call) -> dict[str, Any]:
    """Call a tool (MCP, server/tools)."""
    result = toolbox.call_tool(caller, request.params["name"], request.params.get("arguments") or {}, call)
    if not request.modern and "structuredContent" in result and not isinstance(result["structuredContent"], dict):
        kept = {name: value for name, value in result.items() if name != "structuredContent"}  # there it can only be an object
        return type(result)(kept)  # what is PassedOn stays that
    return result


def read_resource(toolbox: Any, caller: Any, request: Request, call: Call) -> dict[str, Any]:
    """Read a resource; an unknown one is named in the error (MCP, server/resources, "Error Handling")."""
    uri = request.params["uri"]
    try:
        result = toolbox.read_resource(caller, uri, call)
    except ProtocolError as error:
        if error.code != RESOURCE_NOT_FOUND:
            raise
        result = None  # an older server says so
    if result is None:
        raise ProtocolError(INVALID_PARAMS if request.modern else RESOURCE_NOT_FOUND, "Resource not found", {"uri": uri})
    return result


def get_prompt(toolbox: Any, caller: Any, request: Request, call: Call) -> dict[str, Any]:
    """Fill in a prompt (MCP, server/prompts)."""
    return toolbox.get_prompt(caller, request.params["name"], request.params.get("arguments") or {}, call)


def complete(toolbox: Any, caller: Any, request: Request, call: Call) -> dict[str, Any]:
    """Complete what a person is typing (MCP, server/utilities/completion)."""
    known = (request.params.get("context") or {}).get("arguments")
    return toolbox.complete(caller, request.params["ref"], request.params["argument"], call, filled_in=known)


def unless_paused(handler: Handler) -> Handler:
    """A handler that a client which its person has paused does not reach; it is told so in words that the model can pass on.

    Its token stays good, and it still sees lists: a 401, a 403 or an empty list would make assistants sign in anew, or forget
    their tools, and all that for a pause.
    """

    def handle(toolbox: Any, caller: Any, request: Request, call: Call) -> dict[str, Any]:
        if caller.paused_at is None:
            return handler(toolbox, caller, request, call)
        if request.method == "tools/call":
            return {"content": [text(PAUSED)], "isError": True}
        raise ToolError(PAUSED)

    return handle


METHODS: Mapping[str, Handler] = {
    "server/discover": discover,
    "initialize": initialize,
    "ping": acknowledge,
    "logging/setLevel": acknowledge,
    "tools/list": lister("tools", lambda toolbox, caller, request: toolbox.list_tools(caller, modern=request.modern)),
    "tools/call": unless_paused(call_tool),
    "resources/list": lister("resources", lambda toolbox, caller, _: toolbox.list_resources(caller)),
    "resources/templates/list": lister("resourceTemplates", lambda toolbox, caller, _: toolbox.list_templates(caller)),
    "resources/read": unless_paused(read_resource),
    "prompts/list": lister("prompts", lambda toolbox, caller, _: toolbox.list_prompts(caller)),
    "prompts/get": unless_paused(get_prompt),
    "completion/complete": unless_paused(complete),
}

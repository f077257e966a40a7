"""What fixture_connector.py offers, served by the Python SDK: a server that is not ours, to stand behind the gateway.

Run as a program: `sdk_server.py http PORT`, `sdk_server.py sse PORT` or `sdk_server.py stdio`; with a revision behind it, such as
2025-06-18, it speaks no newer one. PYTHONPATH has to name the project's folder and its tests.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sdk_revision import NEWEST

# What comes now must find the revisions as that leaves them.
# isort: split
import anyio
import mcp_types as types
import uvicorn
from fixture_connector import CONNECTOR, Changes
from mcp.server.lowlevel import Server
from mcp.server.lowlevel import server as lowlevel
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from contexts import LOG_LEVELS
from errors import ToolError
from listings import LISTERS, Shown, match_template
from store.members import Member
from store.profile_features import UNCHANGED
from tools import Call, Context, Result
from upstream_rpc import ASKABLE

ALONE = Member("", "", "", "")  # no prefix
QUESTIONS: dict[str, tuple[Any, Any]] = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}
TOOLS = {tool.name: tool for tool in CONNECTOR.tools}
RESOURCES = {resource.uri: resource for resource in CONNECTOR.resources}
PROMPTS = {prompt.name: prompt for prompt in CONNECTOR.prompts}
OWN_LEVEL = "warning" if NEWEST else "debug"  # of the handshake era's log lines, until a client chooses one
CHOSEN: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # by session: the SDK makes a ServerSession for each request
BUS = InMemorySubscriptionBus()
WATCHED = "test://watched-resource"
SUBSCRIBED: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # by session, in the handshake era: who is to be told

if NEWEST:
    lowlevel.serve_dual_era_loop = serve_loop
warnings.simplefilter("ignore")  # the SDK's own, about sampling, roots and logging


def note_change(changes: Changes) -> None:
    """What the fixture's `add` does, without a database of ours."""
    with changes.path.open("a") as file:
        file.write("+")


Changes.add = note_change


class Asked(Exception):
    """The stateless era: this run ends with questions."""

    def __init__(self, result: types.InputRequiredResult):
        self.result = result


class SdkCall(Call):
    """What a handler may say and ask, through the SDK. It runs in a thread; the SDK's loop is elsewhere."""

    def __init__(self, context: Any, params: Any):
        super().__init__()
        self.context, self.session = context, context.session
        self.is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        state = json.loads(getattr(params, "request_state", None) or "{}")
        answers = getattr(params, "input_responses", None) or {}
        self.answers = {**state, **{key: dump(answer) for key, answer in answers.items()}}

    @property
    def capabilities(self) -> Mapping[str, Any]:
        return dump(self.session.client_capabilities) or {}

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        anyio.from_thread.run(self.session.report_progress, progress, total, message)

    def log(self, level: str, data: Any, logger: str | None = None) -> None:
        if not self.is_modern and LOG_LEVELS.index(level) < LOG_LEVELS.index(CHOSEN.get(self.session._connection, OWN_LEVEL)):
            return
        anyio.from_thread.run(self.session.send_log_message, level, data, "fixture", self.context.request_id)

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        if not self.is_modern:
            return {key: self._ask(method, params) for key, (method, params) in requests.items()}
        for method, _ in requests.values():
            if ASKABLE[method] not in self.capabilities:
                raise MCPError(-32021, "missing", {"requiredCapabilities": {ASKABLE[method]: {}}})
        missing = {key: {"method": m, "params": p} for key, (m, p) in requests.items() if key not in self.answers}
        if missing:
            asked = {"inputRequests": missing, "requestState": json.dumps(self.answers)}
            raise Asked(types.InputRequiredResult.model_validate(asked))
        return {key: self.answers[key] for key in requests}

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        request_type, result_type = QUESTIONS[method]
        request = request_type.model_validate({"method": method, "params": params})
        related = ServerMessageMetadata(related_request_id=self.context.request_id)
        return dump(anyio.from_thread.run(lambda: self.session.send_request(request, result_type, metadata=related)))


def dump(value: Any) -> Any:
    """A model of the SDK's as JSON."""
    return value.model_dump(by_alias=True, mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


def note_cancelled() -> None:
    """One more byte in a file of the working folder."""
    with Path("cancelled").open("a") as file:
        file.write("+")


async def run(context: Any, params: Any, handler: Any, *arguments: Any) -> Any:
    """What a handler of the connector answers, or the questions that it asks."""
    call = SdkCall(context, params)
    own = Context("", {}, {}, None, None, None, None, now=0, call=call)
    try:
        return await anyio.to_thread.run_sync(lambda: handler(own, *arguments), abandon_on_cancel=True, limiter=LIMITER)
    except Asked as asked:
        return asked.result
    except anyio.get_cancelled_exc_class():
        note_cancelled()
        raise
    finally:
        call.cancelled.set()


LIMITER = anyio.CapacityLimiter(200)


def name_of(feature: Any) -> str:
    """A feature's name, or its URI."""
    return getattr(feature, "uri", None) or getattr(feature, "uri_template", None) or feature.name


def list_all(kind: str) -> list[dict[str, Any]]:
    """A list as our own `tools/list` would have it."""
    lister = LISTERS[kind.removesuffix("s")]
    listings = [lister(feature, Shown(name_of(feature), ALONE, UNCHANGED)) for feature in getattr(CONNECTOR, kind)]
    return json.loads(json.dumps(listings, default=dict))


async def list_tools(_context: Any, params: Any) -> Any:
    """Two pages."""
    tools, second = list_all("tools"), params is not None and params.cursor == "second"
    if params is not None and params.cursor not in (None, "second"):
        raise MCPError(-32602, "Unknown cursor")
    part = tools[10:] if second else tools[:10]
    return types.ListToolsResult.model_validate({"tools": part} | ({} if second else {"nextCursor": "second"}))


async def list_resources(_context: Any, _params: Any) -> Any:
    return types.ListResourcesResult.model_validate({"resources": list_all("resources")})


async def list_templates(_context: Any, _params: Any) -> Any:
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": list_all("templates")})


async def list_prompts(_context: Any, _params: Any) -> Any:
    return types.ListPromptsResult.model_validate({"prompts": list_all("prompts")})


async def call_tool(context: Any, params: Any) -> Any:
    """A tool; those that change a list tell of it."""
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(-32602, "Unknown tool")
    try:
        result = await run(context, params, tool.run, params.arguments or {})
    except ToolError as error:
        result = Result(content=[{"type": "text", "text": str(error)}], is_error=True)
    await tell_changes(context, params.name)
    return types.CallToolResult.model_validate(result.to_json()) if isinstance(result, Result) else result


async def tell_changes(context: Any, name: str) -> None:
    """Notifications of either era after a tool that changes a list."""
    if name == "test_trigger_tool_change":
        await BUS.publish(ToolsListChanged())
        await context.session.send_tool_list_changed()
    if name == "test_trigger_prompt_change":
        await BUS.publish(PromptsListChanged())
        await context.session.send_prompt_list_changed()


    if name == "test_trigger_resource_change":
        await BUS.publish(ResourceUpdated(uri=WATCHED))
        for wanted in list(SUBSCRIBED.values()):
            if WATCHED in wanted:
                await wanted[WATCHED].send_resource_updated(WATCHED)


async def subscribe(context: Any, params: Any) -> Any:
    """This session wants to hear of a resource."""
    SUBSCRIBED.setdefault(context.session._connection, {})[params.uri] = context.session
    return types.EmptyResult()


async def unsubscribe(context: Any, params: Any) -> Any:
    """It does no more."""
    SUBSCRIBED.get(context.session._connection, {}).pop(params.uri, None)
    return types.EmptyResult()


async def read_resource(context: Any, params: Any) -> Any:
    for template in CONNECTOR.templates:
        if (values := match_template(template.uri_template, params.uri)) is not None:
            return types.ReadResourceResult.model_validate({"contents": template.read(None, params.uri, values)})
    if params.uri not in RESOURCES:
        modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        raise MCPError(-32602 if modern else -32002, "Resource not found", {"uri": params.uri})
    contents = RESOURCES[params.uri].read(None, params.uri)
    return types.ReadResourceResult.model_validate({"contents": contents})


async def get_prompt(context: Any, params: Any) -> Any:
    prompt = PROMPTS.get(params.name)
    if prompt is None:
        raise MCPError(-32602, "Unknown prompt")
    messages = await run(context, params, prompt.get, params.arguments or {})
    return types.GetPromptResult.model_validate({"messages": messages}) if isinstance(messages, list) else messages


async def complete(_context: Any, params: Any) -> Any:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult.model_validate({"completion": {"values": values, "total": len(values), "hasMore": False}})


async def set_level(context: Any, params: Any) -> Any:
    """What is logged in this session from now on."""
    CHOSEN[context.session._connection] = params.level
    return types.EmptyResult()


def make_server() -> Server:
    """The SDK's server with all of it."""
    return Server(
        "sdk-fixture",
        version="1.0",
        instructions="Behind the gateway.",
        get_tool_input_schema=lambda name: TOOLS[name].input_schema if name in TOOLS else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(BUS),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=set_level,
    )


# --- ways to serve it ---


def serve_http(port: int) -> None:
    """Streamable HTTP, both eras, with sessions in the older one."""
    app = make_server().streamable_http_app(host="127.0.0.1")
    if NEWEST:
        app.add_middleware(RefuseModern)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def serve_sse(port: int) -> None:
    """The old transport of two endpoints."""
    transport, server = SseServerTransport("/messages/"), make_server()

    async def stream(request: Any) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
        return Response()

    app = Starlette(routes=[Route("/sse", stream), Mount("/messages/", app=transport.handle_post_message)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def serve_stdio() -> None:
    """A child's pipes."""

    async def main() -> None:
        server = make_server()
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())

    anyio.run(main)


class RefuseModern:
    """Answers the stateless era as a server does that has never heard of it."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        version = dict(scope.get("headers") or ()).get(b"mcp-protocol-version", b"").decode()
        if scope["type"] == "http" and version == "2026-07-28":
            error = {"code": -32600, "message": f"Bad Request: Unsupported protocol version: {version}"}
            await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)(scope, receive, send)
            return
        await self.app(scope, receive, send)


if __name__ == "__main__":
    kind = sys.argv[1]
    serve_stdio() if kind == "stdio" else {"http": serve_http, "sse": serve_sse}[kind](int(sys.argv[2]))

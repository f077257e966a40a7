"""System tools: whether this connection works, what it may do, and which tools there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request
from connectors.clickup.docs import DOCS
from connectors.clickup.plans import reads
from connectors.clickup.shapes import Fresh
from errors import ToolError
from fitting import Answer, compact
from tools import Tool

Verbose = Annotated[bool, Field(description="True: say more.")]


class Pong(Answer):
    """An echo."""

    message: str


class Limits(TypedDict):
    """What a connection is set to."""

    charLimit: int
    maxAttachmentMb: float
    selectiveWrite: bool
    writeSpaces: list[str]
    writeLists: list[str]


class Health(Answer):
    """How a connection is set up; ClickUp is not asked."""

    status: str
    mode: str
    workspaceId: NotRequired[str]
    tokenKind: str
    settings: NotRequired[Limits]


class ToolFacts(TypedDict):
    """A tool."""

    name: str
    title: str
    reads: bool
    core: bool
    destructive: bool
    description: NotRequired[str]
    arguments: NotRequired[list[str]]


class Catalogue(Answer):
    """The tools of this connector."""

    total: int
    reading: int
    writing: int
    tools: list[ToolFacts]


class Capability(TypedDict):
    """Whether something can be used."""

    available: bool
    reason: NotRequired[str]


class Capabilities(Answer):
    """What this account can use in its workspace."""

    workspaceId: str
    docs: Capability
    timeTracking: Capability


@reads(title="Ping")
def ping(api: Api, message: Annotated[str, Field(max_length=500)] = "pong") -> Pong:
    """Answer with the message, without asking ClickUp."""
    return {"message": message}


@reads(title="Health")
def health(api: Api, verbose: Verbose = False) -> Health:
    """Tell how this connection is set up: whether it may write, and where. Does not ask ClickUp."""
    settings = api.settings
    mode = "read" if settings.read_only else "selective" if settings.selective else "write"
    shown: dict[str, Any] = {
        "status": "ok",
        "mode": mode,
        "tokenKind": "personal" if settings.token.startswith("pk_") else "oauth",
    } | compact({"workspaceId": settings.team_id})
    if verbose:
        shown["settings"] = {
            "charLimit": settings.char_limit,
            "maxAttachmentMb": settings.max_attachment_bytes / 1024 / 1024,
            "selectiveWrite": settings.selective,
            "writeSpaces": sorted(settings.spaces),
            "writeLists": sorted(settings.lists),
        }
    return shown


@reads(title="Workspace capabilities")
def workspace_capability_snapshot(api: Api, forceRefresh: Fresh = False) -> Capabilities:
    """Tell whether docs and time tracking can be used in this workspace; both depend on its plan and on this account's rights."""
    workspace_id = api.team_id()
    probes = [
        Request("GET", DOCS, {"workspace_id": workspace_id}, {"limit": 10}),
        Request("GET", "/v2/team/{team_id}/time_entries/current", {"team_id": workspace_id}),
    ]
    docs, time = api.try_all(probes, kind="hierarchy", fresh=forceRefresh)
    return {"workspaceId": workspace_id, "docs": show_capability(docs), "timeTracking": show_capability(time)}


def make_catalogue(list_tools: Callable[[], tuple[Tool, ...]]) -> Tool:
    """The tool that lists the others; which these are is known only when the connector has been put together."""

    @reads(title="Tool catalogue")
    def tool_catalogue(api: Api, verbose: Verbose = False) -> Catalogue:
        """List the tools of this connector, and which of them change something. Which of them you may call, your client knows."""
        tools = list_tools()
        return {
            "total": len(tools),
            "reading": sum(tool.reads for tool in tools),
            "writing": sum(not tool.reads for tool in tools),
            "tools": [show_tool(tool, verbose) for tool in tools],
        }

    return tool_catalogue


def show_capability(answer: dict[str, Any] | ToolError) -> dict[str, Any]:
    """Whether something can be used."""
    return {"available": False, "reason": str(answer)} if isinstance(answer, ToolError) else {"available": True}


def show_tool(tool: Tool, verbose: bool) -> dict[str, Any]:
    """A tool."""
    facts: dict[str, Any] = {name: getattr(tool, name) for name in ("name", "title", "reads", "core", "destructive")}
    more = {"description": tool.description, "arguments": list(tool.input_schema.get("properties", {}))}
    return facts | (more if verbose else {})

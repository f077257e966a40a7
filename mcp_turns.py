"""One request of one caller at `/mcp`, and how it is to be answered. Knows no method's work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import LOG_LEVEL_META_KEY

from mcp_http import Environ
from mcp_inbound import validate_mcp_param_headers
from protocol import Request, rejected
from store.mcp_sessions import McpSession
from tools import Tool

RUNS_CODE = frozenset({"tools/call", "prompts/get", "resources/read"})  # methods whose handlers may take long and report

Sender = tuple[str, str | None]


def name_sender(caller: Any, session: McpSession | None) -> Sender:
    """One client, if it has an MCP session; else all windows of it that share a sign-in, or all programs that share a key."""
    return caller.session_id or caller.api_key_id, session.id_hash if session else None


@dataclass(frozen=True)
class Turn:
    """One request of one caller; `session` is the handshake era's, if the client was given one."""

    environ: Environ
    headers: Mapping[str, str]  # those that mirror the body, in the stateless era
    caller: Any
    request: Request
    session: McpSession | None

    @property
    def identity(self) -> tuple[str, str]:
        """For whom a sealed state is good."""
        return self.caller.user_id, self.caller.grant_id

    @property
    def sender(self) -> Sender:
        """Within what the ids of requests are unique, as well as can be told."""
        return name_sender(self.caller, self.session)


def check_param_headers(tool: Tool | None, turn: Turn) -> None:
    """Raise ProtocolError -32020 if an `Mcp-Param-…` header and the argument it mirrors differ."""
    if tool is None or not tool.has_headers:
        return
    arguments = turn.request.params.get("arguments") or {}
    rejection = validate_mcp_param_headers(tool.input_schema, arguments, turn.headers)
    if rejection is not None:
        raise rejected(rejection)


def may_wait(request: Request, tool: Tool | None) -> bool:
    """Whether the answer may take more than a moment: another service is asked, or nobody can tell."""
    return tool.open_world or tool.streams if tool else request.method in RUNS_CODE


def wants_stream(request: Request, tool: Tool | None) -> bool:
    """Whether something may have to be said before the result."""
    if tool is not None and tool.streams:
        return True
    asked = "progressToken" in request.meta or LOG_LEVEL_META_KEY in request.meta
    return asked and request.method in RUNS_CODE

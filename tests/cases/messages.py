"""MCP messages of both eras, and sending them just as a test wants them. Holds no test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests
from actors import Assistant
from house import House
from werkzeug.test import EnvironBuilder, run_wsgi_app

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
BOTH = "application/json, text/event-stream"
VERSION_META, CAPABILITIES_META = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"


def modern(method: str, capabilities: dict[str, Any] | None = None, /, **params: Any) -> dict[str, Any]:
    """A request of the stateless era."""
    meta = {VERSION_META: MODERN, CAPABILITIES_META: capabilities or {}}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": meta, **params}}


def handshake(method: str, identity: Any = 7, /, **params: Any) -> dict[str, Any]:
    """A request of the handshake era."""
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def initialize(**capabilities: Any) -> dict[str, Any]:
    """The first request of the handshake era."""
    client = {"name": "Claude", "version": "1"}
    return handshake("initialize", protocolVersion=HANDSHAKE, capabilities=capabilities, clientInfo=client)


def headers_of(message: Any) -> dict[str, str]:
    """The headers that mirror a message (MCP 2026-07-28, basic/transports, "Standard Request Headers")."""
    params = message.get("params", {}) if isinstance(message, dict) else {}
    if VERSION_META not in params.get("_meta", {}):
        return {"MCP-Protocol-Version": HANDSHAKE}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
    return headers | ({"Mcp-Name": params["name"]} if "name" in params else {})


def send(assistant: Assistant, message: Any = None, *, body: bytes | None = None, path: str = "/mcp", **headers: str | None):
    """POST a message with the assistant's token; a header of None is left out, `_` in a name stands for `-`."""
    message = modern("ping") if message is None and body is None else message
    usual: dict[str, str | None] = {
        "Authorization": f"Bearer {assistant.tokens['access_token']}",
        "Accept": BOTH,
        "Content-Type": "application/json",
    }
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    merged = {name.lower(): value for name, value in (usual | headers_of(message)).items()}
    merged |= {name.lower(): value for name, value in given.items()}
    sent = {name: value for name, value in merged.items() if value is not None}
    data = json.dumps(message).encode() if body is None else body
    return requests.Session.post(assistant.session, assistant.base_url + path, data=data, headers=sent, timeout=30)


def error_code(answer: requests.Response) -> int:
    """The JSON-RPC error in an answer."""
    return answer.json()["error"]["code"]


def open_stream(house: House, assistant: Assistant, gate: str) -> Iterator[bytes]:
    """The answer, piece by piece, to a call that says that it waits and goes on once the gate is opened."""
    message = handshake("tools/call", name="trouble_wait", arguments={"gate": gate}, _meta={"progressToken": 1})
    builder = EnvironBuilder(
        path="/mcp",
        base_url=house.url,
        method="POST",
        json=message,
        headers={"Authorization": f"Bearer {assistant.tokens['access_token']}", "Accept": BOTH} | headers_of(message),
    )
    pieces, status, _headers = run_wsgi_app(house.gate, builder.get_environ())
    assert status == "200 OK"
    return iter(pieces)

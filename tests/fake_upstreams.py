"""Servers behind connections that are dictionaries, and a way to them that notes what went there. Opens nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from errors import PosternError, UpstreamError
from links import Greeting
from store.connections import Connection
from tools import Call, text

LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def a_tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool as a server lists it."""
    return {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}} | more


class FakeServer:
    """What one server offers, in pages of `page_size`. `trouble` is raised instead; `gate` has to be set before it answers."""

    def __init__(self, page_size: int = 3, **lists: list[Any]):
        self.lists, self.page_size = lists, page_size
        self.capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
        self.trouble: dict[str, PosternError] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[str] = []

    def answer(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """One page of a list."""
        self.asked.append(method)
        while not self.gate.wait(0.01):
            call.check_cancelled()
        if method in self.trouble:
            raise self.trouble[method]
        member = LISTS[method]
        items = self.lists.get(member, [])
        start = int(params.get("cursor", 0))
        page: dict[str, Any] = {member: items[start : start + self.page_size]}
        if start + self.page_size < len(items):
            page["nextCursor"] = str(start + self.page_size)
        return page


class FakeUpstreams:
    """All servers, by connection."""

    def __init__(self) -> None:
        self.servers: dict[str, FakeServer] = {}

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask one of them."""
        return self.servers[connection.id].answer(method, params, call)

    def greeting(self, connection: Connection, call: Call) -> Greeting:
        """What one of them says of itself."""
        try:
            server = self.servers[connection.id]
        except KeyError:
            raise UpstreamError("Nobody answers there.") from None
        if "initialize" in server.trouble:
            raise server.trouble["initialize"]
        return Greeting("2025-11-25", False, server.capabilities, {"name": "fake", "version": "1"})

    def greet(self, kind: str, target: Any) -> dict[str, Any]:
        """What a server says of itself that is no connection's yet."""
        return {"version": "2025-11-25", "server": {"name": "fake", "version": "1"}, "capabilities": {}}

    def drop(self, connection_id: str) -> None:
        """There is nothing to end."""

    def forget(self, connection_id: str) -> None:
        """There is nothing to end."""

    def stop(self) -> None:
        """There is nothing to end."""


class FakeForwarder:
    """Notes what is sent, and answers with `results`, by what was asked: a name or a URI."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.results: dict[str, Any] = {}

    def _answer(self, key: str, otherwise: Any) -> Any:
        result = self.results.get(key, otherwise)
        if isinstance(result, Exception):
            raise result
        return result

    def call_tool(
        self, connection: Connection, name: str, arguments: dict[str, Any], meta: Mapping[str, Any], call: Call
    ) -> dict[str, Any]:
        """Call a tool."""
        self.sent.append((connection.id, name, arguments))
        return self._answer(name, {"content": [text(f"{name} of {connection.name}")]})

    def read_resource(self, connection: Connection, uri: str, call: Call) -> dict[str, Any]:
        """Read a resource."""
        self.sent.append((connection.id, uri))
        return self._answer(uri, {"contents": [{"uri": uri, "text": f"from {connection.name}"}]})

    def get_prompt(self, connection: Connection, name: str, arguments: dict[str, str], call: Call) -> dict[str, Any]:
        """Fill in a prompt."""
        self.sent.append((connection.id, name, arguments))
        return self._answer(name, {"messages": [{"role": "user", "content": text(name)}]})

    def complete(
        self, connection: Connection, ref: Mapping[str, Any], argument: Mapping[str, str], context: Mapping[str, str], call: Call
    ) -> dict[str, Any]:
        """Complete a word."""
        self.sent.append((connection.id, dict(ref), dict(argument), dict(context)))
        return {"completion": {"values": ["one"], "total": 1, "hasMore": False}}

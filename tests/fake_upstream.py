"""An MCP server over HTTP that does what a test tells it, right or wrong. Knows both eras just as far as tests need."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raw_server import Answer, RawServer, plain

from fetch import Fetcher

MODERN, OLDER = "2026-07-28", "2025-11-25"
JSON = "Content-Type: application/json"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
CAPABILITIES: dict[str, Any] = {"tools": {}}


@dataclass
class Asked:
    """One HTTP request. `headers` have lower-case names; `message` is the JSON of the body, if it has one."""

    verb: str
    path: str
    headers: dict[str, str] = field(repr=False)
    message: dict[str, Any]

    @property
    def method(self) -> str:
        """Of the JSON-RPC message, or the HTTP verb if there is none."""
        return self.message.get("method") or ("reply" if self.message else self.verb)

    def result(self, result: Mapping[str, Any], status: str = "200 OK", *headers: str) -> bytes:
        """A JSON answer with a result."""
        return as_json({"jsonrpc": "2.0", "id": self.message.get("id"), "result": result}, status, *headers)

    def error(self, code: int, status: str = "400 Bad Request", *headers: str, **error: Any) -> bytes:
        """A JSON answer with an error."""
        error = {"code": code, "message": "no", **error}
        return as_json({"jsonrpc": "2.0", "id": self.message.get("id"), "error": error}, status, *headers)


Handler = Callable[[Asked], Answer]


class FakeUpstream(RawServer):
    """Answers by the method of the message; `handlers` hold functions, or answers that are always the same."""

    def __init__(self, handlers: Mapping[str, Handler | bytes], **options: Any):
        self.handlers = dict(handlers)
        self.asked: list[Asked] = []
        self._last = threading.local()
        super().__init__(FakeUpstream.serve, **options)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def fetcher(self) -> Fetcher:
        """A way out that is allowed to reach it."""
        return Fetcher(frozenset({f"127.0.0.1:{self.port}"}))

    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [asked.method for asked in self.asked]

    def serve(self, sock: socket.socket) -> None:
        """One connection, request after request; the first has been read already."""
        while True:
            asked = parse(*self._last.request)
            self.asked.append(asked)
            handler = self.handlers.get(asked.method, accept)
            answer = handler(asked) if callable(handler) else handler
            if callable(answer):
                answer(self, sock)
            else:
                sock.sendall(answer)
            self.read(sock)

    def read(self, stream: socket.socket) -> tuple[str, bytes]:
        """Read one request, and remember it for this connection's thread."""
        self._last.request = super().read(stream)
        return self._last.request


def parse(head: str, body: bytes) -> Asked:
    """A request."""
    first, *lines = head.strip().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    verb, path, _ = first.split(" ")
    return Asked(verb, path, headers, json.loads(body or b"{}"))


def as_json(value: Any, status: str = "200 OK", *headers: str) -> bytes:
    """A JSON answer."""
    return plain(json.dumps(value).encode(), status, JSON, *headers)


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(message: Any, identity: str = "") -> bytes:
    """One event as a chunk."""
    first = f"id: {identity}\n" if identity else ""
    return chunk(f"{first}data: {json.dumps(message) if message else ''}\n\n".encode())


def note(method: str, **params: Any) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def question(identity: Any, method: str, **params: Any) -> dict[str, Any]:
    """A request of the server's."""
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def answered(asked: Asked, **result: Any) -> dict[str, Any]:
    """The response to a request."""
    return {"jsonrpc": "2.0", "id": asked.message["id"], "result": result}


def accept(asked: Asked) -> bytes:
    """202 for what has no answer; an empty result for the rest."""
    is_request = "id" in asked.message and "method" in asked.message
    return asked.result({"resultType": "complete"}) if is_request else plain(b"", "202 Accepted" if asked.message else "405 No")


def modern(capabilities: Mapping[str, Any] = CAPABILITIES, **handlers: Handler | bytes) -> dict[str, Handler | bytes]:
    """A server of the stateless era. Names of methods are written with __ for / here."""
    meta = {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}}
    found = {"supportedVersions": [MODERN], "capabilities": capabilities, "instructions": "Be kind.", "_meta": meta}
    return {"server/discover": lambda asked: asked.result(found)} | named(handlers)


def older(
    capabilities: Mapping[str, Any] = CAPABILITIES, *, version: str = OLDER, session: str = "s-1", **handlers: Handler | bytes
) -> dict[str, Handler | bytes]:
    """A server of the handshake era, with sessions unless `session` is empty."""
    found = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": {"name": "old", "version": "1"}}
    header = [f"Mcp-Session-Id: {session}"] if session else []
    return {
        "server/discover": plain(b"Bad Request: No valid session ID", "400 Bad Request"),
        "initialize": lambda asked: asked.result(found, "200 OK", *header),
    } | named(handlers)


def named(handlers: Mapping[str, Handler | bytes]) -> dict[str, Handler | bytes]:
    """With the methods' own names."""
    return {name.replace("__", "/"): handler for name, handler in handlers.items()}

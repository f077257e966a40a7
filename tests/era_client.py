"""A client of one revision of MCP, as small as can be: it asks over HTTP, answers questions, and can leave in the middle."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

MODERN = "2026-07-28"
ANSWER = {"action": "accept", "content": {"response": "yes"}}
CAPABILITIES: dict[str, Any] = {"elicitation": {}}


class EraClient:
    """Signed in with `token` at `url`. `heard` has the notifications of the last request."""

    def __init__(self, url: str, token: str, revision: str):
        self.parts, self.token, self.revision = urlsplit(url), token, revision
        self.is_modern = revision == MODERN
        self.heard: list[dict[str, Any]] = []
        self._id, self._level = 0, ""
        self._session: str | None = None
        if not self.is_modern:
            about = {"protocolVersion": revision, "capabilities": CAPABILITIES, "clientInfo": {"name": "era", "version": "1"}}
            with self.ask("initialize", about) as answer:
                self._session = answer.headers["Mcp-Session-Id"]
                assert json.loads(answer.read())["result"]["protocolVersion"] == revision
            self.tell("notifications/initialized", {})

    def request(self, method: str, params: dict[str, Any], progress: bool = False) -> dict[str, Any]:
        """The result of a request, however often it asks meanwhile. An error comes back under `error`."""
        if progress:
            params = {**params, "_meta": {"progressToken": "mine"}}
        self.heard = []
        with self.ask(method, params) as answer:
            message = next(message for message in self.read(answer) if "method" not in message)
        result = message.get("result", {"error": message.get("error")})
        if result.get("resultType") != "input_required":
            return result
        again = {"inputResponses": dict.fromkeys(result["inputRequests"], ANSWER), "requestState": result["requestState"]}
        return self.request(method, params | again)

    def choose_level(self, level: str) -> None:
        """Want log lines from this level on, in the way of the era."""
        self._level = level
        if not self.is_modern:
            assert self.request("logging/setLevel", {"level": level}) == {}

    @contextmanager
    def hearing_of(self, uri: str) -> Iterator[Iterator[dict[str, Any]]]:
        """What is told of changes of a resource, in the way of the era."""
        wanted = {"resourceSubscriptions": [uri]}
        opened = self.connect("subscriptions/listen", {"notifications": wanted}) if self.is_modern else self.send(None, {}, "GET")
        with closing(opened) as connection, connection.getresponse() as answer:
            assert answer.status == 200, answer.read()
            messages = self.read(answer)
            if self.is_modern:
                assert next(messages)["params"]["notifications"] == wanted
            else:
                assert self.request("resources/subscribe", {"uri": uri}) == {}
            yield messages
        if not self.is_modern:
            assert self.request("resources/unsubscribe", {"uri": uri}) == {}

    def leave(self, method: str, params: dict[str, Any]) -> None:
        """Ask, wait for the first word, and cancel in the way of the era."""
        connection = self.connect(method, params | {"_meta": {"progressToken": "mine"}})
        answer = connection.getresponse()
        answer.read1(100)
        if not self.is_modern:
            self.tell("notifications/cancelled", {"requestId": self._id})
        answer.close()
        connection.close()

    # --- to and fro ---

    @contextmanager
    def ask(self, method: str, params: dict[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """Send a request; the answer as it begins."""
        with closing(self.connect(method, params)) as connection, connection.getresponse() as answer:
            yield answer

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        self.post({"jsonrpc": "2.0", "method": method, "params": params})

    def post(self, message: dict[str, Any]) -> None:
        """Send what has no answer."""
        with closing(self.send(message, {})) as connection, connection.getresponse() as answer:
            assert answer.status == 202, answer.read()

    def connect(self, method: str, params: dict[str, Any]) -> http.client.HTTPConnection:
        """Send a request over a connection of its own."""
        self._id += 1
        headers = {}
        if self.is_modern:
            envelope = {"protocolVersion": MODERN, "clientCapabilities": CAPABILITIES}
            envelope |= {"logLevel": self._level} if self._level else {}
            meta = {f"io.modelcontextprotocol/{name}": value for name, value in envelope.items()}
            params = {**params, "_meta": {**(params.get("_meta") or {}), **meta}}
            headers = {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        return self.send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}, headers)

    def send(self, message: dict[str, Any] | None, headers: dict[str, str], verb: str = "POST") -> http.client.HTTPConnection:
        """POST one message, or GET the session's stream without any."""
        connection = http.client.HTTPConnection(self.parts.hostname, self.parts.port, timeout=30)
        usual = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if (message or {}).get("method") != "initialize":
            usual["MCP-Protocol-Version"] = self.revision
        if self._session:
            usual["Mcp-Session-Id"] = self._session
        connection.request(verb, self.parts.path, json.dumps(message) if message else None, usual | headers)
        return connection

    def read(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        """The messages of an answer: one, or those of a stream. Questions are answered, notifications noted."""
        if answer.headers["Content-Type"] == "application/json":
            yield json.loads(answer.read())
            return
        for line in answer:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if "method" in message and "id" in message:
                    self.reply(message)
                elif "method" in message:
                    self.heard.append(message)
                yield message

    def reply(self, question: dict[str, Any]) -> None:
        """Answer what the server asks on the stream."""
        assert question["method"] == "elicitation/create", question
        self.post({"jsonrpc": "2.0", "id": question["id"], "result": ANSWER})

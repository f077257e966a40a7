"""An assistant for conformance_client.py: it lists what a person's one connection offers and uses all of it, in either era."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value, mcp_param_headers, x_mcp_header_map
from werkzeug.test import Client

from store.api_keys import insert_key
from store.grants import insert_key_grant
from store.profiles import list_feature_sets, list_profiles

MODERN = "2026-07-28"
PREFIX = "suite_"  # of the names of the tools and prompts of the suite's server
CAPABILITIES: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
NAMES = {"name": "suite", "version": "0"}
META = {"protocolVersion": MODERN, "clientCapabilities": CAPABILITIES, "clientInfo": NAMES}
EXAMPLES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": []}


class Refused(Exception):
    """A request was answered with an error."""


class Assistant:
    """A program that speaks to `/mcp` of a person's Postern, with an API key."""

    def __init__(self, person: Any, version: str):
        self.person, self.version, self.is_modern = person, version, version == MODERN
        self.client = Client(person.gate)
        self._id, self._session = 0, None
        db, now = person.state.db, int(person.state.clock())
        profile = list_profiles(db, person.user.id)[0]
        with db.write() as run:
            key_id, self.key = insert_key(run, person.user.id, "suite", lifetime=None, now=now)
            everything = list_feature_sets(db, profile.id)[0]
            insert_key_grant(run, profile.id, key_id, everything.id, now)
        if not self.is_modern:
            self.ask("initialize", {"protocolVersion": version, "capabilities": CAPABILITIES, "clientInfo": NAMES})
            self.tell({"method": "notifications/initialized"})

    # --- what it does ---

    def use_everything(self, chosen: list[Mapping[str, Any]] | None) -> None:
        """Call the chosen tools, else all with examples of arguments, then read and get what else there is."""
        tools = {tool["name"]: tool for tool in self.find("tools")}
        if chosen is None:
            schemas = [tool["inputSchema"] for tool in tools.values()]
            calls = {name: fill_in(tool["inputSchema"], schemas[0]) for name, tool in tools.items()}
        else:  # null stands for nothing where the schema does not allow it
            calls = {PREFIX + item["name"]: leave_out_nulls(item["arguments"]) for item in chosen}
        for name, arguments in calls.items():
            self.call(tools[name], arguments)
        for resource in self.find("resources"):
            self.ask("resources/read", {"uri": resource["uri"]})
        for prompt in self.find("prompts"):
            self.ask("prompts/get", {"name": prompt["name"]})

    def find(self, kind: str) -> list[dict[str, Any]]:
        """What the suite's server has of a kind."""
        return [item for item in self.ask(f"{kind}/list", {})[kind] if item["name"].startswith(PREFIX) or kind == "resources"]

    def call(self, tool: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        """Call a tool. Whenever only the person can help, as the result says, they do."""
        while True:
            params = {"name": tool["name"], "arguments": dict(arguments)}
            headers = mcp_param_headers(x_mcp_header_map(tool["inputSchema"]), params["arguments"]) if self.is_modern else {}
            result = self.ask("tools/call", params, headers)
            if "mcp/www_authenticate" not in result.get("_meta", {}):
                assert not result.get("isError"), result
                return
            assert f"{self.person.base}/connections/{self.person.connection_id}" in result["content"][0]["text"]
            self.person.sign_in()

    # --- how it speaks ---

    def ask(self, method: str, params: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The result of a request, however often it asks back."""
        result = self._ask(method, params, headers or {})
        while result.get("resultType") == "input_required":
            answers = {key: answer_question(question) for key, question in result["inputRequests"].items()}
            again = {**params, "inputResponses": answers, "requestState": result["requestState"]}
            result = self._ask(method, again, headers or {})
        return result

    def _ask(self, method: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """One request, in the manner of its revision, and its result. Raises Refused for an error."""
        self._id += 1
        if self.is_modern:
            params = {**params, "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in META.items()}}
            headers = {**headers, "Mcp-Method": method}
            if method in NAME_BEARING_METHODS:
                headers["Mcp-Name"] = encode_header_value(params[NAME_BEARING_METHODS[method]])
        with self._send({"id": self._id, "method": method, "params": params}, headers) as answer:
            assert answer.status_code == 200, answer.text
            self._session = answer.headers.get("Mcp-Session-Id", self._session)
            for message in read_messages(answer):
                if "error" in message:
                    raise Refused(message["error"])
                if "result" in message:
                    return message["result"]
                if "id" in message:
                    self.tell({"id": message["id"], "result": answer_question(message)})
        raise AssertionError("no result came")

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send what has no answer."""
        with self._send(message, {}) as answer:
            assert answer.status_code == 202, answer.text

    def _send(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        """POST one message; the answer as it begins."""
        usual = {"Accept": "application/json, text/event-stream", "X-API-Key": self.key, "MCP-Protocol-Version": self.version}
        session = {"Mcp-Session-Id": self._session} if self._session else {}
        return self.client.post(
            "/mcp", json={"jsonrpc": "2.0", **message}, headers=usual | session | headers, base_url=self.person.base
        )


def read_messages(answer: Any) -> Iterator[dict[str, Any]]:
    """The messages of an answer as they come: one, or those of a stream."""
    if answer.mimetype == "application/json":
        yield answer.get_json()
        return
    for piece in answer.response:  # an event stream hands out whole events
        for line in piece.splitlines():
            if line.startswith(b"data:"):
                yield json.loads(line[5:])


def answer_question(question: Mapping[str, Any]) -> dict[str, Any]:
    """A person who leaves every field of a form as it was."""
    assert question["method"] == "elicitation/create", question
    fields = question["params"]["requestedSchema"]["properties"]
    return {"action": "accept", "content": {name: field["default"] for name, field in fields.items() if "default" in field}}


def fill_in(schema: Mapping[str, Any], thing: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that fit a simple schema; `thing` stands for every object."""
    examples = EXAMPLES | {"object": thing}
    return {name: examples[part["type"]] for name, part in schema.get("properties", {}).items() if "type" in part}


def leave_out_nulls(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say something."""
    return {name: value for name, value in arguments.items() if value is not None}

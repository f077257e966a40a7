"""Calls all the way: what an assistant sends to /mcp, what another server gets of it, and what comes back of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MASTER_KEY
from fake_upstream import Asked, FakeUpstream, modern, older
from household import House, opened
from raw_server import plain
from werkzeug.test import TestResponse

from config import load_settings
from joining import join
from store.connections import Draft
from store.profiles import list_profiles

SECRETS = {"far": "sk-far-hunter2", "near": "sk-near-hunter3"}
LINK = "https://service.example/confirm?flow=0815"
ELICITATION = {"mode": "url", "message": "Please confirm there.", "elicitationId": "e-1", "url": LINK}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("look", "fail", "confirm")]
ERAS = {"modern": modern, "older": older}
NEVER = ("mcp_sk_", "mcp_ms_", "a-cookie-of-ours", "203.0.113.66", "proxy.example", "an-assistants-own")


def call_tool(asked: Asked) -> bytes:
    """Look, fail with the key that was sent, or ask the person to go to a page."""
    name = asked.message["params"]["name"]
    if name == "fail":
        given = asked.headers["authorization"]
        return asked.error(-32000, "200 OK", message=f"{given} is not valid", data={"headers": [given]})
    if name == "confirm":
        asks = {"go": {"method": "elicitation/create", "params": ELICITATION}}
        return asked.result({"resultType": "input_required", "inputRequests": asks, "requestState": "theirs"})
    return asked.result({"resultType": "complete", "content": [{"type": "text", "text": "looked"}]})


class Village:
    """A Postern with connections to two servers, each with a key of its own."""

    def __init__(self, house: House, servers: dict[str, FakeUpstream]):
        self.house, self.servers = house, servers
        ids = []
        for name, server in servers.items():
            own = {"url": server.url, "auth": "api_key", "seconds": 5}
            with house.db.write() as run:
                draft = Draft("remote_http", name, own, {"api_key": SECRETS[name]})
                ids.append(join(run, house.vault, list_profiles(house.db, house.alice.id)[0], draft, house.now))
        assert house.state.gateway.discovery.look_soon(*ids, wait=20)
        for server in servers.values():
            server.asked.clear()
            server.heads.clear()
            server.bodies.clear()

    def call(self, name: str, **params: Any) -> TestResponse:
        """A call of Alice's program, which sends more than it has to."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "an-assistants-own", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}, "url": {}}},
        }
        params = {"name": name, "arguments": {}, "_meta": meta} | params
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {
            "Authorization": f"Bearer {self.house.key}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": name,
            "Cookie": "postern=a-cookie-of-ours",
            "X-Forwarded-For": "203.0.113.66",
            "X-Forwarded-Host": "proxy.example",
            "Forwarded": "for=203.0.113.66;host=proxy.example",
            "X-Real-IP": "203.0.113.66",
            "Mcp-Session-Id": "mcp_ms_of-another",
        }
        return self.house.browser().post("/mcp", json=body, headers=headers)


def result_of(answer: TestResponse) -> dict[str, Any]:
    """The response, which may have come as a stream."""
    return json.loads(answer.text.rpartition("data: ")[2])


@pytest.fixture(params=ERAS)
def village(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Village]:
    handlers = ERAS[request.param](tools__list=lambda asked: asked.result({"tools": TOOLS}), tools__call=call_tool)
    with FakeUpstream(handlers) as far, FakeUpstream(handlers) as near:
        listed = f"127.0.0.1:{far.port} 127.0.0.1:{near.port}"
        environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "ALLOW_PRIVATE_UPSTREAMS": listed}
        with opened(load_settings(environ, None)) as house:
            yield Village(house.settle(), {"far": far, "near": near})


def test_g01_a_server_gets_nothing_that_was_meant_for_us_or_another(village: Village):
    for name in SECRETS:
        assert result_of(village.call(f"{name}_look"))["result"]["content"][0]["text"] == "looked"
    for name, server in village.servers.items():
        assert "tools/call" in server.methods()
        received = " ".join(server.heads) + b" ".join(server.bodies).decode()
        assert [secret in received for secret in SECRETS.values()] == [name == other for other in SECRETS]
        assert [word for word in (*NEVER, village.house.key) if word in received] == []


def test_g03_a_key_that_a_server_repeats_does_not_reach_the_assistant(village: Village):
    answer = village.call("far_fail")
    error = result_of(answer)["error"]
    assert (error["code"], error["message"]) == (-32000, "Bearer [redacted] is not valid")
    assert error["data"] == {"headers": ["Bearer [redacted]"]}
    assert SECRETS["far"] not in answer.text
    assert any(SECRETS["far"] in asked.headers["authorization"] for asked in village.servers["far"].asked)


@pytest.mark.parametrize("village", ["modern"], indirect=True)
def test_k11_a_page_that_a_server_sends_the_person_to_is_passed_on_as_it_is(village: Village):
    answer = village.call("far_confirm")
    result = result_of(answer)["result"]
    assert result["inputRequests"] == {"go": {"method": "elicitation/create", "params": ELICITATION}}
    assert [secret for secret in (*SECRETS.values(), village.house.key, "theirs") if secret in answer.text] == []


@pytest.mark.parametrize("village", ["modern"], indirect=True)
def test_k11_a_link_of_our_own_holds_no_secret_and_no_session(village: Village):
    house = village.house
    with house.db.write() as run:
        draft = Draft("remote_http", "Locked", {"url": village.servers["far"].url, "auth": "oauth", "seconds": 5})
        connection_id = join(run, house.vault, list_profiles(house.db, house.alice.id)[0], draft, house.now)
    village.servers["far"].handlers["tools/call"] = lambda asked: plain(b"", "401 Unauthorized", "WWW-Authenticate: Bearer")
    assert house.state.gateway.discovery.look_soon(connection_id, wait=20)
    answer = village.call("locked_look")
    result = result_of(answer)["result"]
    link = f"{house.url}/connections/{connection_id}"
    assert result["content"][0]["text"].endswith(f"Sign in at {link}")
    urls = set(re.findall(r'https?://[^\s"\\]+', answer.text))
    assert urls == {link, f"{house.url}/.well-known/oauth-protected-resource/mcp"}
    assert house.browser().get(f"/connections/{connection_id}").status_code == 303  # whoever has the link has to sign in
    assert house.browser(house.bob).get(f"/connections/{connection_id}").status_code == 404

"""Real assistants against a real gunicorn: both generations of the official SDKs, and mcp-remote. Each signs in by itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from actors import Person, setup_code
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from npm import FOLDER, Program, find_node, need_package
from server import Server, free_port, running_server

pytestmark = pytest.mark.server

TOKEN_SECONDS = 3  # each client waits until its token is over
HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"
CALLBACK = "http://localhost:3118/callback"
TODAY = "personal-context://status/today"
WAIT_SECONDS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("clients"), TOKEN_TTL_SECONDS=str(TOKEN_SECONDS)) as running:
        Person(running.url).set_up(setup_code(running.log))
        yield running


@pytest.fixture
def alice(server: Server) -> Person:
    """The owner with a browser that has never been here: it is asked for the password."""
    return Person(server.url)


# --- the Python SDK ---


@dataclass
class Assistant:
    """What the Python SDK wants of a program: a place for its tokens, and somebody who goes to the browser."""

    alice: Person
    wrong_iss: str | None = None  # told to the SDK instead of what the server said
    client: OAuthClientInformationFull | None = None
    tokens: list[OAuthToken] = field(default_factory=list)
    callbacks: list[dict[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="Python SDK")
        self.oauth = OAuthClientProvider(self.alice.base_url + "/mcp", metadata, self, self.open_browser, self.take_callback)

    @asynccontextmanager
    async def connect(self, mode: str) -> AsyncIterator[Client]:
        """A client that has negotiated its version."""
        async with httpx2.AsyncClient(auth=self.oauth, timeout=WAIT_SECONDS, trust_env=False) as http_client:
            transport = streamable_http_client(self.alice.base_url + "/mcp", http_client=http_client)
            with anyio.fail_after(WAIT_SECONDS):
                async with Client(transport, mode=mode) as client:
                    yield client

    async def outlive_token(self) -> None:
        """Wait until the SDK takes its token for expired."""
        await anyio.sleep(self.oauth.context.token_expiry_time - time.time() + 0.1)

    async def open_browser(self, url: str) -> None:
        """Alice signs in and approves."""
        callback = await anyio.to_thread.run_sync(self.alice.decide, url)
        assert callback.startswith(CALLBACK + "?")
        self.callbacks.append(parse_qs(urlsplit(callback).query))

    async def take_callback(self) -> AuthorizationCodeResult:
        """What the browser brought back."""
        (code,), (state,), (iss,) = (self.callbacks[-1][name] for name in ("code", "state", "iss"))
        return AuthorizationCodeResult(code=code, state=state, iss=self.wrong_iss or iss)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.mark.parametrize(("mode", "version"), [("legacy", HANDSHAKE), ("auto", STATELESS)])
def test_the_python_sdk_signs_in_uses_a_tool_and_outlives_its_token(server: Server, alice: Person, mode: str, version: str):
    assistant, word = Assistant(alice), f"python {mode}"

    async def use() -> None:
        async with assistant.connect(mode) as client:
            assert client.protocol_version == version
            assert {"status_get_work", "status_set_work"} <= {tool.name for tool in (await client.list_tools()).tools}
            answer = await client.call_tool("status_set_work", {"workStatus": word})
            assert answer.structured_content["workStatus"] == word
            resource = await client.read_resource(TODAY)
            assert json.loads(resource.contents[0].text)["workStatus"] == word
            had = len(assistant.tokens)
            await assistant.outlive_token()
            answer = await client.call_tool("status_get_work", {})
            assert answer.structured_content["workStatus"] == word
            assert len(assistant.tokens) == had + 1

    anyio.run(use)
    assert assistant.client.client_id.startswith("client_")
    assert [callback["iss"] for callback in assistant.callbacks] == [[server.url]]


def test_the_python_sdk_checks_our_iss(server: Server, alice: Person):
    assistant = Assistant(alice, wrong_iss="https://charlie.example")

    async def connect() -> None:
        async with assistant.connect("auto"):
            pytest.fail("it took the callback of another issuer")

    mismatch = pytest.RaisesExc(OAuthFlowError, match=f"iss mismatch: https://charlie.example != {server.url}")
    with pytest.RaisesGroup(mismatch, flatten_subgroups=True):
        anyio.run(connect)
    assert assistant.tokens == []


# --- the TypeScript SDKs ---


@contextmanager
def typescript(server: Server, folder: Path, generation: str, mode: str, word: str) -> Iterator[Program]:
    """tests/node/client.mjs with one generation of the SDK."""
    need_package({"v1": "@modelcontextprotocol/sdk", "v2": "@modelcontextprotocol/client"}[generation])
    script = str(FOLDER / "client.mjs")
    with Program(folder, find_node(), script, generation, mode, server.url + "/mcp", CALLBACK, word) as program:
        yield program


@pytest.mark.node
@pytest.mark.parametrize(
    ("generation", "mode", "version"), [("v1", "legacy", HANDSHAKE), ("v2", "legacy", HANDSHAKE), ("v2", "auto", STATELESS)]
)
def test_the_typescript_sdk_signs_in_uses_a_tool_and_outlives_its_token(
    server: Server, alice: Person, tmp_path: Path, generation: str, mode: str, version: str
):
    word = f"typescript {generation} {mode}"
    with typescript(server, tmp_path, generation, mode, word) as program:
        callback = alice.decide(program.receive()["authorize"])
        assert parse_qs(urlsplit(callback).query)["iss"] == [server.url]
        program.send(callback)
        report = program.receive().get("report") or pytest.fail(program.log)
        assert program.process.wait(WAIT_SECONDS) == 0
    assert report["version"] == version
    assert {"status_get_work", "status_set_work"} <= set(report["tools"])
    assert report["set"]["workStatus"] == word
    assert json.loads(report["contents"][0]["text"])["workStatus"] == word
    assert report["get"]["workStatus"] == word
    assert (report["authorizations"], report["refreshes"]) == (1, 1)


@pytest.mark.node
def test_the_typescript_sdk_checks_our_iss(server: Server, alice: Person, tmp_path: Path):
    with typescript(server, tmp_path, "v2", "auto", "unused") as program:
        callback = alice.decide(program.receive()["authorize"])
        program.send(callback.replace("iss=http", "iss=https"))
        assert program.receive() == {"refused": "IssuerMismatchError"}


# --- mcp-remote ---


class Browser:
    """A browser in $BROWSER that writes down the address it is to open, so that a Person of the test can go there."""

    def __init__(self, folder: Path):
        self.program, self.address = folder / "browser", folder / "address"
        self.program.write_text(f'#!/bin/sh\nprintf %s "$1" > {self.address}.part && mv {self.address}.part {self.address}\n')
        self.program.chmod(0o700)

    def take_address(self, program: Program) -> str:
        """The address, which is then forgotten; AssertionError with the program's log if none comes."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.address.exists():
            assert program.process.poll() is None, f"it ended:\n{program.log}"
            assert time.monotonic() < deadline, f"it opened no browser:\n{program.log}"
            time.sleep(0.05)
        address = self.address.read_text()
        self.address.unlink()
        return address


@contextmanager
def mcp_remote(server: Server, folder: Path, mode: str, port: int) -> Iterator[Program]:
    """mcp-remote as a proxy between the test and the server; it keeps its tokens in the test's folder."""
    proxy = str(need_package("mcp-remote") / "dist" / "proxy.js")
    options = ["--protocol", mode, "--transport", "http-only"]
    environ = {"BROWSER": str(folder / "browser"), "MCP_REMOTE_CONFIG_DIR": str(folder / "tokens")}
    with Program(folder, find_node(), proxy, server.url + "/mcp", str(port), *options, **environ) as program:
        yield program


def shake_hands(program: Program) -> str:
    """Begin the session with the local side of the proxy; answers the version."""
    client = {"name": "desktop", "version": "1.0.0"}
    hello = ask(program, "initialize", protocolVersion=HANDSHAKE, capabilities={}, clientInfo=client)
    program.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return hello["protocolVersion"]


def ask(program: Program, method: str, **params: Any) -> dict[str, Any]:
    """One request over stdio, and its result."""
    program.send({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    answer = program.receive()
    assert answer.get("id") == method, answer
    assert "result" in answer, answer
    return answer["result"]


@pytest.mark.node
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux opens the browser of $BROWSER")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_mcp_remote_signs_in_through_the_browser_and_once_only(server: Server, alice: Person, tmp_path: Path, mode: str):
    browser, port, word = Browser(tmp_path), free_port(), f"mcp-remote {mode}"
    with mcp_remote(server, tmp_path, mode, port) as program:
        callback = alice.decide(browser.take_address(program))
        assert callback.startswith(f"http://localhost:{port}/oauth/callback?")
        assert program.log.index("OAuth callback server running") < program.log.index("Please authorize this client")
        assert parse_qs(urlsplit(callback).query)["iss"] == [server.url]
        assert alice.get(callback).status_code == 200
        assert shake_hands(program) == HANDSHAKE
        assert (f"Remote server speaks MCP {STATELESS}" in program.log) is (mode == "auto")
        assert {"status_get_work", "status_set_work"} <= {tool["name"] for tool in ask(program, "tools/list")["tools"]}
        answer = ask(program, "tools/call", name="status_set_work", arguments={"workStatus": word})
        assert answer["structuredContent"]["workStatus"] == word
        contents = ask(program, "resources/read", uri=TODAY)["contents"]
        assert json.loads(contents[0]["text"])["workStatus"] == word
        assert "Refreshed the access token" in program.log
    with mcp_remote(server, tmp_path, mode, port) as program:
        assert shake_hands(program) == HANDSHAKE
        answer = ask(program, "tools/call", name="status_get_work", arguments={})
        assert answer["structuredContent"]["workStatus"] == word
        assert not browser.address.exists()


# --- what the tests above need ---


@pytest.mark.parametrize("installed", [None, '{"version": "0.15.0"}'])
def test_a_package_that_is_not_installed_as_pinned_names_the_command(tmp_path: Path, installed: str | None):
    (tmp_path / "package.json").write_text('{"dependencies": {"mcp-remote": "0.15.1"}}')
    if installed:
        (tmp_path / "node_modules" / "mcp-remote").mkdir(parents=True)
        (tmp_path / "node_modules" / "mcp-remote" / "package.json").write_text(installed)
    with pytest.raises(pytest.skip.Exception, match=r"mcp-remote 0\.15\.1 .+ Run: npm ci --prefix tests/node"):
        need_package("mcp-remote", tmp_path)

"""`/mcp` on a real gunicorn: broken connections, long bodies, stopping, and the Python SDK's client in both eras."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack

import httpx2
import pytest
from grants import make_fixture_token
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from patience import wait_until
from server import Server, running_server

pytestmark = pytest.mark.server

MODERN = "2026-07-28"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
PATIENCE = 30  # a stream begins after three seconds, and the machine may be busy


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mcp"), "fixture_connector", THREADS="4") as running:
        running.token = make_fixture_token(running)
        yield running


def head(server: Server, *lines: str) -> bytes:
    """The head of a POST with a good token."""
    usual = (
        "POST /mcp/conformance HTTP/1.1",
        f"Host: localhost:{server.port}",
        f"Authorization: Bearer {server.token}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
    )
    return "\r\n".join((*usual, *lines, "", "")).encode()


def call(server: Server, tool: str, *, modern: bool) -> bytes:
    """A whole `tools/call`."""
    params = {"name": tool, "arguments": {}} | ({"_meta": ENVELOPE} if modern else {})
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    lines = [f"Content-Length: {len(body)}"]
    if modern:
        lines += [f"MCP-Protocol-Version: {MODERN}", "Mcp-Method: tools/call", f"Mcp-Name: {tool}"]
    return head(server, *lines) + body


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to `end` or the end of the connection."""
    read = b""
    while end not in read and (piece := connection.recv(65536)):
        read += piece
    return read


def count(server: Server, line: str) -> int:
    return server.log.count(line)


def test_more_streams_than_threads_leave_the_server_answering(server):
    with ExitStack() as clients:
        connections = [clients.enter_context(connect(server)) for _ in range(6)]
        for connection in connections:
            connection.sendall(call(server, "wait_until_cancelled", modern=True))
        states = sorted(read_until(connection, b"\r\n\r\n").split()[1] for connection in connections)

        assert states == [b"200"] * 3 + [b"503"] * 3
        assert server.answers()
        cancels = count(server, "the fixture was cancelled")
    wait_until(lambda: count(server, "the fixture was cancelled") == cancels + 3)


def test_a_broken_connection_cancels_at_once_in_the_stateless_era(server):
    waits, cancels = count(server, "the fixture waits"), count(server, "the fixture was cancelled")
    with connect(server) as connection:
        connection.sendall(call(server, "wait_until_cancelled", modern=True))
        assert b": open" in read_until(connection, b": open")
        wait_until(lambda: count(server, "the fixture waits") == waits + 1)

    wait_until(lambda: count(server, "the fixture was cancelled") == cancels + 1)


@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_a_body_that_is_too_long_is_refused_and_the_connection_closed(server, kind):
    with connect(server) as connection:
        if kind == "declared":
            connection.sendall(head(server, "Content-Length: 5000000000"))
        else:
            connection.sendall(head(server, "Transfer-Encoding: chunked") + b"410000\r\n" + b" " * 0x410000)
        answer = read_until(connection, b"4 MiB")

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert read_until(connection, b"never") == b""  # it says nothing more, and hangs up


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_request_that_is_cut_off_harms_nobody(server, cut):
    whole = call(server, "test_simple_text", modern=True)
    with connect(server) as connection:
        connection.sendall(whole[: int(len(whole) * cut)])

    assert server.answers()


def test_stopping_does_not_wait_for_streams(tmp_path):
    with running_server(tmp_path, "fixture_connector") as server:
        server.token = make_fixture_token(server)
        with connect(server) as modern, connect(server) as handshake:
            modern.sendall(call(server, "wait_until_cancelled", modern=True))
            handshake.sendall(call(server, "wait_until_cancelled", modern=False))
            wait_until(lambda: count(server, "the fixture waits") == 2)
            began = time.monotonic()

            assert server.stop() == 0

            assert time.monotonic() - began < 9.5  # gunicorn would wait for ten
            assert count(server, "the fixture was cancelled") == 2


# --- the Python SDK's own client ---


async def use_everything(server: Server, mode: str) -> dict:
    """What a client of the SDK gets: tools, progress, an answered question, a resource and the prompts."""
    headers, steps = {"Authorization": f"Bearer {server.token}"}, []

    async def accept(_context, _params):
        return ElicitResult(action="accept", content={"response": "yes"})

    async def note(progress, _total, _message):
        steps.append(progress)

    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False) as http:
        transport = streamable_http_client(f"{server.url}/mcp/conformance", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=accept) as client:
            await client.call_tool("test_tool_with_progress", {}, progress_callback=note)
            asked = await client.call_tool("test_elicitation", {"message": "?"})
            read = await client.read_resource("test://template/5/data")
            return {
                "version": client.protocol_version,
                "tools": len((await client.list_tools()).tools) > 20,
                "progress": steps,
                "answer": asked.content[0].text,
                "resource": json.loads(read.contents[0].text)["id"],
                "prompts": len((await client.list_prompts()).prompts) > 4,
            }


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", MODERN), (MODERN, MODERN)])
def test_the_python_sdk_can_use_everything_in_both_eras(server, mode, version):
    assert asyncio.run(use_everything(server, mode)) == {
        "version": version,
        "tools": True,
        "progress": [0, 50, 100],
        "answer": 'User response: action=accept, content={"response": "yes"}',
        "resource": "5",
        "prompts": True,
    }

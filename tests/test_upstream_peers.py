"""Sessions with the Python SDK's own server, over both HTTP transports and in every revision of the protocol."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until
from test_upstream_http import Ear, ignore

from errors import Cancelled, UpstreamRefused
from fetch import Fetcher
from links import HttpTarget, Link
from tools import Call
from upstream_http import HttpLink
from upstream_sse import SseLink

ROOT = Path(__file__).parent.parent
PEERS = ("http", "http 2025-11-25", "http 2025-06-18", "http 2025-03-26", "sse", "sse 2025-11-25")
SOME_ASKED = {"elicitation": {}, "sampling": {}, "roots": {}}


@pytest.fixture(scope="module", params=PEERS)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A running server, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kind, *revision = request.param.split()
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PATH": os.environ["PATH"]}
    command = [sys.executable, str(ROOT / "tests" / "sdk_server.py"), kind, str(port), *revision]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path_factory.mktemp("peer"))
    try:
        wait_until(lambda: is_open(port))
        yield request.param, port
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def link(peer: tuple[str, int]) -> Iterator[Link]:
    """A session with it."""
    kind, port = peer
    make, path = (SseLink, "/sse") if kind.startswith("sse") else (HttpLink, "/mcp")
    opened = make(HttpTarget(f"http://127.0.0.1:{port}{path}", seconds=20), Fetcher({f"127.0.0.1:{port}"}), SOME_ASKED, ignore)
    yield opened
    opened.close()


def call(link: Link, name: str, caller: Call, **arguments: Any) -> dict[str, Any]:
    """Call a tool."""
    return link.request("tools/call", {"name": name, "arguments": arguments}, caller)


def texts(result: dict[str, Any]) -> list[str]:
    """The texts in a result."""
    return [block["text"] for block in result["content"]]


def test_it_agrees_on_the_newest_revision_that_both_speak(peer, link):
    revision = peer[0].split()[1] if " " in peer[0] else "2026-07-28"
    assert (link.greeting.version, link.greeting.is_modern) == (revision, " " not in peer[0])
    assert (link.greeting.server["name"], link.greeting.instructions) == ("sdk-fixture", "Behind the gateway.")


def test_it_lists_calls_and_is_refused(link):
    assert "test_simple_text" in {tool["name"] for tool in link.request("tools/list", {}, Call())["tools"]}
    assert texts(call(link, "test_simple_text", Call())) == ["This is a simple text response for testing."]
    assert call(link, "test_error_handling", Call())["isError"] is True
    with pytest.raises(UpstreamRefused, match="error -32602"):
        link.request("prompts/get", {"name": "no such prompt"}, Call())
    assert call(link, "test_image_content", Call())["content"][0]["type"] == "image"


def test_progress_arrives_while_the_tool_runs(link):
    caller = Ear()
    call(link, "test_tool_with_progress", caller)
    assert [progress for progress, *_ in caller.said] == [0, 50, 100]


def test_a_person_is_asked(link):
    caller = Ear(lambda: {"action": "accept", "content": {"response": "yes"}})
    result = call(link, "test_elicitation", caller, message="Really?")
    if link.greeting.is_modern:
        assert result["resultType"] == "input_required"
        (key, asked), *_ = result["inputRequests"].items()
        assert (asked["method"], asked["params"]["message"]) == ("elicitation/create", "Really?")
        again = {"name": "test_elicitation", "arguments": {"message": "Really?"}, "inputResponses": {key: caller.ask("", "", {})}}
        result = link.request("tools/call", again | {"requestState": result["requestState"]}, caller)
    assert caller.said[0][0][0] in ("elicitation/create", "")
    assert "accept" in texts(result)[0]


def test_cancelling_ends_the_wait_and_nothing_else(link):
    caller = Ear()
    caller.progress = lambda *_: caller.cancelled.set()
    with pytest.raises(Cancelled):
        call(link, "test_tool_with_progress", caller)
    assert texts(call(link, "test_simple_text", Call()))


def test_many_threads_share_one_session(link):
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.extend(texts(call(link, "test_simple_text", Call())))) for _ in range(12)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    assert time.monotonic() - started < 20

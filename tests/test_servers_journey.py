"""From a pasted file to a called tool: servers that are not ours, by an address and as a command, through a running Postern."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from actors import Assistant, Person, setup_code
from behind import SDK_SERVER, SEARCH_PATH, running_sdk_server
from server import Server, running_server

pytestmark = pytest.mark.server


@dataclass
class Journey:
    """A running Postern with Alice and her assistant, and a server behind `port`."""

    server: Server
    alice: Person
    assistant: Assistant
    port: int

    def tools(self) -> list[str]:
        """The names that the assistant is told."""
        return [tool["name"] for tool in self.assistant.call("tools/list").json()["result"]["tools"]]

    def wait_for(self, *names: str) -> None:
        """Return once the assistant is told of these tools: their servers are looked at while the page goes on."""
        deadline = time.monotonic() + 30
        while not set(names) <= set(self.tools()):
            assert time.monotonic() < deadline, self.tools()
            time.sleep(0.2)

    def call(self, name: str) -> dict:
        """The answer to a call, which may come as a stream."""
        answer = self.assistant.call("tools/call", {"name": name, "arguments": {}})
        return json.loads(answer.text.rpartition("data: ")[2])

    def open(self, name: str) -> requests.Response:
        """The page of one of Alice's connections."""
        path = self.alice.get("/admin").text.split(f'aria-label="Edit {name}"', maxsplit=1)[0].rsplit('href="', maxsplit=1)[1]
        return self.alice.get(path.split('"', maxsplit=1)[0])

    def children(self) -> list[str]:
        """The processes on this machine that run the command."""
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        mark = str(self.server.folder).encode()
        return [line.decode() for line in lines if mark in line and str(SDK_SERVER).encode() in line]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp("journey")
    with running_sdk_server(folder / "sdk", "http") as port:
        environ = {"ALLOW_STDIO": "1", "ALLOW_STDIO_UNCONFINED": "1", "ALLOW_PRIVATE_UPSTREAMS": f"127.0.0.1:{port}"}
        with running_server(folder / "postern", **environ) as server:
            alice = Person(server.url, "alice")
            alice.set_up(setup_code(server.log))
            assistant = Assistant(server.url)
            assistant.sign_in(alice)
            yield Journey(server, alice, assistant, port)


def test_a_pasted_file_becomes_tools_that_can_be_called(journey: Journey):
    arguments = ["-X", f"of={journey.server.folder}", str(SDK_SERVER), "stdio"]  # -X: so that we know our own processes
    document = {
        "mcpServers": {
            "far": {"url": f"http://127.0.0.1:{journey.port}/mcp", "headers": {"X-Team": "${env:TEAM}"}},
            "near": {"command": sys.executable, "args": arguments, "env": {"PYTHONPATH": SEARCH_PATH}},
        }
    }
    page = journey.alice.submit(journey.alice.get("/connections/import"), button=("action", "read"), text=json.dumps(document))
    assert sys.executable in page.text
    page = journey.alice.submit(page, button=("action", "save"), **{"0.input:TEAM": "blue"})
    assert page.url.endswith("/admin"), page.text
    journey.wait_for("far_test_simple_text", "near_test_simple_text")
    for name in ("far_test_simple_text", "near_test_simple_text"):
        result = journey.call(name)["result"]
        assert (result["content"][0]["type"], result.get("isError", False)) == ("text", False)
    assert len(journey.children()) >= 1


@pytest.mark.parametrize("name", ["far", "near"])
def test_the_test_button_tells_what_it_found(journey: Journey, name: str):
    page = journey.alice.submit(journey.open(name), button=("action", "test"))
    assert page.status_code == 200, page.text
    assert "It answers: “" in page.text
    assert "which offers tools and prompts and resources." in page.text


def test_a_server_that_is_switched_off_is_not_listed_not_called_and_not_running(journey: Journey):
    journey.alice.submit(journey.open("near"), button=("action", "off"))
    names = journey.tools()
    assert "far_test_simple_text" in names
    assert not [name for name in names if name.startswith("near_")]
    assert journey.call("near_test_simple_text")["error"]["code"] == -32602
    deadline = time.monotonic() + 10
    while journey.children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert journey.children() == []
    journey.alice.submit(journey.open("near"), button=("action", "on"))
    journey.wait_for("near_test_simple_text")
    assert not journey.call("near_test_simple_text")["result"].get("isError", False)


def test_a_server_that_is_deleted_is_gone(journey: Journey):
    journey.alice.submit(journey.open("far"), button=("action", "delete"))
    assert not [name for name in journey.tools() if name.startswith("far_")]

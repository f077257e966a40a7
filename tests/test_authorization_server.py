"""Our authorization server as others judge it: the strict client oauth4webapi, and the conformance suite's own scenarios."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from actors import Assistant, Person, setup_code
from npm import FOLDER, STOP_SECONDS, Program, find_node, need_package
from server import Server, free_port, running_server

pytestmark = [pytest.mark.server, pytest.mark.node]

CALLBACK = "http://localhost:3119/callback"
SCENARIOS = {"authorization-server-metadata-endpoint", "authorization-code-grant"}
CHECKS = ["authorization-code-grant", "authorization-server-metadata", "authorization-server-metadata-cimd"]  # of both


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("strict")) as running:
        Person(running.url).set_up(setup_code(running.log))
        yield running


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_strict_client_accepts_every_answer_from_discovery_to_revocation(server: Server, tmp_path: Path, method: str):
    need_package("oauth4webapi")
    mcp_url = server.url + "/mcp"
    with Program(tmp_path, find_node(), str(FOLDER / "strict.mjs"), mcp_url, CALLBACK, method) as client:
        client.send(Person(server.url).decide(client.receive()["authorize"]))
        report = client.receive()["report"]
    for token in (report.pop("first"), report.pop("before")):
        assert {name: token[name] for name in ("active", "aud", "iss", "scope", "token_type")} == {
            "active": True, "aud": mcp_url, "iss": server.url, "scope": "mcp", "token_type": "Bearer",
        }  # fmt: skip
    assert report == {
        "method": method,
        "rotated": True,
        "used": {"jsonrpc": "2.0", "id": 1, "result": {}},
        "after": {"active": False},
        "call": "invalid_token",
        "refresh": "invalid_grant",
    }


def test_every_scenario_of_the_conformance_suite_for_authorization_servers_passes(server: Server, tmp_path: Path):
    suite = need_package("@modelcontextprotocol/conformance") / "dist" / "index.js"
    port = free_port()
    client = Assistant(server.url, f"http://127.0.0.1:{port}/callback")
    words = ["--url", server.url, "--client-id", client.client_id, "--resource", server.url + "/mcp", "--port", str(port)]
    command = (find_node(), str(suite), "authorization", *words, "--output-dir", str(tmp_path / "found"))
    with Program(tmp_path, *command) as running:
        url = next(line.strip() for line in running.process.stdout if line.startswith(server.url + "/authorize?"))
        callback = Person(server.url).decide(url)
        assert client.session.get(callback, timeout=10).status_code == 200
        said = running.process.stdout.read()
        assert running.process.wait(STOP_SECONDS) == 0, said
    checks = [check for path in (tmp_path / "found").glob("*/checks.json") for check in json.loads(path.read_text())]
    assert {check["status"] for check in checks} == {"SUCCESS"}, said
    assert sorted(check["id"] for check in checks) == CHECKS


def test_the_conformance_suite_has_no_scenario_that_is_left_out():
    suite = need_package("@modelcontextprotocol/conformance") / "dist" / "index.js"
    command = [find_node(), str(suite), "list", "--authorization"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    names = {line.split()[1] for line in listed.stdout.splitlines() if line.startswith("  - ")}
    assert names == SCENARIOS

"""The official conformance suite through the gateway: the same checks pass, whatever way leads to the server behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from behind import connect, draft_for, running_sdk_server
from era_client import MODERN, EraClient
from loopback_proxy import loopback_proxy
from server import running_server
from test_conformance import EXPECTED, NOT_OFFERED, run_suite

pytestmark = [pytest.mark.server, pytest.mark.node]


@pytest.fixture(scope="module", params=["http", "sse", "stdio"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Two workers with a connection to the Python SDK's server, behind a proxy that has a token."""
    folder, kind = tmp_path_factory.mktemp("behind"), request.param
    with ExitStack() as stack:
        port = 0 if kind == "stdio" else stack.enter_context(running_sdk_server(folder / "sdk", kind))
        allowed = {"ALLOW_STDIO": "1", "ALLOW_STDIO_UNCONFINED": "1"}
        if port:
            allowed = {"ALLOW_PRIVATE_UPSTREAMS": f"127.0.0.1:{port}"}
        server = stack.enter_context(running_server(folder / "postern", WORKERS="2", **allowed))
        token = connect(server, draft_for(kind, port))
        client = EraClient(f"{server.url}/mcp/behind", token, MODERN)
        for _ in range(20):  # each time at one worker or the other: starting a command takes longer than the suite waits
            assert client.request("tools/call", {"name": "test_simple_text", "arguments": {}})["content"]
        origin = stack.enter_context(loopback_proxy(server.url, token))
        yield SimpleNamespace(url=f"{origin}/mcp/behind", server=server)


@pytest.mark.parametrize(("revision", "passing", "exceptions"), EXPECTED, ids=[row[0] for row in EXPECTED])
def test_the_conformance_suite_passes_through_the_gateway(
    gate: SimpleNamespace, tmp_path: Path, revision: str, passing: int, exceptions: set[tuple[str, str]]
):
    checks = [check for check in run_suite(gate.url, revision, tmp_path) if check[0] not in NOT_OFFERED]

    unexpected = [check for check in checks if check[1] not in ("SUCCESS", "INFO") and check[1:3] not in exceptions]
    assert unexpected == []
    assert Counter(status for _, status, _, _ in checks)["SUCCESS"] == passing, checks
    assert "error " not in gate.server.log

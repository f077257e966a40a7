"""upstream_greeting.py: how a session begins with servers of either era, and with ones that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from errors import UpstreamError, UpstreamRefused
from upstream_greeting import NoCommonVersion, discover, initialize
from upstream_rpc import Rpc

FOUND = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "instructions": "Be kind."}
REFUSED = {"code": -32601, "message": "Method not found"}


class Server:
    """A server that answers each request with the next of `outcomes`, at once."""

    def __init__(self, *outcomes: dict[str, Any]):
        self.outcomes = list(outcomes)
        self.got: list[dict[str, Any]] = []
        self.rpc = Rpc(self.take, lambda *_: None, {"roots": {}})

    def take(self, message: dict[str, Any]) -> None:
        """The `send` of the session."""
        self.got.append(message)
        if "id" in message:
            self.rpc.take({"jsonrpc": "2.0", "id": message["id"]} | self.outcomes.pop(0))


def unsupported(*versions: Any) -> dict[str, Any]:
    """What a server of the stateless era says to a version that it does not know."""
    return {"error": {"code": -32022, "message": "Unsupported", "data": {"supported": list(versions)}}}


def test_the_handshake_offers_the_newest_version_and_takes_an_older_one():
    about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "x", "y": 1}}
    server = Server({"result": {"protocolVersion": "2025-03-26"} | about})
    greeting = initialize(server.rpc, 5)
    assert (greeting.version, greeting.is_modern, greeting.server) == ("2025-03-26", False, {"name": "x", "y": 1})
    assert (greeting.capabilities, greeting.instructions) == ({"tools": {}}, None)
    assert server.got[0]["params"]["protocolVersion"] == "2025-11-25"
    assert server.got[0]["params"]["capabilities"] == {"roots": {}}
    assert server.got[1:] == [{"jsonrpc": "2.0", "method": "notifications/initialized"}]


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", None, 7, ["2025-11-25"]])
def test_the_handshake_refuses_a_version_that_has_none(version: Any):
    server = Server({"result": {"protocolVersion": version, "capabilities": {}, "serverInfo": {}}})
    with pytest.raises(UpstreamError):
        initialize(server.rpc, 5)
    assert len(server.got) == 1


def test_odd_members_of_a_greeting_are_left_out():
    server = Server({"result": {"protocolVersion": "2025-11-25", "capabilities": [], "serverInfo": "x", "instructions": 7}})
    greeting = initialize(server.rpc, 5)
    assert (greeting.capabilities, greeting.server, greeting.instructions) == ({}, {}, None)


def test_a_server_of_the_stateless_era_is_found():
    server = Server({"result": FOUND | {"_meta": {"io.modelcontextprotocol/serverInfo": {"name": "x"}}}})
    greeting = discover(server.rpc, 5)
    assert greeting
    assert (greeting.version, greeting.is_modern, greeting.server) == ("2026-07-28", True, {"name": "x"})
    assert greeting.instructions == "Be kind."
    assert server.rpc.modern == "2026-07-28"
    assert server.got[0]["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"


@pytest.mark.parametrize(
    "outcome",
    [
        {"error": REFUSED},
        {"error": {"code": -32602, "message": "Invalid request parameters"}},
        {"error": {"code": -32022, "message": "no list"}},
        unsupported("2025-11-25", "2025-06-18"),
        {"result": FOUND | {"supportedVersions": ["2025-11-25"]}},
        {"result": FOUND | {"supportedVersions": "2026-07-28"}},
        {"result": {}},
    ],
)
def test_anything_else_is_an_older_server(outcome: dict[str, Any]):
    server = Server(outcome)
    assert discover(server.rpc, 5) is None
    assert server.rpc.modern is None


@pytest.mark.parametrize("versions", [["2099-01-01"], []])
def test_a_server_that_only_speaks_other_versions_of_that_era_is_an_error(versions: list[str]):
    server = Server(unsupported(*versions))
    with pytest.raises(NoCommonVersion):
        discover(server.rpc, 5)


def test_a_refused_handshake_is_the_callers_matter():
    server = Server({"error": REFUSED})
    with pytest.raises(UpstreamRefused):
        initialize(server.rpc, 5)

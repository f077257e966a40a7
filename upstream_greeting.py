"""How a session with an MCP server begins, in either era: what we say first, and what its answer means. Knows no transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_types import SERVER_INFO_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from errors import UpstreamError, UpstreamRefused
from links import PRODUCT, Greeting
from tools import Call
from upstream_rpc import Rpc

NO_COMMON_VERSION = "The server speaks no version of MCP that we do."
LISTS = ("tools", "prompts", "resources")
NO_GREETING = "The server's greeting cannot be understood."


class NoCommonVersion(UpstreamError):
    """The server is of the stateless era, and speaks no version of it that we do."""


def initialize(rpc: Rpc, seconds: float) -> Greeting:
    """The handshake (MCP 2025-11-25, basic/lifecycle). Raises UpstreamError, or UpstreamRefused."""
    rpc.modern = None
    greeting = read_initialized(rpc.request("initialize", initialize_params(rpc.capabilities), Call(), seconds))
    rpc.notify("notifications/initialized", {})
    return greeting


def discover(rpc: Rpc, seconds: float) -> Greeting | None:
    """Ask a server of the stateless era what it is (MCP 2026-07-28, server/discover); None if it seems to be an older one.

    On return `rpc.modern` says what was found out. Raises NoCommonVersion, and what `rpc.request` raises but for refusals: what
    silence means is for the caller to judge.
    """
    rpc.modern = LATEST_MODERN_VERSION
    for _ in range(2):
        try:
            greeting = read_discovered(rpc.request("server/discover", {}, Call(), seconds))
        except UpstreamRefused as error:
            rpc.modern, is_worth_another = next_version(error)
            if is_worth_another:
                continue
            return None
        rpc.modern = greeting.version if greeting else None
        return greeting
    raise NoCommonVersion(NO_COMMON_VERSION)


def next_version(error: UpstreamRefused) -> tuple[str | None, bool]:
    """After a refused `server/discover`: the version to use now, and whether to ask again with it, be it the same one.

    Only -32022 shows a server of the stateless era; an older one may say anything else (MCP 2026-07-28, basic/transports/stdio,
    "Backward Compatibility"). Raises NoCommonVersion.
    """
    supported = error.data.get("supported") if isinstance(error.data, dict) else None
    if error.code != UNSUPPORTED_PROTOCOL_VERSION or not isinstance(supported, list):
        return None, False
    common = [version for version in MODERN_PROTOCOL_VERSIONS if version in supported]
    if common:
        return common[-1], True
    if any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in supported):
        return None, False
    raise NoCommonVersion(NO_COMMON_VERSION)


def initialize_params(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """What we say at the handshake: the newest version that has one."""
    return {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": dict(capabilities), "clientInfo": PRODUCT}


def read_initialized(result: Mapping[str, Any]) -> Greeting:
    """The answer to `initialize`. Raises UpstreamError if it makes no sense or names a version that we do not speak."""
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise UpstreamError(NO_COMMON_VERSION if isinstance(version, str) else NO_GREETING)
    return read_greeting(str(version), False, result, result.get("serverInfo"))


def read_discovered(result: Mapping[str, Any]) -> Greeting | None:
    """The answer to `server/discover`; None if it names only versions of the handshake era, or makes no sense."""
    supported = result.get("supportedVersions")
    common = [version for version in MODERN_PROTOCOL_VERSIONS if version in supported] if isinstance(supported, list) else []
    if not common:
        return None
    meta = result.get("_meta")
    return read_greeting(common[-1], True, result, meta.get(SERVER_INFO_META_KEY) if isinstance(meta, dict) else None)


def read_greeting(version: str, is_modern: bool, result: Mapping[str, Any], server: Any) -> Greeting:
    """What both answers have in common."""
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Greeting(
        version=version,
        is_modern=is_modern,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        server=server if isinstance(server, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
    )


def find_wanted(capabilities: Mapping[str, Any]) -> dict[str, bool]:
    """The changes that a server offers to tell of, as `subscriptions/listen` names them."""
    offers = {kind: capabilities.get(kind) for kind in LISTS}
    return {f"{kind}ListChanged": True for kind, offer in offers.items() if isinstance(offer, dict) and offer.get("listChanged")}

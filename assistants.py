"""What known assistants send when they sign in, as their makers describe it. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

CODE_AND_REFRESH = ["authorization_code", "refresh_token"]
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class Assistant:
    """One assistant. `registration` is its body for /register (RFC 7591); `document` is what it publishes, under its id (CIMD).

    It asks for answers at `redirect_uris`, of which the first is its usual one. `port` is where it waits on the person's machine,
    and stands for `{port}`; 0 is any that is free.
    """

    title: str
    registration: Mapping[str, Any]
    redirect_uris: tuple[str, ...]
    document: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[str, ...] = ()  # the names of its programs in `clientInfo`, in the order in which they come
    names_scope: bool = True  # asks for what the 401 or the metadata offer, else for nothing
    port: int = 0
    protocol_version: str = "2025-11-25"


def public(title: str, *redirect_uris: str, **more: Any) -> Mapping[str, Any]:
    """The members that they have in common: all but those that sign are public clients."""
    metadata = {"client_name": title, "redirect_uris": list(redirect_uris), "grant_types": CODE_AND_REFRESH}
    return MappingProxyType(metadata | {"response_types": ["code"], "token_endpoint_auth_method": "none"} | more)


def chatgpt(path: str, redirect_uri: str) -> Mapping[str, Any]:
    """ChatGPT's description: one method in the member that the specification has, and both in one that it has not."""
    return public(
        "ChatGPT",
        redirect_uri,
        client_id=f"https://chatgpt.com/oauth/{path}",
        token_endpoint_auth_method="private_key_jwt",  # noqa: S106 - a method, not a secret
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        token_endpoint_auth_signing_alg="RS256",  # noqa: S106
        jwks_uri="https://chatgpt.com/oauth/jwks.json",
    )


CHATGPT_STABLE = "https://chatgpt.com/connector_platform_oauth_redirect"  # where `iss` is advertised and sent (RFC 9207)
CHATGPT_OWN = "https://chatgpt.com/connector/oauth/c0nn3ct10n"  # for one connection, elsewhere
CLAUDE = "https://claude.ai/api/mcp/auth_callback"
CODE_LOCALHOST, CODE_LOOPBACK = "http://localhost/callback", "http://127.0.0.1/callback"
CURSOR = (
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
)
VSCODE = (
    "https://insiders.vscode.dev/redirect",
    "https://vscode.dev/redirect",
    "http://127.0.0.1/",
    "http://127.0.0.1:33418/",
)

ASSISTANTS: Mapping[str, Assistant] = {
    "chatgpt": Assistant(
        "ChatGPT",
        public("ChatGPT", CHATGPT_STABLE),
        (CHATGPT_STABLE,),
        document=chatgpt("client.json", CHATGPT_STABLE),
        probes=("openai-mcp",),
        names_scope=False,
    ),
    "claude": Assistant(
        "Claude",
        public("Claude", CLAUDE, scope="mcp offline_access"),
        (CLAUDE,),
        document=public("Claude", CLAUDE, client_id="https://claude.ai/oauth/mcp-oauth-client-metadata"),
        probes=("Anthropic", "Anthropic/ClaudeAI"),
    ),
    "claude-code": Assistant(
        "Claude Code",
        public("Claude Code", CODE_LOCALHOST.replace("localhost", "localhost:{port}")),
        ("http://localhost:{port}/callback", "http://127.0.0.1:{port}/callback"),
        document=public(
            "Claude Code",
            CODE_LOCALHOST,
            CODE_LOOPBACK,
            client_id="https://claude.ai/oauth/claude-code-client-metadata",
        ),
        probes=("claude-code",),
    ),
    "cursor": Assistant("Cursor", public("Cursor", *CURSOR), CURSOR, probes=("cursor-vscode",), port=8787),
    "vscode": Assistant(
        "Visual Studio Code",
        public(
            "Visual Studio Code",
            *VSCODE,
            client_uri="https://code.visualstudio.com",
            grant_types=[*CODE_AND_REFRESH, DEVICE_CODE],
            application_type="native",
        ),
        ("http://127.0.0.1:{port}/", "https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"),
        document=public(
            "Visual Studio Code",
            "http://127.0.0.1:33418",
            "http://127.0.0.1:33418/",
            "https://vscode.dev/redirect",
            client_id="https://vscode.dev/oauth/client-metadata.json",
            grant_types=[*CODE_AND_REFRESH, DEVICE_CODE],
        ),
        probes=("Visual Studio Code",),
        port=33418,
    ),
    "codex": Assistant(
        "Codex",
        public("Codex", "http://127.0.0.1:{port}/callback"),
        ("http://127.0.0.1:{port}/callback", "http://localhost:{port}/callback"),
        document=public(
            "Codex",
            CODE_LOOPBACK,
            CODE_LOCALHOST,
            client_id="https://chatgpt.com/oauth/codex/client.json",
        ),
        probes=("codex-mcp-client",),
    ),
    "gemini": Assistant(
        "Gemini CLI",
        public("Gemini CLI MCP Client", "http://localhost:{port}/oauth/callback", scope=""),
        ("http://localhost:{port}/oauth/callback",),
        probes=("gemini-cli-mcp-client",),
        port=7777,
    ),
}

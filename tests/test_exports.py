"""exports.py: connections in the forms of other programs, with something to fill in where a secret was."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import NOW

from exports import FORMS, export
from store.connections import Connection

URL = "https://postern.example/mcp"


def connection(kind: str, name: str = "Wiki", secrets: tuple[str, ...] = (), **settings: Any) -> Connection:
    """One of a person's connections."""
    return Connection("c1", "u1", kind, name, settings, frozenset(secrets), NOW, NOW)


WIKI = connection(
    "remote_http", url="https://${input:HOST}/mcp?team=${input:TEAM}", auth="api_key", header_name="X-Key",
    header_template="Key {apiKey}", inputs={"HOST": "wiki.example", "TEAM": ""}, secrets=("api_key", "input:TEAM"),
)  # fmt: skip
FILES = connection("stdio", "My files", command="npx", args=["-y", "files@1"], env_names=["TOKEN"], cwd="/srv")
OLD = connection("remote_sse", "Old one", url="https://old.example/sse", auth="oauth", header_names=["X-A"])


def test_cursor_takes_secrets_from_the_environment():
    own, others = export("cursor", [WIKI, FILES, OLD], URL)
    assert own == {"mcpServers": {"postern": {"url": URL}}}
    assert others == {
        "mcpServers": {
            "wiki": {"url": "https://wiki.example/mcp?team=${env:TEAM}", "headers": {"X-Key": "Key ${env:WIKI_API_KEY}"}},
            "my-files": {"command": "npx", "args": ["-y", "files@1"], "env": {"TOKEN": "${env:MY_FILES_TOKEN}"}, "cwd": "/srv"},
            "old-one": {"url": "https://old.example/sse", "headers": {"X-A": "${env:OLD_ONE_X_A}"}, "type": "sse"},
        }
    }


def test_vs_code_asks_for_secrets():
    own, others = export("vscode", [WIKI, FILES, OLD], URL)
    assert own == {"servers": {"postern": {"type": "http", "url": URL}}}
    assert others["servers"]["wiki"] == {
        "type": "http",
        "url": "https://wiki.example/mcp?team=${input:TEAM}",
        "headers": {"X-Key": "Key ${input:Wiki_API_key}"},
    }
    assert others["servers"]["my-files"]["type"] == "stdio"
    assert others["servers"]["old-one"]["type"] == "sse"
    assert {row["id"] for row in others["inputs"]} == {"TEAM", "Wiki_API_key", "My_files_TOKEN", "Old_one_X_A"}
    assert all(row["password"] and row["type"] == "promptString" for row in others["inputs"])


def test_claude_desktop_knows_only_commands():
    own, others = export("claude_desktop", [OLD], URL)
    assert own == {"mcpServers": {"postern": {"command": "npx", "args": ["-y", "mcp-remote", URL]}}}
    arguments = ["-y", "mcp-remote", "https://old.example/sse", "--header", "X-A: ${input:Old_one_X_A}"]
    assert others == {"mcpServers": {"old-one": {"command": "npx", "args": arguments}}}


def test_a_password_becomes_one_value_to_fill_in():
    (server,) = export("vscode", [connection("remote_http", url="https://x.example", auth="basic")], URL)[1]["servers"].values()
    assert server["headers"] == {"Authorization": "Basic ${input:Wiki_basic}"}


@pytest.mark.parametrize("form", FORMS)
def test_names_stay_apart_and_other_connectors_stay_here(form: str):
    _, others = export(form, [OLD, OLD, connection("personal_context")], URL)
    assert list(others.get("mcpServers") or others["servers"]) == ["old-one", "old-one-2"]

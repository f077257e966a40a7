"""connectors/upstream_kinds.py: the forms of other MCP servers, and what a try says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from conftest import NOW

from connectors.catalog import CONNECTORS
from definitions import KINDS
from errors import InvalidInput, SignInNeeded, ToolError, UpstreamError
from forms import read_draft
from links import HttpTarget, StdioTarget
from tools import Call, Context, Greet

REMOTE = {"url": "https://x.example/mcp", "auth": "none", "seconds": "60"}
COMMAND = {"command": "tool", "seconds": "60"}


def look(kind: str, settings: Mapping[str, Any], greet: Greet | None, **secrets: str) -> str:
    """What the test button says."""
    context = Context("c1", settings, secrets, None, None, None, None, NOW, Call(), greet=greet)
    return CONNECTORS[kind].test(context)


def greeting(**facts: Any) -> Greet:
    """A server that says this of itself."""
    return lambda kind, target: {"version": "2025-11-25", "server": {}, "capabilities": {}} | facts


def failing(error: Exception) -> Greet:
    """A server that cannot be opened."""

    def greet(_kind: str, _target: Any) -> Mapping[str, Any]:
        raise error

    return greet


def test_all_three_kinds_are_there_and_are_upstreams():
    assert {name for name, connector in CONNECTORS.items() if connector.is_upstream} == set(KINDS)


# --- forms ---


def test_an_untouched_form_of_an_address_asks_for_a_sign_in_only_if_the_server_does():
    typed = {field.name: field.default for field in CONNECTORS["remote_http"].fields} | {"url": "https://x.example/mcp/"}
    draft = read_draft(CONNECTORS["remote_http"], typed)
    assert draft.settings == {
        "url": "https://x.example/mcp/", "auth": "oauth", "header_name": "Authorization", "header_template": "Bearer {key}",
        "client_id": "", "authorization_endpoint": "", "token_endpoint": "", "scope": "", "header_names": [], "seconds": 60,
    }  # fmt: skip
    assert draft.secrets == {}


def test_an_untouched_form_of_a_command_needs_only_the_command():
    typed = {field.name: field.default for field in CONNECTORS["stdio"].fields} | {"command": "npx"}
    assert read_draft(CONNECTORS["stdio"], typed).settings == {
        "command": "npx", "args": [], "env_names": [], "cwd": "", "seconds": 60
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "typed", "field", "mistake"),
    [
        ("remote_http", {"url": ""}, "url", "This is needed."),
        ("remote_http", {"url": "x.example"}, "url", "This is not an address that can be fetched"),
        ("remote_sse", {"url": "https://u:p@x.example"}, "url", "This is not an address that can be fetched"),
        ("remote_http", {"url": "https://x.example/${HOME}"}, "url", "${HOME} means nothing here."),
        ("remote_http", {"auth": "api_key"}, "api_key", "This is needed."),
        (
            "remote_http",
            {"auth": "api_key", "api_key": "k", "header_template": "Bearer"},
            "header_template",
            "It must hold {key}",
        ),
        ("remote_http", {"auth": "api_key", "api_key": "k", "header_name": "Host"}, "header_name", "“Host” is not a header"),
        ("remote_http", {"auth": "basic", "basic_user": "u"}, "basic_password", "This is needed."),
        ("remote_http", {"auth": "oauth", "token_endpoint": "token"}, "token_endpoint", "This is not an address"),
        ("remote_http", {"auth": "carrier-pigeon"}, "auth", "Please choose one of the list."),
        ("remote_http", {"header_names.0.name": "a b", "header_names.0.value": "c"}, "header_names", "“a b” is not a header"),
        ("remote_http", {"seconds": "0"}, "seconds", "This must be between 1 and 600."),
        ("stdio", {"command": ""}, "command", "This is needed."),
        ("stdio", {"command": "npx -y x"}, "command", "Only the program here"),
        ("stdio", {"command": "-x"}, "command", "Only the program here"),
        ("stdio", {"command": "${input:A}"}, "command", "Nothing is replaced here"),
        ("stdio", {"args": "a\n${workspaceFolder}"}, "args", "${workspaceFolder} means nothing here."),
        ("stdio", {"cwd": "here"}, "cwd", "This must be a whole path"),
        ("stdio", {"env_names.0.name": "A-B", "env_names.0.value": "c"}, "env_names", "“A-B” cannot be the name of a variable"),
    ],
)
def test_it_says_what_is_wrong_with_a_field(kind: str, typed: dict[str, str], field: str, mistake: str):
    with pytest.raises(InvalidInput) as refusal:
        read_draft(CONNECTORS[kind], (COMMAND if kind == "stdio" else REMOTE) | typed)
    assert set(refusal.value.fields) == {field}
    assert refusal.value.fields[field].startswith(mistake)


def test_placeholders_are_let_through_where_they_are_filled_in():
    for url in ("https://${input:HOST}/mcp", "${input:BASE}/mcp", "https://x.example/${input:A}?b=${input:B}"):
        assert read_draft(CONNECTORS["remote_http"], REMOTE | {"url": url}).settings["url"] == url
    assert read_draft(CONNECTORS["stdio"], COMMAND | {"args": "--x=${input:A}"}).settings["args"] == ["--x=${input:A}"]


# --- a try ---


def test_a_try_opens_just_what_was_typed_and_says_what_it_found():
    asked: list[tuple[str, Any]] = []

    def greet(kind: str, target: Any) -> Mapping[str, Any]:
        asked.append((kind, target))
        return {"server": {"name": "wiki", "version": "1.2"}, "capabilities": {"tools": {}, "resources": {}}}

    settings = {"url": "https://x.example/mcp", "auth": "api_key"}
    assert look("remote_http", settings, greet, api_key="k") == "It answers: “wiki” 1.2, which offers tools and resources."
    assert look("stdio", {"command": "tool"}, greet).startswith("It answers: ")
    assert asked == [
        ("remote_http", HttpTarget("https://x.example/mcp", {"Authorization": "Bearer k"}, 60)),
        ("stdio", StdioTarget("tool")),
    ]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "It answers: “no name”, which offers nothing."),
        ({"server": {"name": "w", "title": "The wiki"}}, "It answers: “The wiki”, which offers nothing."),
        ({"server": {"name": "a\u202eb" + "c" * 200}}, "It answers: “ab" + "c" * 77 + "…”, which offers nothing."),
        ({"server": {"name": 5, "version": ["x"]}}, "It answers: “5” ['x'], which offers nothing."),
    ],
)
def test_what_a_server_says_of_itself_is_only_quoted(facts: dict[str, Any], words: str):
    assert look("remote_http", {"url": "https://x.example/mcp"}, greeting(**facts)) == words


def test_a_server_that_wants_a_sign_in_is_a_good_sign_where_one_was_foreseen():
    url, needed = {"url": "https://x.example/mcp"}, failing(SignInNeeded("Please sign in."))
    assert look("remote_http", url | {"auth": "oauth"}, needed).startswith("It answers, and asks for a sign-in.")
    with pytest.raises(SignInNeeded, match=r"Please sign in\."):
        look("remote_http", url | {"auth": "none"}, needed)


@pytest.mark.parametrize(
    ("settings", "greet", "sentence"),
    [
        ({"url": "https://x.example/${input:A}"}, greeting(), "The value “A” is missing."),
        ({"url": "https://x.example", "auth": "api_key"}, greeting(), "There is no value for the API key."),
        ({"url": "https://x.example"}, failing(UpstreamError("x.example did not answer in time.")), "x.example did not answer"),
        ({"url": "https://x.example"}, None, "No server can be tried here."),
    ],
)
def test_a_try_that_fails_says_why(settings: dict[str, Any], greet: Greet | None, sentence: str):
    with pytest.raises(ToolError) as refusal:
        look("remote_http", settings, greet)
    assert str(refusal.value).startswith(sentence)

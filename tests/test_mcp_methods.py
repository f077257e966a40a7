"""The table of methods: what each one asks of the toolbox."""

from __future__ import annotations

import pytest
from mcp_types.methods import CLIENT_REQUESTS

from errors import ProtocolError
from mcp_methods import LISTENING, METHODS
from protocol import Request
from tools import Call


class Recorder:
    """A toolbox that answers with how it was called."""

    def __getattr__(self, name):
        return lambda *arguments, **options: [name, *arguments, *options.values()]


class Empty:
    """A toolbox that has no such resource."""

    def read_resource(self, caller, uri, call):
        return None


CALL = Call()


def run(method, toolbox=None, modern=True, **params):
    request = Request(1, method, params, "2026-07-28" if modern else "2025-11-25", modern, {})
    return METHODS[method](toolbox or Recorder(), "alice", request, CALL)


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("tools/list", {}, {"tools": ["list_tools", "alice", True]}),
        ("resources/list", {"cursor": None}, {"resources": ["list_resources", "alice"]}),
        ("resources/templates/list", {}, {"resourceTemplates": ["list_templates", "alice"]}),
        ("prompts/list", {}, {"prompts": ["list_prompts", "alice"]}),
        ("tools/call", {"name": "a"}, ["call_tool", "alice", "a", {}, CALL]),
        ("tools/call", {"name": "a", "arguments": {"b": 1}}, ["call_tool", "alice", "a", {"b": 1}, CALL]),
        ("resources/read", {"uri": "a:b"}, {"contents": ["read_resource", "alice", "a:b", CALL]}),
        ("prompts/get", {"name": "a", "arguments": None}, ["get_prompt", "alice", "a", {}, CALL]),
        ("completion/complete", {"ref": 1, "argument": 2}, {"completion": ["complete", "alice", 1, 2, CALL, None]}),
        ("ping", {}, {}),
        ("logging/setLevel", {"level": "debug"}, {}),
        ("server/discover", {}, {"supportedVersions": ["2026-07-28"], "capabilities": LISTENING}),
    ],
)
def test_each_method_goes_to_its_part_of_the_toolbox(method, params, result):
    assert run(method, **params) == result


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
def test_a_cursor_that_was_never_issued_is_refused(method):
    with pytest.raises(ProtocolError) as caught:
        run(method, cursor="2")
    assert caught.value.code == -32602


@pytest.mark.parametrize(("modern", "code"), [(True, -32602), (False, -32002)])
def test_an_unknown_resource_has_the_code_of_its_era(modern, code):
    with pytest.raises(ProtocolError) as caught:
        run("resources/read", Empty(), modern, uri="a:b")
    assert (caught.value.code, caught.value.data) == (code, {"uri": "a:b"})


def test_every_method_of_the_specification_has_a_place():
    in_mcp_listen = {"subscriptions/listen"}

    assert {method for method, _ in CLIENT_REQUESTS} == METHODS.keys() | in_mcp_listen

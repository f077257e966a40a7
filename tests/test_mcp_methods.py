"""The table of methods: what each one asks of the toolbox."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mcp_types.methods import CLIENT_REQUESTS

from errors import ProtocolError, ToolError
from mcp_methods import METHODS, PAUSED, SUBSCRIBING
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
ALICE, PAUSED_ALICE = SimpleNamespace(paused_at=None), SimpleNamespace(paused_at=1)


def run(method, toolbox=None, modern=True, caller=ALICE, **params):
    request = Request(1, method, params, "2026-07-28" if modern else "2025-11-25", modern, {})
    return METHODS[method](toolbox or Recorder(), caller, request, CALL)


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("tools/list", {}, {"tools": ["list_tools", ALICE, True]}),
        ("resources/list", {"cursor": None}, {"resources": ["list_resources", ALICE]}),
        ("resources/templates/list", {}, {"resourceTemplates": ["list_templates", ALICE]}),
        ("prompts/list", {}, {"prompts": ["list_prompts", ALICE]}),
        ("tools/call", {"name": "a"}, ["call_tool", ALICE, "a", {}, CALL]),
        ("tools/call", {"name": "a", "arguments": {"b": 1}}, ["call_tool", ALICE, "a", {"b": 1}, CALL]),
        ("resources/read", {"uri": "a:b"}, ["read_resource", ALICE, "a:b", CALL]),
        ("prompts/get", {"name": "a", "arguments": None}, ["get_prompt", ALICE, "a", {}, CALL]),
        ("completion/complete", {"ref": 1, "argument": 2}, ["complete", ALICE, 1, 2, CALL, None]),
        ("ping", {}, {}),
        ("logging/setLevel", {"level": "debug"}, {}),
        ("server/discover", {}, {"supportedVersions": ["2026-07-28"], "capabilities": SUBSCRIBING}),
    ],
)
def test_each_method_goes_to_its_part_of_the_toolbox(method, params, result):
    assert run(method, **params) == result


@pytest.mark.parametrize(("modern", "kept"), [(True, {"structuredContent": [1]}), (False, {})])
def test_structured_content_that_is_no_object_is_for_new_clients_only(modern, kept):
    class Lists:
        def call_tool(self, caller, name, arguments, call):
            return {"content": [], "structuredContent": [1]}

    assert run("tools/call", Lists(), modern, name="a") == {"content": []} | kept


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
    in_the_bridge = {"subscriptions/listen", "resources/subscribe", "resources/unsubscribe"}

    assert {method for method, _ in CLIENT_REQUESTS} == METHODS.keys() | in_the_bridge


LISTS = ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]
WORK = {
    "resources/read": {"uri": "a:b"},
    "prompts/get": {"name": "a"},
    "completion/complete": {"ref": 1, "argument": 2},
}


def test_a_paused_client_is_told_so_by_the_tool():
    result = run("tools/call", caller=PAUSED_ALICE, name="a")
    assert result == {"content": [{"type": "text", "text": PAUSED}], "isError": True}


@pytest.mark.parametrize("method", WORK)
def test_for_a_paused_client_nothing_is_read(method):
    assert run(method, **WORK[method])
    with pytest.raises(ToolError) as refused:
        run(method, caller=PAUSED_ALICE, **WORK[method])
    assert str(refused.value) == PAUSED


@pytest.mark.parametrize("method", LISTS)
def test_a_paused_client_keeps_its_lists(method):
    (listing,) = run(method, caller=PAUSED_ALICE).values()
    assert listing[1] is PAUSED_ALICE

"""feature_checks.py: what may be passed on of another server's lists, each feature judged by itself."""

from __future__ import annotations

from typing import Any

import pytest
from fake_upstreams import a_tool
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from feature_checks import SIZE_MAX, check_feature, fits, sort_out
from store.features import Found

RICH = a_tool(
    "rich",
    title="Rich",
    icons=[{"src": "https://icons.example/a.png", "mimeType": "image/png", "sizes": ["48x48"]}],
    annotations={"readOnlyHint": True, "title": "R", "ours": 1},
    outputSchema={"type": "object", "properties": {"a": {"type": "string"}}},
    _meta={"com.example/x": [1, None]},
    unknown={"nested": None},
)


def test_a_rich_tool_is_kept_just_as_it_came():
    assert check_feature("tool", RICH) == Found("tool", "rich", RICH)


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS])
def test_what_was_found_sound_fits_into_a_list_of_every_version(version: str):
    assert fits("tool", RICH, version)


def test_an_output_schema_of_an_array_is_sound_though_old_clients_cannot_read_it():
    tool = a_tool("list", outputSchema={"type": "array"})
    assert check_feature("tool", tool).raw == tool
    assert [fits("tool", tool, version) for version in ("2025-11-25", "2026-07-28")] == [False, True]


def with_header(name: str, **more: Any) -> dict[str, Any]:
    """An input schema with one argument that is mirrored in a header."""
    return {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": name} | more}}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (a_tool("x", inputSchema={}), "not of an object"),
        (a_tool("x", inputSchema={"type": "array"}), "not of an object"),
        (a_tool("x", inputSchema=None), "not of an object"),
        (a_tool("x", inputSchema={"type": "object", "properties": []}), "no valid JSON Schema"),
        (a_tool("x", inputSchema={"type": "object", "properties": {"a": {"type": "strin"}}}), "no valid JSON Schema"),
        (a_tool("x", outputSchema="object"), "output schema that is none"),
        (a_tool("x", title=5), "does not follow the protocol"),
        (a_tool("x", annotations={"readOnlyHint": "yes"}), "does not follow the protocol"),
        (a_tool("x", icons=[{"src": 5}]), "does not follow the protocol"),
        (a_tool("x" * 257), "too long"),
        (a_tool(""), "no name"),
        (a_tool(5), "no name"),
        (a_tool("a\u202eb"), "invisible"),
        (a_tool("a\x1b[31m"), "invisible"),
        (a_tool("a\ud800"), "invisible"),
        (a_tool("x", description="d" * SIZE_MAX), "too large"),
        (a_tool("x", inputSchema=with_header("a b")), "x-mcp-header"),
        (a_tool("x", inputSchema=with_header("Region", type="number")), "x-mcp-header"),
        ("x", "no object"),
    ],
)
def test_what_is_unsound_is_told_by_its_fault(raw: Any, fault: str):
    with pytest.raises(ValueError, match=fault):
        check_feature("tool", raw)


def test_one_that_is_unsound_spoils_no_other_and_is_named():
    raws = [a_tool("a"), a_tool("b", inputSchema={}), a_tool("a", title="again"), {}, a_tool("c", title=None)]
    kept = list(sort_out("tool", raws))
    assert [item.name for item in kept if isinstance(item, Found)] == ["a", "c"]
    assert [item for item in kept if isinstance(item, str)] == [
        "The tool “b” has an input schema that is not of an object.",
        "The tool “a” comes twice.",
        "A tool has no name.",
    ]


@pytest.mark.parametrize(
    ("kind", "raw", "is_sound"),
    [
        ("prompt", {"name": "p", "arguments": [{"name": "a", "required": True}]}, True),
        ("prompt", {"name": "p", "arguments": [{}]}, False),
        ("resource", {"uri": "file:///a", "name": "a", "size": 5}, True),
        ("resource", {"uri": "file:///a"}, False),
        ("resource", {"uri": "file:///a", "name": "a", "size": "5"}, False),
        ("resource", {"uri": "a" * 2049, "name": "a"}, False),
        ("template", {"uriTemplate": "file:///{a}", "name": "a"}, True),
        ("template", {"uri": "file:///{a}", "name": "a"}, False),
    ],
)
def test_other_kinds_are_judged_too(kind: str, raw: dict[str, Any], is_sound: bool):
    (found,) = sort_out(kind, [raw])
    assert isinstance(found, Found) is is_sound

"""schemas.py, and what it makes of our tools: every one is accepted by the SDK and by OpenAI's rules, and all together fit."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import ROOT
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from argument_checks import check_pattern
from connectors.catalog import CONNECTORS
from connectors.custom import load_connector
from feature_checks import check_feature, fits
from listings import Shown, list_tool
from naming import exposed_name
from store.members import Member
from store.profile_features import UNCHANGED
from tools import Tool

EXAMPLE = load_connector(ROOT / "custom" / "dice.py")
TOOLS = [(connector.name, tool) for connector in (*CONNECTORS.values(), EXAMPLE) for tool in connector.tools]
PREFIX = "my_second_connection"
CEILINGS = {"all": 440_000, "core": 152_000}  # bytes of a whole tools/list; a model may have to read all of it
TOOL_CEILING = 6_000


def listing_of(tool: Tool, prefix: str = "") -> dict[str, Any]:
    """A tool as `tools/list` shows it."""
    member = Member("c1", "dice", "My second connection", prefix)
    return list_tool(tool, Shown(exposed_name(prefix, tool.name), member, UNCHANGED))


# --- OpenAI's rules: of functions, and the bounds of its schemas ---

KEYWORDS = {  # what its schemas may be made of
    "type", "description", "enum", "const", "default", "anyOf", "$ref", "$defs", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf",
}  # fmt: skip
AT_THE_ROOT = {"type", "properties", "required", "additionalProperties", "$defs", "description"}
PYTHONS_OWN = re.compile(r"\(\?[^:=!]|\\[AZzGQE]")  # what a pattern of JavaScript's does not know
NESTING_MAX, PROPERTIES_MAX, TEXT_MAX, ENUM_MAX, DESCRIPTION_MAX = 10, 5_000, 120_000, 1_000, 1_024


def subschemas(schema: dict[str, Any], depth: int = 1) -> Iterator[tuple[dict[str, Any], int]]:
    """A schema and all inside of it, each with how deep it lies."""
    yield schema, depth
    inside = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), schema.get("items")]
    for inner in (*inside, schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from subschemas(inner, depth + 1)
    for inner in schema.get("anyOf", ()):
        yield from subschemas(inner, depth)


def find_faults(tool: dict[str, Any]) -> list[str]:
    """Every rule that a listed tool breaks."""
    schema, every = tool["inputSchema"], list(subschemas(tool["inputSchema"]))
    return [fault for fault, is_broken in RULES.items() if is_broken(tool, schema, every)]


def has_loose_reference(schema: dict[str, Any], every: list[tuple[dict[str, Any], int]]) -> bool:
    """Whether a reference leads out of the schema, or nowhere."""
    references = {part["$ref"] for part, _ in every if "$ref" in part}
    return not references <= {f"#/$defs/{name}" for name in schema.get("$defs", {})}


def words_of(every: list[tuple[dict[str, Any], int]]) -> int:
    """How long all names and values in a schema are together."""
    names = [name for part, _ in every for name in (*part.get("properties", {}), *part.get("$defs", {}))]
    values = [str(value) for part, _ in every for value in (*part.get("enum", ()), part.get("const", ""))]
    return sum(map(len, names + values))


Rule = Callable[[dict[str, Any], dict[str, Any], list[tuple[dict[str, Any], int]]], bool]
RULES: dict[str, Rule] = {
    "its name": lambda tool, schema, every: not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"]),
    "its description": lambda tool, schema, every: not 1 <= len(tool["description"]) <= DESCRIPTION_MAX,
    "no object": lambda tool, schema, every: schema.get("type") != "object" or "properties" not in schema,
    "at the root": lambda tool, schema, every: not schema.keys() <= AT_THE_ROOT,
    "a keyword": lambda tool, schema, every: any(not part.keys() <= KEYWORDS for part, _ in every),
    "a reference": lambda tool, schema, every: has_loose_reference(schema, every),
    "a pattern": lambda tool, schema, every: any(PYTHONS_OWN.search(part.get("pattern", "")) for part, _ in every),
    "nesting": lambda tool, schema, every: max(depth for _, depth in every) > NESTING_MAX,
    "properties": lambda tool, schema, every: sum(len(part.get("properties", ())) for part, _ in every) > PROPERTIES_MAX,
    "names and values": lambda tool, schema, every: words_of(every) > TEXT_MAX,
    "choices": lambda tool, schema, every: any(len(part.get("enum", ())) > ENUM_MAX for part, _ in every),
    "a required one": lambda tool, schema, every: not set(schema.get("required", ())) <= schema.get("properties", {}).keys(),
}


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_every_tool_keeps_to_openais_rules(prefix):
    faults = {tool.name: find_faults(listing_of(tool, prefix)) for _, tool in TOOLS}
    assert {name: found for name, found in faults.items() if found} == {}
    assert len(faults) == len(TOOLS) > 240


@pytest.mark.parametrize(
    ("fault", "tool"),
    [
        ("its name", {"name": "a.b"}),
        ("its name", {"name": "a" * 65}),
        ("its description", {"description": ""}),
        ("no object", {"inputSchema": {"type": "object"}}),
        ("at the root", {"inputSchema": {"type": "object", "properties": {}, "anyOf": [{"required": []}]}}),
        ("a keyword", {"inputSchema": {"type": "object", "properties": {"a": {"oneOf": [{}]}}}}),
        ("a keyword", {"inputSchema": {"type": "object", "properties": {"a": {"anyOf": [{"if": {}}]}}}}),
        ("a reference", {"inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}),
        ("a reference", {"inputSchema": {"type": "object", "properties": {"a": {"items": {"$ref": "https://example.com/a"}}}}}),
        ("a pattern", {"inputSchema": {"type": "object", "properties": {"a": {"pattern": r"(?P<x>a)"}}}}),
        ("a pattern", {"inputSchema": {"type": "object", "properties": {"a": {"pattern": r"\Aa\Z"}}}}),
        ("choices", {"inputSchema": {"type": "object", "properties": {"a": {"enum": list(range(1001))}}}}),
        ("a required one", {"inputSchema": {"type": "object", "properties": {}, "required": ["a"]}}),
    ],
)
def test_each_rule_catches_what_breaks_it(fault, tool):
    sound = {"name": "a", "description": "b", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    assert find_faults(sound) == []
    assert fault in find_faults(sound | tool)


def test_no_pattern_takes_longer_than_what_it_is_tried_on():
    patterns = {part["pattern"] for _, tool in TOOLS for part, _ in subschemas(tool.input_schema) if "pattern" in part}
    assert len(patterns) > 20
    begun = time.process_time()
    for pattern in patterns:
        for letter in "@a/.;: ,\n":
            list(check_pattern(None, pattern, letter * 40_000 + "\n", {}))
    assert time.process_time() - begun < 3


# --- the SDK, and what every client is told ---


def test_every_tool_is_accepted_by_the_sdk_in_both_eras():
    for _, tool in TOOLS:
        listing = listing_of(tool, PREFIX)
        assert check_feature("tool", listing).name == listing["name"]
        assert fits("tool", listing, LATEST_HANDSHAKE_VERSION), tool.name  # with its output schema, too


def test_every_tool_says_what_it_is_how_it_behaves_and_what_it_answers():
    for _, tool in TOOLS:
        listing = listing_of(tool)
        hints = listing["annotations"]
        assert listing["title"] == hints["title"] != ""
        assert {type(hints[name]) for name in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")} == {bool}
        assert not (hints["readOnlyHint"] and hints["destructiveHint"]), tool.name
        assert listing["outputSchema"]["type"] == "object", tool.name
        assert listing["inputSchema"]["additionalProperties"] is False, tool.name


def test_no_two_tools_are_described_alike():
    """Whoever has several connectors sees a list of tasks in each."""
    said = [tool.description for _, tool in TOOLS]
    assert [text for text in said if said.count(text) > 1] == []


def test_most_arguments_say_what_they_are():
    """The others' names say it."""
    found = [json.dumps(part) for _, tool in TOOLS for part in tool.input_schema["properties"].values()]
    assert sum('"description"' in part or "$ref" in part for part in found) / len(found) > 0.78


def test_all_tools_together_fit_into_a_list(capsys):
    sizes = {tool.name: len(json.dumps(listing_of(tool), ensure_ascii=False).encode()) for _, tool in TOOLS}
    totals = {
        "all": sum(sizes.values()),
        "core": sum(sizes[tool.name] for _, tool in TOOLS if tool.core),
    }
    with capsys.disabled():
        counts = {"all": len(TOOLS), "core": sum(tool.core for _, tool in TOOLS)}
        said = ", ".join(f"{kind} has {counts[kind]} tools in {size} bytes" for kind, size in totals.items())
        print(f"\ntools/list of every connector: {said}; the largest tool has {max(sizes.values())}")
    assert {kind: size for kind, size in totals.items() if size > CEILINGS[kind]} == {}
    assert {name: size for name, size in sizes.items() if size > TOOL_CEILING} == {}

"""argument_checks.py: arguments are checked as far as a stranger's schema can be trusted to end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from argument_checks import check_schema, find_mistake, own_checker, strange_checker

PERSON = {
    "type": "object",
    "$defs": {"age": {"type": "integer", "minimum": 0}},
    "properties": {"age": {"$ref": "#/$defs/age"}, "mail": {"type": "string", "pattern": "^[^@]+@[^@]+$"}},
    "required": ["age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"age": 3}, None),
        ({"age": -1}, "age: -1 is less than the minimum of 0"),
        ({}, "'age' is a required property"),
        ({"age": 1, "agee": 2}, "'agee' was unexpected"),
    ],
)
def test_a_strangers_schema_is_used_with_its_own_references(arguments: dict[str, Any], mistake: str | None):
    found = find_mistake(strange_checker(PERSON), arguments)
    assert found is None if mistake is None else mistake in found


def test_patterns_are_tried_for_our_own_tools_only():
    wrong = {"age": 1, "mail": "nobody"}
    assert "does not match" in find_mistake(own_checker(PERSON), wrong)
    assert find_mistake(strange_checker(PERSON), wrong) is None


def test_the_end_of_a_pattern_of_ours_is_the_end_and_not_a_line_break_before_it():
    schema = {"type": "object", "properties": {"a": {"pattern": "^[0-9]+$"}, "b": {"pattern": r"^(x$|y\$)"}}}
    checker = own_checker(schema)
    assert find_mistake(checker, {"a": "12", "b": "x"}) is find_mistake(checker, {"b": "y$\n"}) is None
    assert find_mistake(checker, {"a": "12\n"}) == r"Invalid arguments: a: '12\n' does not match '^[0-9]+$'"
    assert find_mistake(checker, {"b": "x\n"}) == r"Invalid arguments: b: 'x\n' does not match '^(x$|y\\$)'"


MAYBE = {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]}
EITHER = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
LISTS = {"anyOf": [{"type": "array", "items": MAYBE}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (MAYBE, 5, "a: 5 is not of type 'string'"),
        (MAYBE, "long", "a: 'long' is too long"),
        (EITHER, [1], "a: [1] is not of type 'string' or 'integer'"),
        (LISTS, ["b", 7], "a[1]: 7 is not of type 'string'"),
        (LISTS, "b", "a: 'b' is not of type 'array'"),
        ({"anyOf": [{"const": "yes", "type": "string"}, {"type": "null"}]}, True, "a: 'yes' was expected"),
        ({"type": "string", "maxLength": 100}, "x" * 200, f"a: '{'x' * 79}… is too long"),
    ],
)
def test_a_mistake_is_told_in_the_words_that_help(schema: dict[str, Any], value: Any, said: str):
    checker = own_checker({"type": "object", "properties": {"a": schema}})
    assert find_mistake(checker, {"a": value}) == f"Invalid arguments: {said}"


def test_a_pattern_that_takes_for_ever_takes_no_time():
    begun = time.monotonic()
    schema = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}, "patternProperties": {"^(b+)+$": {}}}
    assert find_mistake(strange_checker(schema), {"a": "a" * 40 + "!", "b" * 40 + "!": 1}) is None
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("word", ["not", "oneOf", "if"])
def test_what_would_turn_to_its_opposite_without_patterns_is_left_out_with_them(word: str):
    inner: Any = {"properties": {"a": {"pattern": "x"}}}
    either = [inner, {"properties": {"a": {"pattern": "y"}}}]
    schema = {"type": "object", word: either if word == "oneOf" else inner, "then": False}
    assert find_mistake(strange_checker(schema), {"a": "y"}) is None


def test_a_property_may_be_called_like_a_keyword():
    schema = {"type": "object", "properties": {"pattern": {"type": "string"}, "not": {"type": "integer", "pattern": "x"}}}
    assert "pattern: 5" in find_mistake(strange_checker(schema), {"pattern": 5})
    assert "not: " in find_mistake(strange_checker(schema), {"not": "x"})


def bomb(levels: int = 40) -> dict[str, Any]:
    """Each level refers twice to the next: two to the power of `levels` steps."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"type": "object", "$defs": twice | {f"a{levels}": {}}, "$ref": "#/$defs/a0"}


def deep(levels: int = 5_000) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "object", "$ref": "#"}, id="a circle"),
        pytest.param({"type": "object", "properties": {"a": {"$ref": "http://169.254.169.254/"}}}, id="elsewhere"),
        pytest.param({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}, id="nowhere"),
        pytest.param({"type": "object", "properties": {"a": {"$id": "x", "$ref": "#/b"}}}, id="another base"),
        pytest.param({"type": "object", "properties": {"a": {"$dynamicRef": "#x"}}}, id="dynamic"),
        pytest.param(bomb(), id="two to the fortieth"),
        pytest.param(deep(), id="very deep"),
    ],
)
def test_what_cannot_be_checked_safely_is_left_to_its_server(schema: dict[str, Any]):
    begun = time.monotonic()
    checker = strange_checker(schema)
    assert checker is None
    assert find_mistake(checker, {"a": 1}) is None
    assert time.monotonic() - begun < 2


def test_the_same_bomb_with_few_levels_is_checked():
    """The control."""
    assert strange_checker(bomb(5)) is not None


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"properties": []}, {"exclusiveMinimum": True}, {"required": "a"}])
def test_a_schema_that_is_none_is_refused(schema: dict[str, Any]):
    with pytest.raises(ValueError, match="no valid JSON Schema"):
        check_schema(schema)


def test_a_schema_of_an_older_dialect_counts_by_its_own_rules():
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}
    check_schema(schema)
    assert find_mistake(strange_checker(schema), {"a": 1}) is not None


UNIQUE = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}, "b": {"uniqueItems": False}}}


@pytest.mark.parametrize("checker", [own_checker, strange_checker])
@pytest.mark.parametrize(
    ("items", "is_unique"),
    [
        ([], True),
        ([1, True, "1", None, [1], {"a": 1}], True),
        ([1, 1.0], False),
        ([0, False], True),
        ([{"a": [1], "b": 2}, {"b": 2.0, "a": [1.0]}], False),
        ([[True], [1]], True),
        (["a", *range(20_000)], True),  # compared each with each, these would take minutes
        (["a", *range(20_000), "a"], False),
    ],
)
def test_items_are_unique_or_not_and_it_takes_a_moment(checker: Any, items: list[Any], is_unique: bool):
    found = find_mistake(checker(UNIQUE), {"a": items, "b": [1, 1]})
    assert found is None if is_unique else found.endswith("has non-unique elements")


@pytest.mark.parametrize("dialect", ["http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2020-12/schema"])
def test_a_schema_with_lists_that_would_take_hours_is_none(dialect: str):
    mixed, objects = ["string", *range(20_000)], [{"a": number} for number in range(20_000)]
    for odd in ({"enum": mixed}, {"type": mixed}, {"enum": objects}):
        with pytest.raises(ValueError, match=r"^has a schema with a list that is too long$"):
            check_schema({"$schema": dialect, "type": "object", "properties": {"a": odd}})
    for plain in ({"enum": [*map(str, range(20_000))]}, {"enum": mixed[1:]}, {"anyOf": objects[:150]}):
        check_schema({"$schema": dialect, "type": "object", "properties": {"a": plain}})

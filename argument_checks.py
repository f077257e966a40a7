"""Checks a tool's arguments against its schema, as far as that is safe with a schema that a stranger wrote. Fetches nothing."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

PARTS_MAX = 10_000  # subschemas, each counted as often as it is referred to
PAIRS_MAX = 20_000  # of values in lists of a schema
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})  # keyword -> {name: schema}
DATA = frozenset({"const", "enum", "default", "examples"})  # no schema inside
PATTERNS = frozenset({"pattern", "patternProperties", "propertyNames", "unevaluatedProperties"})
# What turns to its opposite, or may, where a schema inside it accepts more than it should.
DELICATE = frozenset({"not", "oneOf", "if", "then", "else", "contains", "minContains", "maxContains"})
MOVING = frozenset({"$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"})
SHOWN = 80  # characters of a value, in a sentence about it


class Checker(Protocol):
    """Finds what is wrong with arguments."""

    def iter_errors(self, instance: Any) -> Iterator[Any]:
        """The mistakes, one after the other."""


class TooMuch(Exception):
    """Nobody can say beforehand how long it takes to check something against this schema."""


def check_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`pattern` as ECMA-262 reads it: `$` is the end, where Python's would let a line break through behind it."""
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@functools.cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """One of our own patterns; `$` stands only at its end, or before a `)` or `|`."""
    return re.compile(re.sub(r"(?<!\\)\$(?=[)|]|$)", r"\\Z", pattern))


def check_unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`uniqueItems` in one pass: the library compares each with each where they cannot be sorted, which takes hours for a body's
    worth of them."""
    if wanted and validator.is_type(instance, "array") and len(set(map(mark_of, instance))) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def mark_of(value: Any) -> str:
    """What two JSON values share if JSON Schema takes them for equal: 1 and 1.0, but not 1 and true."""
    return json.dumps(plain(value), sort_keys=True)


def plain(value: Any) -> Any:
    """A JSON value in which whole numbers are integers."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


OwnValidator = extend(Draft202012Validator, {"pattern": check_pattern, "uniqueItems": check_unique})


@functools.cache
def quick(dialect: type) -> type:
    """A dialect's checker that takes no longer than its arguments are long."""
    return extend(dialect, {"uniqueItems": check_unique})


def own_checker(schema: Mapping[str, Any]) -> Checker:
    """A checker for a schema of ours."""
    return OwnValidator(schema, registry=Registry())  # an empty registry: no $ref is fetched


def strange_checker(schema: Mapping[str, Any]) -> Checker | None:
    """A checker for a server's schema; None if it is left to that server, which has to check by itself anyway.

    Patterns are not tried: a regular expression can be written so that it takes hours, and holds up the whole process. Nor is
    a schema that refers elsewhere or to itself, or that grows without end as references are followed.
    """
    try:
        count_parts(schema, schema, (), [PARTS_MAX])
    except (TooMuch, RecursionError):
        return None
    if not PATTERNS.isdisjoint(keywords_of(schema)):
        schema = without(schema, PATTERNS | DELICATE)
    return quick(validator_for(schema, default=Draft202012Validator))(schema, registry=Registry())


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise ValueError unless this is a JSON Schema, of the dialect that it says."""
    check_lists(schema)
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except (SchemaError, RecursionError):
        raise ValueError("is no valid JSON Schema") from None


def check_lists(schema: Any) -> None:
    """Raise ValueError for lists of what cannot be sorted, in which the library would compare each with each for hours."""
    pairs, pending = 0, [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, list) and {type(item) for item in part} not in ({str}, {int}, {float}, {int, float}):
            pairs += len(part) ** 2 // 2
        if pairs > PAIRS_MAX:
            raise ValueError("has a schema with a list that is too long")
        pending += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def subschemas(schema: Any) -> Iterator[Any]:
    """What stands in a schema where a schema may stand, and some things where none may."""
    for keyword, value in schema.items() if isinstance(schema, dict) else ():
        if keyword in NAMED and isinstance(value, dict):
            yield from value.values()
        elif keyword not in DATA and isinstance(value, dict):
            yield value
        elif keyword not in DATA and isinstance(value, list):
            yield from (item for item in value if isinstance(item, dict))


def count_parts(schema: Any, root: Any, way: tuple[str, ...], left: list[int]) -> None:
    """Walk a schema as a check might, along each reference. Raises TooMuch for a circle, or once `left` is used up."""
    left[0] -= 1
    if left[0] < 0:
        raise TooMuch
    if isinstance(schema, dict):
        if MOVING & schema.keys() or ("$id" in schema and schema is not root):
            raise TooMuch
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in way:
                raise TooMuch
            count_parts(find_part(root, reference), root, (*way, reference), left)
    for part in subschemas(schema):
        count_parts(part, root, way, left)


def find_part(root: Any, reference: str) -> Any:
    """The part of a schema that a reference means (RFC 6901). Raises TooMuch for what is not in it."""
    if reference == "#" or not reference.startswith("#/") or "%" in reference:
        raise TooMuch
    part = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(part, dict) or name not in part:
            raise TooMuch
        part = part[name]
    return part


def keywords_of(schema: Any) -> Iterator[str]:
    """Every keyword of a schema and of those in it."""
    yield from schema
    for part in subschemas(schema):
        yield from keywords_of(part)


def without(schema: Any, dropped: frozenset[str]) -> Any:
    """A copy of a schema that says nothing by these keywords, nor by what depends on whether a pattern fits."""
    if isinstance(schema, list):
        return [without(item, dropped) for item in schema]
    if not isinstance(schema, dict):
        return schema
    here = dropped | {"additionalProperties"} if "patternProperties" in schema else dropped
    kept = {}
    for keyword, value in schema.items():
        if keyword in NAMED - here and isinstance(value, dict):
            kept[keyword] = {name: without(part, dropped) for name, part in value.items()}
        elif keyword not in here:
            kept[keyword] = value if keyword in DATA else without(value, dropped)
    return kept


def find_mistake(checker: Checker | None, arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with a tool's arguments, in one sentence for the model; None if nothing is, or nobody can tell."""
    try:
        error = best_match(checker.iter_errors(arguments)) if checker else None
    except (Unresolvable, RecursionError):
        return None  # a reference to what was left out above
    if error is None:
        return None
    error, said = explain(error)
    where = error.json_path.removeprefix("$").removeprefix(".")
    return f"Invalid arguments: {where + ': ' if where else ''}{said[:300]}"


def explain(error: ValidationError) -> tuple[ValidationError, str]:
    """What is really wrong, and in which words: where something may be left out, nobody has to be told that it might be null."""
    shown = repr(error.instance)
    short = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
    wrong = [inner for inner in error.context or () if (inner.validator, inner.validator_value) != ("type", "null")]
    if error.validator == "anyOf" and len({inner.relative_schema_path[0] for inner in wrong}) == 1:
        return explain(wrong[0])
    if error.validator == "anyOf" and wrong and all(inner.validator == "type" and not inner.path for inner in wrong):
        return error, f"{short} is not of type {' or '.join(repr(inner.validator_value) for inner in wrong)}"
    return error, error.message.replace(shown, short)

"""What ClickUp's own description says of a request, and what is wrong with one. Knows `facts.json`, not the connector."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

OPERATIONS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("facts.json").read_text())["operations"]
READERS = {
    "integer": int,
    "number": float,
    "boolean": lambda text: {"true": True, "false": False}[text],
}


def find_operation(method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
    """The operation that a path belongs to, and the ids in it; one with fewer ids wins (`…/current` over `…/{}`)."""
    found = []
    for name, pattern in patterns().get(method, ()):
        if match := pattern.fullmatch(path):
            found.append((len(match.groups()), name, match.groups()))
    return min(found)[1:] if found else None


@functools.cache
def patterns() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """For each HTTP method, its operations and what their paths look like."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name in OPERATIONS:
        method, template = name.split(" ")
        found.setdefault(method, []).append((name, re.compile(re.escape(template).replace(r"\{\}", "([^/]+)"))))
    return found


def faults_of(
    operation: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str], body: Any, form: bytes | None
) -> list[str]:
    """Everything in which a request differs from what ClickUp describes."""
    facts, query = OPERATIONS[operation], list(query)
    known = {name.removesuffix("[]"): schema for name, schema in facts.get("query", {}).items()}
    faults = [f"no parameter {name}" for name, _ in query if name.removesuffix("[]") not in known]
    for name, text in query:
        schema = known.get(name.removesuffix("[]"), {})
        faults += find_type_fault(name, text, schema.get("items", schema) if schema.get("type") == "array" else schema)
        if name.endswith("[]") != (schema.get("type") == "array"):
            faults.append(f"{name} is a list in one place only")
    faults += [f"no header {name}" for name in facts.get("headers", []) if name not in headers]
    faults += [f"parameter {name} is missing" for name in facts.get("query_required", []) if name not in dict(query)]
    return faults + find_body_faults(facts.get("body"), headers, body, form)


def find_type_fault(name: str, text: str, schema: dict[str, Any]) -> list[str]:
    """Whether a query parameter is of its type."""
    try:
        value = READERS.get(schema.get("type", ""), str)(text)
    except (ValueError, KeyError):
        return [f"{name}={text} is no {schema['type']}"]
    rest = {keyword: wanted for keyword, wanted in schema.items() if keyword != "type"}
    return [f"{name}: {error.message}" for error in Draft202012Validator(rest).iter_errors(value)] if rest else []


def find_body_faults(kinds: dict[str, Any] | None, headers: Mapping[str, str], body: Any, form: bytes | None) -> list[str]:
    """Whether a body is there, of a kind that ClickUp takes, and fits its schema."""
    if kinds is None:
        return [] if body is None and form is None else ["there must be no body"]
    sent = headers["Content-Type"].partition(";")[0]
    if sent not in kinds:
        return [f"{sent} is not taken"]
    if form is not None:
        names = re.findall(rb'form-data; name="([^"]+)"', form)
        return [f"no field {name.decode()}" for name in names if name.decode() not in kinds[sent].get("properties", {})]
    return [f"body {error.json_path}: {error.message}" for error in Draft202012Validator(kinds[sent]).iter_errors(body)]

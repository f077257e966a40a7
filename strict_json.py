"""JSON text, read more strictly than the standard library does, and written compactly. Knows no protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NoReturn

MAX_DEPTH = 64  # of arrays and objects in each other
MAX_PARTS = 1_000_000  # arrays and objects: one that takes three letters takes sixty bytes or more once it is read
MAX_DIGITS = 300  # a float ends a little later
STRING_OR_PART = re.compile(rb'(?s)"(?:[^"\\]++|\\.)*+"?|([\[{])')
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_json(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259).

    Raises ValueError also for lone surrogates, NaN, a name that comes twice, absurd numbers, deep nesting and too many parts.
    """
    parts = bound_parts(body)
    try:
        value = DECODER.decode(body.decode())
        if SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()  # fails on half a pair
        if parts > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
            raise ValueError
    except (ValueError, RecursionError):
        raise ValueError("not a JSON text") from None
    return value


def bound_parts(body: bytes) -> int:
    """How many arrays and objects a text has at the most. Raises ValueError for so many that reading it takes the memory of
    everybody else.
    """
    brackets = body.count(b"[") + body.count(b"{")  # some may stand in strings
    if brackets > MAX_PARTS:
        parts = (found for found in STRING_OR_PART.finditer(body) if found[1])
        if next(islice(parts, MAX_PARTS, None), None):
            raise ValueError("too many parts")
    return brackets


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different (RFC 8259 §4 leaves the others to chance)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def refuse_constant(_name: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise ValueError


def parse_int(digits: str) -> int:
    """An integer that a float could still hold."""
    if len(digits) > MAX_DIGITS:
        raise ValueError
    return int(digits)


def parse_float(digits: str) -> float:
    """A finite number: 1e999 would come out as Infinity."""
    number = float(digits)
    if number - number != 0:
        raise ValueError
    return number


def is_deeper(value: Any, limit: int) -> bool:
    """Whether arrays and objects nest deeper than `limit`."""
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in children_of(node)]
    return any(isinstance(node, dict | list) for node in level)


def children_of(node: Any) -> Iterable[Any]:
    """What an array or an object holds; nothing for anything else."""
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


DECODER = json.JSONDecoder(
    object_pairs_hook=unique_names, parse_constant=refuse_constant, parse_int=parse_int, parse_float=parse_float
)


def encode_json(value: Any) -> bytes:
    """Compact UTF-8. Raises ValueError, TypeError or RecursionError for what is not JSON: NaN, half surrogates, circles."""
    return ENCODER.encode(value).encode()


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

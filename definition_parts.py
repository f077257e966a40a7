"""What every reader of definitions needs: mistakes in words, checked values, and placeholders. Knows no shape of a document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from definitions import PLACEHOLDER
from server_definitions import Definition, Input

# Cursor and VS Code, with `env:`; Claude Code, without, where only what is written like a variable is one
ENVIRONMENT = re.compile(r"\$\{(?:env:(?=[A-Za-z_])|(?=[A-Z_]))([A-Za-z0-9_]{1,64})(?::-([^}]*))?\}")
VARIABLE = re.compile(r"\$\{[^}]*\}?")


class Odd(ValueError):
    """A document that cannot be taken over; the text is a sentence for the person who pasted it."""


def quoted(value: Any) -> str:
    """Words of the document, short, and such that they can be seen."""
    return "“" + "".join(letter for letter in str(value) if letter.isprintable())[:60] + "”"


def need(kind: type, value: Any, words: str) -> Any:
    """The value, if it is of this kind."""
    if not isinstance(value, kind):
        raise Odd(f"{words} must be {KIND_WORDS[kind]}.")
    return value


def check_id(value: Any) -> str:
    """The ID of an input."""
    if not isinstance(value, str) or not PLACEHOLDER.fullmatch(f"${{input:{value}}}"):
        raise Odd(f"{quoted(value)} cannot be the ID of an input.")
    return value


KIND_WORDS = {dict: "an object", list: "a list", str: "a text"}


def read_texts(value: Any, words: str) -> dict[str, str]:
    """A map of names to texts; what is null is not there."""
    given = {name: item for name, item in need(dict, value or {}, words).items() if item is not None}
    return {name: as_text(item, f"{words}: {quoted(name)}") for name, item in given.items()}


def as_text(value: Any, words: str) -> str:
    """A text; numbers and truth values are taken as one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Odd(f"{words} must be a text.")
    return str(value)


# --- inputs ---


def read_metadata(metadata: Any) -> dict[str, Input]:
    """The `inputs` of a definition's `metadata`, by their IDs."""
    rows = need(dict, metadata or {}, "metadata").get("inputs")
    return {item.id: item for item in (read_input(need(dict, row, "An input")) for row in need(list, rows or [], "inputs"))}


def read_input(row: Mapping[str, Any]) -> Input:
    """One of them."""
    kind, obtain = str(row.get("type") or "text"), need(dict, row.get("obtain") or {}, "obtain")
    options = tuple(read_option(item) for item in need(list, row.get("options") or [], "options"))
    if kind == "boolean":
        options = (("true", "Yes"), ("false", "No"))
    words = (row.get("description"), obtain.get("instructions"), obtain.get("url"))
    return Input(
        check_id(row.get("id")),
        label=str(row.get("label") or row.get("id"))[:200],
        kind="select" if options else "number" if kind == "number" else "text",
        is_secret=bool(row.get("secret", False)) and not options,
        is_required=bool(row.get("required", False)),
        default=as_text(row.get("default", "") if row.get("default") is not None else "", "The default of an input"),
        help=" ".join(str(word) for word in words if word)[:500],
        options=options if row.get("required") or kind != "boolean" else (("", "As the server does it"), *options),
    )


def read_option(item: Any) -> tuple[str, str]:
    """One choice of a list: a text, or a text with a label."""
    if isinstance(item, dict):
        return str(item.get("value", "")), str(item.get("label") or item.get("value", ""))
    return str(item), str(item)


# --- placeholders ---


def finish(definition: Definition, inputs: Mapping[str, Input]) -> Definition:
    """The definition with every placeholder written as `${input:ID}`, and with just the inputs that stand in it."""
    found: dict[str, Input] = {}
    settings = {name: settle(value, inputs, found) for name, value in definition.settings.items() if value not in ("", [])}
    secrets = {name: settle(value, inputs, found) for name, value in definition.secrets.items()}
    return replace(definition, settings=settings, secrets=secrets, inputs=tuple(found.values()))


def settle(value: Any, inputs: Mapping[str, Input], found: dict[str, Input]) -> Any:
    """One setting or secret; what has to be filled in is noted in `found`. Raises Odd for what only an editor knows."""
    if isinstance(value, list):
        return [settle(item, inputs, found) for item in value]
    if not isinstance(value, str):
        return value

    def take_environment(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found.setdefault(name, inputs.get(name) or Input(name, "", "text", not default, default is None, default or ""))
        return f"${{input:{name}}}"

    text = ENVIRONMENT.sub(take_environment, value)
    for name in PLACEHOLDER.findall(text):
        found.setdefault(name, inputs.get(name) or Input(name))
    if unknown := VARIABLE.search(PLACEHOLDER.sub("", text)):
        raise Odd(f"{quoted(unknown[0])} means something to an editor only. Put in its place what it stands for.")
    return text

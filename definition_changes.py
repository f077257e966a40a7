"""What a person has changed in a connection since its definition, and a newer definition with that kept. Shows no secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from server_definitions import Definition, as_typed, read_inputs
from tools import Field

ROWS = {"header_names": "header:", "env_names": "env:"}  # a setting that lists names -> what their secrets' names begin with
WORDS = {"header:": "The header", "env:": "The variable"}
HAPPENED = {(True, True): "has another value", (False, True): "was added", (True, False): "is left out"}
LINES = "args"
SHOWN_MAX = 200  # letters of a value, on a page

# A form's settings as they would be typed, and each header and variable by its secret's name. None: it is there, with some value.
Sheet = dict[str, str | None]


def lay_flat(fields: Iterable[Field], settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Sheet:
    """A definition, or a connection, such that two can be compared. What is empty is as the form has it at first."""
    sheet: Sheet = {item.name: item.default for item in fields if not item.inside and item.kind not in ("secret", "pairs")}
    sheet |= {name: as_typed(value) for name, value in settings.items() if name in sheet and value not in (None, "")}
    names = [prefix + name for rows, prefix in ROWS.items() for name in settings.get(rows) or ()]
    return sheet | {name: secrets.get(name) for name in names}


def describe(before: Sheet, after: Sheet, fields: Iterable[Field]) -> Iterator[str]:
    """A sentence for each difference; where a value is not known, nothing is said of it."""
    labels = {item.name: item.label for item in fields}
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if name in labels:
            if old != new:
                yield f"{labels[name]}: {describe_value(name, old or '', new or '')}"
        elif (name in before) != (name in after) or (old != new and None not in (old, new)):
            prefix = next(item for item in WORDS if name.startswith(item))
            yield f"{WORDS[prefix]} {name.removeprefix(prefix)} {HAPPENED[name in before, name in after]}."


def describe_value(name: str, old: str, new: str) -> str:
    """How a setting differs."""
    if name == LINES and (not old or new.startswith(old + "\n")):
        return f"{quote(new.removeprefix(old))} was added at the end."
    return f"{quote(new)} instead of {quote(old)}."


def quote(text: str) -> str:
    """A value, short and on one line."""
    line = " ".join(text.split("\n")).strip()
    return f"“{line[:SHOWN_MAX]}{'…' if len(line) > SHOWN_MAX else ''}”" if line else "nothing"


# --- a newer definition ---


def carry_over(base: Sheet, mine: Sheet, newer: Sheet) -> Sheet:
    """The newer definition with all that `mine` has otherwise than `base`, from which it was made."""
    merged: Sheet = {}
    for name in dict.fromkeys([*newer, *mine]):
        source = mine if is_own(name, base, mine) else newer
        if name == LINES:
            merged[name] = merge_lines(*(sheet.get(name) or "" for sheet in (base, mine, newer)))
        elif name in source:
            merged[name] = source[name]
    return merged


def is_own(name: str, base: Sheet, mine: Sheet) -> bool:
    """Whether a person has changed this, or may have: of older connections the definition's values were not kept."""
    return (name in base) != (name in mine) or (name in mine and mine[name] != base[name])


def merge_lines(base: str, mine: str, newer: str) -> str:
    """Arguments: what was put behind the old ones goes behind the new ones; others than those stay as they are."""
    if base and mine != base and not mine.startswith(base + "\n"):
        return mine
    return "\n".join(part for part in (newer, mine.removeprefix(base).strip("\n")) if part)


def to_typed(merged: Sheet, mine: Sheet) -> dict[str, str]:
    """The merged sheet as a form is typed: a value that is kept already stays empty."""
    typed = {name: value or "" for name, value in merged.items() if not name.startswith(tuple(WORDS))}
    for rows, prefix in ROWS.items():
        for at, name in enumerate(name for name in merged if name.startswith(prefix)):
            is_kept = name in mine and merged[name] == mine[name]
            typed[f"{rows}.{at}.name"] = name.removeprefix(prefix)
            typed[f"{rows}.{at}.value"] = "" if is_kept else merged[name] or ""
    return typed


def differs(copy: Mapping[str, Any], values: Mapping[str, str] | None, newer: Definition) -> bool:
    """Whether a definition says something else than the copy of an earlier one, with those values."""
    told = (newer.settings, sorted(newer.secrets), list(newer.inputs))
    known = {item.id for item in newer.inputs}
    kept = (copy["settings"], copy["secrets"], [item for item in read_inputs(copy) if item.id in known])
    return told != kept or (values is not None and dict(values) != dict(newer.secrets))

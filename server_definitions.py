"""What a definition of another MCP server says, and the form that makes a connection of it. Reads no document and no database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from definitions import PLACEHOLDER
from tools import Connector, Field


@dataclass(frozen=True)
class Input:
    """A value that its person has to give, and that stands for `${input:ID}`."""

    id: str
    label: str = ""
    kind: str = "text"  # text, number or select
    is_secret: bool = True
    is_required: bool = True
    default: str = ""
    help: str = ""
    options: tuple[tuple[str, str], ...] = ()  # select: (value, label)


@dataclass(frozen=True)
class Definition:
    """A server as a document describes it. Whatever it says of itself is nobody's promise."""

    key: str  # what the document calls it
    kind: str  # one of definitions.KINDS
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # header:…, env:…, api_key …; may hold placeholders
    inputs: tuple[Input, ...] = ()
    title: str = ""
    description: str = ""
    link: str = ""  # a page about it
    tags: tuple[str, ...] = ()
    is_wanted: bool = True  # False: it is switched off where it comes from
    left_out: tuple[str, ...] = ()  # members of the document that mean nothing here

    @property
    def name(self) -> str:
        """What to call it."""
        return self.title or self.key

    def to_typed(self, fields: Iterable[Field]) -> dict[str, str]:
        """The form of its kind as if somebody had typed the definition into it, and left the rest as it stands."""
        typed = {item.name: item.default for item in fields if not item.inside}
        typed |= {name: as_typed(value) for name, value in self.settings.items() if name not in ("header_names", "env_names")}
        for rows, prefix in (("header_names", "header:"), ("env_names", "env:")):
            for at, name in enumerate(self.settings.get(rows) or ()):
                typed |= {f"{rows}.{at}.name": name, f"{rows}.{at}.value": self.secrets[prefix + name]}
        return typed | {name: value for name, value in self.secrets.items() if ":" not in name}

    def to_json(self) -> dict[str, Any]:
        """Its copy beside the connection: names of secrets, and never their values."""
        return asdict(self) | {"secrets": sorted(self.secrets)}


def as_typed(value: Any) -> str:
    """A setting as it would be typed."""
    return "\n".join(value) if isinstance(value, list | tuple) else str(value)


def read_inputs(definition: Mapping[str, Any] | None) -> tuple[Input, ...]:
    """The inputs in a copy that `to_json` made."""
    rows = (definition or {}).get("inputs") or ()
    return tuple(Input(**row | {"options": tuple(map(tuple, row["options"]))}) for row in rows)


# --- inputs as fields of a form ---


def with_inputs(connector: Connector, inputs: Iterable[Input], texts: Iterable[str]) -> Connector:
    """The connector with a field for each input, and for each placeholder in `texts` that no input stands for."""
    known = {item.id: item for item in inputs}
    found = {name: Input(name) for text in texts for name in PLACEHOLDER.findall(text)}
    fields = tuple(as_field(item) for item in (found | known).values())
    return replace(connector, fields=connector.fields + fields) if fields else connector


def as_field(item: Input) -> Field:
    """An input as a field; a secret one is sealed, and others stand among the connection's `inputs`."""
    kind = "secret" if item.is_secret else item.kind
    help_text = item.help if item.is_required else f"{item.help} It may be left out.".strip()
    return Field(
        f"input:{item.id}", item.label or item.id, kind, help_text, item.is_required, item.default, item.options, inside="inputs"
    )


# --- packages ---

RUNNERS = {"npx": "@", "bunx": "@", "uvx": "@=", "pipx": "@="}  # program -> what stands before a version
WITH_VALUE = {"--package", "-p", "--from", "--with", "--python"}


def find_unpinned(command: str, arguments: Iterable[str]) -> str | None:
    """The package that a command fetches in whatever version there is just then; None if it names one, or fetches none."""
    signs = RUNNERS.get(re.split(r"[/\\]", command)[-1])
    words = [word for word in arguments if word != "run"]
    if signs is None:
        return None
    for before, word in zip(["", *words], words, strict=False):
        if before in WITH_VALUE - {"--with", "--python"} or not (word.startswith("-") or before in WITH_VALUE):
            return None if re.search(rf"(?<=.)[{signs}]v?[0-9]", word) else word
    return None

"""A connector's field list as a form: what is shown, what is typed, what is wrong with it. Keeps nothing by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto import Unreadable, Vault, new_token
from errors import InvalidInput
from store.connections import Connection, Draft
from tools import Connector, Field

NAME_MAX = 60
VALUE_MAX = 4000
LINES_MAX = 200
ROWS_MAX = 50


@dataclass(frozen=True)
class Line:
    """One field as the page shows it. A secret's `value` is always empty: `is_kept` or `is_typed` tell that there is one."""

    field: Field
    value: str
    error: str | None
    is_kept: bool = False
    is_typed: bool = False
    rows: tuple[Row, ...] = ()  # pairs


@dataclass(frozen=True)
class Row:
    """One name with a secret value, in a field of pairs; an empty one is for more."""

    name: str = ""
    is_kept: bool = False
    is_typed: bool = False


def list_lines(
    connector: Connector, typed: Mapping[str, str] | None, connection: Connection | None, errors: Mapping[str, str]
) -> list[Line]:
    """The lines of the form: with what was typed, else what is kept, else the defaults."""
    kept = connection.settings if connection else {}
    secrets = connection.secret_names if connection else frozenset()
    lines = []
    for field in connector.fields:
        value = typed.get(field.name, "") if typed is not None else as_text(find_value(kept, field, field.default))
        error = errors.get(field.name)
        if field.kind == "secret":
            lines.append(Line(field, "", error, field.name in secrets, bool(typed and value and not error)))
        elif field.kind == "pairs":
            lines.append(Line(field, "", error, rows=list_rows(field, typed, find_value(kept, field, []), secrets)))
        else:
            lines.append(Line(field, value, error))
    return lines


def list_rows(field: Field, typed: Mapping[str, str] | None, names: Sequence[str], secrets: frozenset[str]) -> tuple[Row, ...]:
    """The rows of a field of pairs as typed, else as kept, and some empty ones."""
    if typed is not None:
        pairs = [read_row(field, typed, at) for at in range(ROWS_MAX)]
        while pairs and not any(pairs[-1]):
            pairs.pop()
    else:
        pairs = [(name, "") for name in names]
    rows = [Row(name, f"{field.sealed_as}:{name}" in secrets, bool(value)) for name, value in pairs]
    return tuple(rows + [Row()] * min(max(2, 3 - len(rows)), ROWS_MAX - len(rows)))


def read_row(field: Field, typed: Mapping[str, str], at: int) -> tuple[str, str]:
    """The name and the value that were typed in one row of a field of pairs."""
    return typed.get(f"{field.name}.{at}.name", "").strip(), typed.get(f"{field.name}.{at}.value", "").strip()


# --- what was typed ---


def read_draft(connector: Connector, typed: Mapping[str, str], connection: Connection | None = None) -> Draft:
    """What was typed, checked. An empty secret keeps the old one; a box `forget_<name>` drops it, and so does a choice with
    which it is not asked for.

    Raises InvalidInput with a sentence for each field that has to be mended.
    """
    reading = Reading(typed, connection.secret_names if connection else frozenset())
    errors: dict[str, str] = {}
    name = typed.get("connection_name", "").strip() or connector.title
    if len(name) > NAME_MAX or not name.isprintable():
        errors["connection_name"] = f"At most {NAME_MAX} ordinary characters."
    for field in connector.fields:
        try:
            TAKERS.get(field.kind, Reading.take_value)(reading, field)
        except ValueError as error:
            errors[field.name] = str(error)
    if errors:
        raise InvalidInput("Please look at the marked fields.", errors)
    return Draft(connector.name, name, reading.settings, reading.secrets, frozenset(reading.forget))


class Reading:
    """What has been read of a form so far. Each `take_…` reads a field, and raises ValueError with a sentence for the person."""

    def __init__(self, typed: Mapping[str, str], kept: frozenset[str]):
        self.typed, self.kept = typed, kept
        self.settings: dict[str, Any] = {}
        self.secrets: dict[str, str] = {}
        self.forget: set[str] = set()

    def is_asked(self, field: Field) -> bool:
        """Whether a field counts, with what was chosen elsewhere in the form."""
        return field.when is None or self.typed.get(field.when[0], "") == field.when[1]

    def put(self, field: Field, value: Any) -> None:
        """Keep a setting, in its place."""
        if field.inside:
            self.settings.setdefault(field.inside, {})[field.name.partition(":")[2]] = value
        else:
            self.settings[field.name] = value

    def take_value(self, field: Field) -> None:
        """A setting that is one value."""
        text = self.typed.get(field.name, "").strip()
        self.put(field, read_value(field, text) if self.is_asked(field) else field.default_value)

    def take_secret(self, field: Field) -> None:
        """A secret: typed, kept or dropped. One that may be left out leaves an empty place where settings hold its like."""
        text = self.typed.get(field.name, "").strip() if self.is_asked(field) else ""
        if field.inside and not field.required:
            self.put(field, "")
        if not self.is_asked(field) or (self.typed.get("forget_" + field.name) and not text):
            self.forget |= {field.name} & self.kept
        elif text or field.name not in self.kept:
            read_secret(field, text, self.secrets)

    def take_lines(self, field: Field) -> None:
        """A list, one on each line."""
        lines = [line.strip() for line in self.typed.get(field.name, "").splitlines() if line.strip()]
        if len(lines) > LINES_MAX:
            raise ValueError(f"At most {LINES_MAX} lines.")
        if field.required and not lines:
            raise ValueError("This is needed.")
        for line in lines:
            check_text(line)
            if field.check:
                field.check(line)
        self.put(field, lines)

    def take_pairs(self, field: Field) -> None:
        """Rows of a name and a secret value. A row without a value keeps the old one; a name that is gone takes it along."""
        names = []
        for at in range(ROWS_MAX):
            name, value = read_row(field, self.typed, at)
            if not name and value:
                raise ValueError("A value has no name.")
            if name:
                self.take_pair(field, name, value)
                names.append(name)
        if len(set(names)) < len(names):
            raise ValueError("Each name can be there once.")
        self.forget |= {secret for secret in self.kept if secret.startswith(field.sealed_as + ":")} - {
            f"{field.sealed_as}:{name}" for name in names
        }
        self.put(field, names)

    def take_pair(self, field: Field, name: str, value: str) -> None:
        """One row."""
        if field.check:
            field.check(name)
        check_text(value)
        secret = f"{field.sealed_as}:{name}"
        if value:
            self.secrets[secret] = value
        elif secret not in self.kept:
            raise ValueError(f"{name} has no value.")


TAKERS: dict[str, Callable[[Reading, Field], None]] = {
    "secret": Reading.take_secret,
    "lines": Reading.take_lines,
    "pairs": Reading.take_pairs,
}


# --- secrets between one page and the next ---


def seal_typed_secrets(
    vault: Vault, connector: Connector, typed: Mapping[str, str], errors: Mapping[str, str], *place: str
) -> str:
    """The secrets that were typed, for the page to carry unseen from a test or a mistake to the end; '' if there are none."""
    names = [name for field in connector.fields if field.name not in errors for name in secret_inputs(field)]
    secrets = {name: typed[name] for name in names if typed.get(name, "").strip()}
    return vault.seal(json.dumps(secrets).encode(), "typed secrets", *place) if secrets else ""


def secret_inputs(field: Field) -> list[str]:
    """The names of the form's inputs in which a field's secrets are typed."""
    if field.kind == "pairs":
        return [f"{field.name}.{at}.value" for at in range(ROWS_MAX)]
    return [field.name] if field.kind == "secret" else []


def restore_typed_secrets(vault: Vault, typed: Mapping[str, str], *place: str) -> dict[str, str]:
    """What was typed, with the secrets that the page carried in `typed_secrets` where none was typed anew."""
    try:
        carried = json.loads(vault.unseal(typed.get("typed_secrets", ""), "typed secrets", *place))
    except Unreadable:
        carried = {}
    return {**typed} | {name: secret for name, secret in carried.items() if not typed.get(name, "").strip()}


def seal_ticket(vault: Vault, *place: str) -> str:
    """What a form carries so that it makes one thing, however often it is sent: the random part of that thing, unseen."""
    return vault.seal(new_token("").encode(), "ticket", *place)


def read_ticket(vault: Vault, typed: Mapping[str, str], *place: str) -> str:
    """The random part that a form carried in `ticket`; another one if it carried none."""
    try:
        return vault.unseal(typed.get("ticket", ""), "ticket", *place).decode()
    except Unreadable:
        return new_token("")


# --- one value ---


def read_secret(field: Field, text: str, secrets: dict[str, str]) -> None:
    """Take a typed secret, if there is one. Raises ValueError with the reason if it will not do."""
    value = read_value(field, text)
    if value:
        secrets[field.name] = value


def read_value(field: Field, text: str) -> Any:
    """One field's value in its own type. Raises ValueError with a sentence for the person."""
    check_text(text)
    if not text and field.kind != "checkbox":
        if field.required:
            raise ValueError("This is needed.")
        return None if field.kind == "number" else ""
    value = READERS[field.kind](field, text)
    if field.check:
        field.check(text)
    return value


def check_text(text: str) -> None:
    """Raise ValueError for what is too long, or holds what cannot be seen."""
    if len(text) > VALUE_MAX or not text.isprintable():
        raise ValueError(f"At most {VALUE_MAX} ordinary characters.")


def read_number(field: Field, text: str) -> int | float:
    """A number within the field's bounds."""
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", text):
        raise ValueError("This must be a number.")
    number = float(text) if "." in text else int(text)
    if (field.minimum is not None and number < field.minimum) or (field.maximum is not None and number > field.maximum):
        raise ValueError(f"This must be between {as_text(field.minimum)} and {as_text(field.maximum)}.")
    return number


def read_url(field: Field, text: str) -> str:
    """An http(s) address without a user name in it."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(/[!#-;=?-\[\]_a-z~]*)?", text):
        raise ValueError("This must be an address such as https://example.com, without a password in it.")
    return text.rstrip("/")


def read_option(field: Field, text: str) -> str:
    """One of the field's options."""
    if text not in {value for value, _ in field.options}:
        raise ValueError("Please choose one of the list.")
    return text


READERS: dict[str, Callable[[Field, str], Any]] = {
    "text": lambda field, text: text,
    "secret": lambda field, text: text,
    "url": read_url,
    "number": read_number,
    "select": read_option,
    "checkbox": lambda field, text: bool(text),
}


def find_value(settings: Mapping[str, Any], field: Field, default: Any) -> Any:
    """A field's kept value, wherever settings hold it."""
    held = settings.get(field.inside) or {} if field.inside else settings
    return held.get(field.name.partition(":")[2] if field.inside else field.name, default)


def as_text(value: Any) -> str:
    """A kept value as it stands in a form."""
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return "\n".join(value)
    return "on" if value is True else str(value)

"""A connector's field list as a form: what is shown, what is typed, what is wrong with it. Keeps nothing by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crypto import Unreadable, Vault
from errors import InvalidInput
from store.connections import Connection, Draft
from tools import Connector, Field

NAME_MAX = 60
VALUE_MAX = 4000


@dataclass(frozen=True)
class Line:
    """One field as the page shows it. A secret's `value` is always empty: `is_kept` or `is_typed` tell that there is one."""

    field: Field
    value: str
    error: str | None
    is_kept: bool
    is_typed: bool


def list_lines(
    connector: Connector, typed: Mapping[str, str] | None, connection: Connection | None, errors: Mapping[str, str]
) -> list[Line]:
    """The lines of the form: with what was typed, else what is kept, else the defaults."""
    kept = connection.settings if connection else {}
    secrets = connection.secret_names if connection else frozenset()
    lines = []
    for field in connector.fields:
        value = typed.get(field.name, "") if typed is not None else as_text(kept.get(field.name, field.default))
        error = errors.get(field.name)
        if field.kind == "secret":
            lines.append(Line(field, "", error, field.name in secrets, bool(typed and value and not error)))
        else:
            lines.append(Line(field, value, error, False, False))
    return lines


def read_draft(connector: Connector, typed: Mapping[str, str], connection: Connection | None = None) -> Draft:
    """What was typed, checked. An empty secret keeps the old one; a box `forget_<name>` drops it.

    Raises InvalidInput with a sentence for each field that has to be mended.
    """
    settings: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    forget: set[str] = set()
    errors: dict[str, str] = {}
    kept = connection.secret_names if connection else frozenset()
    name = typed.get("connection_name", "").strip() or connector.title
    if len(name) > NAME_MAX or not name.isprintable():
        errors["connection_name"] = f"At most {NAME_MAX} ordinary characters."
    for field in connector.fields:
        text = typed.get(field.name, "").strip()
        try:
            if field.kind == "secret":
                if typed.get("forget_" + field.name) and not text:
                    forget.add(field.name)
                elif text or field.name not in kept:
                    read_secret(field, text, secrets)
            else:
                settings[field.name] = read_value(field, text)
        except ValueError as error:
            errors[field.name] = str(error)
    if errors:
        raise InvalidInput("Please look at the marked fields.", errors)
    return Draft(connector.name, name, settings, secrets, frozenset(forget))


def seal_typed_secrets(
    vault: Vault, connector: Connector, typed: Mapping[str, str], errors: Mapping[str, str], *place: str
) -> str:
    """The secrets that were typed, for the page to carry unseen from a test or a mistake to the end; '' if there are none."""
    names = [field.name for field in connector.fields if field.kind == "secret" and field.name not in errors]
    secrets = {name: typed[name] for name in names if typed.get(name, "").strip()}
    return vault.seal(json.dumps(secrets).encode(), "typed secrets", *place) if secrets else ""


def restore_typed_secrets(vault: Vault, typed: Mapping[str, str], *place: str) -> dict[str, str]:
    """What was typed, with the secrets that the page carried in `typed_secrets` where none was typed anew."""
    try:
        carried = json.loads(vault.unseal(typed.get("typed_secrets", ""), "typed secrets", *place))
    except Unreadable:
        carried = {}
    return {**typed} | {name: secret for name, secret in carried.items() if not typed.get(name, "").strip()}


def read_secret(field: Field, text: str, secrets: dict[str, str]) -> None:
    """Take a typed secret, if there is one. Raises ValueError with the reason if it will not do."""
    value = read_value(field, text)
    if value:
        secrets[field.name] = value


def read_value(field: Field, text: str) -> Any:
    """One field's value in its own type. Raises ValueError with a sentence for the person."""
    if len(text) > VALUE_MAX or not all(letter.isprintable() for letter in text):
        raise ValueError(f"At most {VALUE_MAX} ordinary characters.")
    if not text and field.kind != "checkbox":
        if field.required:
            raise ValueError("This is needed.")
        return None if field.kind == "number" else ""
    value = READERS[field.kind](field, text)
    if field.check:
        field.check(text)
    return value


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


def as_text(value: Any) -> str:
    """A kept value as it stands in a form."""
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)

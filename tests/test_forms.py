"""forms.py: what a person types is checked field by field, and secrets never come back."""

from __future__ import annotations

import pytest
from conftest import NOW

from crypto import Vault
from errors import InvalidInput
from forms import list_lines, read_draft, restore_typed_secrets, seal_typed_secrets
from store.connections import Connection
from tools import Connector, Field


def even(text: str) -> None:
    """A check of a connector's own."""
    if int(text) % 2:
        raise ValueError("Only even numbers.")


KETTLE = Connector(
    name="kettle",
    title="Kettle",
    description="For tests.",
    fields=(
        Field("colour", "Colour", kind="select", default="red", options=(("red", "Red"), ("blue", "Blue"))),
        Field("litres", "Litres", kind="number", minimum=1, maximum=9, check=even),
        Field("address", "Address", kind="url", required=True),
        Field("key", "Key", kind="secret", required=True),
        Field("pin", "Pin", kind="secret"),
        Field("loud", "Loud", kind="checkbox"),
    ),
)
GOOD = {"colour": "blue", "litres": "4", "address": "https://kettle.example:8123/", "key": "s3cret", "loud": "on"}
KEPT = Connection("c1", "u1", "kettle", "Mine", {"colour": "blue", "loud": True}, frozenset({"key", "pin"}), NOW, NOW)


def test_it_takes_each_value_in_its_own_type():
    draft = read_draft(KETTLE, GOOD | {"connection_name": " Mine "})
    assert draft.settings == {"colour": "blue", "litres": 4, "address": "https://kettle.example:8123", "loud": True}
    assert (draft.connector, draft.name, draft.secrets, draft.forget) == ("kettle", "Mine", {"key": "s3cret"}, frozenset())


def test_an_empty_name_is_the_connectors_title():
    assert read_draft(KETTLE, GOOD).name == "Kettle"


@pytest.mark.parametrize(
    ("field", "typed", "mistake"),
    [
        ("colour", "green", "Please choose one of the list."),
        ("litres", "many", "This must be a number."),
        ("litres", "10", "This must be between 1 and 9."),
        ("litres", "3", "Only even numbers."),
        ("litres", "1e3", "This must be a number."),
        ("address", "", "This is needed."),
        ("address", "javascript:alert(1)", "This must be an address"),
        ("address", "https://user:pass@kettle.example", "This must be an address"),
        ("address", "https://kettle.example/a b", "This must be an address"),
        ("key", "", "This is needed."),
        ("key", "x" * 4001, "At most 4000"),
        ("key", "line\nbreak", "At most 4000 ordinary"),
        ("connection_name", "x" * 61, "At most 60"),
        ("connection_name", "a\u202eb", "At most 60 ordinary"),
    ],
)
def test_it_says_what_is_wrong_with_a_field(field: str, typed: str, mistake: str):
    with pytest.raises(InvalidInput) as refusal:
        read_draft(KETTLE, GOOD | {field: typed})
    assert set(refusal.value.fields) == {field}
    assert refusal.value.fields[field].startswith(mistake)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InvalidInput) as refusal:
        read_draft(KETTLE, {"colour": "green"})
    assert set(refusal.value.fields) == {"colour", "address", "key"}


def test_an_empty_secret_keeps_the_old_one_and_a_box_drops_it():
    draft = read_draft(KETTLE, GOOD | {"key": "", "pin": "", "forget_pin": "on"}, KEPT)
    assert (draft.secrets, draft.forget) == ({}, frozenset({"pin"}))


def test_a_newly_typed_secret_wins_over_the_box():
    draft = read_draft(KETTLE, GOOD | {"pin": "1234", "forget_pin": "on"}, KEPT)
    assert (draft.secrets["pin"], draft.forget) == ("1234", frozenset())


def test_lines_show_what_is_kept_but_never_a_secret():
    lines = {line.field.name: line for line in list_lines(KETTLE, None, KEPT, {})}
    assert (lines["colour"].value, lines["loud"].value) == ("blue", "on")
    assert (lines["key"].value, lines["key"].is_kept) == ("", True)


def test_lines_show_what_was_typed_but_never_a_secret():
    lines = {line.field.name: line for line in list_lines(KETTLE, GOOD, None, {"litres": "No."})}
    assert (lines["litres"].value, lines["litres"].error) == ("4", "No.")
    assert (lines["key"].value, lines["key"].is_kept) == ("", False)


def test_an_untouched_form_starts_with_the_defaults():
    lines = {line.field.name: line.value for line in list_lines(KETTLE, None, None, {})}
    assert lines == {"colour": "red", "litres": "", "address": "", "key": "", "pin": "", "loud": ""}


# --- lists, rows, and what is asked for with one choice only ---


def not_host(name: str) -> None:
    """A check of names."""
    if name == "Host":
        raise ValueError("Not this one.")


SERVER = Connector(
    name="server",
    title="Server",
    description="For tests.",
    fields=(
        Field("auth", "Auth", kind="select", default="none", options=(("none", "None"), ("key", "Key"))),
        Field("key", "Key", kind="secret", required=True, when=("auth", "key")),
        Field("header", "Header", default="Authorization", when=("auth", "key")),
        Field("args", "Arguments", kind="lines", check=not_host),
        Field("header_names", "Headers", kind="pairs", sealed_as="header", check=not_host),
        Field("input:TEAM", "Team", inside="inputs"),
        Field("input:TOKEN", "Token", kind="secret", inside="inputs"),
    ),
)
ROWS = {"header_names.0.name": "X-A", "header_names.0.value": "a", "header_names.2.name": "X-B", "header_names.2.value": "b"}
OLD = Connection(
    "c2", "u1", "server", "Old", {"auth": "key", "args": ["-v"], "header_names": ["X-A", "X-B"], "inputs": {"TEAM": "blue"}},
    frozenset({"key", "header:X-A", "header:X-B", "input:TOKEN", "access_token"}), NOW, NOW,
)  # fmt: skip


def test_lines_become_a_list_and_rows_become_names_and_secrets():
    draft = read_draft(SERVER, {"auth": "none", "args": " -y \r\n\r\nfetch x\r\n"} | ROWS)
    assert (draft.settings["args"], draft.settings["header_names"]) == (["-y", "fetch x"], ["X-A", "X-B"])
    assert draft.secrets == {"header:X-A": "a", "header:X-B": "b"}


def test_inputs_are_kept_together_and_a_secret_one_that_is_left_out_leaves_its_place():
    draft = read_draft(SERVER, {"auth": "none", "input:TEAM": "red"})
    assert (draft.settings["inputs"], draft.secrets) == ({"TEAM": "red", "TOKEN": ""}, {})
    draft = read_draft(SERVER, {"auth": "none", "input:TOKEN": "t"})
    assert (draft.settings["inputs"], draft.secrets) == ({"TEAM": "", "TOKEN": ""}, {"input:TOKEN": "t"})


def test_a_field_that_is_not_asked_for_is_not_read_and_its_secret_is_dropped():
    draft = read_draft(SERVER, {"auth": "none", "key": "typed", "header": "X-Typed"}, OLD)
    assert (draft.settings["header"], "key" in draft.secrets, "key" in draft.forget) == ("Authorization", False, True)
    with pytest.raises(InvalidInput) as refusal:
        read_draft(SERVER, {"auth": "key"})
    assert refusal.value.fields == {"key": "This is needed."}


def test_a_row_without_a_value_keeps_the_old_one_and_a_row_that_is_gone_takes_it_along():
    draft = read_draft(SERVER, {"auth": "key", "header_names.0.name": "X-A", "header_names.1.name": ""}, OLD)
    assert (draft.settings["header_names"], draft.secrets, draft.forget) == (["X-A"], {}, frozenset({"header:X-B"}))


@pytest.mark.parametrize(
    ("typed", "field", "mistake"),
    [
        ({"header_names.0.name": "X-New"}, "header_names", "X-New has no value."),
        ({"header_names.0.value": "v"}, "header_names", "A value has no name."),
        (ROWS | {"header_names.2.name": "X-A"}, "header_names", "Each name can be there once."),
        (ROWS | {"header_names.0.name": "Host"}, "header_names", "Not this one."),
        (ROWS | {"header_names.0.value": "a\nb"}, "header_names", "At most 4000 ordinary characters."),
        ({"args": "x\nHost"}, "args", "Not this one."),
        ({"args": "x\n" * 201}, "args", "At most 200 lines."),
        ({"args": "x\x1b[2J"}, "args", "At most 4000 ordinary characters."),
    ],
)
def test_it_says_what_is_wrong_with_a_row_or_a_line(typed: dict[str, str], field: str, mistake: str):
    with pytest.raises(InvalidInput) as refusal:
        read_draft(SERVER, {"auth": "none"} | typed)
    assert refusal.value.fields == {field: mistake}


def test_rows_show_names_and_never_a_value_and_there_is_always_room_for_more():
    lines = {line.field.name: line for line in list_lines(SERVER, None, OLD, {})}
    assert [(row.name, row.is_kept) for row in lines["header_names"].rows] == [
        ("X-A", True),
        ("X-B", True),
        ("", False),
        ("", False),
    ]
    assert (lines["args"].value, lines["input:TEAM"].value, lines["input:TOKEN"].is_kept) == ("-v", "blue", True)
    lines = {line.field.name: line for line in list_lines(SERVER, ROWS | {"args": "typed"}, OLD, {})}
    assert [(row.name, row.is_typed) for row in lines["header_names"].rows][:3] == [("X-A", True), ("", False), ("X-B", True)]
    assert lines["args"].value == "typed"
    assert not [row for row in lines["header_names"].rows if "value" in vars(row)]


def test_typed_values_of_rows_are_carried_sealed_to_the_next_page(vault: Vault):
    sealed = seal_typed_secrets(vault, SERVER, ROWS | {"input:TOKEN": "t"}, {}, "here")
    carried = restore_typed_secrets(vault, {"typed_secrets": sealed, "header_names.2.value": "newer"}, "here")
    assert (carried["header_names.0.value"], carried["header_names.2.value"], carried["input:TOKEN"]) == ("a", "newer", "t")

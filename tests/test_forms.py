"""forms.py: what a person types is checked field by field, and secrets never come back."""

from __future__ import annotations

import pytest
from conftest import NOW

from errors import InvalidInput
from forms import list_lines, read_draft
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

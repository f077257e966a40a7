"""tools.py: what a plain function gets of the arguments that fit its schema."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from clickup.world import World
from pydantic import Field

from argument_checks import find_mistake, own_checker
from tools import Context, tool, whole


@tool(title="Cut", reads=True)
def cut(context: Context, items: list[Any], limit: Annotated[int, Field(ge=1)] = 2) -> dict:
    """The first of some items."""
    return {"items": items[:limit]}


@pytest.mark.parametrize("limit", [1, 1.0])
def test_an_integer_may_be_written_as_a_number_with_a_point(limit: float):
    arguments = {"items": ["a", "b"], "limit": limit}
    assert find_mistake(own_checker(cut.input_schema), arguments) is None
    assert cut.run(World().context(), arguments).structured == {"items": ["a"]}


def test_what_is_no_integer_is_refused():
    mistake = find_mistake(own_checker(cut.input_schema), {"items": [], "limit": 1.5})
    assert mistake == "Invalid arguments: limit: 1.5 is not of type 'integer'"


def test_numbers_inside_of_others_become_whole_and_nothing_else_changes():
    found = whole({"a": [1.0, 2.5, True, None, "3.0"], "b": {"c": -4.0}})
    assert found == {"a": [1, 2.5, True, None, "3.0"], "b": {"c": -4}}
    assert [type(item) for item in (*found["a"], found["b"]["c"])] == [int, float, bool, type(None), str, int]

"""Dice: a connector in one file, to copy and to change. It is loaded only if CUSTOM_DIR names this folder."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import Field as Parameter
from typing_extensions import TypedDict

from errors import ToolError
from tools import Connector, Context, Field, tool


class Roll(TypedDict):
    """What a roll gives; it becomes the tool's output schema."""

    dice: list[int]
    total: int


@tool(title="Roll dice", reads=True)
def dice_roll(context: Context, dice: Annotated[int, Parameter(ge=1, le=20, description="How many dice")] = 2) -> Roll:
    """Roll some dice and add up what they show."""
    sides = context.settings["sides"]
    rolled = [random.randint(1, sides) for _ in range(dice)]
    return {"dice": rolled, "total": sum(rolled)}


def check(context: Context) -> str:
    """What the form's test button does."""
    if context.settings["sides"] == 3:
        raise ToolError("Nobody has ever seen a die with three sides.")
    return f"A die with {context.settings['sides']} sides will do."


CONNECTOR = Connector(
    name="dice",
    title="Dice",
    description="Rolls dice. An example of a connector of your own.",
    fields=(Field("sides", "Sides of a die", kind="number", default="6", minimum=2, maximum=100),),
    tools=(dice_roll,),
    test=check,
)

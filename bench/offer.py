"""The tools that every server under test offers: twenty alike, of which `echo` is called. Knows no server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

NAMES = ("echo", *(f"echo_{number:02}" for number in range(2, 21)))
TITLE = "Echo"
DESCRIPTION = "Answer what was said, as often as wanted. It changes nothing and asks no other service."
PORT = int(os.environ.get("PORT", "0"))
TOKEN = os.environ.get("BENCH_TOKEN", "")


class Echo(TypedDict):
    """What a tool answers."""

    message: str
    times: int


Message = Annotated[str, Field(description="What to say", max_length=1000)]
Times = Annotated[int, Field(description="How often", ge=1, le=10)]


def echo(message: str, times: int) -> Echo:
    """What all of the tools do."""
    return {"message": message, "times": times}


def make_function(name: str) -> Callable[..., Echo]:
    """A function under its own name, for servers that make a tool of a function."""

    def function(message: Message, times: Times = 1) -> Echo:
        return echo(message, times)

    function.__name__, function.__doc__ = name, DESCRIPTION
    return function

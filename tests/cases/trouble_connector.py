"""A connector whose tools misbehave, wait for each other, or keep a secret. For tests only."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from pydantic import Field as Described

from tools import Connector, Context, Field, Result, text, tool

GATES: dict[str, threading.Event] = {}
Region = Annotated[str, Described(json_schema_extra={"x-mcp-header": "Region"})]


@tool(title="Echo")
def echo(context: Context, word: str = "") -> str:
    """Answer what was sent."""
    return word


@tool(title="Mirror")
def mirror(context: Context, region: Region = "none") -> str:
    """Take an argument that a header mirrors."""
    return region


@tool(title="Write")
def write(context: Context) -> str:
    """Change something."""
    return "written"


@tool(title="Break")
def break_down(context: Context, word: str = "a secret of the tool") -> str:
    """Fail as nobody foresaw."""
    raise RuntimeError(word)


@tool(title="Not text")
def bad_text(context: Context) -> Result:
    """Answer what UTF-8 cannot say."""
    return Result(content=[text("half a pair: \ud800")])


@tool(title="Bytes")
def raw_bytes(context: Context) -> Result:
    """Answer what JSON cannot say."""
    return Result(structured={"bytes": b"\xff\xfe"})


@tool(title="Large")
def large(context: Context) -> str:
    """Answer 50 MB."""
    return "x" * 50_000_000


@tool(title="Circle")
def circle(context: Context) -> Result:
    """Answer something that contains itself."""
    value: dict[str, Any] = {}
    value["itself"] = value
    return Result(content=[text("a circle")], structured=value)


@tool(title="Wait", streams=True)
def wait(context: Context, gate: str) -> str:
    """Say that it waits, until `open_gate` opens the gate or the client goes away."""
    event = GATES.setdefault(gate, threading.Event())
    context.call.progress(0, 1, "waiting")
    while not event.wait(0.05):
        context.call.check_cancelled()
    return f"gate {gate} is open"


@tool(title="Open")
def open_gate(context: Context, gate: str) -> str:
    """Open a gate."""
    GATES.setdefault(gate, threading.Event()).set()
    return "opened"


CONNECTOR = Connector(
    name="trouble",
    title="Trouble",
    description="What a server has to live with.",
    fields=(Field("token", "Token", kind="secret"), Field("place", "Place")),
    tools=(echo, mirror, write, break_down, bad_text, raw_bytes, large, circle, wait, open_gate),
)

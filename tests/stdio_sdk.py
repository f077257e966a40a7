"""An MCP server of the Python SDK, over stdio. Run as a script."""

from __future__ import annotations

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import InputRequiredResult
from pydantic import BaseModel

server = MCPServer("sdk", instructions="Add.")


class Answer(BaseModel):
    """What is asked."""

    color: str


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def work(context: Context) -> str:
    """Report progress."""
    for step in (1, 2, 3):
        await context.report_progress(step, 3, f"step {step}")
    return "worked"


@server.tool()
async def fail() -> str:
    """Fail."""
    raise ValueError("it failed")


@server.tool()
async def rest() -> str:
    """Take long."""
    await anyio.sleep(60)
    return "rested"


@server.tool()
async def favourite(context: Context) -> str:
    """Ask for a colour."""
    result = await context.elicit("Which colour?", Answer)
    return f"{result.action} {result.data.color if result.action == 'accept' else ''}"


@server.tool()
async def pick(context: Context) -> InputRequiredResult:
    """Ask for a colour as the stateless era does; and once more when the answer comes, for this is only about the asking."""
    question = {"method": "elicitation/create", "params": {"message": "Which?", "requestedSchema": Answer.model_json_schema()}}
    return InputRequiredResult.model_validate({"inputRequests": {"color": question}, "requestState": "opaque"})


@server.resource("note://one")
def note() -> str:
    """A note."""
    return "a note"


if __name__ == "__main__":
    server.run("stdio")

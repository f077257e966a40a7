"""The tools, resources and prompts that the conformance suite expects of a server, as a connector. For tests only."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from db import open_database
from errors import ToolError
from store.revisions import bump_features
from tools import Connector, Context, Prompt, Resource, ResourceTemplate, Result, Tool, text, tool

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="  # one red pixel
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="  # one sample of silence
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
STEP_SECONDS = 0.05  # the suite looks at messages that come one after the other


def embedded(uri: str, mime_type: str, content: str) -> dict[str, Any]:
    """An embedded resource as a content block."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": content}}


def form(message: str, required: tuple[str, ...] = (), **properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A question to a person."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return "elicitation/create", {"message": message, "requestedSchema": schema}


def prompt_model(words: str) -> tuple[str, dict[str, Any]]:
    """A question to the client's model."""
    return "sampling/createMessage", {"messages": [{"role": "user", "content": text(words)}], "maxTokens": 100}


Region = Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]
ROOTS: tuple[str, dict[str, Any]] = ("roots/list", {})
NAME = form("What is your name?", ("name",), name={"type": "string"})
CONFIRM = form("Please confirm", ("ok",), ok={"type": "boolean"})


# --- tools that just answer ---


@tool(title="Text")
def test_simple_text(context: Context) -> str:
    """Answer one text."""
    return "This is a simple text response for testing."


@tool(title="Image")
def test_image_content(context: Context) -> Result:
    """Answer one image."""
    return Result(content=[IMAGE])


@tool(title="Audio")
def test_audio_content(context: Context) -> Result:
    """Answer one sound."""
    return Result(content=[{"type": "audio", "data": WAV, "mimeType": "audio/wav"}])


@tool(title="Embedded resource")
def test_embedded_resource(context: Context) -> Result:
    """Answer one embedded resource."""
    return Result(content=[embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")])


@tool(title="Mixed content")
def test_multiple_content_types(context: Context) -> Result:
    """Answer a text, an image and a resource."""
    resource = embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}')
    return Result(content=[text("Multiple content types test:"), IMAGE, resource])


@tool(title="Error")
def test_error_handling(context: Context) -> str:
    """Fail on purpose."""
    raise ToolError("This tool intentionally returns an error for testing")


@tool(title="Header")
def test_x_mcp_header(context: Context, region: Region = "none") -> str:  # noqa: PT028 (a tool, not a test)
    """Take an argument that a header mirrors."""
    return f"region={region}"


@tool(title="Missing capability")
def test_missing_capability(context: Context) -> str:
    """Ask the client's model, whatever the client can do."""
    return str(context.call.ask("sample", *prompt_model("hello"))["role"])


def answer_name(_context: Context, _arguments: dict[str, Any]) -> Result:
    """Answer the tool's own name."""
    return Result(content=[text("json_schema_2020_12_tool")])


JSON_SCHEMA_TOOL = Tool(
    name="json_schema_2020_12_tool",
    title="JSON Schema 2020-12",
    description="Declare keywords that a careless server would lose.",
    run=answer_name,
    takes={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)


# --- tools that say something before they answer ---


def log_three_times(context: Context, _arguments: dict[str, Any]) -> Result:
    """Send three log lines, one after the other."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        context.call.log("info", line)
        time.sleep(STEP_SECONDS)
    return Result(content=[text("Tool with logging executed successfully")])


LOGGING_TOOLS = tuple(
    Tool(name, "Logging", "Send three log lines.", {"type": "object"}, log_three_times, streams=True)
    for name in ("test_tool_with_logging", "test_logging_tool")
)


@tool(title="Progress", streams=True)
def test_tool_with_progress(context: Context) -> str:
    """Report progress three times."""
    for percent in (0, 50, 100):
        context.call.progress(percent, 100, f"Completed step {percent} of 100")
        time.sleep(STEP_SECONDS)
    return "done"


@tool(title="Reconnection", streams=True)
def test_reconnection(context: Context) -> str:
    """Say something before and after a short pause."""
    context.call.log("info", "Before disconnect")
    time.sleep(4 * STEP_SECONDS)
    context.call.log("info", "After reconnect")
    return "Reconnection test completed"


@tool(title="Wait", streams=True)
def wait_until_cancelled(context: Context) -> str:
    """Say something, then wait until nobody wants an answer any more; the server's log tells of it."""
    context.call.log("error", "waiting")
    print("the fixture waits", flush=True)
    if context.call.cancelled.wait(30):
        print("the fixture was cancelled", flush=True)
    return "over"


# --- lists that change ---


class Changes(Mapping[str, int]):
    """How often a list has changed, kept in a file of the server's folder, where every worker sees it."""

    def __init__(self, kind: str):
        self.path = Path(f"{kind}.changes")

    def __getitem__(self, name: str) -> int:
        if name != "changes":
            raise KeyError(name)
        return self.path.stat().st_size if self.path.exists() else 0

    def __iter__(self) -> Iterator[str]:
        return iter(["changes"])

    def __len__(self) -> int:
        return 1

    def add(self) -> None:
        """Change the list once more, and move the number that tells of it."""
        with self.path.open("a") as file:
            file.write("+")
        db = open_database(os.environ["DATABASE_URL"])
        with db.write() as run:
            bump_features(run)
        db.close()


class ChangingArguments(Changes):
    """The arguments of a prompt, one of which is described by the number of changes."""

    def __iter__(self) -> Iterator[Any]:
        yield "number", f"Change {self['changes']}.", False


TOOL_CHANGES, PROMPT_ARGUMENTS, WATCHED = Changes("tools"), ChangingArguments("prompts"), Changes("watched")


@tool(title="Change the tools", meta=TOOL_CHANGES)
def test_trigger_tool_change(context: Context) -> str:
    """Change how this tool is listed."""
    TOOL_CHANGES.add()
    return "tool list changed"


@tool(title="Change the prompts")
def test_trigger_prompt_change(context: Context) -> str:
    """Change how a prompt is listed."""
    PROMPT_ARGUMENTS.add()
    return "prompt list changed"


@tool(title="Change the watched resource")
def test_trigger_resource_change(context: Context) -> str:
    """Change a resource."""
    WATCHED.add()
    return "resource changed"


# --- tools that ask ---


@tool(title="Sampling", streams=True)
def test_sampling(context: Context, prompt: str) -> str:
    """Ask the client's model."""
    answer = context.call.ask("sample", *prompt_model(prompt))
    return f"LLM response: {answer['content'].get('text')}"


@tool(title="Elicitation", streams=True)
def test_elicitation(context: Context, message: str) -> str:
    """Ask the person."""
    answer = context.call.ask("user", *form(message, response={"type": "string"}))
    return f"User response: action={answer['action']}, content={json.dumps(answer.get('content') or {})}"


@tool(title="Streaming elicitation", streams=True)
def test_streaming_elicitation(context: Context) -> str:
    """Ask the person over the stream, where there is one."""
    return context.call.ask("user", *form("Go on?", response={"type": "string"}))["action"]


@tool(title="Defaults", streams=True)
def test_elicitation_sep1034_defaults(context: Context) -> str:
    """Ask with a default of each kind."""
    question = form(
        "Please provide user information",
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    answer = context.call.ask("user", *question)
    return f"Elicitation result: action={answer['action']}, content={json.dumps(answer.get('content') or {})}"


@tool(title="Choices", streams=True)
def test_elicitation_sep1330_enums(context: Context) -> str:
    """Ask with a choice of each kind."""
    levels = [{"const": word, "title": f"{word.title()} Priority"} for word in ("low", "medium", "high")]
    kinds = [{"const": "feature", "title": "New Feature"}, {"const": "bug", "title": "Bug Fix"}]
    sizes = ["small", "medium", "large"]
    question = form(
        "Please select",
        untitledSingle={"type": "string", "enum": ["active", "inactive", "pending"]},
        titledSingle={"type": "string", "oneOf": levels},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": ["read", "write", "execute"]}},
        titledMulti={"type": "array", "items": {"anyOf": kinds}},
        legacyEnum={"type": "string", "enum": sizes, "enumNames": [f"{size.title()} Size" for size in sizes]},
    )
    answer = context.call.ask("user", *question)
    return f"Elicitation completed: action={answer['action']}, content={json.dumps(answer.get('content') or {})}"


@tool(title="Ask a name")
def test_input_required_result_elicitation(context: Context) -> str:
    """Greet the person by name."""
    answer = context.call.ask("user_name", *NAME)
    return f"Hello, {(answer.get('content') or {}).get('name')}!"


@tool(title="Ask the model")
def test_input_required_result_sampling(context: Context) -> str:
    """Repeat what the client's model says."""
    answer = context.call.ask("capital_question", *prompt_model("What is the capital of France?"))
    return f"Model said: {answer['content']['text']}"


@tool(title="Ask for roots")
def test_input_required_result_list_roots(context: Context) -> str:
    """Count the client's roots."""
    return f"Client exposed {len(context.call.ask('client_roots', *ROOTS)['roots'])} root(s)."


@tool(title="State")
def test_input_required_result_request_state(context: Context) -> str:
    """Ask, and need the state to come back."""
    context.call.ask("confirm", *CONFIRM)
    return "state-ok: confirmation received"


@tool(title="Several questions")
def test_input_required_result_multiple_inputs(context: Context) -> str:
    """Ask three things at once."""
    context.call.ask_all({"user_name": NAME, "greeting": prompt_model("Generate a greeting"), "client_roots": ROOTS})
    return "All inputs received."


@tool(title="Several rounds")
def test_input_required_result_multi_round(context: Context) -> str:
    """Ask one thing after the other."""
    name = context.call.ask("step1", *NAME)["content"].get("name")
    question = form("Step 2: What is your favorite color?", ("color",), color={"type": "string"})
    return f"{name} likes {context.call.ask('step2', *question)['content'].get('color')}."


@tool(title="Tampered state")
def test_input_required_result_tampered_state(context: Context) -> str:
    """Ask, so that somebody may tamper with the state."""
    context.call.ask("confirm", *CONFIRM)
    return "state-ok"


@tool(title="Declared capabilities only")
def test_input_required_result_capabilities(context: Context) -> str:
    """Ask only what the client said it can be asked."""
    questions = {"sampling": ("sample", prompt_model("hello")), "elicitation": ("ask", NAME)}
    context.call.ask_all(dict(question for name, question in questions.items() if name in context.call.capabilities))
    return "done"


# --- resources and prompts ---


def resource(uri: str, mime_type: str, **content: str) -> Resource:
    """A resource that never changes."""

    def read(_context: Context, asked: str) -> list[dict[str, Any]]:
        return [{"uri": asked, "mimeType": mime_type, **content}]

    return Resource(uri, uri.partition("//")[2], "Fixture", "For tests.", mime_type, read)


def read_template(_context: Context, uri: str, values: dict[str, str]) -> list[dict[str, Any]]:
    """JSON about the id in the URI."""
    facts = {"id": values["id"], "templateTest": True, "data": f"Data for ID: {values['id']}"}
    return [{"uri": uri, "mimeType": "application/json", "text": json.dumps(facts)}]


def prompt(name: str, get: Any, *arguments: str) -> Prompt:
    """A prompt whose arguments are all required."""
    return Prompt(name, "Fixture", "For tests.", get, tuple((argument, "For tests.", True) for argument in arguments))


def say(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages of the user."""
    return [{"role": "user", "content": block} for block in blocks]


def get_prompt_with_arguments(_context: Context, arguments: dict[str, str]) -> list[dict[str, Any]]:
    """Repeat both arguments."""
    return say(text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"))


def get_prompt_with_resource(_context: Context, arguments: dict[str, str]) -> list[dict[str, Any]]:
    """Embed the resource of the given URI."""
    content = embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return say(content, text("Please process the embedded resource above."))


def get_prompt_that_asks(context: Context, _arguments: dict[str, str]) -> list[dict[str, Any]]:
    """Ask the person before the prompt is written."""
    question = form("What context should the prompt use?", ("context",), context={"type": "string"})
    return say(text(json.dumps(context.call.ask("user_context", *question))))


CONNECTOR = Connector(
    name="conformance",
    title="Conformance",
    description="What the conformance suite looks for.",
    tools=(*(item for item in list(globals().values()) if isinstance(item, Tool)), *LOGGING_TOOLS),
    resources=(
        resource("test://static-text", "text/plain", text="This is the content of the static text resource."),
        resource("test://static-binary", "image/png", blob=PNG),
        replace(
            resource("test://watched-resource", "text/plain", text="Watched resource content"),
            mark=lambda context: str(WATCHED["changes"]),
        ),
    ),
    templates=(
        ResourceTemplate("test://template/{id}/data", "template", "Fixture", "For tests.", "application/json", read_template),
    ),
    prompts=(
        prompt("test_simple_prompt", lambda _context, _arguments: say(text("This is a simple prompt for testing."))),
        prompt("test_prompt_with_arguments", get_prompt_with_arguments, "arg1", "arg2"),
        prompt("test_prompt_with_embedded_resource", get_prompt_with_resource, "resourceUri"),
        prompt("test_prompt_with_image", lambda _context, _arguments: say(IMAGE, text("Please analyze the image above."))),
        prompt("test_input_required_result_prompt", get_prompt_that_asks),
        Prompt("changing_prompt", "Fixture", "For tests.", lambda _context, _arguments: say(text("changed")), PROMPT_ARGUMENTS),
    ),
)

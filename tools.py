"""The small vocabulary that connectors and upstreams speak. Knows no database, no protocol and no web server."""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contexts import ASKABLE, CANNOT_BE_ASKED, Cache, Cached, Call, Context, Greet, Result, SignedIn, text
from errors import FetchError, ToolError
from schemas import schema_of_parameters, schema_of_return
from sources import Source

__all__ = [  # all that a connector's file needs, in one place
    "ASKABLE", "CANNOT_BE_ASKED", "Cache", "Cached", "Call", "Completer", "Connector", "Context", "Field", "Greet", "Job",
    "Prompt", "Resource", "ResourceTemplate", "Result", "Schema", "SignIn", "SignedIn", "Tool", "text", "tool",
]  # fmt: skip

# --- what a connector declares ---


@dataclass(frozen=True)
class Field:
    """One part of a connection's form. `kind`: text, secret, url, number, select, checkbox, lines (a list, one on each line)
    or pairs (rows of a name and a secret value; the setting lists the names)."""

    name: str
    label: str
    kind: str = "text"
    help: str = ""
    required: bool = False
    default: str = ""
    options: tuple[tuple[str, str], ...] = ()  # select: (value, label)
    check: Callable[[str], None] | None = None  # raises ValueError with a sentence for the person
    minimum: float | None = None  # number
    maximum: float | None = None
    when: tuple[str, str] | None = None  # (name of a select, its value): asked for only then
    inside: str = ""  # a setting that holds this one, under what stands behind the colon of `name`
    sealed_as: str = ""  # pairs: each value is the secret `sealed_as:<name>`

    @property
    def default_value(self) -> Any:
        """The default in the field's own type; None if there is none."""
        if self.kind in ("lines", "pairs"):
            return self.default.splitlines()
        if self.kind == "number" and self.default:
            return float(self.default) if "." in self.default else int(self.default)
        return self.default == "on" if self.kind == "checkbox" else self.default or None


Schema = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]  # JSON Schema, or what makes it once it is wanted


@dataclass(frozen=True)
class Tool:
    """A tool: what a client sees of it, and `run(context, arguments) -> Result`, which blocks."""

    name: str
    title: str
    description: str
    takes: Schema
    run: Callable[[Context, dict[str, Any]], Result]
    gives: Schema | None = None
    reads: bool = False  # True: changes nothing anywhere
    destructive: bool = False  # True: may remove or overwrite
    idempotent: bool = False  # True: twice is the same as once
    open_world: bool = False  # True: talks to other services
    core: bool = False  # True: one of the few that carry most of its connector's value
    streams: bool = False  # True: may log, ask or report progress, so that it gets a thread of its own
    icons: tuple[Mapping[str, Any], ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] | None = None  # as another server listed it; a list then starts from this
    scopes: tuple[tuple[str, ...], ...] = ()  # of the connection's sign-in: it needs one of each of these groups
    scope_hint: str = ""  # which choices in the connection's form ask for such scopes, in its words

    @cached_property
    def input_schema(self) -> Mapping[str, Any]:
        """JSON Schema of its arguments."""
        return self.takes() if callable(self.takes) else self.takes

    @cached_property
    def output_schema(self) -> Mapping[str, Any] | None:
        """JSON Schema of its structured result, if it has one."""
        return self.gives() if callable(self.gives) else self.gives

    @cached_property
    def has_headers(self) -> bool:
        """Whether an argument is mirrored in an HTTP header (`x-mcp-header`); looked up once, for few tools have any."""
        return "x-mcp-header" in json.dumps(self.input_schema)


@dataclass(frozen=True)
class Resource:
    """Something readable at a fixed URI; `read(context, uri)` answers resource contents (MCP `resources/read`).

    `mark(context)` answers, at once, what differs once the contents have changed, of which clients are then told; None: nobody
    can say.
    """

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    read: Callable[[Context, str], list[dict[str, Any]]]
    raw: Mapping[str, Any] | None = None
    mark: Callable[[Context], str] | None = None


@dataclass(frozen=True)
class ResourceTemplate:
    """Readable things with `{variables}` in their URI (RFC 6570, simple expansion only)."""

    uri_template: str
    name: str
    title: str
    description: str
    mime_type: str
    read: Callable[[Context, str, dict[str, str]], list[dict[str, Any]]]
    complete: Completer | None = None
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Prompt:
    """A prompt; `get(context, arguments)` answers messages, or the whole result. `arguments`: (name, description, required)."""

    name: str
    title: str
    description: str
    get: Callable[[Context, dict[str, str]], list[dict[str, Any]] | dict[str, Any]]
    arguments: tuple[tuple[str, str, bool], ...] = ()
    complete: Completer | None = None
    raw: Mapping[str, Any] | None = None


# (context, variable, typed so far) -> values, or the whole `completion`
Completer = Callable[["Context", str, str], "list[str] | dict[str, Any]"]


@dataclass(frozen=True)
class Job:
    """Periodic work, done for each connection of the connector."""

    name: str
    every_seconds: int
    run: Callable[[Context], None]


@dataclass(frozen=True)
class SignIn:
    """That a connection needs its person to sign in by OAuth at a service, and how. What is left empty the service is asked for.

    A handler finds a good access token among the secrets, as `access_token`.
    """

    url: str = ""  # of an MCP server: tokens are for it alone (RFC 8707), and it is asked where to sign in (RFC 9728)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # that the server at `url` wants besides
    issuer: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""
    scope: str = ""
    client_id: str = ""  # empty: we describe or register ourselves
    client_secret: str = field(default="", repr=False)
    house_client: str = ""  # whose client of the server's own settings will do if `client_id` is empty
    asks_exactly: bool = False  # True: for `scope`, and not for what was granted before as well
    when_over: str = ""  # what a person should know when the service renews it no more


# (tool, settings, scopes of the sign-in) -> what would have to be chosen in the form for the tool to be offered; "" if it is
Withhold = Callable[[Tool, Mapping[str, Any], frozenset[str]], str]


def withhold_by_scope(tool: Tool, settings: Mapping[str, Any], scopes: frozenset[str]) -> str:
    """A tool is offered if the sign-in has a scope of each group that it needs."""
    return tool.scope_hint if any(scopes.isdisjoint(group) for group in tool.scopes) else ""


@dataclass(frozen=True)
class Connector:
    """Code that offers tools for one service. `test` raises ToolError with a sentence for the person."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...] = ()
    tools: tuple[Tool, ...] = ()
    resources: tuple[Resource, ...] = ()
    templates: tuple[ResourceTemplate, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    jobs: tuple[Job, ...] = ()
    sources: tuple[Source, ...] = ()  # what `search` over a whole profile finds here
    test: Callable[[Context], str] | None = None  # answers what it found, in one sentence
    sign_in: Callable[[Mapping[str, Any], Mapping[str, str]], SignIn | None] | None = None  # of (settings, secrets); None: none
    withholds: Withhold = withhold_by_scope
    storage: str | None = None  # the name of the tables it keeps, if any
    is_upstream: bool = False  # another MCP server does the work; its features are in the database, not here

    def fill_in(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with the default of each field that was left out or is empty."""
        defaults = {field.name: field.default_value for field in self.fields if field.kind != "secret"}
        return defaults | {name: value for name, value in settings.items() if value not in ("", None)}


# --- a plain function as a tool ---


def tool(*, title: str, **facts: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Make a Tool of `def name(context, argument: type = default, …) -> dict | str | Result`.

    Name and description come from the function and its docstring, the input schema from its parameters (describe one with
    `Annotated[type, pydantic.Field(description=…)]`; one that Python reserves ends in _ here: `from_` is `from`), the output
    schema from a TypedDict return type. `facts` are Tool's other members. A FetchError inside becomes an error result.
    """

    def make(function: Callable[..., Any]) -> Tool:
        return Tool(
            name=function.__name__,
            title=title,
            description=inspect.cleandoc(function.__doc__ or ""),
            takes=lambda: schema_of_parameters(function),  # later: three hundred of them would take seconds of each start
            gives=lambda: schema_of_return(function),
            run=lambda context, arguments: as_result(function, context, arguments),
            **facts,
        )

    return make


def as_result(function: Callable[..., Any], context: Context, arguments: dict[str, Any]) -> Result:
    """Call a tool's function and shape what it answers."""
    named = {name + "_" * keyword.iskeyword(name): whole(value) for name, value in arguments.items()}
    try:
        answer = function(context, **named)
    except FetchError as error:
        raise ToolError(str(error)) from error
    if isinstance(answer, Result):
        return answer
    return Result(content=[text(answer)]) if isinstance(answer, str) else Result(structured=answer)


def whole(value: Any) -> Any:
    """A JSON value whose whole numbers are all `int`: 2.0 is an integer too (JSON Schema 2020-12, validation §6.1.1)."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

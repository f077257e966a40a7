"""The small vocabulary that connectors and upstreams speak. Knows no database, no protocol and no web server."""

from __future__ import annotations

import inspect
import json
import keyword
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from pydantic import ConfigDict, TypeAdapter, create_model

from errors import Cancelled, FetchError, ToolError
from fetch import Fetcher

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
    scope_hint: str = ""  # which choices in the connection's form ask for such scopes

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
    """Something readable at a fixed URI; `read(context, uri)` answers resource contents (MCP `resources/read`)."""

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    read: Callable[[Context, str], list[dict[str, Any]]]
    raw: Mapping[str, Any] | None = None


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
    test: Callable[[Context], str] | None = None  # answers what it found, in one sentence
    sign_in: Callable[[Mapping[str, Any], Mapping[str, str]], SignIn | None] | None = None  # of (settings, secrets); None: none
    storage: str | None = None  # the name of the tables it keeps, if any
    is_upstream: bool = False  # another MCP server does the work; its features are in the database, not here


# --- what a handler gets ---


class Cache(Protocol):
    """Copies of what a service answered, bound to one connection (or shared, for public data)."""

    def get(self, key: str) -> Cached | None:
        """The copy under `key`, fresh or stale, or None."""

    def put(self, key: str, value: Any, *, fresh_seconds: int, keep_seconds: int) -> None:
        """Keep a JSON value; it is fresh, then stale, then gone."""

    def drop(self, prefix: str) -> None:
        """Forget every copy whose key begins with `prefix`: what it is a copy of has changed."""


@dataclass(frozen=True)
class Cached:
    """A copy: a JSON value, when it was fetched (epoch seconds), and whether it is still fresh."""

    value: Any
    fetched_at: int
    fresh: bool


CANNOT_BE_ASKED = "This client cannot be asked anything."
ASKABLE = frozenset({"elicitation", "sampling", "roots"})  # capabilities of clients


class Call:
    """What a running handler may say to the one who called it. This base says nothing: jobs and tests use it."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.kept: dict[str, Any] = {}  # JSON that is here again when an answer has come and the handler runs again

    def check_cancelled(self) -> None:
        """Raise Cancelled if nobody waits any more."""
        if self.cancelled.is_set():
            raise Cancelled("cancelled")

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress, if the client asked for it (MCP `notifications/progress`)."""
        self.check_cancelled()

    def log(self, level: str, data: Any) -> None:
        """Send a log line to the client, if it asked for them (MCP `notifications/message`)."""
        self.check_cancelled()

    def ask(self, key: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the client's person or model something and answer the result. Ask first, then act: see `ask_all`."""
        return self.ask_all({key: (method, params)})[key]

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Ask several things at once. What stands before an ask runs again when the answer comes."""
        raise ToolError(CANNOT_BE_ASKED)

    def check_capability(self, method: str, params: Mapping[str, Any]) -> None:
        """Raise ProtocolError or ToolError if the client did not declare that it can be asked this."""
        raise ToolError(CANNOT_BE_ASKED)

    def forget_answers(self) -> None:
        """What was answered so far is used up: the same keys may ask something else."""

    @property
    def asks_by_ending(self) -> bool:
        """Whether an ask ends this run, and the answers come with another; else it waits for them."""
        return False

    @property
    def can_be_asked(self) -> bool:
        """Whether the client declared that it can be asked anything at all."""
        return not ASKABLE.isdisjoint(self.capabilities)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared that it can do."""
        return {}

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the client's request."""
        return {}

    @property
    def log_level(self) -> str | None:
        """From which level on the client wants log lines of this call; None: it wants none."""
        return None

    @property
    def wants_progress(self) -> bool:
        """Whether the client asked to be told of progress."""
        return False


class SignedIn(Protocol):
    """The sign-in of a connection, good for a while. Threads may share one."""

    def headers(self) -> Mapping[str, str]:
        """The headers that let a request in. Raises SignInNeeded."""

    def access_token(self) -> str:
        """The access token itself. Raises SignInNeeded."""

    def refused(self, status: int, challenge: str | None) -> None:
        """The service answered 401 or 403. Returns if one more try with new `headers` is worth it, else raises SignInNeeded."""

    def account(self) -> str | None:
        """Whose it is, in the service's words; None if it did not say."""


Greet = Callable[[str, Any], Mapping[str, Any]]  # (kind, target of links.py) -> what the server says of itself


@dataclass(frozen=True)
class Context:
    """What a handler gets besides its arguments: one connection, unsealed, for one call."""

    connection_id: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    fetch: Fetcher
    cache: Cache
    shared_cache: Cache
    storage: Any  # bound to the connection; None unless the connector declares one
    now: int  # epoch seconds
    call: Call
    greet: Greet | None = None  # only where a connection to another MCP server is tried
    signed_in: SignedIn | None = None  # where the connector declares a sign-in
    filled_in: Mapping[str, str] = field(default_factory=dict)  # completion only: what is known of the other variables


@dataclass(frozen=True)
class Result:
    """A tool's result. `structured` is a JSON object; `content` MCP content blocks (text of `structured` if left out)."""

    structured: dict[str, Any] | None = None
    content: list[dict[str, Any]] | None = None
    is_error: bool = False
    meta: dict[str, Any] | None = None
    raw: dict[str, Any] | None = None  # another server's result, passed on as it came; then nothing else here counts

    def to_json(self) -> dict[str, Any]:
        """The result of `tools/call` (MCP, server/tools)."""
        if self.raw is not None:
            return self.raw
        content = self.content
        if content is None:
            content = [text(json.dumps(self.structured, ensure_ascii=False))]
        shaped: dict[str, Any] = {"content": content, "isError": self.is_error}
        if self.structured is not None:
            shaped["structuredContent"] = self.structured
        if self.meta is not None:
            shaped["_meta"] = self.meta
        return shaped


def text(value: str) -> dict[str, Any]:
    """A text content block."""
    return {"type": "text", "text": value}


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
    try:
        answer = function(context, **{name + "_" * keyword.iskeyword(name): value for name, value in arguments.items()})
    except FetchError as error:
        raise ToolError(str(error)) from error
    if isinstance(answer, Result):
        return answer
    return Result(content=[text(answer)]) if isinstance(answer, str) else Result(structured=answer)


def schema_of_parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """JSON Schema of a function's parameters after the first; unknown ones are refused."""
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {}
    for parameter in list(signature.parameters.values())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name.rstrip("_")] = (parameter.annotation, default)
    model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return tidy_schema(model.model_json_schema())


def schema_of_return(function: Callable[..., Any]) -> dict[str, Any] | None:
    """JSON Schema of a TypedDict return type; None for any other."""
    answer = inspect.signature(function, eval_str=True).return_annotation
    return tidy_schema(TypeAdapter(answer).json_schema()) if hasattr(answer, "__required_keys__") else None


def tidy_schema(schema: Any) -> Any:
    """Drop the titles that pydantic makes up, and `default: null`: both only cost a model's attention."""
    if isinstance(schema, list):
        return [tidy_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            tidy[key] = {name: tidy_schema(item) for name, item in value.items()}
        elif not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None):
            tidy[key] = tidy_schema(value)
    return tidy

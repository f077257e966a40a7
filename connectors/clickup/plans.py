"""How writes are done: planned, checked against the connection's rules, shown or confirmed, then sent. The only door for them.

A writing tool is a generator: it reads what it needs, yields the steps to take, gets the answers, and returns what to tell.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.access import Access, Target, tags_of, targets_of
from connectors.clickup.api import Api, Request
from errors import FetchError, ToolError
from fitting import Answer, fit
from tools import Context, Tool, tool

Confirm = Annotated[Literal["yes"] | None, Field(description='"yes" once the person agrees; without it nothing is changed.')]
DryRun = Annotated[bool, Field(description="True: only show what would be sent.")]
BODY_PREVIEW = 2000


@dataclass(frozen=True)
class Step:
    """One request that changes something. `on`: what it changes besides what its path names. `label` says it in a few words."""

    request: Request
    label: str
    on: tuple[Target, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """Everything that it changes."""
        return [*targets_of(self.request), *self.on]


@dataclass(frozen=True)
class Batch:
    """Steps that do not depend on each other: one that fails does not stop the rest."""

    steps: list[Step] = field(default_factory=list)


class PlannedRequest(TypedDict):
    """A request that would be sent."""

    method: str
    path: str
    what: str
    body: NotRequired[Any]


class Outcome(Answer):
    """What a write did. If `done` is false nothing was changed, unless `results` says otherwise."""

    done: bool
    summary: str
    requiresConfirmation: NotRequired[bool]
    dryRun: NotRequired[bool]
    requests: NotRequired[list[PlannedRequest]]


class ItemResult(TypedDict):
    """What became of one item of many."""

    index: int
    what: str
    ok: bool
    id: NotRequired[str]
    url: NotRequired[str]
    error: NotRequired[str]


class BulkOutcome(Outcome):
    """What became of many items."""

    succeeded: NotRequired[int]
    failed: NotRequired[int]
    partial: NotRequired[bool]
    partialReasons: NotRequired[list[str]]
    results: NotRequired[list[ItemResult]]


Steps = Generator[Any, Any, dict[str, Any]]


def reads(*, title: str, **facts: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Make a reading Tool of `def name(api, …) -> dict`; what it answers is made to fit."""

    def make(function: Callable[..., Any]) -> Tool:
        @functools.wraps(function)
        def run(context: Context, /, **arguments: Any) -> dict[str, Any]:
            api = Api(context)
            return fit(function(api, **arguments), api.settings.char_limit)

        return lean(tool(title=title, reads=True, open_world=True, **facts)(run))

    return make


def writes(*, title: str, gives: type = Outcome, **facts: Any) -> Callable[[Callable[..., Steps]], Tool]:
    """Make a writing Tool of a generator `def name(api, …)`: `confirm` and `dryRun` join its parameters."""

    def make(function: Callable[..., Steps]) -> Tool:
        def run(
            context: Context, /, *, confirm: Literal["yes"] | None = None, dryRun: bool = False, **arguments: Any
        ) -> dict[str, Any]:
            api = Api(context)
            outcome = follow(api, function(api, **arguments), goes=confirm == "yes" and not dryRun, dry=dryRun)
            return fit(outcome, api.settings.char_limit)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = signature_of(function, gives)  # type: ignore[attr-defined]
        return lean(tool(title=title, open_world=True, **facts)(run))

    return make


def lean(made: Tool) -> Tool:
    """The tool, with an output schema that describes nothing in words: they would cost every conversation, and names say it."""
    return replace(made, gives=lambda: without_words(made.output_schema))


def without_words(schema: Any) -> Any:
    """A JSON Schema without its descriptions."""
    if isinstance(schema, list):
        return [without_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_words(value) for key, value in schema.items() if not (key == "description" and isinstance(value, str))}


def signature_of(function: Callable[..., Any], gives: type) -> inspect.Signature:
    """A writing tool's parameters, with `confirm` and `dryRun` at the end, and what it answers."""
    old = inspect.signature(function, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (("confirm", None, Confirm), ("dryRun", False, DryRun))
    ]
    return old.replace(parameters=[*old.parameters.values(), *more], return_annotation=gives)


def follow(api: Api, steps: Steps, *, goes: bool, dry: bool) -> dict[str, Any]:
    """Take the steps if it `goes`; else say which would come first. Either way, the connection's rules must allow them."""
    access = Access(api)
    access.check_writing()
    try:
        wanted = next(steps)
        check(access, wanted)
        if not goes:
            steps.close()
            return preview(list_steps(wanted), dry=dry)
        done: list[str] = []
        while True:
            wanted = steps.send(take(api, access, wanted, done))
    except StopIteration as end:
        return {"done": True, **end.value}


def list_steps(wanted: Any) -> list[Step]:
    """What was yielded, as steps: one, several in order, or a batch."""
    if isinstance(wanted, Batch):
        return wanted.steps
    return wanted if isinstance(wanted, list) else [wanted]


def check(access: Access, wanted: Any) -> None:
    """Raise ToolError unless each step has a target and every target is allowed."""
    for step in list_steps(wanted):
        if not step.targets:
            access.check([])
    access.check(target for step in list_steps(wanted) for target in step.targets)
    access.check_tags(tag for step in list_steps(wanted) for tag in tags_of(step.request))


def take(api: Api, access: Access, wanted: Any, done: list[str]) -> Any:
    """Send what was yielded, all of it checked first; answers what ClickUp did, in the shape that was yielded."""
    check(access, wanted)
    if isinstance(wanted, Batch):
        return send_batch(api, wanted.steps)
    answers = []
    for step in list_steps(wanted):
        try:
            answers.append(api.send(step.request))
        except (ToolError, FetchError) as error:
            before = f" Before that, this was done: {'; '.join(done)}." if done else ""
            raise ToolError(f"{error}{before}") from error
        finally:
            api.drop_copies(step.request.path)
        done.append(step.label)
    return answers if isinstance(wanted, list) else answers[0]


def send_batch(api: Api, steps: list[Step]) -> list[dict[str, Any] | ToolError]:
    """Send steps side by side, reporting progress; answers what each gave."""
    call = api.context.call
    try:
        return api.send_all(
            [step.request for step in steps], tell=lambda done: call.progress(done, len(steps), f"{done} of {len(steps)} done")
        )
    finally:
        for path in {step.request.path for step in steps}:
            api.drop_copies(path)


def preview(steps: list[Step], *, dry: bool) -> dict[str, Any]:
    """What would be sent, for a person to agree to."""
    what = "; ".join(step.label for step in steps[:10]) + ("; …" if len(steps) > 10 else "")
    ask = "Nothing was sent: this was a dry run." if dry else 'Confirmation required: call again with confirm: "yes".'
    outcome: dict[str, Any] = {"done": False, "summary": f"{ask} It would: {what}."}
    outcome["dryRun" if dry else "requiresConfirmation"] = True
    if dry:
        outcome["requests"] = [show_request(step) for step in steps]
    return outcome


def show_request(step: Step) -> dict[str, Any]:
    """A request as a person may check it; a file's bytes are only counted."""
    request = step.request
    path = request.path
    for name, value in request.ids.items():
        path = path.replace(f"{{{name}}}", str(value))
    shown: dict[str, Any] = {"method": request.method, "path": path, "what": step.label}
    if request.form is not None:
        shown["body"] = f"{len(request.form)} bytes of {request.content_type.partition(';')[0]}"
    elif request.json is not None:
        shown["body"] = request.json
    return shown

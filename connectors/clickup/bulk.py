"""Task tools for many tasks at once. Every target is checked before the first request; one that fails does not stop the rest."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request
from connectors.clickup.moments import Moment
from connectors.clickup.plans import Batch, BulkOutcome, Step, Steps, writes
from connectors.clickup.shapes import ListId, Markdown, Name, Priority, TagName, TaskId, TeamId, UserId
from connectors.clickup.tasks import create_step, delete_step, new_task, tag_step, update_steps
from errors import ToolError

MOST = 50  # ClickUp answers 100 requests a minute on most plans
Tags = Annotated[list[TagName], Field(max_length=20, description="Names of tags.")]
Assignees = Annotated[list[UserId], Field(max_length=50)]
CustomTeam = Annotated[TeamId, Field(description="The workspace of custom task ids, if it is not this connection's.")]
STRICT = ConfigDict(extra="forbid")


class TaskFacts(TypedDict):
    """What a new task may have besides its name."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    listId: NotRequired[ListId]
    description: NotRequired[Markdown]
    assigneeIds: NotRequired[Assignees]
    priority: NotRequired[Priority]
    dueDate: NotRequired[Moment]
    tags: NotRequired[Tags]


class NewTask(TaskFacts):
    """A task to create."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    name: Name


class SubtaskFacts(TaskFacts):
    """What a new subtask may have besides its name."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    parentTaskId: NotRequired[TaskId]


class NewSubtask(SubtaskFacts):
    """A subtask to create."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    name: Name


class Changes(TypedDict):
    """What to change; as in task_update."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    name: NotRequired[Name]
    description: NotRequired[Markdown]
    status: NotRequired[str]
    priority: NotRequired[Priority]
    dueDate: NotRequired[Moment]
    assigneeIds: NotRequired[Assignees]
    tags: NotRequired[Tags]


class TaskChanges(Changes):
    """A task and what to change."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    taskId: TaskId


class TaskRef(TypedDict):
    """A task."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    taskId: TaskId


class TagFacts(TypedDict):
    """Tags to add."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    tags: NotRequired[Tags]


class TaskTags(TagFacts):
    """A task and the tags to add to it."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    taskId: TaskId


def many(kind: Any) -> Any:
    """A list of as many as one call may have."""
    return Annotated[list[kind], Field(min_length=1, max_length=MOST)]


@writes(title="Create tasks", gives=BulkOutcome, streams=True)
def task_create_bulk(api: Api, tasks: many(NewTask), defaults: TaskFacts | None = None) -> Steps:  # type: ignore[valid-type]
    """Create several ClickUp tasks; what one does not say is taken from `defaults`."""
    steps = [create_one(api, merge(defaults, task), index) for index, task in enumerate(tasks)]
    answers = yield Batch(steps)
    return sum_up([step.label for step in steps], [[answer] for answer in answers], "Created")


@writes(title="Create subtasks", gives=BulkOutcome, streams=True)
def subtask_create_bulk(
    api: Api,
    subtasks: many(NewSubtask),  # type: ignore[valid-type]
    defaults: SubtaskFacts | None = None,
    teamId: CustomTeam | None = None,
) -> Steps:
    """Create several ClickUp subtasks; what one does not say, its list and parent too, is taken from `defaults`."""
    api.use_team(teamId)
    steps = [create_one(api, merge(defaults, task), index, is_subtask=True) for index, task in enumerate(subtasks)]
    answers = yield Batch(steps)
    return sum_up([step.label for step in steps], [[answer] for answer in answers], "Created")


@writes(title="Update tasks", gives=BulkOutcome, streams=True, destructive=True)
def task_update_bulk(
    api: Api,
    tasks: many(TaskChanges),  # type: ignore[valid-type]
    defaults: Changes | None = None,
    teamId: CustomTeam | None = None,
) -> Steps:
    """Change several ClickUp tasks; what one does not say is taken from `defaults`. An old description stays below a new one."""
    api.use_team(teamId)
    wanted = [merge(defaults, task) for task in tasks]
    check_distinct(wanted)
    found = read_all(api, [task["taskId"] for task in wanted])
    groups: list[list[Step] | ToolError] = [
        now if isinstance(now, ToolError) else update_steps(api, task["taskId"], now, task)
        for task, now in zip(wanted, found, strict=True)
    ]
    return (yield from send_groups([f"task {task['taskId']}" for task in wanted], groups, "Updated"))


@writes(title="Delete tasks", gives=BulkOutcome, streams=True, idempotent=True, destructive=True)
def task_delete_bulk(api: Api, tasks: many(TaskRef), teamId: CustomTeam | None = None) -> Steps:  # type: ignore[valid-type]
    """Delete several tasks with their subtasks. ClickUp keeps them in its trash for 30 days."""
    api.use_team(teamId)
    check_distinct(tasks)
    return (
        yield from send_groups(
            [f"task {task['taskId']}" for task in tasks], [[delete_step(api, task["taskId"])] for task in tasks], "Deleted"
        )
    )


@writes(title="Add tags to tasks", gives=BulkOutcome, streams=True, idempotent=True)
def task_tag_add_bulk(
    api: Api,
    tasks: many(TaskTags),  # type: ignore[valid-type]
    defaults: TagFacts | None = None,
    teamId: CustomTeam | None = None,
) -> Steps:
    """Add tags to several ClickUp tasks: each its own, or those of `defaults`."""
    api.use_team(teamId)
    wanted = [merge(defaults, task) for task in tasks]
    check_distinct(wanted)
    for task in wanted:
        if not task.get("tags"):
            raise ToolError(f"Which tags shall task {task['taskId']} get? Name them there, or in `defaults`.")
    groups: list[list[Step] | ToolError] = [
        [tag_step(api, "POST", task["taskId"], tag) for tag in dict.fromkeys(task["tags"])] for task in wanted
    ]
    return (yield from send_groups([f"task {task['taskId']}" for task in wanted], groups, "Tagged"))


# --- helpers ---


def merge(defaults: Any, item: Any) -> dict[str, Any]:
    """An item with what it does not say itself."""
    return {**(defaults or {}), **item}


def create_one(api: Api, task: dict[str, Any], index: int, *, is_subtask: bool = False) -> Step:
    """Creating one of many. Raises ToolError if it is not said where."""
    for name in ("listId", "parentTaskId") if is_subtask else ("listId",):
        if not task.get(name):
            raise ToolError(f"Item {index} has no {name}. Name it there, or in `defaults`.")
    facts = {name: task.get(name) for name in ("description", "assigneeIds", "priority", "dueDate", "tags")}
    return create_step(api, task["listId"], new_task(task["name"], **facts), task.get("parentTaskId"))


def check_distinct(tasks: list[dict[str, Any]]) -> None:
    """Raise ToolError if a task is named twice: two requests at once would fight."""
    ids = [task["taskId"] for task in tasks]
    if twice := sorted({task_id for task_id in ids if ids.count(task_id) > 1}):
        raise ToolError(f"These tasks are named more than once: {', '.join(twice)}.")


def read_all(api: Api, task_ids: list[str]) -> list[dict[str, Any] | ToolError]:
    """Several tasks as they are now, each with its own refusal."""
    params = {"include_markdown_description": True}
    requests = [
        Request("GET", "/v2/task/{task_id}", {"task_id": task_id}, {**params, **api.task_query(task_id)}) for task_id in task_ids
    ]
    return api.try_all(requests, kind="now")


def send_groups(labels: list[str], groups: list[list[Step] | ToolError], verb: str) -> Steps:
    """Send the steps of several items side by side; an item went well if all its steps did."""
    steps = [step for group in groups if isinstance(group, list) for step in group]
    answers = iter((yield Batch(steps)) if steps else [])
    results = [[group] if isinstance(group, ToolError) else [next(answers) for _ in group] for group in groups]
    return sum_up(labels, results, verb)


def sum_up(labels: list[str], groups: list[list[dict[str, Any] | ToolError]], verb: str) -> dict[str, Any]:
    """The outcome of a batch: what became of each item, and how many went well."""
    results = []
    for index, (label, answers) in enumerate(zip(labels, groups, strict=True)):
        errors = [str(answer) for answer in answers if isinstance(answer, ToolError)]
        result: dict[str, Any] = {"index": index, "what": label, "ok": not errors}
        if errors:
            result["error"] = " ".join(dict.fromkeys(errors))
        for answer in answers:
            if isinstance(answer, dict) and answer.get("id"):
                result |= {name: str(answer[name]) for name in ("id", "url") if answer.get(name)}
        results.append(result)
    failed = [result for result in results if not result["ok"]]
    return {
        "done": not failed,
        "summary": f"{verb} {len(results) - len(failed)} of {len(results)}.",
        "succeeded": len(results) - len(failed),
        "failed": len(failed),
        "results": results,
        "partial": bool(failed),
        "partialReasons": sorted({result["error"] for result in failed}),
    }

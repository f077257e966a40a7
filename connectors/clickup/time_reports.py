"""Time reports: how much time went into the tasks of a place, a tag or a view, by person and by task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request, objects
from connectors.clickup.moments import Moment, parse_range, read_ms, show_duration, show_moment
from connectors.clickup.plans import reads
from connectors.clickup.refusals import Refused
from connectors.clickup.selection import Container, Filters, choose_container, read_tasks
from connectors.clickup.shapes import (
    ListId,
    Query,
    SpaceId,
    TagName,
    TaskId,
    TeamId,
    ViewId,
    WorkspaceId,
    show_user,
    status_of,
    tags_of,
)
from connectors.clickup.task_pages import MAX_PAGES, PAGE, holds_words, is_in_one_list, missing, scan
from connectors.clickup.task_reading import ManyLists, Page, PageSize, Statuses, Subtasks, TagNames, get_task
from connectors.clickup.time_entries import length_of, read_entries, soon, sum_of, task_id_of
from errors import ToolError
from fitting import Report, compact

MOST_TASKS = 50
OWN_ONLY = "Only this account's own time: ClickUp shows that of others to owners and admins only."


class PersonTime(TypedDict):
    """What somebody spent."""

    user: str
    totalMs: int
    entries: int


class TaskTime(TypedDict):
    """What a task took."""

    id: str
    name: str
    totalMs: int
    entries: int
    status: NotRequired[str]


class TimeScope(TypedDict):
    """What a report is about."""

    type: str
    id: str
    tag: NotRequired[str]


class TimeReport(Report):
    """How much time went into some tasks, by person and by task, the most first."""

    scope: TimeScope
    start: str | None
    end: str | None
    totalMs: int
    total: str
    entryCount: int
    taskCount: int
    runningTimers: int
    byUser: list[PersonTime]
    perTask: list[TaskTime]


@reads(title="Time report for a tag", streams=True)
def time_report_for_tag(
    api: Api,
    tag: TagName,
    teamId: TeamId | None = None,
    includeSubtasks: Subtasks = True,
    from_: Moment | None = None,
    to: Moment | None = None,
) -> TimeReport:
    """Sum up the time spent on tasks with a tag, in the whole workspace. Without a range: the last 30 days."""
    place = Container("workspace", api.team_id(teamId))
    found, reasons = read_tasks(api, place, Filters(closed=True, subtasks=includeSubtasks, tags=[tag]), team_id=teamId)
    scope = {"type": place.kind, "id": place.id, "tag": tag}
    return report(api, scope, found.items, reasons, from_, to, workspace=place.id)


@reads(title="Time report for a space's tag", streams=True)
def time_report_for_space_tag(
    api: Api,
    spaceId: SpaceId,
    tag: TagName,
    includeSubtasks: Subtasks = True,
    from_: Moment | None = None,
    to: Moment | None = None,
) -> TimeReport:
    """Sum up the time spent on tasks with a tag, in one space. Without a range: the last 30 days."""
    found, reasons = read_tasks(api, Container("space", spaceId), Filters(closed=True, subtasks=includeSubtasks, tags=[tag]))
    return report(api, {"type": "space", "id": spaceId, "tag": tag}, found.items, reasons, from_, to)


@reads(title="Time report for a container", streams=True)
def time_report_for_container(
    api: Api,
    containerType: Literal["workspace", "space", "folder", "list"],
    containerId: Annotated[str, Field(pattern=r"^[0-9]{1,20}$", description="The id of the workspace, space, folder or list.")],
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    from_: Moment | None = None,
    to: Moment | None = None,
) -> TimeReport:
    """Sum up the time spent in a workspace, space, folder or list. Without a range: the last 30 days."""
    place = Container(containerType, containerId)
    filters = Filters(closed=True, subtasks=includeSubtasks, many_lists=includeTasksInMultipleLists)
    found, reasons = read_tasks(api, place, filters)
    workspace = containerId if containerType == "workspace" else None
    return report(api, {"type": place.kind, "id": place.id}, found.items, reasons, from_, to, workspace=workspace)


@reads(title="Time report for a selection", streams=True)
def time_report_for_context(
    api: Api,
    workspaceId: WorkspaceId | None = None,
    spaceId: SpaceId | None = None,
    listId: ListId | None = None,
    taskId: TaskId | None = None,
    viewId: ViewId | None = None,
    filterQuery: Query | None = None,
    status: Annotated[str | None, Field(description="A status's name.")] = None,
    statuses: Statuses | None = None,
    tagIds: TagNames | None = None,
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    from_: Moment | None = None,
    to: Moment | None = None,
    entryPageSize: Annotated[int, Field(ge=1, le=500)] = 100,
    entryPageLimit: Annotated[int, Field(ge=1, le=100, description="At most so many times entryPageSize entries count.")] = 10,
    taskSampleSize: PageSize = 50,
    taskPage: Page = 0,
) -> TimeReport:
    """Sum up the time spent on a task, or on the tasks of a view, list, space or workspace that pass some filters.

    The words of filterQuery have to be in a task. Tasks are shown taskSampleSize at a time. Without a range: the last 30 days.
    """
    named = [*(statuses or []), *([status] if status else [])]
    scope, found, reasons = select(
        api,
        {"workspace": workspaceId, "space": spaceId, "list": listId, "task": taskId, "view": viewId},
        Filters(True, includeSubtasks, includeTasksInMultipleLists, tagIds, None, named or None),
    )
    words = holds_words(filterQuery)
    tasks = [task for task in found if words is None or words(task)]
    return report(
        api, scope, tasks, reasons, from_, to,
        workspace=workspaceId, most=entryPageSize * entryPageLimit, shown=taskSampleSize, page=taskPage,
    )  # fmt: skip


# --- which tasks ---


def select(api: Api, named: dict[str, str | None], filters: Filters) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """What the report is about, its tasks, and why some may be missing."""
    task_id, view_id = named["task"], named["view"]
    if sum(bool(named[name]) for name in ("space", "list", "task", "view")) > 1:
        raise ToolError("Name one place only: a task, a view, a list or a space.")
    if task_id:
        task = get_task(api, task_id)
        tasks = [task, *(objects(task, "subtasks") if filters.subtasks else [])]
        return {"type": "task", "id": task_id}, [task for task in tasks if passes(task, filters)], []
    if view_id:
        found = scan(
            api,
            Request("GET", "/v2/view/{view_id}/task", {"view_id": view_id}),
            limit=MAX_PAGES * PAGE,
            accept=lambda task: passes(task, filters),
        )
        return {"type": "view", "id": view_id}, found.items, missing(found)
    place = choose_container(api, workspace=named["workspace"], space=named["space"], list_=named["list"])
    found, reasons = read_tasks(api, place, filters, team_id=named["workspace"])
    return {"type": place.kind, "id": place.id}, found.items, reasons


def passes(task: dict[str, Any], filters: Filters) -> bool:
    """Whether a task passes the filters, where ClickUp does not filter for us."""
    return (
        (filters.subtasks or not task.get("parent"))
        and (filters.many_lists or is_in_one_list(task))
        and (not filters.tags or bool(set(filters.tags) & set(tags_of(task))))
        and (not filters.statuses or status_of(task).get("status") in filters.statuses)
    )


# --- the sums ---


def report(
    api: Api,
    scope: dict[str, Any],
    tasks: list[dict[str, Any]],
    reasons: list[str],
    from_: str | int | None,
    to: str | int | None,
    *,
    workspace: str | None = None,
    most: int = 100_000,
    shown: int = MOST_TASKS,
    page: int = 0,
) -> dict[str, Any]:
    """The time that went into these tasks."""
    start, end = parse_range(from_, to, soon(api))
    known = {str(task.get("id")): task for task in tasks}
    api.context.call.progress(1, 2, f"{len(known)} tasks read")
    every, hidden = read_everybodys(api, start, end, workspace)
    entries, reasons = [entry for entry in every if task_id_of(entry) in known], [*reasons, *hidden]
    if len(entries) > most:
        reasons.append(f"Only the latest {most} of {len(entries)} time entries were counted.")
        entries = entries[:most]
    per_task = sum_by(entries, task_id_of)
    first, last = page * shown, (page + 1) * shown
    if len(per_task) > last:
        reasons.append(f"Tasks {first + 1} to {last} of {len(per_task)} are shown; the sums are of all.")
    return {
        "scope": scope,
        "start": show_moment(start),
        "end": show_moment(end),
        "totalMs": sum_of(entries),
        "total": show_duration(sum_of(entries)),
        "entryCount": len(entries),
        "taskCount": len(per_task),
        "runningTimers": sum((read_ms(entry.get("duration")) or 0) < 0 for entry in entries),
        "byUser": [{"user": name, **sums} for name, sums in sum_by(entries, user_of)],
        "perTask": [show_task(known[task_id], sums) for task_id, sums in per_task[first:last]],
        "partial": bool(reasons),
        "partialReasons": reasons,
    }


def read_everybodys(api: Api, start: int, end: int, workspace: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The time entries of all members if this account may see them, else its own, and then a reason."""
    team_id = api.team_id(workspace)
    team = next((team for team in api.teams() if str(team.get("id")) == team_id), {})
    users = [item.get("user") for item in objects(team, "members")]
    ids = ",".join(str(user["id"]) for user in users if isinstance(user, dict) and user.get("id"))
    try:
        return read_entries(api, start, end, workspace=team_id, assignee=ids or None), []
    except Refused as error:
        if error.status not in (400, 401, 403):
            raise
        return read_entries(api, start, end, workspace=team_id), [OWN_ONLY]


def sum_by(entries: Iterable[dict[str, Any]], key: Any) -> list[tuple[str, dict[str, int]]]:
    """Time and number of entries for each key, the most time first."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: {"totalMs": 0, "entries": 0})
    for entry in entries:
        sums[key(entry)]["totalMs"] += length_of(entry)
        sums[key(entry)]["entries"] += 1
    return sorted(sums.items(), key=lambda pair: -pair[1]["totalMs"])


def user_of(entry: dict[str, Any]) -> str:
    """Whose time it is."""
    return show_user(entry.get("user")) or "unknown"


def show_task(task: dict[str, Any], sums: dict[str, int]) -> dict[str, Any]:
    """What a task took."""
    facts = compact({"status": status_of(task).get("status")})
    return {"id": str(task.get("id", "")), "name": task.get("name") or "", **sums} | facts

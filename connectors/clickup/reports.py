"""Report tools: how the tasks of a place stand, and which of them are late. Counts and samples, not whole lists."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, objects
from connectors.clickup.moments import DAY_MS, read_ms
from connectors.clickup.plans import reads
from connectors.clickup.selection import Container, Filters, People, choose_container, read_tasks
from connectors.clickup.shapes import (
    FolderId,
    Fresh,
    ListId,
    Path,
    SpaceId,
    TaskBrief,
    WorkspaceId,
    priority_of,
    show_brief,
    show_user,
    status_of,
)
from connectors.clickup.task_reading import ManyLists, Statuses, Subtasks, TagNames
from connectors.clickup.time_entries import soon
from fitting import Report, compact

SAMPLE = 5
DEFAULT_RISK_DAYS = 5
Closed = Annotated[bool, Field(description="Whether closed tasks count too.")]
Days = Annotated[int, Field(ge=0, le=365)]


class Count(TypedDict):
    """How many tasks are like this."""

    name: str
    count: int
    type: NotRequired[str]


class Scope(TypedDict):
    """What a report is about."""

    type: str
    id: str


class DueCounts(TypedDict):
    """How many tasks are due when."""

    overdue: int
    today: int
    next7Days: int
    later: int
    none: int


class StatusReport(Report):
    """How the tasks of a place stand."""

    scope: Scope
    total: int
    byStatus: list[Count]
    byPriority: list[Count]
    byAssignee: list[Count]
    due: DueCounts
    samples: dict[str, list[TaskBrief]]


class Overdue(TypedDict):
    """How many tasks are late by how many days."""

    days1to3: int
    days4to7: int
    days8plus: int
    total: int


class RiskReport(Report):
    """Which tasks of a place are late, or soon due."""

    scope: Scope
    total: int
    overdue: Overdue
    atRisk: int
    riskWindowDays: int
    unassignedAtRisk: int
    withoutDueDate: int
    byPriority: list[Count]
    overdueTasks: list[TaskBrief]
    atRiskTasks: list[TaskBrief]


@reads(title="Status report", core=True, streams=True)
def task_status_report(
    api: Api,
    workspaceId: WorkspaceId | None = None,
    spaceId: SpaceId | None = None,
    folderId: FolderId | None = None,
    listId: ListId | None = None,
    path: Path | None = None,
    includeClosed: Closed = False,
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    tags: TagNames | None = None,
    assignees: People | None = None,
    statusFilter: Statuses | None = None,
    dueWithinDays: Annotated[Days, Field(description="Only tasks that are due by then, or late.")] | None = None,
    forceRefresh: Fresh = False,
) -> StatusReport:
    """Count the tasks of a ClickUp workspace, space, folder or list by status, priority, assignee and due date, with samples."""
    place = choose_container(
        api, workspace=workspaceId, space=spaceId, folder=folderId, list_=listId, path=path, fresh=forceRefresh
    )
    filters = Filters(
        includeClosed, includeSubtasks, includeTasksInMultipleLists, tags, assignees, statusFilter, due_by(api, dueWithinDays)
    )
    found, reasons = read_tasks(api, place, filters, fresh=forceRefresh, team_id=workspaceId)
    return {
        "scope": show_scope(place),
        "total": len(found.items),
        "byStatus": count_statuses(found.items),
        "byPriority": count(priority_of(task) or "none" for task in found.items),
        "byAssignee": count(name for task in found.items for name in people_of(task)),
        "due": count_due(found.items, int(api.now * 1000)),
        "samples": sample_by_status(found.items),
        "partial": bool(reasons),
        "partialReasons": reasons,
    }


@reads(title="Risk report", core=True, streams=True)
def task_risk_report(
    api: Api,
    workspaceId: WorkspaceId | None = None,
    spaceId: SpaceId | None = None,
    folderId: FolderId | None = None,
    listId: ListId | None = None,
    path: Path | None = None,
    includeClosed: Closed = False,
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    tags: TagNames | None = None,
    assignees: People | None = None,
    statusFilter: Statuses | None = None,
    dueWithinDays: Annotated[Days, Field(description="How soon a due date puts a task at risk.")] = DEFAULT_RISK_DAYS,
    forceRefresh: Fresh = False,
) -> RiskReport:
    """Tell which tasks of a ClickUp workspace, space, folder or list are late, by how much, and which will soon be due."""
    place = choose_container(
        api, workspace=workspaceId, space=spaceId, folder=folderId, list_=listId, path=path, fresh=forceRefresh
    )
    filters = Filters(includeClosed, includeSubtasks, includeTasksInMultipleLists, tags, assignees, statusFilter)
    found, reasons = read_tasks(api, place, filters, fresh=forceRefresh, team_id=workspaceId)
    return {
        "scope": show_scope(place),
        "total": len(found.items),
        "riskWindowDays": dueWithinDays,
        **judge_risk(found.items, int(api.now * 1000), dueWithinDays),
        "partial": bool(reasons),
        "partialReasons": reasons,
    }


# --- counting ---


def judge_risk(tasks: list[dict[str, Any]], now: int, days: int) -> dict[str, Any]:
    """Which tasks are late, and which will be due within so many days, the earliest first."""
    dated = sorted(((due, task) for task in tasks if (due := read_ms(task.get("due_date")))), key=lambda pair: pair[0])
    late = [(due, task) for due, task in dated if due < now]
    soon = [task for due, task in dated if now <= due <= now + days * DAY_MS]
    at_risk = [*(task for _, task in late), *soon]
    return {
        "overdue": count_overdue([now - due for due, _ in late]),
        "atRisk": len(soon),
        "unassignedAtRisk": sum(not objects(task, "assignees") for task in at_risk),
        "withoutDueDate": len(tasks) - len(dated),
        "byPriority": count(priority_of(task) or "none" for task in at_risk),
        "overdueTasks": [show_brief(task) for _, task in late[: 2 * SAMPLE]],
        "atRiskTasks": [show_brief(task) for task in soon[: 2 * SAMPLE]],
    }


def due_by(api: Api, days: int | None) -> int | None:
    """The end of a window of days from the next whole minute on, in epoch milliseconds; its copy serves another question, too."""
    return None if days is None else soon(api) + days * DAY_MS


def show_scope(place: Container) -> dict[str, Any]:
    """What a report is about."""
    return {"type": place.kind, "id": place.id}


def count(names: Any) -> list[dict[str, Any]]:
    """How often each name occurs, the most frequent first."""
    return [{"name": name, "count": number} for name, number in Counter(names).most_common()]


def count_statuses(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many tasks have each status."""
    types = {status_of(task).get("status"): status_of(task).get("type") for task in tasks}
    counted = count(status_of(task).get("status") or "none" for task in tasks)
    return [item | compact({"type": types.get(item["name"])}) for item in counted]


def people_of(task: dict[str, Any]) -> list[str]:
    """Who a task is assigned to."""
    return [name for user in objects(task, "assignees") if (name := show_user(user))] or ["unassigned"]


def count_due(tasks: list[dict[str, Any]], now: int) -> dict[str, int]:
    """How many tasks are due when; days are those of UTC."""
    counts = {"overdue": 0, "today": 0, "next7Days": 0, "later": 0, "none": 0}
    for task in tasks:
        due = read_ms(task.get("due_date"))
        counts[name_due(due, now)] += 1
    return counts


def name_due(due: int | None, now: int) -> str:
    """When a task is due, in a word."""
    if due is None:
        return "none"
    if due < now:
        return "overdue"
    days = due // DAY_MS - now // DAY_MS
    return "today" if days == 0 else "next7Days" if days <= 7 else "later"


def count_overdue(spans: list[int]) -> dict[str, int]:
    """How many are late by how many days; a day that has begun counts."""
    days = [span // DAY_MS + 1 for span in spans]
    return {
        "days1to3": sum(day <= 3 for day in days),
        "days4to7": sum(4 <= day <= 7 for day in days),
        "days8plus": sum(day >= 8 for day in days),
        "total": len(days),
    }


def sample_by_status(tasks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A few tasks of each status."""
    samples: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        shown = samples.setdefault(status_of(task).get("status") or "none", [])
        if len(shown) < SAMPLE:
            shown.append(show_brief(task))
    return samples

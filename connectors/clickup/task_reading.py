"""Task tools that read: one task, the tasks of a list, comments, and searching."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, is_missing, objects
from connectors.clickup.plans import reads
from connectors.clickup.refusals import Refused
from connectors.clickup.shapes import (
    Comment,
    ListId,
    Name,
    Query,
    TagName,
    TaskBrief,
    TaskFull,
    TaskId,
    show_brief,
    show_comment,
    show_full,
)
from connectors.clickup.task_pages import (
    MAX_PAGES,
    PAGE,
    TaskContext,
    all_of,
    ask_list,
    ask_workspace,
    find_task_id,
    holds_words,
    is_in_one_list,
    rank,
    scan,
    take_page,
)
from errors import ToolError
from fitting import Answer, Report
from service_pages import Gathered, gather

COMMENT_PAGE = 25  # comments on a page of ClickUp's
Page = Annotated[int, Field(ge=0, le=1000, description="Which page; the first is 0.")]
PageSize = Annotated[int, Field(ge=1, le=100)]
Subtasks = Annotated[bool, Field(description="Whether subtasks count too.")]
ManyLists = Annotated[bool, Field(description="Whether tasks that are in several lists count too.")]
Statuses = Annotated[list[Annotated[str, Field(max_length=100)]], Field(description="Names of statuses.")]
TaskName = Annotated[Name, Field(description="Instead of taskId: a name that only this task has.")]
TagNames = Annotated[list[TagName], Field(description="Names of tags.")]


class Tasks(Report):
    """A page of tasks."""

    tasks: list[TaskBrief]
    page: int
    hasMore: bool


class ListTasks(Tasks):
    """A page of the tasks of a list."""

    listId: str


class OneTask(Answer):
    """A task."""

    task: TaskFull


class Comments(Answer):
    """The comments of a task, newest first."""

    taskId: str
    comments: list[Comment]
    hasMore: bool


class Match(TaskBrief):
    """A task that is like a query; `score` is 1 if it is the same."""

    score: float


class FuzzySearch(Report):
    """Tasks that are like a query, the likest first."""

    query: str
    results: list[Match]


class QueryMatches(TypedDict):
    """What was found for one query of several."""

    query: str
    results: list[Match]
    error: NotRequired[str]


class FuzzySearches(Report):
    """What was found for several queries."""

    queries: list[QueryMatches]


@reads(title="Search tasks", core=True)
def task_search(
    api: Api,
    query: Query | None = None,
    listIds: list[ListId] | None = None,
    tagIds: TagNames | None = None,
    status: Annotated[str | None, Field(description="A status's name.")] = None,
    statuses: Statuses | None = None,
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    page: Page = 0,
    pageSize: PageSize = 20,
) -> Tasks:
    """Search the tasks of a ClickUp workspace by text, list, tag (its name) or status; the latest change comes first.

    Every word of the query has to be in the name, ids, tags or description. Closed tasks are found only by naming their status.
    """
    named = [*(statuses or []), *([status] if status else [])]
    request = ask_workspace(
        api.team_id(),
        subtasks=includeSubtasks,
        include_closed=bool(named) or None,
        **{"list_ids[]": listIds, "tags[]": tagIds, "statuses[]": named or None},
    )
    accept = all_of(holds_words(query), None if includeTasksInMultipleLists else is_in_one_list)
    return show_page(take_page(api, request, page, pageSize, accept), page, filtered=accept is not None, wanted=pageSize)


@reads(title="List tasks", core=True)
def task_list_for_list(
    api: Api,
    listId: ListId | None = None,
    taskId: TaskId | None = None,
    taskName: TaskName | None = None,
    context: TaskContext | None = None,
    limit: PageSize = 20,
    page: Page = 0,
    includeClosed: bool = False,
    includeSubtasks: Subtasks = True,
    includeTasksInMultipleLists: ManyLists = True,
    assigneePreviewLimit: Annotated[int, Field(ge=0, le=50, description="Assignees shown of each task.")] = 5,
) -> ListTasks:
    """List the tasks of a ClickUp list. Instead of the list, one of its tasks may be named, by id or by name."""
    list_id = listId or home_list(api, find_task_id(api, taskId, taskName, context))
    request = ask_list(list_id, subtasks=includeSubtasks, include_closed=includeClosed, include_timl=includeTasksInMultipleLists)
    found = take_page(api, request, page, limit, None)
    shown = show_page(found, page, filtered=False, wanted=limit)
    for task in shown["tasks"]:
        if "assignees" in task:
            task["assignees"] = task["assignees"][:assigneePreviewLimit]
    return {"listId": list_id, **shown}


@reads(title="Read task", core=True)
def task_read(
    api: Api,
    taskId: TaskId | None = None,
    taskName: TaskName | None = None,
    context: TaskContext | None = None,
    detailLimit: Annotated[int, Field(ge=1, le=100, description="At most so many subtasks, fields, attachments …")] = 10,
) -> OneTask:
    """Read a ClickUp task: description, status, assignees, dates, subtasks, checklists, custom fields and attachments."""
    return {"task": show_full(get_task(api, find_task_id(api, taskId, taskName, context)), detailLimit)}


@reads(title="List comments", core=True)
def task_comment_list(
    api: Api,
    taskId: TaskId | None = None,
    taskName: TaskName | None = None,
    context: TaskContext | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 10,
) -> Comments:
    """List the comments of a ClickUp task, newest first."""
    task_id = find_task_id(api, taskId, taskName, context)

    def ask(start: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        params = {**api.task_query(task_id), **start}
        found = objects(api.get("/v2/task/{task_id}/comment", kind="tasks", params=params, task_id=task_id), "comments")
        is_last = len(found) < COMMENT_PAGE
        return found, None if is_last else {"start": found[-1].get("date"), "start_id": found[-1].get("id")}

    found = gather(ask, call=api.context.call, what="comments", first={}, limit=limit)
    return {"taskId": task_id, "comments": list(map(show_comment, found.items)), "hasMore": not found.is_complete}


@reads(title="Search tasks by likeness", streams=True)
def task_search_fuzzy(api: Api, query: Query, limit: Annotated[int, Field(ge=1, le=100)] = 10) -> FuzzySearch:
    """Find ClickUp tasks whose name, description or status is like the query, typing mistakes included. An id finds its task."""
    if (task := find_by_id(api, query)) is not None:
        return {"query": query, "results": [{**show_brief(task), "score": 1.0}], "partial": False, "partialReasons": []}
    pool = read_pool(api)
    return {"query": query, "results": show_matches(pool, query, limit), **report(pool)}


@reads(title="Search tasks by likeness, many", streams=True)
def task_search_fuzzy_bulk(
    api: Api,
    queries: Annotated[list[Query], Field(min_length=1, max_length=20)],
    limit: Annotated[int, Field(ge=1, le=50)] = 5,
) -> FuzzySearches:
    """Find the ClickUp tasks that are like each of several queries, reading the workspace's tasks only once."""
    pool = read_pool(api)
    results = [{"query": query, "results": show_matches(pool, query, limit)} for query in queries]
    return {"queries": results, **report(pool)}


# --- helpers ---


def get_task(api: Api, task_id: str, *, fresh: bool = False) -> dict[str, Any]:
    """One task, with its subtasks, its description in Markdown."""
    params = {"include_subtasks": True, "include_markdown_description": True, **api.task_query(task_id)}
    return api.get("/v2/task/{task_id}", kind="tasks", params=params, fresh=fresh, task_id=task_id)


def home_list(api: Api, task_id: str) -> str:
    """The list that a task is in."""
    found = get_task(api, task_id).get("list")
    if not isinstance(found, dict) or not found.get("id"):
        raise ToolError("ClickUp does not say in which list this task is.")
    return str(found["id"])


def show_page(found: Gathered, page: int, *, filtered: bool, wanted: int) -> dict[str, Any]:
    """A page of tasks; it is partial if only the latest could be searched."""
    short = filtered and not found.is_complete and len(found.items) < wanted
    reasons = [f"Only the latest {MAX_PAGES * PAGE} tasks were searched. Narrow it down by list, tag or status."] if short else []
    return {
        "tasks": [show_brief(task) for task in found.items],
        "page": page,
        "hasMore": not found.is_complete and not short,
        "partial": short,
        "partialReasons": reasons,
    }


def find_by_id(api: Api, query: str) -> dict[str, Any] | None:
    """The task whose id a query is; None if it is none."""
    word = query.strip()
    if not (word.isalnum() and any(letter.isdigit() for letter in word) and word.isascii() and len(word) >= 6):
        return None
    try:
        return get_task(api, word)
    except Refused as error:
        if is_missing(error) or error.status in (400, 401):  # ClickUp answers 401 for ids that it cannot place
            return None
        raise


def read_pool(api: Api) -> Gathered:
    """The workspace's latest tasks, closed ones too."""
    return scan(api, ask_workspace(api.team_id(), subtasks=True, include_closed=True), limit=MAX_PAGES * PAGE)


def show_matches(pool: Gathered, query: str, limit: int) -> list[dict[str, Any]]:
    """The tasks that are like a query."""
    return [{**show_brief(task), "score": score} for score, task in rank(pool.items, query, limit)]


def report(pool: Gathered) -> dict[str, Any]:
    """Whether all tasks were looked at."""
    reasons = [] if pool.is_complete else [f"Only the latest {len(pool.items)} tasks were searched."]
    return {"partial": bool(reasons), "partialReasons": reasons}

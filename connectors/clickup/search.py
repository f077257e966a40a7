"""ClickUp as a source of `search`: tasks and docs. Asks what the tools for reading ask, and shows no more than they do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connectors.clickup.api import Api
from connectors.clickup.docs import doc_read, doc_search, read_library
from connectors.clickup.docs import flatten as list_pages
from connectors.clickup.settings import read_settings
from connectors.clickup.shapes import description_of, show_brief, status_of, tags_of
from connectors.clickup.task_pages import PAGE, ask_workspace, scan
from connectors.clickup.task_reading import find_by_id, task_comment_list, task_read, task_search
from errors import NotFound
from sources import Document, Hit, Source, rank_by_words
from tools import Context

POOL_PAGES = 5  # the latest tasks of a workspace; they are kept for a minute, for the next search
WORKSPACES_MAX = 3
WHOLE = 100_000  # characters of a text


def list_workspaces(api: Api) -> list[str]:
    """The workspaces to search: the connection's, or all of this account."""
    chosen = api.settings.team_id
    return [chosen] if chosen else [str(team.get("id")) for team in api.teams()][:WORKSPACES_MAX]


def whole(context: Context) -> Context:
    """The context, with answers long enough for a whole text."""
    return replace(context, settings={**context.settings, "charLimit": WHOLE})


# --- tasks ---


def find_tasks(context: Context, query: str, limit: int) -> list[Hit]:
    """Of the latest tasks, closed ones too, those that a query is about; an id finds its task."""
    api = Api(context)
    named = find_by_id(api, query) if " " not in query else None
    if named is not None:
        return [show_hit(named)]
    tasks: list[dict[str, Any]] = []
    for workspace_id in list_workspaces(api):
        request = ask_workspace(workspace_id, subtasks=True, include_closed=True)
        tasks += scan(api, request, limit=POOL_PAGES * PAGE, max_pages=POOL_PAGES).items
    return [show_hit(task) for task in rank_by_words(tasks, query, words_of, limit)]


def words_of(task: dict[str, Any]) -> tuple[str, str]:
    """A task's name and what else it says."""
    parts = (task.get("id"), task.get("custom_id"), status_of(task).get("status"), *tags_of(task), description_of(task))
    return str(task.get("name") or ""), " ".join(str(part or "") for part in parts)


def show_hit(task: dict[str, Any]) -> Hit:
    """A task that was found."""
    brief = show_brief(task)
    return Hit(brief["id"], brief["name"], brief.get("url") or f"https://app.clickup.com/t/{brief['id']}")


def read_task(context: Context, task_id: str) -> Document:
    """A task with its comments."""
    context = whole(context)
    task = task_read.run(context, {"taskId": task_id, "detailLimit": 50}).structured["task"]
    comments = task_comment_list.run(context, {"taskId": task_id, "limit": 50}).structured["comments"]
    facts = {name: task[name] for name in ("status", "priority", "dueDate", "updatedAt") if task.get(name)}
    lines = [f"{name}: {show_value(value)}" for name, value in task.items() if name not in ("id", "name", "url", "description")]
    said = [f"{comment.get('by') or 'Somebody'}: {comment.get('text') or ''}" for comment in comments]
    comments = ["", "Comments, newest first:", *said] if said else []
    text = "\n".join([task.get("description") or "", "", *lines, *comments]).strip()
    url = task.get("url") or f"https://app.clickup.com/t/{task['id']}"
    return Document(task["name"], text, url, {name: show_value(value) for name, value in facts.items()})


def show_value(value: Any) -> str:
    """A part of a task as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {show_value(item)}" for name, item in value.items())
    return "; ".join(map(show_value, value)) if isinstance(value, list) else str(value)


# --- docs ---


def find_docs(context: Context, query: str, limit: int) -> list[Hit]:
    """Of the latest docs, those that a query is about, by their names and pages."""
    api = Api(context)
    found: list[tuple[str, dict[str, Any], str]] = []
    for workspace_id in list_workspaces(api):
        docs, trees, _ = read_library(api, workspace_id, [query], expand=True)
        for doc, tree in zip(docs, trees, strict=True):
            pages = " ".join(f"{page.get('name')} {page.get('content')}" for page in list_pages(tree))
            found.append((workspace_id, doc, pages))
    ranked = rank_by_words(found, query, lambda item: (str(item[1].get("name")), item[2]), limit)
    return [
        Hit(f"{workspace_id}/{doc.get('id')}", str(doc.get("name") or ""), address_of(workspace_id, str(doc.get("id"))))
        for workspace_id, doc, _ in ranked
    ]


def read_doc(context: Context, doc_id: str) -> Document:
    """A doc with the text of all its pages."""
    workspace_id, _, own_id = doc_id.partition("/")
    chosen = read_settings(context).team_id
    if not own_id or (chosen and workspace_id != chosen):
        raise NotFound("no such doc in this connection's workspace")
    arguments = {"docId": own_id, "workspaceId": workspace_id, "pageLimit": 100, "previewCharLimit": 50_000}
    answer = doc_read.run(whole(context), arguments).structured
    doc, pages = answer["doc"], answer["pages"]
    metadata = {"updatedAt": doc["updatedAt"]} if doc.get("updatedAt") else {}
    return Document(doc["name"], "\n\n".join(map(show_page, pages)), address_of(workspace_id, own_id), metadata)


def show_page(page: dict[str, Any]) -> str:
    """A page of a doc under its heading."""
    return f"{'#' * (page.get('depth', 0) + 1)} {page['name']}\n\n{page.get('content', '')}".strip()


def address_of(workspace_id: str, doc_id: str) -> str:
    """Where a doc is on the web."""
    return f"https://app.clickup.com/{workspace_id}/v/dc/{doc_id}"


SOURCES = (
    Source("task", "tasks", find_tasks, read_task, (task_search.name, task_read.name, task_comment_list.name)),
    Source("doc", "docs", find_docs, read_doc, (doc_search.name, doc_read.name)),
)

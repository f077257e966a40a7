"""Resources: a workspace's tree, a list with its first tasks, a doc. Adds nothing to the tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from connectors.clickup.api import Api, objects
from connectors.clickup.docs import DOC, ONE_PAGE, flatten, get_pages, list_docs, show_doc, show_page
from connectors.clickup.hierarchy import Walk, show_list, show_workspace
from connectors.clickup.places import as_place, list_spaces, list_workspaces
from connectors.clickup.shapes import show_brief
from connectors.clickup.task_pages import ask_list
from errors import ToolError
from fitting import fit
from tools import Context, ResourceTemplate

JSON = "application/json"
PREVIEW_TASKS = 5
PREVIEW_CHARS = 4000


def read_hierarchy(api: Api, values: dict[str, str]) -> dict[str, Any]:
    """A workspace with its spaces, folders and lists."""
    place = next((place for place in list_workspaces(api) if place.id == values["workspaceId"]), None)
    if place is None:
        raise ToolError("This account is in no such workspace.")
    walk = Walk(api, fresh=False)
    spaces = walk.spaces(list_spaces(api, place.id), depth=4)
    return {**show_workspace(place), "spaces": spaces, **walk.report()}


def read_list(api: Api, values: dict[str, str]) -> dict[str, Any]:
    """A list with its first tasks; it has to be in the space that the address names."""
    item = api.get("/v2/list/{list_id}", kind="hierarchy", list_id=values["listId"])
    space = item.get("space") if isinstance(item.get("space"), dict) else {}
    if str(space.get("id")) != values["spaceId"]:
        raise ToolError("There is no such list in this space.")
    request = ask_list(values["listId"], subtasks=True, include_timl=True, page=0)
    tasks = objects(api.get(request.path, kind="tasks", params=request.params, **request.ids), "tasks")
    shown = [show_brief(task) for task in tasks[:PREVIEW_TASKS]]
    return {**show_list(as_place("list", item)), "tasks": shown, "hasMore": len(tasks) > PREVIEW_TASKS}


def read_doc(api: Api, values: dict[str, str]) -> dict[str, Any]:
    """A doc with the beginnings of its pages."""
    workspace_id = api.team_id()
    doc = api.get(DOC, kind="docs", workspace_id=workspace_id, doc_id=values["docId"])
    pages = flatten(get_pages(api, workspace_id, values["docId"]))
    return {**show_doc(doc, workspace_id), "pages": [show_page(page, PREVIEW_CHARS) for page in pages]}


def read_page(api: Api, values: dict[str, str]) -> dict[str, Any]:
    """A page of a doc."""
    ids = {"workspace_id": api.team_id(), "doc_id": values["docId"], "page_id": values["pageId"]}
    return show_page(api.get(ONE_PAGE, kind="docs", params={"content_format": "text/md"}, **ids), None)


def reader(read: Callable[[Api, dict[str, str]], dict[str, Any]]) -> Callable[[Context, str, dict[str, str]], list[Any]]:
    """A template's `read`: one JSON text, made to fit (MCP `resources/read`)."""

    def run(context: Context, uri: str, values: dict[str, str]) -> list[Any]:
        api = Api(context)
        answer = fit(read(api, values), api.settings.char_limit)
        return [{"uri": uri, "mimeType": JSON, "text": json.dumps(answer, ensure_ascii=False)}]

    return run


def complete(context: Context, variable: str, typed: str) -> list[str]:
    """The ids of workspaces, spaces and docs that begin as typed."""
    api = Api(context)
    known: dict[str, Callable[[], list[str]]] = {
        "workspaceId": lambda: [place.id for place in list_workspaces(api)],
        "spaceId": lambda: [place.id for place in list_spaces(api, api.team_id())],
        "docId": lambda: [str(doc.get("id")) for doc in list_docs(api, api.team_id(), {})[0]],
    }
    return [value for value in known.get(variable, list)() if value.startswith(typed)]


def template(uri: str, name: str, title: str, description: str, read: Callable[..., dict[str, Any]]) -> ResourceTemplate:
    """A resource template of this connector."""
    return ResourceTemplate(uri, name, title, description, JSON, reader(read), complete)


TEMPLATES = (
    template(
        "clickup://workspace/{workspaceId}/hierarchy",
        "workspace_hierarchy",
        "Workspace hierarchy",
        "A workspace with its spaces, folders and lists.",
        read_hierarchy,
    ),
    template(
        "clickup://space/{spaceId}/list/{listId}",
        "list_preview",
        "List",
        "A list with its first tasks.",
        read_list,
    ),
    template("clickup://doc/{docId}", "doc", "Doc", "A doc with the beginnings of its pages.", read_doc),
    template("clickup://doc/{docId}/page/{pageId}", "doc_page", "Page", "A page of a doc.", read_page),
)

"""View tools: create, change and delete views of lists and spaces."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request
from connectors.clickup.places import find_place
from connectors.clickup.plans import Outcome, Step, Steps, writes
from connectors.clickup.shapes import ListId, Name, Path, SpaceId, TagName, ViewId
from connectors.clickup.task_reading import Statuses
from errors import ToolError
from fitting import compact

ViewType = Literal["list", "board", "calendar", "table", "timeline", "workload", "activity", "map", "conversation", "gantt"]
# all that ClickUp wants to hear of a view (POST view: each of these is required)
BLANK: dict[str, Any] = {
    "grouping": {"field": "status", "dir": 1, "collapsed": [], "ignore": False},
    "divide": {"field": None, "dir": None, "collapsed": []},
    "sorting": {"fields": []},
    "filters": {"op": "AND", "fields": [], "search": "", "show_closed": False},
    "columns": {"fields": []},
    "team_sidebar": {"assignees": [], "assigned_comments": False, "unassigned_tasks": False},
    "settings": {
        "show_task_locations": False,
        "show_subtasks": 3,
        "show_subtask_parent_names": False,
        "show_closed_subtasks": False,
        "show_assignees": True,
        "show_images": True,
        "collapse_empty_columns": None,
        "me_comments": True,
        "me_subtasks": True,
        "me_checklists": True,
    },
}


class ViewFilters(TypedDict):
    """Which tasks a view shows."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    fields: Annotated[list[dict[str, Any]], Field(max_length=50, description="ClickUp's own: {field, op, values}.")]
    op: NotRequired[Literal["AND", "OR"]]
    search: NotRequired[str]
    show_closed: NotRequired[bool]


class View(TypedDict):
    """A view."""

    id: str
    name: str
    type: NotRequired[str]


class ViewOutcome(Outcome):
    """What became of a view."""

    view: NotRequired[View]


ViewTags = Annotated[list[TagName], Field(max_length=50, description="Show tasks with one of these tags.")]
ViewStatuses = Annotated[Statuses, Field(max_length=50, description="Show tasks with one of these statuses.")]


@writes(title="Create list view", gives=ViewOutcome)
def list_view_create(
    api: Api,
    name: Name,
    listId: ListId | None = None,
    path: Path | None = None,
    viewType: ViewType = "list",
    statuses: ViewStatuses | None = None,
    tags: ViewTags | None = None,
    filters: ViewFilters | None = None,
) -> Steps:
    """Create a view of a ClickUp list, which is given by its id or by a path to it."""
    list_id = find_place(api, "list", listId, path, names="listId")
    return (yield from create_view("list", list_id, name, viewType, make_filters(statuses, tags, filters)))


@writes(title="Create space view", gives=ViewOutcome)
def space_view_create(
    api: Api,
    name: Name,
    spaceId: SpaceId | None = None,
    path: Path | None = None,
    viewType: ViewType = "list",
    statuses: ViewStatuses | None = None,
    tags: ViewTags | None = None,
    filters: ViewFilters | None = None,
) -> Steps:
    """Create a view of a ClickUp space, which is given by its id or by a path to it."""
    space_id = find_place(api, "space", spaceId, path, names="spaceId")
    return (yield from create_view("space", space_id, name, viewType, make_filters(statuses, tags, filters)))


@writes(title="Change view", gives=ViewOutcome, destructive=True)
def view_update(
    api: Api,
    viewId: ViewId,
    name: Name | None = None,
    viewType: ViewType | None = None,
    statuses: ViewStatuses | None = None,
    tags: ViewTags | None = None,
    filters: ViewFilters | None = None,
    filters_remove: Annotated[bool, Field(description="True: begin with no filters instead of the view's own.")] = False,
) -> Steps:
    """Change a ClickUp view's name, type or filters. What is left out stays as it is; new filters come to the old ones."""
    answer = api.get("/v2/view/{view_id}", kind="now", view_id=viewId)
    old = answer.get("view") if isinstance(answer.get("view"), dict) else answer
    if not (name or viewType or statuses or tags or filters or filters_remove):
        raise ToolError("Say what to change: name, viewType, statuses, tags, filters or filters_remove.")
    body = {part: {**blank, **(old.get(part) or {})} for part, blank in BLANK.items()}
    body["filters"] = make_filters(statuses, tags, filters, None if filters_remove else body["filters"])
    body = {part: {key: value for key, value in body[part].items() if key in BLANK[part]} for part in BLANK}
    parent = old.get("parent") or {}
    body |= {
        "name": name or old.get("name") or "",
        "type": viewType or old.get("type") or "list",
        "parent": {"id": str(parent.get("id")), "type": parent.get("type")},
    }
    answer = yield Step(Request("PUT", "/v2/view/{view_id}", {"view_id": viewId}, json=body), f"change view {viewId}")
    return {"summary": f"Changed view {viewId}.", "view": show_view(answer)}


@writes(title="Delete view", idempotent=True, destructive=True)
def view_delete(api: Api, viewId: ViewId) -> Steps:
    """Delete a ClickUp view; the tasks in it stay."""
    yield Step(Request("DELETE", "/v2/view/{view_id}", {"view_id": viewId}), f"delete view {viewId}")
    return {"summary": f"Deleted view {viewId}."}


def create_view(kind: str, place_id: str, name: str, view_type: str, filters: dict[str, Any]) -> Steps:
    """Create a view of a list or space."""
    body = {**BLANK, "name": name, "type": view_type, "filters": filters}
    request = Request("POST", f"/v2/{kind}/{{{kind}_id}}/view", {f"{kind}_id": place_id}, json=body)
    answer = yield Step(request, f"create {view_type} view “{name}” of {kind} {place_id}")
    return {"summary": f"Created view “{name}”.", "view": show_view(answer)}


def make_filters(
    statuses: list[str] | None, tags: list[str] | None, filters: Any, old: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Filters as ClickUp takes them (docs/filter-views): what was asked for comes to the old ones."""
    made = {**BLANK["filters"], **(old or {})}
    fields = list(made["fields"] or [])
    if statuses:
        fields.append({"field": "status", "op": "EQ", "values": statuses})
    if tags:
        fields.append({"field": "tag", "op": "ANY", "values": tags})
    made |= {name: value for name, value in (filters or {}).items() if name != "fields"}
    return made | {"fields": [*fields, *(filters or {}).get("fields", [])]}


def show_view(answer: dict[str, Any]) -> dict[str, Any]:
    """A view."""
    view = answer.get("view") if isinstance(answer.get("view"), dict) else answer
    return {"id": str(view.get("id", "")), "name": view.get("name") or ""} | compact({"type": view.get("type")})

"""Structure tools: create, rename and delete folders and lists. Views are in `views.py`."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field

from connectors.clickup.api import Api, Request
from connectors.clickup.hierarchy import Folder, ListInfo, show_folder, show_list
from connectors.clickup.places import as_place, find_place, resolve_path
from connectors.clickup.plans import Outcome, Step, Steps, writes
from connectors.clickup.shapes import WORD, FolderId, ListId, Markdown, Name, Path, SpaceId
from errors import ToolError
from fitting import compact

TemplateId = Annotated[str, Field(pattern=WORD, description="A list template's id, such as t-15363293.")]
# what a template may bring along (POST list_template: `options`)
TEMPLATE_PARTS = (
    "automation", "include_views", "old_due_date", "old_start_date", "old_followers", "comment_attachments", "recur_settings",
    "old_tags", "old_statuses", "subtasks", "custom_type", "old_assignees", "attachments", "comment", "old_status",
    "external_dependencies", "internal_dependencies", "priority", "custom_fields", "old_checklists", "relationships",
    "old_subtask_assignees",
)  # fmt: skip

REACHING = ("automation", "external_dependencies", "relationships")  # those that change, or later may, what is elsewhere


class FolderOutcome(Outcome):
    """What became of a folder."""

    folder: NotRequired[Folder]


class ListOutcome(Outcome):
    """What became of a list."""

    list: NotRequired[ListInfo]


@writes(title="Create folder", gives=FolderOutcome)
def folder_create_in_space(api: Api, name: Name, spaceId: SpaceId | None = None, path: Path | None = None) -> Steps:
    """Create a folder in a ClickUp space, which is given by its id or by a path to it."""
    space_id = find_place(api, "space", spaceId, path, names="spaceId")
    request = Request("POST", "/v2/space/{space_id}/folder", {"space_id": space_id}, json={"name": name})
    folder = yield Step(request, f"create folder “{name}” in space {space_id}")
    return {"summary": f"Created folder “{name}”.", "folder": show_folder(as_place("folder", folder))}


@writes(title="Rename folder", gives=FolderOutcome, idempotent=True, destructive=True)
def folder_update(api: Api, name: Name, folderId: FolderId | None = None, path: Path | None = None) -> Steps:
    """Rename a folder; ClickUp lets nothing else of it be changed from outside."""
    folder_id = find_place(api, "folder", folderId, path, names="folderId")
    request = Request("PUT", "/v2/folder/{folder_id}", {"folder_id": folder_id}, json={"name": name})
    folder = yield Step(request, f"rename folder {folder_id} to “{name}”")
    return {"summary": f"Renamed folder {folder_id}.", "folder": show_folder(as_place("folder", folder))}


@writes(title="Delete folder", idempotent=True, destructive=True)
def folder_delete(api: Api, folderId: FolderId | None = None, path: Path | None = None) -> Steps:
    """Delete a ClickUp folder with all its lists and tasks."""
    folder_id = find_place(api, "folder", folderId, path, names="folderId")
    request = Request("DELETE", "/v2/folder/{folder_id}", {"folder_id": folder_id})
    yield Step(request, f"delete folder {folder_id} with all its lists and tasks")
    return {"summary": f"Deleted folder {folder_id}."}


@writes(title="Create list", gives=ListOutcome)
def list_create_for_container(
    api: Api,
    name: Name,
    spaceId: SpaceId | None = None,
    folderId: FolderId | None = None,
    path: Path | None = None,
    description: Markdown | None = None,
) -> Steps:
    """Create a list in a ClickUp folder or right in a space, which is given by its id or by a path to it."""
    kind, place_id = find_container(api, spaceId, folderId, path)
    body = {"name": name} | compact({"markdown_content": description})
    request = Request("POST", f"/v2/{kind}/{{{kind}_id}}/list", {f"{kind}_id": place_id}, json=body)
    made = yield Step(request, f"create list “{name}” in {kind} {place_id}")
    return {"summary": f"Created list “{name}”.", "list": show_list(as_place("list", made))}


@writes(title="Create list from template", gives=ListOutcome)
def list_create_from_template(
    api: Api,
    templateId: TemplateId,
    name: Name,
    spaceId: SpaceId | None = None,
    folderId: FolderId | None = None,
    path: Path | None = None,
    useTemplateOptions: Annotated[bool, Field(description="Whether tags, dates, assignees, views and so on come along.")] = True,
) -> Steps:
    """Create a list from a template, in a ClickUp folder or right in a space."""
    kind, place_id = find_container(api, spaceId, folderId, path)
    options = dict.fromkeys(TEMPLATE_PARTS, useTemplateOptions) | {"return_immediately": False}
    if api.settings.selective:
        options |= dict.fromkeys(REACHING, False)  # they are no targets that could be looked up
    request = Request(
        "POST",
        f"/v2/{kind}/{{{kind}_id}}/list_template/{{template_id}}",
        {f"{kind}_id": place_id, "template_id": templateId},
        json={"name": name, "options": options},
    )
    answer = yield Step(request, f"create list “{name}” from template {templateId} in {kind} {place_id}")
    made = answer.get("list") if isinstance(answer.get("list"), dict) else answer
    return {"summary": f"Created list “{name}” from template {templateId}.", "list": show_list(as_place("list", made))}


@writes(title="Change list", gives=ListOutcome, idempotent=True, destructive=True)
def list_update(
    api: Api,
    listId: ListId | None = None,
    path: Path | None = None,
    name: Name | None = None,
    description: Markdown | None = None,
) -> Steps:
    """Change the name or the description of a ClickUp list."""
    if name is None and description is None:
        raise ToolError("Say what to change: name or description.")
    list_id = find_place(api, "list", listId, path, names="listId")
    # ClickUp wants the name in every change (PUT list: `name` is required)
    body: dict[str, Any] = {"name": name or api.get("/v2/list/{list_id}", kind="now", list_id=list_id).get("name") or ""}
    if description is not None:
        body["markdown_content"] = description
    changed = yield Step(Request("PUT", "/v2/list/{list_id}", {"list_id": list_id}, json=body), f"change list {list_id}")
    return {"summary": f"Changed list {list_id}.", "list": show_list(as_place("list", changed))}


@writes(title="Delete list", idempotent=True, destructive=True)
def list_delete(api: Api, listId: ListId | None = None, path: Path | None = None) -> Steps:
    """Delete a ClickUp list with all its tasks."""
    list_id = find_place(api, "list", listId, path, names="listId")
    yield Step(Request("DELETE", "/v2/list/{list_id}", {"list_id": list_id}), f"delete list {list_id} with all its tasks")
    return {"summary": f"Deleted list {list_id}."}


def find_container(api: Api, space_id: str | None, folder_id: str | None, path: list[Any] | None) -> tuple[str, str]:
    """Kind and id of the space or folder that was given, in one of three ways. Raises ToolError unless it is exactly one."""
    if sum(value is not None for value in (space_id, folder_id, path)) != 1:
        raise ToolError("Give one of spaceId, folderId, or a path.")
    if path is None:
        return ("folder", folder_id) if folder_id else ("space", space_id or "")
    last = resolve_path(api, path)[-1]
    if last.kind not in ("space", "folder"):
        raise ToolError(f"The path ends at a {last.kind}, “{last.name}”, but a space or folder is needed.")
    return last.kind, last.id

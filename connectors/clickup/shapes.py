"""What the tools take and answer, as JSON has it. ClickUp's objects in, shapes out; decides nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from connectors.clickup.api import objects
from connectors.clickup.moments import read_ms, show_moment
from fitting import compact

NUMBER = r"^[0-9]{1,20}$"
WORD = r"^[A-Za-z0-9_-]{1,100}$"
TeamId = Annotated[str, Field(pattern=NUMBER, description="A workspace's id. Left out: this connection's workspace.")]
WorkspaceId = Annotated[str, Field(pattern=NUMBER, description="A workspace's id.")]
SpaceId = Annotated[str, Field(pattern=NUMBER, description="A space's id.")]
FolderId = Annotated[str, Field(pattern=NUMBER, description="A folder's id.")]
ListId = Annotated[str, Field(pattern=NUMBER, description="A list's id.")]
UserId = Annotated[str, Field(pattern=NUMBER, description="A member's id.")]
TaskId = Annotated[str, Field(pattern=WORD, description="A task's id, or its custom id such as DEV-42.")]
ViewId = Annotated[str, Field(pattern=WORD, description="A view's id.")]
DocId = Annotated[str, Field(pattern=WORD, description="A doc's id.")]
PageId = Annotated[str, Field(pattern=WORD, description="A page's id.")]
FieldId = Annotated[str, Field(pattern=WORD, description="A custom field's id.")]
Name = Annotated[str, Field(pattern=r"\S", max_length=500)]
Query = Annotated[str, Field(pattern=r"\S", max_length=300)]
TagName = Annotated[str, Field(pattern=r"\S", max_length=100)]
Priority = Annotated[int, Field(ge=1, le=4, description="1 urgent, 2 high, 3 normal, 4 low.")]
Markdown = Annotated[str, Field(max_length=100_000, description="Markdown.")]
Fresh = Annotated[bool, Field(description="True: ask ClickUp anew instead of using a copy of a few minutes ago.")]
Color = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="A colour such as #FF8800.")]


class PathPart(TypedDict):
    """One step of a path, with the kind of thing that it is."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    type: Literal["workspace", "space", "folder", "list"]
    name: Name


Path = Annotated[
    list[Name | PathPart],
    Field(
        min_length=1,
        max_length=4,
        description="Names from the outside in, such as [Workspace, Space, Folder, List]; the workspace may be left out.",
    ),
]


class Named(TypedDict):
    """An id and a name."""

    id: str
    name: NotRequired[str]


class Member(TypedDict):
    """A person in a workspace."""

    id: str
    username: str
    email: NotRequired[str]
    role: NotRequired[str]


class TaskBrief(TypedDict):
    """A task in a few words. Times are ISO 8601 in UTC."""

    id: str
    name: str
    customId: NotRequired[str]
    status: NotRequired[str]
    statusType: NotRequired[str]
    priority: NotRequired[str]
    dueDate: NotRequired[str]
    assignees: NotRequired[list[str]]
    tags: NotRequired[list[str]]
    parentId: NotRequired[str]
    list: NotRequired[Named]
    updatedAt: NotRequired[str]
    url: NotRequired[str]


class FieldValue(TypedDict):
    """A custom field of a task, with what it is set to."""

    id: str
    name: str
    type: NotRequired[str]
    value: NotRequired[Any]


class Checklist(TypedDict):
    """A checklist of a task."""

    name: str
    items: list[ChecklistItem]


class ChecklistItem(TypedDict):
    """A line of a checklist."""

    name: str
    resolved: bool


class Attachment(TypedDict):
    """A file at a task."""

    id: str
    title: NotRequired[str]
    url: NotRequired[str]


class TaskFull(TaskBrief):
    """All that is worth knowing of a task."""

    description: NotRequired[str]
    creator: NotRequired[str]
    createdAt: NotRequired[str]
    closedAt: NotRequired[str]
    startDate: NotRequired[str]
    folder: NotRequired[Named]
    spaceId: NotRequired[str]
    otherLists: NotRequired[list[Named]]
    timeEstimateMs: NotRequired[int]
    timeSpentMs: NotRequired[int]
    subtasks: NotRequired[list[TaskBrief]]
    checklists: NotRequired[list[Checklist]]
    customFields: NotRequired[list[FieldValue]]
    attachments: NotRequired[list[Attachment]]


class Comment(TypedDict):
    """A comment at a task."""

    id: str
    text: str
    by: NotRequired[str]
    at: NotRequired[str]
    resolved: NotRequired[bool]
    replies: NotRequired[int]


# --- ClickUp's objects as shapes ---


def show_named(item: Any) -> dict[str, Any] | None:
    """An id with its name."""
    if not isinstance(item, dict) or not item.get("id"):
        return None
    return compact({"id": str(item["id"]), "name": item.get("name")})


def show_user(user: Any) -> str | None:
    """What a person is called."""
    return (user.get("username") or user.get("email") or str(user.get("id", ""))) if isinstance(user, dict) else None


def show_member(item: dict[str, Any]) -> dict[str, Any]:
    """A member of a workspace, as `GET team` has them."""
    user = item.get("user") if isinstance(item.get("user"), dict) else {}
    names = {1: "owner", 2: "admin", 3: "member", 4: "guest"}
    member = {"email": user.get("email"), "role": names.get(user.get("role"))}
    return {"id": str(user.get("id", "")), "username": user.get("username") or user.get("email") or ""} | compact(member)


def priority_of(task: dict[str, Any]) -> str | None:
    """The name of a task's priority; ClickUp gives an object, a number, or nothing."""
    found = task.get("priority")
    if isinstance(found, dict):
        return found.get("priority")
    return {1: "urgent", 2: "high", 3: "normal", 4: "low"}.get(found) if isinstance(found, int) else None


def status_of(task: dict[str, Any]) -> dict[str, Any]:
    """A task's status: its name under `status`, and its `type`: open, custom, done or closed."""
    found = task.get("status")
    return found if isinstance(found, dict) else {"status": found}


def tags_of(task: dict[str, Any]) -> list[str]:
    """The names of a task's tags."""
    return [tag["name"] for tag in objects(task, "tags") if tag.get("name")]


def show_brief(task: dict[str, Any]) -> dict[str, Any]:
    """A task in a few words."""
    status = status_of(task)
    facts = {
        "customId": task.get("custom_id"),
        "status": status.get("status"),
        "statusType": status.get("type"),
        "priority": priority_of(task),
        "dueDate": show_moment(task.get("due_date")),
        "assignees": [name for user in objects(task, "assignees") if (name := show_user(user))],
        "tags": tags_of(task),
        "parentId": task.get("parent"),
        "list": show_named(task.get("list")),
        "updatedAt": show_moment(task.get("date_updated")),
        "url": task.get("url"),
    }
    return {"id": str(task.get("id", "")), "name": task.get("name") or ""} | compact(facts)


def show_full(task: dict[str, Any], limit: int) -> dict[str, Any]:
    """All that is worth knowing of a task, with at most `limit` of each thing that hangs on it."""
    space = task.get("space") if isinstance(task.get("space"), dict) else {}
    facts = {
        "description": description_of(task),
        "creator": show_user(task.get("creator")),
        "createdAt": show_moment(task.get("date_created")),
        "closedAt": show_moment(task.get("date_closed")),
        "startDate": show_moment(task.get("start_date")),
        "folder": show_named(task.get("folder")),
        "spaceId": str(space["id"]) if space.get("id") else None,
        "otherLists": [show_named(item) for item in objects(task, "locations") if show_named(item)],
        "timeEstimateMs": read_ms(task.get("time_estimate")),
        "timeSpentMs": read_ms(task.get("time_spent")),
        "subtasks": [show_brief(item) for item in objects(task, "subtasks")[:limit]],
        "checklists": [show_checklist(item, limit) for item in objects(task, "checklists")[:limit]],
        "customFields": [show_field(item) for item in objects(task, "custom_fields") if item.get("value") is not None][:limit],
        "attachments": [show_attachment(item) for item in objects(task, "attachments")[:limit]],
    }
    return show_brief(task) | compact(facts)


def description_of(task: dict[str, Any]) -> str:
    """A task's description, in Markdown if it came so."""
    for name in ("markdown_description", "description", "text_content"):
        if isinstance(task.get(name), str) and task[name].strip():
            return task[name]
    return ""


def show_checklist(item: dict[str, Any], limit: int) -> dict[str, Any]:
    """A checklist with its lines."""
    lines = [{"name": line.get("name") or "", "resolved": bool(line.get("resolved"))} for line in objects(item, "items")]
    return {"name": item.get("name") or "", "items": lines[:limit]}


def show_field(item: dict[str, Any]) -> dict[str, Any]:
    """A custom field of a task."""
    return {"id": str(item.get("id", "")), "name": item.get("name") or ""} | compact(
        {"type": item.get("type"), "value": item.get("value")}
    )


def show_attachment(item: dict[str, Any]) -> dict[str, Any]:
    """A file at a task."""
    return {"id": str(item.get("id", ""))} | compact({"title": item.get("title"), "url": item.get("url")})


def show_comment(item: dict[str, Any]) -> dict[str, Any]:
    """A comment at a task."""
    replies = read_ms(item.get("reply_count"))
    facts = {"by": show_user(item.get("user")), "at": show_moment(item.get("date")), "replies": replies or None}
    shown = {"id": str(item.get("id", "")), "text": item.get("comment_text") or ""} | compact(facts)
    return shown | ({"resolved": bool(item["resolved"])} if "resolved" in item else {})

"""Tasks tools: lists, and the tasks in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects
from connectors.google_workspace.declare import Done, Page, PageToken, reads, writes
from connectors.google_workspace.moments import When, instant, read
from errors import ToolError
from fitting import Answer, compact

READ = ("tasks.readonly", "tasks")
WRITE = ("tasks",)

ListId = Annotated[str, Field(min_length=1, max_length=200, description="Of list_task_lists; @default is the first.")]
TaskId = Annotated[str, Field(min_length=1, max_length=200, description="Of list_tasks.")]
Title = Annotated[str, Field(min_length=1, max_length=1024)]
Notes = Annotated[str | None, Field(max_length=8192)]
Due = Annotated[When | None, Field(description="The day, such as 2026-09-20; Tasks keeps no time of day.")]
Count = Annotated[int, Field(ge=1, le=100)]


class TaskList(TypedDict):
    """A list of tasks."""

    task_list_id: str
    title: str
    updated: NotRequired[str]


class TaskLists(Page):
    """All lists of tasks."""

    task_lists: list[TaskList]


class ListMade(Answer):
    """The list."""

    task_list: TaskList


class Task(TypedDict):
    """A task; `parent` is the task that it is a part of."""

    task_id: str
    title: str
    status: str
    notes: NotRequired[str]
    due: NotRequired[str]
    completed: NotRequired[str]
    parent: NotRequired[str]
    updated: NotRequired[str]
    deleted: NotRequired[bool]
    url: NotRequired[str]


class Tasks(Page):
    """Tasks of a list, in its order."""

    tasks: list[Task]


class TaskMade(Answer):
    """The task as it is now."""

    task: Task


@reads(*READ, title="List task lists")
def list_task_lists(api: Api, max_results: Count = 100, page_token: PageToken = None) -> TaskLists:
    """List the lists of Google Tasks."""
    found = api.get("tasks", "users/@me/lists", {"maxResults": max_results, "pageToken": page_token})
    return {"task_lists": [show_list(item) for item in objects(found, "items")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@writes(*WRITE, title="Create task list")
def create_task_list(api: Api, title: Title) -> ListMade:
    """Create a list in Google Tasks."""
    return {"task_list": show_list(api.post("tasks", "users/@me/lists", {"title": title}))}


@writes(*WRITE, title="Rename task list", destructive=True, idempotent=True)
def update_task_list(api: Api, task_list_id: ListId, title: Title) -> ListMade:
    """Give a list of Google Tasks another name."""
    return {"task_list": show_list(api.patch("tasks", "users/@me/lists/{list_id}", {"title": title}, list_id=task_list_id))}


@writes(*WRITE, title="Delete task list", destructive=True, idempotent=True)
def delete_task_list(api: Api, task_list_id: ListId) -> Done:
    """Delete a list of Google Tasks with all its tasks."""
    api.delete("tasks", "users/@me/lists/{list_id}", list_id=task_list_id)
    return {"done": f"Deleted task list {task_list_id}."}


@reads(*READ, title="List tasks", core=True)
def list_tasks(
    api: Api,
    task_list_id: ListId = "@default",
    max_results: Count = 20,
    page_token: PageToken = None,
    show_completed: bool = True,
    show_deleted: bool = False,
    show_hidden: Annotated[bool, Field(description="Also those that were completed and cleared away.")] = False,
    due_min: When | None = None,
    due_max: When | None = None,
) -> Tasks:
    """List the tasks of a list in Google Tasks."""
    params = {
        "maxResults": max_results,
        "pageToken": page_token,
        "showCompleted": show_completed,
        "showDeleted": show_deleted,
        "showHidden": show_hidden,
        "dueMin": instant(due_min) if due_min else None,
        "dueMax": instant(due_max) if due_max else None,
    }
    found = api.get("tasks", "lists/{list_id}/tasks", params, list_id=task_list_id)
    return {"tasks": [show_task(item) for item in objects(found, "items")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*READ, title="Read task")
def get_task(api: Api, task_id: TaskId, task_list_id: ListId = "@default") -> TaskMade:
    """Read one task of a list in Google Tasks."""
    return {"task": show_task(api.get("tasks", TASK, list_id=task_list_id, task_id=task_id))}


@writes(*WRITE, title="Create task", core=True)
def create_task(
    api: Api,
    title: Title,
    task_list_id: ListId = "@default",
    notes: Notes = None,
    due: Due = None,
    parent: Annotated[str | None, Field(description="The task that it is a part of.")] = None,
    previous: Annotated[str | None, Field(description="The task behind which it stands.")] = None,
) -> TaskMade:
    """Create a task in Google Tasks."""
    body = given(title=title, notes=notes, due=day_of(due) if due else None)
    params = {"parent": parent, "previous": previous}
    return {"task": show_task(api.post("tasks", "lists/{list_id}/tasks", body, params, list_id=task_list_id))}


@writes(*WRITE, title="Change task", core=True, destructive=True, idempotent=True)
def update_task(
    api: Api,
    task_id: TaskId,
    task_list_id: ListId = "@default",
    title: Title | None = None,
    notes: Notes = None,
    status: Literal["needsAction", "completed"] | None = None,
    due: Due = None,
) -> TaskMade:
    """Change a task in Google Tasks. What is left out stays as it is."""
    body = given(title=title, notes=notes, status=status, due=day_of(due) if due else None)
    if not body:
        raise ToolError("Name what shall change.")
    return change(api, task_list_id, task_id, body)


@writes(*WRITE, title="Complete task", core=True, idempotent=True)
def complete_task(api: Api, task_id: TaskId, task_list_id: ListId = "@default") -> TaskMade:
    """Mark a task in Google Tasks as done."""
    return change(api, task_list_id, task_id, {"status": "completed"})


@writes(*WRITE, title="Reopen task", idempotent=True)
def reopen_task(api: Api, task_id: TaskId, task_list_id: ListId = "@default") -> TaskMade:
    """Mark a task in Google Tasks as not done after all."""
    return change(api, task_list_id, task_id, {"status": "needsAction", "completed": None})


@writes(*WRITE, title="Move task", idempotent=True)
def move_task(
    api: Api,
    task_id: TaskId,
    task_list_id: ListId = "@default",
    parent: Annotated[str | None, Field(description="The task that it becomes a part of; none if left out.")] = None,
    previous: Annotated[str | None, Field(description="The task behind which it goes; the top if left out.")] = None,
    destination_task_list_id: Annotated[str | None, Field(description="Another list.")] = None,
) -> TaskMade:
    """Move a task of Google Tasks inside its list, under another task, or into another list."""
    params = {"parent": parent, "previous": previous, "destinationTasklist": destination_task_list_id}
    return {"task": show_task(api.post("tasks", f"{TASK}/move", None, params, list_id=task_list_id, task_id=task_id))}


@writes(*WRITE, title="Delete task", destructive=True, idempotent=True)
def delete_task(api: Api, task_id: TaskId, task_list_id: ListId = "@default") -> Done:
    """Delete a task in Google Tasks."""
    api.delete("tasks", TASK, list_id=task_list_id, task_id=task_id)
    return {"done": f"Deleted task {task_id}."}


@writes(*WRITE, title="Clear completed tasks", destructive=True, idempotent=True)
def clear_completed_tasks(api: Api, task_list_id: ListId = "@default") -> Done:
    """Hide all tasks of a list in Google Tasks that are done."""
    api.post("tasks", "lists/{list_id}/clear", list_id=task_list_id)
    return {"done": f"Cleared what is done in task list {task_list_id}."}


# --- parts of them ---

TASK = "lists/{list_id}/tasks/{task_id}"


def day_of(text: str) -> str:
    """The day of a time as it is written, wherever that is: Google keeps the day of UTC, which may be another one."""
    return f"{read(text).date()}T00:00:00Z"


def change(api: Api, list_id: str, task_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a task."""
    return {"task": show_task(api.patch("tasks", TASK, body, list_id=list_id, task_id=task_id))}


def show_list(item: dict[str, Any]) -> dict[str, Any]:
    """A list of tasks."""
    shown = {"task_list_id": str(item.get("id", "")), "title": str(item.get("title", ""))}
    return shown | compact({"updated": item.get("updated")})


def show_task(item: dict[str, Any]) -> dict[str, Any]:
    """A task."""
    facts = {
        "notes": item.get("notes"),
        "due": str(item["due"])[:10] if item.get("due") else None,
        "completed": item.get("completed"),
        "parent": item.get("parent"),
        "updated": item.get("updated"),
        "deleted": item.get("deleted"),
        "url": item.get("webViewLink"),
    }
    names = {"task_id": str(item.get("id", "")), "title": str(item.get("title", "")), "status": str(item.get("status", ""))}
    return names | compact(facts)


TOOLS = (
    list_task_lists,
    create_task_list,
    update_task_list,
    delete_task_list,
    list_tasks,
    get_task,
    create_task,
    update_task,
    complete_task,
    reopen_task,
    move_task,
    delete_task,
    clear_completed_tasks,
)

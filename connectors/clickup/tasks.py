"""Task tools that write: create, update, delete, duplicate, comment, tag, attach; one task at a time."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import Annotated, Any, NotRequired

from pydantic import Field

from connectors.clickup.access import Target
from connectors.clickup.api import Api, Request, objects
from connectors.clickup.moments import Moment, parse_moment
from connectors.clickup.plans import Outcome, Step, Steps, writes
from connectors.clickup.shapes import (
    Attachment,
    ListId,
    Markdown,
    Name,
    Priority,
    TagName,
    TaskBrief,
    TaskId,
    UserId,
    description_of,
    show_attachment,
    show_brief,
    tags_of,
)
from connectors.clickup.task_pages import real_task_id
from connectors.clickup.task_reading import get_task, home_list
from errors import ToolError

Tags = Annotated[list[TagName], Field(max_length=50, description="Names of tags.")]
Assignees = Annotated[list[UserId], Field(max_length=50, description="Ids of members; task_assignee_resolve finds them.")]
StatusName = Annotated[str, Field(pattern=r"\S", max_length=100, description="One of the list's statuses.")]
SEPARATOR = "\n\n---\nPrevious description (auto preserved):\n"


class TaskOutcome(Outcome):
    """What became of a task."""

    task: NotRequired[TaskBrief]


class CommentOutcome(Outcome):
    """The new comment."""

    commentId: NotRequired[str]


class TagOutcome(Outcome):
    """The tags that were added or removed."""

    tags: NotRequired[list[str]]


class AttachmentOutcome(Outcome):
    """The new attachment."""

    attachment: NotRequired[Attachment]


@writes(title="Create task", gives=TaskOutcome, core=True)
def task_create(
    api: Api,
    listId: ListId,
    name: Name,
    description: Markdown | None = None,
    assigneeIds: Assignees | None = None,
    priority: Priority | None = None,
    dueDate: Moment | None = None,
    tags: Tags | None = None,
) -> Steps:
    """Create a task in a ClickUp list."""
    task = yield create_step(api, listId, new_task(name, description, assigneeIds, priority, dueDate, tags))
    return {"summary": f"Created task “{name}”.", "task": show_brief(task)}


@writes(title="Create subtask", gives=TaskOutcome, core=True)
def subtask_create(
    api: Api,
    listId: ListId,
    parentTaskId: TaskId,
    name: Name,
    description: Markdown | None = None,
    assigneeIds: Assignees | None = None,
    priority: Priority | None = None,
    dueDate: Moment | None = None,
    tags: Tags | None = None,
) -> Steps:
    """Create a ClickUp task under another one, in the same list."""
    body = new_task(name, description, assigneeIds, priority, dueDate, tags)
    task = yield create_step(api, listId, body, parentTaskId)
    return {"summary": f"Created subtask “{name}” of {parentTaskId}.", "task": show_brief(task)}


@writes(title="Update task", gives=TaskOutcome, core=True, destructive=True, idempotent=False)
def task_update(
    api: Api,
    taskId: TaskId,
    name: Name | None = None,
    description: Markdown | None = None,
    keepOldDescription: Annotated[bool, Field(description="Whether the old description stays below the new one.")] = True,
    parentTaskId: TaskId | None = None,
    status: StatusName | None = None,
    priority: Priority | None = None,
    dueDate: Moment | None = None,
    assigneeIds: Annotated[Assignees | None, Field(description="All that shall be assigned; others are taken off.")] = None,
    tags: Annotated[Tags | None, Field(description="All tags that it shall have; others are taken off.")] = None,
) -> Steps:
    """Change a ClickUp task. What is left out stays as it is."""
    wanted = {
        "name": name,
        "description": description,
        "keepOldDescription": keepOldDescription,
        "parentTaskId": parentTaskId,
        "status": status,
        "priority": priority,
        "dueDate": dueDate,
        "assigneeIds": assigneeIds,
        "tags": tags,
    }
    task = get_task(api, taskId, fresh=True)
    steps = update_steps(api, taskId, task, wanted)
    if not steps:
        return {"summary": "Nothing had to be changed.", "task": show_brief(task)}
    answers = yield steps
    changed = next((answer for step, answer in zip(steps, answers, strict=True) if step.request.method == "PUT"), None)
    shown = show_brief(changed if changed and changed.get("id") else get_task(api, taskId, fresh=True))
    return {"summary": f"Updated task {taskId}.", "task": shown}


@writes(title="Delete task", core=True, destructive=True, idempotent=True)
def task_delete(api: Api, taskId: TaskId) -> Steps:
    """Delete a task with its subtasks. ClickUp keeps it in its trash for 30 days."""
    yield delete_step(api, taskId)
    return {"summary": f"Deleted task {taskId}."}


@writes(title="Duplicate task", gives=TaskOutcome)
def task_duplicate(
    api: Api,
    taskId: TaskId,
    listId: ListId | None = None,
    includeChecklists: bool = False,
    includeAssignees: bool = False,
) -> Steps:
    """Create a copy of a ClickUp task, in its own list or another: name, description, priority, due date and tags."""
    source = get_task(api, taskId, fresh=True)
    task = yield create_step(api, listId or home_list(api, taskId), copy_of(source, includeAssignees))
    count = 0
    for checklist in objects(source, "checklists") if includeChecklists else []:
        yield from copy_checklist(str(task.get("id")), checklist)
        count += 1
    return {"summary": f"Duplicated task {taskId}{f' with {count} checklists' if count else ''}.", "task": show_brief(task)}


@writes(title="Comment on task", gives=CommentOutcome, core=True)
def task_comment_add(
    api: Api, taskId: TaskId, comment: Annotated[str, Field(pattern=r"\S", max_length=20_000, description="Plain text.")]
) -> Steps:
    """Add a comment to a ClickUp task."""
    body = {"comment_text": comment, "notify_all": False}
    request = Request("POST", "/v2/task/{task_id}/comment", {"task_id": taskId}, api.task_query(taskId), body)
    answer = yield Step(request, f"comment on task {taskId}")
    return {"summary": f"Commented on task {taskId}.", "commentId": str(answer.get("id", ""))}


@writes(title="Attach file to task", gives=AttachmentOutcome)
def task_attachment_add(
    api: Api,
    taskId: TaskId,
    filename: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\"]{1,200}$")],
    dataUri: Annotated[str, Field(pattern=r"^data:", description="The file as data:<type>;base64,<content>.")],
) -> Steps:
    """Attach a file to a ClickUp task."""
    media_type, content = read_data_uri(dataUri, api.settings.max_attachment_bytes)
    form, content_type = encode_file(filename, media_type, content)
    request = Request(
        "POST", "/v2/task/{task_id}/attachment", {"task_id": taskId}, api.task_query(taskId), form=form, content_type=content_type
    )
    answer = yield Step(request, f"attach {filename} ({len(content)} bytes) to task {taskId}")
    return {"summary": f"Attached {filename} to task {taskId}.", "attachment": show_attachment(answer)}


@writes(title="Add tags to task", gives=TagOutcome, core=True, idempotent=True)
def task_tag_add(api: Api, taskId: TaskId, tags: Tags) -> Steps:
    """Add tags to a task. A tag that the space does not have yet is made by ClickUp."""
    yield [tag_step(api, "POST", taskId, tag) for tag in check_tags(tags)]
    return {"summary": f"Added {len(tags)} tags to task {taskId}.", "tags": tags}


@writes(title="Remove tags from task", gives=TagOutcome, core=True, idempotent=True, destructive=True)
def task_tag_remove(api: Api, taskId: TaskId, tags: Tags) -> Steps:
    """Take tags off a ClickUp task; the space keeps them."""
    yield [tag_step(api, "DELETE", taskId, tag) for tag in check_tags(tags)]
    return {"summary": f"Removed {len(tags)} tags from task {taskId}.", "tags": tags}


# --- steps, for one task or many ---


def create_step(api: Api, list_id: str, body: dict[str, Any], parent_id: str | None = None) -> Step:
    """Creating a task in a list, or under another one, which is a target too."""
    on: tuple[Target, ...] = ()
    if parent_id:
        body = {**body, "parent": real_task_id(api, parent_id)}
        on = (Target("task", body["parent"]),)  # what is sent, not what was said: a custom id may mean another task by now
    what = f"create {'subtask' if parent_id else 'task'} “{body['name']}” in list {list_id}"
    return Step(Request("POST", "/v2/list/{list_id}/task", {"list_id": list_id}, json=body), what, on)


def delete_step(api: Api, task_id: str) -> Step:
    """Deleting a task."""
    return Step(Request("DELETE", "/v2/task/{task_id}", {"task_id": task_id}, api.task_query(task_id)), f"delete task {task_id}")


def tag_step(api: Api, method: str, task_id: str, tag: str) -> Step:
    """Adding a tag to a task (POST), or taking it off (DELETE)."""
    verb, preposition = ("add", "to") if method == "POST" else ("remove", "from")
    request = Request(method, "/v2/task/{task_id}/tag/{tag_name}", {"task_id": task_id, "tag_name": tag}, api.task_query(task_id))
    return Step(request, f"{verb} tag “{tag}” {preposition} task {task_id}")


def update_steps(api: Api, task_id: str, task: dict[str, Any], wanted: dict[str, Any]) -> list[Step]:
    """What it takes to make a task as it is wanted: tags have requests of their own."""
    body, on = changes(api, task, wanted)
    steps = []
    if body:
        request = Request("PUT", "/v2/task/{task_id}", {"task_id": task_id}, api.task_query(task_id), body)
        steps.append(Step(request, f"change {', '.join(sorted(body))} of task {task_id}", on))
    if wanted.get("tags") is not None:
        now, then = {tag.casefold() for tag in tags_of(task)}, {tag.casefold() for tag in wanted["tags"]}
        steps += [tag_step(api, "POST", task_id, tag) for tag in wanted["tags"] if tag.casefold() not in now]
        steps += [tag_step(api, "DELETE", task_id, tag) for tag in tags_of(task) if tag.casefold() not in then]
    return steps


# --- bodies ---


def new_task(
    name: str,
    description: str | None = None,
    assigneeIds: list[str] | None = None,
    priority: int | None = None,
    dueDate: str | int | None = None,
    tags: list[str] | None = None,
) -> dict[str, Any]:
    """The body for a new task."""
    body: dict[str, Any] = {"name": name}
    if description:
        body["markdown_content"] = description
    if assigneeIds:
        body["assignees"] = [int(user) for user in assigneeIds]
    if priority is not None:
        body["priority"] = priority
    if tags:
        body["tags"] = tags
    return body | due_date(dueDate)


def due_date(value: str | int | None) -> dict[str, Any]:
    """A due date as ClickUp takes it; nothing if there is none."""
    if value is None:
        return {}
    point = parse_moment(value, "dueDate")
    return {"due_date": point.ms, "due_date_time": point.has_time}


def changes(api: Api, task: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], tuple[Target, ...]]:
    """The body that makes a task as it is wanted, and what else that touches."""
    body = {name: wanted[name] for name in ("name", "status", "priority") if wanted.get(name) is not None}
    body |= due_date(wanted.get("dueDate"))
    on: tuple[Target, ...] = ()
    if wanted.get("description") is not None:
        old = description_of(task)
        keep = wanted.get("keepOldDescription", True) and old and old != wanted["description"]
        body["markdown_content"] = wanted["description"] + (SEPARATOR + old if keep else "")
    if wanted.get("parentTaskId"):
        body["parent"] = real_task_id(api, wanted["parentTaskId"])
        on = (Target("task", body["parent"]),)
    if wanted.get("assigneeIds") is not None:
        now = {int(user["id"]) for user in objects(task, "assignees") if str(user.get("id", "")).isdigit()}
        then = {int(user) for user in wanted["assigneeIds"]}
        if now != then:
            body["assignees"] = {"add": sorted(then - now), "rem": sorted(now - then)}
    return body, on


def copy_of(source: dict[str, Any], with_assignees: bool) -> dict[str, Any]:
    """The body for a copy of a task."""
    priority = source.get("priority")
    number = priority.get("id") if isinstance(priority, dict) else priority
    people = [str(user["id"]) for user in objects(source, "assignees") if user.get("id")] if with_assignees else None
    due = source.get("due_date")
    return new_task(
        f"{source.get('name') or 'Task'} (copy)",
        description_of(source),
        people,
        int(number) if str(number).isdigit() else None,
        int(due) if str(due).isdigit() else None,
        tags_of(source),
    )


def copy_checklist(task_id: str, checklist: dict[str, Any]) -> Steps:
    """Make a checklist like another one at a task."""
    name, on = checklist.get("name") or "Checklist", (Target("task", task_id),)
    request = Request("POST", "/v2/task/{task_id}/checklist", {"task_id": task_id}, json={"name": name})
    answer = yield Step(request, f"create checklist “{name}”")
    made = answer.get("checklist") if isinstance(answer.get("checklist"), dict) else answer
    ids = {"checklist_id": str(made.get("id"))}
    path = "/v2/checklist/{checklist_id}/checklist_item"
    lines = [str(line.get("name") or "") for line in objects(checklist, "items")]
    if lines:
        yield [Step(Request("POST", path, ids, json={"name": line}), f"add “{line}”", on) for line in lines]
    return {}


def check_tags(tags: list[str]) -> list[str]:
    """The tags, each once; raises ToolError if there is none."""
    if not tags:
        raise ToolError("Name at least one tag.")
    return list(dict.fromkeys(tags))


# --- files ---


def read_data_uri(uri: str, max_bytes: int) -> tuple[str, bytes]:
    """Media type and content of a data URI (RFC 2397, base64 only); raises ToolError if it is none, or too large."""
    match = re.fullmatch(r"data:([A-Za-z0-9.+/-]*)(?:;[A-Za-z0-9=.+-]+)*;base64,([A-Za-z0-9+/=\s]*)", uri)
    if match is None:
        raise ToolError("`dataUri` has to look like data:text/plain;base64,SGVsbG8=.")
    if len(match[2]) * 3 // 4 > max_bytes + 3:
        raise too_large(max_bytes)
    try:
        content = base64.b64decode(match[2], validate=False)
    except binascii.Error:
        raise ToolError("The content of `dataUri` is not base64.") from None
    if len(content) > max_bytes:
        raise too_large(max_bytes)
    return match[1] or "application/octet-stream", content


def too_large(max_bytes: int) -> ToolError:
    """What is said of a file that is too large."""
    return ToolError(f"The file is larger than {max_bytes / 1024 / 1024:g} MB, which this connection's settings allow at most.")


def encode_file(filename: str, media_type: str, content: bytes) -> tuple[bytes, str]:
    """A form with one file (RFC 7578), and its content type."""
    boundary = "postern-" + sha256(content).hexdigest()[:32]  # what it is made of cannot hold it
    disposition = f'Content-Disposition: form-data; name="attachment"; filename="{filename}"'
    head = f"--{boundary}\r\n{disposition}\r\nContent-Type: {media_type}\r\n\r\n"
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"

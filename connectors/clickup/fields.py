"""Custom field tools: which fields a list has, and setting or clearing one of a task."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.access import Target
from connectors.clickup.api import Api, Request, objects
from connectors.clickup.places import find_place
from connectors.clickup.plans import Step, Steps, reads, writes
from connectors.clickup.shapes import FieldId, Fresh, ListId, Path, TaskId
from connectors.clickup.task_reading import get_task
from errors import ToolError
from fitting import Answer, compact

RELATIONSHIPS = ("tasks", "list_relationship")  # types of fields whose value is other tasks


class FieldOption(TypedDict):
    """One choice of a drop-down or labels field; a drop-down is set to its `id`."""

    id: str
    name: str


class CustomField(TypedDict):
    """A custom field."""

    id: str
    name: str
    type: str
    required: NotRequired[bool]
    options: NotRequired[list[FieldOption]]


class CustomFields(Answer):
    """The custom fields of a list."""

    listId: str
    fields: list[CustomField]


@reads(title="List custom fields", core=True)
def list_custom_field_list(
    api: Api, listId: ListId | None = None, path: Path | None = None, forceRefresh: Fresh = False
) -> CustomFields:
    """List the custom fields that tasks of a ClickUp list have, with the choices of each. Give the list's id, or a path to it."""
    list_id = find_place(api, "list", listId, path, names="listId")
    answer = api.get("/v2/list/{list_id}/field", kind="fields", fresh=forceRefresh, list_id=list_id)
    return {"listId": list_id, "fields": [show_custom_field(item) for item in objects(answer, "fields")]}


@writes(title="Set custom field", core=True, idempotent=True, destructive=True)
def task_custom_field_set_value(
    api: Api,
    taskId: TaskId,
    fieldId: FieldId,
    value: Annotated[
        Any,
        Field(
            description="By the field's type: text, number, true/false, epoch milliseconds for a date, an option's id for a "
            "drop-down, option ids for labels, {add: [], rem: []} for people and tasks."
        ),
    ],
) -> Steps:
    """Set a custom field of a ClickUp task."""
    ids = {"task_id": taskId, "field_id": fieldId}
    request = Request("POST", "/v2/task/{task_id}/field/{field_id}", ids, api.task_query(taskId), {"value": value})
    yield Step(request, f"set field {fieldId} of task {taskId}", links_in(value, find_field(api, taskId, fieldId)))
    return {"summary": f"Set field {fieldId} of task {taskId}."}


@writes(title="Clear custom field", idempotent=True, destructive=True)
def task_custom_field_clear_value(api: Api, taskId: TaskId, fieldId: FieldId) -> Steps:
    """Make a custom field of a ClickUp task empty."""
    ids = {"task_id": taskId, "field_id": fieldId}
    request = Request("DELETE", "/v2/task/{task_id}/field/{field_id}", ids, api.task_query(taskId))
    yield Step(request, f"clear field {fieldId} of task {taskId}", links_of(find_field(api, taskId, fieldId)))
    return {"summary": f"Cleared field {fieldId} of task {taskId}."}


def find_field(api: Api, task_id: str, field_id: str) -> dict[str, Any]:
    """A field of a task as it is now, where it decides what else a change of it changes."""
    if not api.settings.selective:
        return {}
    fields = objects(get_task(api, task_id, fresh=True), "custom_fields")
    return next((item for item in fields if str(item.get("id")) == field_id), {})


def links_in(value: Any, field: dict[str, Any]) -> tuple[Target, ...]:
    """The tasks that a relationship begins or ends with: they show it, too. (People stand there as numbers, tasks as texts.)"""
    is_link = field.get("type") in RELATIONSHIPS
    lists = [value.get(name, []) for name in ("add", "rem")] if isinstance(value, dict) else []
    items = [item for found in lists if isinstance(found, list) for item in found]
    tasks = [str(item) for item in items if isinstance(item, str) or (is_link and type(item) is int)]
    if is_link and (not lists or value.keys() - {"add", "rem"} or len(tasks) < len(items)):
        raise ToolError("A relationship is set by {add: [], rem: []} with ids of tasks. Nothing was changed.")
    return tuple(Target("task", task_id) for task_id in tasks)


def links_of(field: dict[str, Any]) -> tuple[Target, ...]:
    """The tasks that a relationship has now: clearing it ends it for them, too."""
    tasks = objects(field, "value") if field.get("type") in RELATIONSHIPS else []
    return tuple(Target("task", str(task.get("id"))) for task in tasks)


def show_custom_field(item: dict[str, Any]) -> dict[str, Any]:
    """A custom field."""
    config = item.get("type_config") if isinstance(item.get("type_config"), dict) else {}
    options = [
        {"id": str(option.get("id", "")), "name": str(option.get("name") or option.get("label") or "")}
        for option in objects(config, "options")
    ]
    facts = {"required": item.get("required"), "options": options}
    return {"id": str(item.get("id", "")), "name": item.get("name") or "", "type": item.get("type") or ""} | compact(facts)

"""The fake's Tasks."""

from __future__ import annotations

from typing import Any

from google_workspace.fake import FakeGoogle, Refusal, Sent, page, patch, serves, take

TASKS = "tasks."


def room(fake: FakeGoogle) -> dict[str, Any]:
    """Tasks' room."""
    kept = fake.room("tasks")
    kept.setdefault("lists", {"list1": {"id": "list1", "title": "My tasks"}})
    kept.setdefault("tasks", {"list1": {}})
    return kept


def list_of(sent: Sent) -> str:
    """The list that a path names."""
    named = sent.ids["tasklist"]
    return "list1" if named == "@default" else named


def add_task(fake: FakeGoogle, title: str, list_id: str = "list1", **facts: Any) -> str:
    """A task; answers its id."""
    task_id = fake.new_id("task")
    room(fake)["tasks"][list_id][task_id] = {"id": task_id, "title": title, "status": "needsAction", **facts}
    return task_id


def task_of(fake: FakeGoogle, sent: Sent) -> dict[str, Any]:
    """The task that a path names."""
    return take(take(room(fake)["tasks"], list_of(sent)), sent.ids["task"])


@serves(TASKS + "tasklists.list")
def list_lists(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(room(fake)["lists"].values()), "items")


@serves(TASKS + "tasklists.insert")
def insert_list(fake: FakeGoogle, sent: Sent) -> Any:
    made = {**sent.body, "id": fake.new_id("list")}
    room(fake)["lists"][made["id"]], room(fake)["tasks"][made["id"]] = made, {}
    return made


@serves(TASKS + "tasklists.patch")
def patch_list(fake: FakeGoogle, sent: Sent) -> Any:
    return patch(take(room(fake)["lists"], list_of(sent)), sent.body)


@serves(TASKS + "tasklists.delete")
def delete_list(fake: FakeGoogle, sent: Sent) -> Any:
    take(room(fake)["lists"], list_of(sent))
    del room(fake)["lists"][list_of(sent)], room(fake)["tasks"][list_of(sent)]


@serves(TASKS + "tasks.list")
def list_tasks(fake: FakeGoogle, sent: Sent) -> Any:
    found = [
        task
        for task in take(room(fake)["tasks"], list_of(sent)).values()
        if (sent.one("showCompleted") != "false" or task["status"] != "completed")
        and (sent.one("showHidden") == "true" or not task.get("hidden"))
    ]
    return page(sent, found, "items")


@serves(TASKS + "tasks.get")
def get_task(fake: FakeGoogle, sent: Sent) -> Any:
    return task_of(fake, sent)


@serves(TASKS + "tasks.insert")
def insert_task(fake: FakeGoogle, sent: Sent) -> Any:
    tasks = take(room(fake)["tasks"], list_of(sent))
    if sent.one("parent"):
        take(tasks, sent.one("parent"))
    made = {"status": "needsAction", **sent.body, "id": fake.new_id("task")}
    tasks[made["id"]] = made | ({"parent": sent.one("parent")} if sent.one("parent") else {})
    return tasks[made["id"]]


@serves(TASKS + "tasks.patch")
def patch_task(fake: FakeGoogle, sent: Sent) -> Any:
    task = patch(task_of(fake, sent), sent.body)
    if task["status"] == "completed":
        task.setdefault("completed", "2026-09-21T14:13:20Z")
    return task


@serves(TASKS + "tasks.move")
def move_task(fake: FakeGoogle, sent: Sent) -> Any:
    task, tasks = task_of(fake, sent), room(fake)["tasks"]
    if sent.one("parent") == task["id"]:
        raise Refusal(400, "invalid", "A task cannot be a part of itself.")
    task.pop("parent", None)
    if sent.one("parent"):
        task["parent"] = sent.one("parent")
    if sent.one("destinationTasklist"):
        del tasks[list_of(sent)][task["id"]]
        take(tasks, sent.one("destinationTasklist"))[task["id"]] = task
    return task


@serves(TASKS + "tasks.delete")
def delete_task(fake: FakeGoogle, sent: Sent) -> Any:
    task_of(fake, sent)
    del room(fake)["tasks"][list_of(sent)][sent.ids["task"]]


@serves(TASKS + "tasks.clear")
def clear_tasks(fake: FakeGoogle, sent: Sent) -> Any:
    for task in take(room(fake)["tasks"], list_of(sent)).values():
        if task["status"] == "completed":
            task["hidden"] = True

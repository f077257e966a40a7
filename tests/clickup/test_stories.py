"""Whole stories in ClickUp: find, create, comment, tag, track time, report."""

from __future__ import annotations

import pytest

from clickup.fake import DAY, NOW_MS
from errors import ToolError


def test_a_task_lives_from_creation_to_report(world):
    found = world.call("hierarchy_resolve_path", path=["marketing", {"type": "folder", "name": "Launch"}, "Ads"])
    assert (found["type"], found["id"]) == ("list", world.list)
    assert [step["name"] for step in found["path"]] == ["Acme", "Marketing", "Launch", "Ads"]

    facts = {"description": "# Loud", "priority": 1, "dueDate": "2026-09-20"}
    made = world.do("task_create", listId=found["id"], name="Record a jingle", **facts)
    task = made["task"]["id"]
    assert made["done"] is True
    sub = world.do("subtask_create", listId=found["id"], parentTaskId=task, name="Find a singer")["task"]
    assert sub["parentId"] == task
    world.do("task_comment_add", taskId=task, comment="Make it short")
    world.do("task_tag_add", taskId=task, tags=["music", "urgent"])
    world.do("task_custom_field_set_value", taskId=task, fieldId="f-size", value="o-1")
    world.do("time_entry_create_for_task", taskId=task, start=NOW_MS - DAY, durationMs=90 * 60_000, description="Humming")

    read = world.call("task_read", taskId=task)["task"]
    assert (read["description"], read["priority"], read["tags"]) == ("# Loud", "urgent", ["music", "urgent"])
    assert [item["name"] for item in read["subtasks"]] == ["Find a singer"]
    assert read["customFields"] == [{"id": "f-size", "name": "Size", "type": "drop_down", "value": "o-1"}]
    assert [item["text"] for item in world.call("task_comment_list", taskId=task)["comments"]] == ["Make it short"]
    assert world.call("time_entry_list", taskId=task)["totalMs"] == 90 * 60_000

    report = world.call("task_risk_report", listId=found["id"])
    assert report["overdue"] == {"days1to3": 2, "days4to7": 0, "days8plus": 0, "total": 2}
    assert [item["name"] for item in report["atRiskTasks"]] == ["Print flyers"]
    assert report["partial"] is False

    world.do("task_delete", taskId=task)
    with pytest.raises(ToolError, match=r"ClickUp finds nothing there.*\(status 404, ITEM_013\)"):
        world.call("task_read", taskId=task)
    assert world.fake.problems == []

"""For each tool, calls that use every argument it has. `OTHER` says what a needed argument may be instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clickup.fake import DAY, NOW_MS
from clickup.world import World

HELLO = "data:text/plain;base64,SGVsbG8="
MAKE = {"description": "Some **words**", "assigneeIds": ["11"], "priority": 2, "dueDate": "2026-10-01", "tags": ["new"]}
SCOPE = {
    "includeClosed": True,
    "includeSubtasks": False,
    "includeTasksInMultipleLists": False,
    "tags": ["urgent"],
    "assignees": ["Alice Archer"],
    "statusFilter": ["to do"],
    "dueWithinDays": 30,
    "forceRefresh": True,
}
FRESH = {"forceRefresh": True}
FROM_TO = {"from": NOW_MS - 5 * DAY, "to": NOW_MS}
Calls = Callable[[World], list[dict[str, Any]]]


def in_list(world: World, **more: Any) -> list[dict[str, Any]]:
    """A report on each kind of place."""
    places = ({"listId": world.list}, {"workspaceId": "2"}, {"spaceId": world.space}, {"folderId": world.folder})
    return [{**place, **more} for place in (*places, {"path": ["Marketing", "Launch", "Ads"]})]


CALLS: dict[str, Calls] = {
    "workspace_list": lambda w: [FRESH],
    "space_list_for_workspace": lambda w: [{"workspaceId": "1", **FRESH}],
    "folder_list_for_space": lambda w: [{"spaceId": w.space, **FRESH}],
    "list_list_for_space_or_folder": lambda w: [{"spaceId": w.space, **FRESH}, {"folderId": w.folder}],
    "workspace_overview": lambda w: [{"workspaceId": "1", **FRESH}],
    "workspace_hierarchy": lambda w: [
        {"maxWorkspaces": 1, "maxDepth": 3},
        {"workspaceIds": ["1"], "maxSpacesPerWorkspace": 1, "maxFoldersPerSpace": 1, "maxListsPerSpace": 1, **FRESH},
        {"workspaceNames": ["acme"], "maxListsPerFolder": 1, "concurrency": 1},
        {"workspaces": [{"name": "Acme"}]},
    ],
    "hierarchy_resolve_path": lambda w: [{"path": ["Marketing", "Launch"], **FRESH}],
    "member_list_for_workspace": lambda w: [{"teamId": "2"}],
    "member_resolve": lambda w: [
        {"identifiers": ["me", "example"], "limit": 1, "refresh": True},
        {"identifiers": ["x"], "teamId": "2"},
    ],
    "member_search_by_name": lambda w: [{"query": "a", "limit": 1, "refresh": True}, {"query": "a", "teamId": "2"}],
    "task_assignee_resolve": lambda w: [
        {"identifiers": ["example"], "limitPerIdentifier": 1, "refresh": True},
        {"identifiers": ["x"], "teamId": "2"},
    ],
    "task_search": lambda w: [
        {"query": "ad", "listIds": [w.list], "tagIds": ["urgent"], "statuses": ["to do"], "includeSubtasks": False},
        {"status": "to do", "page": 1, "pageSize": 1},
        {"includeTasksInMultipleLists": False},
    ],
    "task_list_for_list": lambda w: [
        {
            "listId": w.list,
            "limit": 1,
            "page": 1,
            "includeClosed": True,
            "includeSubtasks": False,
            "includeTasksInMultipleLists": False,
        },
        {"listId": w.list, "assigneePreviewLimit": 0},
        {"taskId": w.done_task},
        {"taskName": "Write it", "context": {"tasks": [{"id": w.task, "name": "Write it"}]}},
    ],
    "task_read": lambda w: [
        {"taskId": w.task, "detailLimit": 1},
        {"taskName": "Write it", "context": {"tasks": [{"id": w.task, "name": "Write it"}]}},
    ],
    "task_comment_list": lambda w: [
        {"taskId": w.task, "limit": 1},
        {"taskName": "Write it", "context": {"tasks": [{"id": w.task, "name": "Write it"}]}},
    ],
    "task_search_fuzzy": lambda w: [{"query": "the", "limit": 1}, {"query": "print fliers"}],
    "task_search_fuzzy_bulk": lambda w: [{"queries": ["i", "paint"], "limit": 1}],
    "task_status_report": lambda w: in_list(w, **SCOPE),
    "task_risk_report": lambda w: in_list(w, **SCOPE),
    "task_create": lambda w: [{"listId": w.list, "name": "One", **MAKE}],
    "subtask_create": lambda w: [{"listId": w.list, "parentTaskId": w.task, "name": "One", **MAKE}],
    "task_update": lambda w: [
        {
            "taskId": w.task,
            "name": "New",
            "description": "New words",
            "keepOldDescription": False,
            "parentTaskId": w.other_task,
            "status": "in progress",
            "priority": 1,
            "dueDate": 1_790_000_000_000,
            "assigneeIds": ["12"],
            "tags": ["calm"],
        },
    ],
    "task_delete": lambda w: [{"taskId": w.task}],
    "task_duplicate": lambda w: [{"taskId": w.task, "listId": w.other_list, "includeChecklists": True, "includeAssignees": True}],
    "task_comment_add": lambda w: [{"taskId": w.task, "comment": "Well done"}],
    "task_attachment_add": lambda w: [{"taskId": w.task, "filename": "a.txt", "dataUri": HELLO}],
    "task_tag_add": lambda w: [{"taskId": w.task, "tags": ["a", "b/c"]}],
    "task_tag_remove": lambda w: [{"taskId": w.task, "tags": ["urgent"]}],
    "task_create_bulk": lambda w: [
        {"tasks": [{"listId": w.list, "name": "One", **MAKE}, {"name": "Two"}], "defaults": {"listId": w.other_list}}
    ],
    "subtask_create_bulk": lambda w: [
        {
            "subtasks": [{"name": "One", "parentTaskId": "DEV-42", "listId": w.list}, {"name": "Two", **MAKE}],
            "defaults": {"listId": w.list, "parentTaskId": w.other_task},
        },
        {"subtasks": [{"name": "One", "parentTaskId": "DEV-42", "listId": w.list}], "teamId": "2"},
    ],
    "task_update_bulk": lambda w: [
        {"tasks": [{"taskId": w.task, "tags": ["x"]}, {"taskId": w.other_task}], "defaults": {"name": "Same", "status": "to do"}},
        {"tasks": [{"taskId": "DEV-42", "name": "Same"}], "teamId": "2"},
    ],
    "task_delete_bulk": lambda w: [
        {"tasks": [{"taskId": w.task}, {"taskId": w.other_task}]},
        {"tasks": [{"taskId": "DEV-42"}], "teamId": "2"},
    ],
    "task_tag_add_bulk": lambda w: [
        {"tasks": [{"taskId": w.task, "tags": ["own"]}, {"taskId": w.other_task}], "defaults": {"tags": ["both"]}},
        {"tasks": [{"taskId": "DEV-42", "tags": ["own"]}], "teamId": "2"},
    ],
    "list_custom_field_list": lambda w: [{"listId": w.list, **FRESH}, {"path": ["Marketing", "Ideas"]}],
    "task_custom_field_set_value": lambda w: [{"taskId": w.task, "fieldId": "f-note", "value": "Hello"}],
    "task_custom_field_clear_value": lambda w: [{"taskId": w.task, "fieldId": "f-note"}],
    "doc_create": lambda w: [
        {"folderId": w.folder, "name": "Plan", "content": "# Plan"},
        {"folderId": w.folder, "name": "P", "workspaceId": "2"},
    ],
    "doc_list": lambda w: [
        {"search": "launch"},
        {"folderId": w.folder, "previewPageLimit": 1, "previewCharLimit": 50},
        {"spaceId": w.secret},
        {"page": 1, "limit": 1, "includePreviews": False},
        {"workspaceId": "2"},
    ],
    "doc_read": lambda w: [
        {"docId": w.doc, "pageIds": [w.page, w.subpage], "pageLimit": 1, "previewCharLimit": 50},
        {"docId": w.doc, "includePages": False, "workspaceId": "2"},
    ],
    "doc_pages_read": lambda w: [
        {"docId": w.doc, "pageIds": [w.page], "previewCharLimit": 50},
        {"docId": w.doc, "pageIds": ["p"], "workspaceId": "2"},
    ],
    "doc_page_list": lambda w: [{"docId": w.doc, "workspaceId": "2"}],
    "doc_page_read": lambda w: [{"docId": w.doc, "pageId": w.page}],
    "doc_page_create": lambda w: [{"docId": w.doc, "title": "More", "content": "Text", "parentId": w.page, "workspaceId": "2"}],
    "doc_page_update": lambda w: [
        {"docId": w.doc, "pageId": w.page, "title": "Aims", "content": "Now", "mode": "append", "workspaceId": "2"}
    ],
    "doc_search": lambda w: [
        {"query": "plan", "limit": 1, "expandPages": True, "workspaceId": "2"},
        {"query": "plan", "limit": 1},
    ],
    "doc_search_bulk": lambda w: [
        {"queries": ["plan"], "expandPages": True, "workspaceId": "2"},
        {"queries": ["plan"], "limit": 1},
    ],
    "task_timer_start": lambda w: [{"taskId": w.task}],
    "task_timer_stop": lambda w: [{"taskId": w.task}],
    "time_entry_create_for_task": lambda w: [
        {"taskId": w.task, "start": "2026-09-20T10:00:00+02:00", "end": "2026-09-20T09:00:00Z", "description": "Drawing"},
        {"taskId": w.task, "start": NOW_MS, "durationMs": 60_000},
    ],
    "time_entry_update": lambda w: [
        {"entryId": w.entry, "start": NOW_MS - 2 * DAY, "end": NOW_MS, "description": "More typing"},
        {"entryId": w.entry, "durationMs": 120_000, "description": "x"},
        {"entryId": w.entry, "description": "x", "teamId": "2"},
    ],
    "time_entry_delete": lambda w: [{"entryId": w.entry, "teamId": "2"}],
    "task_time_entry_list": lambda w: [{"taskId": w.task, "pageSize": 1}],
    "time_entry_current": lambda w: [{"teamId": "2"}],
    "time_entry_list": lambda w: [{"taskId": w.task, **FROM_TO}, {"page": 1, "pageSize": 1}],
    "time_report_for_tag": lambda w: [{"tag": "urgent", "includeSubtasks": False, **FROM_TO}, {"tag": "urgent", "teamId": "2"}],
    "time_report_for_space_tag": lambda w: [{"spaceId": w.space, "tag": "urgent", "includeSubtasks": False, **FROM_TO}],
    "time_report_for_container": lambda w: [
        {
            "containerType": "list",
            "containerId": w.list,
            "includeSubtasks": False,
            "includeTasksInMultipleLists": False,
            **FROM_TO,
        },
        {"containerType": "workspace", "containerId": "1"},
        {"containerType": "folder", "containerId": w.folder},
    ],
    "time_report_for_context": lambda w: [
        {
            "listId": w.list,
            "statuses": ["to do"],
            "tagIds": ["urgent"],
            "includeSubtasks": False,
            "includeTasksInMultipleLists": False,
            **FROM_TO,
        },
        {"spaceId": w.space, "status": "to do"},
        {"filterQuery": "write"},
        {"workspaceId": "2"},
        {"taskId": w.task},
        {"viewId": w.view},
        {"entryPageSize": 1, "entryPageLimit": 1},
        {"entryPageSize": 1, "entryPageLimit": 2},
        {"taskSampleSize": 1, "taskPage": 1},
    ],
    "space_tag_list": lambda w: [{"spaceId": w.space, **FRESH}],
    "space_tag_create": lambda w: [
        {"spaceId": w.space, "name": "calm", "foregroundColor": "#000000", "backgroundColor": "#FF8800"}
    ],
    "space_tag_update": lambda w: [
        {"spaceId": w.space, "currentName": "urgent", "name": "hot", "foregroundColor": "#000000", "backgroundColor": "#FF8800"},
    ],
    "space_tag_delete": lambda w: [{"spaceId": w.space, "name": "urgent"}],
    "folder_create_in_space": lambda w: [{"spaceId": w.space, "name": "Autumn"}, {"path": ["Marketing"], "name": "Autumn"}],
    "folder_update": lambda w: [{"folderId": w.folder, "name": "Start"}, {"path": ["Marketing", "Launch"], "name": "Start"}],
    "folder_delete": lambda w: [{"folderId": w.folder}, {"path": ["Marketing", "Launch"]}],
    "list_create_for_container": lambda w: [
        {"spaceId": w.space, "name": "Films", "description": "All"},
        {"folderId": w.folder, "name": "Films"},
        {"path": ["Marketing", "Launch"], "name": "Films"},
    ],
    "list_create_from_template": lambda w: [
        {"spaceId": w.space, "templateId": "t-1", "name": "Films", "useTemplateOptions": False},
        {"folderId": w.folder, "templateId": "t-1", "name": "Films"},
        {"path": ["Marketing"], "templateId": "t-1", "name": "Films"},
    ],
    "list_update": lambda w: [
        {"listId": w.list, "name": "Spots", "description": "All"},
        {"path": ["Marketing", "Ideas"], "name": "Spots"},
    ],
    "list_delete": lambda w: [{"listId": w.list}, {"path": ["Marketing", "Ideas"]}],
    "list_view_create": lambda w: [
        {
            "listId": w.list,
            "name": "Now",
            "viewType": "board",
            "statuses": ["to do"],
            "tags": ["urgent"],
            "filters": {"op": "OR", "fields": [{"field": "assignee", "op": "EQ", "values": ["11"]}], "search": "ad"},
        },
        {"path": ["Marketing", "Ideas"], "name": "Now"},
    ],
    "space_view_create": lambda w: [
        {
            "spaceId": w.space,
            "name": "Now",
            "viewType": "board",
            "statuses": ["to do"],
            "tags": ["urgent"],
            "filters": {"fields": [], "show_closed": True},
        },
        {"path": ["Marketing"], "name": "Now"},
    ],
    "view_update": lambda w: [
        {
            "viewId": w.view,
            "name": "Now",
            "viewType": "board",
            "statuses": ["to do"],
            "tags": ["urgent"],
            "filters": {"fields": [], "search": "x"},
            "filters_remove": True,
        },
    ],
    "view_delete": lambda w: [{"viewId": w.view}],
    "reference_link_list": lambda w: [{"limit": 1}],
    "reference_page_fetch": lambda w: [{"url": "https://developer.clickup.com/docs/tasks", "maxCharacters": 100}],
    "ping": lambda w: [{"message": "Hello"}],
    "health": lambda w: [{"verbose": True}],
    "tool_catalogue": lambda w: [{"verbose": True}],
    "workspace_capability_snapshot": lambda w: [FRESH],
}

OTHER: dict[str, Callable[[World], Any]] = {
    "workspaceId": lambda w: "2",
    "spaceId": lambda w: w.secret,
    "folderId": lambda w: w.hidden_folder,
    "listId": lambda w: w.other_list,
    "taskId": lambda w: w.other_task,
    "parentTaskId": lambda w: w.done_task,
    "docId": lambda w: w.secret_doc,
    "pageId": lambda w: w.subpage,
    "pageIds": lambda w: [w.subpage],
    "viewId": lambda w: w.secret_view,
    "entryId": lambda w: w.secret_entry,
    "fieldId": lambda w: "f-size",
    "templateId": lambda w: "t-2",
    "containerId": lambda w: w.secret_list,
    "containerType": lambda w: "workspace",
    "path": lambda w: ["Marketing"],
    "identifiers": lambda w: ["Alice Archer"],
    "query": lambda w: "zebra",
    "queries": lambda w: ["zebra"],
    "name": lambda w: "Another",
    "title": lambda w: "Another",
    "currentName": lambda w: "Another",
    "tag": lambda w: "other",
    "tags": lambda w: ["other"],
    "comment": lambda w: "Another",
    "filename": lambda w: "b.txt",
    "dataUri": lambda w: "data:text/plain;base64,QnllCg==",
    "value": lambda w: "Bye",
    "start": lambda w: NOW_MS - 2 * DAY,
    "url": lambda w: "https://developer.clickup.com/llms.txt",
    "tasks": lambda w: [{"taskId": w.done_task, "name": "Other", "tags": ["z"]}],
    "subtasks": lambda w: [{"name": "Other"}],
}

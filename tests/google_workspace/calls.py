"""For each tool, calls that use every argument it has. `OTHER` says what an argument that is needed may be instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google_workspace.world import BOB, World

Calls = Callable[[World], list[dict[str, Any]]]
PAGE = {"page_size": 1, "page_token": "1"}
FILE = [{"filename": "a.txt", "mime_type": "text/plain", "base64": "SGVsbG8="}]
MAIL = {"subject": "Rain", "body": "Shall we?", "cc": ["c@example.com"], "bcc": ["d@example.com"], "html_body": "<b>Hm?</b>"}
MAY, JUNE = "2026-09-20", "2026-10-20T10:00:00+02:00"
REMIND = [{"method": "popup", "minutes": 5}]
WEEKLY = ["RRULE:FREQ=WEEKLY;COUNT=2"]

CALLS: dict[str, Calls] = {
    # Gmail
    "search_gmail_messages": lambda w: [{"query": "from:bob", **PAGE, "label_ids": ["INBOX"], "include_spam_trash": True}],
    "get_gmail_message_content": lambda w: [{"message_id": w.mail, "offset": 4}],
    "get_gmail_messages_content_batch": lambda w: [{"message_ids": [w.mail, w.html_mail], "format": "metadata"}],
    "get_gmail_attachment_content": lambda w: [{"message_id": w.mail, "attachment_id": w.attachment, "offset": 4}],
    "get_gmail_thread_content": lambda w: [{"thread_id": w.thread}],
    "search_gmail_threads": lambda w: [{"query": "in", **PAGE}],
    "list_gmail_labels": lambda w: [{}],
    "list_gmail_drafts": lambda w: [{"query": "x", **PAGE}],
    "list_gmail_filters": lambda w: [{}],
    "list_gmail_send_as": lambda w: [{}],
    "get_gmail_vacation_reply": lambda w: [{}],
    "send_gmail_message": lambda w: [
        {"to": [BOB], **MAIL, "from_email": "sales@example.com", "attachments": FILE, "thread_id": w.thread}
    ],
    "draft_gmail_message": lambda w: [
        {"to": [BOB], **MAIL, "from_email": "sales@example.com", "attachments": FILE, "thread_id": w.thread}
    ],
    "update_gmail_draft": lambda w: [{"draft_id": draft(w), "to": [BOB], **MAIL, "attachments": FILE}],
    "send_gmail_draft": lambda w: [{"draft_id": draft(w)}],
    "delete_gmail_draft": lambda w: [{"draft_id": draft(w)}],
    "reply_gmail_message": lambda w: [
        {
            "message_id": w.mail,
            "body": "Done.",
            "reply_all": True,
            "html_body": "<i>Done.</i>",
            "quote_original": False,
            "attachments": FILE,
            "as_draft": True,
        }
    ],
    "forward_gmail_message": lambda w: [
        {
            "message_id": w.mail,
            "to": [BOB],
            "body": "Look",
            "cc": ["c@example.com"],
            "with_attachments": False,
            "as_draft": True,
        }
    ],
    "modify_gmail_message_labels": lambda w: [
        {"message_ids": [w.mail], "add_label_ids": [w.label], "remove_label_ids": ["INBOX"]}
    ],
    "archive_gmail_messages": lambda w: [{"message_ids": [w.mail]}],
    "unarchive_gmail_messages": lambda w: [{"message_ids": [w.mail]}],
    "mark_gmail_messages_read": lambda w: [{"message_ids": [w.mail], "read": False}],
    "star_gmail_messages": lambda w: [{"message_ids": [w.mail], "starred": False}],
    "trash_gmail_message": lambda w: [{"message_id": w.mail}],
    "untrash_gmail_message": lambda w: [{"message_id": w.mail}],
    "trash_gmail_thread": lambda w: [{"thread_id": w.thread}],
    "create_gmail_label": lambda w: [{"name": "New", "show_in_label_list": False}],
    "update_gmail_label": lambda w: [{"label_id": w.label, "name": "New", "show_in_label_list": False}],
    "delete_gmail_label": lambda w: [{"label_id": w.label}],
    "create_gmail_filter": lambda w: [{"criteria": {"from": BOB}, "action": {"addLabelIds": [w.label]}}],
    "delete_gmail_filter": lambda w: [{"filter_id": a_filter(w)}],
    "set_gmail_vacation_reply": lambda w: [
        {
            "enabled": True,
            "subject": "Away",
            "message": "Back soon",
            "start": 1790000000000,
            "end": 1790100000000,
            "contacts_only": True,
        }
    ],
    "save_gmail_attachment_to_drive": lambda w: [
        {"message_id": w.mail, "attachment_id": w.attachment, "folder_id": w.folder, "file_name": "Bill"}
    ],
    # Calendar
    "list_calendars": lambda w: [PAGE],
    "get_events": lambda w: [
        {
            "calendar_id": "alice@example.com",
            "time_min": MAY,
            "time_max": JUNE,
            "page_size": 1,
            "page_token": "0",
            "query": "planning",
            "detailed": True,
            "include_attachments": True,
        },
        {"event_id": w.meeting},
    ],
    "list_event_instances": lambda w: [
        {"event_id": w.weekly, "calendar_id": "alice@example.com", "time_min": MAY, "time_max": JUNE, **PAGE}
    ],
    "get_free_busy": lambda w: [{"time_min": MAY, "time_max": JUNE, "items": ["primary"], "time_zone": "Europe/London"}],
    "suggest_meeting_times": lambda w: [
        {
            "attendees": [BOB],
            "time_min": "2026-09-22T08:00:00+00:00",
            "time_max": "2026-09-24",
            "duration_minutes": 90,
            "day_starts": "10:00",
            "day_ends": "15:00",
        }
    ],
    "list_calendar_acl": lambda w: [{"calendar_id": w.calendar, **PAGE}],
    "create_event": lambda w: [
        {
            "summary": "Tea",
            "start_time": "2026-09-22T15:00:00",
            "end_time": "2026-09-22T16:00:00",
            "calendar_id": w.calendar,
            "description": "With cake",
            "location": "Kitchen",
            "attendees": [BOB],
            "timezone": "Europe/Paris",
            "add_google_meet": True,
            "reminders": REMIND,
            "recurrence": WEEKLY,
            "send_updates": "none",
        },
        {"summary": "Day", "start_time": "2026-09-22", "end_time": "2026-09-23", "use_default_reminders": False},
    ],
    "modify_event": lambda w: [
        {
            "event_id": w.meeting,
            "calendar_id": "alice@example.com",
            "summary": "Plans",
            "start_time": "2026-09-22T12:00:00",
            "end_time": "2026-09-22T13:00:00",
            "description": "New",
            "location": "Hall",
            "attendees": [BOB, "c@example.com"],
            "timezone": "Europe/Paris",
            "add_google_meet": True,
            "reminders": REMIND,
            "recurrence": WEEKLY,
            "send_updates": "none",
        }
    ],
    "delete_event": lambda w: [{"event_id": w.meeting, "calendar_id": "alice@example.com", "send_updates": "none"}],
    "quick_add_event": lambda w: [{"text": "Lunch tomorrow", "calendar_id": w.calendar}],
    "move_event": lambda w: [
        {
            "event_id": w.meeting,
            "destination_calendar_id": w.calendar,
            "calendar_id": "alice@example.com",
            "send_updates": "none",
        }
    ],
    "respond_to_event": lambda w: [
        {
            "event_id": w.meeting,
            "response": "accepted",
            "calendar_id": "alice@example.com",
            "comment": "Gladly",
            "send_updates": "none",
        }
    ],
    "create_calendar": lambda w: [{"name": "Sailing", "description": "Boats", "timezone": "Europe/Paris"}],
    "delete_calendar": lambda w: [{"calendar_id": w.calendar}],
    "create_calendar_acl_rule": lambda w: [
        {"role": "reader", "scope_type": "user", "scope_value": BOB, "calendar_id": w.calendar, "send_notifications": False}
    ],
    "delete_calendar_acl_rule": lambda w: [{"rule_id": "user:alice@example.com", "calendar_id": "alice@example.com"}],
    # Drive
    "search_drive_files": lambda w: [
        {
            "query": "umbrella",
            **PAGE,
            "drive_id": w.drive,
            "corpora": "drive",
            "order_by": "name",
        },
        {"query": "name contains 'plan'", "include_items_from_all_drives": False},
    ],
    "list_drive_items": lambda w: [
        {
            "folder_id": w.folder,
            **PAGE,
            "drive_id": w.drive,
            "corpora": "drive",
            "order_by": "name",
        },
        {"include_items_from_all_drives": False},
    ],
    "get_drive_file_content": lambda w: [{"file_id": w.file, "offset": 4}],
    "export_drive_file": lambda w: [{"file_id": w.doc, "format": "md", "offset": 4}],
    "get_drive_file_info": lambda w: [{"file_id": w.file}],
    "get_drive_file_permissions": lambda w: [{"file_id": w.file, "page_token": "0"}],
    "list_drive_revisions": lambda w: [{"file_id": w.file, **PAGE}],
    "list_drive_comments": lambda w: [{"file_id": w.doc, "include_resolved": False}, {"file_id": w.doc, **PAGE}],
    "list_shared_drives": lambda w: [PAGE],
    "create_drive_file": lambda w: [
        {"file_name": "a.csv", "content": "1,2", "folder_id": w.folder, "mime_type": "text/csv", "convert_to": "spreadsheet"},
        {"file_name": "b", "content_base64": "SGVsbG8="},
    ],
    "update_drive_file_content": lambda w: [
        {"file_id": w.file, "content": "New plan", "mime_type": "text/markdown"},
        {"file_id": w.file, "content_base64": "SGVsbG8="},
    ],
    "create_drive_folder": lambda w: [{"folder_name": "Inner", "parent_folder_id": w.folder}],
    "create_drive_shortcut": lambda w: [{"target_file_id": w.file, "folder_id": w.folder, "name": "Way"}],
    "update_drive_file": lambda w: [{"file_id": w.file, "name": "b.txt", "description": "The plan", "starred": True}],
    "move_drive_file": lambda w: [{"file_id": w.doc, "folder_id": w.folder}],
    "copy_drive_file": lambda w: [{"file_id": w.file, "name": "Copy", "folder_id": w.folder}],
    "share_drive_file": lambda w: [
        {
            "file_id": w.file,
            "role": "writer",
            "type": "group",
            "email": "team@example.com",
            "message": "Have a look",
            "expiration_time": "2026-12-01T00:00:00Z",
        },
        {"file_id": w.file, "email": "carol@example.com", "send_notification": False},
        {"file_id": w.file, "type": "domain", "domain": "example.com"},
        {"file_id": w.file, "type": "anyone"},
    ],
    "update_drive_permission": lambda w: [
        {"file_id": w.file, "permission_id": "p2", "role": "writer", "expiration_time": "2026-12-01T00:00:00Z"}
    ],
    "remove_drive_permission": lambda w: [{"file_id": w.file, "permission_id": "p2"}],
    "trash_drive_file": lambda w: [{"file_id": w.file}],
    "untrash_drive_file": lambda w: [{"file_id": w.file}],
    "delete_drive_file": lambda w: [{"file_id": w.file}],
    "create_drive_comment": lambda w: [{"file_id": w.doc, "text": "Nice", "quoted_text": "First"}],
    "reply_drive_comment": lambda w: [{"file_id": w.doc, "comment_id": w.comment, "text": "Done", "resolve": True}],
    # Docs
    "get_doc_content": lambda w: [{"document_id": w.doc, "offset": 3, "tab_id": "t.0", "with_indexes": True}],
    "create_doc": lambda w: [{"title": "Plan", "content": "Buy umbrellas"}],
    "modify_doc_text": lambda w: [
        {"document_id": w.doc, "text": "New", "index": 3, "tab_id": "t.0"},
        {"document_id": w.doc, "text": "New", "start_index": 2, "end_index": 5},
    ],
    "append_doc_text": lambda w: [{"document_id": w.doc, "text": "The end", "tab_id": "t.0"}],
    "find_and_replace_doc": lambda w: [
        {"document_id": w.doc, "find": "line", "replace": "row", "match_case": True, "tab_id": "t.0"}
    ],
    "insert_doc_table": lambda w: [{"document_id": w.doc, "rows": [["a", "b"], ["c"]], "index": 3}],
    "insert_doc_image": lambda w: [{"document_id": w.doc, "image_url": "https://example.com/a.png", "index": 3, "width_pt": 100}],
    "insert_doc_page_break": lambda w: [{"document_id": w.doc, "index": 3}],
    "format_doc_text": lambda w: [
        {
            "document_id": w.doc,
            "start_index": 1,
            "end_index": 5,
            "bold": True,
            "italic": False,
            "underline": True,
            "font_size": 14,
            "color": "#ff8000",
            "link": "https://example.com",
            "style": "HEADING_1",
            "bullets": False,
        }
    ],
    # Sheets
    "list_spreadsheets": lambda w: [{**PAGE, "name_contains": "Bud"}],
    "get_spreadsheet_info": lambda w: [{"spreadsheet_id": w.sheet}],
    "read_sheet_values": lambda w: [{"spreadsheet_id": w.sheet, "range_name": "Sheet1!A1:B2", "value_render": "FORMULA"}],
    "batch_get_sheet_values": lambda w: [
        {"spreadsheet_id": w.sheet, "ranges": ["A1:B1", "A2:B2"], "value_render": "UNFORMATTED_VALUE"}
    ],
    "modify_sheet_values": lambda w: [
        {"spreadsheet_id": w.sheet, "range_name": "A4:B4", "values": [["Nib", 1]], "value_input_option": "RAW"},
        {"spreadsheet_id": w.sheet, "range_name": "A2:B2", "clear_values": True},
        {"spreadsheet_id": w.sheet, "range_name": "A2:B2", "values": [["Nib", 1]], "clear_values": True},
    ],
    "append_sheet_rows": lambda w: [
        {
            "spreadsheet_id": w.sheet,
            "range_name": "Sheet1",
            "values": [["Nib", 1]],
            "value_input_option": "RAW",
            "insert_data_option": "OVERWRITE",
        }
    ],
    "batch_update_sheet_values": lambda w: [
        {"spreadsheet_id": w.sheet, "data": [{"range": "A1", "values": [["x"]]}], "value_input_option": "RAW"}
    ],
    "create_spreadsheet": lambda w: [{"title": "Numbers", "sheet_titles": ["One", "Two"]}],
    "add_sheet": lambda w: [{"spreadsheet_id": w.sheet, "title": "More", "rows": 10, "columns": 5}],
    "update_sheet": lambda w: [
        {
            "spreadsheet_id": w.sheet,
            "sheet_id": 0,
            "title": "First",
            "index": 1,
            "hidden": True,
            "frozen_rows": 1,
            "frozen_columns": 2,
        }
    ],
    "delete_sheet": lambda w: [{"spreadsheet_id": w.sheet, "sheet_id": 0}],
    "format_sheet_range": lambda w: [
        {
            "spreadsheet_id": w.sheet,
            "sheet_id": 0,
            "range": "A1:B2",
            "bold": True,
            "italic": True,
            "font_size": 12,
            "text_color": "#112233",
            "background_color": "#ffeedd",
            "horizontal_alignment": "CENTER",
            "wrap": "WRAP",
            "number_format": "0.00",
        }
    ],
    "merge_sheet_cells": lambda w: [{"spreadsheet_id": w.sheet, "sheet_id": 0, "range": "A1:B2", "unmerge": True}],
    "sort_sheet_range": lambda w: [
        {"spreadsheet_id": w.sheet, "sheet_id": 0, "range": "A1:B3", "column": "B", "descending": True}
    ],
    "delete_sheet_rows_or_columns": lambda w: [
        {"spreadsheet_id": w.sheet, "sheet_id": 0, "dimension": "ROWS", "start": 2, "count": 2}
    ],
    "find_replace_sheet": lambda w: [
        {"spreadsheet_id": w.sheet, "find": "Pen", "replace": "Nib", "sheet_id": 0, "match_case": True, "whole_cell": True}
    ],
    "set_sheet_validation": lambda w: [
        {"spreadsheet_id": w.sheet, "sheet_id": 0, "range": "A1:A9", "choices": ["Pen", "Ink"], "strict": False}
    ],
    # Slides
    "get_presentation": lambda w: [{"presentation_id": w.deck}],
    "get_slide_thumbnail": lambda w: [{"presentation_id": w.deck, "page_id": w.slide, "size": "LARGE"}],
    "export_presentation_pdf": lambda w: [{"presentation_id": w.deck}],
    "save_drive_export": lambda w: [
        {"file_id": w.doc, "file_name": "a.rtf", "mime_type": "application/rtf", "folder_id": w.folder}
    ],
    "create_presentation": lambda w: [{"title": "Plans"}],
    "create_slide": lambda w: [{"presentation_id": w.deck, "layout": "BLANK", "insertion_index": 0}],
    "delete_slide_object": lambda w: [{"presentation_id": w.deck, "object_id": w.box}],
    "add_textbox": lambda w: [
        {
            "presentation_id": w.deck,
            "page_id": w.slide,
            "text": "Rain",
            "x": 10,
            "y": 20,
            "width": 100,
            "height": 50,
            "font_size": 20,
            "color": "#112233",
        }
    ],
    "add_slide_image": lambda w: [
        {
            "presentation_id": w.deck,
            "page_id": w.slide,
            "image_url": "https://example.com/a.png",
            "x": 10,
            "y": 20,
            "width": 100,
            "height": 50,
        }
    ],
    "set_slide_text": lambda w: [{"presentation_id": w.deck, "object_id": w.box, "text": "Sun", "had_text": True}],
    "replace_text_in_presentation": lambda w: [
        {"presentation_id": w.deck, "find": "all", "replace": "nobody", "match_case": True}
    ],
    # Contacts
    "list_contacts": lambda w: [{**PAGE, "read_mask": "names"}],
    "search_contacts": lambda w: [{"query": "bob", "read_mask": "names,emailAddresses", "page_size": 3}],
    "get_contact": lambda w: [{"resource_name": w.person}],
    "create_contact": lambda w: [
        {
            "person": {
                "given_name": "Dan",
                "family_name": "Diver",
                "emails": ["dan@example.com"],
                "phones": ["+44 2"],
                "organization": "Sea",
                "job_title": "Diver",
                "addresses": ["1 Pier"],
                "birthday": "1990-01-02",
                "notes": "Wet",
                "urls": ["https://example.com"],
            }
        }
    ],
    "update_contact": lambda w: [
        {"resource_name": w.person, "person": {"family_name": "Miller"}, "update_person_fields": "phoneNumbers"}
    ],
    "delete_contact": lambda w: [{"resource_name": w.person}],
    # Forms
    "get_form": lambda w: [{"form_id": w.form}],
    "list_form_responses": lambda w: [{"form_id": w.form, **PAGE, "submitted_after": "2026-08-01T00:00:00Z"}],
    "get_form_response": lambda w: [{"form_id": w.form, "response_id": "resp1"}],
    "create_form": lambda w: [{"title": "Picnic", "document_title": "Picnic form"}],
    "add_form_question": lambda w: [
        {
            "form_id": w.form,
            "title": "What to eat?",
            "kind": "CHECKBOX",
            "options": ["Cake", "Soup"],
            "required": True,
            "description": "Choose",
            "index": 1,
        },
        {"form_id": w.form, "title": "When?", "kind": "DATE"},
    ],
    "batch_update_form": lambda w: [{"form_id": w.form, "requests": [{"deleteItem": {"location": {"index": 0}}}]}],
    # Meet
    "list_conference_records": lambda w: [{"filter": 'space.name = "spaces/s1"', **PAGE}],
    "get_conference_record": lambda w: [{"name": "conferenceRecords/one"}],
    "list_conference_participants": lambda w: [{"name": "conferenceRecords/one", **PAGE}],
    "list_conference_recordings": lambda w: [{"name": "conferenceRecords/one"}],
    "get_conference_transcript": lambda w: [{"name": "conferenceRecords/one/transcripts/t1", **PAGE}],
    "create_meet_space": lambda w: [{"access": "TRUSTED"}],
    # Chat
    "list_spaces": lambda w: [{"page_size": 1, "space_type": "room", "page_token": "0"}],
    "create_space": lambda w: [{"display_name": "Rain", "space_type": "GROUP_CHAT", "external_user_allowed": True}],
    "list_members": lambda w: [{"space_id": "spaces/team", **PAGE}],
    "add_member": lambda w: [{"space_id": "spaces/team", "member_name": "carol@example.com"}],
    "remove_member": lambda w: [{"space_id": "spaces/team", "member_name": "spaces/team/members/bob"}],
    "get_messages": lambda w: [{"space_id": "spaces/team", **PAGE, "thread": w.message["thread"]["name"], "newest_first": False}],
    "send_message": lambda w: [
        {"space_id": "spaces/team", "message_text": "Hi", "thread_key": "k1"},
        {"space_id": "spaces/team", "message_text": "Hi", "thread": w.message["thread"]["name"]},
    ],
    "update_message": lambda w: [{"message_name": w.message["name"], "message_text": "Hello, all"}],
    "delete_message": lambda w: [{"message_name": w.message["name"]}],
    # Administration
    "list_users": lambda w: [{"domain": "example.com", "query": "name:Alice", **PAGE}],
    "get_user": lambda w: [{"user_key": BOB}],
    "create_user": lambda w: [
        {
            "primary_email": "dan@example.com",
            "given_name": "Dan",
            "family_name": "Diver",
            "password": "a long password",
            "org_unit_path": "/sea",
            "change_password_next_login": False,
        }
    ],
    "update_user": lambda w: [
        {"user_key": BOB, "suspended": True, "given_name": "Rob", "family_name": "Miller", "org_unit_path": "/sea"}
    ],
    "list_groups": lambda w: [{"domain": "example.com", "user_key": BOB, **PAGE}],
    "list_group_members": lambda w: [{"group_key": "team@example.com", **PAGE}],
    "add_group_member": lambda w: [{"group_key": "team@example.com", "email": "dan@example.com", "role": "OWNER"}],
    "list_admin_activities": lambda w: [
        {
            "application_name": "login",
            "user_key": BOB,
            "start_time": MAY,
            "end_time": JUNE,
            "event_name": "login_success",
            **PAGE,
        }
    ],
    # Tasks
    "list_task_lists": lambda w: [{"max_results": 1, "page_token": "1"}],
    "create_task_list": lambda w: [{"title": "New"}],
    "update_task_list": lambda w: [{"task_list_id": "list2", "title": "New"}],
    "delete_task_list": lambda w: [{"task_list_id": "list2"}],
    "list_tasks": lambda w: [
        {
            "task_list_id": "list2",
            "max_results": 1,
            "page_token": "1",
            "show_completed": False,
            "show_deleted": True,
            "show_hidden": True,
            "due_min": MAY,
            "due_max": JUNE,
        }
    ],
    "get_task": lambda w: [{"task_id": w.task, "task_list_id": "list1"}],
    "create_task": lambda w: [
        {"title": "New", "task_list_id": "list1", "notes": "Soon", "due": "2026-10-01", "parent": w.task, "previous": w.done_task}
    ],
    "update_task": lambda w: [
        {"task_id": w.task, "task_list_id": "list1", "title": "New", "notes": "Soon", "status": "completed", "due": "2026-10-01"}
    ],
    "complete_task": lambda w: [{"task_id": w.task, "task_list_id": "list1"}],
    "reopen_task": lambda w: [{"task_id": w.done_task, "task_list_id": "list1"}],
    "move_task": lambda w: [
        {
            "task_id": w.task,
            "task_list_id": "list1",
            "parent": w.done_task,
            "previous": "x",
            "destination_task_list_id": "list2",
        }
    ],
    "delete_task": lambda w: [{"task_id": w.task, "task_list_id": "list1"}],
    "clear_completed_tasks": lambda w: [{"task_list_id": "list1"}],
}

# what an argument may be instead, where leaving it out is not allowed or says the same
OTHER: dict[str, Any] = {
    "offset": 0,
    "dimension": "COLUMNS",
    "resource_name": "people/c9",
    "name": "conferenceRecords/two",
    "message_name": "spaces/bob/messages/m1",
    "range": "A2:B3",
    "column": "A",
    "text_color": "#445566",
    "color": "#445566",
    "page_token": "7",
    "read_mask": "urls",
    "person": {"family_name": "Other"},
    "submitted_after": "2026-08-02T00:00:00Z",
    "thread": "spaces/team/threads/other",
    "draft_id": "r2",
    "filter_id": "f2",
}


def draft(world: World) -> str:
    """A draft in the world; answers its id."""
    world.fake.room("gmail")["drafts"]["r1"] = world.html_mail
    world.fake.room("gmail")["drafts"]["r2"] = world.mail
    return "r1"


def a_filter(world: World) -> str:
    """A filter in the world; answers its id."""
    world.fake.room("gmail")["filters"] |= {name: {"id": name, "criteria": {}, "action": {}} for name in ("f1", "f2")}
    return "f1"

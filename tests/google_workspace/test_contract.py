"""Each tool, each argument: called, held against Google's own descriptions, and seen to make a difference."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest

from connectors.google_workspace.scopes import PREFIX
from errors import PosternError
from google_workspace.calls import CALLS, OTHER
from google_workspace.fake import HANDLERS
from google_workspace.world import TOOLS, World, closed, mistakes

CASES = [(name, index) for name in CALLS for index in range(len(CALLS[name](World())))]
CORE = """
search_gmail_messages get_gmail_message_content get_gmail_messages_content_batch get_gmail_attachment_content
send_gmail_message draft_gmail_message list_calendars get_events create_event modify_event delete_event get_free_busy
search_drive_files list_drive_items get_drive_file_content create_drive_file get_doc_content modify_doc_text
read_sheet_values modify_sheet_values append_sheet_rows list_tasks create_task update_task complete_task
"""
TEXTS = ("2026-09-28", "2026-09-28T10:00:00Z", "pdf", "11:00", "declined", "domain", "writer", "reader")
ONLY_IN_ANSWERS = {  # what decides only how an answer is shown
    ("get_events", "detailed"),
    ("get_events", "include_attachments"),
    ("get_gmail_message_content", "offset"),
    ("get_gmail_attachment_content", "offset"),
    ("get_drive_file_content", "offset"),
    ("export_drive_file", "offset"),
    ("list_drive_comments", "include_resolved"),
    ("get_doc_content", "offset"),
    ("get_doc_content", "tab_id"),
    ("get_doc_content", "with_indexes"),
    ("suggest_meeting_times", "duration_minutes"),
    ("suggest_meeting_times", "day_starts"),
    ("suggest_meeting_times", "day_ends"),
}


def test_every_tool_is_called_with_every_argument(capsys: pytest.CaptureFixture[str]):
    world = World()
    used = {name: {key for call in CALLS[name](world) for key in call} | {"user_google_email"} for name in CALLS}
    missing = {name: set(tool.input_schema["properties"]) - used.get(name, set()) for name, tool in TOOLS.items()}

    assert {name: keys for name, keys in missing.items() if keys} == {}
    assert len(TOOLS) >= 80
    count = sum(len(tool.input_schema["properties"]) for tool in TOOLS.values())
    with capsys.disabled():
        print(f"\nGoogle Workspace: {len(TOOLS)} tools, {count} arguments, {len(HANDLERS)} of Google's methods")


@pytest.mark.parametrize(("name", "index"), CASES)
def test_a_call_keeps_to_googles_descriptions(make_world, name: str, index: int):
    world = make_world()
    arguments = CALLS[name](world)[index]
    world.call(name, **arguments)
    assert world.fake.sent != []
    needed = TOOLS[name].scopes
    for sent in world.fake.sent:  # whichever of its scopes a connection has, the tool works
        assert any(set(group) <= sent.method.scopes for group in needed), (sent.id, needed)


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_makes_a_difference(make_world, name: str):
    calls = CALLS[name](make_world())
    done = [outcome(make_world(), name, full) for full in calls]
    for argument in {argument: None for full in calls for argument in full}:
        assert any(
            makes_a_difference(make_world, name, full, argument, before)
            for full, before in zip(calls, done, strict=True)
            if argument in full
        ), f"{name} does the same whatever {argument} is"


def makes_a_difference(make_world, name: str, full: dict[str, Any], argument: str, before: tuple[list[str], str]) -> bool:
    """Whether a tool asks for something else, if one argument is something else."""
    for other in others(make_world(), name, full, argument):
        asked, answered = outcome(make_world(), name, other)
        if asked not in ([], before[0]) or ((name, argument) in ONLY_IN_ANSWERS and answered != before[1]):
            return True
    return False


def outcome(world: World, name: str, arguments: dict[str, Any]) -> tuple[list[str], str]:
    """What a tool asks for, and what it answers."""
    CALLS[name](world)  # whatever that puts into the world
    answered = "refused"
    with contextlib.suppress(PosternError):
        answered = json.dumps(world.run(name, arguments).structured)
    return [sent.shown for sent in world.fake.sent], answered


def others(world: World, name: str, full: dict[str, Any], argument: str):
    """The same arguments but for one: left out, or something else that its schema allows."""
    schema = TOOLS[name].input_schema
    if argument not in schema.get("required", ()):
        yield {key: value for key, value in full.items() if key != argument}
    for value in (OTHER.get(argument), *something_else(full[argument])):
        if value is not None and mistakes(name, full | {argument: value}) == []:
            yield full | {argument: value}


def something_else(value: Any):
    """Values of the same kind as one, and others that an enumeration may have."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield from (value + "x", "x" + value, *TEXTS)
    elif isinstance(value, list):
        yield from ([*value, *value[:1]], [*value[1:]], [[*value[0], "z"]] if isinstance(value[0], list) else [], ["zzz"])
        yield [{**item, "range": "B9"} if isinstance(item, dict) else item for item in value]
    elif isinstance(value, dict):
        yield {**value, "query": "x", "forward": "x@example.com"}
        yield {"from": "x"}


def test_every_tool_says_what_it_is():
    for tool in TOOLS.values():
        assert tool.title, tool.name
        assert tool.description, tool.name
        assert tool.output_schema, tool.name
        assert tool.scopes, tool.name
        assert tool.scope_hint, tool.name
        assert tool.open_world, tool.name
        assert 20 < len(tool.description) < 300, tool.name
        assert tool.output_schema["type"] == "object", tool.name
        assert tool.input_schema["additionalProperties"] is False, tool.name
        assert not (tool.reads and (tool.destructive or tool.idempotent)), tool.name
        if re.search(r"^(untrash|create)", tool.name) is None and re.search("delete|clear|remove|update|trash|modify", tool.name):
            assert tool.destructive, tool.name
        closed(tool.name)
        assert all(scope.startswith(PREFIX) for group in tool.scopes for scope in group)


def test_the_tools_take_no_more_room_than_this(capsys: pytest.CaptureFixture[str]):
    sizes = {
        tool.name: len(json.dumps([tool.name, tool.title, tool.description, tool.input_schema, tool.output_schema]))
        for tool in TOOLS.values()
    }
    core = sum(size for name, size in sizes.items() if TOOLS[name].core)
    every, largest = sum(sizes.values()), max(sizes.values())
    with capsys.disabled():
        print(f"\nGoogle Workspace: the tools' descriptions are {every} bytes, the core's {core}, the largest {largest}")
    assert every < 260_000
    assert core < 50_000


def test_the_core_is_the_strict_twenty_and_five():
    assert sorted(name for name, tool in TOOLS.items() if tool.core) == sorted(CORE.split())


def test_a_reading_tool_asks_only_for_what_reads(make_world):
    for name, tool in TOOLS.items():
        if not tool.reads:
            continue
        for arguments in CALLS[name](make_world()):
            world = make_world()
            outcome(world, name, arguments)
            verbs = {(sent.method.http, sent.id) for sent in world.fake.sent}
            assert {(http, id_) for http, id_ in verbs if http != "GET"} <= {("POST", "calendar.freebusy.query")}, name

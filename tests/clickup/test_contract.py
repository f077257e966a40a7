"""Each tool, each argument: called, held against ClickUp's own description, and seen to make a difference."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from connector_world import TRAVERSALS

from clickup.calls import CALLS, OTHER
from clickup.contract import OPERATIONS
from clickup.fake import ALICE, HANDLERS, FakeClickUp, Sent
from clickup.world import TOOLS, World, closed, mistakes
from errors import ToolError
from fetch import VENDOR

CASES = [(name, index) for name in CALLS for index in range(len(CALLS[name](World())))]
WRITES = [(name, index) for name, index in CASES if not TOOLS[name].reads]
XENIA = {"id": 13, "username": "Xenia"}
# places in paths that are filled with ids that ClickUp itself named: those of a copy's checklists
FROM_CLICKUP = [("POST /v2/checklist/{}/checklist_item", 0), ("POST /v2/task/{}/checklist", 0)]
REFRESH = {"forceRefresh", "refresh"}
BY_THEMSELVES = {"confirm", "dryRun", "concurrency"}  # tested further down


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch):
    """Makes worlds that are alike, with a second workspace, and something in every corner."""

    def make() -> World:
        world = World()
        monkeypatch.setattr("service_calls.time", SimpleNamespace(monotonic=world.clock))
        fake = world.fake
        fake.teams["2"] = {"id": "2", "name": "Bakery", "members": [{"user": ALICE}, {"user": XENIA}]}
        world.settings["teamId"] = "1"
        fake.add_task("Find a pen", world.list, parent=world.task)
        fake.add_task("Twice", world.list, locations=[{"id": world.other_list, "name": "Ideas"}], tags=[{"name": "urgent"}])
        fake.add_task("Find ink", world.list, parent=world.task, tags=[{"name": "urgent"}])
        for task in list(fake.tasks)[4:]:
            fake.add_entry(task, int(fake.entries[world.entry]["start"]), 60_000)
        fake.add_entry(world.task, int(fake.entries[world.entry]["start"]) - 20 * 86_400_000, 60_000)
        for owner in (world.task, world.other_task):
            for text in ("One", "Two"):
                fake.comments.setdefault(owner, []).append({"id": text, "comment_text": text, "date": "1", "resolved": False})
        fake.tasks[world.task]["custom_fields"] = [{"id": f"f-{name}", "name": name, "value": name} for name in ("note", "more")]
        fake.add_list("Empty", world.space), fake.add_list("Full", world.space, world.folder)
        fake.add_folder("Rest", world.space)
        fake.pages[world.page]["content"] = "Sell a thousand umbrellas to those who plan. " * 10
        fake.add_page(world.doc, "Plan B", "Raincoats " * 20)
        fake.views[world.view]["filters"] = {"op": "AND", "fields": [{"field": "tag", "op": "ANY", "values": ["x"]}]}
        fake.running = fake.add_entry(world.task, 1, 0, duration=-5)
        return world

    return make


def warm(world: World, name: str, arguments: dict[str, Any]) -> None:
    """Fill the copies that a tool goes past if it is told to refresh them."""
    if REFRESH & arguments.keys():
        world.run(name, {key: value for key, value in arguments.items() if key not in REFRESH})
        world.fake.sent.clear()


def trace(world: World, name: str, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """What a call sends, and what it answers; refusals of the tool itself are answers too."""
    try:
        answer = world.run(name, arguments | ({} if TOOLS[name].reads else {"confirm": "yes"})).structured
        closed(name).validate(answer)
    except ToolError as error:
        answer = str(error)
    return [sent.shown for sent in world.fake.sent], answer


# --- coverage ---


def test_every_tool_is_called_with_every_argument(capsys):
    unused = {}
    count = 0
    for name, tool in TOOLS.items():
        known = set(tool.input_schema.get("properties", {})) - {"confirm", "dryRun"}
        given = {key for arguments in CALLS[name](World()) for key in arguments}
        count += len(known & given)
        if known - given:
            unused[name] = known - given
    with capsys.disabled():
        print(f"\nClickUp: {len(CASES)} calls of {len(CALLS)} tools with {count} arguments, {len(OPERATIONS)} operations")
    assert unused == {}
    assert CALLS.keys() == TOOLS.keys()
    assert len(TOOLS) == 79
    assert sum(tool.reads for tool in TOOLS.values()) == 41
    assert sum(tool.core for tool in TOOLS.values()) == 33


def test_the_fake_knows_every_operation_of_the_description():
    assert HANDLERS.keys() == OPERATIONS.keys()


def test_every_operation_that_is_described_is_used(make_world):
    used = set()
    for name, index in CASES:
        world = make_world()
        trace(world, name, CALLS[name](world)[index])
        used |= {sent.operation for sent in world.fake.sent}
    world = make_world()
    world.settings |= {"selectiveWrite": True, "writeSpaces": "1"}
    for name, index in WRITES:
        trace(world, name, CALLS[name](world)[index])
    used |= {sent.operation for sent in world.fake.sent}
    assert OPERATIONS.keys() - used == {"GET /v2/space/{}"}


# --- the contract ---


@pytest.mark.parametrize(("name", "index"), CASES)
def test_it_sends_only_what_clickup_describes(make_world, name, index):
    world = make_world()
    sent, answer = trace(world, name, CALLS[name](world)[index])
    assert world.fake.problems == []
    assert sent or TOOLS[name].reads, answer


def test_the_contract_notices_what_clickup_does_not_describe(make_world):
    world = make_world()
    context = world.context()
    headers = {"Authorization": world.token, "Content-Type": "application/json"}
    base = "https://api.clickup.com/api/v2"
    for method, path, params, body in (
        ("GET", "/team/1/member", [], None),
        ("GET", "/team/1/task", [("include_timl", "true")], None),
        ("GET", f"/list/{world.list}/task", [("page", "first")], None),
        ("PUT", f"/task/{world.task}", [], {"assignees": [11]}),
        ("PUT", f"/task/{world.task}", [], {"tags": ["x"]}),
        ("POST", f"/space/{world.space}/tag", [], {"name": "x"}),
    ):
        before = len(world.fake.problems)
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # the fake itself need not bear it
            context.fetch.request(method, base + path, trust=VENDOR, headers=headers, params=params, json=body)
        assert len(world.fake.problems) > before, (method, path)


# --- every argument counts ---


def arguments_of(world: World) -> list[tuple[str, int, str]]:
    """(tool, call, argument) for each argument, in the first call that has it."""
    found: dict[tuple[str, str], int] = {}
    for name, index in CASES:
        for argument in CALLS[name](world)[index]:
            if argument not in BY_THEMSELVES:
                found.setdefault((name, argument), index)
    return [(name, index, argument) for (name, argument), index in found.items()]


@pytest.mark.parametrize(("name", "index", "argument"), arguments_of(World()))
def test_every_argument_makes_a_difference(make_world, name, index, argument):
    world = make_world()
    arguments = CALLS[name](world)[index]
    warm(world, name, arguments)
    with_it = trace(world, name, arguments)
    world = make_world()
    warm(world, name, arguments)
    needed = argument in TOOLS[name].input_schema.get("required", [])
    changed = {key: value for key, value in arguments.items() if key != argument}
    if needed:
        other = OTHER[argument](world)
        changed[argument] = fit_items(name, argument, other) if argument in ("tasks", "subtasks") else other
    assert mistakes(name, changed) == []
    assert trace(world, name, changed) != with_it


def fit_items(name: str, argument: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items of a bulk call with those members only that this tool takes."""
    schema = TOOLS[name].input_schema
    reference = schema["properties"][argument]["items"]["$ref"].rpartition("/")[2]
    known = schema["$defs"][reference]["properties"]
    return [{key: value for key, value in item.items() if key in known} for item in items]


class Crowd:
    """Holds each request back until as many run as are wanted, or it has waited for so long that no more can be coming."""

    def __init__(self, wanted: int):
        self.wanted, self.active, self.most, self.changed = wanted, 0, 0, threading.Condition()

    def __call__(self, fake: FakeClickUp, sent: Sent) -> Any:
        with self.changed:
            self.active += 1
            self.most = max(self.most, self.active)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.wanted, timeout=0.2)
        time.sleep(0.005)  # one too many would come now
        with self.changed:
            self.active -= 1
        return FakeClickUp.respond(fake, sent)


@pytest.mark.parametrize("wanted", [1, 4])
def test_concurrency_is_how_many_requests_run_at_once(make_world, wanted):
    world, crowd = make_world(), Crowd(wanted)
    world.fake.respond = partial(crowd, world.fake)
    world.run("workspace_hierarchy", {"concurrency": wanted, "forceRefresh": True})
    assert crowd.most == wanted


# --- ids that lead nowhere else (S-25) ---


def texts_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text in some arguments, and the way to it."""
    if isinstance(value, str):
        yield path, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from texts_in(item, (*path, key))


def with_text(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """The same arguments with another text at the end of a way."""
    if not path:
        return text
    changed = copy.copy(value)
    changed[path[0]] = with_text(value[path[0]], path[1:], text)
    return changed


def places_of(world: World, text: str) -> set[tuple[str, int]]:
    """Where in the paths of what was sent a text stands: (operation, which hole)."""
    return {(sent.operation, index) for sent in world.fake.sent for index, found in enumerate(sent.ids) if found == text}


@pytest.mark.parametrize("name", CALLS)
def test_no_argument_leads_a_request_elsewhere(make_world, name):
    """Whatever stands where an id belongs: it is refused before anything is sent with it, or it stays one segment of its path."""
    for index, full in enumerate(CALLS[name](make_world())):
        world = make_world()
        trace(world, name, full)
        usual = {sent.operation for sent in world.fake.sent}
        for way, text in texts_in(full):
            for odd in TRAVERSALS if places_of(world, text) else ():
                other = make_world()
                changed = with_text(CALLS[name](other)[index], way, odd)
                if mistakes(name, changed) == []:
                    trace(other, name, changed)
                    assert {sent.operation for sent in other.fake.sent} <= usual
                    assert other.fake.problems == []


def test_every_place_in_a_path_is_filled_from_an_argument_or_from_what_clickup_said(make_world, capsys):
    """Else the test above would show little."""
    tried, all_ = set(), set()
    for name, index in CASES:
        world = make_world()
        full = CALLS[name](world)[index]
        trace(world, name, full)
        all_ |= {(sent.operation, hole) for sent in world.fake.sent for hole in range(len(sent.ids))}
        tried |= {place for _, text in texts_in(full) for place in places_of(world, text)}
        tried |= places_of(world, world.settings["teamId"])
    with capsys.disabled():
        print(f"\nClickUp: {len(tried)} of {len(all_)} places in paths are filled from arguments or settings")
    assert sorted(all_ - tried) == FROM_CLICKUP


# --- confirm and dryRun ---


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_it_changes_nothing_without_confirmation(make_world, name, index):
    world = make_world()
    before = copy.deepcopy(vars(world.fake))
    outcome = world_call(world, name, CALLS[name](world)[index])
    if is_empty(outcome):
        assert "2" in json.dumps(CALLS[name](world)[index])
    else:
        assert (outcome["done"], outcome["requiresConfirmation"]) == (False, True)
        assert outcome["summary"].startswith('Confirmation required: call again with confirm: "yes".')
    assert world.fake.writes() == []
    assert same_state(before, vars(world.fake))


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_a_dry_run_shows_what_would_be_sent(make_world, name, index):
    world = make_world()
    outcome = world_call(world, name, CALLS[name](world)[index], dryRun=True, confirm="yes")
    assert world.fake.writes() == []
    if is_empty(outcome):
        return
    assert (outcome["done"], outcome["dryRun"]) == (False, True)
    real = make_world()
    trace(real, name, CALLS[name](real)[index])
    shown = [(item["method"], item["path"]) for item in outcome["requests"]]
    sent = [(item.method, item.path) for item in real.fake.writes()]
    unquoted = [(method, path.replace("b%2Fc", "b/c")) for method, path in sent]
    assert sorted(unquoted[: len(shown)]) == sorted(shown)
    bodies = [item["body"] for item in outcome["requests"] if not isinstance(item.get("body", ""), str)]
    assert all(body in [item.body for item in real.fake.writes()] for body in bodies)


def world_call(world: World, name: str, arguments: dict[str, Any], **more: Any) -> Any:
    """What a tool answers, or the text of its refusal."""
    try:
        answer = world.run(name, arguments | more).structured
    except ToolError as error:
        return str(error)
    closed(name).validate(answer)
    return answer


def is_empty(outcome: Any) -> bool:
    """Whether there was nothing to change: in the other workspace there is nothing."""
    return isinstance(outcome, str) or outcome.get("succeeded") == 0


def same_state(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a ClickUp holds the same, whatever it was asked."""
    return all(before[name] == after[name] for name in before if name not in ("sent", "numbers", "problems", "faults"))


# --- what clients see ---


def test_every_tool_says_what_it_is_and_does():
    for tool in TOOLS.values():
        assert tool.title
        assert 20 < len(tool.description) < 400, tool.name
        assert tool.open_world
        assert tool.output_schema["type"] == "object"
        assert not (tool.reads and (tool.destructive or tool.idempotent)), tool.name
        assert tool.reads != ("confirm" in tool.input_schema["properties"]), tool.name
        assert tool.input_schema["additionalProperties"] is False
        if any(word in tool.name for word in ("delete", "clear", "remove", "update")):
            assert tool.destructive, tool.name


def test_the_tools_take_no_more_room_than_this(capsys):
    sizes = {
        tool.name: len(json.dumps([tool.name, tool.title, tool.description, tool.input_schema, tool.output_schema]))
        for tool in TOOLS.values()
    }
    core = sum(size for name, size in sizes.items() if TOOLS[name].core)
    every, largest = sum(sizes.values()), max(sizes.values())
    with capsys.disabled():
        print(f"\nClickUp: the tools' descriptions are {every} bytes, the core's {core}, the largest {largest}")
    assert every < 160_000
    assert core < 70_000

"""Where a connection may write: no request that changes something reaches a place that is not allowed, whatever the arguments."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickup.calls import CALLS
from clickup.fake import FakeClickUp
from clickup.world import TOOLS, World, mistakes
from connectors.clickup.access import IN_PATH
from errors import ToolError

WRITES = [(name, index) for name in CALLS if not TOOLS[name].reads for index in range(len(CALLS[name](World())))]
ID_NAMES = {"spaceId", "folderId", "listId", "taskId", "parentTaskId", "docId", "viewId", "entryId", "path"}
REFUSAL = "This connection writes in some spaces and lists only, and these are not in them: "


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch):
    """Makes worlds that are alike, with a timer running on a task that may be chosen."""

    return lambda *, running="task": furnish(monkeypatch, running)


def furnish(monkeypatch: pytest.MonkeyPatch, running: str) -> World:
    """A world with a timer running on one of its tasks."""
    world = World()
    monkeypatch.setattr("service_calls.time", world.time)
    world.settings["teamId"] = "1"
    world.fake.tasks[world.secret_task]["custom_id"] = "SEC-1"
    world.fake.running = world.fake.add_entry(getattr(world, running), 1, 0, duration=-5)
    return world


def allow(world: World, **places: str) -> World:
    """Let the connection write in these places only."""
    world.settings |= {"selectiveWrite": True, **places}
    return world


def secrets_of(world: World) -> dict[str, Any]:
    """For each name of an argument, what stands for the secret space in it."""
    return {
        "spaceId": world.secret, "folderId": world.hidden_folder, "listId": world.secret_list, "taskId": world.secret_task,
        "parentTaskId": world.secret_task, "docId": world.secret_doc, "viewId": world.secret_view, "entryId": world.secret_entry,
    }  # fmt: skip


def secret_path(path: list[Any]) -> list[Any]:
    """A path as long as another one, in the secret space."""
    return ["Secret", "Vault", "Plans"][: len(path)] if path != ["Marketing", "Ideas"] else ["Secret", "Vault", "Plans"]


def variants(world: World, arguments: Any) -> list[Any]:
    """The same arguments, each time with one id, wherever it stands, replaced by one of the secret space."""
    found = []
    items = arguments.items() if isinstance(arguments, dict) else enumerate(arguments) if isinstance(arguments, list) else ()
    for key, value in items:
        replaced = variants(world, value) if key not in ID_NAMES else []
        if key == "path":
            replaced = [secret_path(value)]
        elif key in ID_NAMES:
            replaced = [secrets_of(world)[key], *(["SEC-1"] if key in ("taskId", "parentTaskId") else [])]
        for other in replaced:
            changed = copy.copy(arguments)
            changed[key] = other
            found.append(changed)
    return found


def places_of(fake: FakeClickUp, space: str) -> Any:
    """All that is in a space, as ClickUp holds it."""
    docs = [doc for doc in fake.docs.values() if doc["parent"]["id"] in (space, *fake.folders)]
    return copy.deepcopy(
        [
            fake.spaces.get(space),
            [item for item in fake.folders.values() if item["space"]["id"] == space],
            [item for item in fake.lists.values() if item["space"]["id"] == space],
            [item for item in fake.tasks.values() if item["space"]["id"] == space],
            [item for item in fake.entries.values() if fake.tasks.get(item["task"]["id"], {}).get("space") == {"id": space}],
            [view for view in fake.views.values() if view["parent"]["id"] == space],
            [doc for doc in docs if doc["parent"]["id"] == space or fake.folders[doc["parent"]["id"]]["space"]["id"] == space],
            list(fake.pages.values()) if space != "all" else None,
        ]
    )


def attempt(world: World, name: str, arguments: dict[str, Any]) -> Any:
    """What a tool answers, or the text of its refusal."""
    try:
        return world.run(name, arguments).structured
    except ToolError as error:
        return str(error)


def says_no(answer: Any, arguments: dict[str, Any]) -> bool:
    """Whether it was refused by the rules; in another workspace, where these ids lead nowhere, any refusal will do."""
    if "teamId" in arguments or "workspaceId" in arguments:
        return isinstance(answer, str) or answer["succeeded"] == 0
    return isinstance(answer, str) and (answer.startswith(REFUSAL) or "has no tag" in answer)


def is_source(name: str, arguments: dict[str, Any], world: World) -> bool:
    """Whether the secret thing is only read: what is duplicated into a list that is allowed."""
    return name == "task_duplicate" and arguments["taskId"] in (world.secret_task, "SEC-1")


# --- everything that writes, in every shape ---


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_it_lets_writes_into_an_allowed_space(make_world, name, index):
    world = make_world()
    allow(world, writeSpaces=world.space)
    arguments = {key: value for key, value in CALLS[name](world)[index].items() if key not in ("teamId", "workspaceId")}
    outcome = world.run(name, {**arguments, "confirm": "yes"}).structured
    assert outcome["done"] is True
    assert world.fake.writes()


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_it_keeps_every_write_out_of_every_other_space(make_world, name, index):
    shapes = variants(make_world(), CALLS[name](make_world())[index])
    assert shapes, "there is something to forbid"
    for number in range(len(shapes)):
        for confirm in ({"confirm": "yes"}, {"dryRun": True}, {}):
            world = make_world(running="secret_task")
            allow(world, writeSpaces=world.space)
            arguments = variants(world, CALLS[name](world)[index])[number]
            before = places_of(world.fake, world.secret)
            answer = attempt(world, name, {**arguments, **confirm})
            if not is_source(name, arguments, world):
                assert world.fake.writes() == []
                assert says_no(answer, arguments), answer
            assert places_of(world.fake, world.secret) == before


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_it_keeps_every_write_out_of_a_connection_that_only_reads(make_world, name, index):
    world = make_world()
    world.settings["readOnly"] = True
    with pytest.raises(ToolError, match=r"^This connection only reads: its person has set “Only read”\. Nothing was changed\.$"):
        world.run(name, {**CALLS[name](world)[index], "confirm": "yes"})
    assert world.fake.sent == []


@pytest.mark.parametrize(("name", "index"), WRITES)
def test_nothing_is_allowed_where_no_place_is_named(make_world, name, index):
    world = allow(make_world())
    arguments = CALLS[name](world)[index]
    assert says_no(attempt(world, name, {**arguments, "confirm": "yes"}), arguments)
    assert world.fake.writes() == []


# --- whatever is allowed, and whatever stands in the arguments ---


def things_of(world: World) -> list[str]:
    """The id of everything there is, and some names of it."""
    fake = world.fake
    shelves = (fake.teams, fake.spaces, fake.folders, fake.lists, fake.tasks, fake.docs, fake.pages, fake.views, fake.entries)
    return [*(key for shelf in shelves for key in shelf), "DEV-42", "SEC-1", "gone"]


def shaken(arguments: Any, choose: Callable[[str, Any], Any], name: str = "") -> Any:
    """The same arguments with something else for each id, wherever it stands."""
    if isinstance(arguments, dict):
        return {key: shaken(value, choose, key) for key, value in arguments.items()}
    if isinstance(arguments, list) and name != "path":
        return [shaken(value, choose, name) for value in arguments]
    return choose(name, arguments) if name in ID_NAMES | {"teamId", "workspaceId"} else arguments


def outside_of(fake: FakeClickUp, spaces: set[str], lists: set[str]) -> Any:
    """All that is in no allowed place, as ClickUp holds it."""

    def is_outside(item: Any) -> bool:
        return (item.get("list") or item)["id"] not in lists and item["space"]["id"] not in spaces

    tasks = {key for key, item in fake.tasks.items() if is_outside(item)}
    homes = {key for key in fake.spaces if key not in spaces}
    homes |= {key for key, item in fake.folders.items() if item["space"]["id"] not in spaces}
    homes |= {key for key, item in fake.lists.items() if is_outside(item)}
    docs = {key for key, item in fake.docs.items() if item["parent"]["id"] in homes}
    return copy.deepcopy(
        [
            [item for shelf in (fake.spaces, fake.folders, fake.lists) for key, item in shelf.items() if key in homes],
            [fake.tasks[key] for key in tasks],
            [fake.comments.get(key) for key in tasks],
            [item for item in fake.entries.values() if item["task"] is None or item["task"]["id"] in tasks],
            [item for item in fake.views.values() if item["parent"]["id"] in homes],
            [fake.docs[key] for key in docs],
            [item for item in fake.pages.values() if item["doc_id"] in docs],
        ]
    )


REACHED: set[str] = set()


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_no_write_reaches_a_place_that_is_not_allowed(data: st.DataObject):
    """Random tools, random allowed places, and any id of anything in each place of the arguments where an id belongs."""
    name, index = data.draw(st.sampled_from(WRITES + 4 * [case for case in WRITES if case[0].endswith("_bulk")]))
    with pytest.MonkeyPatch.context() as patch:
        world = furnish(patch, "task")
        spaces = set(data.draw(st.sampled_from([[world.space]] * 3 + [[world.secret], [world.space, world.secret], []])))
        lists = set(data.draw(st.sampled_from([[]] * 3 + [[world.list], [world.other_list, world.secret_list]])))
        allow(world, writeSpaces=" ".join(spaces), writeLists=" ".join(lists))
        things = things_of(world)
        usual = CALLS[name](world)[index]
        secrets = secrets_of(world)
        kinds = {"kept": lambda key, old: old, "secret": secrets.get, "any": lambda *_: draw_thing()}

        def draw_thing() -> str:
            return data.draw(st.sampled_from(things))

        def choose(key: str, old: Any) -> Any:
            return kinds[data.draw(st.sampled_from(["kept", "kept", "secret", "secret", "any"]))](key, old)

        arguments = shaken(usual, choose)
        if mistakes(name, arguments):
            arguments = usual
        before = outside_of(world.fake, spaces, lists)
        attempt(world, name, {**arguments, "confirm": "yes"})
        assert outside_of(world.fake, spaces, lists) == before, (name, arguments, spaces, lists)
        REACHED.update([name] if world.fake.writes() else [])


def test_the_property_saw_writes_that_were_let_through():
    """Else it would show little."""
    if not REACHED:  # it was not run here
        test_no_write_reaches_a_place_that_is_not_allowed()
    assert len(REACHED) > 20


# --- what counts as allowed ---


@pytest.mark.parametrize(
    ("name", "arguments", "places", "is_allowed"),
    [
        ("task_delete", lambda w: {"taskId": w.task}, lambda w: {"writeLists": w.list}, True),
        ("task_delete", lambda w: {"taskId": "DEV-42"}, lambda w: {"writeLists": w.list}, True),
        ("task_delete", lambda w: {"taskId": w.task}, lambda w: {"writeLists": w.other_list}, False),
        ("task_delete", lambda w: {"taskId": w.task}, lambda w: {"writeSpaces": f"{w.secret}, {w.space}"}, True),
        ("task_delete", lambda w: {"taskId": w.task}, lambda w: {"writeLists": w.space, "writeSpaces": w.list}, False),
        ("task_create", lambda w: {"listId": w.list, "name": "x"}, lambda w: {"writeLists": w.list}, True),
        ("task_create", lambda w: {"listId": w.list, "name": "x"}, lambda w: {"writeSpaces": w.space}, True),
        ("list_delete", lambda w: {"listId": w.list}, lambda w: {"writeLists": w.list}, True),
        ("folder_delete", lambda w: {"folderId": w.folder}, lambda w: {"writeLists": w.list}, False),
        ("folder_create_in_space", lambda w: {"spaceId": w.space, "name": "x"}, lambda w: {"writeLists": w.list}, False),
        ("view_delete", lambda w: {"viewId": w.view}, lambda w: {"writeLists": w.list}, True),
        ("view_delete", lambda w: {"viewId": w.secret_view}, lambda w: {"writeSpaces": w.secret}, True),
        ("time_entry_delete", lambda w: {"entryId": w.entry}, lambda w: {"writeLists": w.list}, True),
        ("doc_create", lambda w: {"folderId": w.folder, "name": "x"}, lambda w: {"writeLists": w.list}, False),
        ("space_tag_create", lambda w: {"spaceId": w.space, "name": "x"}, lambda w: {"writeLists": w.list}, False),
        (
            "subtask_create",
            lambda w: {"listId": w.list, "parentTaskId": w.done_task, "name": "x"},
            lambda w: {"writeLists": w.list},
            False,
        ),
        (
            "task_update",
            lambda w: {"taskId": w.task, "parentTaskId": w.done_task},
            lambda w: {"writeLists": f"{w.list} {w.other_list}"},
            True,
        ),
        (
            "task_delete_bulk",
            lambda w: {"tasks": [{"taskId": w.task}, {"taskId": w.done_task}]},
            lambda w: {"writeLists": w.list},
            False,
        ),
    ],
)
def test_it_judges_each_target_by_where_it_is(make_world, name, arguments, places, is_allowed):
    world = make_world()
    allow(world, **places(world))
    if is_allowed:
        assert world.run(name, {**arguments(world), "confirm": "yes"}).structured["done"] is True
    else:
        with pytest.raises(ToolError, match=f"^{REFUSAL}"):
            world.run(name, {**arguments(world), "confirm": "yes"})
    assert bool(world.fake.writes()) == is_allowed


@pytest.mark.parametrize("kind", [7, 12, None, "x"])
def test_what_belongs_to_the_whole_workspace_is_in_no_allowed_place(make_world, kind):
    world = make_world()
    allow(world, writeSpaces=world.space, writeLists=world.list)
    world.fake.docs[world.doc]["parent"] = {"id": world.space, "type": kind}
    with pytest.raises(ToolError, match=f"^{REFUSAL}doc {world.doc}"):
        world.run("doc_page_create", {"docId": world.doc, "title": "x", "confirm": "yes"})
    assert world.fake.writes() == []


def test_a_time_entry_without_a_task_is_in_no_allowed_place(make_world):
    world = make_world()
    allow(world, writeSpaces=world.space)
    entry = world.fake.add_entry(None, 1, 1)
    with pytest.raises(ToolError, match=f"^{REFUSAL}entry {entry}"):
        world.run("time_entry_delete", {"entryId": entry, "confirm": "yes"})
    assert world.fake.writes() == []


def test_where_a_task_is_gets_asked_anew_each_time(make_world):
    world = make_world()
    allow(world, writeLists=world.list)
    world.run("task_read", {"taskId": world.task})  # there is a copy now
    world.fake.tasks[world.task] |= {"list": {"id": world.secret_list}, "space": {"id": world.secret}}
    with pytest.raises(ToolError, match=f"^{REFUSAL}task {world.task}"):
        world.run("task_delete", {"taskId": world.task, "confirm": "yes"})
    assert world.fake.writes() == []


def test_a_look_up_that_fails_forbids(make_world):
    world = make_world()
    allow(world, writeLists=world.list)
    with pytest.raises(ToolError, match=r"ClickUp finds nothing there"):
        world.run("task_delete", {"taskId": "gone", "confirm": "yes"})
    assert world.fake.writes() == []


def test_every_id_in_a_path_that_leads_to_a_place_is_known():
    """Whoever adds an operation has to say what it changes."""
    inside = {"team_id", "workspace_id", "page_id", "field_id", "tag_name", "template_id", "checklist_id"}
    assert not inside & IN_PATH.keys()
    sources = "".join(path.read_text() for path in (World.source_folder()).glob("*.py"))
    paths = " ".join(re.findall(r'"(/[^" ]*)"', sources))
    named = set(re.findall(r"\{([a-z]+_(?:id|name))\}", paths))
    assert named | {"list_id", "folder_id", "space_id"} == inside | IN_PATH.keys()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("time_entry_delete", lambda w: {"entryId": w.entry, "teamId": "1"}),
        ("time_entry_update", lambda w: {"entryId": w.entry, "teamId": "1", "description": "x"}),
        ("doc_page_create", lambda w: {"docId": w.doc, "title": "x", "workspaceId": "1"}),
        ("task_delete_bulk", lambda w: {"tasks": [{"taskId": "DEV-42"}], "teamId": "1"}),
    ],
)
@pytest.mark.parametrize("set_to", ["", "2"])
def test_where_a_thing_is_gets_asked_in_the_workspace_that_the_write_names(make_world, name, arguments, set_to):
    world = make_world()
    world.fake.teams["2"] = {"id": "2", "name": "Other", "members": []}
    allow(world, writeSpaces=world.space)
    world.settings["teamId"] = set_to
    assert world.run(name, {**arguments(world), "confirm": "yes"}).structured["done"] is True
    named = [sent for sent in world.fake.sent if "/team/" in sent.path or "/workspaces/" in sent.path or sent.one("team_id")]
    assert len(named) >= 2
    assert not any("/2/" in sent.path or sent.one("team_id") == "2" for sent in named)


@pytest.mark.parametrize("name", ["subtask_create", "task_update"])
def test_the_parent_that_is_sent_is_the_one_that_was_asked_about(make_world, name):
    world = make_world()
    allow(world, writeSpaces=world.space)
    mine = {"listId": world.list, "name": "x"} if name == "subtask_create" else {"taskId": world.other_task}
    arguments = {**mine, "parentTaskId": "SEC-1", "confirm": "yes"}
    assert attempt(world, name, arguments).startswith(f"{REFUSAL}task ")
    for task, custom_id in ((world.secret_task, None), (world.task, "SEC-1")):  # the custom id goes to another task
        world.fake.tasks[task]["custom_id"] = custom_id
    attempt(world, name, arguments)
    assert [sent for sent in world.fake.writes() if sent.body["parent"] == world.secret_task] == []


@pytest.mark.parametrize(("running", "is_allowed"), [("task", True), ("other_task", True), ("secret_task", False)])
def test_no_timer_is_stopped_by_starting_one_where_it_may_not_be(make_world, running, is_allowed):
    world = make_world(running=running)
    allow(world, writeSpaces=world.space)
    answer = attempt(world, "task_timer_start", {"taskId": world.task, "confirm": "yes"})
    assert answer["done"] is True if is_allowed else answer.startswith(f"{REFUSAL}entry {world.fake.running}.")
    assert bool(world.fake.writes()) == is_allowed


def test_whoever_is_asked_to_confirm_hears_which_timer_stops(make_world):
    world = make_world(running="secret_task")
    preview = world.call("task_timer_start", taskId=world.task)
    assert preview["summary"].endswith(f"start the timer on task {world.task}, and stop the one on {world.secret_task}.")


@pytest.mark.parametrize("value", [{"add": ["SECRET"]}, {"add": [], "rem": ["TASK", "SECRET"]}, {"add": ["TASK"]}, {"add": [7]}])
def test_a_task_that_a_field_links_to_changes_as_well(make_world, value):
    world = make_world()
    allow(world, writeSpaces=world.space)
    ids = {"SECRET": world.secret_task, "TASK": world.other_task}
    value = {name: [ids.get(item, item) for item in items] for name, items in value.items()}
    is_allowed = world.secret_task not in str(value)
    field = world.fake.fields[world.list][0]["id"]
    arguments = {"taskId": world.task, "fieldId": field, "value": value, "confirm": "yes"}
    answer = attempt(world, "task_custom_field_set_value", arguments)
    assert answer["done"] is True if is_allowed else answer.startswith(f"{REFUSAL}task {world.secret_task}.")
    assert bool(world.fake.writes()) == is_allowed


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("doc_page_update", lambda page: {"pageId": page, "content": "x"}),
        ("doc_page_create", lambda page: {"parentId": page, "title": "x"}),
    ],
)
def test_a_page_has_to_be_in_the_doc_that_is_named_with_it(make_world, name, arguments):
    world = make_world()
    secret = world.fake.add_page(world.secret_doc, "Terms", "Ours")
    allow(world, writeSpaces=world.space)
    said = attempt(world, name, {"docId": world.doc, **arguments(secret), "confirm": "yes"})
    assert said == f"Doc {world.doc} has no page {secret}. Nothing was changed."
    assert world.fake.writes() == []
    assert world.do(name, docId=world.doc, **arguments(world.subpage))["done"] is True


TAGGED = {
    "task_create": lambda w, tag: {"listId": w.list, "name": "x", "tags": [tag]},
    "subtask_create": lambda w, tag: {"listId": w.list, "parentTaskId": w.task, "name": "x", "tags": [tag]},
    "task_update": lambda w, tag: {"taskId": w.task, "tags": [tag, "urgent"], "name": "x"},
    "task_tag_add": lambda w, tag: {"taskId": "DEV-42", "tags": ["urgent", tag]},
    "task_tag_add_bulk": lambda w, tag: {"tasks": [{"taskId": w.task}, {"taskId": w.other_task}], "defaults": {"tags": [tag]}},
    "task_create_bulk": lambda w, tag: {"tasks": [{"name": "x"}], "defaults": {"listId": w.list, "tags": [tag]}},
    "task_update_bulk": lambda w, tag: {"tasks": [{"taskId": w.other_task, "tags": [tag]}]},
    "subtask_create_bulk": lambda w, tag: {"subtasks": [{"name": "x", "listId": w.list, "parentTaskId": w.task, "tags": [tag]}]},
}


@pytest.mark.parametrize("name", TAGGED)
@pytest.mark.parametrize(
    ("tag", "place", "is_allowed"), [("Urgent", "list", True), ("new", "space", True), ("new", "list", False)]
)
def test_a_space_gets_a_new_tag_only_if_it_may_be_written_to(make_world, name, tag, place, is_allowed):
    """Making one there with space_tag_create is refused as well."""
    world = make_world()
    allow(world, **{f"write{place.title()}s": getattr(world, place)})
    before = copy.deepcopy(world.fake.spaces[world.space])
    answer = attempt(world, name, {**TAGGED[name](world, tag), "confirm": "yes"})
    if is_allowed:
        assert answer["done"] is True
    else:
        assert answer == (
            f"Space {world.space} has no tag “new”, and this connection may not make one there. "
            "Nothing was changed. It has: urgent."
        )
        assert world.fake.spaces[world.space] == before
    assert bool(world.fake.writes()) == is_allowed


def test_where_a_task_is_gets_asked_once_for_all_of_its_tags(make_world):
    """ClickUp answers a hundred requests a minute."""
    world = make_world()
    allow(world, writeLists=world.list)
    tasks = {"tasks": [{"taskId": world.task}, {"taskId": world.other_task}], "defaults": {"tags": ["urgent"]}}
    assert attempt(world, "task_tag_add_bulk", {**tasks, "confirm": "yes"})["succeeded"] == 2
    asked = [sent.path for sent in world.fake.sent if sent.method == "GET"]
    assert sorted(asked) == sorted(set(asked))


def test_a_copy_of_a_task_brings_no_new_tag_into_a_space_that_may_not_be_written_to(make_world):
    world = make_world()
    allow(world, writeLists=world.list)
    world.fake.tasks[world.secret_task]["tags"] = [{"name": "hush"}]
    answer = attempt(world, "task_duplicate", {"taskId": world.secret_task, "listId": world.list, "confirm": "yes"})
    assert answer.startswith(f"Space {world.space} has no tag “hush”, and this connection may not make one there.")
    assert world.fake.writes() == []


@pytest.mark.parametrize("kind", ["tasks", "list_relationship"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"add": ["TASK"]}, None),
        ({"add": [7]}, "ClickUp finds nothing there"),
        ({"add": [{"id": "SECRET"}]}, "A relationship is set by {add: [], rem: []} with ids of tasks. Nothing was changed."),
        (["SECRET"], "A relationship is set by {add: [], rem: []} with ids of tasks. Nothing was changed."),
        ({"set": ["SECRET"]}, "A relationship is set by {add: [], rem: []} with ids of tasks. Nothing was changed."),
    ],
)
def test_a_relationship_is_set_in_no_other_way(make_world, kind, value, says):
    world = make_world()
    allow(world, writeSpaces=world.space)
    world.fake.fields[world.list].append({"id": "f-link", "name": "Links", "type": kind, "type_config": {}})
    world.fake.tasks[world.task]["custom_fields"] = [{"id": "f-link", "name": "Links", "type": kind}]
    value = json.loads(json.dumps(value).replace("TASK", world.other_task).replace("SECRET", world.secret_task))
    arguments = {"taskId": world.task, "fieldId": "f-link", "value": value, "confirm": "yes"}
    answer = attempt(world, "task_custom_field_set_value", arguments)
    assert answer["done"] is True if says is None else answer.startswith(says)
    assert bool(world.fake.writes()) == (says is None)


@pytest.mark.parametrize(("linked", "is_allowed"), [("other_task", True), ("secret_task", False)])
def test_a_relationship_is_not_ended_for_a_task_that_may_not_be_written_to(make_world, linked, is_allowed):
    world = make_world()
    allow(world, writeSpaces=world.space)
    field = {"id": "f-link", "name": "Links", "type": "tasks", "type_config": {}}
    world.fake.fields[world.list].append(field)
    other = getattr(world, linked)
    world.fake.tasks[world.task]["custom_fields"] = [{**field, "value": [{"id": other, "name": "x"}]}]
    answer = attempt(world, "task_custom_field_clear_value", {"taskId": world.task, "fieldId": "f-link", "confirm": "yes"})
    assert answer["done"] is True if is_allowed else answer.startswith(f"{REFUSAL}task {other}.")
    assert bool(world.fake.writes()) == is_allowed


@pytest.mark.parametrize("is_selective", [True, False])
def test_a_template_brings_nothing_along_that_reaches_other_places(make_world, is_selective):
    world = make_world()
    if is_selective:
        allow(world, writeSpaces=world.space)
    world.do("list_create_from_template", spaceId=world.space, templateId="t-1", name="Films")
    options = world.fake.writes()[0].body["options"]
    reaching = {"automation", "external_dependencies", "relationships"}
    left_out = {name for name, value in options.items() if value is False} - {"return_immediately"}
    assert left_out == (reaching if is_selective else set())


def test_the_timer_that_is_stopped_is_the_one_that_was_asked_about(make_world):
    world = make_world(running="secret_task")
    allow(world, writeSpaces=world.space)
    arguments = {"taskId": "SEC-1", "confirm": "yes"}
    assert attempt(world, "task_timer_stop", arguments).startswith(f"{REFUSAL}task {world.secret_task}.")
    for task, custom_id in ((world.secret_task, None), (world.task, "SEC-1")):  # the custom id goes to another task
        world.fake.tasks[task]["custom_id"] = custom_id
    attempt(world, "task_timer_stop", arguments)
    assert world.fake.writes() == []


INSIDE = {  # what else a write may be told to name, and why it leads to no other place
    "pageId": "has to be in the doc that is named with it",
    "parentId": "the same",
    "fieldId": "a field of the task; the tasks that its value names are targets",
    "templateId": "is only read; nothing that reaches other places comes along",
    "assigneeIds": "people",
    "teamId": "where the ids are looked up, too",
    "workspaceId": "the same",
}


def names_in(schema: Any) -> set[str]:
    """The names of all members that a schema knows, however deep."""
    if isinstance(schema, list):
        return set().union(*map(names_in, schema))
    if not isinstance(schema, dict):
        return set()
    properties = schema.get("properties")
    return set(properties if isinstance(properties, dict) else ()) | set().union(*map(names_in, schema.values()))


def test_whatever_a_write_names_is_a_target_or_inside_of_one():
    """Whoever adds an argument that names something has to say what it changes."""
    writes = [tool for name, tool in TOOLS.items() if not tool.reads]
    named = {name for tool in writes for name in names_in(tool.input_schema) if name == "path" or re.search(r"Ids?$", name)}
    assert len(writes) > 35
    assert named == ID_NAMES | INSIDE.keys()

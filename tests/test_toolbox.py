"""toolbox.py and listings.py: a caller gets what its grant includes, and nothing else."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest
from conftest import NOW
from hypothesis import given
from hypothesis import strategies as st
from patience import wait_until
from pydantic import Field as Describe

import toolbox
from accounts import add_account
from crypto import Vault
from db import Database
from errors import FetchError, ProtocolError, ToolError
from fetch import Fetcher
from listings import NAME_MAX, exposed_name, exposed_uri, match_template
from store.clients import Client, put_client
from store.connections import Draft, insert_connection, update_connection
from store.grants import put_grant
from store.profiles import choose_prefix, insert_member, list_feature_sets, list_profiles
from store.tokens import Caller
from toolbox import Toolbox
from tools import Call, Connector, Context, Field, Prompt, Resource, ResourceTemplate, Result, text, tool


@tool(title="Look", reads=True)
def look(context: Context, where: Annotated[str, Describe(description="A place.", max_length=10)] = "here") -> dict:
    """Look somewhere."""
    return {"where": where, "as": context.settings["as"], "key": context.secrets.get("key", "")}


@tool(title="Break", destructive=True)
def break_it(context: Context, how: str) -> str:
    """Break something."""
    reasons = {"tool": ToolError("it is glued"), "fetch": FetchError("no way there"), "bug": ZeroDivisionError("secret 42")}
    raise reasons[how]


SHELF = Connector(
    name="shelf",
    title="Shelf",
    description="For tests.",
    fields=(Field("as", "As", default="guest"), Field("key", "Key", kind="secret")),
    tools=(look, break_it),
    resources=(
        Resource("shelf://top", "top", "Top", "The top.", "text/plain", lambda context, uri: [{"uri": uri, "text": "dust"}]),
    ),
    templates=(
        ResourceTemplate(
            "shelf://book/{title}", "book", "Book", "A book.", "text/plain",
            lambda context, uri, values: [{"uri": uri, "text": values["title"]}],
            complete=lambda context, name, typed: [f"{typed}{number}" for number in range(120)],
        ),
    ),
    prompts=(
        Prompt(
            "ask", "Ask", "Ask for a book.",
            lambda context, arguments: [{"role": "user", "content": text(arguments["title"])}],
            arguments=(("title", "Its title", True),),
        ),
    ),
)  # fmt: skip


class House:
    """One user with a profile `home`, two shelves in it, and a client."""

    def __init__(self, db: Database, vault: Vault):
        self.db, self.vault = db, vault
        self.toolbox = Toolbox(db, vault, Fetcher(), {"shelf": SHELF}, clock=lambda: NOW)
        self.user = add_account(db, vault, "alice", "a fine long password", now=NOW)
        self.profile = list_profiles(db, self.user.id)[0]
        with db.write() as run:
            run("DELETE FROM connections")
        self.first = self.add("First", {"as": "host"}, {"key": "s3cret"})
        self.second = self.add("Second shelf", {}, {})
        put_client(db, Client("client_a", "dcr", "A", "none", None, ("https://a.example/cb",), {}, NOW))

    def add(self, name: str, settings: dict, secrets: dict) -> str:
        with self.db.write() as run:
            connection_id = insert_connection(run, self.vault, self.user.id, Draft("shelf", name, settings, secrets), NOW)
            insert_member(run, self.profile.id, connection_id, name)
        return connection_id

    def caller(self, kind: str = "all") -> Caller:
        chosen = next(item for item in list_feature_sets(self.db, self.profile.id) if item.kind == kind)
        with self.db.write() as run:
            grant_id = put_grant(run, self.profile.id, "client_a", chosen.id, NOW)
        revision = self.db.query("SELECT number FROM revisions")[0]["number"]
        return Caller("session", grant_id, "client_a", self.user.id, self.profile.id, "http://x/mcp", NOW + 1, None, revision)


@pytest.fixture
def house(db: Database, vault: Vault) -> House:
    return House(db, vault)


def test_the_first_connection_has_no_prefix_and_later_ones_do(house: House):
    names = [item["name"] for item in house.toolbox.list_tools(house.caller())]
    assert names == ["look", "break_it", "second_shelf_look", "second_shelf_break_it"]


def test_a_tool_is_listed_with_its_schema_title_and_hints(house: House):
    listed = house.toolbox.list_tools(house.caller())[0]
    assert listed["annotations"] == {
        "title": "Look", "readOnlyHint": True, "destructiveHint": False, "idempotentHint": False, "openWorldHint": False,
    }  # fmt: skip
    assert listed["inputSchema"] == {
        "type": "object",
        "properties": {"where": {"type": "string", "maxLength": 10, "default": "here", "description": "A place."}},
        "additionalProperties": False,
    }


def test_a_call_gets_its_own_connections_settings_and_secrets(house: House):
    caller = house.caller()
    first = house.toolbox.call_tool(caller, "look", {"where": "there"}, Call())
    second = house.toolbox.call_tool(caller, "second_shelf_look", {}, Call())
    assert first["structuredContent"] == {"where": "there", "as": "host", "key": "s3cret"}
    assert second["structuredContent"] == {"where": "here", "as": "guest", "key": ""}


def test_read_only_neither_lists_nor_calls_a_tool_that_writes(house: House):
    caller = house.caller("read_only")
    assert [item["name"] for item in house.toolbox.list_tools(caller)] == ["look", "second_shelf_look"]
    with pytest.raises(ProtocolError) as refused:
        house.toolbox.call_tool(caller, "break_it", {"how": "tool"}, Call())
    with pytest.raises(ProtocolError) as unknown:
        house.toolbox.call_tool(caller, "nothing", {}, Call())
    assert (refused.value.code, refused.value.message) == (unknown.value.code, unknown.value.message) == (-32602, "Unknown tool")


def test_a_grant_without_feature_sets_sees_nothing(house: House):
    caller = house.caller()
    with house.db.write() as run:
        run("DELETE FROM grant_feature_sets")
    fresh = dataclasses.replace(caller, revision=caller.revision + 1)
    assert house.toolbox.list_tools(fresh) == house.toolbox.list_resources(fresh) == house.toolbox.list_prompts(fresh) == []


def test_a_changed_connection_shows_on_the_next_call(house: House):
    before = house.caller()
    house.toolbox.call_tool(before, "look", {}, Call())
    changed = Draft("shelf", "First", {"as": "ghost"}, {"key": "n3w"})
    with house.db.write() as run:
        update_connection(run, house.vault, house.user.id, house.first, changed, NOW)
    after = dataclasses.replace(before, revision=house.db.query("SELECT number FROM revisions")[0]["number"])
    assert after.revision > before.revision
    result = house.toolbox.call_tool(after, "look", {}, Call())
    assert result["structuredContent"] == {"where": "here", "as": "ghost", "key": "n3w"}


def test_what_grants_see_is_prepared_once_for_all_that_hold_the_same(house: House, monkeypatch: pytest.MonkeyPatch):
    put_client(house.db, Client("client_b", "dcr", "B", "none", None, ("https://b.example/cb",), {}, NOW))
    caller = house.caller()
    (chosen,) = [item for item in list_feature_sets(house.db, house.profile.id) if item.kind == "all"]
    with house.db.write() as run:
        grant_id = put_grant(run, house.profile.id, "client_b", chosen.id, NOW)
    revision = house.db.query("SELECT number FROM revisions")[0]["number"]
    first = dataclasses.replace(caller, revision=revision)
    callers = [first, dataclasses.replace(first, grant_id=grant_id)] * 2
    asked, built, gate = [], [], threading.Event()
    kinds_of, build = toolbox.list_granted_kinds, toolbox.build_view

    def list_kinds(*of: Any) -> Any:
        asked.append(of)
        return kinds_of(*of)

    def build_slowly(*of: Any) -> Any:
        built.append(of)
        gate.wait(10)
        return build(*of)

    monkeypatch.setattr(toolbox, "list_granted_kinds", list_kinds)
    monkeypatch.setattr(toolbox, "build_view", build_slowly)
    with ThreadPoolExecutor(len(callers)) as pool:
        views = [pool.submit(house.toolbox.view, caller) for caller in callers]
        wait_until(lambda: len(asked) == len(callers))  # as after a change that all of them notice
        gate.set()
        assert len({id(view.result()) for view in views}) == len(built) == 1
    assert [len(house.toolbox.list_tools(one)) for one in (house.caller("read_only"), callers[1])] == [2, 4]


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"where": 5}, "where: 5 is not of type 'string'"),
        ({"where": "x" * 11}, "where: "),
        ({"wher": "x"}, "'wher' was unexpected"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(house: House, arguments: dict, mistake: str):
    result = house.toolbox.call_tool(house.caller(), "look", arguments, Call())
    assert result["isError"] is True
    assert mistake in result["content"][0]["text"]


@pytest.mark.parametrize(("how", "said"), [("tool", "it is glued"), ("fetch", "no way there")])
def test_what_went_wrong_in_a_tool_is_a_result(house: House, how: str, said: str):
    result = house.toolbox.call_tool(house.caller(), "break_it", {"how": how}, Call())
    assert result == {"content": [text(said)], "isError": True}


def test_a_bug_in_a_tool_is_told_by_an_id_that_the_log_explains(house: House, caplog: pytest.LogCaptureFixture):
    result = house.toolbox.call_tool(house.caller(), "break_it", {"how": "bug"}, Call())
    said = result["content"][0]["text"]
    assert result["isError"] is True
    assert "secret 42" not in said
    assert said.split()[-1].rstrip(".") in caplog.text


def test_a_damaged_secret_spoils_its_own_connection_only(house: House):
    with house.db.write() as run:
        run("UPDATE credentials SET value_sealed = 'AAAA'")
    caller = house.caller()
    broken = house.toolbox.call_tool(caller, "look", {}, Call())
    assert broken["isError"] is True
    assert "damaged" in broken["content"][0]["text"]
    assert house.toolbox.call_tool(caller, "second_shelf_look", {}, Call())["isError"] is False


def test_resources_of_two_connections_have_addresses_of_their_own(house: House):
    caller = house.caller("read_only")
    assert [item["uri"] for item in house.toolbox.list_resources(caller)] == ["shelf://top", "second-shelf+shelf://top"]
    result = house.toolbox.read_resource(caller, "second-shelf+shelf://top", Call())
    assert result == {"contents": [{"uri": "second-shelf+shelf://top", "text": "dust"}]}
    assert house.toolbox.read_resource(caller, "shelf://book/Dune%20II", Call())["contents"][0]["text"] == "Dune II"
    assert house.toolbox.read_resource(caller, "shelf://book/a/b", Call()) is None
    assert house.toolbox.read_resource(caller, "third+shelf://top", Call()) is None


def test_a_prompt_gets_its_arguments_and_misses_none(house: House):
    caller = house.caller()
    got = house.toolbox.get_prompt(caller, "ask", {"title": "Dune", "more": "x"}, Call())
    assert got["messages"][0]["content"]["text"] == "Dune"
    for name, arguments, message in (("ask", {}, "Missing argument: title"), ("who", {}, "Unknown prompt")):
        with pytest.raises(ProtocolError, match=message) as refusal:
            house.toolbox.get_prompt(caller, name, arguments, Call())
        assert refusal.value.code == -32602


def test_completion_answers_a_hundred_values_at_the_most(house: House):
    caller = house.caller()
    template = {"type": "ref/resource", "uri": "shelf://book/{title}"}
    found = house.toolbox.complete(caller, template, {"name": "title", "value": "x"}, Call())["completion"]
    assert (len(found["values"]), found["total"], found["hasMore"]) == (100, 120, True)
    prompt = {"type": "ref/prompt", "name": "ask"}
    assert house.toolbox.complete(caller, prompt, {"name": "title", "value": ""}, Call())["completion"]["values"] == []
    with pytest.raises(ProtocolError, match="Unknown reference"):
        house.toolbox.complete(caller, {"type": "ref/prompt", "name": "who"}, {"name": "title", "value": ""}, Call())


def test_a_draft_is_tried_with_what_is_kept_and_keeps_nothing(db: Database, vault: Vault):
    def check(context: Context) -> str:
        if context.secrets.get("key") != "right":
            raise ToolError("The key is wrong.")
        return f"Hello, {context.settings['as']}."

    tested = dataclasses.replace(SHELF, test=check)
    toolbox = Toolbox(db, vault, Fetcher(), {"shelf": tested}, clock=lambda: NOW)
    assert toolbox.try_draft(Draft("shelf", "x", {"as": ""}, {"key": "right"}), None) == "Hello, guest."
    with pytest.raises(ToolError, match="The key is wrong"):
        toolbox.try_draft(Draft("shelf", "x", {}, {}), None)
    assert not db.query("SELECT id FROM connections")


# --- names ---


@given(st.text(alphabet="abc_-9", max_size=30), st.text(alphabet="abcdefgh_-", min_size=1, max_size=90))
def test_exposed_names_fit_every_assistant(prefix: str, name: str):
    exposed = exposed_name(prefix, name)
    assert len(exposed) <= NAME_MAX
    assert set(exposed) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_two_long_names_stay_apart():
    assert exposed_name("work", "x" * 80 + "1") != exposed_name("work", "x" * 80 + "2")


def test_uris_keep_a_valid_scheme():
    assert exposed_uri("", "shelf://top") == "shelf://top"
    assert exposed_uri("my_work", "shelf://top") == "my-work+shelf://top"


@pytest.mark.parametrize(
    ("wanted", "taken", "prefix"),
    [
        ("Work", set(), ""),
        ("Work", {""}, "work"),
        ("Work!", {"", "work"}, "work2"),
        ("日本", {""}, "more"),
        ("a" * 50, {""}, "a" * 20),
    ],
)
def test_prefixes_are_free_and_plain(wanted: str, taken: set[str], prefix: str):
    assert choose_prefix(wanted, taken) == prefix


@pytest.mark.parametrize(
    ("uri", "values"),
    [("a://x/1/y", {"n": "1"}), ("a://x/a%2Fb/y", {"n": "a/b"}), ("a://x//y", None), ("a://x/1/y/z", None), ("b://x/1/y", None)],
)
def test_templates_match_whole_uris(uri: str, values: dict | None):
    assert match_template("a://x/{n}/y", uri) == values


def test_a_result_without_text_carries_its_structure_as_text():
    assert Result(structured={"a": "é"}).to_json() == {
        "content": [{"type": "text", "text": '{"a": "é"}'}], "isError": False, "structuredContent": {"a": "é"},
    }  # fmt: skip

"""ClickUp through a whole Postern: a person fills in the form, an assistant works at /mcp."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from house import Clock, House
from household import send
from werkzeug.test import Client

from accounts import add_account
from clickup.fake import BASE, DAY, NOW_MS, TOKEN, FakeClickUp
from clickup.world import TOOLS, World
from config import Settings
from errors import FetchError
from store.api_keys import insert_key
from store.connections import Connection, list_connections
from store.grants import insert_key_grant
from store.profiles import list_feature_sets, list_profiles
from store.users import create_login

NOW = NOW_MS // 1000


class Office:
    """A Postern with Alice in it, whose outgoing requests all end in a fake ClickUp."""

    def __init__(self, settings: Settings):
        self.world = World()
        self.fake: FakeClickUp = self.world.fake
        self.house = House(settings, Clock(NOW), fetch=self.fake)
        state = self.house.gate.pages.extensions["postern"]
        self.db, self.vault = state.db, state.vault
        self.alice = add_account(self.db, self.vault, "alice", "a fine long password", now=NOW)
        self.profile = list_profiles(self.db, self.alice.id)[0]
        self.browser = Client(self.house.gate)
        self.browser.set_cookie("postern", create_login(self.db, self.alice.id, now=NOW))

    @property
    def connection(self) -> Connection:
        """Her connection to ClickUp."""
        return next(item for item in list_connections(self.db, self.alice.id) if item.connector == "clickup")

    def connect(self, action: str = "save", path: str = "/connections/new", **typed: str) -> Any:
        """Fill in the connection's form."""
        numbers = {"charLimit": "16000", "maxAttachmentMb": "8"}
        values = {"connector": "clickup", "connection_name": "Work", "apiKey": TOKEN, **numbers}
        return send(self.browser, path, action=action, **(values | typed))

    def key(self, kind: str) -> str:
        """A key with one of the profile's feature sets."""
        (chosen,) = [item for item in list_feature_sets(self.db, self.profile.id) if item.kind == kind]
        with self.db.write() as run:
            key_id, key = insert_key(run, self.alice.id, kind, lifetime=None, now=NOW)
            insert_key_grant(run, self.profile.id, key_id, chosen.id, NOW)
        return key

    def ask(self, key: str, method: str, **params: Any) -> dict[str, Any]:
        """The result of one request at /mcp."""
        return self.post(key, method, **params)["result"]

    def post(self, key: str, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one request at /mcp."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        usual = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        answer = Client(self.house.gate).post("/mcp", json=body, headers=usual | {"Authorization": f"Bearer {key}"})
        return json.loads(answer.text.partition("data: ")[2] or answer.text)

    def call(self, key: str, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool answers."""
        result = self.ask(key, "tools/call", name=f"work_{name}", arguments=arguments)
        assert result.get("isError") is not True, result
        assert self.fake.problems == []
        return result["structuredContent"]


@pytest.fixture
def office(settings: Settings):
    made = Office(settings)
    yield made
    made.house.close()


def test_the_form_tries_the_token_and_shows_it_to_nobody(office, monkeypatch):
    monkeypatch.setattr("service_calls.FIRST_PAUSE", 0.001)
    page = office.connect("test")
    assert "ClickUp accepts the token. Workspace: “Acme” (1)." in page.text
    assert TOKEN not in page.text
    wrong = office.connect("test", apiKey="pk_wrong_token")
    assert "does not accept this connection&#39;s API token" in wrong.text
    office.fake.fail(FetchError("api.clickup.com could not be reached."), times=9)
    assert "api.clickup.com could not be reached." in office.connect("test").text


def test_an_assistant_works_from_creation_to_report(office):
    office.connect()
    key = office.key("all")
    listed = {item["name"] for item in office.ask(key, "tools/list")["tools"]}
    assert {f"work_{name}" for name in TOOLS} <= listed
    found = office.call(key, "hierarchy_resolve_path", path=["Marketing", "Launch", "Ads"])
    asked = office.call(key, "task_create", listId=found["id"], name="Record a jingle")
    assert asked["requiresConfirmation"] is True
    assert office.fake.writes() == []
    task = office.call(key, "task_create", listId=found["id"], name="Record a jingle", confirm="yes")["task"]["id"]
    office.call(key, "task_comment_add", taskId=task, comment="Short", confirm="yes")
    office.call(key, "task_tag_add", taskId=task, tags=["music"], confirm="yes")
    office.call(key, "time_entry_create_for_task", taskId=task, start=NOW_MS - DAY, durationMs=3_600_000, confirm="yes")
    report = office.call(key, "time_report_for_tag", tag="music")
    assert (report["totalMs"], report["perTask"][0]["name"]) == (3_600_000, "Record a jingle")
    assert office.call(key, "task_status_report", listId=found["id"])["total"] == 3


def test_what_clickup_refuses_is_an_error_result_and_not_a_failure_of_ours(office):
    office.connect()
    result = office.ask(office.key("all"), "tools/call", name="work_task_read", arguments={"taskId": "gone"})
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith("ClickUp finds nothing there")


def test_resources_are_read_at_mcp(office):
    office.connect()
    key = office.key("all")
    listed = office.ask(key, "resources/templates/list")["resourceTemplates"]
    assert "work+clickup://workspace/{workspaceId}/hierarchy" in [item["uriTemplate"] for item in listed]
    contents = office.ask(key, "resources/read", uri="work+clickup://workspace/1/hierarchy")["contents"]
    assert json.loads(contents[0]["text"])["name"] == "Acme"


def test_core_lets_through_what_is_marked_and_nothing_else(office):
    office.connect()
    key = office.key("core")
    listed = {item["name"] for item in office.ask(key, "tools/list")["tools"]}
    core = {f"work_{tool.name}" for tool in TOOLS.values() if tool.core}
    assert {name for name in listed if name.startswith("work_")} == core
    assert len(core) == 33
    assert "status_get" in listed  # all of Personal Context
    refused = office.post(key, "tools/call", name="work_ping", arguments={})
    assert (refused["error"]["code"], refused["error"]["message"]) == (-32602, "Unknown tool")


def test_a_connection_that_only_reads_offers_no_tool_that_writes_and_says_how_to_get_them(office):
    office.connect()
    key, path = office.key("all"), f"/connections/{office.connection.id}"
    assert names_of(office, key) == set(TOOLS)
    assert "leaves out" not in office.browser.get(path).text

    office.connect(path=path, readOnly="on", apiKey="")
    assert names_of(office, key) == {name for name, tool in TOOLS.items() if tool.reads}
    page = re.sub(r"\s+", " ", office.browser.get(path).text)
    assert "Tools that this connection leaves out: 38" in page
    assert "<dt>Only read: off</dt><dd>Create task" in page
    assert "takes Only read: off" in office.browser.get(f"/profiles/home/{office.connection.id}").text
    called = {"name": "work_task_create", "arguments": {"listId": office.world.list, "name": "x", "confirm": "yes"}}
    refused = office.ask(key, "tools/call", **called)
    assert refused["isError"] is True
    assert refused["content"][0]["text"] == (
        "The connection “Work” does not offer this tool. It takes “Only read: off”: its person can choose that in the "
        "connection's form."
    )
    assert office.fake.sent == []

    office.connect(path=path, apiKey="")
    assert names_of(office, key) == set(TOOLS)
    assert office.ask(key, "tools/call", **called)["structuredContent"]["done"] is True


def test_who_may_only_read_is_not_told_what_the_connection_does_not_offer(office):
    office.connect(readOnly="on")
    answer = office.post(office.key("read_only"), "tools/call", name="work_task_create", arguments={"listId": "1", "name": "x"})
    assert (answer["error"]["code"], answer["error"]["message"]) == (-32602, "Unknown tool")


def names_of(office: Office, key: str) -> set[str]:
    """The ClickUp tools that an assistant sees."""
    listed = {item["name"] for item in office.ask(key, "tools/list")["tools"]}
    return {name.removeprefix("work_") for name in listed if name.startswith("work_")}


def test_consent_warns_where_there_are_more_than_forty_tools(office):
    warning = "Many assistants choose badly among more than 40 tools"
    page = office.browser.get("/keys/new").text
    assert warning not in page
    office.connect()
    page = re.sub(r"\s+", " ", office.browser.get("/keys/new").text)
    everything = page.partition("<strong>Everything</strong>")[2].partition("<strong>")[0]
    assert warning in everything
    assert "Core has the most useful ones." in everything
    assert page.count(warning) == 3  # of 92, 51 read and 46 are core: all more than 40


def test_no_request_leaves_but_to_clickup(office):
    office.connect()
    office.call(office.key("all"), "workspace_hierarchy")
    assert office.fake.sent
    assert BASE == "https://api.clickup.com/api"

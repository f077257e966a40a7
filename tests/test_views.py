"""views.py, shelf.py, forwarded.py and listings.py: other servers' features, listed and reached under a profile's names."""

from __future__ import annotations

from typing import Any

import pytest
from fake_upstreams import FakeServer, a_tool
from gateway_house import GatewayHouse

from crypto import Vault
from db import Database
from errors import ProtocolError, ToolError, UpstreamRefused
from listings import may_match
from store.features import list_features
from store.profile_features import Change, put_change
from store.upstreams import set_enabled
from tools import Call, text

LINK = {"type": "resource_link", "uri": "note:1", "name": "one", "_meta": {"a": None}}
EMBEDDED = {"type": "resource", "resource": {"uri": "note:2", "text": "two"}}
RICH = a_tool(
    "rich",
    title="Rich",
    icons=[{"src": "https://icons.example/a.png"}],
    annotations={"readOnlyHint": True, "title": "R", "ours": 1, "destructiveHint": None},
    outputSchema={"type": "object"},
    _meta={"com.example/x": [1, None]},
    unknown={"nested": None},
    description=None,
)


@pytest.fixture
def house(db: Database, vault: Vault) -> GatewayHouse:
    return GatewayHouse(db, vault)


def listed(house: GatewayHouse, name: str, *, modern: bool = True) -> dict[str, Any]:
    (found,) = [item for item in house.toolbox.list_tools(house.caller(), modern=modern) if item["name"] == name]
    return found


# --- lists ---


def test_a_tool_is_listed_with_everything_that_its_server_said(house: GatewayHouse):
    house.add("One", FakeServer(tools=[RICH]))
    without_nulls = {name: value for name, value in RICH.items() if value is not None}
    assert listed(house, "rich") == without_nulls | {"annotations": {"readOnlyHint": True, "title": "R", "ours": 1}}


def test_a_second_connections_tools_have_its_prefix_and_its_name_in_their_titles(house: GatewayHouse):
    house.add("One", FakeServer(tools=[a_tool("look")]))
    hear = a_tool("hear", annotations={"title": "Hear"})
    house.add("Two", FakeServer(tools=[a_tool("look", title="Look"), a_tool("see"), hear]))
    assert house.names() == ["look", "two_look", "two_see", "two_hear"]
    assert listed(house, "two_look")["title"] == "Look (Two)"
    assert "title" not in listed(house, "two_see")
    assert listed(house, "two_hear")["title"] == "Hear (Two)"


def test_old_clients_are_shown_no_output_schema_that_they_cannot_read(house: GatewayHouse):
    house.add("One", FakeServer(tools=[a_tool("list", outputSchema={"type": "array"}), RICH]))
    assert listed(house, "list")["outputSchema"] == {"type": "array"}
    assert "outputSchema" not in listed(house, "list", modern=False)
    assert listed(house, "rich", modern=False) == listed(house, "rich")


def test_headers_that_could_not_reach_us_are_not_asked_for(house: GatewayHouse):
    inner = {"type": "object", "properties": {"b": {"type": "string", "x-mcp-header": "in_side"}}}
    properties = {
        "a": {"type": "string", "x-mcp-header": "Region"},
        "c": {"type": "string", "x-mcp-header": "my_region"},
        "d": inner,
    }
    connection = house.add("One", FakeServer(tools=[a_tool("t", inputSchema={"type": "object", "properties": properties})]))
    shown = listed(house, "t")["inputSchema"]["properties"]
    assert (shown["a"], shown["c"]) == ({"type": "string", "x-mcp-header": "Region"}, {"type": "string"})
    assert shown["d"]["properties"]["b"] == {"type": "string"}
    assert house.toolbox.find_tool(house.caller(), "t").has_headers
    assert list_features(house.db, connection.id)[0].raw["inputSchema"]["properties"] == properties  # as the server has it


def test_a_profile_says_what_a_tool_is_called_and_whether_it_is_there(house: GatewayHouse):
    connection = house.add("One", FakeServer(tools=[RICH, a_tool("other")]))

    def change(name: str, change: Change) -> None:
        put_change(house.db, house.alice.id, house.home.id, (connection.id, "tool", name), change)

    change("rich", Change(name="treasure", title="Treasure", description="Mine."))
    change("other", Change(is_enabled=False))
    assert house.names() == ["treasure"]
    shown = listed(house, "treasure")
    assert (shown["title"], shown["description"], shown["icons"]) == ("Treasure", "Mine.", RICH["icons"])
    house.toolbox.call_tool(house.caller(), "treasure", {}, Call())
    assert house.forward.sent == [(connection.id, "rich", {})]
    for name in ("rich", "other"):
        with pytest.raises(ProtocolError, match="Unknown tool"):
            house.toolbox.call_tool(house.caller(), name, {}, Call())
    change("rich", Change())
    change("other", Change())
    assert house.names() == ["rich", "other"]
    assert house.db.query("SELECT name FROM profile_features") == []


def test_what_is_switched_off_is_away_and_keeps_its_names(house: GatewayHouse):
    first = house.add("One", FakeServer(tools=[a_tool("two_look")]))
    house.now += 1
    house.add("Two", FakeServer(tools=[a_tool("look")]))
    before = house.names()
    set_enabled(house.db, house.alice.id, first.id, False)
    assert house.names() == before[1:]
    assert before[1] != "two_look"


# --- calls ---


def test_a_result_passes_unaltered(house: GatewayHouse):
    connection = house.add("One", FakeServer(tools=[a_tool("t")]))
    result = {"content": [LINK, EMBEDDED], "structuredContent": {"a": None}, "isError": False, "_meta": {"x": 1}, "new": [None]}
    house.forward.results["t"] = result
    assert house.toolbox.call_tool(house.caller(), "t", {"a": 1}, Call()) is result
    assert house.forward.sent == [(connection.id, "t", {"a": 1})]


def test_links_of_a_connection_with_a_prefix_can_be_read_back(house: GatewayHouse):
    house.add("One", FakeServer(tools=[a_tool("t")]))
    second = house.add("Two", FakeServer(tools=[a_tool("t")], resources=[{"uri": "https://two.example/x", "name": "x"}]))
    direct = {"type": "resource_link", "uri": "https://pictures.example/a.png", "name": "a"}
    known = {"type": "resource_link", "uri": "https://two.example/x", "name": "x"}
    result = {"content": [text("hello"), LINK, EMBEDDED, direct, known, 5], "structuredContent": {"uri": "note:1"}}
    house.forward.results["t"] = result
    got = house.toolbox.call_tool(house.caller(), "two_t", {}, Call())
    assert got["content"] == [
        text("hello"),
        LINK | {"uri": "two+note:1"},
        {"type": "resource", "resource": {"uri": "two+note:2", "text": "two"}},
        direct,  # the client reads it by itself
        known | {"uri": "two+https://two.example/x"},
        5,
    ]
    assert got["structuredContent"] == {"uri": "note:1"}
    result = house.toolbox.read_resource(house.caller(), got["content"][1]["uri"], Call())  # though nobody lists it
    assert result == {"contents": [{"uri": "two+note:1", "text": "from Two"}]}
    assert house.forward.sent[-1] == (second.id, "note:1")


def test_wrong_arguments_are_told_to_the_model_and_not_sent(house: GatewayHouse):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    house.add("One", FakeServer(tools=[a_tool("t", inputSchema=schema)]))
    result = house.toolbox.call_tool(house.caller(), "t", {"n": "x"}, Call())
    assert result == {"content": [text("Invalid arguments: n: 'x' is not of type 'integer'")], "isError": True}
    assert house.forward.sent == []


def test_a_server_that_is_away_gives_a_clear_error_on_call(house: GatewayHouse):
    house.add("One", FakeServer(tools=[a_tool("t")]))
    house.forward.results["t"] = ToolError("“One” cannot be reached just now.")
    result = house.toolbox.call_tool(house.caller(), "t", {}, Call())
    assert result == {"content": [text("“One” cannot be reached just now.")], "isError": True}


# --- resources ---


def test_reading_keeps_what_a_server_answers_and_prefixes_only_where_it_must(house: GatewayHouse):
    folder = [{"uri": "dir:a", "text": "", "_meta": {"x": None}}, {"uri": "dir:a/b", "text": "b"}]
    house.add("One", FakeServer(resources=[{"uri": "dir:a", "name": "a"}]))
    house.add("Two", FakeServer(resources=[{"uri": "dir:a", "name": "a"}]))
    answered = {"contents": folder, "_meta": {"x": 1}, "odd": [None]}
    house.forward.results["dir:a"] = answered
    assert house.toolbox.read_resource(house.caller(), "dir:a", Call()) is answered
    assert house.toolbox.read_resource(house.caller(), "two+dir:a", Call()) == answered | {
        "contents": [folder[0] | {"uri": "two+dir:a"}, folder[1] | {"uri": "two+dir:a/b"}]
    }


@pytest.mark.parametrize("code", [-32002, -32602])
def test_what_a_server_does_not_have_is_not_found(house: GatewayHouse, code: int):
    house.add("One", FakeServer(resources=[{"uri": "dir:a", "name": "a"}]))
    house.forward.results["dir:z"] = UpstreamRefused(code, "no")
    assert house.toolbox.read_resource(house.caller(), "dir:z", Call()) is None
    house.forward.results["dir:z"] = UpstreamRefused(-32603, "no")
    with pytest.raises(UpstreamRefused):
        house.toolbox.read_resource(house.caller(), "dir:z", Call())


def test_a_resource_that_is_switched_off_cannot_be_read_by_guessing(house: GatewayHouse):
    server = FakeServer(
        resources=[{"uri": "dir:a", "name": "a"}, {"uri": "dir:b", "name": "b"}],
        resourceTemplates=[{"uriTemplate": "log:{+x}", "name": "logs"}],
    )
    connection = house.add("One", server)
    for kind, name in (("resource", "dir:a"), ("template", "log:{+x}")):
        put_change(house.db, house.alice.id, house.home.id, (connection.id, kind, name), Change(is_enabled=False))
    caller = house.caller()
    assert [house.toolbox.read_resource(caller, uri, Call()) for uri in ("dir:a", "log:a/b")] == [None, None]
    assert house.toolbox.read_resource(caller, "dir:b", Call()) is not None
    assert house.forward.sent == [(connection.id, "dir:b")]


def test_an_address_that_looks_like_another_connections_is_not_listed_or_read(house: GatewayHouse):
    first = house.add("One", FakeServer(resources=[{"uri": "two+dir:a", "name": "false"}, {"uri": "dir:a", "name": "a"}]))
    second = house.add("Two", FakeServer(resources=[{"uri": "dir:a", "name": "true"}]))
    caller = house.caller()
    assert [(item["uri"], item["name"]) for item in house.toolbox.list_resources(caller)] == [
        ("dir:a", "a"),
        ("two+dir:a", "true"),
    ]
    house.toolbox.read_resource(caller, "two+dir:a", Call())
    assert house.forward.sent == [(second.id, "dir:a")]
    set_enabled(house.db, house.alice.id, second.id, False)
    assert house.toolbox.read_resource(house.caller(), "two+dir:a", Call()) is None
    assert first.id not in {sent[0] for sent in house.forward.sent}


@pytest.mark.parametrize(
    ("template", "uri", "may"),
    [
        ("a:{x}", "a:1", True),
        ("a:{x}/z", "a:1/y", False),
        ("a:{+x}{?q}", "a:1/2?q=3", True),
        ("a:{x}-{y}.txt", "a:1-2.txt", True),
        ("a:{x}-{y}.txt", "a:12.txt", False),
        ("a:b", "a:b", True),
        ("a:b", "a:bc", False),
    ],
)
def test_a_template_may_have_made_a_uri_or_not(template: str, uri: str, may: bool):
    assert may_match(template, uri) is may


# --- prompts and completion ---


def test_prompts_and_completions_pass_under_the_servers_own_names(house: GatewayHouse):
    house.add("One", FakeServer())
    server = FakeServer(
        prompts=[{"name": "my ask", "arguments": [{"name": "who", "required": True}]}],
        resourceTemplates=[{"uriTemplate": "dir:{x}", "name": "d"}],
    )
    second = house.add("Two", server)
    answer = {"messages": [{"role": "user", "content": EMBEDDED}], "description": "d", "_meta": {"x": 1}}
    house.forward.results["my ask"] = answer
    caller = house.caller()
    assert [item["name"] for item in house.toolbox.list_prompts(caller)] == ["two_my_ask"]
    got = house.toolbox.get_prompt(caller, "two_my_ask", {"who": "me", "other": "x"}, Call())
    assert got["messages"][0]["content"]["resource"]["uri"] == "two+note:2"
    assert (got["description"], got["_meta"]) == ("d", {"x": 1})
    with pytest.raises(ProtocolError, match="Missing argument: who"):
        house.toolbox.get_prompt(caller, "two_my_ask", {}, Call())
    typed = {"name": "who", "value": "o"}
    ref = {"type": "ref/prompt", "name": "two_my_ask"}
    assert house.toolbox.complete(caller, ref, typed, Call(), filled_in={"a": "b"})["completion"]["values"] == ["one"]
    house.toolbox.complete(caller, {"type": "ref/resource", "uri": "two+dir:{x}"}, {"name": "x", "value": ""}, Call())
    assert house.forward.sent == [
        (second.id, "my ask", {"who": "me", "other": "x"}),  # its server knows what it takes
        (second.id, {"type": "ref/prompt", "name": "my ask"}, typed, {"a": "b"}),
        (second.id, {"type": "ref/resource", "uri": "dir:{x}"}, {"name": "x", "value": ""}, {}),
    ]


# --- how much work it is ---


def test_a_view_takes_as_many_queries_for_ten_connections_as_for_two(house: GatewayHouse, monkeypatch: pytest.MonkeyPatch):
    counted: list[str] = []
    query = house.db.query
    monkeypatch.setattr(house.db, "query", lambda sql, **values: counted.append(sql) or query(sql, **values))

    def count() -> int:
        caller = house.caller()
        counted.clear()
        house.toolbox.list_tools(caller)
        house.toolbox.list_tools(caller)
        return len(counted)

    for number in range(2):
        house.add(f"Server {number}", FakeServer(tools=[a_tool("t")]))
    two = count()
    for number in range(2, 10):
        house.add(f"Server {number}", FakeServer(tools=[a_tool("t")]))
    assert len(house.names()) == 10
    assert count() == two

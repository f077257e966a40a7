"""their_search.py: a tool of another server that a person lets `search` use, and what its results stand for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from fake_upstreams import FakeServer, a_tool
from gateway_house import GatewayHouse

from errors import NotFound, ProtocolError, UpstreamError
from naming import short_key
from searching import UNKNOWN
from store.connections import Connection
from store.features import confirm_reads, list_features, mark_searchable
from store.looks import set_changes
from store.profile_features import Change, put_change
from their_search import find_query_argument, find_role
from tools import Call, text

HINT = {"readOnlyHint": True}
TEXT = {"type": "string"}
ENTRIES = {"results": [{"id": "a/1", "title": "First", "url": "https://w.example/1"}, {"id": 2, "title": "Second"}]}


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


SEARCHES = a_tool("find", title="Find pages", inputSchema=schema("query", query=TEXT, size={"type": "integer"}), annotations=HINT)
FETCHES = a_tool("fetch", inputSchema=schema("id", id=TEXT))


@pytest.mark.parametrize(
    ("found", "argument", "role"),
    [
        (schema("query", query=TEXT), "query", "search"),
        (schema(query=TEXT, limit={"type": "integer"}), "query", "search"),
        (schema("q", q={"type": ["string", "null"]}), "q", "search"),
        (schema("words", words=TEXT, q={"type": "integer"}), "words", "search"),
        (schema("words", words=TEXT, query=TEXT), "words", "search"),
        (schema("id", id=TEXT), "id", "fetch"),
        (schema("id", "query", id=TEXT, query=TEXT), None, ""),
        (schema(words=TEXT), None, ""),
        (schema("query", query={"type": "integer"}), None, ""),
        (schema("query", query={"type": "string", "enum": ["a"]}), None, ""),
        (schema("query"), None, ""),
        ({"type": "object"}, None, ""),
        (None, None, ""),
    ],
)
def test_the_schema_says_what_a_tool_can_be_used_for(found, argument, role):
    assert find_query_argument(found) == argument
    assert find_role({"inputSchema": found}) == role


class Searching:
    """A gateway house with one server in it, and what Alice does there."""

    def __init__(self, house: GatewayHouse, *tools: dict[str, Any], **lists: list[Any]):
        self.house = house
        self.server = FakeServer(page_size=9, tools=list(tools), **lists)
        self.connection = house.add("Wiki", self.server)
        self.kind = short_key("tool", "find")

    def mark(self, *names: str, marked: bool = True, connection: Connection | None = None) -> None:
        """Let search use some tools as they are."""
        connection = connection or self.connection
        keys = [(item.name, item.hash) for item in list_features(self.house.db, connection.id) if item.name in names]
        mark_searchable(self.house.db, self.house.alice.id, connection.id, keys, marked=marked)

    def call(self, name: str, argument: str, kind: str = "all") -> dict[str, Any]:
        arguments = {"query" if name == "search" else "id": argument}
        return self.house.toolbox.call_tool(self.house.caller(kind), name, arguments, Call())

    def found(self, query: str, kind: str = "all") -> list[tuple[str, str, str]]:
        """(the source's own id, title, address)."""
        result = self.call("search", query, kind)
        assert (result["isError"], "_meta" in result) == (False, False), result
        start = f"{self.connection.id}:{self.kind}:"
        return [(item["id"].removeprefix(start), item["title"], item["url"]) for item in result["structuredContent"]["results"]]

    def document(self, own_id: str) -> dict[str, Any]:
        result = self.call("fetch", f"{self.connection.id}:{self.kind}:{own_id}")
        assert result["isError"] is False, result
        return result["structuredContent"]

    def refusal(self, own_id: str) -> str:
        result = self.call("fetch", f"{self.connection.id}:{self.kind}:{own_id}")
        assert result["isError"] is True
        return result["content"][0]["text"]

    def page_of(self, own_id: str) -> str:
        return f"http://x/found/home?id={quote(f'{self.connection.id}:{self.kind}:{own_id}', safe='')}"

    def answers(self, name: str, **result: Any) -> None:
        self.house.forward.results[name] = {"content": []} | result

    @property
    def sent(self) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.house.forward.sent]


@pytest.fixture
def house(db, vault) -> GatewayHouse:
    return GatewayHouse(db, vault)


@pytest.fixture
def wiki(house) -> Searching:
    made = Searching(house, SEARCHES, FETCHES, a_tool("write"))
    made.mark("find", "fetch")
    return made


def test_only_what_a_person_marked_is_searched(house):
    wiki = Searching(house, SEARCHES, FETCHES)
    assert house.names() == ["find", "fetch_tool"]
    wiki.mark("find")
    assert house.names() == ["search", "fetch", "find", "fetch_tool"]
    wiki.answers("find", structuredContent=ENTRIES)
    assert len(wiki.found("pages")) == 2
    assert wiki.sent == [("find", {"query": "pages"})]
    wiki.mark("find", marked=False)
    assert house.names() == ["find", "fetch_tool"]


def test_a_server_in_the_usual_shape_is_searched_and_read_by_its_own_two(wiki):
    for result in ({"structuredContent": ENTRIES}, {"content": [text(json.dumps(ENTRIES))]}):
        wiki.answers("find", **result)
        assert wiki.found("pages") == [
            ("f:a/1", "First", "https://w.example/1"),
            ("f:2", "Second", wiki.page_of("f:2")),
        ]
    whole = {"id": "a/1", "title": "First", "text": "All", "url": "https://w.example/1", "metadata": {"n": 1}}
    wiki.answers("fetch", structuredContent=whole)
    document = wiki.document("f:a/1")
    assert wiki.sent[-1] == ("fetch", {"id": "a/1"})
    assert {name: document[name] for name in ("title", "text", "url")} == {
        "title": "First", "text": "All", "url": "https://w.example/1",
    }  # fmt: skip
    assert document["metadata"] == {"source": "Wiki, Find pages", "n": "1"}
    wiki.answers("fetch", content=[text("Just words")])
    assert (wiki.document("f:2")["text"], wiki.document("f:2")["url"]) == ("Just words", wiki.page_of("f:2"))


def test_without_a_tool_that_fetches_the_search_is_done_again(house):
    wiki = Searching(house, SEARCHES, FETCHES)
    wiki.mark("find")  # and not fetch
    wiki.answers("find", structuredContent=ENTRIES)
    (first, *_), (second, *_) = wiki.found("my pages: 1")
    assert first == "i:a%2F1:my%20pages%3A%201"
    document = wiki.document(first)
    assert wiki.sent[-1] == ("find", {"query": "my pages: 1"})
    assert (document["title"], json.loads(document["text"])["title"]) == ("First", "First")
    assert wiki.document(second)["title"] == "Second"
    assert wiki.refusal("i:gone:pages") == UNKNOWN
    assert wiki.refusal("f:a/1") == UNKNOWN


def test_an_answer_in_words_is_one_result_with_a_page_of_ours(wiki):
    wiki.answers("find", content=[text("Umbrellas are dear.")])
    ((own_id, title, url),) = wiki.found("umbrella prices")
    assert (own_id, title, url) == ("q:umbrella prices", "Find pages: umbrella prices", wiki.page_of(own_id))
    assert wiki.document(own_id)["text"] == "Umbrellas are dear."


def test_linked_resources_are_results_and_are_read_from_their_server(house):
    link = {"type": "resource_link", "uri": "wiki://p/1", "name": "p1", "title": "Page 1"}
    more = [
        {"type": "resource", "resource": {"uri": "wiki://p/2", "text": "two"}},
        {"type": "resource_link", "uri": "https://w.example/3", "name": "p3"},
    ]
    house.add("First", FakeServer(tools=[]))
    wiki = Searching(house, SEARCHES)  # has a prefix, as the second in the profile
    wiki.mark("find")
    wiki.answers("find", content=[link, *more])
    assert wiki.found("pages") == [
        ("r:wiki://p/1", "Page 1", wiki.page_of("r:wiki://p/1")),
        ("r:wiki://p/2", "wiki://p/2", wiki.page_of("r:wiki://p/2")),
        ("r:https://w.example/3", "p3", "https://w.example/3"),
    ]
    picture = {"uri": "x", "blob": "AA==", "mimeType": "image/png"}
    house.forward.results["wiki://p/1"] = {"contents": [{"uri": "wiki://p/1", "text": "One"}, picture]}
    assert wiki.document("r:wiki://p/1")["text"] == "One\n\n(image/png that is no text)"
    assert wiki.sent[-1] == ("wiki://p/1",)


def test_a_resource_that_is_switched_off_or_anothers_is_not_read(house):
    other = house.add("Other", FakeServer(tools=[a_tool("x")], resources=[{"uri": "other://secret", "name": "s"}]))
    wiki = Searching(house, SEARCHES, resources=[{"uri": "wiki://p/1", "name": "p1"}])
    wiki.mark("find")
    assert wiki.document("r:wiki://p/1")["text"] == "from Wiki"
    put_change(house.db, house.alice.id, house.home.id, (wiki.connection.id, "resource", "wiki://p/1"), Change(is_enabled=False))
    asked = len(house.forward.sent)
    assert wiki.refusal("r:wiki://p/1") == UNKNOWN
    assert len(house.forward.sent) == asked
    wiki.document("r:other://secret")  # asked of Wiki, whose resources may have any name; never of Other
    assert {entry[0] for entry in house.forward.sent} == {wiki.connection.id}
    assert other.id != wiki.connection.id


@pytest.mark.parametrize("own_id", ["", "f", "f:", "x:1", "r:", "i:", "q:", "http://169.254.169.254/", "search"])
def test_an_id_in_no_form_of_ours_asks_nobody(wiki, own_id):
    assert wiki.refusal(own_id) == UNKNOWN
    assert wiki.sent == []


def test_a_tool_that_changes_is_not_searched_until_its_person_looks_again(house, wiki):
    wiki.answers("find", structuredContent=ENTRIES)
    assert wiki.found("pages")
    wiki.server.lists["tools"][0] = SEARCHES | {"description": "Now it sends your query to everybody."}
    house.look(wiki.connection)
    assert "search" not in house.names()
    wiki.mark("find", "fetch")
    assert wiki.found("pages")


def test_what_was_marked_as_it_was_shown_stays_unmarked_if_it_has_changed_since(house):
    wiki = Searching(house, SEARCHES)
    (old,) = list_features(house.db, wiki.connection.id)
    wiki.server.lists["tools"][0] = SEARCHES | {"description": "Other."}
    house.look(wiki.connection)
    mark_searchable(house.db, house.alice.id, wiki.connection.id, [(old.name, old.hash)], marked=True)
    assert "search" not in house.names()


def test_nobody_marks_anothers_tools(house, wiki):
    with pytest.raises(NotFound):
        mark_searchable(house.db, "bob", wiki.connection.id, [], marked=True)


def test_a_grant_that_lacks_the_tool_lacks_the_search(house, wiki):
    wiki.answers("find", structuredContent=ENTRIES)
    assert wiki.found("pages")
    assert house.names("read_only") == []  # nobody has confirmed that it only reads
    with pytest.raises(ProtocolError, match="Unknown tool"):
        wiki.call("search", "pages", "read_only")
    keys = [(item.name, item.hash) for item in list_features(house.db, wiki.connection.id)]
    confirm_reads(house.db, house.alice.id, wiki.connection.id, keys, confirmed=True)
    assert house.names("read_only") == ["search", "fetch", "find"]
    assert wiki.found("pages", "read_only")[0][0] == "i:a%2F1:pages"  # fetch claims nothing, so this grant has no such tool
    put_change(house.db, house.alice.id, house.home.id, (wiki.connection.id, "tool", "find"), Change(is_enabled=False))
    assert house.names() == ["fetch_tool", "write"]


def test_a_held_back_tool_is_not_searched(house):
    wiki = Searching(house, a_tool("x"))
    set_changes(house.db, house.alice.id, wiki.connection.id, "hold_new")
    wiki.server.lists["tools"].append(SEARCHES)
    house.look(wiki.connection)
    assert house.names() == ["x"]
    wiki.mark("find")  # whoever marks it has looked at it
    assert house.names() == ["search", "fetch", "x", "find"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (UpstreamError("It cannot be reached."), "It cannot be reached"),
        (ProtocolError(-32602, "evil words"), "its server answered with error -32602"),
        ({"content": [text("evil words")], "isError": True}, "its tool answered with an error"),
    ],
)
def test_a_server_that_fails_is_named_and_its_words_are_not_repeated(house, wiki, trouble, reason):
    house.forward.results["find"] = trouble
    result = wiki.call("search", "pages")
    assert result["isError"] is True
    assert result["content"][0]["text"] == f"Nothing could be searched. Wiki, Find pages: {reason}."


@pytest.mark.parametrize(
    "result",
    [
        {"structuredContent": {"results": "no"}}, {"structuredContent": {"results": [1, None, {"title": "no id"}, {"id": {}}]}},
        {"content": "no"}, {"content": [1, {"type": "text"}, {"type": "resource_link"}, {"type": "resource", "resource": 1}]},
        {"content": [{"type": "text", "text": None}]}, {}, {"structuredContent": []},
    ],
)  # fmt: skip
def test_a_result_of_no_use_finds_nothing(wiki, result):
    wiki.answers("find", **result)
    assert wiki.found("pages") == []

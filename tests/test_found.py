"""found.py, and `search` and `fetch` through a real /mcp: an assistant searches, and a person opens what it cites."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from household import House, opened, send
from shelves import Shelf, make_connector
from werkzeug.test import Client, TestResponse

from config import Settings
from errors import ToolError
from joining import join
from offers import describe_offer
from sources import Hit
from store.connections import Draft
from store.profiles import list_profiles

EVIL = "<script>alert(1)</script>\x1b[31m\u202e{{7*7}}"


class Reading:
    """A house in which Alice has shelves."""

    def __init__(self, house: House, shelf: Shelf):
        self.house, self.shelf = house, shelf
        self.profile = list_profiles(house.db, house.alice.id)[0]
        with house.db.write() as run:
            self.connection_id = join(run, house.vault, self.profile, Draft("shelves", "Study", {"shelf": "study"}), house.now)

    def rpc(self, method: str, params: dict, *, modern: bool = False, key: str | None = None) -> dict:
        """One request at /mcp, in either era."""
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {key or self.house.key}"}
        version = "2026-07-28" if modern else "2025-11-25"
        headers["MCP-Protocol-Version"] = version
        if modern:
            meta = {"protocolVersion": version, "clientInfo": {"name": "t", "version": "1"}, "clientCapabilities": {}}
            params = params | {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}}
            headers |= {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = Client(self.house.gate).post("/mcp", json=body, headers=headers)
        return json.loads(answer.text.partition("data: ")[2] or answer.text)

    def page(self, item_id: str, browser: Client | None = None, slug: str = "home") -> TestResponse:
        """The page that shows something."""
        browser = browser or self.house.browser(self.house.alice)
        return browser.get(f"/found/{slug}", query_string={"id": item_id})


@pytest.fixture
def reading(settings: Settings) -> Iterator[Reading]:
    shelves = {"study": Shelf()}
    with opened(settings, make_connector(shelves)) as built:
        yield Reading(built.settle(), shelves["study"])


@pytest.mark.parametrize("modern", [False, True])
def test_an_assistant_searches_and_fetches_and_its_person_opens_what_it_cites(reading: Reading, modern: bool):
    reading.shelf.slips["s1"] = "Milk\n\tand\tbread"
    listed = reading.rpc("tools/list", {}, modern=modern)["result"]["tools"]
    assert [tool["name"] for tool in listed[:2]] == ["search", "fetch"]
    result = reading.rpc("tools/call", {"name": "search", "arguments": {"query": "Milk"}}, modern=modern)["result"]
    (found,) = [item for item in result["structuredContent"]["results"] if item["id"].startswith(reading.connection_id)]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    fetched = reading.rpc("tools/call", {"name": "fetch", "arguments": {"id": found["id"]}}, modern=modern)["result"]
    assert fetched["structuredContent"] == {
        "id": f"{reading.connection_id}:slip:s1",
        "title": "Slip s1",
        "text": "Milk\n\tand\tbread",
        "url": found["url"],
        "metadata": {"source": "Study, slips"},
    }
    where = urlsplit(found["url"])
    assert f"{where.scheme}://{where.netloc}" == reading.house.settings.public_url
    shown = reading.house.browser(reading.house.alice).get(f"{where.path}?{where.query}")
    assert shown.status_code == 200
    assert "Milk\n    and bread" in shown.text
    assert "from <bdi>Study, slips</bdi>" in shown.text


def test_a_key_that_may_only_read_searches_too(reading: Reading):
    reading.shelf.books.append(Hit("b1", "Milk", "https://b.example/1"))
    _, key = reading.house.make_key(reading.house.alice, "Reader", "read_only")
    result = reading.rpc("tools/call", {"name": "search", "arguments": {"query": "Milk"}}, key=key)["result"]
    assert [item["title"] for item in result["structuredContent"]["results"]] == ["Milk"]
    refused = reading.rpc("tools/call", {"name": "book_burn", "arguments": {}}, key=key)["error"]
    assert (refused["code"], refused["message"]) == (-32602, "Unknown tool")


def test_what_another_server_says_is_text_and_nothing_more(reading: Reading):
    reading.shelf.slips[EVIL] = EVIL
    text = reading.page(f"{reading.connection_id}:slip:{EVIL}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[31m{{7*7}}" in text
    assert "<script" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_a_strangers_browser_is_sent_to_sign_in_and_comes_back(reading: Reading):
    reading.shelf.slips["s1"] = "Milk"
    answer = reading.page(f"{reading.connection_id}:slip:s1", reading.house.browser())
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=%2Ffound%2Fhome%3Fid%3D")
    assert reading.shelf.asked == []


def test_nobody_else_sees_it(reading: Reading):
    reading.shelf.slips["s1"] = "Milk"
    bob = reading.house.browser(reading.house.bob)
    theirs = list_profiles(reading.house.db, reading.house.bob.id)[0].slug
    item_id = f"{reading.connection_id}:slip:s1"
    assert reading.page(item_id, bob).status_code == 404
    assert reading.page(item_id, bob, theirs).status_code == 404
    assert reading.shelf.asked == []
    assert reading.page(item_id).status_code == 200


@pytest.mark.parametrize("item_id", ["", "x", "{id}:slip:", "{id}:gone:s1", "{id}:../slip:s1", "postern:tool:search"])
def test_an_id_of_nothing_is_not_found(reading: Reading, item_id: str):
    assert reading.page(item_id.replace("{id}", reading.connection_id)).status_code == 404
    assert reading.shelf.asked == []


def test_a_source_that_fails_is_told_to_its_person(reading: Reading):
    reading.shelf.trouble = ToolError("The shelf <b>fell</b>.")
    answer = reading.page(f"{reading.connection_id}:book:b1")
    assert answer.status_code == 502
    assert "The shelf &lt;b&gt;fell&lt;/b&gt;." in answer.text


def test_only_a_real_address_becomes_a_link(reading: Reading):
    reading.shelf.books += [Hit("good", "Good", "https://b.example/?a=1&b=2"), Hit("bad", "Bad", "javascript:alert(1)")]
    good, bad = (reading.page(f"{reading.connection_id}:book:{name}").text for name in ("good", "bad"))
    assert '<a href="https://b.example/?a=1&amp;b=2" rel="noopener noreferrer">' in good
    assert "javascript:" not in bad
    assert "Open it where it is" not in bad


def test_the_switch_on_the_profiles_page_takes_both_tools_away(reading: Reading):
    browser = reading.house.browser(reading.house.alice)

    def names() -> set[str]:
        return {tool["name"] for tool in reading.rpc("tools/list", {})["result"]["tools"]}

    assert names() >= {"search", "fetch"}
    text = browser.get("/profiles/home").text
    assert '<input type="checkbox" name="searchable" value="on" checked>' in text
    assert "<bdi>Study, books</bdi>; <bdi>Study, slips</bdi>." in text
    assert send(browser, "/profiles/home", action="search").status_code == 303
    assert '<input type="checkbox" name="searchable" value="on" >' in browser.get("/profiles/home").text
    assert names().isdisjoint({"search", "fetch"})
    assert reading.rpc("tools/call", {"name": "search", "arguments": {"query": "x"}})["error"]["code"] == -32602
    assert send(browser, "/profiles/home", action="search", searchable="on").status_code == 303
    assert names() >= {"search", "fetch"}


def test_the_consent_page_counts_both_where_they_are_given(reading: Reading):
    house = reading.house

    def counts() -> dict[str, tuple[int, int]]:
        profile = list_profiles(house.db, house.alice.id)[0]
        offer = describe_offer(house.db, house.state.connectors, profile)
        return {chosen.kind: (number, writing) for chosen, number, writing in offer.sets}

    def listed(kind: str) -> int:
        _, key = house.make_key(house.alice, f"{kind} {house.now}", kind)
        return len(reading.rpc("tools/list", {}, key=key)["result"]["tools"])

    before = counts()
    assert {kind: number for kind, (number, _) in before.items()} == {kind: listed(kind) for kind in before}
    send(house.browser(house.alice), "/profiles/home", action="search")
    assert counts() == {kind: (number - 2, writing) for kind, (number, writing) in before.items()}

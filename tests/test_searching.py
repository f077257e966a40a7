"""searching.py: `search` and `fetch` over a profile, in the shape that ChatGPT demands, and for nobody else's things."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import NOW
from jsonschema import Draft202012Validator
from shelves import Shelf, make_connector

from accounts import insert_account
from crypto import Vault
from db import Database
from errors import ProtocolError, ToolError
from fetch import Fetcher
from joining import join
from listings import exposed_name
from searching import ALL_MAX, EACH_MAX, ID_MAX, QUERY_MAX, TEXT_MAX, UNKNOWN, is_absolute, plain_address
from sources import Hit
from store.clients import Client, put_client
from store.connections import Draft
from store.grants import put_grant
from store.members import delete_member
from store.profile_features import Change, put_change
from store.profiles import create_profile, list_feature_sets, list_profiles, set_searchable
from store.tokens import Caller
from store.users import User
from toolbox import Toolbox
from tools import Call

BASE = "https://postern.example"
SEARCH_OUT = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "title": {"type": "string"}, "url": {"type": "string"}},
                "required": ["id", "title", "url"],
            },
        }
    },
    "required": ["results"],
}
FETCH_OUT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "title": {"type": "string"},
        "text": {"type": "string"},
        "url": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["id", "title", "text", "url"],
}


class Library:
    """Alice and Bob, each with a profile `home` that holds nothing but shelves."""

    def __init__(self, db: Database, vault: Vault, seconds: float = 20):
        self.db, self.vault = db, vault
        self.shelves: dict[str, Shelf] = {}
        self.toolbox = Toolbox(
            db, vault, Fetcher(), {"shelves": make_connector(self.shelves)}, clock=lambda: NOW, search_seconds=seconds
        )
        with db.write() as run:
            self.alice, self.bob = (insert_account(run, vault, name, "no hash", NOW) for name in ("alice", "bob"))
            run("DELETE FROM connections")
        put_client(db, Client("client_a", "dcr", "A", "none", None, ("https://a.example/cb",), {}, NOW))

    def add(self, name: str, user: User | None = None, **facts: Any) -> str:
        """A connection with a shelf of that name; answers its id."""
        profile = list_profiles(self.db, (user or self.alice).id)[0]
        self.shelves[name] = Shelf(**facts)
        with self.db.write() as run:
            return join(run, self.vault, profile, Draft("shelves", name, {"shelf": name}), NOW)

    def caller(self, kind: str = "all", user: User | None = None, slug: str | None = None) -> Caller:
        """The client, granted a feature set of this kind, as of now."""
        user = user or self.alice
        profile = next(item for item in list_profiles(self.db, user.id) if slug in (None, item.slug))
        (chosen,) = [item for item in list_feature_sets(self.db, profile.id) if item.kind == kind]
        with self.db.write() as run:
            grant_id = put_grant(run, profile.id, "client_a", chosen.id, NOW)
        revision = self.db.query("SELECT number FROM revisions")[0]["number"]
        return Caller("session", grant_id, "client_a", user.id, profile.id, BASE + "/mcp", NOW + 1, None, revision)

    def call(self, name: str, argument: str, caller: Caller | None = None) -> dict[str, Any]:
        """A result of `tools/call`."""
        arguments = {"query" if name == "search" else "id": argument}
        return self.toolbox.call_tool(caller or self.caller(), name, arguments, Call())

    def search(self, query: str, caller: Caller | None = None) -> list[tuple[str, str, str]]:
        """(id, title, address) of what is found; nothing may be missing."""
        result = self.call("search", query, caller)
        assert "_meta" not in result, result
        return [(item["id"], item["title"], item["url"]) for item in result["structuredContent"]["results"]]

    def refusal(self, item_id: str, caller: Caller | None = None) -> str:
        """Why `fetch` gives nothing."""
        result = self.call("fetch", item_id, caller)
        assert result["isError"] is True
        return result["content"][0]["text"]

    def names(self, caller: Caller) -> list[str]:
        """What tools there are."""
        return [item["name"] for item in self.toolbox.list_tools(caller)]


@pytest.fixture
def library(db: Database, vault: Vault) -> Iterator[Library]:
    made = Library(db, vault)
    yield made
    for shelf in made.shelves.values():
        shelf.gate.set()
    made.toolbox.stop()


def book(number: int, url: str = "") -> Hit:
    return Hit(f"b{number}", f"Book {number}", url or f"https://books.example/{number}")


# --- the shape ---


def test_both_are_listed_first_with_exactly_these_schemas(library):
    library.add("home")
    search, fetch, *_ = library.toolbox.list_tools(library.caller())
    assert (search["name"], fetch["name"]) == ("search", "fetch")
    assert search["inputSchema"] == {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    assert fetch["inputSchema"] == {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    assert (search["outputSchema"], fetch["outputSchema"]) == (SEARCH_OUT, FETCH_OUT)
    for tool in (search, fetch):
        hints = {name: value for name, value in tool["annotations"].items() if name != "title"}
        assert hints == {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True}
        assert tool["title"] == tool["annotations"]["title"]
    assert "Searched: home, books; home, slips." in search["description"]
    assert library.toolbox.list_tools(library.caller(), modern=False)[:2] == [search, fetch]


def test_a_search_answers_the_exact_shape(library):
    home = library.add("home", books=[book(1)])
    result = library.call("search", "Book")
    assert result.keys() == {"content", "structuredContent", "isError"}
    assert result["isError"] is False
    assert result["structuredContent"] == {
        "results": [{"id": f"{home}:book:b1", "title": "Book 1", "url": "https://books.example/1"}]
    }
    (block,) = result["content"]
    assert block.keys() == {"type", "text"}
    assert (block["type"], json.loads(block["text"])) == ("text", result["structuredContent"])


def test_a_fetch_answers_the_exact_shape(library):
    home = library.add("home", books=[book(1)])
    result = library.call("fetch", f"{home}:book:b1")
    assert result.keys() == {"content", "structuredContent", "isError"}
    assert result["structuredContent"] == {
        "id": f"{home}:book:b1",
        "title": "Book 1",
        "text": "A long story.",
        "url": "https://books.example/1",
        "metadata": {"source": "home, books", "pages": "300"},
    }
    (block,) = result["content"]
    assert (block["type"], json.loads(block["text"])) == ("text", result["structuredContent"])
    Draft202012Validator(FETCH_OUT).validate(result["structuredContent"])


def test_nothing_found_is_an_empty_list_and_no_error(library):
    library.add("home", books=[book(1)])
    result = library.call("search", "Nothing like it")
    assert (result["structuredContent"], result["isError"]) == ({"results": []}, False)


def test_what_has_no_address_gets_a_page_of_ours(library):
    home = library.add("home", slips={"a/b?&#é": "milk"})
    page = f"{BASE}/found/home?id={home}%3Aslip%3Aa%2Fb%3F%26%23%C3%A9"
    assert library.search("milk") == [(f"{home}:slip:a/b?&#é", "Slip a/b?&#é", page)]
    assert library.call("fetch", f"{home}:slip:a/b?&#é")["structuredContent"]["url"] == page


NO_ADDRESSES = (
    "javascript:alert(1)", "/relative", "//host/x", "https://", "https://user:pass@books.example/", "file:///etc/passwd",
    "https://books.example/\nx", "https://books.example/ x", "https://[broken/", "https://books.example/" + "x" * 3000,
)  # fmt: skip


def test_an_address_that_is_none_gets_a_page_of_ours_too(library):
    home = library.add("home")
    page = f"{BASE}/found/home?id={home}%3Abook%3Ab1"
    for url in NO_ADDRESSES:
        library.shelves["home"].books = [book(1, url)]
        assert [found[2] for found in library.search("Book")] == [page], url
        assert library.call("fetch", f"{home}:book:b1")["structuredContent"]["url"] == page


def test_titles_are_one_short_line(library):
    library.add("home", books=[Hit("b1", "Book\n\x1b[31m\u202e  one " + "x" * 500, "https://b.example/")])
    ((_, title, _),) = library.search("Book")
    assert title.startswith("Book [31m one xxx")
    assert (len(title), title[-1]) == (200, "…")


def test_a_long_text_is_cut_and_says_so(library):
    home = library.add("home", slips={"s": "y" * (TEXT_MAX + 5)})
    text = library.call("fetch", f"{home}:slip:s")["structuredContent"]["text"]
    assert text == "y" * TEXT_MAX + "\n\n(Cut here: it goes on for 5 characters.)"


# --- several sources ---


def test_sources_take_turns_and_each_thing_comes_once(library):
    same = book(9, "https://Books.example/same/")
    library.add("home", books=[book(1), same, book(2)], slips={"s1": "Book"})
    library.add("work", books=[book(9, "http://books.example/same"), book(3)])
    assert [title for _, title, _ in library.search("Book")] == ["Book 1", "Slip s1", "Book 9", "Book 3", "Book 2"]


def test_addresses_that_differ_behind_the_hash_are_different_things():
    assert plain_address("https://mail.example/#all/1") != plain_address("https://mail.example/#all/2")
    assert plain_address("https://X.example/a/") == plain_address("http://x.example/a")


def test_no_source_can_fill_the_list_alone(library):
    library.add("home", books=[book(number) for number in range(100)])
    assert len(library.search("Book")) == EACH_MAX
    for name in range(8):
        library.add(f"more{name}", books=[book(1000 * (name + 1) + number) for number in range(100)])
    assert len(library.search("Book")) == ALL_MAX


def test_of_three_sources_one_hangs_and_the_others_answer_in_time(db, vault):
    library = Library(db, vault, seconds=0.3)
    try:
        library.add("home", books=[book(1)])
        library.add("work", books=[book(2)])
        slow = library.add("slow", books=[book(3)])
        for name in library.shelves:
            put_slips_off(library, name)
        library.shelves["slow"].gate.clear()
        began = time.monotonic()
        result = library.call("search", "Book")
        took = time.monotonic() - began
        assert 0.3 <= took < 3
        *found, notice = result["structuredContent"]["results"]
        assert [item["title"] for item in found] == ["Book 1", "Book 2"]
        assert notice == {
            "id": f"{slow}:not-searched:book",
            "title": "Not searched: slow, books (it took longer than 0.3 seconds)",
            "url": f"{BASE}/found/home?id={slow}%3Anot-searched%3Abook",
        }
        missing = [{"source": "slow, books", "reason": "it took longer than 0.3 seconds"}]
        assert (result["isError"], result["_meta"]) == (False, {"postern/notSearched": missing})
        Draft202012Validator(SEARCH_OUT).validate(result["structuredContent"])
        told = library.call("fetch", notice["id"])["structuredContent"]
        assert told["text"].startswith("slow, books: this source did not answer when you searched")
    finally:
        library.shelves["slow"].gate.set()
        library.toolbox.stop()


def put_slips_off(library: Library, name: str) -> None:
    """Take the second source of a connection away, so that it has one."""
    profile = list_profiles(library.db, library.alice.id)[0]
    (row,) = library.db.query("SELECT id FROM connections WHERE name = :name", name=name)
    put_change(library.db, library.alice.id, profile.id, (row["id"], "tool", "slip_read"), Change(is_enabled=False))


def test_one_that_fails_is_named_with_its_reason(library):
    library.add("home", books=[book(1)])
    library.add("torn", trouble=ToolError("The pages are torn."))
    results = library.call("search", "Book")["structuredContent"]["results"]
    assert [item["title"] for item in results] == [
        "Book 1",
        "Not searched: torn, books (The pages are torn)",
        "Not searched: torn, slips (The pages are torn)",
    ]


def test_if_all_fail_it_is_an_error_that_names_them(library):
    library.add("torn", trouble=ToolError("the pages are torn"))
    result = library.call("search", "Book")
    assert result == {
        "content": [
            {
                "type": "text",
                "text": "Nothing could be searched. torn, books: the pages are torn. torn, slips: the pages are torn.",
            }
        ],
        "isError": True,
    }


@pytest.mark.parametrize("query", ["", "  \n ", "x" * (QUERY_MAX + 1)])
def test_a_query_that_is_none_is_refused_and_asks_nobody(library, query):
    library.add("home", books=[book(1)])
    result = library.call("search", query)
    assert (result["isError"], result["content"][0]["text"]) == (True, "A query has at least one and at most 1000 characters.")
    assert library.shelves["home"].asked == []


@pytest.mark.parametrize("arguments", [{}, {"query": 3}, {"query": None}])
def test_arguments_that_do_not_fit_are_refused(library, arguments):
    library.add("home")
    result = library.toolbox.call_tool(library.caller(), "search", arguments, Call())
    assert result["isError"] is True
    assert library.shelves["home"].asked == []


# --- permissions ---


def test_what_a_feature_set_leaves_out_is_not_searched(library):
    home = library.add("home", books=[book(1)], slips={"s1": "Book"})
    assert [title for _, title, _ in library.search("Book", library.caller("read_only"))] == ["Book 1", "Slip s1"]
    core = library.caller("core")  # only books are of the core
    assert library.names(core) == ["search", "fetch", "book_find"]
    library.shelves["home"].asked.clear()
    assert [title for _, title, _ in library.search("Book", core)] == ["Book 1"]
    assert library.shelves["home"].asked == ["Book"]
    assert library.refusal(f"{home}:slip:s1", core) == UNKNOWN
    assert library.call("fetch", f"{home}:slip:s1", library.caller("all"))["isError"] is False


def test_a_tool_that_is_switched_off_takes_its_source_with_it(library):
    home = library.add("home", books=[book(1)], slips={"s1": "Book"})
    put_slips_off(library, "home")
    assert [title for _, title, _ in library.search("Book")] == ["Book 1"]
    assert library.refusal(f"{home}:slip:s1") == UNKNOWN


def test_without_anything_to_search_there_are_no_such_tools(library):
    home = library.add("home", books=[book(1)])
    profile = list_profiles(library.db, library.alice.id)[0]
    for name in ("slip_read", "book_find"):
        assert "search" in library.names(library.caller())
        put_change(library.db, library.alice.id, profile.id, (home, "tool", name), Change(is_enabled=False))
    assert library.names(library.caller()) == ["book_burn"]
    for name in ("search", "fetch"):
        with pytest.raises(ProtocolError, match="Unknown tool") as refused:
            library.call(name, "x")
        assert refused.value.code == -32602


def test_the_profiles_switch_takes_both_away_at_once(library):
    library.add("home", books=[book(1)])
    profile = list_profiles(library.db, library.alice.id)[0]
    assert "search" in library.names(library.caller())
    set_searchable(library.db, library.alice.id, profile.id, False)
    assert library.names(library.caller()) == ["book_find", "slip_read", "book_burn"]
    with pytest.raises(ProtocolError, match="Unknown tool"):
        library.call("search", "Book")
    set_searchable(library.db, library.alice.id, profile.id, True)
    assert len(library.search("Book")) == 1


def test_a_tool_that_is_called_search_keeps_its_other_name(library):
    assert exposed_name("", "search") == "search"
    library.add("home")
    assert library.names(library.caller()).count("search") == 1


# --- ids come from outside ---


def test_another_persons_things_are_not_there(library):
    home = library.add("home", books=[book(1)])
    theirs = library.add("bobs", user=library.bob, books=[book(2)])
    assert library.call("fetch", f"{theirs}:book:b2", library.caller(user=library.bob))["isError"] is False
    library.shelves["bobs"].asked.clear()
    assert library.refusal(f"{theirs}:book:b2") == UNKNOWN
    assert library.refusal(f"{home}:book:b1", library.caller(user=library.bob)) == UNKNOWN
    assert [title for _, title, _ in library.search("Book")] == ["Book 1"]
    assert library.shelves["bobs"].asked == []


def test_another_profiles_things_are_not_there_either(library):
    home = library.add("home", books=[book(1)])
    other = create_profile(library.db, library.alice.id, "Other", "other", now=NOW)
    elsewhere = library.caller(slug="other")
    assert library.names(elsewhere) == []
    profile = list_profiles(library.db, library.alice.id)[0]
    assert library.call("fetch", f"{home}:book:b1")["isError"] is False
    delete_member(library.db, library.alice.id, profile.id, home)
    library.add("more", books=[book(2)])
    assert library.refusal(f"{home}:book:b1") == UNKNOWN
    assert other.slug == "other"


NO_IDS = (
    "", ":", "::", "{home}", "{home}:", "{home}:book", "{home}:book:", "{home}:gone:b1", "{home}::b1", ":book:b1",
    "postern:tool:search", "../{home}:book:b1", "{home}/:book:b1", "{home}:BOOK:b1", " {home}:book:b1",
    "{home}:not-searched:", "{home}:not-searched:gone", "not:searched:book", "https://books.example/1",
    "{home}:book:" + "x" * ID_MAX, "\x00:\x00:\x00",
)  # fmt: skip


def test_an_id_that_was_never_answered_is_refused_and_asks_nobody(library):
    home, caller = library.add("home", books=[book(1)]), library.caller()
    for item_id in NO_IDS:
        assert library.refusal(item_id.replace("{home}", home), caller) == UNKNOWN, item_id
    assert library.shelves["home"].asked == []


def test_what_a_source_refuses_is_told_and_what_breaks_is_not(library, caplog):
    home = library.add("home", books=[book(1)])
    assert library.refusal(f"{home}:book:b7") == "There is no such book."
    told = library.refusal(f"{home}:slip:../../etc/passwd")
    assert told.startswith("The tool failed inside Postern.")
    assert "KeyError" in caplog.text
    assert "passwd" not in told + caplog.text


# --- addresses ---


@pytest.mark.parametrize("url", ["https://a.example", "http://localhost:8000/x?y=1#z", "https://a.example/ü%20b"])
def test_real_addresses_stay(url):
    assert is_absolute(url)

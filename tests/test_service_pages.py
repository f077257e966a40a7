"""service_pages.py and service_messages.py: a tool of a few lines gets pages, copies, progress and errors from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from clickup.world import World
from connector_world import MemoryCache, PatientCall
from typing_extensions import TypedDict

from errors import Cancelled, FetchError, ToolError
from fetch import VENDOR, Response
from service_messages import as_query, fill_path, given, objects, part, quote_words, read_json, word_refusal
from service_pages import Copies, gather
from strict_json import encode_json
from tools import Context, Tool, tool

BIRDS = [f"bird {number}" for number in range(7)]


class Birds(TypedDict):
    """What was found."""

    names: list[str]
    hasMore: bool


@tool(title="List birds", reads=True, open_world=True, streams=True)
def bird_list(context: Context, place: str, limit: int = 10) -> Birds:
    """List the birds of a place."""

    def ask(page: int) -> tuple[list[dict[str, Any]], int | None]:
        url = "https://birds.example/" + fill_path("places/{place}/birds", {"place": place})
        answer = read_json(context.fetch.request("GET", url, trust=VENDOR, params=as_query({"page": page})), "Birds")
        return objects(answer, "birds"), answer.get("next")

    copies = Copies(context.cache, "birds", {"list": 60})
    found = copies.remember(
        "list", (place, limit), lambda: vars(gather(ask, call=context.call, what="birds", first=0, limit=limit))
    )
    return {"names": [bird["name"] for bird in found["items"]], "hasMore": not found["is_complete"]}


class Service:
    """A service with two birds on a page."""

    def __init__(self) -> None:
        self.urls: list[tuple[str, str]] = []
        self.fault: Response | Exception | None = None

    def request(self, method: str, url: str, *, trust: Any, params: Any) -> Response:
        self.urls.append((url, params[0][1]))
        if isinstance(self.fault, Exception):
            raise self.fault
        page = int(params[0][1])
        names = BIRDS[2 * page : 2 * page + 2]
        body = {"birds": [{"name": name} for name in names], "next": page + 1 if 2 * page + 2 < len(BIRDS) else None}
        return self.fault or Response(200, {}, json.dumps(body).encode(), "birds.example")


@pytest.fixture
def context() -> Context:
    world = World()
    return replace(world.context(call=PatientCall(world.clock)), fetch=Service(), cache=MemoryCache())


def run(context: Context, made: Tool = bird_list, **arguments: Any) -> Any:
    return made.run(context, arguments).structured


def test_it_goes_through_the_pages_and_tells_how_far_it_is(context):
    assert run(context, place="a/b") == {"names": BIRDS, "hasMore": False}
    assert context.fetch.urls == [("https://birds.example/places/a%2Fb/birds", str(page)) for page in range(4)]
    assert context.call.reports == [(1, None, "2 birds read"), (2, None, "4 birds read"), (3, None, "6 birds read")]


def test_it_stops_where_enough_was_found(context):
    assert run(context, place="x", limit=3) == {"names": BIRDS[:3], "hasMore": True}
    assert len(context.fetch.urls) == 2
    assert run(context, place="x", limit=7) == {"names": BIRDS, "hasMore": False}


def test_a_copy_is_good_for_its_own_question_until_it_is_dropped(context):
    run(context, place="x")
    run(context, place="x")
    assert len(context.fetch.urls) == 4
    run(context, place="y")
    assert len(context.fetch.urls) == 8
    Copies(context.cache, "birds", {"list": 60}).drop("list")
    run(context, place="x")
    assert len(context.fetch.urls) == 12


def test_what_was_on_its_way_while_something_changed_is_not_kept_for_others():
    cache, asked = MemoryCache(), []

    def ask(answer: str, meanwhile: bool) -> str:
        asked.append(answer)
        if meanwhile:
            Copies(cache, "birds", {"list": 60}).drop("list")  # another call changes something, and is done before this one
        return answer

    def read(answer: str, *, meanwhile: bool = False) -> str:
        return Copies(cache, "birds", {"list": 60}).remember("list", ("x",), lambda: ask(answer, meanwhile))

    assert read("old", meanwhile=True) == "old"
    assert [read("new"), read("newer")] == ["new", "new"]
    assert asked == ["old", "new"]


def test_a_call_that_changes_something_reads_it_anew():
    copies, asked = Copies(MemoryCache(), "birds", {"list": 60, "nests": 60}), []
    for kind in ("list", "nests", "drop", "list", "nests", "list"):
        copies.drop("list") if kind == "drop" else copies.remember(kind, ("x",), lambda kind=kind: asked.append(kind) or "found")
    assert asked == ["list", "nests", "list"]


def test_a_kind_without_a_life_is_never_kept(context):
    copies, asked = Copies(context.cache, "birds", {"now": 0}), []
    for _ in range(2):
        copies.remember("now", ("x",), lambda: asked.append(1) or "fresh")
    assert (len(asked), context.cache.copies) == (2, {})


def test_keys_tell_questions_apart_and_nothing_about_them():
    copies = Copies(MemoryCache(), "birds", {"list": 60})
    keys = [copies.key("list", *asked) for asked in (("a",), ("b",), ("a", "b"), ("a", None), (["a"],))]
    assert len(set(keys)) == 5
    assert all(key.startswith("birds:list:") and len(key) == 75 for key in keys)


def test_a_cancelled_call_reads_no_more_pages(context):
    stopped = replace(context, call=PatientCall(World().clock, cancel_after=1))
    with pytest.raises(Cancelled):
        run(stopped, place="x")
    assert len(context.fetch.urls) == 1


def test_no_more_pages_are_read_than_are_wanted():
    found = gather(lambda page: ([{"n": page}], page + 1), call=PatientCall(World().clock), what="pages", first=0, pages=3)
    assert (found.items, found.is_complete) == ([{"n": 0}, {"n": 1}, {"n": 2}], False)
    even = gather(
        lambda page: ([{"n": page}], page + 1 if page < 5 else None),
        call=PatientCall(World().clock), what="pages", first=0, accept=lambda item: item["n"] % 2 == 0,
    )  # fmt: skip
    assert (even.items, even.is_complete) == ([{"n": 0}, {"n": 2}, {"n": 4}], True)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (FetchError("birds.example did not answer in time."), "birds.example did not answer in time."),
        (Response(200, {}, b"<html>", "birds.example"), "Birds answered something that is not JSON. Try again later."),
    ],
)
def test_what_goes_wrong_is_an_error_that_a_model_can_read(context, fault, said):
    context.fetch.fault = fault
    with pytest.raises(ToolError) as refused:
        run(context, place="x")
    assert str(refused.value) == said
    assert context.cache.copies == {}


@pytest.mark.parametrize("place", ["..", ".", "", " ", "a\nb", "x" * 1001])
def test_what_cannot_be_a_part_of_a_path_is_refused(context, place):
    with pytest.raises(ToolError, match=r"cannot be used as place\.$"):
        run(context, place=place)
    assert context.fetch.urls == []


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a\\ud83d": ["x\\uDE00 \\ud83d\\ude00"]}', {"a\ufffd": ["x\ufffd \U0001f600"]}),
        (b'["\\ud83d\\ude00", "\\\\ud83d"]', ["\U0001f600", "\\ud83d"]),
    ],
)
def test_half_a_letter_in_an_answer_is_replaced_as_nobody_could_be_told_of_it(body, value):
    answer = read_json(Response(200, {}, body, "x"), "X")
    assert answer == value
    assert encode_json(answer)


def test_answers_of_strangers_are_read_with_care():
    assert [objects(odd, "a") for odd in (None, [], {}, {"a": 1}, {"a": [1, {"b": 2}]})] == [[], [], [], [], [{"b": 2}]]
    assert [part(odd, "a") for odd in (None, [], {}, {"a": 1}, {"a": {"b": 2}})] == [{}, {}, {}, {}, {"b": 2}]
    assert read_json(Response(204, {}, b"", "x"), "X") == {}
    assert given(a=1, b=None, from_=2) == {"a": 1, "from": 2}
    assert quote_words("bad s3cret\x1b[0m here. ", "s3cret", 12) == "bad …[0m her"
    assert quote_words(["odd"], "s3cret") == ""
    assert word_refusal("It is gone", "Not here", 404, "GONE") == "It is gone: “Not here” (status 404, GONE)."
    assert word_refusal("It is gone", "", 404, "") == "It is gone (status 404)."

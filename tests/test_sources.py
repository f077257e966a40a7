"""sources.py: what a connector's sources may be, and what a query is about."""

from __future__ import annotations

import pytest

from connectors.catalog import CONNECTORS
from sources import Document, Source, find_mistake, rank_by_words


def source(kind: str = "note", *needs: str) -> Source:
    return Source(kind, "notes", lambda context, query, limit: [], lambda context, item_id: Document("", ""), needs)


@pytest.mark.parametrize(
    ("sources", "mistake"),
    [
        ([source("note", "look"), source("note", "look")], "Two of its sources are of one kind."),
        ([source("a:b", "look")], "The kind of a source must be made of at most 20 small letters and underscores."),
        ([source("not-searched", "look")], "The kind of a source must be made of at most 20 small letters and underscores."),
        ([source("note")], "Each of its sources must need one of its tools at least, and no other."),
        ([source("note", "look", "gone")], "Each of its sources must need one of its tools at least, and no other."),
        ([source("note", "look"), source("day", "look", "read")], None),
    ],
)
def test_a_mistake_is_told(sources: list[Source], mistake: str | None):
    assert find_mistake(sources, ["look", "read"]) == mistake


def test_every_source_of_ours_needs_tools_that_only_read():
    with_sources = [connector for connector in CONNECTORS.values() if connector.sources]
    assert {connector.name for connector in with_sources} == {"personal_context", "clickup", "google_workspace"}
    for connector in with_sources:
        tools = {tool.name: tool for tool in connector.tools}
        assert find_mistake(connector.sources, tools) is None
        assert all(tools[name].reads for one in connector.sources for name in one.needs)


def test_what_holds_most_words_comes_first_and_what_holds_too_few_does_not_come():
    texts = [("Rain", "umbrella"), ("Umbrella", "rain and wind"), ("Wind", "nothing"), ("x", "rain umbrella wind"), ("", "sun")]
    assert rank_by_words(texts, "umbrella rain in the WIND", lambda item: item, 9) == [texts[1], texts[3], texts[0]]
    assert rank_by_words(texts, "umbrella", lambda item: item, 2) == [texts[1], texts[0]]


def test_a_query_of_short_words_or_of_none_is_no_trouble():
    assert rank_by_words([("ab", ""), ("cd", "")], "ab", lambda item: item, 9) == [("ab", "")]
    assert rank_by_words([("ab", "")], "?!", lambda item: item, 9) == []

"""What a connector declares so that `search` and `fetch` reach what it knows. Asks nobody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

EMPTY_WORDS = frozenset(  # they say nothing of what is looked for
    re.findall(
        r"\w+",
        "a about all an and any are at be by did do does for from has have how i in is it me my of on or our the this that to "
        "was we what when where which who why will with you your",
    )
)
KIND = re.compile(r"[a-z][a-z_]{0,19}")

T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """One thing that was found. `id` is the source's own; without an `url` it gets a page of Postern's."""

    id: str
    title: str
    url: str = ""


@dataclass(frozen=True)
class Document:
    """One thing, whole."""

    title: str
    text: str
    url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One kind of thing that a connector can search: `search(context, query, limit)` and `fetch(context, id)`, which block.

    Both only read. Who may not use every one of the tools in `needs` is not shown what they would show; so there must be one.
    An id comes from outside, and is to be trusted no more than a tool's argument. `fetch` raises ToolError for one it lacks.
    """

    kind: str  # a part of ids, so it stays as it is
    label: str  # what people call it, such as “tasks”
    search: Callable[[Any, str, int], list[Hit]]
    fetch: Callable[[Any, str], Document]
    needs: tuple[str, ...]


def find_mistake(sources: Iterable[Source], tools: Iterable[str]) -> str | None:
    """What is wrong with the sources of a connector with these tools; None if nothing is."""
    sources, tools = list(sources), set(tools)
    if len({source.kind for source in sources}) < len(sources):
        return "Two of its sources are of one kind."
    if not all(KIND.fullmatch(source.kind) for source in sources):
        return "The kind of a source must be made of at most 20 small letters and underscores."
    if not all(source.needs and tools.issuperset(source.needs) for source in sources):
        return "Each of its sources must need one of its tools at least, and no other."
    return None


def rank_by_words(items: Iterable[T], query: str, text_of: Callable[[T], tuple[str, str]], limit: int) -> list[T]:
    """The items that hold at least half of a query's words in their (name, text), those first that hold most of them.

    A word of a name counts twice. Of equals, the earlier comes first.
    """
    words = set(re.findall(r"\w+", query.casefold()))
    words = words - EMPTY_WORDS or words
    scored = []
    for place, item in enumerate(items):
        name, text = (part.casefold() for part in text_of(item))
        named = sum(word in name for word in words)
        held = sum(word in name or word in text for word in words)
        if held and held * 2 >= len(words):
            scored.append((-held, -named, place, item))
    return [item for *_, item in sorted(scored, key=lambda found: found[:3])[:limit]]

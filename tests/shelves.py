"""A connector of tests with two sources: books, and slips that have no address of their own. Holds no test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from errors import ToolError
from sources import Document, Hit, Source
from tools import Connector, Context, Field, Tool, tool


@dataclass
class Shelf:
    """What is on one connection's shelves. `gate` has to be set before they answer; `trouble` is raised instead."""

    books: list[Hit] = field(default_factory=list)
    slips: dict[str, str] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    trouble: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def open(self, what: str) -> Shelf:
        """Come to it."""
        self.asked.append(what)
        assert self.gate.wait(30)
        if self.trouble:
            raise self.trouble
        return self


def make_connector(shelves: dict[str, Shelf]) -> Connector:
    """The connector. Which shelf a connection has stands in its settings."""

    def shelf(context: Context) -> Shelf:
        return shelves[context.settings["shelf"]]

    return Connector(
        name="shelves",
        title="Shelves",
        description="For tests.",
        fields=(Field("shelf", "Shelf"),),
        tools=make_tools(shelf),
        sources=make_sources(shelf),
    )


def make_tools(shelf: Callable[[Context], Shelf]) -> tuple[Tool, ...]:
    """What an assistant can do with a shelf."""

    @tool(title="Find books", reads=True, core=True)
    def book_find(context: Context, words: str) -> dict:
        """Find books."""
        return {"books": [hit.title for hit in shelf(context).books if words in hit.title]}

    @tool(title="Read slips", reads=True)
    def slip_read(context: Context) -> dict:
        """Read all slips."""
        return dict(shelf(context).slips)

    @tool(title="Burn books", destructive=True)
    def book_burn(context: Context) -> str:
        """Burn all books."""
        return "They burn."

    return book_find, slip_read, book_burn


def make_sources(shelf: Callable[[Context], Shelf]) -> tuple[Source, ...]:
    """What of it can be searched."""

    def find_books(context: Context, query: str, limit: int) -> list[Hit]:
        return [hit for hit in shelf(context).open(query).books if query in hit.title]

    def read_book(context: Context, item_id: str) -> Document:
        found = [hit for hit in shelf(context).open(item_id).books if hit.id == item_id]
        if not found:
            raise ToolError("There is no such book.")
        return Document(found[0].title, "A long story.", found[0].url, {"pages": "300"})

    def find_slips(context: Context, query: str, limit: int) -> list[Hit]:
        return [Hit(name, f"Slip {name}") for name, text in shelf(context).open(query).slips.items() if query in text]

    def read_slip(context: Context, item_id: str) -> Document:
        return Document(f"Slip {item_id}", shelf(context).open(item_id).slips[item_id])

    return (
        Source("book", "books", find_books, read_book, ("book_find",)),
        Source("slip", "slips", find_slips, read_slip, ("slip_read",)),
    )

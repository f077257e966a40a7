"""Sayings: a connector whose things `search` and `fetch` find, in one file. It is loaded only if CUSTOM_DIR names this folder."""

from __future__ import annotations

from errors import ToolError
from sources import Document, Hit, Source, rank_by_words
from tools import Connector, Context, Field, tool


@tool(title="List sayings", reads=True)
def sayings_list(context: Context) -> dict:
    """List the sayings that this person likes."""
    return {"sayings": context.settings["sayings"]}


def find(context: Context, query: str, limit: int) -> list[Hit]:
    """The sayings that hold the words. Their numbers are their ids; without an address, each gets a page of Postern's."""
    numbered = list(enumerate(context.settings["sayings"], start=1))
    return [Hit(str(number), text) for number, text in rank_by_words(numbered, query, lambda item: ("", item[1]), limit)]


def read(context: Context, item_id: str) -> Document:
    """One of them. Ids come from outside, so they may be anything."""
    sayings = context.settings["sayings"]
    if not item_id.isdecimal() or not 1 <= int(item_id[:9]) <= len(sayings):
        raise ToolError("There is no such saying.")
    return Document(f"Saying {item_id}", sayings[int(item_id) - 1])


CONNECTOR = Connector(
    name="sayings",
    title="Sayings",
    description="Finds sayings. An example of a connector that can be searched.",
    fields=(Field("sayings", "Sayings, one on each line", kind="lines", default="Many hands make light work."),),
    tools=(sayings_list,),
    sources=(Source("saying", "sayings", find, read, needs=("sayings_list",)),),
)

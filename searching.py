"""`search` and `fetch` over all that a grant sees, in the shape that ChatGPT demands. Knows no connector and no web server.

An id is `<connection>:<kind>:<the source's own id>`. It comes from outside: only what is among the places of this grant is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

from errands import Errand, Errands, Job, take_turns
from errors import FetchError, NotFound, ProtocolError, ToolError, UpstreamRefused
from listings import Shown, list_tool
from shelf import Item, is_granted
from sources import Document, Hit, Source
from store.connections import Connection
from store.members import Member
from store.profile_features import UNCHANGED
from their_search import FindReader, list_their_sources
from tools import Call, Connector, Context, Result, Tool
from views import View

SEARCH_SECONDS = 20.0  # for all sources together: ChatGPT gives up after a minute
FETCH_SECONDS = 40.0
EACH_MAX, ALL_MAX = 10, 50  # results
QUERY_MAX, ID_MAX, TITLE_MAX, URL_MAX, TEXT_MAX = 1_000, 4_000, 200, 2_000, 100_000
NOTICE = "not-searched"  # the kind of what stands for a source that did not answer
UNKNOWN = "There is nothing under this id, or no longer. Use an id that `search` has answered."

HOUSE = Connection("postern", "", "postern", "Postern", {}, frozenset(), 0, 0)
Open = Callable[[Item, Call], Context]


@dataclass(frozen=True)
class Place:
    """A source in one connection; `item` is one of the tools by which the caller may reach it."""

    item: Item
    source: Source

    @property
    def key(self) -> tuple[str, str]:
        """What stands for it in ids."""
        return self.item.connection.id, self.source.kind

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.item.connection.name}, {self.source.label}"


def list_places(items: Iterable[Item], connectors: Mapping[str, Connector], find_reader: FindReader) -> list[Place]:
    """Where somebody who may use these tools can search, in their order."""
    owned: dict[str, dict[str, Item]] = {}
    for item in items:
        owned.setdefault(item.connection.id, {})[item.key[2]] = item
    places: list[Place] = []
    for tools in owned.values():
        connector = connectors[next(iter(tools.values())).connection.connector]
        for source in connector.sources:
            if tools.keys() >= set(source.needs):
                places.append(Place(tools[source.needs[0]], source))
        theirs = [item for item in tools.values() if item.source is not None]
        places += [Place(item, source) for item, source in list_their_sources(theirs, find_reader)]
    return places


def count_own_tools(
    items: Iterable[Item], connectors: Mapping[str, Connector], joining: Connector | None, kinds: frozenset[str]
) -> int:
    """How many of `search` and `fetch` a grant of these kinds gets: both, or none; `joining` is about to get a connection."""
    granted = [item for item in items if is_granted("tool", item.feature, kinds)]
    new = {tool.name for tool in joining.tools if is_granted("tool", tool, kinds)} if joining else set()
    is_new = joining is not None and any(new.issuperset(source.needs) for source in joining.sources)
    return 2 if is_new or list_places(granted, connectors, lambda uri: None) else 0


class Finder:
    """Searches the places of one grant. `address` makes the address of a page of ours that shows what an id stands for."""

    def __init__(
        self,
        places: Iterable[Place],
        open_context: Open,
        errands: Errands,
        address: Callable[[str], str],
        *,
        seconds: float = SEARCH_SECONDS,
    ):
        self._places = {place.key: place for place in places}
        self._open, self._errands, self._address, self._seconds = open_context, errands, address, seconds

    # --- search ---

    def search(self, query: str, call: Call) -> Result:
        """What all places find, in turns. One that fails or is slow is named at the end; if all fail, it is an error."""
        query = " ".join(query.split())
        if not query or len(query) > QUERY_MAX:
            raise ToolError(f"A query has at least one and at most {QUERY_MAX} characters.")
        places = list(self._places.values())
        jobs = [Job(place.key, partial(self._ask, place, query)) for place in places]
        answers = self._errands.run_all(jobs, call, seconds=self._seconds)
        failed = [(place, answer) for place, answer in zip(places, answers, strict=True) if isinstance(answer, ToolError)]
        if len(failed) == len(places):
            raise ToolError("Nothing could be searched. " + " ".join(f"{place.label}: {bare(error)}." for place, error in failed))
        found = [answer for answer in answers if not isinstance(answer, ToolError)]
        results = list(islice(drop_repeated(take_turns(found)), ALL_MAX))
        results += [self._shape(place.key[0], NOTICE, show_failure(place, error)) for place, error in failed]
        missing = [{"source": place.label, "reason": str(error)} for place, error in failed]
        return Result({"results": results}, meta={"postern/notSearched": missing} if missing else None)

    def _ask(self, place: Place, query: str, errand: Call) -> list[dict[str, str]]:
        """What one place finds, as results."""
        hits = place.source.search(self._open(place.item, errand), query, EACH_MAX)
        return [self._shape(*place.key, hit) for hit in hits[:EACH_MAX]]

    def _shape(self, connection_id: str, kind: str, hit: Hit) -> dict[str, str]:
        item_id = f"{connection_id}:{kind}:{hit.id}"
        url = hit.url if is_absolute(hit.url) else self._address(item_id)
        return {"id": item_id, "title": one_line(hit.title, TITLE_MAX) or "Without a title", "url": url}

    # --- fetch ---

    def fetch(self, item_id: str, call: Call) -> Result:
        """What stands behind an id, whole."""
        try:
            found = self.find(item_id, call)
        except NotFound:
            raise ToolError(UNKNOWN) from None
        url = found.url or self._address(item_id)
        shaped = {"id": item_id, "title": found.title, "text": found.text, "url": url, "metadata": dict(found.metadata)}
        return Result(shaped)

    def find(self, item_id: str, call: Call, *, seconds: float = FETCH_SECONDS) -> Document:
        """The document behind an id; its `url` is absolute, or ''. Raises NotFound, or ToolError if it cannot be had now."""
        connection_id, _, rest = item_id.partition(":")
        kind, _, own_id = rest.partition(":")
        if len(item_id) > ID_MAX or not own_id:
            raise NotFound("no such id")
        if kind == NOTICE and (place := self._places.get((connection_id, own_id))):
            return explain_failure(place)
        place = self._places.get((connection_id, kind))
        if place is None:
            raise NotFound("no such place")
        context = self._open(place.item, Errand(seconds, call.cancelled))
        try:
            found = place.source.fetch(context, own_id)
        except (ProtocolError, UpstreamRefused, FetchError) as error:
            raise ToolError(f"{place.label} could not be read: {error}") from None
        return tidy(found, place)


def drop_repeated(results: Iterable[dict[str, str]]) -> Iterable[dict[str, str]]:
    """Each thing once: two results with one address are one thing, whoever found it."""
    seen: set[str] = set()
    for result in results:
        names = {result["id"], plain_address(result["url"])}
        if names.isdisjoint(seen):
            yield result
        seen |= names


def tidy(found: Document, place: Place) -> Document:
    """A document within limits, that says where it is from."""
    metadata = {str(name)[:100]: str(value)[:1000] for name, value in list(found.metadata.items())[:30]}
    text = found.text
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}\n\n(Cut here: it goes on for {len(found.text) - TEXT_MAX} characters.)"
    url = found.url if is_absolute(found.url) else ""
    title = one_line(found.title, TITLE_MAX) or "Without a title"
    return Document(title, text, url, {"source": place.label} | metadata)


# --- what could not be searched ---


def show_failure(place: Place, error: ToolError) -> Hit:
    """What stands among the results for a source that did not answer: a model sees nothing else."""
    return Hit(place.source.kind, f"Not searched: {place.label} ({bare(error)})")


def bare(error: ToolError) -> str:
    """A reason, without the dot at its end."""
    return str(error).rstrip(".")


def explain_failure(place: Place) -> Document:
    """What is behind that."""
    text = (
        f"{place.label}: this source did not answer when you searched, so nothing of it is among the results. It may answer if "
        "you search again. If it does not, let the person look at this connection in Postern."
    )
    return Document(f"Not searched: {place.label}", text, "", {"source": place.label})


# --- texts and addresses ---


def is_absolute(url: str) -> bool:
    """Whether it is an address that a person can follow, on the web, that holds no password."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and len(url) <= URL_MAX
            and url.isprintable()
            and not set(url) & set(" <>\"\\")
        )
    except ValueError:
        return False


def plain_address(url: str) -> str:
    """An address without what makes no difference. A fragment does: there are services that keep all behind it."""
    parts = urlsplit(url)
    return parts._replace(scheme="https", netloc=parts.netloc.lower(), path=parts.path.rstrip("/")).geturl()


def one_line(text: str, longest: int) -> str:
    """A text on one line, cut if need be."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def address_of(public_url: str, slug: str, item_id: str) -> str:
    """Where the page is that shows what an id stands for."""
    return f"{public_url}/found/{slug}?id={quote(item_id, safe='')}"


# --- the two tools ---

TEXT = {"type": "string"}
SCHEMAS = {  # (input, output); assistants hold them against their own, so there is not a word more in them
    "search": (
        {"type": "object", "properties": {"query": TEXT}, "required": ["query"]},
        {
            "type": "object",
            "properties": {
                "results": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"id": TEXT, "title": TEXT, "url": TEXT},
                        "required": ["id", "title", "url"],
                    },
                }
            },
            "required": ["results"],
        },
    ),
    "fetch": (
        {"type": "object", "properties": {"id": TEXT}, "required": ["id"]},
        {
            "type": "object",
            "properties": {
                "id": TEXT,
                "title": TEXT,
                "text": TEXT,
                "url": TEXT,
                "metadata": {"type": "object", "additionalProperties": TEXT},
            },
            "required": ["id", "title", "text", "url"],
        },
    ),
}


def make_tools(finder: Finder, places: Iterable[Place]) -> dict[str, Tool]:
    """`search` and `fetch`, by their names."""
    where = "; ".join(place.label for place in places)
    search = declare(
        "search",
        "Search everything",
        f"Search all that this person has connected, at once, with a few words. Searched: {one_line(where, 600)}. Answers ids, "
        "titles and addresses; `fetch` has the texts.",
        lambda context, arguments: finder.search(arguments["query"], context.call),
    )
    fetch = declare(
        "fetch",
        "Fetch a result",
        "Read what `search` has found, whole, by its id.",
        lambda context, arguments: finder.fetch(arguments["id"], context.call),
    )
    return {"search": search, "fetch": fetch}


def declare(name: str, title: str, description: str, run: Callable[[Context, dict[str, Any]], Result]) -> Tool:
    """One of them."""
    asked, answered = SCHEMAS[name]
    facts = {"reads": True, "idempotent": True, "open_world": True, "core": True}
    return Tool(name, title, description, asked, run, answered, **facts)


def with_search(view: View, finder: Finder, places: list[Place]) -> View:
    """A view that has the two tools as well, before all others: some assistants read only the beginning of a list."""
    member = Member(HOUSE.id, HOUSE.connector, HOUSE.name, "")
    made = make_tools(finder, places)
    items = {name: Item("tool", (HOUSE.id, "tool", name), tool, HOUSE, member, UNCHANGED) for name, tool in made.items()}
    listed = [list_tool(tool, Shown(name, member, UNCHANGED)) for name, tool in made.items()]
    listings = {shelf: [*listed, *rows] if shelf in ("tools", "old tools") else rows for shelf, rows in view.listings.items()}
    return replace(view, tools={**items, **view.tools}, listings=listings)

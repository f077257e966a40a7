"""A tool of another MCP server as a source: which argument takes the query, and what of its result was found. Asks nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from errors import NotFound, ToolError
from listings import exposed_uri
from naming import short_key
from shelf import Item
from sources import Document, Hit, Source
from store.features import Feature
from tools import Context
from views import Reader

QUERY_NAMES = ("query", "q")
FindReader = Callable[[str], Reader | None]


# --- which tools fit ---


def find_role(raw: Mapping[str, Any]) -> str:
    """What a tool can do for us: `search` takes a query, `fetch` an id and nothing else; '' for what has other needs."""
    schema = raw.get("inputSchema")
    required = schema.get("required", []) if isinstance(schema, dict) else []
    if required == ["id"] and takes_text(schema, "id"):
        return "fetch"
    return "search" if find_query_argument(schema) else ""


def find_query_argument(schema: Any) -> str | None:
    """The argument that takes the query: `query` or `q` if nothing else is required, else the one required text."""
    if not isinstance(schema, dict):
        return None
    required = schema.get("required", [])
    for name in QUERY_NAMES:
        if takes_text(schema, name) and set(required) <= {name}:
            return name
    return required[0] if len(required) == 1 and takes_text(schema, required[0]) else None


def takes_text(schema: Mapping[str, Any], name: str) -> bool:
    """Whether an argument takes any text."""
    properties = schema.get("properties")
    described = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(described, dict) or "enum" in described or "const" in described:
        return False
    kinds = described.get("type")
    return kinds == "string" or (isinstance(kinds, list) and "string" in kinds)


def is_marked(stored: Feature | None, role: str) -> bool:
    """Whether a person lets us use a tool so, as its server defines it now."""
    return stored is not None and stored.is_searchable and find_role(stored.raw) == role


# --- as a source ---


def list_their_sources(items: Iterable[Item], find_reader: FindReader) -> Iterator[tuple[Item, Source]]:
    """The sources that a person has marked among some tools of one connection; what one finds, a marked `fetch` reads."""
    items = list(items)
    readers = [item for item in items if is_marked(item.stored, "fetch")]
    reader = next((item for item in readers if item.stored.name == "fetch"), readers[0] if readers else None)
    for item in items:
        if is_marked(item.stored, "search"):
            theirs = TheirSource(item, reader, find_reader)
            label = item.feature.title or item.stored.name
            needs = tuple(one.stored.name for one in (item, reader) if one)
            yield item, Source(short_key("tool", item.stored.name), label, theirs.search, theirs.fetch, needs)


class TheirSource:
    """A searching tool of another server. An id says how what it stands for is read, and what for:

    `f:<id>` by the server's tool that fetches; `r:<URI>` as a resource; `i:<id>:<query>` and `q:<query>` by searching again, for
    servers whose results are all that there is.
    """

    def __init__(self, item: Item, reader: Item | None, find_reader: FindReader):
        self._item, self._reader, self._find_reader = item, reader, find_reader
        self._argument = find_query_argument(item.stored.raw["inputSchema"]) or ""
        self._ways = {"f": self._fetch_by_tool, "r": self._fetch_resource, "i": self._fetch_again, "q": self._fetch_text}

    def search(self, context: Context, query: str, limit: int) -> list[Hit]:
        """What the tool finds."""
        result = self._ask(context, query)
        way = "f:" if self._reader else "i:"
        end = "" if self._reader else ":" + quote(query, safe="")
        found = [
            Hit(way + (entry["id"] if self._reader else quote(entry["id"], safe="")) + end, entry["title"], entry["url"])
            for entry in read_entries(result)
        ]
        links = [Hit("r:" + link["uri"], title_of(link), link["uri"]) for link in read_links(result)]
        if not found and not links and text_of(result):
            return [Hit("q:" + query, f"{self._title}: {query}")]
        return (found or links)[:limit]

    def fetch(self, context: Context, item_id: str) -> Document:
        """What stands behind an id of ours. Raises NotFound for one that we never made."""
        way, _, rest = item_id.partition(":")
        if way not in self._ways or not rest:
            raise NotFound("no such id")
        return self._ways[way](context, rest)

    @property
    def _title(self) -> str:
        return self._item.feature.title or self._item.stored.name

    def _ask(self, context: Context, query: str) -> dict[str, Any]:
        return self._call(self._item, context, {self._argument: query})

    def _call(self, item: Item, context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        source = item.source
        result = source.forward.call_tool(source.connection, item.stored.name, arguments, {}, context.call)
        if result.get("isError") is True:
            raise ToolError("its tool answered with an error")
        return result

    # --- ways to read ---

    def _fetch_by_tool(self, context: Context, item_id: str) -> Document:
        if self._reader is None:
            raise NotFound("nothing reads it")
        result = self._call(self._reader, context, {"id": item_id})
        found = next((shape for shape in read_objects(result) if isinstance(shape.get("text"), str)), None)
        if found is None:
            return Document(item_id, text_of(result))
        facts = found.get("metadata") if isinstance(found.get("metadata"), dict) else {}
        metadata = {str(name): as_text(value) for name, value in facts.items()}
        return Document(as_text(found.get("title")) or item_id, found["text"], as_text(found.get("url")), metadata)

    def _fetch_resource(self, context: Context, uri: str) -> Document:
        """A resource that a result linked to, as far as this caller may read it: of this server, and of no other."""
        prefix = self._item.member.prefix
        reader = self._find_reader(exposed_uri(prefix, uri) if prefix else uri)
        result = reader.read(context) if reader and reader.item.connection.id == self._item.connection.id else None
        if result is None:
            raise NotFound("no such resource")
        return Document(uri, "\n\n".join(map(show_contents, result["contents"])), uri)

    def _fetch_again(self, context: Context, rest: str) -> Document:
        wanted, _, query = map(unquote, rest.partition(":"))
        for entry in read_entries(self._ask(context, query)):
            if entry["id"] == wanted:
                return Document(entry["title"], entry["text"], entry["url"])
        raise NotFound("it is found no more")

    def _fetch_text(self, context: Context, query: str) -> Document:
        return Document(f"{self._title}: {query}", text_of(self._ask(context, query)))


# --- what a result says ---


def read_objects(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a result: its structured content, then what its texts hold."""
    if isinstance(result.get("structuredContent"), dict):
        yield result["structuredContent"]
    for block in blocks_of(result):
        if block.get("type") == "text":
            try:
                found = json.loads(block.get("text") or "")
            except (ValueError, RecursionError, TypeError):
                continue
            if isinstance(found, dict):
                yield found


def read_entries(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """The results of a search in the usual shape, {"results": [{"id", "title", "url"}]}, each with all it says as its text."""
    for shape in read_objects(result):
        if isinstance(shape.get("results"), list):
            return [as_entry(item) for item in shape["results"] if isinstance(item, dict) and as_text(item.get("id"))]
    return []


def as_entry(item: Mapping[str, Any]) -> dict[str, str]:
    """One of them."""
    text = item.get("text") if isinstance(item.get("text"), str) else json.dumps(item, ensure_ascii=False, indent=1)
    return {"id": as_text(item["id"]), "title": as_text(item.get("title")), "url": as_text(item.get("url")), "text": text}


def read_links(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resources that a result links to or brings with it."""
    found = []
    for block in blocks_of(result):
        link = block.get("resource") if block.get("type") == "resource" else block
        if block.get("type") in ("resource", "resource_link") and isinstance(link, dict) and isinstance(link.get("uri"), str):
            found.append(link)
    return found


def title_of(link: Mapping[str, Any]) -> str:
    """What a link is called."""
    return as_text(link.get("title")) or as_text(link.get("name")) or link["uri"]


def text_of(result: Mapping[str, Any]) -> str:
    """What a result says as text."""
    return "\n\n".join(block["text"] for block in blocks_of(result) if isinstance(block.get("text"), str))


def blocks_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content blocks of a result."""
    content = result.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def show_contents(contents: Mapping[str, Any]) -> str:
    """What a resource holds, as text."""
    if isinstance(contents.get("text"), str):
        return contents["text"]
    return f"({contents.get('mimeType') or 'something'} that is no text)"


def as_text(value: Any) -> str:
    """A member that should be a text; a number or the like becomes one, nothing is ''."""
    if value is None or isinstance(value, dict | list):
        return ""
    return str(value)

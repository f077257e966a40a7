"""MCP servers to pick from: the list that Postern brings along, and a registry's if one is set. Makes no connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from definition_texts import read_definitions
from errors import FetchError, InvalidInput
from fetch import OWNER, Fetcher
from server_definitions import Definition
from tools import Cache

FRESH_SECONDS, KEEP_SECONDS = 6 * 3600, 90 * 86400
PAGES_MAX, BYTES_MAX = 60, 16 * 1024 * 1024
CACHE_KEY = "registry"


@dataclass(frozen=True)
class Entry:
    """One server to pick: `source` is catalogue or registry, `text` the document from which a connection is made."""

    source: str
    definition: Definition
    text: str

    @property
    def id(self) -> str:
        """By which it is picked."""
        return f"{self.source}:{self.definition.key}"

    @property
    def words(self) -> str:
        """What a search looks through."""
        item = self.definition
        return " ".join((item.key, item.title, item.description, *item.tags)).lower()


class KnownServers:
    """The entries of both lists. The registry's are fetched by a job, and served from the copy while it is away."""

    def __init__(self, folder: Path, registry_url: str | None, fetch: Fetcher, cache: Cache):
        self._own = load_folder(folder)
        self._registry_url, self._fetch, self._cache = registry_url, fetch, cache
        self._lock = threading.Lock()
        self._copy: tuple[int, list[Entry]] = (0, [])  # when it was fetched, and what it held

    @property
    def registry_host(self) -> str | None:
        """Where the registry is; None if none is set."""
        return urlsplit(self._registry_url).hostname if self._registry_url else None

    def search(self, words: str) -> list[Entry]:
        """The entries that hold all these words; our own list first."""
        wanted = words.lower().split()
        return [item for item in [*self._own, *self.list_registry()] if all(word in item.words for word in wanted)]

    def find(self, entry_id: str) -> Entry | None:
        """One entry."""
        return next((item for item in [*self._own, *self.list_registry()] if item.id == entry_id), None)

    def list_registry(self) -> list[Entry]:
        """What the registry held when it was last fetched."""
        if not self._registry_url:
            return []
        with self._lock:
            copy = self._cache.get(self._key())
            if copy and copy.fetched_at != self._copy[0]:
                self._copy = (copy.fetched_at, read_entries(copy.value["rows"]))
            return self._copy[1]

    def fetched_at(self) -> int | None:
        """When the registry was last fetched; None if it never was."""
        self.list_registry()
        return self._copy[0] or None

    def refresh(self) -> None:
        """Fetch the registry, unless it has not changed. Raises FetchError; the old copy stays then."""
        if not self._registry_url:
            return
        old = self._cache.get(self._key())
        tag = old.value["etag"] if old else None
        rows, new_tag = self._fetch_rows(tag)
        if rows is None:
            rows, new_tag = old.value["rows"], tag
        self._cache.put(self._key(), {"etag": new_tag, "rows": rows}, fresh_seconds=FRESH_SECONDS, keep_seconds=KEEP_SECONDS)

    def _key(self) -> str:
        return f"{CACHE_KEY} {self._registry_url}"

    def _fetch_rows(self, tag: str | None) -> tuple[list[Any] | None, str | None]:
        """Every row, page by page, and the ETag of the first page; (None, …) if nothing has changed since `tag`."""
        rows: list[Any] = []
        cursor, new_tag = None, None
        for number in range(PAGES_MAX):
            headers = {"If-None-Match": tag} if tag and number == 0 else {}
            answer = self._fetch.request(
                "GET", add_cursor(self._registry_url, cursor), trust=OWNER, headers=headers, max_bytes=BYTES_MAX
            )
            if answer.status == 304 and number == 0:  # RFC 9110 §15.4.5
                return None, tag
            if answer.status != 200:
                raise FetchError(f"{answer.host} answered with status {answer.status}.")
            found, cursor = read_page(answer.json(), answer.host)
            new_tag = new_tag or (answer.headers.get("ETag") if number == 0 else None)
            rows += found
            if not cursor:
                break
        return rows, None if number else new_tag  # a tag speaks for one page only


def add_cursor(url: str, cursor: str | None) -> str:
    """The address of a page of the list."""
    return url if cursor is None else f"{url}{'&' if '?' in url else '?'}{urlencode({'cursor': cursor})}"


def read_page(value: Any, host: str) -> tuple[list[Any], str | None]:
    """The rows of a page, and where the next one begins: a list, or `servers` with `metadata.nextCursor`."""
    if isinstance(value, list):
        return value, None
    rows = value.get("servers") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise FetchError(f"{host} answered with something that is not a list of servers.")
    metadata = value.get("metadata") or {}
    cursor = metadata.get("nextCursor") or metadata.get("next_cursor") if isinstance(metadata, dict) else None
    return rows, cursor if isinstance(cursor, str) and cursor else None


def read_entries(rows: Iterable[Any]) -> list[Entry]:
    """The rows that describe a server that can be used here; of several versions the latest."""
    found: dict[str, Entry] = {}
    for row in rows:
        if not isinstance(row, dict) or is_withdrawn(row):
            continue
        text = json.dumps(row)
        try:
            for definition in read_definitions(text):
                found[definition.key] = Entry("registry", definition, text)
        except InvalidInput:
            continue
    return sorted(found.values(), key=lambda item: item.definition.name.lower())


def is_withdrawn(row: Mapping[str, Any]) -> bool:
    """Whether a row of the official registry is an old version, or deleted."""
    facts = (
        (row.get("_meta") or {}).get("io.modelcontextprotocol.registry/official") if isinstance(row.get("_meta"), dict) else None
    )
    return isinstance(facts, dict) and (facts.get("isLatest") is False or facts.get("status") == "deleted")


def load_folder(folder: Path) -> list[Entry]:
    """Every definition of a folder, a file each. Raises InvalidInput with the file's name if one cannot be read."""
    entries = []
    for path in sorted(folder.glob("*.json")):
        text = path.read_text()
        try:
            (definition,) = read_definitions(text)
        except (InvalidInput, ValueError) as error:
            raise InvalidInput(f"{path.name}: {error}") from None
        entries.append(Entry("catalogue", definition, text))
    return sorted(entries, key=lambda item: item.definition.name.lower())

"""known_servers.py: our own list is sound; a registry's is fetched, kept, and served while it is away. No server is called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, ROOT

from connectors.catalog import CONNECTORS
from crypto import Vault
from db import Database
from definition_texts import read_definitions
from errors import FetchError, InvalidInput
from fetch import OWNER, Response
from forms import read_draft
from known_servers import KnownServers, load_folder
from server_definitions import find_unpinned, with_inputs
from store.cache import ScopedCache

URL = "https://registry.example/v0/servers?version=latest"
OFFICIAL = "io.modelcontextprotocol.registry/official"


class Registry:
    """A registry in the place of the network: `pages` by their cursor, with an ETag."""

    def __init__(self, *pages: Any, tag: str | None = None, status: int = 200):
        self.pages, self.tag, self.status = pages, tag, status
        self.asked: list[tuple[str, dict[str, str]]] = []

    def request(self, method: str, url: str, *, trust: Any, headers: dict[str, str], max_bytes: int) -> Response:
        assert (method, trust) == ("GET", OWNER)
        self.asked.append((url, headers))
        if self.tag and headers.get("If-None-Match") == self.tag:
            return Response(304, {}, b"", "registry.example")
        number = re.search(r"cursor=(\d)", url)
        body = json.dumps(self.pages[int(number[1]) if number else 0]).encode()
        return Response(self.status, {"ETag": self.tag} if self.tag else {}, body, "registry.example")


class Away:
    """A registry that does not answer."""

    def request(self, *_arguments: Any, **_options: Any) -> Response:
        raise FetchError("registry.example did not answer in time.")


def row(name: str, version: str = "1.0.0", **facts: Any) -> dict[str, Any]:
    """An entry of the official registry."""
    remotes = [{"type": "streamable-http", "url": f"https://{version}.{name.replace('/', '.')}.example/mcp"}]
    return {
        "server": {"name": name, "description": f"About {name}.", "version": version, "remotes": remotes},
        "_meta": {OFFICIAL: facts},
    }


@pytest.fixture
def known(db: Database, vault: Vault) -> Callable[..., KnownServers]:
    """Makes lists with a registry behind them, over one database."""
    return lambda registry, url=URL: KnownServers(
        ROOT / "catalogue", url, registry, ScopedCache(db, vault, "shared", lambda: NOW)
    )


def from_registry(servers: KnownServers) -> list[str]:
    """The names that came from there."""
    return [entry.definition.key for entry in servers.list_registry()]


# --- our own list ---

OWN = sorted((ROOT / "catalogue").glob("*.json"))


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_each_entry_of_our_list_is_sound(path: Path):
    (found,) = read_definitions(path.read_text())
    assert found.key == path.stem
    assert re.fullmatch(r"[a-z0-9]+\.[a-z0-9][a-z0-9-]*", found.key)
    assert found.title
    assert found.description.endswith(".")
    assert found.link.startswith("https://")
    assert found.tags
    assert found.left_out == ()
    assert find_unpinned(found.settings.get("command", ""), found.settings.get("args", ())) is None
    form = with_inputs(CONNECTORS[found.kind], found.inputs, ())
    filled = found.to_typed(form.fields) | {f"input:{item.id}": item.default or "https://x.example" for item in found.inputs}
    assert read_draft(form, filled).connector == found.kind


def test_our_list_is_small_and_has_both_kinds():
    entries = load_folder(ROOT / "catalogue")
    assert 10 <= len(entries) <= 25
    assert {entry.definition.kind for entry in entries} == {"remote_http", "stdio"}
    assert len({entry.id for entry in entries}) == len(entries)


def test_a_broken_entry_is_named(tmp_path: Path):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"^bad\.json: This is no description of a server"):
        load_folder(tmp_path)


def test_a_search_finds_all_words_wherever_they_stand(known: Callable[..., KnownServers]):
    servers = known(Registry(), url=None)
    assert [entry.definition.title for entry in servers.search("documentation cloudflare")] == ["Cloudflare documentation"]
    assert servers.search("GITHUB issues")[0].id == "catalogue:com.github-mcp"
    assert servers.search("nobody has this") == []
    assert len(servers.search("")) == len(OWN)
    assert servers.find("catalogue:com.github-mcp").definition.title == "GitHub"
    assert servers.find("catalogue:unknown") is None


# --- a registry ---


def test_without_a_registry_nothing_is_fetched(known: Callable[..., KnownServers]):
    registry = Registry()
    servers = known(registry, url=None)
    servers.refresh()
    assert (registry.asked, servers.list_registry(), servers.registry_host, servers.fetched_at()) == ([], [], None, None)


def test_every_page_is_fetched_and_searched_with_our_own(known: Callable[..., KnownServers]):
    first = {"servers": [row("io.a/wiki"), row("io.b/mail")], "metadata": {"nextCursor": "1"}}
    registry = Registry(first, {"servers": [row("io.c/wiki")], "metadata": {"nextCursor": None}})
    servers = known(registry)
    assert (from_registry(servers), servers.fetched_at()) == ([], None)
    servers.refresh()
    assert [url for url, _ in registry.asked] == [URL, URL + "&cursor=1"]
    assert from_registry(servers) == ["io.a/wiki", "io.b/mail", "io.c/wiki"]
    assert [entry.id for entry in servers.search("wiki")][-2:] == ["registry:io.a/wiki", "registry:io.c/wiki"]
    assert (servers.fetched_at(), servers.registry_host) == (NOW, "registry.example")


def test_the_copy_is_served_while_the_registry_is_away_and_by_other_workers(known: Callable[..., KnownServers]):
    known(Registry({"servers": [row("io.a/wiki")]})).refresh()
    other = known(Away())
    with pytest.raises(FetchError, match="did not answer in time"):
        other.refresh()
    assert from_registry(other) == ["io.a/wiki"]


def test_what_has_not_changed_is_not_fetched_again(known: Callable[..., KnownServers]):
    registry = Registry({"servers": [row("io.a/wiki")]}, tag='"v1"')
    servers = known(registry)
    for _ in range(3):
        servers.refresh()
    assert [headers for _, headers in registry.asked] == [{}, {"If-None-Match": '"v1"'}, {"If-None-Match": '"v1"'}]
    assert from_registry(servers) == ["io.a/wiki"]
    registry.tag, registry.pages = '"v2"', ({"servers": [row("io.b/mail")]},)
    fresh = known(registry)
    fresh.refresh()
    assert from_registry(fresh) == ["io.b/mail"]


def test_old_versions_and_withdrawn_servers_are_left_out(known: Callable[..., KnownServers]):
    rows = [row("io.a/wiki", "2.0.0", isLatest=True), row("io.a/wiki", isLatest=False), row("io.b/gone", status="deleted")]
    servers = known(Registry({"servers": rows}))
    servers.refresh()
    (entry,) = servers.list_registry()
    assert entry.definition.settings["url"] == "https://2.0.0.io.a.wiki.example/mcp"


@pytest.mark.parametrize(
    "junk", [5, None, "x", {}, {"server": 5}, {"server": {"name": 5}}, {"server": {"name": "x", "remotes": [5]}}]
)
def test_a_row_that_is_junk_is_left_out_and_the_others_stay(known: Callable[..., KnownServers], junk: Any):
    servers = known(Registry({"servers": [junk, row("io.a/wiki")]}))
    servers.refresh()
    assert from_registry(servers) == ["io.a/wiki"]


def test_another_kind_of_bundle_is_read_too(known: Callable[..., KnownServers]):
    definition = json.loads(OWN[0].read_text()) | {"id": "org.theirs"}
    for bundle in ({"servers": [definition]}, [definition]):
        servers = known(Registry(bundle))
        servers.refresh()
        assert from_registry(servers) == ["org.theirs"]


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        (Registry({"hello": 1}), "registry.example answered with something that is not a list of servers."),
        (Registry([], status=500), "registry.example answered with status 500."),
    ],
)
def test_an_answer_that_is_no_list_is_an_error(known: Callable[..., KnownServers], registry: Registry, sentence: str):
    with pytest.raises(FetchError) as refusal:
        known(registry).refresh()
    assert str(refusal.value) == sentence


def test_a_registry_without_an_end_is_given_up(known: Callable[..., KnownServers]):
    registry = Registry({"servers": [row("io.a/wiki")], "metadata": {"nextCursor": "0"}})
    known(registry).refresh()
    assert len(registry.asked) == 60

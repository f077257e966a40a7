"""What one grant may see of a profile, prepared: lists as they are sent, and the way from a name or URI to what is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from argument_checks import Checker, own_checker, strange_checker
from errors import ProtocolError, UpstreamRefused
from feature_checks import fits
from forwarded import Source
from listings import match_template, may_match, uri_prefix
from shelf import SHELVES, Entry, Item, is_granted
from tools import Context

OLD_VERSION = "2025-11-25"  # the newest of the handshake era; the older ones want the same of lists
PLAIN = frozenset({"type", "title", "description"})  # members of a schema that are read alike everywhere
NOT_FOUND = (-32002, -32602)  # how servers of either era say that they have no such resource


@dataclass(frozen=True)
class Reader:
    """What reads one URI, through which connection."""

    item: Item
    read: Callable[[Context], Any]  # answers contents; for another server's the whole result, or None


@dataclass(frozen=True)
class Server:
    """Another server in a profile. It may have more resources than it lists, such as those that a tool's result links to."""

    item: Item  # any of its features that is shown
    source: Source
    hidden: tuple[str, ...]  # the URIs and templates that the person has switched off
    open: tuple[str, ...]  # the templates that are shown

    def read(self, context: Context, uri: str) -> dict[str, Any] | None:
        """Read a URI of the server's own that it does not list; None if it has none such, or if it is switched off."""
        return None if self.hides(uri) else read_there(self.source, context, uri)

    def hides(self, uri: str) -> bool:
        """Whether the person has switched a URI off that the server does not list."""
        return any(may_match(name, uri) for name in self.hidden) and not any(may_match(name, uri) for name in self.open)


@dataclass(frozen=True)
class Origin:
    """Where a URI leads whose changes may be told of: to another server, or to a resource of ours that can be marked."""

    item: Item
    uri: str  # as the server knows it
    mark: Callable[[Context], str] | None  # None: its server has to tell

    @property
    def key(self) -> tuple[str, str]:
        """One thing has one key, whatever it is called in a profile."""
        return self.item.connection.id, self.uri

    def expose(self, uri: str) -> str:
        """What a URI of the same server is called here."""
        source = self.item.source
        return source.expose(uri) if source and source.expose else uri


@dataclass(frozen=True)
class View:
    """All that one grant may see, or several that hold the same."""

    tools: Mapping[str, Item]
    prompts: Mapping[str, Item]
    resources: Mapping[str, Item]
    templates: Mapping[str, Item]
    listings: Mapping[str, list[dict[str, Any]]]
    checkers: dict[str, Checker | None]  # those that were needed so far
    servers: Mapping[str, Server]  # by what their URIs begin with here
    foreign: frozenset[str]  # what the URIs of all other connections begin with
    withheld: Mapping[str, str]  # tools that the grant includes and their connection does not offer, and why

    def find_checker(self, name: str) -> Checker | None:
        """What checks a tool's arguments; None if its own server has to. Made at the first call: most tools never have one."""
        if name not in self.checkers:
            item = self.tools[name]
            self.checkers[name] = (strange_checker if item.source else own_checker)(item.feature.input_schema)
        return self.checkers[name]

    def find_reader(self, uri: str) -> Reader | None:
        """What reads a URI: the resource of this name, else a template of ours, else the server to whom such URIs belong."""
        if item := self.resources.get(uri):
            if item.source is not None:
                return Reader(item, lambda context: read_there(item.source, context, item.feature.uri))
            return Reader(item, lambda context: item.feature.read(context, item.feature.uri))
        for template, found in self.templates.items():
            if found.source is None and (values := match_template(template, uri)) is not None:
                return read_template(found, uri, values)
        found = self._find_server(uri)
        return Reader(found[0].item, lambda context: found[0].read(context, found[1])) if found else None

    def find_origin(self, uri: str) -> Origin | None:
        """Where a URI leads, if somebody there may be able to say when it has changed."""
        if item := self.resources.get(uri):
            mark = None if item.source else item.feature.mark
            return Origin(item, item.feature.uri, mark) if item.source or mark else None
        found = self._find_server(uri)
        return Origin(found[0].item, found[1], None) if found and not found[0].hides(found[1]) else None

    def _find_server(self, uri: str) -> tuple[Server, str] | None:
        """The server to whom such URIs belong, and what it calls this one."""
        beginning = max((start for start in self.servers if uri.startswith(start)), key=len, default=None)
        if beginning is None or uri.startswith(tuple(self.foreign)):
            return None
        return self.servers[beginning], uri.removeprefix(beginning)


def read_there(source: Source, context: Context, uri: str) -> dict[str, Any] | None:
    """Read from another server; None if it says, in the words of its era, that it has no such resource."""
    try:
        return source.read(context, uri)
    except (ProtocolError, UpstreamRefused) as error:
        if error.code in NOT_FOUND:
            return None
        raise


def read_template(item: Item, uri: str, values: dict[str, str]) -> Reader:
    """What reads a URI that a template of ours made."""
    return Reader(item, lambda context: item.feature.read(context, uri, values))


def build_view(kinds: frozenset[str], entries: Iterable[Entry]) -> View:
    """List what the feature sets of these kinds include of a profile."""
    entries = list(entries)
    granted = [entry for entry in entries if is_granted(entry.item.kind, entry.item.feature, kinds)]
    shown = [entry for entry in granted if entry.is_shown]
    shelves: dict[str, dict[str, Item]] = {shelf: {} for shelf in SHELVES.values()}
    listings: dict[str, list[dict[str, Any]]] = {shelf: [] for shelf in SHELVES.values()}
    for entry in shown:
        shelf = SHELVES[entry.item.kind]
        shelves[shelf][entry.name] = entry.item
        listings[shelf].append(entry.listing())
    listings["old tools"] = [for_old_clients(listing) for listing in listings["tools"]]
    servers = list_servers(entries, shown)
    prefixes = {uri_prefix(entry.item.member.prefix) for entry in entries if entry.item.member.prefix}
    foreign = frozenset(prefixes - servers.keys())
    withheld = {entry.name: explain(entry.item) for entry in granted if entry.item.wanting and entry.item.change.is_enabled}
    return View(**shelves, listings=listings, checkers={}, servers=servers, foreign=foreign, withheld=withheld)


def explain(item: Item) -> str:
    """Why a tool is not offered: an assistant may still have it in an older list."""
    then = ", and sign in for it" if item.feature.scopes else ""
    return (
        f"The connection “{item.connection.name}” does not offer this tool. It takes “{item.wanting}”: its person can choose "
        f"that in the connection's form{then}."
    )


def for_old_clients(listing: dict[str, Any]) -> dict[str, Any]:
    """A tool as clients of the handshake era can read it: there, an output schema can only be of an object."""
    schema = listing.get("outputSchema")
    if schema is None or (schema.get("type") == "object" and schema.keys() <= PLAIN) or fits("tool", listing, OLD_VERSION):
        return listing
    return {name: value for name, value in listing.items() if name != "outputSchema"}


def list_servers(entries: list[Entry], shown: list[Entry]) -> dict[str, Server]:
    """The other servers of which anything is shown, by what their URIs begin with; '' is for the one without a prefix."""
    servers: dict[str, Server] = {}
    for entry in shown:
        item = entry.item
        beginning = uri_prefix(item.member.prefix) if item.member.prefix else ""
        if item.source is None or beginning in servers:
            continue
        own = [other.item for other in entries if other.item.connection is item.connection]
        hidden = tuple(other.key[2] for other in own if other.kind in ("resource", "template") and not other.change.is_enabled)
        open_ones = tuple(other.key[2] for other in own if other.kind == "template" and other.change.is_enabled)
        servers[beginning] = Server(item, item.source, hidden, open_ones)
    return servers

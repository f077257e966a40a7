"""All that a profile has: the features of its connections, ours and other servers', under their names there. Knows no grant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from db import Database
from forwarded import MAKERS, Forwarder, Source
from listings import LISTERS, Shown, exposed_uri, uri_prefix
from naming import Claim, settle_names
from store.connections import Connection, list_connections
from store.features import KINDS, Feature, list_features_of_profile
from store.looks import Look, list_looks
from store.members import Member, list_members
from store.profile_features import UNCHANGED, Change, Key, list_changes
from store.upstream_signins import list_scopes
from tools import Connector

NAMED_KINDS = ("tool", "prompt")  # the others are known by their URIs
SHELVES = {"tool": "tools", "prompt": "prompts", "resource": "resources", "template": "templates"}


@dataclass(frozen=True)
class Item:
    """A feature before it has a name in the profile. `stored`: what is kept of it, if it is another server's."""

    kind: str
    key: Key
    feature: Any
    connection: Connection
    member: Member
    change: Change
    stored: Feature | None = None
    source: Source | None = None  # the way to that server
    is_served: bool = True  # False: its server lists it no more, or its person has to look at it first
    wanting: str = ""  # what would have to be chosen in the connection's form for the connection to offer it

    @property
    def since(self) -> int:
        """When the profile first had it."""
        return max(self.member.joined_at, self.stored.first_seen_at if self.stored else 0)


@dataclass(frozen=True)
class Entry:
    """A feature in a profile, and what it is called there: a name, or the URI of what has one."""

    item: Item
    name: str

    @property
    def is_shown(self) -> bool:
        """Whether assistants are told of it, if their grant lets them."""
        return self.item.is_served and self.item.change.is_enabled and not self.item.wanting

    def listing(self) -> dict[str, Any]:
        """It as an MCP list shows it."""
        return LISTERS[self.item.kind](self.item.feature, Shown(self.name, self.item.member, self.item.change))


def list_entries(
    db: Database, connectors: Mapping[str, Connector], user_id: str, profile_id: str, forward: Forwarder | None
) -> list[Entry]:
    """Everything in a profile, by the order of its connections and in each by kind: what is switched off or away, too, for it
    keeps its name. However many connections there are, it takes six queries. Without `forward` it can be looked at only.
    """
    connections = {item.id: item for item in list_connections(db, user_id)}
    kept = list_features_of_profile(db, profile_id)
    stored = {key: list(group) for key, group in groupby(kept, lambda item: item.connection_id)}
    looks, changes, scopes = list_looks(db, user_id), list_changes(db, profile_id), list_scopes(db, user_id)
    items: list[Item] = []
    for member in list_members(db, profile_id):
        connection = connections.get(member.connection_id)
        if connection is None or member.connector not in connectors:
            continue
        items += own_items(connectors[member.connector], connection, member, changes, scopes.get(connection.id, frozenset()))
        theirs = stored.get(connection.id, [])
        items += their_items(theirs, connection, member, changes, looks.get(connection.id, Look()), forward)
    return list(name_items(items))


def own_items(
    connector: Connector, connection: Connection, member: Member, changes: Mapping[Key, Change], scopes: frozenset[str]
) -> Iterator[Item]:
    """The features that a connector brings."""
    settings = connector.fill_in(connection.settings)
    for kind in KINDS:
        for feature in getattr(connector, SHELVES[kind]):
            key = (connection.id, kind, own_name(kind, feature))
            wanting = connector.withholds(feature, settings, scopes) if kind == "tool" else ""
            yield Item(kind, key, feature, connection, member, changes.get(key, UNCHANGED), wanting=wanting)


def list_withheld(connector: Connector, settings: Mapping[str, Any], scope: str | None) -> dict[str, list[str]]:
    """The titles of the tools that a connection with these settings and a sign-in for this scope does not offer, by the choice
    in its form that would bring them.
    """
    filled, scopes, found = connector.fill_in(settings), frozenset((scope or "").split()), dict[str, list[str]]()
    for tool in connector.tools:
        if wanting := connector.withholds(tool, filled, scopes):
            found.setdefault(wanting, []).append(tool.title)
    return found


def own_name(kind: str, feature: Any) -> str:
    """The name by which a feature of ours is known for good."""
    return getattr(feature, {"resource": "uri", "template": "uri_template"}.get(kind, "name"))


def their_items(
    stored: Iterable[Feature],
    connection: Connection,
    member: Member,
    changes: Mapping[Key, Change],
    look: Look,
    forward: Forwarder | None,
) -> Iterator[Item]:
    """The features that a connection's server has, in the definition that its person's rule about changes lets through."""
    stored = list(stored)
    expose = partial(exposed_uri, member.prefix) if member.prefix else None
    uris = frozenset(item.name for item in stored if item.kind == "resource")
    source = Source(connection, forward, expose, uris)
    for item in sorted(stored, key=lambda item: KINDS.index(item.kind)):
        key = (connection.id, item.kind, item.name)
        served = item.served(look.changes)
        feature = MAKERS[item.kind](item, served or item.raw, source)
        is_served = item.is_available and served is not None and member.is_enabled
        yield Item(item.kind, key, feature, connection, member, changes.get(key, UNCHANGED), item, source, is_served)


def name_items(items: list[Item]) -> Iterator[Entry]:
    """Each with its name in the profile. A URI that seems to be of a connection with a prefix, and is not, is left out."""
    names: dict[Key, str] = {}
    for kind in NAMED_KINDS:
        claims = [Claim(item.key, item.member.prefix, item.since, item.change.name) for item in items if item.kind == kind]
        names |= settle_names(claims, kind)
    prefixes = tuple({uri_prefix(item.member.prefix) for item in items if item.member.prefix})
    for item in items:
        if item.kind in NAMED_KINDS:
            yield Entry(item, names[item.key])
        elif item.member.prefix or not item.key[2].startswith(prefixes):
            yield Entry(item, exposed_uri(item.member.prefix, item.key[2]))


# --- what feature sets let through ---

SIEVES: dict[str, Callable[[Any], bool]] = {
    "read_only": lambda tool: tool.reads,
    "core": lambda tool: tool.core or tool.raw is not None,  # what another server offers is never marked
}


def is_granted(kind: str, feature: Any, kinds: frozenset[str]) -> bool:
    """Whether feature sets of these kinds include a feature. All but `all` sift tools only."""
    return "all" in kinds or any(kind != "tool" or SIEVES[one](feature) for one in kinds & SIEVES.keys())


def count_tools(tools: Iterable[Any], kinds: frozenset[str]) -> tuple[int, int]:
    """How many of these tools feature sets of these kinds let through, and how many of those can change something."""
    included = [tool for tool in tools if is_granted("tool", tool, kinds)]
    return len(included), sum(not tool.reads for tool in included)

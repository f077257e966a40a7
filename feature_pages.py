"""The page of what one connection offers: look at it, accept what changed, believe that a tool only reads. Changes no profile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from discovery import describe_status
from errors import InvalidInput, NotFound
from naming import short_key
from shelf import SHELVES, own_name
from store.connections import Connection, get_connection
from store.features import KINDS, Feature, accept_features, confirm_reads, list_features, mark_searchable
from store.looks import CHANGES, Look, list_looks, set_changes
from store.upstreams import Upstream, find_upstream
from store.users import User
from their_search import find_role
from tools import Connector
from web import current_user, now, page, serve_form, state

bp = Blueprint("feature_pages", __name__)

LOOK_SECONDS = 8  # a page does not wait longer than this for a server


@dataclass(frozen=True)
class Desk:
    """One connection, and what is kept of its server's features; nothing if it has none."""

    user: User
    connection: Connection
    connector: Connector
    upstream: Upstream | None
    stored: list[Feature]


@dataclass(frozen=True)
class Line:
    """One feature as the page shows it; `stored` if it is another server's."""

    kind: str
    key: str
    name: str
    title: str
    description: str
    powers: str
    stored: Feature | None = None

    @property
    def role(self) -> str:
        """What `search` and `fetch` could use it for; '' for nothing."""
        return find_role(self.stored.raw) if self.stored and self.kind == "tool" else ""

    @property
    def differences(self) -> list[tuple[str, str, str]]:
        """(member, as it was accepted, as it is now) of what changed."""
        if self.stored is None or not self.stored.is_changed or self.stored.accepted is None:
            return []
        old, new = self.stored.accepted, self.stored.raw
        members = [member for member in {**old, **new} if old.get(member) != new.get(member)]
        return [(member, as_words(old.get(member)), as_words(new.get(member))) for member in members]


@bp.route("/connections/<connection_id>/features", methods=["GET", "POST"])
def features(connection_id: str) -> Response:
    """What a connection offers, and what its person thinks of it."""
    user = current_user()
    connection = get_connection(state().db, user.id, connection_id)
    connector = state().connectors.get(connection.connector)
    if connector is None:
        raise NotFound("its connector is not installed any more")
    upstream = find_upstream(state().db, connection.id)
    stored = list_features(state().db, connection.id)
    return serve_form(Desk(user, connection, connector, upstream, stored), ACTIONS, show)


def show(desk: Desk, status: int = 200, *, note: str = "", error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The page, as things are now."""
    stored = list_features(state().db, desk.connection.id)
    lines = [*own_lines(desk.connector), *map(stored_line, stored)]
    upstream = find_upstream(state().db, desk.connection.id)
    counts = {kind: sum(item.kind == kind and item.is_available for item in stored) for kind in KINDS}
    return page(
        "features.html",
        status,
        desk=desk,
        groups=[(kind, [line for line in lines if line.kind == kind]) for kind in KINDS],
        unseen=[line for line in lines if line.stored and (line.stored.is_new or line.stored.is_changed)],
        doubtful=[line for line in lines if line.stored and is_doubtful(line.stored)],
        look=list_looks(state().db, desk.user.id).get(desk.connection.id, Look()),
        server_status=describe_status(upstream, counts, now()) if upstream else None,
        can_look=upstream is not None and upstream.is_enabled,
        note=note,
        error=error or (errors or {}).get("error", ""),
    )


def is_doubtful(tool: Feature) -> bool:
    """Whether the server says of it, now, that it only reads, and nobody has confirmed that."""
    return tool.is_available and tool.claims_to_read and not tool.reads


def own_lines(connector: Connector) -> Iterator[Line]:
    """The features that a connector of ours brings."""
    for kind in KINDS:
        for feature in getattr(connector, SHELVES[kind]):
            name = own_name(kind, feature)
            powers = describe_powers(feature.reads, feature.destructive) if kind == "tool" else ""
            yield Line(kind, short_key(kind, name), name, feature.title, feature.description, powers)


def stored_line(stored: Feature) -> Line:
    """A feature of another server. What it says of itself are its own words."""
    raw, hints = stored.raw, stored.raw.get("annotations") or {}
    powers = ""
    if stored.reads:
        powers = "Only reads: you have confirmed it."
    elif stored.claims_to_read:
        powers = "Its server says that it only reads. Until you confirm that, it counts as one that can change things."
    elif stored.kind == "tool":
        powers = describe_powers(False, hints.get("destructiveHint") is not False)
    title = raw.get("title") or hints.get("title") or ""
    return Line(
        stored.kind, short_key(stored.kind, stored.name), stored.name, title, raw.get("description") or "", powers, stored
    )


def describe_powers(reads: bool, destructive: bool) -> str:
    """What a tool may do, in one sentence."""
    if reads:
        return "Only reads."
    return "Can change things, and may delete or overwrite." if destructive else "Can change things."


def as_words(value: Any) -> str:
    """A member of a definition as a person reads it."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)


# --- what the buttons do ---


def read_shown(desk: Desk) -> list[Feature]:
    """The features that the form is about, as far as they are still as the person saw them."""
    shown = set(request.form.getlist("shown"))
    return [item for item in desk.stored if f"{short_key(item.kind, item.name)}.{item.hash}" in shown]


def look(desk: Desk) -> Response:
    """Ask the server now, and wait for it a little."""
    if desk.upstream is None:
        raise InvalidInput("There is no server to ask.")
    done = state().gateway.discovery.look_soon(desk.connection.id, wait=LOOK_SECONDS)
    return show(desk, note="" if done else "It is being asked, and takes its time. Reload this page in a while.")


def accept(desk: Desk) -> Response:
    """What was shown counts as looked at."""
    accept_features(
        state().db, desk.user.id, desk.connection.id, [(item.kind, item.name, item.hash) for item in read_shown(desk)]
    )
    return show(desk, note="From now on, assistants get what you have just looked at.")


def confirm(desk: Desk) -> Response:
    """The person believes that these tools only read."""
    return believe(desk, True)


def doubt(desk: Desk) -> Response:
    """The person believes so no more."""
    return believe(desk, False)


def believe(desk: Desk, confirmed: bool) -> Response:
    """Keep what the person believes of the tools that were shown."""
    keys = [(item.name, item.hash) for item in read_shown(desk) if item.claims_to_read]
    confirm_reads(state().db, desk.user.id, desk.connection.id, keys, confirmed=confirmed)
    count = f"{len(keys)} tool{'s' if len(keys) != 1 else ''}"
    words = "now count as reading only" if confirmed else "count as ones that can change things again"
    return show(desk, note=f"{count} {words if len(keys) != 1 else words.replace('count', 'counts').replace('ones', 'one')}.")


def let_search(desk: Desk) -> Response:
    """`search` or `fetch` may use this tool."""
    return mark(desk, True)


def stop_searching(desk: Desk) -> Response:
    """They leave it alone."""
    return mark(desk, False)


def mark(desk: Desk, marked: bool) -> Response:
    """Keep whether the two may use the tools that were shown, of those that fit."""
    fitting = [item for item in read_shown(desk) if item.kind == "tool" and find_role(item.raw)]
    mark_searchable(
        state().db, desk.user.id, desk.connection.id, [(item.name, item.hash) for item in fitting], marked=marked
    )
    if not fitting:
        raise InvalidInput("It has changed since this page was shown. Please look at it again.")
    return show(desk, note="`search` and `fetch` use it from now on." if marked else "`search` and `fetch` leave it alone now.")


def choose_rule(desk: Desk) -> Response:
    """Keep what shall become of changes."""
    changes = request.form.get("changes", "")
    if changes not in CHANGES:
        raise InvalidInput("Please choose one of the list.")
    set_changes(state().db, desk.user.id, desk.connection.id, changes)
    return show(desk, note="Saved.")


ACTIONS: Mapping[str, Callable[[Desk], Response]] = {
    "look": look,
    "accept": accept,
    "confirm": confirm,
    "doubt": doubt,
    "searched": let_search,
    "unsearched": stop_searching,
    "rule": choose_rule,
}

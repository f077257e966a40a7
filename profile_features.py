"""Pages for what a profile shows of one connection: each feature on or off, under which name and in which words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, request

from errors import InvalidInput, NotFound
from naming import NAME_MAX, RESERVED, short_key
from profiles import get_profile
from shelf import NAMED_KINDS, Entry
from store.connections import Connection, get_connection
from store.features import KINDS
from store.members import Member, list_members
from store.profile_features import Change, put_change, set_enabled_features
from store.profiles import Profile
from store.users import User
from web import current_user, page, see_other, serve_form, state

bp = Blueprint("profile_features", __name__)

TITLE_MAX, WORDS_MAX = 100, 4_000


@dataclass(frozen=True)
class Desk:
    """One connection in one profile, with all that the profile has; `entry` if it is about one feature."""

    user: User
    profile: Profile
    connection: Connection
    member: Member
    entries: list[Entry]
    entry: Entry | None = None

    @property
    def own(self) -> dict[str, Entry]:
        """The connection's features, by what stands for them in forms."""
        return {key_of(item): item for item in self.entries if item.item.connection.id == self.connection.id}

    @property
    def address(self) -> str:
        """The page of the connection in the profile."""
        return f"/profiles/{self.profile.slug}/{self.connection.id}"


def key_of(entry: Entry) -> str:
    """What stands for a feature in forms and addresses."""
    return short_key(entry.item.kind, entry.item.key[2])


def open_desk(slug: str, connection_id: str) -> Desk:
    """The person's profile and the connection in it. Raises NotFound for anything else."""
    user = current_user()
    profile, connection = get_profile(user, slug), get_connection(state().db, user.id, connection_id)
    found = [member for member in list_members(state().db, profile.id) if member.connection_id == connection.id]
    if not found:
        raise NotFound("the connection is not in this profile")
    return Desk(user, profile, connection, found[0], state().toolbox.list_entries(user.id, profile.id))


@bp.route("/profiles/<slug>/<connection_id>", methods=["GET", "POST"])
def choose(slug: str, connection_id: str) -> Response:
    """Which features are on."""
    return serve_form(open_desk(slug, connection_id), CHOICES, show_choice)


@bp.route("/profiles/<slug>/<connection_id>/<key>", methods=["GET", "POST"])
def change(slug: str, connection_id: str, key: str) -> Response:
    """What one feature is called, and how it is described."""
    desk = open_desk(slug, connection_id)
    entry = desk.own.get(key)
    if entry is None:
        raise NotFound("no such feature")
    about_one = Desk(desk.user, desk.profile, desk.connection, desk.member, desk.entries, entry)
    return serve_form(about_one, CHANGES, show_change)


def show_choice(desk: Desk, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """All features with a box each."""
    groups = [(kind, [(key, entry) for key, entry in desk.own.items() if entry.item.kind == kind]) for kind in KINDS]
    return page("profile_features.html", status, desk=desk, groups=groups, error=error)


def show_change(desk: Desk, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The form for one feature, with what was typed."""
    change, feature = desk.entry.item.change, desk.entry.item.feature
    kept = {"shown_name": change.name, "shown_title": change.title, "shown_description": change.description}
    return page(
        "profile_feature.html",
        status,
        desk=desk,
        entry=desk.entry,
        own_title=feature.title,
        own_description=feature.description,
        has_name=desk.entry.item.kind in NAMED_KINDS,
        values=request.form if request.method == "POST" else {name: value or "" for name, value in kept.items()},
        error=error,
        errors=errors or {},
    )


# --- on and off ---


def save_choice(desk: Desk) -> Response:
    """Keep which boxes are ticked, of those that were on the page."""
    return keep(desk, request.form.getlist("on"))


def all_on(desk: Desk) -> Response:
    """Switch everything on that was on the page."""
    return keep(desk, request.form.getlist("shown"))


def all_off(desk: Desk) -> Response:
    """Switch everything off that was on the page."""
    return keep(desk, [])


def keep(desk: Desk, enabled: list[str]) -> Response:
    """Switch these on, and all else off that was on the page."""
    own = {key: entry.item.key[1:] for key, entry in desk.own.items()}
    shown = [own[key] for key in request.form.getlist("shown") if key in own]
    chosen = [own[key] for key in enabled if key in own]
    set_enabled_features(state().db, desk.user.id, desk.profile.id, desk.connection.id, shown, chosen)
    return see_other(desk.address)


# --- names and words ---


def save_change(desk: Desk) -> Response:
    """Keep the name and words that were typed; an empty field means the feature's own."""
    item = desk.entry.item
    change = Change(
        item.change.is_enabled,
        read_name(desk) if item.kind in NAMED_KINDS else None,
        read_text("shown_title", TITLE_MAX, several_lines=False),
        read_text("shown_description", WORDS_MAX, several_lines=True),
    )
    put_change(state().db, desk.user.id, desk.profile.id, item.key, change)
    return see_other(desk.address)


def reset(desk: Desk) -> Response:
    """Show the feature under its own name and in its own words again."""
    put_change(state().db, desk.user.id, desk.profile.id, desk.entry.item.key, Change(desk.entry.item.change.is_enabled))
    return see_other(desk.address)


def read_name(desk: Desk) -> str | None:
    """The name that was typed. Raises InvalidInput if assistants would not accept it, or another feature has it already."""
    name, kind = request.form.get("shown_name", "").strip(), desk.entry.item.kind
    if not name:
        return None
    others = {entry.name for entry in desk.entries if entry.item.kind == kind and entry.item.key != desk.entry.item.key}
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise InvalidInput(
            "Please look at the marked fields.", {"shown_name": f"At most {NAME_MAX} letters, digits, hyphens and lines (_)."}
        )
    if name in others or name in RESERVED.get(kind, ()):
        raise InvalidInput("Please look at the marked fields.", {"shown_name": "This name is taken in this profile."})
    return name


def read_text(field: str, longest: int, *, several_lines: bool) -> str | None:
    """A text that was typed; None if it is empty. Raises InvalidInput."""
    text = request.form.get(field, "").replace("\r\n", "\n").strip()
    plain = text.replace("\n", "") if several_lines else text
    if len(text) > longest or not all(letter.isprintable() for letter in plain):
        raise InvalidInput("Please look at the marked fields.", {field: f"At most {longest} ordinary characters."})
    return text or None


CHOICES: Mapping[str, Callable[[Desk], Response]] = {"save": save_choice, "on": all_on, "off": all_off}
CHANGES: Mapping[str, Callable[[Desk], Response]] = {"save": save_change, "reset": reset}

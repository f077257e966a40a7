"""Pages for profiles: make one, name it, and say which connections are in it, in which order and under which prefix."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, request

from errors import InvalidInput, NotFound
from guarded import list_choices
from oauth_checks import SLUG
from store.connections import list_connections
from store.grants import list_client_names
from store.members import add_member, delete_member, list_members, move_member, set_prefix
from store.profiles import (
    Profile,
    create_profile,
    delete_profile,
    find_profile_by_slug,
    rename_profile,
    set_searchable,
    was_just_made,
)
from store.users import User
from web import REPEAT_SECONDS, current_user, now, page, see_other, serve_form, state

bp = Blueprint("profiles", __name__)

NAME_MAX = 60
PREFIX = re.compile(r"([a-z][a-z0-9_]{0,19})?")


@dataclass(frozen=True)
class Desk:
    """One profile of a person's; None: a new one."""

    user: User
    profile: Profile | None


def get_profile(user: User, slug: str) -> Profile:
    """The user's profile at an address. Raises NotFound for any other."""
    profile = find_profile_by_slug(state().db, user.id, slug)
    if profile is None:
        raise NotFound("no such profile")
    return profile


@bp.route("/profiles/new", methods=["GET", "POST"])
def new() -> Response:
    """Make a profile."""
    return serve_form(Desk(current_user(), None), {"make": make}, show_new)


@bp.route("/profiles/<slug>", methods=["GET", "POST"])
def edit(slug: str) -> Response:
    """Change a profile."""
    user = current_user()
    return serve_form(Desk(user, get_profile(user, slug)), ACTIONS, show)


def show_new(desk: Desk, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The form for a new profile, with what was typed."""
    mcp_url = state().settings.mcp_url
    return page("new_profile.html", status, values=request.form, error=error, errors=errors or {}, mcp_url=mcp_url)


def show(desk: Desk, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The page of a profile, as it is now."""
    db, profile = state().db, get_profile(desk.user, desk.profile.slug)
    members = list_members(db, profile.id)
    inside = {member.connection_id for member in members}
    tools: dict[str, int] = {}
    for entry in state().toolbox.list_entries(desk.user.id, profile.id):
        owner = entry.item.connection.id
        tools[owner] = tools.get(owner, 0) + (entry.item.kind == "tool" and entry.is_shown)
    return page(
        "profile.html",
        status,
        profile=profile,
        members=members,
        tools=tools,
        others=[item for item in list_connections(db, desk.user.id) if item.id not in inside],
        connectors=state().connectors,
        choices=list_choices(desk.user),
        clients=list_client_names(db, profile.id),
        sources=state().toolbox.list_source_names(profile),
        settings=state().settings,
        error=error,
        errors=errors or {},
    )


# --- what was typed ---


def read_name() -> str:
    """The profile's name. Raises InvalidInput."""
    name = request.form.get("profile_name", "").strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidInput("Please look at the marked fields.", {"profile_name": f"1 to {NAME_MAX} ordinary characters."})
    return name


def read_slug(name: str) -> str:
    """The address, or one made of the name if none was typed. Raises InvalidInput."""
    slug = request.form.get("slug", "").strip() or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if not SLUG.fullmatch(slug) or slug == "new":
        problem = "Small letters, digits and hyphens, at most 40; not only hyphens, and not “new”."
        raise InvalidInput("Please look at the marked fields.", {"slug": problem})
    return slug


# --- what the buttons do ---


def make(desk: Desk) -> Response:
    """Make the profile, empty. The second click of a double one leads to what the first has made."""
    name = read_name()
    slug = read_slug(name)
    try:
        create_profile(state().db, desk.user.id, name, slug, now=now())
    except InvalidInput:
        if not was_just_made(state().db, desk.user.id, name, slug, after=now() - REPEAT_SECONDS):
            raise
    return see_other(f"/profiles/{slug}")


def rename(desk: Desk) -> Response:
    """Call it something else."""
    rename_profile(state().db, desk.user.id, desk.profile.id, read_name())
    return back(desk)


def choose_search(desk: Desk) -> Response:
    """Let assistants have `search` and `fetch` over it, or not."""
    set_searchable(state().db, desk.user.id, desk.profile.id, request.form.get("searchable") == "on")
    return back(desk)


def delete(desk: Desk) -> Response:
    """Delete it, and all access to it."""
    delete_profile(state().db, desk.user.id, desk.profile.id)
    return see_other("/admin")


def add(desk: Desk) -> Response:
    """Let a connection join."""
    add_member(state().db, desk.user.id, desk.profile.id, request.form.get("connection", ""), now=now())
    return back(desk)


def remove(desk: Desk) -> Response:
    """Take a connection out."""
    delete_member(state().db, desk.user.id, desk.profile.id, request.form.get("connection", ""))
    return back(desk)


def move(desk: Desk, steps: int) -> Response:
    """Move a connection up or down."""
    move_member(state().db, desk.user.id, desk.profile.id, request.form.get("connection", ""), steps)
    return back(desk)


def change_prefix(desk: Desk) -> Response:
    """Let the names of a connection's tools begin otherwise."""
    prefix = request.form.get("prefix", "").strip().removesuffix("_")
    if not PREFIX.fullmatch(prefix):
        raise InvalidInput("A prefix has at most 20 small letters, digits and lines (_), and begins with a letter.")
    set_prefix(state().db, desk.user.id, desk.profile.id, request.form.get("connection", ""), prefix)
    return back(desk)


def back(desk: Desk) -> Response:
    """To the profile's page, by a GET."""
    return see_other(f"/profiles/{desk.profile.slug}")


ACTIONS: Mapping[str, Callable[[Desk], Response]] = {
    "rename": rename,
    "search": choose_search,
    "delete": delete,
    "add": add,
    "remove": remove,
    "up": lambda desk: move(desk, -1),
    "down": lambda desk: move(desk, 1),
    "prefix": change_prefix,
}

"""Pages for API keys: make one, with a new connection on the same page if wanted; take one back. A key is shown once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from errors import InvalidInput, NotFound, UpstreamError
from forms import list_lines, read_draft, read_ticket, restore_typed_secrets, seal_ticket, seal_typed_secrets
from guarded import check_may_define, list_choices
from joining import join
from offers import describe_offer
from store.api_keys import KEY_START, check_key_name, insert_key, revoke_key, was_just_made
from store.connections import Draft, find_free_name
from store.grants import insert_key_grant
from store.profiles import FeatureSet, Profile, find_choice, list_profiles
from store.users import User
from tools import Connector
from upstream_forms import check_draft, form_of
from web import REPEAT_SECONDS, confirm_login, current_user, look_at_servers, now, page, see_other, serve_form, state

bp = Blueprint("api_keys", __name__)

DAY = 86400
LIFETIMES = {  # value in the form -> (words, seconds)
    "365": ("A year", 365 * DAY),
    "90": ("90 days", 90 * DAY),
    "30": ("30 days", 30 * DAY),
    "never": ("As long as it is used", None),
}


@dataclass(frozen=True)
class Desk:
    """What the form works on: a key of the user's, and a new connection of `connector` if one was asked for."""

    user: User
    connector: Connector | None


@dataclass(frozen=True)
class Wish:
    """The key that a person asked for, checked."""

    name: str
    profile: Profile
    feature_set: FeatureSet
    lifetime: int | None


@bp.route("/keys/new", methods=["GET", "POST"])
def new() -> Response:
    """Make a key; with `connector`, a connection of it in the same go."""
    user, name = current_user(), request.values.get("connector", "")
    connector = state().connectors.get(name)
    if name and connector is None:
        raise NotFound("no such connector")
    check_may_define(user, name, "/keys/new?" + urlencode({"connector": name}))
    typed = request.form if request.method == "POST" else None
    return serve_form(Desk(user, form_of(connector, typed) if connector else None), ACTIONS, show)


@bp.post("/keys/<key_id>/revoke")
def revoke(key_id: str) -> Response:
    """Take a key back: it opens nothing from the next request on."""
    revoke_key(state().db, current_user().id, key_id, now=now())
    return see_other("/admin")


def show(
    desk: Desk,
    status: int = 200,
    *,
    note: str = "",
    error: str = "",
    output: str = "",
    errors: dict[str, str] | None = None,
) -> Response:
    """The form, with what was typed. `output` is what a command wrote that was tried."""
    errors, connector = errors or {}, desk.connector
    typed = read_typed(desk) if request.method == "POST" else None
    profiles = list_profiles(state().db, desk.user.id)
    slugs = [profile.slug for profile in profiles]
    return page(
        "new_key.html",
        status,
        connector=connector,
        connectors=list_choices(desk.user),
        values=typed or {},
        ticket=seal_ticket(state().vault, desk.user.id, "key"),
        free_name=find_free_name(state().db, desk.user.id, connector.title) if connector else "",
        lines=list_lines(connector, typed, None, errors) if connector else [],
        typed_secrets=seal_typed_secrets(state().vault, connector, typed or {}, errors, *place_of(desk)) if connector else "",
        offers=[describe_offer(state().db, state().connectors, profile, joining=connector) for profile in profiles],
        selected=request.values.get("profile") if request.values.get("profile") in slugs else slugs[0],
        lifetimes=LIFETIMES,
        note=note,
        error=error,
        output=output,
        errors=errors,
    )


# --- what was typed ---


def read_typed(desk: Desk) -> dict[str, str]:
    """What was typed, with the connection's secrets of the round before where none was typed anew, and a name if it has none."""
    typed = request.form.to_dict()
    if desk.connector is None:
        return typed
    if not typed.get("connection_name", "").strip():
        typed["connection_name"] = find_free_name(state().db, desk.user.id, desk.connector.title)
    return restore_typed_secrets(state().vault, typed, *place_of(desk))


def place_of(desk: Desk) -> tuple[str, ...]:
    """What carried secrets are sealed for: this person's new connection of this connector."""
    return desk.user.id, desk.connector.name, ""


def read_connection(connector: Connector, typed: dict[str, str]) -> Draft:
    """The connection that was typed, checked."""
    draft = read_draft(connector, typed)
    check_draft(state().db, state().vault, state().fetch, draft, None)
    return draft


def read_wish(user: User, typed: dict[str, str]) -> Wish:
    """The key that was asked for. Raises InvalidInput with what has to be mended."""
    name = check_key_name(typed.get("key_name", ""))
    choice = find_choice(state().db, list_profiles(state().db, user.id), typed.get("profile"), typed.get("feature_set"))
    if choice is None or typed.get("lifetime") not in LIFETIMES:
        raise InvalidInput("Please choose a profile, what the key may do, and for how long.")
    return Wish(name, *choice, LIFETIMES[typed["lifetime"]][1])


# --- what the buttons do ---


def try_out(desk: Desk) -> Response:
    """Ask the service whether what was typed works; nothing is kept."""
    if desk.connector is None:
        raise InvalidInput("There is nothing to test here.")
    try:
        note = state().toolbox.try_draft(read_connection(desk.connector, read_typed(desk)), None)
    except UpstreamError as failure:
        return show(desk, 400, error=str(failure), output=failure.output)
    return show(desk, note=note)


def make(desk: Desk) -> Response:
    """Make the key, and before it the connection, all or nothing. The answer is the only page that ever shows the key.

    Both clicks of a double one are answered with it: the form carries the key, sealed, that it will make.
    """
    typed, db, made = read_typed(desk), state().db, None
    wish = read_wish(desk.user, typed)
    draft = read_connection(desk.connector, typed) if desk.connector else None
    state().limits.api_key(desk.user.id)
    random_part = read_ticket(state().vault, typed, desk.user.id, "key")
    with db.write() as run:
        confirm_login(run)
        wanted = (wish.name, wish.profile.id, wish.feature_set.id, wish.lifetime)
        if not was_just_made(run, random_part, wanted, now() - REPEAT_SECONDS):
            made = join(run, state().vault, wish.profile, draft, now()) if draft else None
            key_id, _ = insert_key(run, desk.user.id, wish.name, random_part, lifetime=wish.lifetime, now=now())
            insert_key_grant(run, wish.profile.id, key_id, wish.feature_set.id, now())
    if made:
        look_at_servers((desk.connector, made))
    ends_at = None if wish.lifetime is None else now() + wish.lifetime
    return page("key.html", key=KEY_START + random_part, wish=wish, ends_at=ends_at, mcp_url=state().settings.mcp_url)


ACTIONS: dict[str, Callable[[Desk], Response]] = {"test": try_out, "make": make}

"""Pages for one connection: make it from the connector's own field list, change, try, delete. Serves consent and /admin alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request

from connectors.upstream_kinds import describe_greeting
from errors import InvalidInput, NotFound, UpstreamError
from forms import list_lines, read_draft, restore_typed_secrets, seal_typed_secrets
from guarded import check_may_define
from joining import join
from shelf import list_withheld
from store.api_keys import list_keys
from store.connections import (
    Connection,
    Draft,
    delete_connection,
    find_free_name,
    find_twin,
    get_connection,
    update_connection,
)
from store.grants import list_client_names
from store.profiles import Profile, find_profile_by_slug, list_profiles
from store.tails import find_tail
from store.upstreams import Upstream, find_upstream, put_definition, set_enabled
from store.users import User
from tools import Connector
from upstream_definitions import Comparison, compare
from upstream_forms import check_draft, form_of
from upstream_oauth import Standing
from web import (
    REPEAT_SECONDS,
    confirm_login,
    current_user,
    look_at_servers,
    next_page,
    now,
    page,
    page_after_making,
    see_other,
    serve_form,
    state,
)

bp = Blueprint("connections", __name__)


@dataclass(frozen=True)
class Desk:
    """What one form works on: a new connection of `connector` in `profile`, or an old `connection`.

    Without a connector (it is not installed any more) the connection can only be deleted.
    """

    user: User
    connector: Connector | None
    connection: Connection | None
    profile: Profile | None
    upstream: Upstream | None = None
    comparison: Comparison | None = None
    is_renewing: bool = False  # the form holds the newer definition


@bp.route("/connections/new", methods=["GET", "POST"])
def new() -> Response:
    """Make a connection; it joins the profile named, or the person's default one."""
    g.leaves_for_client = True
    user = current_user()
    connector = state().connectors.get(request.values.get("connector", ""))
    slug = request.values.get("profile")
    profile = find_profile_by_slug(state().db, user.id, slug) if slug else list_profiles(state().db, user.id)[0]
    if connector is None or profile is None:
        raise NotFound("no such connector or profile")
    chosen = {"connector": connector.name, "profile": profile.slug, "next": next_page()}
    check_may_define(user, connector.name, "/connections/new?" + urlencode(chosen))
    return serve_form(Desk(user, form_of(connector, typed_form()), None, profile), ACTIONS, show)


@bp.route("/connections/<connection_id>", methods=["GET", "POST"])
def edit(connection_id: str) -> Response:
    """Change, try or delete one of the person's connections."""
    user = current_user()
    connection = get_connection(state().db, user.id, connection_id)
    connector = state().connectors.get(connection.connector)
    upstream = find_upstream(state().db, connection.id)
    if request.form.get("action") not in HARMLESS:
        if connector is None:
            raise NotFound("its connector is not installed any more")
        check_may_define(user, connector.name)
    g.leaves_for_client = connector is not None and connector.sign_in is not None  # “Connect” ends at another site
    if connector is None:
        return serve_form(Desk(user, None, connection, None, upstream), ACTIONS, show)
    comparison = compare(state().db, state().vault, state().servers, connector, connection, upstream)
    is_renewing = comparison is not None and wants_newer(comparison)
    shown = replace(upstream, definition=comparison.listed.to_json()) if is_renewing else upstream
    typed = typed_form() or (comparison.typed if is_renewing else None)
    connector = form_of(connector, typed, connection, shown)
    return serve_form(Desk(user, connector, connection, None, upstream, comparison, is_renewing), ACTIONS, show)


def wants_newer(comparison: Comparison) -> bool:
    """Whether the form is to hold, or holds, the newer definition; a double click may have taken it over a moment ago."""
    is_asked = comparison.is_newer and request.form.get("action") == "renew"
    return comparison.listed is not None and (is_asked or request.form.get("definition") == comparison.mark)


def show(
    desk: Desk,
    status: int = 200,
    *,
    note: str = "",
    error: str = "",
    output: str = "",
    errors: dict[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The form, with what was typed. `output` is what a command wrote that was tried."""
    errors = errors or {}
    standing = state().sign_ins.describe(desk.connection) if desk.connection else None
    typed = typed or (read_typed(desk) if request.method == "POST" else None)
    return page(
        "connection.html",
        status,
        desk=desk,
        name=typed.get("connection_name", "") if typed else name_of(desk),
        lines=list_lines(desk.connector, typed, desk.connection, errors),
        typed_secrets=seal_typed_secrets(state().vault, desk.connector, typed or {}, errors, *place_of(desk)),
        note=note,
        error=error,
        output=output,
        tail=find_tail(state().db, state().vault, desk.connection.id) if desk.connection and desk.user.is_owner else None,
        errors=errors,
        next=next_page(),
        standing=standing,
        withheld=list_withheld_here(desk, standing),
        greeting_words=describe_greeting(desk.upstream.greeting) if desk.upstream and desk.upstream.greeting else "",
        other_clients=list_client_names(state().db, desk.profile.id) if desk.profile else [],
        other_keys=list_key_names(desk.user, desk.profile) if desk.profile else [],
    )


def list_withheld_here(desk: Desk, standing: Standing | None) -> dict[str, list[str]]:
    """What the connection does not offer, by the choice that would bring it; nothing as long as nobody has signed in."""
    if not desk.connection or not desk.connector or (standing and standing.need == "never"):
        return {}
    return list_withheld(desk.connector, desk.connection.settings, standing.scope if standing else None)


def list_key_names(user: User, profile: Profile) -> list[str]:
    """The names of the API keys that are good for a profile: their programs will see what joins it."""
    return [key.name for key in list_keys(state().db, user.id) if key.slug == profile.slug and key.ends_at > now()]


# --- what was typed ---


def typed_form() -> Mapping[str, str] | None:
    """What a form that was sent holds; None if a page is only opened, or a button sent nothing else."""
    return request.form if "connection_name" in request.form else None


def read_form(desk: Desk) -> Draft:
    """What was typed, checked."""
    if request.form.get("definition") and not desk.is_renewing:
        raise InvalidInput("The definition has changed once more since this page was made. Please look at it again.")
    draft = read_draft(desk.connector, read_typed(desk), desk.connection)
    check_draft(state().db, state().vault, state().fetch, draft, desk.connection)
    return draft


def read_typed(desk: Desk) -> dict[str, str]:
    """What was typed, with the secrets of the round before where none was typed anew, and a name if it was emptied."""
    typed = request.form.to_dict()
    if not typed.get("connection_name", "").strip():
        typed["connection_name"] = name_of(desk)
    return restore_typed_secrets(state().vault, typed, *place_of(desk))


def place_of(desk: Desk) -> tuple[str, ...]:
    """What carried secrets are sealed for: this person's form of this connection."""
    return desk.user.id, desk.connector.name, desk.connection.id if desk.connection else ""


def name_of(desk: Desk) -> str:
    """The connection's name, or one to propose that is free."""
    return desk.connection.name if desk.connection else find_free_name(state().db, desk.user.id, desk.connector.title)


# --- what the buttons do ---


def try_out(desk: Desk) -> Response:
    """Ask the service whether what was typed works; nothing is kept."""
    try:
        note = state().toolbox.try_draft(read_form(desk), desk.connection)
    except UpstreamError as failure:
        return show(desk, 400, error=str(failure), output=failure.output)
    return show(desk, note=note)


def save(desk: Desk) -> Response:
    """Keep the connection; a new one joins its profile."""
    draft = read_form(desk)
    if desk.connection:
        change(desk, draft)
        look_at_servers((desk.connector, desk.connection.id))
        return see_other(next_page())
    made = make(desk, draft)
    look_at_servers((desk.connector, made.id))
    chosen = f"&profile={desk.profile.slug}" if next_page().startswith("/connect?") else ""  # stays chosen on the consent page
    return see_other(page_after_making(made, next_page() + chosen))


def change(desk: Desk, draft: Draft) -> None:
    """Change the connection, and its definition with it if that is the newer one, all or nothing."""
    with state().db.write() as run:
        confirm_login(run, request.path)
        update_connection(run, state().vault, desk.user.id, desk.connection.id, draft, now())
        if desk.is_renewing:
            listed = desk.comparison.listed
            put_definition(run, state().vault, desk.connection.id, listed.to_json(), listed.secrets)


def make(desk: Desk, draft: Draft) -> Connection:
    """The new connection, which a double click makes once. Raises InvalidInput if the name is taken."""
    try:
        with state().db.write() as run:
            confirm_login(run)
            connection_id = join(run, state().vault, desk.profile, draft, now())
    except InvalidInput:
        if twin := find_twin(state().db, state().vault, desk.user.id, draft, after=now() - REPEAT_SECONDS):
            return twin
        raise
    return get_connection(state().db, desk.user.id, connection_id)


def show_newer(desk: Desk) -> Response:
    """Show what a newer definition would make of the connection. Nothing is kept before that was seen."""
    if not desk.is_renewing:
        raise NotFound("there is no newer definition")
    return show(desk, note="This is the newer definition, with what you have changed.", typed=desk.comparison.typed)


def switch_on(desk: Desk) -> Response:
    """Let the features of a connection be listed and called again."""
    return switch(desk, True)


def switch_off(desk: Desk) -> Response:
    """Keep the connection, but let nobody see or call anything of it."""
    return switch(desk, False)


def switch(desk: Desk, is_enabled: bool) -> Response:
    """Switch a connection to another MCP server on or off. Raises NotFound for any other connection.

    What leads there is closed at once in this process, and in others within half a minute.
    """
    connection_id = desk.connection.id if desk.connection else ""
    set_enabled(state().db, desk.user.id, connection_id, is_enabled)
    state().gateway.upstreams.drop(connection_id)
    if is_enabled:
        look_at_servers((desk.connector, connection_id))
    return see_other(next_page())


def delete(desk: Desk) -> Response:
    """Delete the connection, its secrets and its data; its sign-in ends at the service, too, if that can be reached."""
    if desk.connection:
        state().sign_ins.disconnect(desk.connection, now=now())
        delete_connection(state().db, desk.user.id, desk.connection.id)
        state().gateway.upstreams.forget(desk.connection.id)
    return see_other(next_page())


ACTIONS: dict[str, Callable[[Desk], Response]] = {
    "test": try_out,
    "save": save,
    "on": switch_on,
    "off": switch_off,
    "renew": show_newer,
    "delete": delete,
}
HARMLESS = frozenset({"delete", "off"})  # of a command, too, without a fresh password

"""The page of what a person has, and the buttons of assistants there. What changes the rest: connections.py and api_keys.py."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from discovery import describe_status
from guarded import list_choices
from store.api_keys import list_keys
from store.connections import list_connections
from store.features import KINDS, count_features
from store.profiles import list_members, list_profiles
from store.sessions import end_client_sessions, end_session
from store.upstreams import list_upstreams
from store.user_clients import list_user_clients, pause_client, resume_client, set_alias
from store.users import User
from web import current_user, now, page, see_other, serve_form, state

bp = Blueprint("admin", __name__)


@bp.route("/admin", methods=["GET", "POST"])
def overview() -> Response:
    """What the person has, and who may use it; the buttons of an assistant."""
    return serve_form(current_user(), ACTIONS, show)


def show(user: User, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The page."""
    counted, upstreams = count_features(state().db, user.id), list_upstreams(state().db, user.id)
    profiles = [(profile, list_members(state().db, profile.id)) for profile in list_profiles(state().db, user.id)]
    return page(
        "admin.html",
        status,
        error=error,
        user=user,
        mcp_url=state().settings.mcp_url,
        is_loopback=state().settings.is_loopback,
        profiles=profiles,
        connections=list_connections(state().db, user.id),
        statuses={
            connection_id: describe_status(upstream, in_order(counted.get(connection_id, ({}, 0))[0]), now())
            for connection_id, upstream in upstreams.items()
            if upstream.is_enabled
        },
        unseen={connection_id: number for connection_id, (_, number) in counted.items() if number},
        connectors=state().connectors,
        custom_problems=state().custom_problems if user.is_owner else {},
        upstreams=upstreams,
        choices=list_choices(user),
        assistants=list_user_clients(state().db, user.id, now=now()),
        keys=list_keys(state().db, user.id),
        now=now(),
    )


def in_order(numbers: dict[str, int]) -> dict[str, int]:
    """How many features of each kind there are, tools first."""
    return {kind: numbers.get(kind, 0) for kind in KINDS}


@bp.post("/admin/sessions/<session_id>/end")
def end(session_id: str) -> Response:
    """End one session: its tokens open nothing from the next request on."""
    end_session(state().db, current_user().id, session_id, now=now())
    return see_other("/admin")


# --- what the buttons of an assistant do ---


def rename(user: User) -> Response:
    """Call it by another name than its own."""
    set_alias(state().db, user.id, request.form.get("client_id", ""), request.form.get("alias", ""))
    return see_other("/admin")


def pause(user: User) -> Response:
    """Let it do nothing for a while, without signing it out."""
    pause_client(state().db, user.id, request.form.get("client_id", ""), now=now())
    return see_other("/admin")


def resume(user: User) -> Response:
    """Let it work again."""
    resume_client(state().db, user.id, request.form.get("client_id", ""))
    return see_other("/admin")


def end_all(user: User) -> Response:
    """End all its sessions."""
    end_client_sessions(state().db, user.id, request.form.get("client_id", ""), now=now())
    return see_other("/admin")


ACTIONS: dict[str, Callable[[User], Response]] = {"rename": rename, "pause": pause, "resume": resume, "end": end_all}

"""The plain page of what a person has: connections, sessions, keys. What changes them is in connections.py and api_keys.py."""

from __future__ import annotations

from flask import Blueprint, Response

from guarded import list_choices
from store.api_keys import list_keys
from store.connections import list_connections
from store.profiles import list_members, list_profiles
from store.sessions import end_session, list_sessions
from store.upstreams import list_upstreams
from web import current_user, now, page, see_other, state

bp = Blueprint("admin", __name__)


@bp.get("/admin")
def overview() -> Response:
    """What the person has, and who may use it."""
    user = current_user()
    profiles = [(profile, list_members(state().db, profile.id)) for profile in list_profiles(state().db, user.id)]
    return page(
        "admin.html",
        user=user,
        mcp_url=state().settings.mcp_url,
        is_loopback=state().settings.is_loopback,
        profiles=profiles,
        connections=list_connections(state().db, user.id),
        connectors=state().connectors,
        custom_problems=state().custom_problems if user.is_owner else {},
        upstreams=list_upstreams(state().db, user.id),
        choices=list_choices(user),
        sessions=list_sessions(state().db, user.id, now=now()),
        keys=list_keys(state().db, user.id),
        now=now(),
    )


@bp.post("/admin/sessions/<session_id>/end")
def end(session_id: str) -> Response:
    """End one session: its tokens open nothing from the next request on."""
    end_session(state().db, current_user().id, session_id, now=now())
    return see_other("/admin")

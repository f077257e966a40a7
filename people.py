"""Pages by which people come and go: set-up, sign in, sign out, the front door. Knows nothing of clients."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, g, request

from accounts import set_up_owner
from errors import InvalidInput, NotFound
from store.users import check_password, count_users
from web import client_address, find_current_login, login_identity, next_page, now, page, see_other, sign_in, sign_out, state

bp = Blueprint("people", __name__)


@bp.get("/")
def front_door() -> Response:
    """What this is, and the URL to paste."""
    settings = state().settings
    is_set_up = count_users(state().db) > 0
    return page("front_door.html", mcp_url=settings.mcp_url, is_loopback=settings.is_loopback, is_set_up=is_set_up)


@bp.route("/setup", methods=["GET", "POST"])
def setup() -> Response:
    """Make the owner, with the one-time code of the server's log. Closed for good once there is a user."""
    g.leaves_for_client = True
    if count_users(state().db):
        raise NotFound("set-up is done")
    if request.method == "GET":
        return page("setup.html", next=next_page(), values={}, errors={})
    state().limits.setup(client_address())
    form = request.form
    try:
        if form.get("password") != form.get("password_again"):
            raise InvalidInput("Please look at the marked fields.", {"password_again": "The two passwords differ."})
        user = set_up_owner(
            state().db, state().vault, form.get("code", ""), form.get("username", ""), form.get("password", ""), now=now()
        )
    except InvalidInput as error:
        return page("setup.html", 400, next=next_page(), values=form, errors=error.fields)
    except NotFound:
        errors = {"code": "This is not the code. A fresh one is in the server's log after each start."}
        return page("setup.html", 403, next=next_page(), values=form, errors=errors)
    sign_in(user)
    return see_other(next_page())


@bp.route("/login", methods=["GET", "POST"])
def login() -> Response:
    """Sign in. An absent or empty user name means the only user."""
    g.leaves_for_client = True
    if not count_users(state().db):
        return see_other("/setup?" + urlencode({"next": next_page()}))
    if request.method == "GET":
        return see_other(next_page()) if find_current_login() else page("login.html", next=next_page())
    state().limits.login(login_identity())
    name = request.form.get("username", "")
    with state().limits.password_check():
        user = check_password(state().db, name, request.form.get("password", ""))
    if user is None:
        return page("login.html", 401, next=next_page(), username=name, error="The name or the password is wrong.")
    sign_in(user)
    return see_other(next_page())


@bp.post("/logout")
def logout() -> Response:
    """Sign this browser out."""
    sign_out()
    return see_other("/login")

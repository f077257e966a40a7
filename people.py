"""Pages by which people come and go: set-up, sign in, sign out, their account, the front door. Knows nothing of clients."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, g, request

from accounts import set_password, set_up_owner, sign_out_everywhere
from errors import InvalidInput, NotFound
from signins import note_login
from store.users import check_password, count_users
from web import (
    client_address,
    current_user,
    find_current_login,
    login_identity,
    next_page,
    now,
    page,
    see_other,
    sign_in,
    sign_out,
    state,
)

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
        note_login("wrong_code")
        errors = {"code": "This is not the code. A fresh one is in the server's log after each start."}
        return page("setup.html", 403, next=next_page(), values=form, errors=errors)
    sign_in(user)
    note_login(user_id=user.id)
    return see_other(next_page())


@bp.route("/login", methods=["GET", "POST"])
def login() -> Response:
    """Sign in. An absent or empty user name means the only user."""
    g.leaves_for_client = True
    if not count_users(state().db):
        return see_other("/setup?" + urlencode({"next": next_page()}))
    if request.method == "GET":
        again = "again" in request.args
        return see_other(next_page()) if find_current_login() and not again else page("login.html", next=next_page(), again=again)
    state().limits.login(login_identity())
    name = request.form.get("username", "")
    with state().limits.password_check():
        user = check_password(state().db, name, request.form.get("password", ""))
    if user is None:
        note_login("wrong_password")
        return page("login.html", 401, next=next_page(), username=name, error="The name or the password is wrong.")
    sign_in(user)
    note_login(user_id=user.id)
    return see_other(next_page())


@bp.post("/logout")
def logout() -> Response:
    """Sign this browser out."""
    sign_out()
    return see_other("/login")


@bp.route("/account", methods=["GET", "POST"])
def account() -> Response:
    """The person's own account. A new password needs the old one, and signs out everything but this browser."""
    user = current_user()
    if request.method == "GET":
        return page("account.html", user=user, errors={})
    state().limits.login(login_identity())
    form = request.form
    try:
        with state().limits.password_check():
            if check_password(state().db, user.name, form.get("old_password", "")) is None:
                raise InvalidInput("Please look at the marked fields.", {"old_password": "This is not your password."})
            if form.get("password") != form.get("password_again"):
                raise InvalidInput("Please look at the marked fields.", {"password_again": "The two passwords differ."})
            set_password(state().db, user, form.get("password", ""), now=now())
    except InvalidInput as error:
        return page("account.html", 403 if "old_password" in error.fields else 400, user=user, errors=error.fields)
    sign_in(user)
    return page("account.html", user=user, errors={}, note="Your password is changed. Everything else is signed out.")


@bp.post("/account/sign-out")
def sign_out_of_everything() -> Response:
    """Sign the person out of every browser, this one too, and end every assistant's session."""
    sign_out_everywhere(state().db, current_user(), now=now())
    sign_out()
    return see_other("/login")

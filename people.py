"""Pages by which people come and go: set-up, sign in, sign out, their account, the front door. Knows nothing of clients."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request

from accounts import set_password, set_up_owner, sign_out_everywhere
from errors import InvalidInput, NotFound
from signins import note_login
from store.users import User, check_password, count_users, find_login, find_typed_user, list_users
from web import (
    REPEAT_SECONDS,
    LoginNeeded,
    browser_cookie,
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
        return let_in(find_just_made())
    if request.method == "GET":
        return page("setup.html", next=next_page(), values={}, errors={})
    state().limits.setup(client_address())
    form = request.form
    try:
        if form.get("password") != form.get("password_again"):
            raise InvalidInput("Please look at the marked fields.", {"password_again": "The two passwords differ."})
        with state().limits.password_check():
            user = set_up_owner(
                state().db, state().vault, form.get("code", ""), form.get("username", ""), form.get("password", ""), now=now()
            )
    except InvalidInput as error:
        return page("setup.html", 400, next=next_page(), values=form, errors=error.fields)
    except NotFound:
        with suppress(NotFound):
            return let_in(find_just_made())
        note_login("wrong_code")
        errors = {"code": "This is not the code. A fresh one is in the server's log after each start."}
        return page("setup.html", 403, next=next_page(), values=form, errors=errors)
    return let_in(user)


def find_just_made() -> User:
    """Who has just been made by the same form, sent twice by a double click. Raises NotFound for anybody else: set-up is done."""
    is_young = any(now() < user.created_at + REPEAT_SECONDS for user in list_users(state().db))
    user = find_by_password() if request.method == "POST" and is_young else None
    if user is None:
        raise NotFound("set-up is done")
    return user


def find_by_password() -> User | None:
    """Whose name and password were typed. An absent or empty name means the only user. Every try counts."""
    name = request.form.get("username", "")
    state().limits.login(login_identity(find_typed_user(state().db, name)))
    with state().limits.password_check():
        return check_password(state().db, name, request.form.get("password", ""))


def let_in(user: User) -> Response:
    """Sign the user in, and go on to where they wanted to go."""
    sign_in(user)
    note_login(user_id=user.id)
    return see_other(next_page())


@bp.route("/login", methods=["GET", "POST"])
def login() -> Response:
    """Sign in."""
    g.leaves_for_client = True
    if not count_users(state().db):
        return see_other("/setup?" + urlencode({"next": next_page()}))
    if request.method == "GET":
        known = find_current_login()
        if known and "again" not in request.args:
            return see_other(next_page())
        return page("login.html", next=next_page(), again=known, username=known.user.name if known else "")
    user = find_by_password()
    if user is None:
        note_login("wrong_password")
        name = request.form.get("username", "")
        error = "The name or the password is wrong." if name else "The password is wrong, or a user name is needed."
        return page("login.html", 401, next=next_page(), username=name, error=error)
    return let_in(user)


@bp.post("/logout")
def logout() -> Response:
    """Sign this browser out."""
    sign_out()
    return see_other("/login")


@bp.route("/account", methods=["GET", "POST"])
def account() -> Response:
    """The person's own account. A new password needs the old one, and signs out everything but this browser."""
    if request.method == "GET":
        return page("account.html", user=current_user(), errors={})
    try:
        user = change_password()
    except InvalidInput as error:
        return page("account.html", 403 if "old_password" in error.fields else 400, user=current_user(), errors=error.fields)
    sign_in(user)
    return page("account.html", user=user, errors={}, note="Your password is changed. Everything else is signed out.")


def change_password() -> User:
    """Change the password as the form says. Raises InvalidInput with what has to be mended, and LoginNeeded.

    Of a double click the first has signed this browser out; the second is let in by the new password, which its form holds too.
    """
    try:
        user, form = current_user(), request.form
        state().limits.login(login_identity(user))
        with state().limits.password_check():
            checked = check_password(state().db, user.name, form.get("old_password", ""))
            if checked is None:
                raise InvalidInput("Please look at the marked fields.", {"old_password": "This is not your password."})
            if form.get("password") != form.get("password_again"):
                raise InvalidInput("Please look at the marked fields.", {"password_again": "The two passwords differ."})
            set_password(state().db, checked, form.get("password", ""), now=now())
    except (InvalidInput, LoginNeeded):
        was_signed_out = find_login(state().db, browser_cookie(), now=now()) is None
        user = find_by_password() if was_signed_out else None
        if user is None:
            raise
    return user


@bp.post("/account/sign-out")
def sign_out_of_everything() -> Response:
    """Sign the person out of every browser, this one too, and end every assistant's session."""
    sign_out_everywhere(state().db, current_user(), now=now())
    sign_out()
    return see_other("/login")

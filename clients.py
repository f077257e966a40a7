"""Pages for the owner's own clients: list them, make one, delete one. Assistants that register themselves are not here."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, request

from errors import InvalidInput, NotFound
from forms import read_ticket, seal_ticket
from preregistration import add_client
from store.clients import delete_client, find_client, list_clients
from store.users import User
from web import REPEAT_SECONDS, current_user, now, page, see_other, state

bp = Blueprint("clients", __name__)


def current_owner() -> User:
    """The owner, if that is who is signed in; to anybody else these pages are not there. Raises NotFound."""
    user = current_user()
    if not user.is_owner:
        raise NotFound("for the owner only")
    return user


@bp.get("/clients")
def overview() -> Response:
    """The clients that the owner has made."""
    current_owner()
    return page("clients.html", clients=list_clients(state().db, "preregistered"))


@bp.route("/clients/new", methods=["GET", "POST"])
def new() -> Response:
    """Make a client. Its secret, if it has one, is on the answer and never shown again."""
    owner = current_owner()
    if request.method == "GET":
        return show_new(200, {}, {})
    form = request.form
    try:
        client, secret = add_client(
            state().db,
            state().settings,
            form.get("client_name", ""),
            form.get("redirect_uris", "").split(),
            read_ticket(state().vault, form, owner.id, "client"),
            has_secret=form.get("kind") == "secret",
            now=now(),
            after=now() - REPEAT_SECONDS,
        )
    except InvalidInput as error:
        return show_new(400, form, error.fields)
    return page("client.html", client=client, secret=secret, mcp_url=state().settings.mcp_url)


def show_new(status: int, values: Mapping[str, str], errors: Mapping[str, str]) -> Response:
    """The form for a new client, with what was typed."""
    ticket = seal_ticket(state().vault, current_owner().id, "client")
    return page("new_client.html", status, values=values, errors=errors, ticket=ticket)


@bp.post("/clients/<client_id>/delete")
def delete(client_id: str) -> Response:
    """Delete a client that the owner has made, with every session of it."""
    current_owner()
    client = find_client(state().db, client_id)
    if client is None or client.kind != "preregistered":
        raise NotFound("no such client")
    delete_client(state().db, client.id)
    return see_other("/clients")

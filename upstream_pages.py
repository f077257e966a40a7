"""Pages by which a person signs in at the service behind a connection, comes back, and signs out. Knows no token."""

from __future__ import annotations

from flask import Blueprint, Response, abort, g, jsonify, request

from errors import FetchError, SignInFailed, ToolError
from store.connections import Connection, get_connection
from upstream_clients import CALLBACK_PATH, DOCUMENT_PATH, client_document
from upstream_oauth import UNKNOWN
from web import browser_hash, current_user, find_current_login, look_at_servers, next_page, now, page, see_other, state

bp = Blueprint("upstream_pages", __name__)

ANSWER_NAMES = ("state", "code", "iss", "error")


@bp.post("/connections/<connection_id>/connect")
def connect(connection_id: str) -> Response:
    """Send the person to the service's sign-in page."""
    g.leaves_for_client = True
    connection = get_connection(state().db, current_user(page_of(connection_id)).id, connection_id)
    try:
        return see_other(state().sign_ins.begin(connection, browser_hash(), wanted_page(connection), now=now()))
    except (ToolError, FetchError) as error:
        return refuse(str(error), connection_id)


@bp.post("/connections/<connection_id>/disconnect")
def disconnect(connection_id: str) -> Response:
    """Sign out at the service. What assistants may do stays as it is."""
    connection = get_connection(state().db, current_user(page_of(connection_id)).id, connection_id)
    state().sign_ins.disconnect(connection, now=now())
    return see_other(page_of(connection_id))


@bp.get(CALLBACK_PATH)
def callback() -> Response:
    """Where the service sends the browser back to. Only the login that was sent away may come back, and once (RFC 9700 §4.7)."""
    login = find_current_login()
    answer = {name: request.args[name] for name in ANSWER_NAMES if name in request.args}
    if login is None or any(len(request.args.getlist(name)) > 1 for name in ANSWER_NAMES):  # OAuth 2.1 §3.1
        return refuse(UNKNOWN)
    try:
        connection_id, wanted = state().sign_ins.finish(answer, browser_hash(), now=now())
    except SignInFailed as failure:
        return refuse(str(failure), failure.connection_id)
    connection = get_connection(state().db, login.user.id, connection_id)
    look_at_servers((state().connectors.get(connection.connector), connection_id))
    return see_other(wanted)


@bp.get(DOCUMENT_PATH)
def document() -> Response:
    """What we say of ourselves to authorization servers, whose address is our client id there (CIMD)."""
    found = client_document(state().settings)
    if found is None:
        abort(404)
    response = jsonify(found)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def refuse(message: str, connection_id: str | None = None) -> Response:
    """A page that says what went wrong, and leads back to the connection."""
    way = (page_of(connection_id), "Back to the connection") if connection_id else None
    return page("message.html", 400, title="This sign-in cannot go on", message=message, way=way)


def page_of(connection_id: str) -> str:
    """A connection's own page."""
    return f"/connections/{connection_id}"


def wanted_page(connection: Connection) -> str:
    """Where to go once it is done: back into what the person was at, else to the connection's own page."""
    own = page_of(connection.id)
    return next_page() if request.values.get("next") else own

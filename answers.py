"""What surrounds every page: the checks before it, the headers and cookies behind it, and the page or JSON of each error."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

import cors
from crypto import new_id
from errors import InvalidClient, InvalidInput, InvalidToken, NotFound, OAuthError, StorageError, TooManyRequests, trace
from texts import date_text, plain_text, prose_text
from web import (
    API_ENDPOINTS,
    LoginNeeded,
    Refused,
    check_csrf,
    check_host,
    csrf_input,
    known_login,
    next_page,
    no_store,
    page,
    see_other,
    send_cookies,
    state,
)

log = logging.getLogger("postern.web")

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
AGAIN_SECONDS = 5
API_PATHS = re.compile(r"/(token|revoke|introspect|register(/.*)?)")
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def send_headers(response: Response) -> Response:
    """The headers of every answer, errors too. `leaves_for_client`: browsers apply form-action to where a POST ends up."""
    response.headers["Content-Security-Policy"] = POLICY if g.get("leaves_for_client") else POLICY + "; form-action 'self'"
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    response.headers.update(cors.page_headers(request.endpoint, request.method))
    return response


def install(app: Flask) -> None:
    """Hang all of it around every page of the app."""
    app.before_request(check_host)
    app.before_request(check_csrf)
    app.after_request(send_cookies)
    app.after_request(send_headers)
    app.register_error_handler(OAuthError, answer_oauth_error)
    app.register_error_handler(Exception, answer_error)
    app.context_processor(lambda: {"login": known_login(), "csrf": csrf_input, "home": state().settings.public_url})
    app.add_template_filter(plain_text, "plain")
    app.add_template_filter(prose_text, "prose")
    app.add_template_filter(date_text, "date")


def is_for_program() -> bool:
    """Whether a program reads the answer: at its addresses too where it comes with a method that is not offered there."""
    return request.endpoint in API_ENDPOINTS or API_PATHS.fullmatch(request.path) is not None


def answer_oauth_error(error: OAuthError) -> Response:
    """An OAuth error: JSON for programs (RFC 6749 §5.2), a page for people."""
    if not is_for_program():
        return page("message.html", 400, title="This sign-in cannot go on", message=error.description, code=error.code)
    response = no_store(jsonify(error=error.code or "invalid_token", error_description=error.description), error.status)
    if isinstance(error, InvalidClient) and error.challenge:
        response.headers["WWW-Authenticate"] = 'Basic realm="Postern"'
    if isinstance(error, InvalidToken):
        response.headers["WWW-Authenticate"] = f'Bearer error="{error.code}"' if error.code else "Bearer"  # RFC 6750 §3
    return response


def answer_error(error: Exception) -> Response:
    """Any other error: what it says if it was foreseen, else an id that the log explains."""
    if isinstance(error, LoginNeeded):
        return see_other(error.location)
    status, title, message = describe_error(error)
    if is_for_program():
        response = no_store(jsonify(error=CODES.get(status, "invalid_request"), error_description=message), status)
    else:
        response = page("message.html", status, title=title, message=message, way=find_way(error))
    if isinstance(error, StorageError):
        log.error("storage failed at %s: %s", request.endpoint, error)
        response.headers["Retry-After"] = str(AGAIN_SECONDS)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, HTTPException) and error.get_response().headers.get("Allow"):
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


# what a program is told that stands before one of our own faults, or comes too often (RFC 6749 §4.1.2.1)
CODES = {429: "temporarily_unavailable", 500: "server_error", 503: "temporarily_unavailable"}


def describe_error(error: Exception) -> tuple[int, str, str]:
    """(status, title, message) of an error, for a person."""
    for kind, describe in DESCRIPTIONS:
        if isinstance(error, kind):
            return describe(error)
    error_id = new_id()
    log.error("error %s at %s: %s", error_id, request.endpoint, trace(error))
    return 500, "Something went wrong", f"This is our fault. The server's log has the details under {error_id}."


def find_way(error: Exception) -> tuple[str, str] | None:
    """Where somebody can go on after an error, and what that is called; None: nowhere but to the front page."""
    if isinstance(error, TooManyRequests) and request.endpoint == "people.login":
        return "/login?" + urlencode({"next": next_page()}), "Back to the sign-in"
    if isinstance(error, NotFound) and request.method == "POST":
        return "/admin", "Your connections"
    return getattr(error, "way", None)


def describe_missing(_error: NotFound) -> tuple[int, str, str]:
    """What is not there: an address, or the thing that a button was about, which a double click may have deleted already."""
    if request.method == "POST":
        return 404, "It is not there", "It was deleted meanwhile, perhaps by you just now, or it is not yours."
    return 404, "Page not found", "There is no such page, or it is not yours."


def describe_http(error: HTTPException) -> tuple[int, str, str]:
    """An error that Flask raised: 404, 405, 413 …"""
    known = {404: "There is no such page.", 405: "This page cannot be opened like that.", 413: "That is too much data."}
    status = error.code or 500
    return status, "Page not found" if status == 404 else "That did not work", known.get(status, "The request cannot be read.")


DESCRIPTIONS: tuple[tuple[type, Callable[[Any], tuple[int, str, str]]], ...] = (
    (Refused, lambda error: (error.status, error.title, str(error))),
    (NotFound, describe_missing),
    (InvalidInput, lambda error: (400, "Please check what you typed", str(error))),
    (TooManyRequests, lambda error: (429, "Too many tries", str(error))),
    (StorageError, lambda error: (503, "Busy", "The database cannot be used just now. Reload this page in a moment.")),
    (HTTPException, describe_http),
)

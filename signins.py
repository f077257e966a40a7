"""Notes of how a sign-in goes, for the sign-in log: a line at each step. Never fails, hardly waits, holds no page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import g, request
from werkzeug.exceptions import HTTPException

from errors import FetchError, NotFound, OAuthError, PosternError, StorageError, TooManyRequests
from store.authorizations import find_request
from store.signins import Clue, note_step
from web import browser_hash, client_address, next_page, state

BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")  # in this order: each also claims to be what comes after it
ROUTINE = frozenset({"refresh"})  # going well, these are no steps of a sign-in


def about(step: str | None = None, **facts: str) -> None:
    """What is known by now of the sign-in that this HTTP request belongs to; what is noted later counts for it.

    `step` says that the step is another one than its address lets suppose. The facts are ids of a Clue.
    """
    g.sign_in = g.get("sign_in", {}) | facts | ({"step": step} if step else {})


@contextmanager
def noted(step: str) -> Iterator[None]:
    """Note, of a view or of a block, that it went well, or by which error it was refused."""
    try:
        yield
    except (PosternError, HTTPException) as error:
        note(step, name_error(error))
        raise
    note(step)


def note(step: str, error: str | None = None, detail: str | None = None, **facts: str | None) -> None:
    """Note a step: that it went well, or the code of its refusal. Steps of strangers are counted, and too many left out."""
    known = g.get("sign_in", {}) | facts
    step = known.pop("step", step)
    is_stranger = not (known.get("user_id") or known.get("session_id"))
    if (error is None and step in ROUTINE) or (is_stranger and not state().limits.may_note(client_address())):
        return
    clue = Clue(state().vault.mac("sign-in log", client_address()), name_agent(request.headers.get("User-Agent", "")), **known)
    with suppress(StorageError):  # a note is not worth a failed sign-in
        note_step(state().db, step, clue, error=error, detail=detail, now=state().clock())


def note_login(error: str | None = None, user_id: str | None = None) -> None:
    """Note that a person signed in, or could not, if an assistant has sent this browser here."""
    match = re.fullmatch(r"/connect\?request=([0-9a-f]+)", next_page())
    with suppress(StorageError):
        wanted = find_request(state().db, match[1], browser_hash()) if match else None
        if wanted:
            note("login", error, request_id=wanted.id, client_id=wanted.client_id, user_id=user_id)


def name_error(error: Exception) -> str:
    """A refusal in one word: its code on the wire, if it has one."""
    if isinstance(error, OAuthError):
        return error.code
    if isinstance(error, HTTPException):
        return f"http_{error.code}"
    return next((word for kind, word in WORDS if isinstance(error, kind)), "other")


WORDS: tuple[tuple[type, str], ...] = (
    (TooManyRequests, "too_many_requests"),
    (FetchError, "fetch_failed"),
    (StorageError, "storage_failed"),
    (NotFound, "not_found"),
)


def name_agent(header: str) -> str:
    """The family of a program, of its User-Agent (RFC 9110 §10.1.5): a word of letters, else nothing."""
    if header.startswith("Mozilla/"):
        return next((name for name in BROWSERS if f" {name}/" in header), "")
    match = re.match(r"([A-Za-z][A-Za-z-]{0,29})(?:[/ ]|$)", header)
    return match[1] if match else ""

"""The page of a thing that `search` found and that has no address of its own: its text, for its person. Searches nothing."""

from __future__ import annotations

from flask import Blueprint, Response, request

from errors import NotFound, ToolError
from profiles import get_profile
from searching import TEXT_MAX
from tools import Call
from web import current_user, page, state

bp = Blueprint("found", __name__)


@bp.get("/found/<slug>")
def show(slug: str) -> Response:
    """What stands behind an id. It is the person's own, whatever an assistant may do."""
    profile = get_profile(current_user(), slug)
    try:
        document = state().toolbox.find_document(profile, request.args.get("id", ""), Call())
    except NotFound:
        raise NotFound("no such thing in this profile") from None
    except ToolError as error:
        return page("found.html", 502, document=None, error=str(error))
    return page("found.html", document=document, longest=TEXT_MAX + 1_000, error="")

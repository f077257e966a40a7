"""The page that writes down connections for other programs. Changes nothing, and shows no secret."""

from __future__ import annotations

import json

from flask import Blueprint, Response, request

from exports import FORMS, export
from store.connections import list_connections
from web import current_user, page, state

bp = Blueprint("exporting", __name__)


@bp.get("/connections/export")
def take_along() -> Response:
    """Postern's own entry, and the person's connections to other servers, in the form of one program."""
    user = current_user()
    form = request.args.get("form", "")
    form = form if form in FORMS else next(iter(FORMS))
    own, others = export(form, list_connections(state().db, user.id), state().settings.mcp_url)
    return page(
        "export.html",
        form=form,
        forms=FORMS,
        own=json.dumps(own, indent=2, ensure_ascii=False),
        others=json.dumps(others, indent=2, ensure_ascii=False) if any(len(part) for part in others.values()) else "",
    )

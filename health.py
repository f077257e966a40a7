"""Whether the server is alive and ready, for monitors and containers. Tells no reasons: the log has them."""

from __future__ import annotations

import logging
from pathlib import Path

from flask import Blueprint, Response

from db import check_current
from errors import ConfigError, StorageError
from web import state

MIGRATIONS = Path(__file__).parent / "migrations"
log = logging.getLogger("postern.health")

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """200 as long as the process answers at all; touches nothing else."""
    return answer(200, "ok")


@bp.get("/readyz")
def readyz() -> Response:
    """200 if the database answers and has every migration; 503 otherwise."""
    try:
        check_current(state().db, MIGRATIONS)
    except (ConfigError, StorageError) as error:
        log.warning("Not ready: %s", error)
        return answer(503, "not ready")
    return answer(200, "ready")


def answer(status: int, word: str) -> Response:
    """One word of plain text that nobody may keep."""
    return Response(word + "\n", status, {"Cache-Control": "no-store"}, mimetype="text/plain")

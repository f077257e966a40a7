"""A bearer becomes a Caller. Knows no HTTP server and nothing of what may be called."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from db import Database
from errors import InvalidToken, StorageError
from store.sessions import note_session_used
from store.tokens import Caller, find_caller

USED_EVERY_SECONDS = 60


class Callers:
    """Checks bearers against the database: one indexed query each, and a write at most once a minute for a session."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time):
        self._db, self._clock = db, clock
        self._noted: dict[str, int] = {}

    def authenticate(self, authorization: str | None, resource: str) -> Caller:
        """The caller behind an Authorization header, at `resource`.

        Raises InvalidToken: without a code if there are no credentials at all (RFC 6750 §3), else invalid_token.
        """
        now = int(self._clock())
        caller = find_caller(self._db, read_bearer(authorization))
        if caller is None or caller.expires_at <= now:
            raise InvalidToken("The access token is unknown, expired or revoked.")
        if caller.resource != resource:  # RFC 8707 §2: a token opens one address only
            raise InvalidToken("The access token is for another address of this server.")
        self._note_used(caller, now)
        return caller

    def _note_used(self, caller: Caller, now: int) -> None:
        last = max(caller.used_at or 0, self._noted.get(caller.session_id, 0))
        if now - last < USED_EVERY_SECONDS:
            return
        if len(self._noted) > 10_000:
            self._noted.clear()
        self._noted[caller.session_id] = now
        with suppress(StorageError):  # a note is not worth a failed call
            note_session_used(self._db, caller.session_id, now=now)


def read_bearer(authorization: str | None) -> str:
    """The token of a Bearer header; the scheme's case does not matter (RFC 9110 §11.1). Raises InvalidToken."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken("A bearer token is needed.", code=None)
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{1,512}=*", token.strip()):  # RFC 6750 §2.1
        raise InvalidToken("The access token is malformed.")
    return token.strip()

"""A bearer becomes a Caller. Knows no HTTP server and nothing of what may be called."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from db import Database
from errors import InvalidToken, StorageError
from store.api_keys import KEY_START, find_key, note_key_used
from store.sessions import note_session_used
from store.signins import Clue, note_step
from store.tokens import Caller, find_caller

USED_EVERY_SECONDS = 60


class Callers:
    """Checks bearers against the database: one indexed query each, and at most once a minute a note that it was used."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time):
        self._db, self._clock = db, clock
        self._noted: dict[str, int] = {}

    def authenticate(self, authorization: str | None, resource: str) -> Caller:
        """The caller behind an Authorization header, at `resource`: of an access token, or of an API key.

        Raises InvalidToken: without a code if there are no credentials at all (RFC 6750 §3), else invalid_token.
        """
        now, bearer = int(self._clock()), read_bearer(authorization)
        is_key = bearer.startswith(KEY_START)
        caller = find_key_caller(self._db, bearer, resource) if is_key else find_caller(self._db, bearer)
        if caller is None or caller.expires_at <= now:
            raise InvalidToken(f"The {'API key' if is_key else 'access token'} is unknown, expired or revoked.")
        if caller.resource != resource:  # RFC 8707 §2: a token opens one address only
            self._note_lost(caller, now)
            raise InvalidToken("The access token is for another address of this server.")
        self._note_used(caller, now)
        return caller

    def _note_used(self, caller: Caller, now: int) -> None:
        if not self._is_due(caller.session_id or caller.api_key_id, caller.used_at, now):
            return
        with suppress(StorageError):  # a note is not worth a failed call
            if caller.session_id and caller.used_at is None:
                note_step(self._db, "call", Clue(session_id=caller.session_id), now=self._clock())
            note = note_session_used if caller.session_id else note_key_used
            note(self._db, caller.session_id or caller.api_key_id, now=now)

    def _note_lost(self, caller: Caller, now: int) -> None:
        """Note in the sign-in log that a client, fresh from its sign-in, calls at an address that it was not let in to."""
        if caller.used_at is not None or not self._is_due("lost " + caller.session_id, None, now):
            return
        with suppress(StorageError):
            clue = Clue(session_id=caller.session_id)
            note_step(self._db, "call", clue, error="invalid_token", detail="another_address", now=self._clock())

    def _is_due(self, name: str, last: int | None, now: int) -> bool:
        """Whether it is time for a note; if so, the next one is due in a minute."""
        if now - max(last or 0, self._noted.get(name, 0)) < USED_EVERY_SECONDS:
            return False
        if len(self._noted) > 10_000:
            self._noted.clear()
        self._noted[name] = now
        return True


def find_key_caller(db: Database, key: str, resource: str) -> Caller | None:
    """Who an API key stands for. Raises InvalidToken if `resource` is neither /mcp nor the address of the key's profile."""
    holder = find_key(db, key)
    if holder is None:
        return None
    if urlsplit(resource).path not in ("/mcp", f"/mcp/{holder.slug}"):
        raise InvalidToken("The API key is for another address of this server.")
    return Caller(
        session_id=None,
        grant_id=holder.grant_id,
        client_id=None,
        user_id=holder.user_id,
        profile_id=holder.profile_id,
        resource=resource,
        expires_at=holder.ends_at,
        used_at=holder.used_at,
        revision=holder.revision,
        api_key_id=holder.id,
    )


def read_bearer(authorization: str | None) -> str:
    """The token of a Bearer header; the scheme's case does not matter (RFC 9110 §11.1). Raises InvalidToken."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken("A bearer token is needed.", code=None)
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{1,512}=*", token.strip()):  # RFC 6750 §2.1
        raise InvalidToken("The access token is malformed.")
    return token.strip()

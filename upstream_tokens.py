"""A good access token for a connection when a call needs one, refreshed by one at a time in all processes. Knows no page."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from challenges import read_challenge, read_scope
from crypto import new_id
from errors import SignInNeeded, ToolError, UpstreamError
from store.connections import Connection, list_secrets
from store.registrations import get_registration
from store.upstream_signins import (
    ACCESS,
    REFRESH,
    KeptToken,
    end_sign_in,
    find_sign_in,
    find_token,
    finish_refresh,
    note_missing_scope,
    release_refresh,
    take_refresh,
)
from tools import SignIn
from upstream_grants import GrantDelayed, GrantRefused, Tokens, refresh
from upstream_oauth import UpstreamOAuth, identity_of, name_tokens, read_kept_server

AHEAD_SECONDS, AHEAD_PART = 60, 0.1  # a token is refreshed so long before it expires, whichever is less
RETRY_SECONDS = 10  # after a failure that may pass
LEASE_SECONDS = 30  # longer than a refresh ever takes
WAIT_SECONDS, POLL_SECONDS = 20, 0.03
FORCED_SECONDS = 300  # a token that a refusal made us get, and that is refused too within this time: only its person can help

REASONS = {
    "never": "Nobody has signed in for the connection “{name}” yet.",
    "moved": "The address of the connection “{name}” was changed since somebody signed in.",
    "expired": "The sign-in of the connection “{name}” is over.",
    "refused": "The service refuses the sign-in of the connection “{name}”.",
    "client": "The service does not know Postern any more, so the connection “{name}” is signed out.",
    "scope": "The service wants more permissions for this than the connection “{name}” has: {scope}.",
}


class UpstreamTokens:
    """Lets one connection in (links.Authorizer). Threads may share one."""

    def __init__(self, oauth: UpstreamOAuth, connection: Connection, plan: SignIn):
        self._oauth, self._connection, self._plan = oauth, connection, plan
        self._sent = threading.local()  # what this thread sent last, to know whether a refusal is about that
        self._opened: tuple[str, str] = ("", "")  # the sealed token that was opened last, and what was in it

    def headers(self) -> Mapping[str, str]:
        """The header that lets a request in; none as long as nobody has signed in, for the server may not ask for it.

        Raises SignInNeeded, or UpstreamError if it cannot be had just now.
        """
        kept = find_token(self._oauth.db, self._connection.id)
        if self._plan.url and (kept is None or kept.url != self._plan.url):
            self._sent.sealed = None
            return {}
        return {"Authorization": f"Bearer {self._choose(kept)}"}

    def access_token(self) -> str:
        """An access token that is good for a while. Raises SignInNeeded, or UpstreamError."""
        return self._choose(find_token(self._oauth.db, self._connection.id))

    def account(self) -> str | None:
        """Whose it is, in the service's words; None if it did not say."""
        row = find_sign_in(self._oauth.db, self._connection.id)
        return row.account if row else None

    def _choose(self, kept: KeptToken | None) -> str:
        """The token itself: the kept one, or the one after it."""
        good = self._check(kept)
        if self._is_due(good):
            good = self._refresh(good, is_forced=False)
        self._sent.sealed = good.sealed
        return self._open(good.sealed or "")

    def refused(self, status: int, challenge: str | None) -> None:
        """Refresh once for a 401. Raises SignInNeeded for one that stays, and for a scope that is missing; else UpstreamError."""
        words = read_challenge(challenge)
        if status == 403 and words.get("error") == "insufficient_scope":  # RFC 6750 §3.1
            scope = read_scope(words.get("scope"))
            if scope:
                note_missing_scope(self._oauth.db, self._connection.id, scope)
            raise self._needed("scope", scope)
        if status != 401:
            raise UpstreamError(f"The connection “{self._connection.name}” is not allowed to do this (status {status}).")
        kept = self._find()
        if kept.sealed == getattr(self._sent, "sealed", kept.sealed):
            self._refresh(kept, is_forced=True)

    # --- what is kept ---

    def _find(self) -> KeptToken:
        """The token as it is kept now. Raises SignInNeeded if its person has to help."""
        return self._check(find_token(self._oauth.db, self._connection.id))

    def _check(self, kept: KeptToken | None) -> KeptToken:
        """Raise SignInNeeded unless a token, or another one for it, may be had without its person."""
        if kept is None:
            raise self._needed("never")
        if kept.url != self._plan.url:  # what is for one address never goes to another
            raise self._needed("moved")
        if kept.need:
            raise self._needed(kept.need)
        return kept

    def _is_due(self, kept: KeptToken) -> bool:
        """Whether a token is to be refreshed before it is used."""
        if kept.sealed is None:
            return True
        if kept.expires_at is None:
            return False
        life = kept.expires_at - (kept.issued_at or 0)
        return self._oauth.clock() >= kept.expires_at - min(AHEAD_SECONDS, life * AHEAD_PART)

    def _is_usable(self, kept: KeptToken) -> bool:
        """Whether a token has not expired yet."""
        return kept.sealed is not None and (kept.expires_at is None or self._oauth.clock() < kept.expires_at)

    def _open(self, sealed: str) -> str:
        """The token itself."""
        if self._opened[0] != sealed:
            plain = self._oauth.vault.unseal(sealed, "credentials", self._connection.id, ACCESS).decode()
            self._opened = (sealed, plain)
            return plain
        return self._opened[1]

    # --- refreshing ---

    def _refresh(self, old: KeptToken, *, is_forced: bool) -> KeptToken:
        """The token after `old`: fetched here, or by whoever is at it. A token that is still good need not wait for that."""
        oauth, connection_id, me = self._oauth, self._connection.id, new_id()
        can_go_on = self._is_usable(old) and not is_forced
        give_up = time.monotonic() + WAIT_SECONDS
        while True:
            if (kept := self._find()).sealed != old.sealed:
                return kept
            if (kept.retry_at or 0) > oauth.clock():
                return self._or_later(old, can_go_on)
            if take_refresh(oauth.db, connection_id, me, seconds=LEASE_SECONDS, now=int(oauth.clock())):
                return self._refresh_alone(old, me, is_forced, can_go_on)
            if can_go_on:
                return old
            if time.monotonic() > give_up:
                return self._or_later(old, can_go_on)
            time.sleep(POLL_SECONDS)

    def _refresh_alone(self, old: KeptToken, me: str, is_forced: bool, can_go_on: bool) -> KeptToken:
        """Refresh, having the right to. It is let go of in any case."""
        oauth, connection_id = self._oauth, self._connection.id
        retry_at: int | None = None
        try:
            if (kept := self._find()).sealed != old.sealed:
                return kept
            tokens = self._ask(old, is_forced)
            now = int(oauth.clock())
            expires_at = None if tokens.lifetime is None else now + tokens.lifetime
            finish_refresh(
                oauth.db, oauth.vault, connection_id, me, name_tokens(tokens), is_forced=is_forced, expires_at=expires_at, now=now
            )
            return self._find()
        except GrantDelayed:
            retry_at = int(oauth.clock()) + RETRY_SECONDS
            return self._or_later(old, can_go_on)
        except GrantRefused as refusal:
            return self._end(old, "client" if refusal.code == "invalid_client" else "expired")
        finally:
            release_refresh(oauth.db, connection_id, me, retry_at=retry_at)

    def _ask(self, old: KeptToken, is_forced: bool) -> Tokens:
        """New tokens from the service. Raises GrantRefused if there is nothing to ask with, or no use in asking."""
        oauth = self._oauth
        row = find_sign_in(oauth.db, self._connection.id)
        if row is None:
            raise self._needed("never")
        if is_forced and row.forced_at is not None and row.forced_at == old.issued_at > oauth.clock() - FORCED_SECONDS:
            self._end(old, "refused")
        ours = get_registration(oauth.db, oauth.vault, row.registration_id)
        token = list_secrets(oauth.db, oauth.vault, self._connection.id).get(REFRESH)
        if token is None:
            self._end(old, "refused" if is_forced else "expired")
        return refresh(oauth.fetch, read_kept_server(ours), identity_of(ours), token=token or "", resource=row.resource)

    def _end(self, old: KeptToken, need: str) -> KeptToken:
        """Raise SignInNeeded from now on; but if somebody has put a newer token there meanwhile, answer that one."""
        if not end_sign_in(self._oauth.db, self._connection.id, old.sealed, need, now=int(self._oauth.clock())):
            return self._find()
        raise self._needed(need)

    def _or_later(self, old: KeptToken, can_go_on: bool) -> KeptToken:
        """The old token if it still does; a failure that may pass is no end."""
        if can_go_on:
            return old
        raise UpstreamError(
            f"The sign-in of the connection “{self._connection.name}” cannot be renewed just now. Try again in a minute."
        )

    def _needed(self, reason: str, scope: str | None = None) -> SignInNeeded:
        """What the person is told, and where they can mend it."""
        link = f"{self._oauth.settings.public_url}/connections/{self._connection.id}"
        sentence = REASONS[reason].format(name=self._connection.name, scope=scope or "it does not say which")
        if reason == "expired" and self._plan.when_over:
            sentence += f" {self._plan.when_over}"
        code = "insufficient_scope" if reason == "scope" else "invalid_token"
        return SignInNeeded(f"{sentence} Sign in at {link}", link=link, code=code, scope=scope)


def find_tokens(oauth: UpstreamOAuth, connection: Connection) -> UpstreamTokens | None:
    """What lets a connection in; None for one that needs no sign-in. Raises ToolError for settings that do not do."""
    plan = oauth.find_plan(connection)
    return UpstreamTokens(oauth, connection, plan) if plan else None


def get_tokens(oauth: UpstreamOAuth, connection: Connection) -> UpstreamTokens:
    """As `find_tokens`, but raises ToolError where there is no sign-in."""
    tokens = find_tokens(oauth, connection)
    if tokens is None:
        raise ToolError(f"The connection “{connection.name}” has no sign-in to take a token from.")
    return tokens

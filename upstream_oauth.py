"""Postern as an OAuth client: lets a person sign in at the service behind a connection, and keeps that good. Knows no page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from challenges import join_scopes
from client_trust import add_parameters
from config import Settings
from crypto import Unreadable, Vault, hash_token, new_token, s256
from db import Database
from errors import SignInFailed, ToolError, UpstreamError
from fetch import Fetcher
from store.connections import Connection, list_secrets
from store.registrations import (
    Registration,
    drop_registrations,
    get_registration,
    insert_registration,
    kill_registration,
    list_registrations,
    update_metadata,
)
from store.upstream_signins import (
    ACCESS,
    REFRESH,
    UpstreamSignIn,
    Visit,
    claim_visit,
    drop_sign_in,
    find_sign_in,
    find_token,
    forget_scopes,
    has_lost_visit,
    insert_visit,
    put_sign_in,
)
from tools import Connector, SignIn
from upstream_clients import Identity, callback_url, find_identity, register
from upstream_grants import GrantDelayed, GrantRefused, Tokens, redeem, revoke
from upstream_metadata import Findings, Server, find_way

NEW_SECONDS = 300  # a registration of this age is not dead because somebody has not come back
# what a service wants besides what the standards say, by the host of its sign-in page
EXTRA_PARAMETERS: dict[str, dict[str, str]] = {
    # no refresh token without both: not for a second consent either
    "accounts.google.com": {"access_type": "offline", "prompt": "consent"},
}

UNKNOWN = "This sign-in is not known here: it was not begun in this browser, took longer than ten minutes, or is over already."
WRONG_ISSUER = "The answer does not come from the service that was asked, so nothing was kept."
NO_CODE = "The service sent you back without saying yes or no, so nothing was kept."
REFUSALS = {  # RFC 6749 §4.1.2.1
    "access_denied": "You did not allow it, or the service did not let you. Nothing was kept.",
    "invalid_scope": "The service does not know what was asked for. Try again: this time less is asked for.",
    "temporarily_unavailable": "The service is too busy just now. Try again later.",
    "server_error": "The service made a mistake. Try again later.",
}


@dataclass(frozen=True)
class Standing:
    """How a connection is signed in, for a page. `until` is in epoch seconds; None: as long as the service likes."""

    host: str
    need: str | None  # never, moved, expired, refused or client; None: all is well
    until: int | None = None
    lasts: bool = False  # it renews itself
    account: str | None = None
    scope: str | None = None
    missing_scope: str | None = None
    signed_in_at: int | None = None
    hint: str = ""  # what the service's connector has to say of the need


class UpstreamOAuth:
    """Sign-ins at the services of connections."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        fetch: Fetcher,
        settings: Settings,
        connectors: Mapping[str, Connector],
        clock: Callable[[], float] = time.time,
    ):
        self.db, self.vault, self.fetch, self.settings, self.clock = db, vault, fetch, settings, clock
        self._connectors = connectors

    def find_plan(self, connection: Connection) -> SignIn | None:
        """How one signs in for a connection; None if it needs no sign-in. Raises ToolError for settings that do not do."""
        connector = self._connectors.get(connection.connector)
        if connector is None or connector.sign_in is None:
            return None
        plan = connector.sign_in(connection.settings, list_secrets(self.db, self.vault, connection.id))
        return with_house_client(plan, self.settings) if plan else None

    def describe(self, connection: Connection) -> Standing | None:
        """How a connection is signed in; None if it needs no sign-in."""
        try:
            plan = self.find_plan(connection)
        except ToolError:
            return None  # its form says what is missing
        if plan is None:
            return None
        host = urlsplit(plan.url or plan.authorization_endpoint).netloc
        row, token = find_sign_in(self.db, connection.id), find_token(self.db, connection.id)
        if row is None or token is None:
            return Standing(host, "never")
        lasts = REFRESH in connection.secret_names
        is_over = token.sealed is None or (not lasts and (token.expires_at or self.clock()) < self.clock())
        need = row.need or ("moved" if row.url != plan.url else "expired" if is_over else None)
        hint = plan.when_over if need == "expired" else ""
        return Standing(host, need, token.expires_at, lasts, row.account, row.scope, row.missing_scope, row.signed_in_at, hint)

    # --- away, and back ---

    def begin(self, connection: Connection, browser_hash: str, next_page: str, *, now: int) -> str:
        """The address to which the browser goes to sign in. Raises UpstreamError or FetchError with a sentence for the person."""
        plan = self.find_plan(connection)
        if plan is None:
            raise UpstreamError("This connection needs no sign-in.")
        row = find_sign_in(self.db, connection.id)
        known = get_registration(self.db, self.vault, row.registration_id).issuer if row else None
        found = find_way(self.fetch, plan, known)
        scope = choose_scope(found, row, known, is_exact=plan.asks_exactly)
        ours = self._identify(connection, plan, found, scope, now)
        state, verifier = new_token(""), new_token("")
        visit = Visit(
            hash_token(state), connection.id, ours.id, browser_hash, verifier, plan.url, found.resource, scope, next_page
        )
        insert_visit(self.db, self.vault, visit, now=now)
        return authorization_url(found.server, ours, visit, state)

    def finish(self, answer: Mapping[str, str], browser_hash: str, *, now: int) -> tuple[str, str]:
        """Take what the service sent the browser back with; answers the connection's id and the page to go to.

        Raises SignInFailed, and then nothing was kept. Whatever comes, a visit ends once.
        """
        visit = claim_visit(self.db, self.vault, hash_token(answer.get("state", "")), browser_hash, now=now)
        if visit is None:
            raise SignInFailed(UNKNOWN)
        ours = get_registration(self.db, self.vault, visit.registration_id)
        server = read_kept_server(ours)
        try:
            check_answer(answer, server)
        except SignInFailed as refusal:
            if answer.get("error") == "invalid_scope":
                forget_scopes(self.db, visit.connection_id)
            raise SignInFailed(str(refusal), visit.connection_id) from None
        tokens = self._redeem(server, ours, visit, answer["code"], now)
        put_sign_in(
            self.db,
            self.vault,
            visit,
            name_tokens(tokens),
            scope=granted_scope(tokens.scope, visit.scope),
            account=tokens.account,
            expires_at=None if tokens.lifetime is None else now + tokens.lifetime,
            now=now,
        )
        return visit.connection_id, visit.next

    def _redeem(self, server: Server, ours: Registration, visit: Visit, code: str, now: int) -> Tokens:
        identity = identity_of(ours)
        try:
            return redeem(
                self.fetch, server, identity, code=code, verifier=visit.verifier, redirect_uri=ours.redirect_uri,
                resource=visit.resource,
            )  # fmt: skip
        except GrantDelayed as error:
            raise SignInFailed(f"{error} Nothing was kept. Try again later.", visit.connection_id) from None
        except GrantRefused as error:
            if error.code != "invalid_client":
                raise SignInFailed(f"{error} Nothing was kept. Try again.", visit.connection_id) from None
            kill_registration(self.db, ours.id, now=now)
            advice = "Check the client id and secret." if ours.kind == "given" else "Try again: Postern registers anew."
            raise SignInFailed(f"{error} {advice}", visit.connection_id) from None

    def disconnect(self, connection: Connection, *, now: int) -> bool:
        """Sign out: revoke at the service, if it can, and forget. Whether the service said that it is done."""
        row = find_sign_in(self.db, connection.id)
        if row is None:
            return False
        try:
            ours = get_registration(self.db, self.vault, row.registration_id)
            secrets = list_secrets(self.db, self.vault, connection.id)
        except Unreadable:  # what cannot be opened cannot be revoked, but it can be forgotten
            ours, secrets = None, {}
        drop_sign_in(self.db, connection.id, now=now)
        drop_registrations(self.db, connection.id)
        kept = {name: secrets[name] for name in (REFRESH, ACCESS) if name in secrets}
        return ours is not None and revoke(self.fetch, read_kept_server(ours), identity_of(ours), kept)

    # --- who we are there ---

    def _identify(self, connection: Connection, plan: SignIn, found: Findings, scope: str | None, now: int) -> Registration:
        """Our registration at the server: the kept one if it is still good, else a new one."""
        server, issuer = found.server, found.server.key
        metadata = json.dumps(asdict(server))
        kept = list_registrations(self.db, self.vault, connection.id)
        identity = find_identity(plan, server, self.settings)
        if identity and identity.kind == "given":
            check_given(identity, issuer, kept)
        redirect_uri = callback_url(self.settings)
        for old in kept:
            if self._is_good(old, identity, issuer, redirect_uri, scope, now):
                update_metadata(self.db, old.id, metadata)
                return replace(old, metadata_json=metadata)
        wide = join_scopes(scope, found.scopes)
        if identity is None:
            identity = register(self.fetch, server, self.settings, wide, now=now)
        new = Registration(
            connection_id=connection.id,
            issuer=issuer,
            kind=identity.kind,
            client_id=identity.client_id,
            auth_method=identity.method,
            redirect_uri=redirect_uri,
            metadata_json=metadata,
            created_at=now,
            secret=identity.secret,
            scope=wide,
            registration_token=identity.registration_token,
            registration_uri=identity.registration_uri,
            expires_at=identity.expires_at,
        )
        insert_registration(self.db, self.vault, new)
        return new

    def _is_good(
        self, old: Registration, identity: Identity | None, issuer: str, redirect_uri: str, scope: str | None, now: int
    ) -> bool:
        """Whether a kept registration can be used once more."""
        if (old.issuer, old.redirect_uri, old.dead_at) != (issuer, redirect_uri, None):
            return False
        if identity is not None:
            return identity_of(old) == identity
        return (
            old.kind == "registered"
            and (old.expires_at is None or old.expires_at > now)
            and set((scope or "").split()) <= set((old.scope or scope or "").split())
            # a server that has forgotten us shows an error page, from which nobody comes back
            and not has_lost_visit(self.db, old.id, after=old.created_at + NEW_SECONDS)
        )


# --- small decisions ---


def with_house_client(plan: SignIn, settings: Settings) -> SignIn:
    """The plan with the client of the server's own settings, if it has none of its own."""
    if plan.client_id or not plan.house_client:
        return plan
    client_id = getattr(settings, f"{plan.house_client}_oauth_client_id") or ""
    return replace(plan, client_id=client_id, client_secret=getattr(settings, f"{plan.house_client}_oauth_client_secret") or "")


def choose_scope(
    found: Findings, row: UpstreamSignIn | None, known_issuer: str | None, *, is_exact: bool = False
) -> str | None:
    """What to ask for: with what was granted before, and what a call was refused for (MCP, "Step-Up Authorization Flow")."""
    if row is None or known_issuer != found.server.key or is_exact:
        return found.scope
    return join_scopes(row.scope, row.missing_scope, found.scope)


def granted_scope(granted: str | None, asked: str | None) -> str | None:
    """What was granted, as far as it was asked for: what came on top is not asked for the next time."""
    if granted is None or asked is None:
        return granted or asked  # left out: as asked (RFC 6749 §5.1)
    return join_scopes(*(word for word in granted.split(" ") if word in asked.split(" ")))


def authorization_url(server: Server, ours: Registration, visit: Visit, state: str) -> str:
    """The address of the sign-in page, with all that it needs (OAuth 2.1 §4.1.1, RFC 8707 §2)."""
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": ours.client_id,
        "redirect_uri": ours.redirect_uri,
        "code_challenge": s256(visit.verifier),
        "code_challenge_method": "S256",
        "state": state,
        "resource": visit.resource or None,
        "scope": visit.scope,
    }
    if "offline_access" in (visit.scope or "").split(" "):
        parameters["prompt"] = "consent"  # OIDC Core §11
    return add_parameters(server.authorization_endpoint, **(parameters | EXTRA_PARAMETERS.get(server.host, {})))


def check_answer(answer: Mapping[str, str], server: Server) -> None:
    """Raise SignInFailed unless this is a code from the server that was asked."""
    issuer = answer.get("iss")
    if server.issuer and (issuer != server.issuer if issuer is not None else server.sends_iss):  # RFC 9207 §2.4: as it stands
        raise SignInFailed(WRONG_ISSUER)
    if "error" in answer:
        raise SignInFailed(REFUSALS.get(answer["error"], "The service refused the sign-in. Nothing was kept."))
    if not answer.get("code"):
        raise SignInFailed(NO_CODE)


def check_given(identity: Identity, issuer: str, kept: list[Registration]) -> None:
    """Raise UpstreamError if a client secret that was typed for one server would go to another."""
    for old in kept:
        is_same = old.kind == "given" and (old.client_id, old.secret) == (identity.client_id, identity.secret)
        if is_same and identity.secret and old.issuer != issuer:
            raise UpstreamError(
                f"The server now wants you to sign in at {urlsplit(issuer).netloc}, but the client secret was typed for"
                f" {urlsplit(old.issuer).netloc}. If that is right, disconnect first, or type in another client."
            )


def identity_of(ours: Registration) -> Identity:
    """Who we are by a kept registration, as far as requests need it."""
    return Identity(ours.kind, ours.client_id, ours.auth_method, ours.secret)


def read_kept_server(ours: Registration) -> Server:
    """The server of a registration, as it described itself."""
    kept: dict[str, Any] = json.loads(ours.metadata_json)
    return Server(**{name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()})


def name_tokens(tokens: Tokens) -> dict[str, str]:
    """Tokens under the names of their credentials."""
    return {ACCESS: tokens.access} | ({REFRESH: tokens.refresh} if tokens.refresh else {})

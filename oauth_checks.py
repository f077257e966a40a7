"""What a request to /authorize or /token must satisfy, as lists in their order. Raises; answers nobody, changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit

from client_documents import ClientDocuments, is_document_url
from client_trust import matches_redirect
from config import Settings
from crypto import s256, same
from db import Database
from errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    LoginRequired,
    UnsafeRedirect,
    UnsupportedResponseType,
)
from store.clients import Client, find_client
from store.codes import Code
from store.tokens import Refresh

SCOPES = ("mcp", "offline_access")
STATE_MAX = 4096
UNKNOWN_CLIENT = "This server does not know the app that sent you (client_id). Add this server to the app anew."
WORDS_MAX = 100
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


# --- authorize (OAuth 2.1 §4.1.1) ---


@dataclass
class Visit:
    """A visit to /authorize while it is being checked: each check fills in what it has found."""

    db: Database
    settings: Settings
    documents: ClientDocuments
    around_fetch: Callable[[], AbstractContextManager[None]]
    params: Mapping[str, list[str]]
    client: Client | None = None
    redirect_uri: str = ""
    state: str | None = None
    scope: str = ""
    resource: str = ""
    code_challenge: str = ""

    def get(self, name: str) -> str | None:
        """A parameter's first value; an empty one counts as absent (OAuth 2.1 §3.1)."""
        return self.params.get(name, [""])[0] or None


def check_identity_once(visit: Visit) -> None:
    """client_id and redirect_uri decide where an error may go, so two of them are never followed."""
    if len(visit.params.get("client_id", [])) > 1 or len(visit.params.get("redirect_uri", [])) > 1:
        raise UnsafeRedirect("client_id or redirect_uri was sent twice.")


def check_client(visit: Visit) -> None:
    """The client must be one of ours, or describe itself under the URL that is its id."""
    client_id = visit.get("client_id") or ""
    if is_document_url(client_id):
        visit.client = visit.documents.find(client_id, visit.around_fetch)
    else:
        visit.client = find_client(visit.db, client_id)
    if visit.client is None:
        raise UnsafeRedirect(UNKNOWN_CLIENT)


def check_redirect(visit: Visit) -> None:
    """The redirect URI must be a registered one; it may be left out if there is just one (OAuth 2.1 §4.1.1)."""
    registered, wanted = visit.client.redirect_uris, visit.get("redirect_uri")
    if wanted is None and len(registered) == 1:
        wanted = registered[0]
    if wanted is None or not any(matches_redirect(uri, wanted) for uri in registered):
        raise UnsafeRedirect("The app wants you to be sent to an address that it has not registered (redirect_uri).")
    visit.redirect_uri = wanted


def check_parameters_once(visit: Visit) -> None:
    """No parameter may come twice (OAuth 2.1 §3.1); `state` is echoed, so it is kept short."""
    if len(visit.get("state") or "") > STATE_MAX:
        raise InvalidRequest(f"state is longer than {STATE_MAX} characters.")
    if len(visit.params.get("state", [])) == 1:
        visit.state = visit.get("state")  # whatever else is wrong, the client gets it back (OAuth 2.1 §4.1.2.1)
    if any(len(values) > 1 for values in visit.params.values()):
        raise InvalidRequest("A parameter was sent twice.")


def check_response_type(visit: Visit) -> None:
    """Only `code`, in the query."""
    if visit.get("response_type") is None:
        raise InvalidRequest("response_type is missing.")
    if visit.get("response_type") != "code":
        raise UnsupportedResponseType("Only response_type code is offered.")
    if visit.get("response_mode") not in (None, "query"):
        raise InvalidRequest("Only response_mode query is offered.")


def check_prompt(visit: Visit) -> None:
    """Consent is asked every time, so it cannot be given without a page."""
    if "none" in (visit.get("prompt") or "").split():
        raise LoginRequired("Consent is asked every time, so prompt none cannot be met.")


def check_pkce(visit: Visit) -> None:
    """S256 from every client; `plain`, the default of RFC 7636 §4.3, is not offered (OAuth 2.1 §7.5.1)."""
    if visit.get("code_challenge_method") != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    visit.code_challenge = visit.get("code_challenge") or ""
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", visit.code_challenge):
        raise InvalidRequest("code_challenge must be the base64url SHA-256 of a verifier.")


def check_scope(visit: Visit) -> None:
    """Well-formed (RFC 6749 §3.3); what we do not know is left out, and what is left out is the default."""
    visit.scope = read_scope(visit.get("scope"))


def check_resource(visit: Visit) -> None:
    """One of our MCP addresses (RFC 8707 §2); `/mcp` if it is left out, never 'anything'."""
    visit.resource = read_resource(visit.get("resource"), visit.settings)


AUTHORIZE_CHECKS: tuple[Callable[[Visit], None], ...] = (
    check_identity_once,
    check_client,
    check_redirect,
    check_parameters_once,
    check_response_type,
    check_prompt,
    check_pkce,
    check_scope,
    check_resource,
)


def read_scope(scope: str | None) -> str:
    """The scopes to grant, separated by spaces: always `mcp`. Raises InvalidScope if the text is malformed."""
    words = (scope or "").split(" ")
    if len(words) > WORDS_MAX or not all(re.fullmatch(r"[!#-\[\]-~]*", word) for word in words):
        raise InvalidScope("The scope is malformed.")
    return " ".join(known for known in SCOPES if known in words or known == "mcp")


def read_resource(resource: str | None, settings: Settings) -> str:
    """Our name of a resource: scheme and host in any case, at most one slash too many. Raises InvalidTarget."""
    if resource is None:
        return settings.mcp_url
    try:
        parts = urlsplit(resource)
    except ValueError:
        raise InvalidTarget("The resource is not a URL.") from None
    plain = f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.removesuffix('/')}"
    slug = plain.removeprefix(settings.mcp_url + "/")
    is_ours = plain == settings.mcp_url or (slug != plain and SLUG.fullmatch(slug))
    if not is_ours or not re.fullmatch(r"[!-~]+", resource) or "?" in resource or "#" in resource:  # urlsplit drops line breaks
        raise InvalidTarget("The resource is not an MCP address of this server.")
    return plain


# --- token (OAuth 2.1 §4.1.3, §4.3) ---


@dataclass(frozen=True)
class TokenRequest:
    """A request to /token: its form, each parameter once, and what it is judged by."""

    form: Mapping[str, str]
    settings: Settings
    now: int


def check_code_alive(code: Code, request: TokenRequest) -> None:
    """A code lives for a minute, and no longer than its session. A spent one goes on, to be recognised as a replay."""
    if not code.session_alive or (code.expires_at <= request.now and not code.used):
        raise InvalidGrant("The code is unknown or expired.")


def check_code_redirect(code: Code, request: TokenRequest) -> None:
    """OAuth 2.0 clients repeat the redirect URI (RFC 6749 §4.1.3), OAuth 2.1 clients need not."""
    if request.form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        raise InvalidGrant("redirect_uri is not the one of the authorization request.")


def check_code_verifier(code: Code, request: TokenRequest) -> None:
    """RFC 7636 §4.6. A wrong verifier neither spends the code nor ends anything."""
    verifier = request.form.get("code_verifier", "")
    if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) or not same(s256(verifier), code.code_challenge):
        raise InvalidGrant("code_verifier does not fit the code_challenge.")


def check_resource_same(bound: Code | Refresh, request: TokenRequest) -> None:
    """The resource may be repeated, but not changed (RFC 8707 §2.2)."""
    if "resource" in request.form and read_resource(request.form["resource"], request.settings) != bound.resource:
        raise InvalidTarget("resource is not the one that was granted.")


CODE_CHECKS: tuple[Callable[[Code, TokenRequest], None], ...] = (
    check_code_alive,
    check_code_redirect,
    check_code_verifier,
    check_resource_same,
)


def check_scope_not_wider(refresh: Refresh, request: TokenRequest) -> None:
    """A refresh may name what was granted, and nothing else (OAuth 2.1 §4.3.1).

    But `offline_access` may always be named: it opens nothing, a refresh token is given without it too, and assistants add
    it because our metadata lists it. The answer tells the scope that was granted (RFC 6749 §5.1), which stays as it was.
    """
    if not set(request.form.get("scope", "").split()) <= {*refresh.scope.split(), "offline_access"}:
        raise InvalidScope("The scope is wider than what was granted.")


def check_refresh_alive(refresh: Refresh, request: TokenRequest) -> None:
    """A refresh token dies when it lies idle, and with its session."""
    if not refresh.session_alive or refresh.expires_at <= request.now:
        raise InvalidGrant("The refresh token is unknown, expired or revoked.")


REFRESH_CHECKS: tuple[Callable[[Refresh, TokenRequest], None], ...] = (
    check_refresh_alive,
    check_resource_same,
    check_scope_not_wider,
)

"""The authorization server's endpoints: authorize, token, revoke, introspect. Asks the person nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import MethodNotAllowed

from client_trust import authenticate_client, read_credentials
from crypto import new_id
from errors import InvalidClient, InvalidGrant, InvalidRequest, OAuthError, UnsafeRedirect, UnsupportedGrantType
from oauth_checks import AUTHORIZE_CHECKS, CODE_CHECKS, REFRESH_CHECKS, UNKNOWN_CLIENT, TokenRequest, Visit
from signins import about, note, noted
from store.authorizations import REQUEST_SECONDS, AuthorizationRequest, create_request, is_challenge_known
from store.clients import Client, find_client
from store.codes import find_code, redeem_code
from store.grants import list_granted_profiles
from store.tokens import (
    Lifetimes,
    TokenPair,
    find_issued,
    find_refresh,
    revoke_token,
    trade_refresh,
)
from web import (
    answer_client,
    browser_hash,
    check_body_whole,
    client_address,
    find_current_login,
    no_store,
    now,
    see_other,
    state,
)

bp = Blueprint("oauth", __name__)

FORM_MAX = 64 * 1024
FIELDS_MAX = 100


# --- authorize (OAuth 2.1 §4.1.1) ---


@bp.route("/authorize", methods=["GET", "POST"])
def authorize() -> Response:
    """Check a client's request and keep it; the person is asked at /connect. Nothing is given here."""
    if request.method == "HEAD":
        raise MethodNotAllowed(["GET", "POST"])
    if request.method == "POST":  # the same as GET; the browser sends its cookie only with the GET that follows
        query = urlencode(list(request.form.items(multi=True)))
        check_body_whole()
        return see_other("/authorize?" + query)
    state().limits.authorize(client_address())
    visit = Visit(
        db=state().db,
        settings=state().settings,
        documents=state().documents,
        around_fetch=fetching_document,
        params=request.args.to_dict(flat=False),
    )
    try:
        for check in AUTHORIZE_CHECKS:
            check(visit)
    except OAuthError as error:
        return refuse_visit(visit, error)
    wanted = AuthorizationRequest(
        id=new_id(),
        browser_hash=browser_hash(),
        client_id=visit.client.id,
        redirect_uri=visit.redirect_uri,
        state=visit.state,
        scope=visit.scope,
        resource=visit.resource,
        code_challenge=visit.code_challenge,
        expires_at=now() + REQUEST_SECONDS,
    )
    is_repeated = is_challenge_known(state().db, wanted.code_challenge)  # RFC 9700 §2.1.1: each should be new
    if not create_request(state().db, wanted, now=now()):
        raise UnsafeRedirect(UNKNOWN_CLIENT)
    about(client_id=wanted.client_id, request_id=wanted.id)
    note("authorize", detail="challenge_repeated" if is_repeated else None)
    return see_other("/connect?" + urlencode({"request": wanted.id}))


@contextmanager
def fetching_document() -> Iterator[None]:
    """Around the fetching of a client's description, which is limited and noted."""
    with noted("document"):
        state().limits.client_document(client_address())
        yield


def refuse_visit(visit: Visit, error: OAuthError) -> Response:
    """Tell the client by a redirect only if this person has let it in before; else tell the person (RFC 9700 §4.11.2)."""
    note("authorize", error.code, client_id=visit.client.id if visit.client else None)
    login = find_current_login()
    if not (error.may_redirect and login and list_granted_profiles(state().db, login.user.id, visit.client.id)):
        raise error
    return see_other(answer_client(visit.redirect_uri, visit.state, error=error.code, error_description=error.description))


# --- token (OAuth 2.1 §3.2) ---


@bp.post("/token")
@noted("token")
def token() -> Response:
    """Trade a code or a refresh token for fresh tokens (OAuth 2.1 §4.1.3, §4.3). What is refused is not spent."""
    form = read_token_form()
    client = authenticate(form)
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise InvalidRequest("grant_type is missing.")
    if grant_type not in TOKEN_GRANTS:
        raise UnsupportedGrantType("Only authorization_code and refresh_token are offered.")
    pair = TOKEN_GRANTS[grant_type](client, TokenRequest(form, state().settings, now()))
    return no_store(
        jsonify(
            access_token=pair.access_token,
            token_type="Bearer",  # noqa: S106
            expires_in=pair.expires_in,
            refresh_token=pair.refresh_token,
            scope=pair.scope,
        )
    )


def read_token_form() -> dict[str, str]:
    """The body's parameters, each once, empty ones left out. The query string is never looked at."""
    request.max_content_length = FORM_MAX
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/x-www-form-urlencoded" or charset != "utf-8" or "Content-Encoding" in request.headers:
        raise InvalidRequest("The body must be application/x-www-form-urlencoded in UTF-8.")
    if not request.form:
        raise InvalidRequest("The body is empty.")
    check_body_whole()
    if len(request.form) > FIELDS_MAX or any(len(values) > 1 for _, values in request.form.lists()):
        raise InvalidRequest("A parameter was sent twice, or there are too many.")
    return {name: value for name, value in request.form.items() if value}


def authenticate(form: dict[str, str], *, needs_proof: bool = False) -> Client:
    """The client behind a request, if it is who it says. Raises InvalidClient, InvalidRequest or TooManyRequests.

    One that `needs_proof` must prove it now, even if it may name itself without a proof elsewhere.
    """
    state().limits.token(client_address())
    credentials = read_credentials(request.headers.get("Authorization"), form)
    if needs_proof and credentials.method == "none":
        raise InvalidClient("The client has to authenticate here.")
    client = find_client(state().db, credentials.client_id)
    if client:
        about(client_id=client.id)
    try:
        return authenticate_client(client, credentials, state().assertions.verify)
    except InvalidClient:
        state().limits.failed_client(credentials.client_id, client_address())
        raise


def lifetimes() -> Lifetimes:
    """How long what we issue lives."""
    settings = state().settings
    return Lifetimes(
        settings.token_ttl_seconds, settings.refresh_ttl_seconds, settings.session_max_seconds, settings.refresh_grace_seconds
    )


def exchange_code(client: Client, token_request: TokenRequest) -> TokenPair:
    """Trade a code. All is checked before it is spent; a replay that passes every check ends the session."""
    if "code" not in token_request.form:
        raise InvalidRequest("code is missing.")
    code = find_code(state().db, token_request.form["code"], now=now())
    if code is None or code.client_id != client.id:
        raise InvalidGrant("The code is unknown or expired.")
    about(session_id=code.session_id)
    for check in CODE_CHECKS:
        check(code, token_request)
    return redeem_code(state().db, code, lifetimes(), now=now())


def trade_refresh_token(client: Client, token_request: TokenRequest) -> TokenPair:
    """Trade a refresh token. All is checked before it counts as presented."""
    about("refresh")
    if "refresh_token" not in token_request.form:
        raise InvalidRequest("refresh_token is missing.")
    refresh = find_refresh(state().db, token_request.form["refresh_token"], now=now())
    if refresh is None or refresh.client_id != client.id:
        raise InvalidGrant("The refresh token is unknown, expired or revoked.")
    about(session_id=refresh.session_id)
    for check in REFRESH_CHECKS:
        check(refresh, token_request)
    return trade_refresh(state().db, refresh, lifetimes(), now=now())


TOKEN_GRANTS: dict[str, Callable[[Client, TokenRequest], TokenPair]] = {
    "authorization_code": exchange_code,
    "refresh_token": trade_refresh_token,
}


# --- revocation (RFC 7009) and introspection (RFC 7662) ---


@bp.post("/revoke")
def revoke() -> Response:
    """Take a token back. One that we do not know is none to worry about (RFC 7009 §2.2); `token_type_hint` is not needed."""
    form = read_token_form()
    client = authenticate(form)
    issued = find_issued(state().db, named_token(form), now=now())
    if issued is not None:
        if issued.client_id != client.id:  # RFC 7009 §2.1
            raise InvalidGrant("This token was issued to another client.")
        revoke_token(state().db, issued, now=now())
    return no_store(Response())


@bp.post("/introspect")
def introspect() -> Response:
    """Tell a client that proves who it is about a token of its own; any other token is just not active (RFC 7662 §2.2)."""
    form = read_token_form()
    client = authenticate(form, needs_proof=True)  # RFC 7662 §2.1
    issued = find_issued(state().db, named_token(form), now=now())
    if issued is None or issued.client_id != client.id or not issued.active:
        return no_store(jsonify(active=False))
    return no_store(
        jsonify(
            active=True,
            scope=issued.scope,
            client_id=issued.client_id,
            exp=issued.expires_at,
            iat=issued.created_at,
            iss=state().settings.public_url,
            aud=issued.resource,
            sub=issued.user_id,
            token_type=TOKEN_TYPES[issued.kind],
        )
    )


TOKEN_TYPES = {"access": "Bearer", "refresh": "refresh_token"}


def named_token(form: dict[str, str]) -> str:
    """The token that a request is about."""
    if "token" not in form:
        raise InvalidRequest("token is missing.")
    return form["token"]

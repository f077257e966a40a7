"""What is asked at another server's token endpoint: a code for tokens, tokens for new ones, an end. Keeps nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from challenges import read_scope
from crypto import decode
from errors import FetchError, PosternError
from fetch import UPSTREAM, Fetcher
from upstream_clients import ANSWER_MAX, Identity, sign
from upstream_metadata import SECONDS, Server

TOKEN_MAX = 16 * 1024
LIFE_MAX = 366 * 86400
ACCOUNT_CLAIMS = ("email", "preferred_username", "name")
PASSING_CODES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Tokens:
    """What a token endpoint gave us. `lifetime` is in seconds; None: it did not say."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    lifetime: int | None = None
    scope: str | None = None
    account: str | None = None  # whose they are, in the service's words


class GrantRefused(PosternError):
    """The token endpoint said no, by `code`: asking again the same way will not help."""

    def __init__(self, host: str, code: str):
        super().__init__(f"{host} refused ({code}).")
        self.code = code


class GrantDelayed(PosternError):
    """The token endpoint could not answer just now; the sentence says why. Asking again later may help."""


def redeem(
    fetch: Fetcher, server: Server, identity: Identity, *, code: str, verifier: str, redirect_uri: str, resource: str
) -> Tokens:
    """Tokens for an authorization code (OAuth 2.1 §4.1.3). Raises GrantRefused or GrantDelayed."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    return ask(fetch, server, identity, form, resource)


def refresh(fetch: Fetcher, server: Server, identity: Identity, *, token: str, resource: str) -> Tokens:
    """New tokens for a refresh token (OAuth 2.1 §4.3.1). Raises GrantRefused or GrantDelayed."""
    return ask(fetch, server, identity, {"grant_type": "refresh_token", "refresh_token": token}, resource)


def revoke(fetch: Fetcher, server: Server, identity: Identity, tokens: Mapping[str, str]) -> bool:
    """End tokens, by their kind, at the server (RFC 7009 §2.1). Whether it said that they are; it may be unable to."""
    if server.revocation_endpoint is None or not tokens:
        return False
    try:
        statuses = [
            send(fetch, server.revocation_endpoint, identity, {"token": token, "token_type_hint": kind}).status
            for kind, token in tokens.items()
        ]
    except FetchError:
        return False
    return all(status == 200 for status in statuses)


def ask(fetch: Fetcher, server: Server, identity: Identity, form: dict[str, str], resource: str) -> Tokens:
    """One request to the token endpoint, and what it gave."""
    try:
        answer = send(fetch, server.token_endpoint, identity, form | ({"resource": resource} if resource else {}))  # RFC 8707
        if answer.status == 200:
            return read_tokens(answer.json(), answer.host)
    except FetchError as error:
        raise GrantDelayed(str(error)) from None
    code = read_code(answer.body)
    if code is None or code in PASSING_CODES or answer.status >= 500 or answer.status == 429:
        raise GrantDelayed(f"{answer.host} could not answer (status {answer.status}).")
    raise GrantRefused(answer.host, code)


def send(fetch: Fetcher, url: str, identity: Identity, form: dict[str, str]) -> Any:
    """A form with our proof."""
    headers, signed = sign(identity, form)
    return fetch.request(
        "POST", url, trust=UPSTREAM, headers={"Accept": "application/json", **headers}, form=signed, timeout=SECONDS,
        max_bytes=ANSWER_MAX,
    )  # fmt: skip


def read_code(body: bytes) -> str | None:
    """The error code of a refusal (RFC 6749 §5.2); None if this is not one."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    code = found.get("error") if isinstance(found, dict) else None
    return code if isinstance(code, str) and CODE.fullmatch(code) else None


def read_tokens(found: Any, host: str) -> Tokens:
    """A token response (RFC 6749 §5.1), checked. Raises FetchError if it cannot be used."""
    if not isinstance(found, dict) or not is_token(found.get("access_token")):
        raise FetchError(f"{host} answered without an access token.")
    if str(found.get("token_type", "bearer")).lower() != "bearer":
        raise FetchError(f"{host} gave a token of a kind that Postern does not know.")
    refresh_token = found.get("refresh_token")
    return Tokens(
        access=found["access_token"],
        refresh=refresh_token if is_token(refresh_token) else None,
        lifetime=read_lifetime(found.get("expires_in")),
        scope=read_scope(found.get("scope")),
        account=read_account(found.get("id_token")),
    )


def is_token(value: Any) -> bool:
    """Whether a value can be a token: visible ASCII (RFC 6749 appendix A.12), of a sane length."""
    return isinstance(value, str) and len(value) <= TOKEN_MAX and re.fullmatch(r"[!-~]+", value) is not None


def read_lifetime(value: Any) -> int | None:
    """Seconds until a token expires, a year at the most. None for what makes no sense, such as -1: then its refusal will tell."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(int(value), LIFE_MAX) if is_number and 1 <= value < float("inf") else None


def read_account(id_token: Any) -> str | None:
    """Whose they are, for a page. It came from the token endpoint itself, so its signature may go (OIDC Core §3.1.3.7)."""
    try:
        claims = json.loads(decode(id_token.split(".")[1]))
        names = [claims.get(name) for name in ACCOUNT_CLAIMS]
    except (AttributeError, IndexError, ValueError, RecursionError):
        return None
    return next((name for name in names if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200), None)

"""Who Postern is at another authorization server: given, described or registered, and how it proves it. Keeps nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from config import Settings
from errors import FetchError, UpstreamError
from fetch import UPSTREAM, Fetcher
from tools import SignIn
from upstream_metadata import SECONDS, Server

ANSWER_MAX = 64 * 1024
TEXT_MAX = 4096
CALLBACK_PATH = "/connect/callback"
DOCUMENT_PATH = "/oauth/client.json"
NAME = "Postern"
SECRET_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True)
class Identity:
    """Our client id at one authorization server, and how we prove that it is ours. `kind`: given, document or registered."""

    kind: str
    client_id: str
    method: str = "none"
    secret: str | None = field(default=None, repr=False)
    expires_at: int | None = None  # of the secret; None: never
    registration_token: str | None = field(default=None, repr=False)  # RFC 7592
    registration_uri: str | None = None


def callback_url(settings: Settings) -> str:
    """Where other authorization servers send people back to."""
    return settings.public_url + CALLBACK_PATH


def document_url(settings: Settings) -> str | None:
    """Our client id where servers read descriptions; None if nobody could read it (CIMD wants https)."""
    can_be_read = settings.public_url.startswith("https:") and not settings.is_loopback
    return settings.public_url + DOCUMENT_PATH if can_be_read else None


def describe_client(settings: Settings) -> dict[str, Any]:
    """What we say of ourselves (RFC 7591 §2), in our document and when we register."""
    return {
        "client_name": NAME,
        "client_uri": settings.public_url,
        "redirect_uris": [callback_url(settings)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        # a web application may not be sent back to this machine (OIDC Registration §2)
        "application_type": "native" if settings.is_loopback else "web",
    }


def client_document(settings: Settings) -> dict[str, Any] | None:
    """Our client ID metadata document; None where it would be of no use."""
    url = document_url(settings)
    return {"client_id": url, **describe_client(settings)} if url else None


def find_identity(plan: SignIn, server: Server, settings: Settings) -> Identity | None:
    """Who we are without registering: what a person typed, else our document where the server reads them; else None."""
    if plan.client_id:
        return Identity("given", plan.client_id, given_method(server, plan.client_secret), plan.client_secret or None)
    url = document_url(settings)
    return Identity("document", url) if url and server.takes_documents else None


def given_method(server: Server, secret: str) -> str:
    """How a given secret is presented: in the header unless the server wants it in the body only."""
    if not secret:
        return "none"
    offered = [method for method in SECRET_METHODS if method in server.methods]
    return offered[0] if offered else SECRET_METHODS[0]


def register(fetch: Fetcher, server: Server, settings: Settings, scope: str | None, *, now: int) -> Identity:
    """Register ourselves (RFC 7591 §3). Raises UpstreamError or FetchError."""
    if server.registration_endpoint is None:
        raise UpstreamError(
            f"{server.host} does not let Postern register itself. Make a client there by hand, with the redirect URI"
            f" {callback_url(settings)}, and type its client id into the connection."
        )
    if not server.methods:
        raise UpstreamError(f"{server.host} wants clients to prove themselves in a way that Postern does not know.")
    asked = server.methods[0]
    body = describe_client(settings) | {"token_endpoint_auth_method": asked} | ({"scope": scope} if scope else {})
    answer = fetch.request(
        "POST", server.registration_endpoint, trust=UPSTREAM, json=body, headers={"Accept": "application/json"},
        timeout=SECONDS, max_bytes=ANSWER_MAX,
    )  # fmt: skip
    if answer.status not in (200, 201):
        raise UpstreamError(f"{server.host} did not let Postern register itself (status {answer.status}).")
    found = answer.json()
    if not isinstance(found, dict):
        raise FetchError(f"{answer.host} answered a registration with something else.")
    return read_registration(found, asked, server.host, now)


def read_registration(found: Mapping[str, Any], asked: str, host: str, now: int) -> Identity:
    """What the server made of our registration: it may have chosen for us (RFC 7591 §3.2.1). Raises UpstreamError."""
    client_id, secret = find_text(found, "client_id"), find_text(found, "client_secret")
    method = found.get("token_endpoint_auth_method", asked)
    if not client_id or method not in ("none", *SECRET_METHODS) or (method in SECRET_METHODS and not secret):
        raise UpstreamError(f"{host} registered Postern in a way that Postern cannot use.")
    expires_at = found.get("client_secret_expires_at")
    is_dated = isinstance(expires_at, int | float) and now - 1 < expires_at < now + 100 * 366 * 86400  # 0: never
    return Identity(
        "registered",
        client_id,
        method,
        secret if method in SECRET_METHODS else None,
        int(expires_at) if is_dated and method in SECRET_METHODS else None,
        find_text(found, "registration_access_token"),
        find_text(found, "registration_client_uri"),
    )


def find_text(found: Mapping[str, Any], name: str) -> str | None:
    """A member that is a plain text of a sane length, else None: it will stand in headers and forms."""
    value = found.get(name)
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return value if is_plain and 0 < len(value) <= TEXT_MAX else None


def sign(identity: Identity, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and the form of a request to a token or revocation endpoint, with our proof in one of them (RFC 6749 §2.3)."""
    if identity.method == "client_secret_basic":
        pair = f"{quote_plus(identity.client_id)}:{quote_plus(identity.secret or '')}"  # form-encoded (RFC 6749 appendix B)
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}, dict(form)
    own = {"client_id": identity.client_id}
    if identity.method == "client_secret_post":
        own["client_secret"] = identity.secret or ""
    return {}, {**form, **own}

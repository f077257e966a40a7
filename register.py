"""Clients register themselves, and look after what they registered (RFC 7591, RFC 7592). Lets nobody in."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from callers import read_bearer
from client_trust import SECRET_METHODS, check_registration
from crypto import hash_token, new_id, new_token, same
from errors import InvalidClientMetadata, InvalidRedirectUri, InvalidToken
from signins import about, noted
from store.clients import Client, delete_client, find_client, put_client, replace_client
from strict_json import decode_json
from web import check_body_whole, client_address, no_store, now, state

bp = Blueprint("register", __name__)

BODY_MAX = 64 * 1024
# What only the server says, so that a client may not send it back (RFC 7592 §2.2).
SERVERS_OWN = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)


@bp.post("/register")
@noted("register")
def create() -> Response:
    """Register a client that nobody has verified (RFC 7591 §3). Answers 201 with its id, and its secret if it has one."""
    if state().settings.registration == "closed":
        abort(404)
    metadata = check_registration(read_body(), state().settings)
    state().limits.registration(client_address())
    secret = new_token("mcp_cs_") if metadata["token_endpoint_auth_method"] in SECRET_METHODS else None
    token = new_token("mcp_ra_")
    client = Client(
        id="client_" + new_id(),  # random: never one that the caller chose, never a URL
        kind="dcr",
        name=metadata.get("client_name"),
        auth_method=metadata["token_endpoint_auth_method"],
        secret_hash=hash_token(secret) if secret else None,
        redirect_uris=tuple(metadata["redirect_uris"]),
        metadata=metadata,
        created_at=now(),
        registration_token_hash=hash_token(token),
    )
    put_client(state().db, client)
    about(client_id=client.id)
    return no_store(jsonify(describe(client, token, secret)), 201)


@bp.get("/register/<client_id>")
def read(client_id: str) -> Response:
    """What a client has registered (RFC 7592 §2.1)."""
    client, token = authenticate(client_id)
    return no_store(jsonify(describe(client, token)))


@bp.put("/register/<client_id>")
def replace(client_id: str) -> Response:
    """Put other metadata in the place of all that a client has registered, under the same rules (RFC 7592 §2.2).

    What is under way stays bound to the redirect URI that it began with.
    """
    client, token = authenticate(client_id)
    body = read_body()
    check_names_itself(client, body)
    metadata = check_registration(body, state().settings)
    check_redirects_known(client, metadata["redirect_uris"])
    state().limits.registration(client_address())
    needs_secret = metadata["token_endpoint_auth_method"] in SECRET_METHODS
    secret = new_token("mcp_cs_") if needs_secret and client.secret_hash is None else None
    replaced = changed(
        client,
        name=metadata.get("client_name"),
        auth_method=metadata["token_endpoint_auth_method"],
        secret_hash=hash_token(secret) if secret else client.secret_hash if needs_secret else None,
        redirect_uris=tuple(metadata["redirect_uris"]),
        metadata=metadata,
    )
    replace_client(state().db, client, replaced)
    return no_store(jsonify(describe(replaced, token, secret)))


@bp.delete("/register/<client_id>")
def delete(client_id: str) -> Response:
    """Forget a client at its own wish, with every grant, session and token of it (RFC 7592 §2.3)."""
    client, _ = authenticate(client_id)
    delete_client(state().db, client.id)
    return no_store(Response(), 204)


def read_body() -> Any:
    """The JSON of the body. Raises InvalidClientMetadata, also for a name that comes twice: which one would count?"""
    request.max_content_length = BODY_MAX
    if request.mimetype != "application/json":
        raise InvalidClientMetadata("The body must be application/json.")
    body = request.get_data()
    check_body_whole()
    try:
        return decode_json(body)
    except ValueError:
        raise InvalidClientMetadata("The body must be JSON, in UTF-8 and each name once.") from None


def authenticate(client_id: str) -> tuple[Client, str]:
    """The client whose registration access token was presented, and the token (RFC 7592 §2).

    Raises InvalidToken for any other, for an unknown client, and for one that did not register itself and so has none.
    """
    token = read_bearer(request.headers.get("Authorization"))
    client = find_client(state().db, client_id)
    if client is None or not same(client.registration_token_hash or "", hash_token(token)):
        raise InvalidToken("The registration access token is not the one of this client.")
    return client, token


def check_names_itself(client: Client, body: Any) -> None:
    """The client repeats its id, and its secret at most; the rest is ours to say (RFC 7592 §2.2)."""
    if not isinstance(body, dict) or body.get("client_id") != client.id:
        raise InvalidClientMetadata("client_id must be the client's own.")
    if sent := sorted(SERVERS_OWN & body.keys()):
        raise InvalidClientMetadata(f"{sent[0]} is not the client's to say.")
    secret = body.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and same(client.secret_hash or "", hash_token(secret))):
        raise InvalidClientMetadata("client_secret is not the client's own.")


def check_redirects_known(client: Client, redirect_uris: list[str]) -> None:
    """Once a person has let a client in, it may give up redirect URIs, but name no new one: they approved where codes go."""
    if client.approved_at is not None and not set(redirect_uris) <= set(client.redirect_uris):
        raise InvalidRedirectUri("A client that was approved can have no new redirect URI. Register anew instead.")


def describe(client: Client, token: str, secret: str | None = None) -> dict[str, Any]:
    """The client information response (RFC 7592 §3). We keep hashes only, so a secret is in it just when it is made."""
    issued: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": client.created_at,
        "registration_access_token": token,
        "registration_client_uri": f"{state().settings.public_url}/register/{client.id}",
    }
    if secret:
        issued |= {"client_secret": secret, "client_secret_expires_at": 0}
    return issued | client.metadata

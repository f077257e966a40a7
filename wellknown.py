"""The documents under /.well-known/ by which an assistant finds its way in, and those of emulated ones. They only describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, jsonify

from client_assertions import ALGORITHMS
from client_documents import EMULATED_PATH
from client_trust import AUTH_METHODS, GRANT_TYPES
from oauth_checks import SCOPES, SLUG
from signins import noted
from store.emulated_documents import find_document
from store.profiles import find_profile_by_slug
from web import find_current_login, no_store, now, state

bp = Blueprint("wellknown", __name__)


@noted("server_metadata")
def authorization_server_metadata() -> Response:
    """What this authorization server offers (RFC 8414 §2)."""
    base = state().settings.public_url
    document = {
        "issuer": base,
        "authorization_endpoint": base + "/authorize",
        "token_endpoint": base + "/token",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "revocation_endpoint": base + "/revoke",
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint": base + "/introspect",
        "introspection_endpoint_auth_methods_supported": [method for method in AUTH_METHODS if method != "none"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "client_id_metadata_document_supported": True,  # CIMD, "Authorization Server Metadata"
        "authorization_response_iss_parameter_supported": True,  # RFC 9207 §3
    }
    if state().settings.registration == "open":
        document["registration_endpoint"] = base + "/register"
    return public_json(document)


@noted("resource_metadata")
def protected_resource_metadata(slug: str | None = None) -> Response:
    """The resource's own description (RFC 9728 §2). `resource` equals, byte for byte, the URL that a person pastes.

    Before anybody signs in, every well-formed slug answers, so that addresses cannot be probed.
    """
    if slug is not None and not SLUG.fullmatch(slug):
        abort(404)
    login = find_current_login() if slug is not None else None
    if login and slug is not None and find_profile_by_slug(state().db, login.user.id, slug) is None:
        abort(404)
    settings = state().settings
    return public_json(
        {
            "resource": settings.mcp_url + (f"/{slug}" if slug else ""),
            "authorization_servers": [settings.public_url],
            "scopes_supported": ["mcp"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Postern",
        }
    )


def server_description() -> Response:
    """What this is and where, for programs that look for an MCP server by its host name. No standard has settled the form."""
    base = state().settings.public_url
    return public_json(
        {
            "name": "Postern",
            "description": "A gate between AI assistants and a person's own tools. Sign in and choose what the assistant may do.",
            "mcp_endpoint": state().settings.mcp_url,
            "capabilities": {"authentication": ["oauth2", "api_key"], "transports": ["streamable-http"]},
            "protected_resource_metadata": base + "/.well-known/oauth-protected-resource/mcp",
            "authorization_server_metadata": base + "/.well-known/oauth-authorization-server",
        }
    )


@bp.get(EMULATED_PATH + "<document_id>.json")
def emulated_document(document_id: str) -> Response:
    """The description of a client that `cli.py emulate` plays, as long as it is good: its id is the address of this."""
    found = find_document(state().db, document_id, now=now())
    if found is None:
        abort(404)
    return no_store(Response(found.document_json, mimetype="application/json"))


def public_json(document: dict[str, Any]) -> Response:
    """A document that anybody may read, and keep for some minutes."""
    response = jsonify(document)
    response.headers["Cache-Control"] = "no-cache" if find_current_login() else "public, max-age=300"
    return response


ROUTES: tuple[tuple[str, Callable[..., Response]], ...] = (
    ("oauth-authorization-server", authorization_server_metadata),
    ("openid-configuration", authorization_server_metadata),
    ("oauth-protected-resource", protected_resource_metadata),
    ("oauth-protected-resource/mcp", protected_resource_metadata),
    ("oauth-protected-resource/mcp/<slug>", protected_resource_metadata),
    ("mcp-config", server_description),
    ("mcp-configuration", server_description),
    ("mcp-server", server_description),
)
for path, view in ROUTES:
    bp.add_url_rule("/.well-known/" + path, view_func=view)

"""Where one signs in for an MCP server: its own description, then that of its authorization server. Registers nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from challenges import join_scopes, read_challenge, read_scope
from errors import FetchError, UpstreamError
from fetch import OWNER, UPSTREAM, Fetcher
from tools import SignIn

SECONDS = 15
BYTES_MAX = 256 * 1024
METHODS = ("none", "client_secret_post", "client_secret_basic")  # how we can authenticate, the simplest first
PROBE_VERSION = "2026-07-28"
# asks for nothing but the 401 that says where to sign in
PROBE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": PROBE_VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "Postern", "version": "0"},
        }
    },
}
PROBE_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": PROBE_VERSION,
    "Mcp-Method": "tools/list",
}
METADATA_HEADERS = {"Accept": "application/json", "MCP-Protocol-Version": PROBE_VERSION}


@dataclass(frozen=True)
class Server:
    """An authorization server, as far as we use it. `issuer` is empty where only the endpoints are known."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    methods: tuple[str, ...] = ("client_secret_basic",)  # the default of RFC 8414 §2
    scopes: tuple[str, ...] = ()
    takes_documents: bool = False  # client ID metadata documents
    sends_iss: bool = False  # RFC 9207 §3

    @property
    def key(self) -> str:
        """What our client id there is bound to."""
        return self.issuer or self.token_endpoint

    @property
    def host(self) -> str:
        """Its name, for a person."""
        return urlsplit(self.authorization_endpoint).netloc


@dataclass(frozen=True)
class Findings:
    """Where to sign in for a resource, and what to ask for. `scopes` is all that the resource says it knows."""

    server: Server
    resource: str
    scope: str | None
    scopes: str | None = None


def find_way(fetch: Fetcher, plan: SignIn, known_issuer: str | None = None) -> Findings:
    """Where to sign in, as the plan says or as the server does. `known_issuer` is preferred where there is a choice.

    Raises UpstreamError or FetchError.
    """
    if plan.authorization_endpoint and plan.token_endpoint:
        return Findings(given_server(fetch, plan), canonical(plan.url), plan.scope or None, plan.scope or None)
    is_refused, header = probe(fetch, plan)
    challenge = read_challenge(header)
    resource = find_resource(fetch, plan.url, challenge.get("resource_metadata"))
    if resource is None:
        server = find_old_server(fetch, plan.url, is_refused)
    else:
        issuers = resource["authorization_servers"]
        server = find_server(fetch, known_issuer if known_issuer in issuers else issuers[0])
    supported = join_scopes(*map(read_scope, string_list((resource or {}).get("scopes_supported"))))
    # MCP, "Scope Selection Strategy": the challenge's, else all of the resource's, else none; what a person typed stands above it
    scope = plan.scope or read_scope(challenge.get("scope")) or supported
    if scope and not plan.scope and "offline_access" in server.scopes:
        scope = join_scopes(scope, "offline_access")
    return Findings(server, (resource or {}).get("resource") or canonical(plan.url), scope, supported)


def canonical(url: str) -> str:
    """The resource that a URL names (MCP, "Canonical Server URI"): scheme and host in lower case."""
    parts = urlsplit(url)
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower(), fragment="").geturl()


def given_server(fetch: Fetcher, plan: SignIn) -> Server:
    """The server whose endpoints a person typed, or our own code has."""
    for url in (plan.authorization_endpoint, plan.token_endpoint, plan.revocation_endpoint):
        if url:
            check_endpoint(fetch, url, is_ours=url != plan.authorization_endpoint)
    return Server(
        issuer=plan.issuer,
        authorization_endpoint=plan.authorization_endpoint,
        token_endpoint=plan.token_endpoint,
        revocation_endpoint=plan.revocation_endpoint or None,
        methods=("client_secret_basic", "client_secret_post") if plan.client_secret else METHODS,
    )


def probe(fetch: Fetcher, plan: SignIn) -> tuple[bool, str | None]:
    """Whether the server refuses a stranger, and with which challenge, if any."""
    headers = {**plan.headers, **PROBE_HEADERS}
    try:
        answer = fetch.request("POST", plan.url, trust=OWNER, headers=headers, json=PROBE, timeout=SECONDS, max_bytes=BYTES_MAX)
    except FetchError:
        return False, None  # the documents may be there all the same; if not, that is what will be said
    return answer.status in (401, 403), answer.headers.get("WWW-Authenticate")


# --- documents ---


def read_document(fetch: Fetcher, url: str) -> dict[str, Any] | None:
    """A JSON object; None where there is none. Raises UpstreamError where there may be one another time, and FetchError."""
    answer = fetch.request("GET", url, trust=UPSTREAM, headers=METADATA_HEADERS, timeout=SECONDS, max_bytes=BYTES_MAX)
    if answer.status >= 500 or answer.status == 429:
        raise UpstreamError(f"{answer.host} cannot say just now where to sign in (status {answer.status}). Try again later.")
    if answer.status != 200:
        return None  # a redirect is not followed (RFC 9728 §3.2 and RFC 8414 §3.2 want 200)
    try:
        found = answer.json()
    except FetchError:
        return None  # a web page for whatever is asked
    return found if isinstance(found, dict) else None


def find_resource(fetch: Fetcher, url: str, named: str | None) -> dict[str, Any] | None:
    """The server's description of itself, with at least one authorization server in it (RFC 9728); None for an old server.

    Raises UpstreamError if it describes another server.
    """
    for place in resource_places(url, named):
        found = read_document(fetch, place)
        if found is not None and isinstance(found.get("resource"), str):
            if not covers(found["resource"], url):  # RFC 9728 §3.3
                raise UpstreamError("The server describes itself as another one, so nothing was sent to where it points.")
            found["authorization_servers"] = string_list(found.get("authorization_servers"))
            return found if found["authorization_servers"] else None
    return None


def resource_places(url: str, named: str | None) -> Iterable[str]:
    """Where the description may lie: where the challenge says, under the path, at the root (MCP, "Discovery Requirements")."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource"
    path = parts.path.rstrip("/")
    return dict.fromkeys([*([named] if named else []), base + path, base])


def covers(resource: str, url: str) -> bool:
    """Whether a resource is the one at `url`, or what stands above it on the same host."""
    ours, theirs = urlsplit(canonical(url)), urlsplit(canonical(resource))
    return (
        (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
        and (ours.path.rstrip("/") + "/").startswith(theirs.path.rstrip("/") + "/")
        and theirs.query in ("", ours.query)
        and "#" not in resource
    )


def find_server(fetch: Fetcher, issuer: str) -> Server:
    """The authorization server of this issuer. Raises UpstreamError if it says nothing of itself, or is another one."""
    for place in server_places(issuer):
        if (found := read_document(fetch, place)) is not None:
            return read_server(fetch, found, issuer)
    raise UpstreamError(f"{urlsplit(issuer).netloc or 'The sign-in service'} does not describe how to sign in there.")


def server_places(issuer: str) -> Iterable[str]:
    """Where an issuer's metadata may lie, in the order of MCP, "Authorization Server Metadata Discovery"."""
    parts = urlsplit(issuer)
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    places = [f"{base}/.well-known/oauth-authorization-server{path}", f"{base}/.well-known/openid-configuration{path}"]
    return [*places, f"{base}{path}/.well-known/openid-configuration"] if path else places


def find_old_server(fetch: Fetcher, url: str, is_refused: bool) -> Server:
    """The authorization server of a server that says nothing of itself: its own host (MCP 2025-03-26, "Authorization").

    Raises UpstreamError if nothing at all speaks of a sign-in.
    """
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    if (found := read_document(fetch, base + "/.well-known/oauth-authorization-server")) is not None:
        return read_server(fetch, found, base)
    if not is_refused:
        raise UpstreamError(f"{parts.netloc} does not ask for a sign-in, and does not say how one would sign in.")
    for path in ("/authorize", "/token", "/register"):
        check_endpoint(fetch, base + path)
    return Server(base, base + "/authorize", base + "/token", base + "/register", methods=METHODS)


def read_server(fetch: Fetcher, found: Mapping[str, Any], issuer: str) -> Server:
    """What a metadata document says, checked. Raises UpstreamError or FetchError."""
    host = urlsplit(issuer).netloc
    if not isinstance(found.get("issuer"), str) or without_root(found["issuer"]) != without_root(issuer):  # RFC 8414 §3.3
        raise UpstreamError(f"What describes {host} is about another sign-in service, so it was not used.")
    if "S256" not in string_list(found.get("code_challenge_methods_supported")):  # MCP, "Authorization Code Protection"
        raise UpstreamError(f"{host} does not say that it protects sign-ins by PKCE with S256, which is needed.")
    names = ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")
    endpoints = {name: found[name] for name in names if found.get(name) is not None}
    for name in names[:2]:
        if name not in endpoints:
            raise UpstreamError(f"The description of {host} lacks its {name}.")
    for name, url in endpoints.items():
        check_endpoint(fetch, url, is_ours=name != "authorization_endpoint")
    methods = string_list(found.get("token_endpoint_auth_methods_supported")) or ["client_secret_basic"]  # RFC 8414 §2
    return Server(
        issuer=found["issuer"],
        **endpoints,
        methods=tuple(method for method in METHODS if method in methods),
        scopes=tuple(string_list(found.get("scopes_supported"))),
        takes_documents=found.get("client_id_metadata_document_supported") is True,
        sends_iss=found.get("authorization_response_iss_parameter_supported") is True,
    )


def check_endpoint(fetch: Fetcher, url: Any, *, is_ours: bool = True) -> None:
    """Raise FetchError unless a document may send us to this URL, or the browser if it is not `is_ours` to fetch."""
    target = fetch.check_url(url, trust=UPSTREAM)
    if re.search(r"[\"'<>`{}|^]", url):
        raise FetchError(f"{target.host} has an address with characters that do not belong in one.")
    if is_ours:
        fetch.find_addresses(target.host, target.port, trust=UPSTREAM, timeout=SECONDS)


def without_root(issuer: str) -> str:
    """An issuer without the slash that stands for its whole host: with and without it is the same URL (RFC 3986 §6.2.3)."""
    return issuer[:-1] if issuer.endswith("/") and issuer.count("/") == 3 else issuer


def string_list(value: Any) -> list[str]:
    """The texts of a list; empty for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

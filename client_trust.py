"""Who may be a client and where its codes may go: redirects, registration, authentication. No HTTP server, no SQL."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus, urlencode, urlsplit

from client_assertions import ASSERTION_TYPE, PRIVATE_MEMBERS, read_subject
from config import Settings, is_loopback_host
from crypto import hash_token, same
from errors import InvalidClient, InvalidClientMetadata, InvalidRedirectUri, InvalidRequest
from store.clients import Client

REDIRECT_URIS_MAX = 50
URI_MAX = 2048
TEXT_MAX = 200
# Custom schemes have no owner that could be checked, so each is listed here, or in REDIRECT_URI_ALLOWLIST, in full.
CUSTOM_SCHEME_REDIRECTS = frozenset({"cursor://anysphere.cursor-mcp/oauth/callback"})
RESPONSE_PARAMETERS = re.compile(r"(^|&)(code|state|iss|error|error_description|error_uri)(=|&|$)")
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # of a host name
LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(/.*|\?.*|)")
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
GRANT_TYPES = ("authorization_code", "refresh_token")
FORBIDDEN_GRANT_TYPES = frozenset({"implicit", "password", "client_credentials"})


# --- redirect URIs ---


def check_redirect_uri(uri: Any, settings: Settings) -> None:
    """Raise InvalidRedirectUri unless a client may register this URI (RFC 7591 §5, OAuth 2.1 §2.3.1)."""
    if not isinstance(uri, str) or not 1 <= len(uri) <= URI_MAX:
        raise InvalidRedirectUri(f"Each redirect URI must be a string of at most {URI_MAX} characters.")
    for is_bad, reason in REDIRECT_RULES:
        if is_bad(uri):
            raise InvalidRedirectUri(f"A redirect URI {reason}.")
    if settings.redirect_uri_allowlist and not is_listed(uri, settings):
        raise InvalidRedirectUri("A redirect URI is not on the list of this server (REDIRECT_URI_ALLOWLIST).")
    if urlsplit(uri).scheme not in ("https", "http") and not is_known_custom(uri, settings):
        raise InvalidRedirectUri("A redirect URI has a scheme that this server does not accept.")


def has_bad_host(uri: str) -> bool:
    """Whether the host or port of a URI is missing or odd: user names, wildcards, anything but plain letters.

    Of custom schemes nothing but brackets is odd, in which there can only be an IPv6 address (RFC 3986 §3.2.2).
    """
    scheme, _, rest = uri.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if scheme not in ("http", "https"):
        return "[" in authority or "]" in authority
    match = re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", authority)
    return match is None or not is_plain_host(match[1]) or (match[2] is not None and not 1 <= int(match[2]) <= 65535)


def is_plain_host(host: str) -> bool:
    """Whether this is a name (RFC 1123 §2.1), or an IP address as everybody writes it; browsers take more for one."""
    try:
        if host.startswith("["):
            return bool(ipaddress.IPv6Address(host[1:-1]))
        if re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", host.rpartition(".")[2]):
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    return all(LABEL.fullmatch(label) for label in host.split("."))


def has_dot_segment(uri: str) -> bool:
    """Whether the path has a part that a browser would resolve away, plain or percent-encoded."""
    return any(unquote(part) in (".", "..") for part in urlsplit(uri).path.split("/"))


def is_plain_remote(uri: str) -> bool:
    """Whether this is http to another machine (OAuth 2.1 §1.5: everything but loopback needs TLS)."""
    return uri.startswith("http://") and LOOPBACK.fullmatch(uri) is None


REDIRECT_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda uri: re.fullmatch(r"[!#$-;=?-\[\]_a-z~]+", uri) is None, "contains characters that do not belong in one"),
    (lambda uri: re.match(r"[a-z][a-z0-9+.-]*://.", uri) is None, "is not absolute, or its scheme is not in lower case"),
    (lambda uri: "#" in uri, "has a fragment"),  # OAuth 2.1 §2.3.1
    (lambda uri: re.search(r"%(?![0-9A-Fa-f]{2})|%[01][0-9A-Fa-f]|%7[Ff]|%5[Cc]", uri) is not None, "has a forbidden escape"),
    (has_bad_host, "has no plain host name"),
    (has_dot_segment, "has . or .. in its path"),
    (is_plain_remote, "uses http although it is not on this machine"),
    (lambda uri: RESPONSE_PARAMETERS.search(urlsplit(uri).query) is not None, "already has a parameter of the answer"),
)


def matches_redirect(registered: str, requested: str) -> bool:
    """Exact string comparison, but for the port of loopback http (RFC 9700 §2.1, RFC 8252 §7.3)."""
    if registered == requested:
        return True
    left, right = LOOPBACK.fullmatch(registered), LOOPBACK.fullmatch(requested)
    return (
        left is not None
        and right is not None
        and (left[1], left[3]) == (right[1], right[3])
        and (right[2] is None or 1 <= int(right[2]) <= 65535)
    )


def is_known_custom(uri: str, settings: Settings) -> bool:
    """Whether a custom-scheme URI is listed in full."""
    return uri in CUSTOM_SCHEME_REDIRECTS or uri in settings.redirect_uri_allowlist


def is_listed(uri: str, settings: Settings) -> bool:
    """Whether REDIRECT_URI_ALLOWLIST covers a URI, in its mode."""
    return any(LIST_MODES[settings.redirect_uri_allowlist_mode](entry, uri) for entry in settings.redirect_uri_allowlist)


def same_host(entry: str, uri: str) -> bool:
    """Mode `host`: the entry is a host name, or a URI whose host counts."""
    wanted = urlsplit(entry).hostname if "://" in entry else entry.lower()
    return urlsplit(uri).hostname == wanted


LIST_MODES: dict[str, Callable[[str, str], bool]] = {
    "exact": matches_redirect,
    "prefix": lambda entry, uri: uri == entry or uri.startswith(entry.rstrip("/") + "/"),
    "host": same_host,
}


def add_parameters(uri: str, **parameters: str | None) -> str:
    """A redirect URI with the answer's parameters behind what it has already (RFC 6749 §4.1.2)."""
    given = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{uri}{'&' if '?' in uri else '?'}{given}"


def describe_redirect(uri: str) -> tuple[str, bool]:
    """What a person should be shown of a redirect URI: its host (or scheme), and whether it is on their own machine."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"the app behind {parts.scheme}://", False
    return parts.netloc, is_loopback_host(parts.netloc)


# --- registration (RFC 7591) ---


def check_registration(body: Any, settings: Settings) -> dict[str, Any]:
    """The metadata that we accept of a registration, as it will be echoed (RFC 7591 §2, §3.2.1).

    Unknown members are ignored, and so are a `client_id` and a `client_secret`: a client never chooses them.
    Raises InvalidRedirectUri or InvalidClientMetadata; nothing of a bad registration is kept.
    """
    if not isinstance(body, dict):
        raise InvalidClientMetadata("The body must be a JSON object.")
    uris = body.get("redirect_uris")
    if not isinstance(uris, list) or not 1 <= len(uris) <= REDIRECT_URIS_MAX:
        raise InvalidRedirectUri(f"redirect_uris must be a list of 1 to {REDIRECT_URIS_MAX} URIs.")
    for uri in uris:
        check_redirect_uri(uri, settings)
    accepted: dict[str, Any] = {"redirect_uris": list(dict.fromkeys(uris))}
    for name, check in METADATA_CHECKS.items():
        value = check(name, body.get(name))
        if value is not None:
            accepted[name] = value
    check_keys_named(accepted)
    return accepted


def check_auth_method(name: str, value: Any) -> str:
    """One of ours; client_secret_basic if left out (RFC 7591 §2)."""
    value = "client_secret_basic" if value is None else value
    if value not in AUTH_METHODS:
        raise InvalidClientMetadata(f"{name} must be one of: {', '.join(AUTH_METHODS)}.")
    return value


def check_grant_types(name: str, value: Any) -> list[str]:
    """Those that we offer; unsafe ones are refused, unknown ones left out (RFC 7591 §3.2.1)."""
    value = ["authorization_code"] if value is None else value
    if not is_list_of_strings(value) or "authorization_code" not in value or FORBIDDEN_GRANT_TYPES & set(value):
        raise InvalidClientMetadata("grant_types must have authorization_code, and may have refresh_token.")
    return list(GRANT_TYPES)  # a refresh token is always issued


def check_response_types(name: str, value: Any) -> list[str]:
    """Only `code` (OAuth 2.1 §4.1.1)."""
    if value is not None and (not is_list_of_strings(value) or set(value) != {"code"}):
        raise InvalidClientMetadata("response_types must be code.")
    return ["code"]


def check_text(name: str, value: Any) -> str | None:
    """A short text, or nothing."""
    if value is not None and (not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable()):
        raise InvalidClientMetadata(f"{name} must be a printable string of at most {TEXT_MAX} characters.")
    return value or None


def check_name(name: str, value: Any) -> str | None:
    """A client's name: untrusted text of any script; what steers the direction of a line is taken out when it is shown."""
    if value is not None and (not isinstance(value, str) or len(value) > TEXT_MAX or "\0" in value):  # PostgreSQL keeps no NUL
        raise InvalidClientMetadata(f"{name} must be a string of at most {TEXT_MAX} characters, none of them U+0000.")
    return value.strip() or None if value else None


def check_link(name: str, value: Any) -> str | None:
    """An https link, or nothing; some clients leave one out by an empty text."""
    if value not in (None, "") and (
        not isinstance(value, str)
        or len(value) > URI_MAX
        or re.fullmatch(r"https://[!#-;=?-\[\]_a-z~]+", value) is None
        or has_bad_host(value)
    ):
        raise InvalidClientMetadata(f"{name} must be an https URL.")
    return value or None


def check_keys(name: str, value: Any) -> dict[str, Any] | None:
    """A set of public keys (RFC 7517 §5)."""
    keys = value.get("keys") if isinstance(value, dict) else None
    if value is None:
        return None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise InvalidClientMetadata(f"{name} must be a set of keys.")
    if any(PRIVATE_MEMBERS & key.keys() for key in keys):
        raise InvalidClientMetadata(f"{name} holds a private key. Whoever published it must replace it.")
    return {"keys": keys}


def check_keys_named(metadata: Mapping[str, Any]) -> None:
    """Raise InvalidClientMetadata if a client that signs names no key to verify its signatures with, or names two sets."""
    named = {"jwks", "jwks_uri"} & metadata.keys()
    if len(named) > 1 or (metadata["token_endpoint_auth_method"] == "private_key_jwt" and not named):  # noqa: S105
        raise InvalidClientMetadata("A client that signs must name its keys, in one of jwks and jwks_uri.")


def is_list_of_strings(value: Any) -> bool:
    """Whether this is a list with strings only."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


METADATA_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "client_name": check_name,
    "token_endpoint_auth_method": check_auth_method,
    "grant_types": check_grant_types,
    "response_types": check_response_types,
    "scope": check_text,
    "application_type": check_text,
    "client_uri": check_link,
    "logo_uri": check_link,
    "tos_uri": check_link,
    "policy_uri": check_link,
    "software_id": check_text,
    "software_version": check_text,
    "jwks": check_keys,
    "jwks_uri": check_link,
}


# --- client authentication (OAuth 2.1 §2.4) ---


@dataclass(frozen=True)
class Credentials:
    """What a client presented, and by which method; `proof` is its secret or its assertion."""

    client_id: str
    method: str
    proof: str | None = None

    @property
    def in_header(self) -> bool:
        """Whether a refusal has to ask for the Authorization header again (RFC 6749 §5.2)."""
        return self.method == "client_secret_basic"


def read_credentials(authorization: str | None, form: Mapping[str, str]) -> Credentials:
    """The client's credentials, from one place only.

    Raises InvalidRequest if there are two, InvalidClient if there are none or they cannot be read.
    """
    presented = [name for name in ("client_secret", "client_assertion") if name in form]
    if len(presented) + (authorization is not None) > 1:
        raise InvalidRequest("The client authenticates in two ways at once.")  # OAuth 2.1 §2.4
    if authorization is not None:
        basic = read_basic(authorization)
        if form.get("client_id", basic.client_id) != basic.client_id:
            raise InvalidRequest("The header and the body name two clients.")
        return basic
    if "client_assertion" in form:
        return read_assertion(form)
    if "client_id" not in form:
        raise InvalidClient("The client is not named.")
    if "client_secret" in form:
        return Credentials(form["client_id"], "client_secret_post", form["client_secret"])
    return Credentials(form["client_id"], "none")


def read_assertion(form: Mapping[str, str]) -> Credentials:
    """The assertion of a form (RFC 7523 §2.2)."""
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidClient("client_assertion_type must be that of a JWT.")
    client_id = form.get("client_id") or read_subject(form["client_assertion"])
    return Credentials(client_id, "private_key_jwt", form["client_assertion"])


def read_basic(authorization: str) -> Credentials:
    """The id and secret of a Basic header, each form-encoded (RFC 6749 §2.3.1 and appendix B)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not colon or not client_id:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidClient("The Authorization header is not Basic authentication.", challenge=True) from None
    return Credentials(unquote_plus(client_id), "client_secret_basic", unquote_plus(secret))


def authenticate_client(client: Client | None, credentials: Credentials, verify: Callable[[Client, str], None]) -> Client:
    """The client, if it is who it says, by a method that it registered; the two ways to send a secret are as good as each other.

    `verify(client, assertion)` judges a signature. Raises InvalidClient.
    """
    failed = InvalidClient("The client is unknown or its authentication failed.", challenge=credentials.in_header)
    if client is None or not allows_method(client, credentials.method):
        raise failed
    if credentials.method == "private_key_jwt":
        verify(client, credentials.proof or "")
    elif credentials.method != "none" and not same(client.secret_hash or "", hash_token(credentials.proof or "")):
        raise failed
    return client


def allows_method(client: Client, method: str) -> bool:
    """Whether a client may authenticate like this."""
    return method in client.auth_methods or (method in SECRET_METHODS and bool(SECRET_METHODS & client.auth_methods))

"""Clients whose id is the URL of their own description (client ID metadata documents). Fetches and judges; answers nobody."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote, urlsplit

from client_trust import (
    REDIRECT_URIS_MAX,
    TEXT_MAX,
    check_keys,
    check_keys_named,
    check_link,
    check_redirect_uri,
    is_list_of_strings,
)
from config import Settings
from db import Database
from errors import FetchError, InvalidClientMetadata, InvalidRedirectUri, TooManyRequests, UnsafeRedirect
from fetch import ANONYMOUS, Fetcher, Response
from joint_fetches import JointFetches
from store.clients import Client, find_client, put_client
from store.emulated_documents import find_document, put_described_client

URL_MAX = 2048
DEFAULT_SECONDS, LONGEST_SECONDS = 300, 86400
EMULATED_PATH = "/oauth/emulated/"  # below it stands what `cli.py emulate` publishes
NO_SUCH_DOCUMENT = "This server does not know the app that sent you (client_id), or no longer."
METHODS = ("none", "private_key_jwt")  # a document is public, so it can hold no shared secret


class ClientDocuments:
    """Finds clients by the URL of their description. The last good copy is kept for the day when there is no answer."""

    def __init__(self, db: Database, fetch: Fetcher, settings: Settings, clock: Callable[[], float] = time.time):
        self._db, self._fetch, self._settings, self._clock = db, fetch, settings, clock
        self._fetches = JointFetches()

    def find(self, client_id: str, around_fetch: Callable[[], AbstractContextManager[None]]) -> Client:
        """The client behind a URL: our copy while it is fresh, else fetched `around_fetch`, which may refuse that.

        Many at once for one URL make one fetch. Raises UnsafeRedirect, with a sentence for the person, if there is no good
        document and never was one. What failed is never kept (CIMD, "Metadata Caching").
        """
        if client_id.startswith(self._settings.public_url + EMULATED_PATH):
            return self._find_emulated(client_id)
        check_document_url(client_id)
        copy = find_client(self._db, client_id)
        if copy is not None and self._is_fresh(copy):
            return copy
        try:
            return self._fetches.run(client_id, lambda: self._renew(client_id, around_fetch))
        except (FetchError, InvalidClientMetadata, InvalidRedirectUri, TooManyRequests) as error:
            if copy is not None:
                return copy
            if isinstance(error, TooManyRequests):
                raise
            host = urlsplit(client_id).netloc
            raise UnsafeRedirect(f"The description of the app at {host} cannot be used. {error}") from None

    def _is_fresh(self, copy: Client) -> bool:
        return (copy.fresh_until or 0) > self._clock()

    def _renew(self, client_id: str, around_fetch: Callable[[], AbstractContextManager[None]]) -> Client:
        copy = find_client(self._db, client_id)
        if copy is not None and self._is_fresh(copy):  # somebody else was quicker
            return copy
        with around_fetch():
            response = self._fetch.request("GET", client_id, trust=ANONYMOUS, headers={"Accept": "application/json"})
            metadata = check_document(client_id, response, self._settings)
        now = int(self._clock())
        client = described_client(client_id, metadata, now, now + read_max_age(response.headers))
        put_client(self._db, client)
        return client

    def _find_emulated(self, client_id: str) -> Client:
        """The client of a document in our own database, under the same rules; nothing is fetched, and no copy outlives it."""
        now = int(self._clock())
        document_id = client_id.removeprefix(self._settings.public_url + EMULATED_PATH).removesuffix(".json")
        found = find_document(self._db, document_id, now=now)
        if found is None:
            raise UnsafeRedirect(NO_SUCH_DOCUMENT)
        response = Response(200, {"Content-Type": "application/json"}, found.document_json.encode())
        try:
            metadata = check_document(client_id, response, self._settings)
        except (FetchError, InvalidClientMetadata, InvalidRedirectUri) as error:
            raise UnsafeRedirect(f"The description of the app cannot be used. {error}") from None
        client = described_client(client_id, metadata, now, found.expires_at)
        if not put_described_client(self._db, document_id, client, now=now):  # taken back meanwhile
            raise UnsafeRedirect(NO_SUCH_DOCUMENT)
        return client


def described_client(client_id: str, metadata: dict[str, Any], now: int, fresh_until: int) -> Client:
    """A client as its document describes it."""
    return Client(
        id=client_id,
        kind="cimd",
        name=metadata.get("client_name"),
        auth_method=metadata["token_endpoint_auth_method"],
        secret_hash=None,
        redirect_uris=tuple(metadata["redirect_uris"]),
        metadata=metadata,
        created_at=now,
        fresh_until=fresh_until,
    )


def emulated_url(public_url: str, document_id: str) -> str:
    """The address of a document that we publish ourselves."""
    return f"{public_url}{EMULATED_PATH}{document_id}.json"


def is_document_url(client_id: str) -> bool:
    """Whether a client id is meant as a URL: the ids that we make up never begin like that."""
    return client_id.startswith(("https://", "http://"))


def check_document_url(url: str) -> None:
    """Raise UnsafeRedirect, before anything is fetched, unless this URL may be a client's id (CIMD, "Client Identifier")."""
    match = re.fullmatch(r"https://[a-z0-9.-]+(/[!$-;=?-Z_a-z~]+)", url)
    if len(url) > URL_MAX or match is None or any(unquote(part) in (".", "..") for part in match[1].split("?")[0].split("/")):
        raise UnsafeRedirect("The app's id (client_id) is not an https address that can be used as one.")


def check_document(url: str, response: Response, settings: Settings) -> dict[str, Any]:
    """What we keep of a document. Raises FetchError, InvalidClientMetadata or InvalidRedirectUri if it will not do."""
    media_type = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if not re.fullmatch(r"application/([a-z0-9.-]+\+)?json", media_type):
        raise InvalidClientMetadata("It is not JSON.")
    document = response.json()
    if not isinstance(document, dict) or document.get("client_id") != url:
        raise InvalidClientMetadata("Its client_id is not its own address.")
    if "client_secret" in document or "client_secret_expires_at" in document:
        raise InvalidClientMetadata("It holds a secret, which a public document cannot.")
    metadata: dict[str, Any] = {"redirect_uris": acceptable_redirects(document.get("redirect_uris"), settings)}
    for name, check in DOCUMENT_CHECKS.items():
        value = check(name, document.get(name))
        if value is not None:
            metadata[name] = value
    check_keys_named(metadata)
    return metadata


def acceptable_redirects(uris: Any, settings: Settings) -> list[str]:
    """The redirect URIs that we accept; others are left out, for other servers may know more schemes than we do."""
    if not isinstance(uris, list) or len(uris) > REDIRECT_URIS_MAX:
        raise InvalidRedirectUri(f"redirect_uris must be a list of at most {REDIRECT_URIS_MAX} URIs.")
    accepted = []
    for uri in uris:
        try:
            check_redirect_uri(uri, settings)
            accepted.append(uri)
        except InvalidRedirectUri as error:
            reason = error
    if not accepted:
        raise InvalidRedirectUri(f"It has no redirect URI that this server accepts. {reason if uris else ''}".strip())
    return accepted


def check_needed_name(name: str, value: Any) -> str:
    """A name to show: the specification wants one."""
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= TEXT_MAX or re.search("[\0\ud800-\udfff]", value):
        raise InvalidClientMetadata(f"{name} must be a string of 1 to {TEXT_MAX} characters.")
    return value.strip()


def check_method(name: str, value: Any) -> str:
    """`none` or `private_key_jwt`; `none` if left out."""
    value = "none" if value is None else value
    if value not in METHODS:
        raise InvalidClientMetadata(f"{name} must be one of: {', '.join(METHODS)}.")
    return value


def check_methods(name: str, value: Any) -> list[str] | None:
    """A list of methods, of which we keep those that we know: ChatGPT names `none` beside its key."""
    if value is None:
        return None
    if not is_list_of_strings(value):
        raise InvalidClientMetadata(f"{name} must be a list of strings.")
    return [method for method in METHODS if method in value]


DOCUMENT_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "client_name": check_needed_name,
    "token_endpoint_auth_method": check_method,
    "token_endpoint_auth_methods_supported": check_methods,
    "jwks": check_keys,
    "jwks_uri": check_link,
    "client_uri": check_link,
}


def read_max_age(headers: Mapping[str, str]) -> int:
    """For how many seconds an answer is fresh (RFC 9111 §4.2.1): a day at the most; not at all if it may not be stored."""
    directives = {item.strip().lower() for item in headers.get("Cache-Control", "").split(",")}
    if directives & {"no-store", "no-cache"}:
        return 0
    ages = [int(match[1]) for item in directives if (match := re.fullmatch(r"max-age=\"?([0-9]{1,12})\"?", item))]
    return min(ages[0] if ages else DEFAULT_SECONDS, LONGEST_SECONDS)

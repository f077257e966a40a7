"""`private_key_jwt`: a client signs in with a signature of its own (RFC 7523, OpenID Connect Core §9). Knows no HTTP server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jwt

from crypto import Vault
from db import Database
from errors import FetchError, InvalidClient, TooManyRequests
from fetch import ANONYMOUS, Fetcher
from joint_fetches import JointFetches
from store.assertions import claim_assertion
from store.cache import ScopedCache
from store.clients import Client
from tools import Cached

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KINDS = {"RS256": "RSA", "ES256": "EC"}  # algorithm -> kind of its keys
ALGORITHMS = tuple(KINDS)  # never none, and never HS256, for which a public key would pass as a secret
LEEWAY_SECONDS = 60
LONGEST_SECONDS = 3600
LATEST = 10**11  # in epoch seconds: the year 5138
ASSERTION_MAX = 8192
KEYS = replace(ANONYMOUS, max_bytes=64 * 1024)
KEYS_FRESH_SECONDS, KEYS_KEEP_SECONDS = 3600, 7 * 86400
KEYS_ANEW_SECONDS = 30  # an unknown `kid` may ask for the keys again, but no more often than this
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # of a JWK (RFC 7518 §6)
RSA_BITS_MIN = 2048  # RFC 7518 §3.3


class ClientAssertions:
    """Verifies assertions against a client's published keys. Each assertion is good once."""

    def __init__(
        self, db: Database, vault: Vault, fetch: Fetcher, audiences: frozenset[str], clock: Callable[[], float] = time.time
    ):
        self._db, self._fetch, self._audiences, self._clock = db, fetch, audiences, clock
        self._cache = ScopedCache(db, vault, "client keys", clock)
        self._fetches, self._asked = JointFetches(), dict[str, float]()

    def verify(self, client: Client, assertion: str) -> None:
        """Raise InvalidClient unless this assertion is the client's own, for us, in time, and was never presented before."""
        try:
            claims = jwt.decode(
                assertion,
                self._find_key(client, read_header(assertion)),
                algorithms=list(ALGORITHMS),
                options={"require": ["iss", "sub", "aud", "exp", "jti"], **dict.fromkeys(OWN_CHECKS, False)},
            )
        except (jwt.PyJWTError, FetchError, ValueError, TypeError) as error:
            raise InvalidClient(f"The client assertion cannot be verified ({type(error).__name__}).") from None
        for is_wrong, reason in CLAIM_CHECKS:
            if is_wrong(claims, client.id, self._audiences, self._clock()):
                raise InvalidClient(f"The client assertion {reason}.")
        if not claim_assertion(self._db, client.id, claims["jti"], expires_at=int(claims["exp"]) + LEEWAY_SECONDS):
            raise InvalidClient("The client assertion was already used.")

    def _find_key(self, client: Client, header: Mapping[str, Any]) -> Any:
        """The key that the header names; the published set is fetched once more if it is not in our copy.

        For a client that no person has let in nothing is fetched: there is nothing yet that it could sign for.
        """
        if "jwks" in client.metadata:
            return pick_key(client.metadata["jwks"], header)
        uri = client.metadata.get("jwks_uri")
        if uri is None or client.approved_at is None:
            raise ValueError
        copy = self._cache.get(uri)
        if copy is not None and (self._was_asked(uri, copy) or (copy.fresh and find_keys(copy.value, header))):
            return pick_key(copy.value, header)
        try:
            keys = self._fetches.run(uri, lambda: self._read_keys(uri))
        except (FetchError, TooManyRequests):
            if copy is None:
                raise
            keys = copy.value  # the last good copy
        return pick_key(keys, header)

    def _was_asked(self, uri: str, copy: Cached) -> bool:
        """Whether the set was fetched just now, or could not be."""
        return 0 <= self._clock() - max(copy.fetched_at, self._asked.get(uri, 0)) < KEYS_ANEW_SECONDS

    def _read_keys(self, uri: str) -> Any:
        if len(self._asked) > 1000:
            self._asked.clear()
        self._asked[uri] = self._clock()
        keys = self._fetch.request("GET", uri, trust=KEYS, headers={"Accept": "application/json"}).json()
        if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
            raise FetchError("What should be a set of keys is none.")
        self._cache.put(uri, keys, fresh_seconds=KEYS_FRESH_SECONDS, keep_seconds=KEYS_KEEP_SECONDS)
        return keys


def read_header(assertion: str) -> Mapping[str, Any]:
    """The header of a JWT, which nobody has verified yet. Raises InvalidClient if it is no JWT of an algorithm of ours."""
    try:
        header = jwt.get_unverified_header(assertion) if len(assertion) <= ASSERTION_MAX else {}
    except (jwt.PyJWTError, ValueError):
        header = {}
    if header.get("alg") not in ALGORITHMS:
        raise InvalidClient(f"The client assertion must be a JWT signed with {' or '.join(ALGORITHMS)}.")
    return header


def read_subject(assertion: str) -> str:
    """Whom an assertion says it is of, before it is verified: `client_id` need not stand beside it (RFC 7521 §4.2)."""
    read_header(assertion)
    try:
        subject = jwt.decode(assertion, options={"verify_signature": False}).get("sub")
    except (jwt.PyJWTError, ValueError):
        subject = None
    if not (isinstance(subject, str) and subject and subject.isprintable()):  # half a letter is no text for SQL
        raise InvalidClient("The client assertion names no client.")
    return subject


def find_keys(keys: Any, header: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The keys of a set (RFC 7517 §5) that a header may mean."""
    listed = keys.get("keys") if isinstance(keys, dict) else None
    return [
        key
        for key in listed or ()
        if isinstance(key, dict)
        and key.get("kty") == KINDS[header["alg"]]
        and key.get("use", "sig") == "sig"
        and ("kid" not in header or key.get("kid") == header["kid"])
    ]


def pick_key(keys: Any, header: Mapping[str, Any]) -> Any:
    """The public key of a set that the header names, or the only one that fits. Raises ValueError."""
    fitting = find_keys(keys, header)
    if len(fitting) != 1 or PRIVATE_MEMBERS & fitting[0].keys():  # a private key that was published is anybody's
        raise ValueError
    key = jwt.PyJWK(fitting[0], algorithm=header["alg"]).key
    if header["alg"] == "RS256" and key.key_size < RSA_BITS_MIN:
        raise ValueError
    return key


def is_number(value: Any) -> bool:
    """Whether a claim is a point in time (RFC 7519 §2). Python's JSON lets NaN through, which is neither before nor after one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST


def audiences_of(claims: Mapping[str, Any]) -> set[str]:
    """For whom an assertion is meant."""
    audience = claims["aud"]
    return {item for item in (audience if isinstance(audience, list) else [audience]) if isinstance(item, str)}


OWN_CHECKS = ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti")  # see below
Check = Callable[[Mapping[str, Any], str, frozenset[str], float], bool]
# RFC 7523 §3, against the server's own clock
CLAIM_CHECKS: tuple[tuple[Check, str], ...] = (
    (lambda claims, client_id, ours, now: claims["iss"] != client_id or claims["sub"] != client_id, "is of another client"),
    (lambda claims, client_id, ours, now: not audiences_of(claims) & ours, "is meant for another server"),
    (lambda claims, client_id, ours, now: not is_number(claims["exp"]), "has no readable expiry"),
    (lambda claims, client_id, ours, now: claims["exp"] + LEEWAY_SECONDS <= now, "has expired"),
    (lambda claims, client_id, ours, now: claims["exp"] > now + LONGEST_SECONDS + LEEWAY_SECONDS, "is good for too long"),
    (lambda claims, client_id, ours, now: not is_past(claims.get("nbf"), now), "is not good yet"),
    (lambda claims, client_id, ours, now: not is_past(claims.get("iat"), now), "was made in the future"),
    (lambda claims, client_id, ours, now: not isinstance(claims["jti"], str) or not 1 <= len(claims["jti"]) <= 512, "has no jti"),
)


def is_past(moment: Any, now: float) -> bool:
    """Whether an optional point in time is left out or over."""
    return moment is None or (is_number(moment) and moment <= now + LEEWAY_SECONDS)

"""A pretended web on which clients publish their descriptions and keys, for tests without a network. Knows no server of ours."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from errors import FetchError
from fetch import Response

DOCUMENT_URL = "https://chat.example/oauth/client.json"
KEYS_URL = "https://chat.example/oauth/jwks.json"


class Web:
    """Stands in for fetch.Fetcher: answers what was published, and remembers what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Response | Exception] = {}
        self.asked: list[str] = []
        self.trusts: list[Any] = []

    def publish(self, url: str, value: Any, **headers: str) -> None:
        """Put a JSON page at a URL."""
        self.pages[url] = Response(200, {"Content-Type": "application/json"} | headers, json.dumps(value).encode())

    def request(self, method: str, url: str, *, trust: Any, headers: dict[str, str] | None = None) -> Response:
        """What fetch.Fetcher does, without a network."""
        self.asked.append(url)
        self.trusts.append(trust)
        page = self.pages.get(url, FetchError("chat.example did not answer."))
        if isinstance(page, Exception):
            raise page
        return page


class Signer:
    """A client's own key, and the assertions that it signs."""

    def __init__(self, kid: str = "key 1", algorithm: str = "RS256", bits: int = 2048):
        self.kid, self.algorithm = kid, algorithm
        self.key = rsa.generate_private_key(65537, bits) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
        self.count = 0

    def public(self) -> dict[str, Any]:
        """Its public half as a JWK."""
        kind = jwt.algorithms.RSAAlgorithm if self.algorithm == "RS256" else jwt.algorithms.ECAlgorithm
        return {**kind.to_jwk(self.key.public_key(), as_dict=True), "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, client_id: str, audience: Any, now: int, **changes: Any) -> str:
        """A fresh assertion; a change to None leaves a claim out."""
        self.count += 1
        claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 300, "jti": f"jti {self.count}"}
        kept = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(kept, self.key, algorithm=self.algorithm, headers={"kid": self.kid})


def chatgpt_document(**changes: Any) -> dict[str, Any]:
    """A description in the form that ChatGPT publishes; a change to None leaves a member out."""
    document = {
        "client_id": DOCUMENT_URL,
        "client_name": "ChatGPT",
        "redirect_uris": ["https://chat.example/connector_platform_oauth_redirect"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg": "RS256",
        "jwks_uri": KEYS_URL,
    } | changes
    return {name: value for name, value in document.items() if value is not None}

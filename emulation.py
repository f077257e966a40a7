"""An assistant that signs in by a document of its own, on the server's own host. Publishes in the database; asks by HTTP only."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from client_assertions import ASSERTION_TYPE
from client_documents import emulated_url
from config import load_settings
from crypto import new_id
from db import Database, check_current, open_database
from errors import ConfigError, StorageError
from fetch import OWNER
from plain_browser import origin_of
from smoke import Emulator, expect, read_object
from startup import MIGRATIONS
from store.emulated_documents import delete_document, insert_document

DOCUMENT_SECONDS = 600
ASSERTION_SECONDS = 60


def open_home(url: str, environ: Mapping[str, str]) -> Database | None:
    """The database of the server at `url` if the settings at hand are that server's, else None; never a new one."""
    try:
        settings = load_settings(environ)
        if origin_of(url) != settings.public_url:
            return None
        db = open_database(settings.database_url, creates=False)
    except ConfigError:
        return None
    try:
        check_current(db, MIGRATIONS)
    except (ConfigError, StorageError):
        db.close()
        return None
    return db


class Publication:
    """The place of one document on a server whose database is at hand. Nothing is there before `publish` and after `withdraw`."""

    def __init__(self, db: Database, public_url: str):
        self._db, self._id = db, new_id()
        self.url = emulated_url(public_url, self._id)

    def publish(self, document: Mapping[str, Any]) -> None:
        """Put the document there, for ten minutes at the most."""
        insert_document(self._db, self._id, document, expires_at=int(time.time()) + DOCUMENT_SECONDS)

    def withdraw(self) -> None:
        """Take it back, with the client and its sessions; once more does no harm."""
        delete_document(self._db, self._id)


class Signer:
    """A key that lives as long as one run, and what it signs (RFC 7523 §2.2)."""

    def __init__(self) -> None:
        self._key, self._kid = rsa.generate_private_key(65537, 2048), new_id()

    def public_keys(self) -> dict[str, Any]:
        """Its public half, as a set (RFC 7517 §5)."""
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._kid, "alg": "RS256", "use": "sig"}]}

    def sign(self, client_id: str, audience: str) -> str:
        """A fresh assertion (RFC 7523 §3)."""
        now = int(time.time())
        claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + ASSERTION_SECONDS}
        named = claims | {"jti": secrets.token_urlsafe(16)}
        return jwt.encode(named, self._key, algorithm="RS256", headers={"kid": self._kid})


class DescribedEmulator(Emulator):
    """An assistant whose client id is the address of its document (CIMD). It signs where its maker's document says so."""

    def __init__(self, publication: Publication, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._publication = publication
        signs = self.assistant.document["token_endpoint_auth_method"] == "private_key_jwt"  # noqa: S105 - a method
        self._signer = Signer() if signs else None

    def describe(self) -> dict[str, Any]:
        """Its maker's document under another address, with a key of ours in the place of its maker's."""
        document = {name: value for name, value in self.assistant.document.items() if name != "jwks_uri"}
        keys = {"jwks": self._signer.public_keys()} if self._signer else {}
        return document | {"client_id": self._publication.url} | keys

    def join(self) -> str:
        """Publish the document, and see that the server has it: the database at hand could be another one's."""
        offered = self.server.get("client_id_metadata_document_supported")
        expect(offered is True, "client_id_metadata_document_supported to be true", repr(offered))
        document = self.describe()
        self._publication.publish(document)
        self.client_id = self._publication.url
        expect(self.get(self.client_id) == document, "the document that was published", "another one")
        return self.client_id

    def part(self) -> str:
        """Take the document back; then nobody knows the client."""
        self._publication.withdraw()
        gone = self.fetch.request("GET", self.client_id, trust=OWNER)
        expect(gone.status == 404, "404 where the document was", gone)
        unknown = self.trade(self.tokens["refresh_token"])
        expect((unknown.status, read_object(unknown).get("error")) == (401, "invalid_client"), "401 invalid_client", unknown)
        return "the client is unknown again"

    JOIN, PART = ("document", join), ("withdraw the document", part)

    def credentials(self) -> dict[str, str]:
        """Its id, and a signature if that is its way (RFC 7523 §2.2)."""
        if self._signer is None:
            return super().credentials()
        signed = self._signer.sign(self.client_id, self.server["token_endpoint"])
        return super().credentials() | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

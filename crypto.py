"""Keys, sealing, hashing and random values. Knows no database: `store/keys.py` keeps the wrapped data key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets

from cryptography.exceptions import InvalidKey, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import PosternError

KEY_BYTES = 32
NONCE_BYTES = 12  # random: one key is good for 2**32 seals (NIST SP 800-38D §8.3)
VERSION = b"\x01"


class Unreadable(PosternError):
    """A sealed value was made with another key, for another place, or was changed."""


class Vault:
    """Seals values with the data key. A sealed value opens only in the place (table, column, row) it was made for."""

    def __init__(self, data_key: bytes):
        self._data_key = data_key
        self._cipher = AESGCM(derive_key(data_key, "seal"))

    def seal(self, plain: bytes, *place: str) -> str:
        """AES-256-GCM under the data key, bound to `place`; answers text: base64url(version, nonce, ciphertext)."""
        nonce = os.urandom(NONCE_BYTES)
        return encode(VERSION + nonce + self._cipher.encrypt(nonce, plain, associated_data(place)))

    def unseal(self, sealed: str, *place: str) -> bytes:
        """The plain bytes again; raises Unreadable for anything that `seal` did not make for this very place."""
        try:
            raw = decode(sealed)
            if raw[:1] != VERSION:
                raise Unreadable("unknown version of a sealed value")
            return self._cipher.decrypt(raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :], associated_data(place))
        except (ValueError, InvalidTag):
            raise Unreadable("a sealed value cannot be opened") from None

    def mac(self, context: str, message: str) -> str:
        """An HMAC-SHA-256 of `message` that is worth nothing in another `context`."""
        return encode(hmac.digest(derive_key(self._data_key, "mac " + context), message.encode(), "sha256"))


def associated_data(place: tuple[str, ...]) -> bytes:
    """The place as bytes, each part with its length before it so that no two places look alike."""
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in place)


def derive_key(key: bytes, context: str) -> bytes:
    """A 32-byte key for one purpose (HKDF-SHA-256, RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"postern " + context.encode()).derive(key)


def wrap_data_key(master_key: bytes, data_key: bytes) -> str:
    """The data key, sealed under a key that is derived from the master key."""
    nonce = os.urandom(NONCE_BYTES)
    wrapped = AESGCM(derive_key(master_key, "wrap")).encrypt(nonce, data_key, b"data key")
    return encode(VERSION + nonce + wrapped)


def unwrap_data_key(master_key: bytes, wrapped: str) -> bytes:
    """The data key again; raises Unreadable with another master key."""
    try:
        raw = decode(wrapped)
        nonce, sealed = raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :]
        return AESGCM(derive_key(master_key, "wrap")).decrypt(nonce, sealed, b"data key")
    except (ValueError, InvalidTag):
        raise Unreadable("the data key cannot be unwrapped") from None


def key_check(master_key: bytes) -> str:
    """A value that tells whether a master key is the right one, and nothing else about it."""
    return derive_key(master_key, "check").hex()


# --- passwords (Argon2id, RFC 9106): slow on purpose; tokens are random and need no slow hash ---

ARGON2 = {"length": 32, "iterations": 3, "lanes": 1, "memory_cost": 64 * 1024}


def hash_password(password: str) -> str:
    """A PHC string with its own salt and parameters."""
    return Argon2id(salt=os.urandom(16), **ARGON2).derive_phc_encoded(password.encode())


def hash_of_nothing() -> str:
    """A PHC string that no password fits, and that takes as long to try as any: made of random bytes, at no cost."""
    salt, made_up = (base64.b64encode(os.urandom(length)).decode().rstrip("=") for length in (16, ARGON2["length"]))
    return f"$argon2id$v=19$m={ARGON2['memory_cost']},t={ARGON2['iterations']},p={ARGON2['lanes']}${salt}${made_up}"


def verify_password(password: str, phc: str) -> bool:
    """Whether `password` is the one that was hashed."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


# --- random values ---


def new_token(prefix: str) -> str:
    """256 random bits behind a prefix that secret scanners can find, such as `mcp_at_`."""
    return prefix + secrets.token_urlsafe(32)


def new_code() -> str:
    """A secret that a person types: 100 random bits as four groups of letters and digits that do not look alike."""
    letters = "".join(secrets.choice("23456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(20))
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))


def new_id() -> str:
    """An id for a row: 80 random bits, fit for URLs, never a secret."""
    return secrets.token_hex(10)


def hash_token(token: str) -> str:
    """SHA-256 as hexadecimal digits: how tokens, codes, cookies and keys stand in the database."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """The one constant-time comparison."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def s256(verifier: str) -> str:
    """A PKCE verifier's challenge (RFC 7636 §4.2)."""
    return encode(hashlib.sha256(verifier.encode()).digest())


def encode(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of strict, unpadded base64url; ValueError for anything else."""
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)

"""client_assertions.py: a client signs in with a signature of its own, once for each."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from conftest import NOW
from web_of_clients import DOCUMENT_URL, KEYS_URL, Signer, Web, chatgpt_document

from client_assertions import ClientAssertions, read_subject
from crypto import Vault
from db import Database
from errors import FetchError, InvalidClient
from fetch import Response
from store.assertions import claim_assertion, purge_assertions
from store.clients import Client

ISSUER, TOKEN_URL = "http://localhost:8000", "http://localhost:8000/token"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="module")
def stranger() -> Signer:
    return Signer()


@pytest.fixture
def web(signer: Signer) -> Web:
    web = Web()
    web.publish(KEYS_URL, {"keys": [signer.public()]})
    return web


class Desk(ClientAssertions):
    """Verifies at a time that the test sets."""

    def __init__(self, db: Database, vault: Vault, web: Web):
        self.now = NOW
        super().__init__(db, vault, web, frozenset({ISSUER, TOKEN_URL}), clock=lambda: self.now)


@pytest.fixture
def desk(db: Database, vault: Vault, web: Web) -> Desk:
    return Desk(db, vault, web)


def client(*, approved_at: int | None = NOW, **changes: Any) -> Client:
    metadata = chatgpt_document(**changes)
    uris = tuple(metadata["redirect_uris"])
    return Client(DOCUMENT_URL, "cimd", "ChatGPT", "private_key_jwt", None, uris, metadata, NOW, approved_at=approved_at)


@pytest.mark.parametrize("audience", [ISSUER, TOKEN_URL, [TOKEN_URL], ["https://other.example", ISSUER]])
def test_an_assertion_for_us_signs_the_client_in(desk: Desk, signer: Signer, audience: Any):
    desk.verify(client(), signer.sign(DOCUMENT_URL, audience, NOW))


def test_es256_and_keys_in_the_document_itself_are_taken(desk: Desk, web: Web):
    signer = Signer(algorithm="ES256")
    own = client(jwks_uri=None, jwks={"keys": [signer.public()]})
    desk.verify(own, signer.sign(DOCUMENT_URL, ISSUER, NOW))
    assert web.asked == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example/c"}, "of another client"),
        ({"sub": "https://evil.example/c"}, "of another client"),
        ({"aud": "https://other.example"}, "for another server"),
        ({"aud": ISSUER + "/"}, "for another server"),
        ({"aud": []}, "for another server"),
        ({"aud": {"a": 1}}, "for another server"),
        ({"exp": NOW - 61}, "has expired"),
        ({"exp": NOW + 7200}, "good for too long"),
        ({"exp": None}, "cannot be verified"),
        ({"exp": float("nan")}, "no readable expiry"),
        ({"nbf": float("nan")}, "not good yet"),
        ({"nbf": NOW + 120}, "not good yet"),
        ({"iat": NOW + 120}, "made in the future"),
        ({"jti": None}, "cannot be verified"),
        ({"jti": ""}, "has no jti"),
        ({"jti": "x" * 513}, "has no jti"),
        ({"iss": None}, "cannot be verified"),
        ({"sub": None}, "cannot be verified"),
        ({"aud": None}, "cannot be verified"),
    ],
)
def test_it_refuses_wrong_claims(desk: Desk, signer: Signer, changes: dict[str, Any], reason: str):
    audience = changes.pop("aud", ISSUER) if "aud" in changes else ISSUER
    with pytest.raises(InvalidClient, match=reason) as refusal:
        desk.verify(client(), signer.sign(DOCUMENT_URL, audience, NOW, **changes))
    assert (refusal.value.code, refusal.value.status) == ("invalid_client", 401)


def test_half_a_letter_in_a_jti_is_a_letter_like_any_other(desk: Desk, signer: Signer):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW, jti="\ud800"))
    with pytest.raises(InvalidClient, match="already used"):
        desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW, jti="\ud800"))


def test_a_little_difference_between_clocks_is_borne(desk: Desk, signer: Signer):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW, iat=NOW + 50, nbf=NOW + 50))
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW, exp=NOW - 50))


def test_it_refuses_an_assertion_the_second_time(desk: Desk, signer: Signer):
    assertion = signer.sign(DOCUMENT_URL, ISSUER, NOW)
    desk.verify(client(), assertion)
    with pytest.raises(InvalidClient, match="already used"):
        desk.verify(client(), assertion)


def test_a_refused_assertion_is_not_spent(desk: Desk, signer: Signer, web: Web):
    assertion = signer.sign(DOCUMENT_URL, ISSUER, NOW)
    keys, web.pages[KEYS_URL] = web.pages[KEYS_URL], FetchError("It did not answer.")
    with pytest.raises(InvalidClient):
        desk.verify(client(), assertion)
    web.pages[KEYS_URL] = keys
    desk.verify(client(), assertion)


def test_it_refuses_another_key_under_the_same_name(desk: Desk, stranger: Signer):
    with pytest.raises(InvalidClient, match="cannot be verified"):
        desk.verify(client(), stranger.sign(DOCUMENT_URL, ISSUER, NOW))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_it_refuses_no_signature_and_shared_secrets(desk: Desk, signer: Signer, algorithm: str):
    claims = {"iss": DOCUMENT_URL, "sub": DOCUMENT_URL, "aud": ISSUER, "exp": NOW + 60, "jti": "x"}
    secret = None if algorithm == "none" else "public key text"
    forged = jwt.encode(claims, secret, algorithm=algorithm, headers={"kid": signer.kid})
    with pytest.raises(InvalidClient, match="RS256 or ES256"):
        desk.verify(client(), forged)


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "é.é.é", "." * 9000, "eyJhbGciOiJSUzI1NiJ9..", "eyJhbGciOltdfQ.e30.x"])
def test_it_refuses_what_is_no_assertion(desk: Desk, assertion: str):
    with pytest.raises(InvalidClient):
        desk.verify(client(), assertion)


def test_keys_are_kept_and_fetched_once_more_for_a_new_name(desk: Desk, signer: Signer, web: Web):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    assert web.asked == [KEYS_URL]
    rolled = Signer(kid="key 2")
    web.publish(KEYS_URL, {"keys": [signer.public(), rolled.public()]})
    desk.now = NOW + 31
    desk.verify(client(), rolled.sign(DOCUMENT_URL, ISSUER, desk.now))
    assert web.asked == [KEYS_URL, KEYS_URL]


def test_unknown_names_do_not_make_it_fetch_over_and_over(desk: Desk, signer: Signer, web: Web):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    unknown = Signer(kid="nobody's", algorithm="ES256")
    for _ in range(5):
        with pytest.raises(InvalidClient):
            desk.verify(client(), unknown.sign(DOCUMENT_URL, ISSUER, NOW))
    assert web.asked == [KEYS_URL]


def test_a_client_that_nobody_has_let_in_makes_it_fetch_nothing(desk: Desk, signer: Signer, web: Web):
    with pytest.raises(InvalidClient, match="cannot be verified"):
        desk.verify(client(approved_at=None), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    assert web.asked == []
    own = client(approved_at=None, jwks_uri=None, jwks={"keys": [signer.public()]})
    desk.verify(own, signer.sign(DOCUMENT_URL, ISSUER, NOW))  # those in the document itself cost nothing


def test_unknown_names_make_it_fetch_now_and_then_at_the_most(desk: Desk, signer: Signer, web: Web):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    unknown = Signer(kid="nobody's", algorithm="ES256")
    for second in range(31, 91):
        desk.now = NOW + second
        with pytest.raises(InvalidClient):
            desk.verify(client(), unknown.sign(DOCUMENT_URL, ISSUER, desk.now))
    assert web.asked == [KEYS_URL] * 3


@pytest.mark.parametrize("failure", [FetchError("It did not answer."), Response(200, {}, b"{}"), Response(200, {}, b"[" * 2000)])
def test_while_there_is_no_answer_it_asks_now_and_then_at_the_most(
    desk: Desk, signer: Signer, web: Web, failure: Response | Exception
):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    web.pages[KEYS_URL] = failure
    for second in range(4000, 4060):
        desk.now = NOW + second
        desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, desk.now))
    assert web.asked == [KEYS_URL] * 3


def test_the_last_good_keys_serve_while_there_is_no_answer(desk: Desk, signer: Signer, web: Web):
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))
    web.pages[KEYS_URL] = FetchError("It did not answer.")
    desk.now = NOW + 4000
    desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, desk.now))


def test_a_key_for_encryption_is_not_taken(desk: Desk, signer: Signer, web: Web):
    web.publish(KEYS_URL, {"keys": [signer.public() | {"use": "enc"}]})
    with pytest.raises(InvalidClient):
        desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))


def test_a_private_key_that_was_published_proves_nothing(desk: Desk, signer: Signer, web: Web):
    private = jwt.algorithms.RSAAlgorithm.to_jwk(signer.key, as_dict=True)
    web.publish(KEYS_URL, {"keys": [signer.public() | private]})
    with pytest.raises(InvalidClient, match="cannot be verified"):
        desk.verify(client(), signer.sign(DOCUMENT_URL, ISSUER, NOW))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_key_proves_nothing(desk: Desk, web: Web):
    short = Signer(bits=1024)
    web.publish(KEYS_URL, {"keys": [short.public()]})
    with pytest.raises(InvalidClient, match="cannot be verified"):
        desk.verify(client(), short.sign(DOCUMENT_URL, ISSUER, NOW))


@pytest.mark.parametrize("subject", ["\ud800", "x\0", "", 5, ["x"]])
def test_a_subject_that_is_no_text_names_nobody(signer: Signer, subject: Any):
    with pytest.raises(InvalidClient, match="names no client") as refusal:
        read_subject(signer.sign(DOCUMENT_URL, ISSUER, NOW, sub=subject))
    assert (refusal.value.code, refusal.value.status) == ("invalid_client", 401)


def test_the_subject_names_the_client_where_nothing_else_does(signer: Signer):
    assert read_subject(signer.sign(DOCUMENT_URL, ISSUER, NOW)) == DOCUMENT_URL
    with pytest.raises(InvalidClient, match="names no client"):
        read_subject(signer.sign(DOCUMENT_URL, ISSUER, NOW, sub=None))


def test_presented_assertions_are_forgotten_once_they_are_too_old_anyway(db: Database):
    assert claim_assertion(db, "client", "jti", expires_at=NOW)
    assert not claim_assertion(db, "client", "jti", expires_at=NOW)
    assert claim_assertion(db, "another", "jti", expires_at=NOW)
    purge_assertions(db, now=NOW)
    assert not db.query("SELECT id_hash FROM assertions")

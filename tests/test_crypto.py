"""crypto.py: what is sealed opens only where it was sealed."""

from __future__ import annotations

import re

import pytest
from conftest import ARGON2
from hypothesis import given
from hypothesis import strategies as st

import crypto
from crypto import (
    Unreadable,
    Vault,
    decode,
    encode,
    hash_of_nothing,
    hash_password,
    hash_token,
    key_check,
    new_token,
    s256,
    same,
    unwrap_data_key,
    verify_password,
    wrap_data_key,
)

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
PLACE = ("credentials", "a1", "api_key")


def test_a_sealed_value_opens_in_its_place(vault: Vault):
    assert vault.unseal(vault.seal(b"secret", *PLACE), *PLACE) == b"secret"


@pytest.mark.parametrize(
    "place", [("credentials", "a2", "api_key"), ("credentials", "a1", "token"), ("credentials", "a1"), ("cache", "a1", "api_key"),
              ("credentialsa1", "", "api_key")]
)  # fmt: skip
def test_it_opens_in_no_other_place(vault: Vault, place: tuple[str, ...]):
    with pytest.raises(Unreadable):
        vault.unseal(vault.seal(b"secret", *PLACE), *place)


def test_it_opens_with_no_other_key(vault: Vault):
    with pytest.raises(Unreadable):
        Vault(OTHER_KEY).unseal(vault.seal(b"secret", *PLACE), *PLACE)


def test_no_bit_of_it_can_be_flipped(vault: Vault):
    raw = decode(vault.seal(b"secret", *PLACE))
    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        with pytest.raises(Unreadable):
            vault.unseal(encode(changed), *PLACE)


@pytest.mark.parametrize("sealed", ["", "A", "AQ", "not base64!", "AQ==", "é", "AAAA" * 20])
def test_what_was_never_sealed_is_unreadable(vault: Vault, sealed: str):
    with pytest.raises(Unreadable):
        vault.unseal(sealed, *PLACE)


def test_the_same_value_is_sealed_differently_each_time(vault: Vault):
    assert len({vault.seal(b"secret", *PLACE) for _ in range(1000)}) == 1000


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_two_places_never_look_alike(left: list[str], right: list[str]):
    vault = Vault(KEY)
    sealed = vault.seal(b"x", *left)
    if left == right:
        assert vault.unseal(sealed, *right) == b"x"
    else:
        with pytest.raises(Unreadable):
            vault.unseal(sealed, *right)


def test_a_data_key_unwraps_with_its_master_key_only():
    wrapped = wrap_data_key(KEY, b"d" * 32)
    assert unwrap_data_key(KEY, wrapped) == b"d" * 32
    with pytest.raises(Unreadable):
        unwrap_data_key(OTHER_KEY, wrapped)


def test_the_key_check_tells_keys_apart_and_is_not_the_key():
    assert key_check(KEY) == key_check(KEY) != key_check(OTHER_KEY)
    assert key_check(KEY) != KEY.hex()


def test_a_mac_is_worth_nothing_in_another_context(vault: Vault):
    assert vault.mac("csrf", "cookie") == vault.mac("csrf", "cookie")
    assert vault.mac("csrf", "cookie") != vault.mac("device", "cookie")


def test_a_password_is_hashed_with_argon2id_and_verified(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crypto, "ARGON2", ARGON2)
    phc = hash_password("correct horse")
    assert phc.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert verify_password("correct horse", phc)
    assert not verify_password("correct horsf", phc)
    assert hash_password("correct horse") != phc


def test_what_no_password_fits_is_tried_like_any_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crypto, "ARGON2", ARGON2)
    nothing, real = hash_of_nothing(), hash_password("correct horse")
    assert [len(part) for part in nothing.split("$")] == [len(part) for part in real.split("$")]
    assert nothing.split("$")[:4] == real.split("$")[:4]
    assert nothing != hash_of_nothing()
    assert not verify_password("", nothing)


def test_tokens_are_256_random_bits_behind_a_prefix():
    tokens = {new_token("mcp_at_") for _ in range(10_000)}
    assert len(tokens) == 10_000
    assert all(re.fullmatch(r"mcp_at_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_hashes_are_the_known_ones():
    assert hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 app. B


def test_same_compares_any_text():
    assert same("é\udc80", "é\udc80")
    assert not same("a", "b")


@pytest.mark.parametrize("text", ["", "\0", "é", "\ud800"])
def test_any_text_has_a_hash_and_can_be_compared(text: str):
    assert re.fullmatch("[0-9a-f]{64}", hash_token(text))
    assert same(text, text)
    assert not same(text, text + "x")

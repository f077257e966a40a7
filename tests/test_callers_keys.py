"""An API key becomes a caller: at its two addresses, until it expires, lies idle or is revoked. Tokens: test_callers.py."""

from __future__ import annotations

import pytest
from grants import make_grant
from house import Clock

from callers import Callers
from errors import InvalidToken, StorageError
from store.api_keys import IDLE_SECONDS, insert_key, list_keys, revoke_key
from store.grants import insert_key_grant
from store.profiles import list_feature_sets, list_profiles
from store.sessions import insert_session
from store.tokens import Lifetimes, mint_tokens
from store.users import list_users

NOW, DAY = 1_790_000_000, 86400
MCP = "http://localhost:8000/mcp"


@pytest.fixture
def session_id(db, vault):
    """A session of Alice's client."""
    grant_id = make_grant(db, vault, "alice")
    with db.write() as run:
        return insert_session(run, grant_id, MCP, "mcp", lifetime=DAY, now=NOW)


@pytest.fixture
def alice(db, session_id):
    return list_users(db)[0]


@pytest.fixture
def key(db, alice):
    """Her key for home, which lives for 100 days."""
    profile = list_profiles(db, alice.id)[0]
    with db.write() as run:
        key_id, key = insert_key(run, alice.id, "script", lifetime=100 * DAY, now=NOW)
        insert_key_grant(run, profile.id, key_id, list_feature_sets(db, profile.id)[1].id, NOW)
    return key


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def callers(db, clock):
    return Callers(db, clock)


@pytest.fixture
def used_at(db, alice):
    """When the key was noted to be used."""
    return lambda: list_keys(db, alice.id)[0].used_at


def refusal(callers, bearer, resource=MCP):
    """What is said to whom is refused."""
    with pytest.raises(InvalidToken) as refused:
        callers.authenticate("Bearer " + bearer, resource)
    assert (refused.value.code, refused.value.status) == ("invalid_token", 401)
    return refused.value.description


NO_MORE = "The API key is unknown, expired or revoked."


def test_a_client_comes_with_a_session_and_a_key_by_itself(db, callers, session_id, alice, key):
    with db.write() as run:
        token = mint_tokens(run, session_id, None, Lifetimes(3600, DAY, DAY, 30), NOW).access_token
    by_token, by_key = callers.authenticate("Bearer " + token, MCP), callers.authenticate("Bearer " + key, MCP)
    assert (by_token.session_id, by_token.client_id, by_token.api_key_id) == (session_id, "client-alice", None)
    assert (by_key.session_id, by_key.client_id, by_key.api_key_id) == (None, None, list_keys(db, alice.id)[0].id)
    assert by_token.user_id == by_key.user_id == alice.id
    assert by_token.profile_id == by_key.profile_id
    assert by_token.grant_id != by_key.grant_id


@pytest.mark.parametrize("resource", [MCP, MCP + "/home"])
def test_a_key_opens_mcp_and_the_address_of_its_profile(callers, key, resource):
    assert callers.authenticate("Bearer " + key, resource).resource == resource


@pytest.mark.parametrize("path", ["/work", "/hom", "/home/", "/home/mcp"])
def test_a_key_opens_no_other_address(callers, key, used_at, path):
    assert refusal(callers, key, MCP + path) == "The API key is for another address of this server."
    assert used_at() is None


def test_what_only_looks_like_a_key_is_none(callers, key):
    for bearer in (key + "x", key[:-1], "mcp_sk_", "mcp_sk_" + "x" * 43):
        assert refusal(callers, bearer) == NO_MORE
    assert refusal(callers, key.removeprefix("mcp_sk_")) == "The access token is unknown, expired or revoked."


def test_a_key_that_is_used_is_good_until_it_expires(callers, clock, key):
    clock.forward(80 * DAY)
    assert callers.authenticate("Bearer " + key, MCP)
    clock.forward(20 * DAY - 1)
    assert callers.authenticate("Bearer " + key, MCP)
    clock.forward(1)
    assert refusal(callers, key) == NO_MORE


def test_a_key_that_lies_idle_is_good_no_more(callers, clock, key):
    clock.forward(IDLE_SECONDS)
    assert refusal(callers, key) == NO_MORE
    clock.forward(-1)
    assert callers.authenticate("Bearer " + key, MCP)


def test_a_revoked_key_is_felt_by_the_next_call_at_every_worker(db, callers, clock, alice, key):
    workers = [callers, Callers(db, clock)]
    assert all(worker.authenticate("Bearer " + key, MCP) for worker in workers)
    revoke_key(db, alice.id, list_keys(db, alice.id)[0].id, now=NOW)
    assert [refusal(worker, key) for worker in workers] == [NO_MORE, NO_MORE]


def test_use_is_noted_at_most_once_a_minute(callers, clock, key, used_at):
    noted = []
    for seconds in (0, 59, 1, 59, 1):
        clock.forward(seconds)
        callers.authenticate("Bearer " + key, MCP)
        noted.append(used_at() - NOW)
    assert noted == [0, 0, 60, 60, 120]


def test_a_note_that_cannot_be_written_fails_no_call(callers, key, used_at, monkeypatch):
    def fail(*_given, **_named):
        raise StorageError("disk full")

    monkeypatch.setattr("callers.note_key_used", fail)
    assert callers.authenticate("Bearer " + key, MCP)
    assert used_at() is None

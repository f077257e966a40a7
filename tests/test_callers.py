"""A bearer becomes a caller: at its own address, while it lives, and with a note at most once a minute."""

from __future__ import annotations

import pytest
from grants import make_grant
from house import Clock

from callers import Callers, read_bearer
from errors import InvalidToken, StorageError
from store.sessions import close_session, insert_session
from store.tokens import Lifetimes, mint_tokens

NOW, DAY = 1_790_000_000, 86400
MCP = "http://localhost:8000/mcp"


@pytest.fixture
def session_id(db, vault):
    grant_id = make_grant(db, vault, "alice")
    with db.write() as run:
        return insert_session(run, grant_id, MCP, "mcp", lifetime=DAY, now=NOW)


@pytest.fixture
def bearer(db, session_id):
    """The header of Alice's client."""
    with db.write() as run:
        return "Bearer " + mint_tokens(run, session_id, None, Lifetimes(3600, DAY, DAY, 30), NOW).access_token


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def callers(db, clock):
    return Callers(db, clock)


def used_at(db):
    """When the session was noted to be used."""
    return db.query("SELECT used_at FROM sessions")[0]["used_at"]


def test_a_good_bearer_says_who_calls_on_which_grant(callers, bearer, session_id):
    caller = callers.authenticate(bearer, MCP)
    assert (caller.session_id, caller.client_id, caller.resource) == (session_id, "client-alice", MCP)


@pytest.mark.parametrize("header", [None, "", "Basic eDp5", "Bearertoken", "Negotiate x"])
def test_no_bearer_at_all_is_no_error(header):
    with pytest.raises(InvalidToken) as refusal:
        read_bearer(header)
    assert refusal.value.code is None


@pytest.mark.parametrize("header", ["Bearer  ", "Bearer a b", 'Bearer "a"', "Bearer ü", "Bearer =", "Bearer " + "x" * 513])
def test_a_malformed_bearer_is_an_invalid_token(header):
    with pytest.raises(InvalidToken) as refusal:
        read_bearer(header)
    assert refusal.value.code == "invalid_token"


@pytest.mark.parametrize("header", ["bearer a.b", "BEARER a.b", "Bearer   a.b  "])
def test_case_and_blanks_do_not_matter(header):
    assert read_bearer(header) == "a.b"


def test_a_token_opens_its_own_address_only(callers, bearer):
    with pytest.raises(InvalidToken, match="another address"):
        callers.authenticate(bearer, MCP + "/home")


def test_a_token_dies_to_the_second(callers, clock, bearer):
    clock.forward(3599)
    assert callers.authenticate(bearer, MCP)
    clock.forward(1)
    with pytest.raises(InvalidToken, match="expired"):
        callers.authenticate(bearer, MCP)


def test_an_ended_session_is_felt_by_the_next_call(db, callers, bearer, session_id):
    assert callers.authenticate(bearer, MCP)
    with db.write() as run:
        close_session(run, session_id, "person", NOW)
    with pytest.raises(InvalidToken, match="revoked"):
        callers.authenticate(bearer, MCP)


def test_use_is_noted_at_most_once_a_minute(db, callers, clock, bearer):
    noted = []
    for seconds in (0, 30, 29, 1, 59, 1):
        clock.forward(seconds)
        callers.authenticate(bearer, MCP)
        noted.append(used_at(db) - NOW)
    assert noted == [0, 0, 0, 60, 60, 120]


def test_another_worker_does_not_note_it_again(db, callers, clock, bearer):
    callers.authenticate(bearer, MCP)
    clock.forward(30)
    Callers(db, clock).authenticate(bearer, MCP)
    assert used_at(db) == NOW


def test_a_note_that_cannot_be_written_fails_no_call(callers, bearer, monkeypatch):
    def fail(*_given, **_named):
        raise StorageError("disk full")

    monkeypatch.setattr("callers.note_session_used", fail)
    assert callers.authenticate(bearer, MCP)


def test_a_refused_bearer_is_not_noted(db, callers, bearer):
    with pytest.raises(InvalidToken):
        callers.authenticate(bearer, MCP + "/home")
    assert used_at(db) is None

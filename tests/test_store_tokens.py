"""Codes and tokens in the database: what is spent, what may come again, and what ends a session."""

from __future__ import annotations

import pytest
from grants import make_grant

from crypto import s256
from errors import InvalidGrant
from store.codes import find_code, insert_code, redeem_code
from store.sessions import close_session, insert_session
from store.tokens import (
    REPLAYED,
    SIBLINGS_MAX,
    TOO_OFTEN,
    Lifetimes,
    find_caller,
    find_refresh,
    judge_reuse,
    mint_tokens,
    purge_tokens,
    trade_refresh,
)

NOW, DAY = 1_790_000_000, 86400
LIFETIMES = Lifetimes(access=3600, refresh=90 * DAY, session=365 * DAY, grace=30)
MCP = "http://localhost:8000/mcp"


@pytest.fixture
def session_id(db, vault):
    """A session of Alice's client."""
    grant_id = make_grant(db, vault, "alice")
    with db.write() as run:
        return insert_session(run, grant_id, MCP, "mcp", lifetime=LIFETIMES.session, now=NOW)


@pytest.fixture
def pair(db, session_id):
    """Its first tokens."""
    with db.write() as run:
        return mint_tokens(run, session_id, None, LIFETIMES, NOW)


def trade(db, token, now=NOW):
    """Trade a refresh token in clear."""
    return trade_refresh(db, find_refresh(db, token, now=now), LIFETIMES, now=now)


def end_reason(db, session_id):
    """Why a session ended; None if it has not. On a connection of its own: only what is committed counts."""
    return db.query("SELECT end_reason FROM sessions WHERE id = :id", id=session_id)[0]["end_reason"]


# --- codes ---


def make_code(db, session_id):
    with db.write() as run:
        code = insert_code(run, session_id, "client-alice", "http://localhost/", s256("v" * 43), lifetime=60, now=NOW)
    return find_code(db, code, now=NOW)


def test_a_code_is_redeemed_once_and_its_replay_ends_the_session_before_it_is_refused(db, session_id):
    code = make_code(db, session_id)
    tokens = redeem_code(db, code, LIFETIMES, now=NOW)
    assert find_caller(db, tokens.access_token) is not None
    with pytest.raises(InvalidGrant, match="already used"):
        redeem_code(db, code, LIFETIMES, now=NOW)
    assert end_reason(db, session_id) == "code_replayed"
    assert find_caller(db, tokens.access_token) is None


def test_of_two_codes_for_one_session_one_is_redeemed_and_the_other_is_no_replay(db, session_id):
    one, other = make_code(db, session_id), make_code(db, session_id)
    tokens = redeem_code(db, one, LIFETIMES, now=NOW)
    with pytest.raises(InvalidGrant, match="in place of this one"):
        redeem_code(db, other, LIFETIMES, now=NOW)
    assert end_reason(db, session_id) is None
    assert find_caller(db, tokens.access_token) is not None


def test_a_code_of_an_ended_session_mints_nothing_and_is_not_spent(db, session_id):
    code = make_code(db, session_id)
    with db.write() as run:
        close_session(run, session_id, "person", NOW)
    with pytest.raises(InvalidGrant, match="session has ended"):
        redeem_code(db, code, LIFETIMES, now=NOW)
    assert db.query("SELECT used_at FROM codes")[0]["used_at"] is None
    assert end_reason(db, session_id) == "person"  # the first reason stays


# --- the second presentation ---


@pytest.mark.parametrize(
    ("presented_before", "siblings", "continued", "seconds_later", "verdict"),
    [
        pytest.param(False, 0, False, 0, None, id="first"),
        pytest.param(False, 0, False, 80 * DAY, None, id="first, late"),
        pytest.param(True, 1, False, 0, None, id="sibling at once"),
        pytest.param(True, 1, False, 29, None, id="sibling at the last moment"),
        pytest.param(True, SIBLINGS_MAX - 1, False, 1, None, id="last sibling"),
        pytest.param(True, SIBLINGS_MAX, False, 1, TOO_OFTEN, id="too often"),
        pytest.param(True, 1, False, 30, REPLAYED, id="after the grace"),
        pytest.param(True, 1, False, 80 * DAY, REPLAYED, id="long after the grace"),
        pytest.param(True, SIBLINGS_MAX, False, 30, REPLAYED, id="too often and after the grace"),
        pytest.param(True, 1, True, 1, REPLAYED, id="continued"),
        pytest.param(True, SIBLINGS_MAX, True, 1, REPLAYED, id="too often and continued"),
        pytest.param(True, 0, False, 1, None, id="its answer was lost before it was made"),
        pytest.param(True, 1, False, -DAY, None, id="the clock was set back"),
    ],
)
def test_a_presentation_is_judged(db, session_id, pair, presented_before, siblings, continued, seconds_later, verdict):
    parent = find_refresh(db, pair.refresh_token, now=NOW).token_hash
    with db.write() as run:
        if presented_before:
            assert judge_reuse(run, parent, LIFETIMES.grace, NOW) is None
        children = [mint_tokens(run, session_id, parent, LIFETIMES, NOW) for _ in range(siblings)]
    if continued:
        trade(db, children[0].refresh_token)
    with db.write() as run:
        assert judge_reuse(run, parent, LIFETIMES.grace, NOW + seconds_later) == verdict


def test_without_a_grace_the_second_presentation_is_a_replay(db, pair):
    parent = find_refresh(db, pair.refresh_token, now=NOW).token_hash
    with db.write() as run:
        assert [judge_reuse(run, parent, 0, NOW) for _ in range(2)] == [None, REPLAYED]


def test_a_replay_ends_the_session_before_it_is_refused(db, session_id, pair):
    new = trade(db, pair.refresh_token)
    with pytest.raises(InvalidGrant, match="already used"):
        trade(db, pair.refresh_token, NOW + 30)
    assert end_reason(db, session_id) == "refresh_replayed"
    assert find_caller(db, new.access_token) is None
    assert not find_refresh(db, new.refresh_token, now=NOW).session_alive


def test_too_often_ends_nothing(db, session_id, pair):
    pairs = [trade(db, pair.refresh_token) for _ in range(SIBLINGS_MAX)]
    with pytest.raises(InvalidGrant, match="too often"):
        trade(db, pair.refresh_token)
    assert end_reason(db, session_id) is None
    assert all(find_caller(db, sibling.access_token) for sibling in pairs)


def test_each_sibling_goes_its_own_way(db, session_id, pair):
    first, second = trade(db, pair.refresh_token), trade(db, pair.refresh_token)
    assert trade(db, first.refresh_token, NOW + DAY)
    assert trade(db, second.refresh_token, NOW + 2 * DAY)
    assert end_reason(db, session_id) is None


# --- lifetimes ---


def test_no_token_outlives_its_session(db, session_id, pair):
    late = NOW + LIFETIMES.session - 100
    with db.write() as run:
        last = mint_tokens(run, session_id, None, LIFETIMES, late)
    assert last.expires_in == 100
    assert find_refresh(db, last.refresh_token, now=late).expires_at == NOW + LIFETIMES.session
    with pytest.raises(InvalidGrant), db.write() as run:
        mint_tokens(run, session_id, None, LIFETIMES, late + 100)


def test_an_access_token_is_no_refresh_token_and_the_other_way_round(db, pair):
    assert find_refresh(db, pair.access_token, now=NOW) is None
    assert find_caller(db, pair.refresh_token) is None


def test_expired_tokens_are_kept_for_a_week(db, pair):
    purge_tokens(db, now=NOW + 3600 + 7 * DAY - 1)
    assert find_caller(db, pair.access_token) is not None  # callers.py checks the expiry
    purge_tokens(db, now=NOW + 3600 + 7 * DAY)
    assert find_caller(db, pair.access_token) is None
    assert find_refresh(db, pair.refresh_token, now=NOW) is not None

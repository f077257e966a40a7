"""Rows of MCP sessions, and questions that are answered through them."""

from __future__ import annotations

import pytest
from conftest import NOW
from grants import make_grant

from errors import NotFound
from store.mcp_sessions import (
    IDLE_SECONDS,
    SESSIONS_MAX,
    answer_ask,
    create_ask,
    create_mcp_session,
    delete_ask,
    end_mcp_session,
    find_mcp_session,
    find_reply,
    note_mcp_session_seen,
    purge_mcp_sessions,
    set_log_level,
)

CAPABILITIES = {"elicitation": {}, "roots": {"listChanged": True}}
REPLY = {"result": {"action": "accept", "content": {"pin": "hunter2"}}}


@pytest.fixture
def alice(db, vault):
    return make_grant(db, vault, "alice")


@pytest.fixture
def bob(db, vault):
    return make_grant(db, vault, "bob")


def begin(db, grant_id, now=NOW):
    session_id = create_mcp_session(db, grant_id, "2025-11-25", CAPABILITIES, now=now)
    return session_id, find_mcp_session(db, session_id, grant_id, now=now)


def test_a_session_remembers_what_was_agreed_on(db, alice):
    _, session = begin(db, alice)

    assert (session.version, session.capabilities, session.log_level) == ("2025-11-25", CAPABILITIES, None)


def test_a_session_is_unknown_to_another_grant(db, alice, bob):
    session_id, _ = begin(db, alice)

    assert find_mcp_session(db, session_id, bob, now=NOW) is None


def test_the_id_is_not_kept_in_clear(db, alice):
    session_id, session = begin(db, alice)

    assert session_id.startswith("mcp_ms_")
    assert session.id_hash != session_id
    assert find_mcp_session(db, session.id_hash, alice, now=NOW) is None


def test_an_idle_session_expires_and_one_in_use_does_not(db, alice):
    idle_id, _ = begin(db, alice)
    used_id, used = begin(db, alice)

    note_mcp_session_seen(db, used, now=NOW + 60)

    assert find_mcp_session(db, idle_id, alice, now=NOW + IDLE_SECONDS) is None
    assert find_mcp_session(db, used_id, alice, now=NOW + IDLE_SECONDS).seen_at == NOW + 60


def test_use_is_noted_once_a_minute(db, alice):
    session_id, session = begin(db, alice)

    note_mcp_session_seen(db, session, now=NOW + 59)

    assert find_mcp_session(db, session_id, alice, now=NOW).seen_at == NOW


def test_an_ended_session_is_gone_with_its_questions(db, vault, alice):
    session_id, session = begin(db, alice)
    ask_id = create_ask(db, session, now=NOW)

    end_mcp_session(db, session)

    assert find_mcp_session(db, session_id, alice, now=NOW) is None
    with pytest.raises(NotFound):
        find_reply(db, vault, ask_id)


def test_the_session_that_was_idle_longest_makes_room(db, alice, bob):
    kept, _ = begin(db, bob)
    oldest, _ = begin(db, alice)
    for age in range(1, SESSIONS_MAX + 1):
        newest, _ = begin(db, alice, now=NOW + age)

    found = [find_mcp_session(db, session_id, alice, now=NOW) for session_id in (oldest, newest)]
    assert [session is not None for session in found] == [False, True]
    assert find_mcp_session(db, kept, bob, now=NOW) is not None


def test_the_log_level_is_remembered(db, alice):
    session_id, session = begin(db, alice)

    set_log_level(db, session, "error")

    assert find_mcp_session(db, session_id, alice, now=NOW).log_level == "error"


def test_an_answer_is_handed_over_sealed_and_once(db, vault, alice):
    _, session = begin(db, alice)
    ask_id = create_ask(db, session, now=NOW)
    assert find_reply(db, vault, ask_id) is None

    assert answer_ask(db, vault, session, ask_id, REPLY)
    assert not answer_ask(db, vault, session, ask_id, {"result": {"action": "decline"}})

    assert find_reply(db, vault, ask_id) == REPLY
    assert "hunter2" not in db.query("SELECT reply_sealed FROM mcp_asks")[0]["reply_sealed"]


def test_nobody_answers_in_another_session(db, vault, alice, bob):
    _, session = begin(db, alice)
    _, other = begin(db, bob)
    ask_id = create_ask(db, session, now=NOW)

    assert not answer_ask(db, vault, other, ask_id, REPLY)
    assert not answer_ask(db, vault, session, "unknown", REPLY)


def test_a_deleted_question_takes_no_answer(db, vault, alice):
    _, session = begin(db, alice)
    ask_id = create_ask(db, session, now=NOW)

    delete_ask(db, ask_id)

    assert not answer_ask(db, vault, session, ask_id, REPLY)


def test_purging_forgets_what_has_expired_only(db, vault, alice):
    begin(db, alice, now=NOW - IDLE_SECONDS)
    session_id, session = begin(db, alice)
    old = create_ask(db, session, now=NOW - IDLE_SECONDS)
    fresh = create_ask(db, session, now=NOW)

    purge_mcp_sessions(db, now=NOW)

    assert find_mcp_session(db, session_id, alice, now=NOW) is not None
    assert [row["id"] for row in db.query("SELECT id FROM mcp_asks")] == [fresh]
    assert old != fresh
    assert len(db.query("SELECT id_hash FROM mcp_sessions")) == 1

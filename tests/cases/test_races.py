"""Many at once: one code is redeemed once, one refresh token a few times, and nobody is told that the server is busy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import requests
from actors import Assistant, Person
from server import Server

from cases.evidence import read
from cases.token_endpoint import FORM, code_in, ended

pytestmark = pytest.mark.server

CROWD = 50


def all_at_once(send: Callable[[], requests.Response]) -> list[requests.Response]:
    """The answers to one request that many send in the same moment."""
    barrier = Barrier(CROWD)

    def one(_number: int) -> requests.Response:
        barrier.wait(20)
        return send()

    with ThreadPoolExecutor(CROWD) as crowd:
        return list(crowd.map(one, range(CROWD)))


def test_t20_of_50_exchanges_of_one_code_one_wins_and_is_revoked(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    form = {
        "grant_type": "authorization_code",
        "client_id": assistant.client_id,
        "code": code_in(alice.decide(assistant.authorize_url())),
        "code_verifier": assistant.verifier,
    }
    answers = all_at_once(lambda: requests.post(server.url + "/token", data=form, headers=FORM, timeout=60))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: CROWD - 1}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    assert ended(database, assistant.client_id) == ["code_replayed"]
    sql = """
        SELECT t.kind, s.ended_at FROM tokens t JOIN sessions s ON s.id = t.session_id JOIN grants g ON g.id = s.grant_id
        WHERE g.client_id = :id ORDER BY t.kind
    """
    rows = read(database, sql, id=assistant.client_id)
    assert [row["kind"] for row in rows] == ["access", "refresh"]
    assert all(row["ended_at"] for row in rows)
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert assistant.call("ping", token=winner["access_token"]).status_code == 401


def test_of_50_clicks_on_approve_one_code_is_good_and_there_is_one_session(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    page = alice.get(assistant.authorize_url())
    answers = all_at_once(lambda: alice.submit(page, button=("decision", "approve")))
    assert {answer.status_code for answer in answers} == {303}
    callbacks = {answer.headers["Location"] for answer in answers}
    assert len(callbacks) == CROWD
    exchanged = Counter(assistant.exchange(callback).status_code for callback in callbacks)
    assert exchanged == {200: 1, 400: CROWD - 1}
    assert ended(database, assistant.client_id) == [None]


def test_f09_of_50_refreshes_of_one_token_a_few_win_and_nothing_is_revoked(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    assistant.sign_in(alice)
    form = {
        "grant_type": "refresh_token",
        "client_id": assistant.client_id,
        "refresh_token": assistant.tokens["refresh_token"],
    }
    answers = all_at_once(lambda: requests.post(server.url + "/token", data=form, headers=FORM, timeout=60))
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    pairs = [answer.json() for answer in answers if answer.status_code == 200]
    assert 1 <= len(pairs) <= 5
    assert ended(database, assistant.client_id) == [None]
    assert {assistant.call("ping", token=pair["access_token"]).status_code for pair in pairs} == {200}
    assert {assistant.refresh(pair["refresh_token"]).status_code for pair in pairs} == {200}

"""Refresh tokens (OAuth 2.1 §4.3): rotation, the second presentation, and the ends of a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from actors import Assistant, Person
from house import House
from server import Server

from cases.catalogue import case
from cases.evidence import read, unchanged
from cases.token_endpoint import assert_refused, change_password, end_session, ended

pytestmark = pytest.mark.server

DAY = 86400


@pytest.fixture
def guest(house: House, owner: Person) -> Assistant:
    """An assistant with fresh tokens, in the house."""
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    return assistant


def kept(path: Path, client_id: str) -> list[dict]:
    """What stands in the database about a client's tokens."""
    sql = """
        SELECT t.kind, t.expires_at, t.presented_at, s.expires_at AS session_expires_at
        FROM tokens t JOIN sessions s ON s.id = t.session_id JOIN grants g ON g.id = s.grant_id
        WHERE g.client_id = :id
    """
    return [dict(row) for row in read(path, sql, id=client_id)]


def test_f01_a_refresh_gives_two_new_tokens_of_the_same_session(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    old = assistant.sign_in(alice, scope="mcp offline_access")
    answer = assistant.refresh()
    new = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert {old["access_token"], old["refresh_token"]} & {new["access_token"], new["refresh_token"]} == set()
    assert (new["token_type"], new["expires_in"], new["scope"]) == ("Bearer", 3600, old["scope"])
    assert [assistant.call("ping", token=tokens["access_token"]).status_code for tokens in (old, new)] == [200, 200]
    assert ended(database, assistant.client_id) == [None]
    assert len(kept(database, assistant.client_id)) == 4


@pytest.mark.parametrize("seconds", [case("F-02", f"{seconds} seconds later", seconds) for seconds in (30, 31, DAY, 80 * DAY)])
def test_after_the_grace_a_used_token_ends_the_session(house: House, guest: Assistant, seconds: int):
    old = guest.tokens
    new = guest.refresh().json()
    house.clock.forward(seconds)
    assert_refused(guest.refresh(old["refresh_token"]), 400, "invalid_grant")
    assert ended(house.db.path, guest.client_id) == ["refresh_replayed"]
    for tokens in (old, new):
        assert guest.call("ping", token=tokens["access_token"]).status_code == 401
        assert_refused(guest.refresh(tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize("seconds", [case("F-02", "within the grace", 1), case("F-02", "after it", 31)])
def test_a_used_token_ends_the_session_once_its_successor_was_used(house: House, guest: Assistant, seconds: int):
    old = guest.tokens["refresh_token"]
    guest.tokens = guest.refresh().json()
    guest.tokens = guest.refresh().json()
    house.clock.forward(seconds)
    assert_refused(guest.refresh(old), 400, "invalid_grant")
    assert guest.call("ping").status_code == 401


def test_f03_within_the_grace_a_used_token_gives_a_sibling(house: House, guest: Assistant):
    old = guest.tokens["refresh_token"]
    first = guest.refresh(old).json()
    house.clock.forward(29)
    second = guest.refresh(old)
    assert second.status_code == 200
    house.clock.forward(3600 - 30)
    for tokens in (first, second.json()):
        assert guest.call("ping", token=tokens["access_token"]).status_code == 200
        assert guest.refresh(tokens["refresh_token"]).status_code == 200
    assert ended(house.db.path, guest.client_id) == [None]


def test_f03_no_more_than_five_siblings_and_the_sixth_ends_nothing(house: House, guest: Assistant):
    old = guest.tokens["refresh_token"]
    pairs = [guest.refresh(old) for _ in range(5)]
    assert [answer.status_code for answer in pairs] == [200] * 5
    with unchanged(house.db.path):
        assert_refused(guest.refresh(old), 400, "invalid_grant")
    assert all(guest.call("ping", token=answer.json()["access_token"]).status_code == 200 for answer in pairs)


def test_f03_another_client_gets_no_sibling_and_ends_nothing(house: House, guest: Assistant):
    thief = Assistant(house.url, session=house.session())
    guest.refresh()
    house.clock.forward(60)
    with unchanged(house.db.path):
        assert_refused(thief.refresh(guest.tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        case("F-05", "a wider scope", {"scope": "mcp admin"}, 400, "invalid_scope"),
        case("F-05", "another scope", {"scope": "admin"}, 400, "invalid_scope"),
        case("F-05", "a foreign resource", {"resource": "https://other.example/mcp"}, 400, "invalid_target"),
        case("F-05", "another resource of ours", {"resource": "{url}/mcp/home"}, 400, "invalid_target"),
        case("F-05", "another client", {"client_id": "client_0"}, 401, "invalid_client"),
        case("F-05", "a secret", {"client_secret": "x"}, 401, "invalid_client"),
        case("F-08", "an unknown token", {"refresh_token": "mcp_rt_" + "x" * 43}, 400, "invalid_grant"),
        case("F-08", "no token", {"refresh_token": None}, 400, "invalid_request"),
        case("F-08", "an empty token", {"refresh_token": ""}, 400, "invalid_request"),
        case("F-08", "SQL", {"refresh_token": "' OR 1=1 --"}, 400, "invalid_grant"),
    ],
)
def test_a_refused_refresh_spends_nothing(house: House, guest: Assistant, change: dict, status: int, code: str):
    filled = {name: value and value.replace("{url}", house.url) for name, value in change.items()}
    with unchanged(house.db.path):
        form = {"grant_type": "refresh_token", "refresh_token": guest.tokens["refresh_token"]} | filled
        assert_refused(guest.post_token(**form), status, code)
    house.clock.forward(60)  # were it spent, this would be a replay
    assert guest.refresh().status_code == 200


def test_f08_an_access_token_is_no_refresh_token_nor_the_other_way_round(server: Server, database: Path, friend: Assistant):
    with unchanged(database):
        assert_refused(friend.refresh(friend.tokens["access_token"]), 400, "invalid_grant")
        assert friend.call("ping", token=friend.tokens["refresh_token"]).status_code == 401


def test_f10_a_narrower_scope_does_not_narrow_the_next_one(house: House, owner: Person, guest: Assistant):
    guest.sign_in(owner, scope="mcp offline_access")
    guest.tokens = guest.refresh(scope="mcp").json()
    assert guest.refresh().json()["scope"] == "mcp offline_access"


def test_f05_naming_offline_access_is_no_mistake_and_widens_nothing(house: House, guest: Assistant):
    assert guest.tokens["scope"] == "mcp"
    guest.tokens = guest.refresh(scope="mcp offline_access").json()
    assert guest.tokens["scope"] == "mcp"
    assert guest.refresh().json()["scope"] == "mcp"


def test_f11_an_idle_token_dies_after_90_days(house: House, guest: Assistant):
    house.clock.forward(90 * DAY - 1)
    guest.tokens = guest.refresh().json()
    house.clock.forward(90 * DAY)
    with unchanged(house.db.path):
        assert_refused(guest.refresh(), 400, "invalid_grant")


def test_f11_a_session_dies_after_a_year_however_busy_it_is(house: House, guest: Assistant):
    for _ in range(4):
        house.clock.forward(85 * DAY)
        guest.tokens = guest.refresh().json()
    house.clock.forward(25 * DAY - 100)
    guest.tokens = guest.refresh().json()
    assert guest.tokens["expires_in"] == 100  # no token outlives its session
    assert all(row["expires_at"] <= row["session_expires_at"] for row in kept(house.db.path, guest.client_id))
    house.clock.forward(100)
    assert guest.call("ping").status_code == 401
    assert_refused(guest.refresh(), 400, "invalid_grant")


def test_f13_an_ended_session_refreshes_no_more(house: House, owner: Person, guest: Assistant):
    end_session(owner, house.url)
    with unchanged(house.db.path):
        assert_refused(guest.refresh(), 400, "invalid_grant")


def test_f13_a_session_from_before_a_new_password_refreshes_no_more(house: House, owner: Person, guest: Assistant):
    change_password(owner)
    with unchanged(house.db.path):
        assert_refused(guest.refresh(), 400, "invalid_grant")


def test_f13_a_deleted_client_refreshes_no_more(house: House, guest: Assistant):
    with house.db.write() as run:
        run("DELETE FROM clients WHERE id = :id", id=guest.client_id)
    assert_refused(guest.refresh(), 401, "invalid_client")
    other = Assistant(house.url, session=house.session())
    assert_refused(other.refresh(guest.tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize("jump", [case("F-14", f"{days} days back", days) for days in (1, 400)])
def test_a_clock_that_jumps_back_makes_no_token_immortal(house: House, guest: Assistant, jump: int):
    start = house.clock()
    house.clock.forward(-jump * DAY)
    guest.tokens = guest.refresh().json()
    assert 0 < guest.tokens["expires_in"] <= 3600
    rows = kept(house.db.path, guest.client_id)
    assert max(row["expires_at"] for row in rows) <= start + 90 * DAY
    assert all(row["expires_at"] <= row["session_expires_at"] <= start + 365 * DAY for row in rows)
    house.clock.forward(3600)
    assert guest.call("ping").status_code == 401
    house.clock.forward(jump * DAY + 91 * DAY)
    assert_refused(guest.refresh(), 400, "invalid_grant")


def test_f14_a_jump_back_does_not_lift_the_limit_of_siblings(house: House, guest: Assistant):
    old = guest.tokens["refresh_token"]
    guest.refresh(old)
    house.clock.forward(-DAY)
    assert [guest.refresh(old).status_code for _ in range(6)] == [200] * 4 + [400] * 2
    assert ended(house.db.path, guest.client_id) == [None]

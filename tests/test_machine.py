"""Random lives: people, assistants, codes, tokens and endings in any order, at the stores and endpoints of one house."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from conftest import MASTER_KEY, NOW
from house import Clock, House
from household import CALLBACK, CHALLENGE, VERIFIER
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from random_lives import PICK, RUNS, WHO, check_lively, hurry, live, mutate
from werkzeug.test import Client, TestResponse

import admin
import callers
import connections
import oauth
import store.codes
import store.tokens
from accounts import insert_account
from config import load_settings
from crypto import new_id
from errors import InvalidToken
from store.authorizations import AuthorizationRequest, claim_request, create_request, keep_code
from store.clients import Client as StoredClient
from store.clients import put_client
from store.codes import insert_code
from store.connections import list_connections
from store.grants import put_grant
from store.profiles import list_feature_sets, list_profiles
from store.sessions import insert_session, purge_sessions
from store.tokens import purge_tokens
from store.users import User, create_login

ACCESS, REFRESH, SESSION, GRACE = 300, 600, 1000, 30


@dataclass
class Family:
    """One session, as the model knows it."""

    id: str
    user: User
    client_id: str
    resource: str
    expires_at: int
    request_id: str
    code_ends_at: int
    bought: int = 0
    ended: bool = False


@dataclass
class Code:
    """A code, and how often it bought tokens."""

    text: str
    family: Family
    wins: int = 0


@dataclass
class Access:
    """An access token."""

    text: str
    family: Family
    expires_at: int
    revoked: bool = False


@dataclass
class Refresh:
    """A refresh token, and how often it was traded."""

    text: str
    family: Family
    expires_at: int
    presented_at: int | None = None
    children: list[Refresh] = field(default_factory=list)


class Life(RuleBasedStateMachine):
    """One run: Alice and Bob, whom nobody else knows, in a house that all runs share."""

    def __init__(self, house: House, tally: Counter[str]):
        super().__init__()
        self.house, self.tally, self.steps = house, tally, 0
        self.state = house.gate.pages.extensions["postern"]
        self.browser = Client(house.gate, use_cookies=False)
        self.people = {name: self.move_in(name) for name in ("alice", "bob")}
        self.cookies = {name: create_login(house.db, user.id, now=self.now) for name, user in self.people.items()}
        self.clients = [self.register() for _ in range(2)]
        self.families: list[Family] = []
        self.codes: list[Code] = []
        self.accesses: list[Access] = []
        self.refreshes: list[Refresh] = []
        for who in ("alice", "bob"):
            self.approve(who, 0, 0)
            self.redeem(0, True, True)

    @property
    def now(self) -> int:
        return int(self.house.clock())

    def move_in(self, name: str) -> User:
        with self.house.db.write() as run:
            return insert_account(run, self.state.vault, f"{name}-{new_id()}", "no hash", self.now)

    def register(self) -> str:
        client = StoredClient("client_" + new_id(), "dcr", None, "none", None, (CALLBACK,), {}, self.now)
        put_client(self.house.db, client)
        return client.id

    def count(self, what: str) -> None:
        self.tally[what] += 1
        self.steps += 1

    def teardown(self) -> None:
        self.tally["runs of 30 steps"] += self.steps >= 30

    def alive(self, family: Family) -> bool:
        return not family.ended and self.now < family.expires_at

    def post(self, path: str, client_id: str, **form: str) -> TestResponse:
        """A request of a client, each from an address of its own, so that limits by address play no part."""
        self.tally["requests"] += 1
        number = self.tally["requests"]
        peer = {"REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        answer = self.browser.post(path, data={"client_id": client_id} | form, environ_base=peer)
        assert answer.status_code in (200, 400, 401), answer.text
        return answer

    def client_for(self, family: Family, own: bool) -> str:
        """The client of a session, or another one."""
        return family.client_id if own else next(client for client in self.clients if client != family.client_id)

    def addresses_of(self, user: User) -> list[str]:
        profile = list_profiles(self.house.db, user.id)[0]
        return [self.house.url + "/mcp", f"{self.house.url}/mcp/{profile.slug}"]

    def take(self, answer: TestResponse, family: Family) -> Refresh:
        """Note the pair that an endpoint gave."""
        assert self.alive(family), "a token outlives its session"
        pair = answer.json
        self.accesses.append(Access(pair["access_token"], family, self.now + pair["expires_in"]))
        refresh = Refresh(pair["refresh_token"], family, min(self.now + REFRESH, family.expires_at))
        self.refreshes.append(refresh)
        return refresh

    # --- what happens ---

    @precondition(lambda self: sum(map(self.alive, self.families)) < 3)
    @rule(who=WHO, client=PICK, address=PICK)
    def let_in(self, who: str, client: int, address: int) -> None:
        self.count("approve")
        self.approve(who, client, address)

    def approve(self, who: str, client: int, address: int) -> None:
        """What the consent page does."""
        user, client_id = self.people[who], self.clients[client % 2]
        resource = self.addresses_of(user)[address % 2]
        profile = list_profiles(self.house.db, user.id)[0]
        request = AuthorizationRequest(
            new_id(), "browser", client_id, CALLBACK, None, "mcp", resource, CHALLENGE, self.now + SESSION
        )
        create_request(self.house.db, request, now=self.now)
        with self.house.db.write() as run:
            grant = put_grant(run, profile.id, client_id, list_feature_sets(self.house.db, profile.id)[0].id, self.now)
            session_id = insert_session(run, grant, resource, "mcp", lifetime=SESSION, now=self.now)
            claim_request(run, request.id, self.now)
            code = insert_code(run, session_id, client_id, CALLBACK, CHALLENGE, lifetime=60, now=self.now)
            keep_code(run, request.id, code)
        self.families.append(Family(session_id, user, client_id, resource, self.now + SESSION, request.id, self.now + 60))
        self.codes.append(Code(code, self.families[-1]))

    @precondition(lambda self: sum(map(self.alive, self.families)) < 3)
    @rule(who=WHO, client=PICK, arrives=st.integers(0, 1))
    def double_click(self, who: str, client: int, arrives: int) -> None:
        """Two clicks on “Approve”; the code of either arrives, is redeemed, and so are a third click and the other code tried."""
        self.count("double click")
        self.approve(who, client, client)
        self.click(self.families[-1])
        self.redeem(arrives, True, True)
        self.click(self.families[-1])
        self.redeem(1 - arrives, True, True)

    @rule(pick=PICK)
    def click_again(self, pick: int) -> None:
        """Another click on “Approve” at some time; what it gives may be redeemed at some time."""
        self.count("click again")
        self.click(self.families[-1 - pick % len(self.families)])

    def click(self, family: Family) -> None:
        """What the consent page does about a click on “Approve” when it has been approved."""
        profile = list_profiles(self.house.db, family.user.id)[0]
        feature_set = list_feature_sets(self.house.db, profile.id)[0]
        with self.house.db.write() as run:
            code = store.codes.insert_code_again(run, family.request_id, profile.id, feature_set.id, self.now)
        good = not family.ended and not family.bought and self.now < family.code_ends_at
        assert not code or not family.bought, "a second click gives a code when one was redeemed"
        assert bool(code) is good, "a second click gives a code when it should not, or none"
        if code:
            self.tally["code given again"] += 1
            self.codes.append(Code(code, family))

    @rule(pick=PICK, right=st.sampled_from([True, True, True, False]), own=st.sampled_from([True, True, True, False]))
    def bring_code(self, pick: int, right: bool, own: bool) -> None:
        self.count("redeem")
        self.redeem(pick, right, own)

    def redeem(self, pick: int, right: bool, own: bool) -> None:
        """Bring a code, the latest if `pick` is 0: with its verifier if that is `right`, from its client if that is its `own`."""
        code = self.codes[-1 - pick % len(self.codes)]
        family, verifier = code.family, VERIFIER if right else "w" * 50
        form = {"grant_type": "authorization_code", "code": code.text, "code_verifier": verifier}
        answer = self.post("/token", self.client_for(family, own), **form)
        if answer.status_code == 200:
            self.tally["redeemed"] += 1
            code.wins += 1
            family.bought += 1
            assert code.wins == 1, "a code works twice"
            assert family.bought == 1, "two codes of one approval work"
            assert right, "a code works with a wrong verifier"
            assert own, "a code works for another client"
            self.take(answer, family)
        elif right and own and code.wins and self.alive(family):
            self.tally["code replayed"] += 1
            family.ended = True
        elif right and own and family.bought and self.alive(family):
            self.tally["code void"] += 1

    @rule(pick=PICK, times=st.sampled_from([1, 1, 2, 7]), own=st.sampled_from([True, True, True, False]))
    def refresh(self, pick: int, times: int, own: bool) -> None:
        self.count("refresh")
        token = self.refreshes[-1 - pick % len(self.refreshes)]
        for _ in range(times):
            self.trade(token, own)

    @precondition(lambda self: any(map(self.is_replay, self.refreshes)))
    @rule(pick=PICK)
    def replay_refresh(self, pick: int) -> None:
        """Bring a token that two parties hold: by chance alone that would be rare."""
        self.count("replay refresh")
        replayable = [token for token in self.refreshes if self.is_replay(token)]
        self.trade(replayable[-1 - pick % len(replayable)], own=True)

    def trade(self, token: Refresh, own: bool) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": token.text}
        answer = self.post("/token", self.client_for(token.family, own), **form)
        if answer.status_code == 200:
            self.tally["refreshed"] += 1
            assert own, "a refresh token works for another client"
            token.presented_at = token.presented_at or self.now
            token.children.append(self.take(answer, token.family))
            assert len(token.children) <= 5, "more than five siblings"
        elif own and self.is_replay(token):
            self.tally["refresh replayed"] += 1
            token.family.ended = True

    def is_replay(self, token: Refresh) -> bool:
        """Whether this reuse shows that two parties hold the token."""
        if token.presented_at is None or not self.alive(token.family) or self.now >= token.expires_at:
            return False
        continued = any(child.presented_at is not None for child in token.children)
        return continued or self.now >= token.presented_at + GRACE

    @rule(pick=PICK, who=WHO, address=PICK)
    def call(self, pick: int, who: str, address: int) -> None:
        self.count("call")
        token = self.accesses[-1 - pick % len(self.accesses)]
        url = self.addresses_of(self.people[who])[address % 2]
        headers = {"Authorization": f"Bearer {token.text}", "Accept": "application/json, text/event-stream"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        answer = self.browser.post(url.removeprefix(self.house.url), json=message, headers=headers)
        assert answer.status_code in (200, 401)
        if answer.status_code == 200:
            self.tally["called"] += 1
            self.check_opened(token, url)

    @rule(pick=PICK, refresh=st.sampled_from([False, False, True]), own=st.sampled_from([True, True, False]))
    def revoke(self, pick: int, refresh: bool, own: bool) -> None:
        self.count("revoke")
        tokens = self.refreshes if refresh else self.accesses
        token = tokens[-1 - pick % len(tokens)]
        self.post("/revoke", self.client_for(token.family, own), token=token.text)
        if own and refresh:
            token.family.ended = True
        elif own:
            token.revoked = True

    @rule(pick=PICK, who=WHO)
    def end(self, pick: int, who: str) -> None:
        self.count("end")
        family = self.families[-1 - pick % len(self.families)]
        may = family.user is self.people[who] and self.alive(family)
        form = {"csrf_token": self.state.vault.mac("csrf", self.cookies[who])}
        answer = self.browser.post(f"/admin/sessions/{family.id}/end", data=form, headers=self.cookie(who))
        assert answer.status_code == (303 if may else 404), "a session of somebody else can be reached"
        family.ended = family.ended or may

    @rule(who=WHO, whose=WHO)
    def open_connection(self, who: str, whose: str) -> None:
        self.count("open connection")
        connection = list_connections(self.house.db, self.people[whose].id)[0]
        answer = self.browser.get(f"/connections/{connection.id}", headers=self.cookie(who))
        assert answer.status_code == (200 if who == whose else 404), "a connection of somebody else can be reached"

    def cookie(self, who: str) -> dict[str, str]:
        return {"Cookie": f"postern={self.cookies[who]}"}

    @precondition(lambda self: len(self.accesses) > 6)
    @rule(which=st.integers(0, 1))
    def lose_client(self, which: int) -> None:
        """A client is deleted, and another comes."""
        self.count("lose client")
        with self.house.db.write() as run:
            run("DELETE FROM clients WHERE id = :id", id=self.clients[which])
        for family in self.families:
            family.ended = family.ended or family.client_id == self.clients[which]
        self.clients[which] = self.register()

    @rule(seconds=st.sampled_from([1, 1, 5, 10, 29, 30, 61, 300, 700]))
    def wait(self, seconds: int) -> None:
        self.count("wait")
        self.house.clock.forward(seconds)

    @rule()
    def purge(self) -> None:
        self.count("purge")
        purge_sessions(self.house.db, now=self.now)
        purge_tokens(self.house.db, now=self.now)

    # --- what always holds ---

    def check_opened(self, token: Access, url: str) -> None:
        """What has to hold where a token opened an address."""
        assert self.alive(token.family), "a token outlives its session"
        assert url == token.family.resource, "an access token works at another resource"
        assert self.now < token.expires_at, "an access token works after its time"
        assert not token.revoked, "an access token works though it was taken back"

    @invariant()
    def tokens_open_what_they_should_and_nothing_else(self) -> None:
        for token in self.accesses[-8:]:
            for url in {url for user in self.people.values() for url in self.addresses_of(user)}:
                try:
                    caller = self.house.gate.bridge._authenticate(f"Bearer {token.text}", url)
                except InvalidToken:
                    good = self.alive(token.family) and self.now < token.expires_at and not token.revoked
                    assert not good or url != token.family.resource, "a good token opens nothing"
                else:
                    self.check_opened(token, url)
                    found = (caller.user_id, caller.session_id)
                    assert found == (token.family.user.id, token.family.id), "a session of somebody else can be reached"

    @invariant()
    def no_token_is_written_to_outlive_its_session(self) -> None:
        late = """
            SELECT count(*) AS number
            FROM tokens t
            JOIN sessions s ON s.id = t.session_id
            WHERE s.id = :id AND t.expires_at > s.expires_at
        """
        for family in self.families[-4:]:
            assert self.house.db.query(late, id=family.id)[0]["number"] == 0, "a token outlives its session"


# --- the tests ---


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    environ = {
        "MASTER_KEY": MASTER_KEY,
        "DATABASE_URL": f"sqlite:///{tmp_path}/house.db",
        "TOKEN_TTL_SECONDS": str(ACCESS),
        "REFRESH_TTL_SECONDS": str(REFRESH),
        "SESSION_MAX_SECONDS": str(SESSION),
        "REFRESH_GRACE_SECONDS": str(GRACE),
    }
    built = House(load_settings(environ, None), Clock(NOW))
    hurry(built.db)
    yield built
    built.close()


RULES = (
    "approve", "redeem", "refresh", "call", "revoke", "end", "open connection", "lose client", "wait", "purge",
    "replay refresh", "double click", "click again",
)  # fmt: skip
EVENTS = ("redeemed", "refreshed", "called", "code replayed", "refresh replayed", "code given again", "code void")


@pytest.mark.parametrize("runs", [RUNS, pytest.param(6 * RUNS, marks=pytest.mark.soak)])
def test_whatever_happens_no_promise_is_broken(house: House, runs: int):
    check_lively(live(partial(Life, house), runs), (*RULES, *EVENTS), runs)


# the promise -> where it is broken: owner, name, what stands there, what a careless hand would make of it
MUTATIONS: dict[str, tuple[ModuleType | type, str, str, str]] = {
    "a token outlives its session": (callers, "find_caller", " AND s.ended_at IS NULL", ""),
    "a code works twice": (oauth, "redeem_code", " AND used_at IS NULL", ""),
    "two codes of one approval work": (oauth, "redeem_code", "drop_unspent(run, code.session_id)", "pass"),
    "a second click gives a code when one was redeemed": (store.codes, "insert_code_again", " AND c.used_at IS NULL", ""),
    "a session of somebody else can be reached": (admin, "end_session", "if session_id not in", "if '' in"),
    "a connection of somebody else can be reached": (
        connections, "get_connection", "list_connections(db, user_id)", "load_connections(db, '1 = 1')"
    ),
    "more than five siblings": (store.tokens, "judge_reuse", 'row["pairs"] >= SIBLINGS_MAX', 'row["pairs"] > SIBLINGS_MAX'),
    "an access token works at another resource": (callers.Callers, "authenticate", "caller.resource != resource", "False"),
}


@pytest.mark.parametrize("promise", MUTATIONS)
def test_a_broken_promise_would_be_noticed(house: House, monkeypatch: pytest.MonkeyPatch, promise: str):
    owner, name, old, new = MUTATIONS[promise]
    mutated = mutate(getattr(owner, name), old, new)
    monkeypatch.setattr(owner, name, mutated)
    if isinstance(owner, type):
        monkeypatch.setattr(house.gate.bridge, "_authenticate", mutated.__get__(house.gate.bridge._authenticate.__self__))
    with pytest.raises(AssertionError, match=promise):
        live(partial(Life, house))

"""Random lives of API keys, beside an assistant's tokens in the same profiles, at the endpoints of one house."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from conftest import MASTER_KEY, NOW
from house import Clock, House
from household import CALLBACK
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from random_lives import PICK, RUNS, WHO, check_lively, hurry, live, mutate
from werkzeug.test import Client, TestResponse

import accounts
import api_keys
import callers
import mcp_bridge
import register
import store.api_keys
import toolbox
from accounts import insert_account
from callers import USED_EVERY_SECONDS
from config import load_settings
from crypto import hash_token, new_id
from errors import InvalidInput, InvalidToken
from store.clients import Client as StoredClient
from store.clients import put_client
from store.connections import Draft, insert_connection
from store.grants import insert_key_grant, put_grant
from store.profiles import (
    Profile,
    delete_profile,
    insert_member,
    insert_profile,
    list_feature_sets,
    list_profiles,
)
from store.sessions import insert_session
from store.tokens import Lifetimes, mint_tokens
from store.users import User, create_login
from tools import Connector, Context, Field, tool

IDLE, KEPT = 600, 3000  # instead of 90 and 30 days, so that keys lie idle and are forgotten while their lives last
LIFETIMES = Lifetimes(access=100_000, refresh=100_000, session=100_000, grace=30)
SECRET = "a secret of a client"


@tool(title="Whose", reads=True)
def whose(context: Context) -> str:
    """Tell in which profile this connection stands."""
    return context.settings["profile"]


@tool(title="Write")
def write(context: Context) -> str:
    """Change something, or so it says."""
    return context.settings["profile"]


DESK = Connector("desk", "Desk", "For tests.", fields=(Field("profile", "Profile"),), tools=(whose, write))


@dataclass
class Place:
    """A profile of a user, and what the assistant may do there; None: it has not been let in."""

    profile: Profile
    user: User
    assistant_reads_only: bool | None = None


@dataclass
class Token:
    """An access token of the assistant."""

    text: str
    place: Place
    good: bool = True


@dataclass
class Key:
    """An API key, as the model knows it; `noted_at` is the use that counts, which is noted once a minute."""

    id: str
    text: str
    place: Place
    reads_only: bool
    made_at: int
    expires_at: float
    noted_at: int | None = None
    revoked: bool = False
    orphaned: bool = False

    @property
    def idle_at(self) -> int:
        return (self.noted_at or self.made_at) + IDLE

    @property
    def ends_at(self) -> int:
        return int(min(self.idle_at, self.expires_at))

    def is_good(self, now: int) -> bool:
        return not self.revoked and not self.orphaned and now < self.ends_at


class KeyLife(RuleBasedStateMachine):
    """One run: Alice and Bob with two profiles each, and an assistant, whom nobody else knows, in a house that all runs share."""

    def __init__(self, house: House, tally: Counter[str]):
        super().__init__()
        self.house, self.tally, self.steps = house, tally, 0
        self.state = house.gate.pages.extensions["postern"]
        self.browser = Client(house.gate, use_cookies=False)
        hashed = hash_token(SECRET)
        self.client_id = "client_" + new_id()
        put_client(
            house.db,
            StoredClient(self.client_id, "dcr", None, "client_secret_post", hashed, (CALLBACK,), {}, self.now),
        )
        self.keys: list[Key] = []
        self.tokens: list[Token] = []
        self.places: dict[str, list[Place]] = {}
        self.cookies: dict[str, str] = {}
        for who in ("alice", "bob"):
            self.move_in(who)
            self.add_key(self.places[who][0], who == "bob", None)

    @property
    def now(self) -> int:
        return int(self.house.clock())

    def move_in(self, who: str) -> None:
        """A user of this name comes, with two profiles and in each a connection that tells which one it is in."""
        db, vault = self.house.db, self.state.vault
        with db.write() as run:
            user = insert_account(run, vault, f"{who}-{new_id()}", "no hash", self.now)
            insert_profile(run, user.id, "work", "work-" + new_id(), is_default=False, now=self.now)
        self.places[who] = [Place(profile, user) for profile in list_profiles(db, user.id)]
        for place in self.places[who]:
            self.furnish(place)
        self.cookies[who] = create_login(db, user.id, now=self.now)

    def furnish(self, place: Place) -> None:
        draft = Draft("desk", place.profile.name, {"profile": place.profile.id})
        with self.house.db.write() as run:
            connection_id = insert_connection(run, self.state.vault, place.user.id, draft, self.now)
            insert_member(run, place.profile.id, connection_id, "desk")

    def count(self, what: str) -> None:
        self.tally[what] += 1
        self.steps += 1

    def teardown(self) -> None:
        self.tally["runs of 30 steps"] += self.steps >= 30

    def pick(self, pick: int) -> Key:
        """A key; small numbers mean the latest."""
        return self.keys[-1 - pick % len(self.keys)]

    def addresses(self) -> list[tuple[str, Place | None]]:
        """Every address there is, and whose it is; /mcp is everybody's."""
        own = [(f"{self.house.url}/mcp/{place.profile.slug}", place) for places in self.places.values() for place in places]
        return [(self.house.url + "/mcp", None), *own]

    def post(self, path: str, who: str | None = None, **form: str) -> TestResponse:
        """A form: of somebody's browser, else of the assistant."""
        headers = {"Cookie": f"postern={self.cookies[who]}"} if who else {}
        csrf = {"csrf_token": self.state.vault.mac("csrf", self.cookies[who])} if who else {}
        self.tally["requests"] += 1
        number = self.tally["requests"]
        peer = {"REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        return self.browser.post(path, data=csrf | form, headers=headers, environ_base=peer)

    def call_tool(self, headers: dict[str, str], url: str, name: str) -> TestResponse:
        usual = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        answer = self.browser.post(url.removeprefix(self.house.url), json=message, headers=usual | headers)
        assert answer.status_code in (200, 401), answer.text
        return answer

    def use(self, headers: dict[str, str], url: str, place: Place, reads_only: bool) -> bool:
        """Call both tools at an address, under every name that they may have; answers whether it opened."""
        for prefix in ("", "desk_"):
            told, wrote = (self.call_tool(headers, url, prefix + name) for name in ("whose", "write"))
            if 401 in (told.status_code, wrote.status_code):
                assert told.status_code == wrote.status_code
                return False
            is_here = ("" if place.profile.name == "work" else "desk_") == prefix
            assert ("result" in told.json) is is_here, "somebody calls another's connection"
            assert ("result" in wrote.json) is (is_here and not reads_only), "somebody may do more than was granted"
            for answer in (told, wrote):
                words = answer.json.get("result", {"content": [{"text": place.profile.id}]})["content"][0]["text"]
                assert words == place.profile.id, "somebody calls another's connection"
        return True

    # --- what happens ---

    @rule(who=WHO, which=st.integers(0, 1), reads_only=st.booleans(), lifetime=st.sampled_from([None, None, 60, 500, 5000]))
    def make_key(self, who: str, which: int, reads_only: bool, lifetime: int | None) -> None:
        self.count("make key")
        place = self.places[who][which]
        if self.count_good(place) < 20:
            self.add_key(place, reads_only, lifetime)
        else:
            with pytest.raises(InvalidInput, match="20 keys already"):
                self.add_key(place, reads_only, lifetime)

    def count_good(self, place: Place) -> int:
        """How many keys the place's person has that are good."""
        return sum(key.is_good(self.now) for key in self.keys if key.place.user is place.user)

    def add_key(self, place: Place, reads_only: bool, lifetime: int | None) -> Key:
        """What the page for a new key does. Raises InvalidInput if the user has too many."""
        db = self.house.db
        feature_set = list_feature_sets(db, place.profile.id)[int(reads_only)]
        with db.write() as run:
            key_id, text = store.api_keys.insert_key(run, place.user.id, "script", lifetime=lifetime, now=self.now)
            insert_key_grant(run, place.profile.id, key_id, feature_set.id, self.now)
        expires_at = float("inf") if lifetime is None else self.now + lifetime
        self.keys.append(Key(key_id, text, place, reads_only, self.now, expires_at))
        return self.keys[-1]

    @rule(who=WHO)
    def make_too_many_keys(self, who: str) -> None:
        """Until no more are to be had; then those are taken back."""
        self.count("make too many keys")
        place, spare = self.places[who][0], []
        good = self.count_good(place)
        with suppress(InvalidInput):
            while len(spare) < 25:
                spare.append(self.add_key(place, True, None))
        assert good + len(spare) == 20, "more than twenty keys"
        for key in spare:
            store.api_keys.revoke_key(self.house.db, place.user.id, key.id, now=self.now)
            key.revoked = True

    @rule(pick=PICK, address=PICK, header=st.sampled_from(["Authorization", "X-API-Key"]))
    def use_key(self, pick: int, address: int, header: str) -> None:
        self.count("use key")
        key = self.pick(pick)
        url, _ = self.addresses()[address % 5]
        self.check_use(key, url, header)

    def check_use(self, key: Key, url: str, header: str) -> None:
        headers = {header: key.text if header == "X-API-Key" else f"Bearer {key.text}"}
        if self.use(headers, url, key.place, key.reads_only):
            self.tally["key used"] += 1
            self.check_opened(key, url)
        else:
            self.tally["key refused"] += 1
            assert not self.should_open(key, url), "a good key opens nothing"

    @rule(pick=PICK, late=st.sampled_from([-1, 0, 1]))
    def use_key_about_its_end(self, pick: int, late: int) -> None:
        """A second before it ends, just then, or a second later, at its own address."""
        self.count("use key about its end")
        good = [key for key in self.keys if key.is_good(self.now)] or self.keys
        key = good[-1 - pick % len(good)]
        self.house.clock.forward(max(0, key.ends_at + late - self.now))
        self.tally["expired" if key.expires_at <= self.now else "idle" if key.idle_at <= self.now else "in time"] += 1
        self.check_use(key, f"{self.house.url}/mcp/{key.place.profile.slug}", "Authorization")

    @rule(pick=PICK, who=WHO)
    def revoke_key(self, pick: int, who: str) -> None:
        self.count("revoke key")
        key = self.pick(pick)
        is_listed = not key.revoked and not key.orphaned and self.find(key)
        may = is_listed and key.place.user is self.places[who][0].user
        answer = self.post(f"/keys/{key.id}/revoke", who)
        assert answer.status_code == (303 if may else 404), "a key of somebody else can be revoked"
        key.revoked = key.revoked or may

    def find(self, key: Key) -> bool:
        """Whether a key is still in the database, where one that has ended lies for a while."""
        return bool(self.house.db.query("SELECT id FROM api_keys WHERE id = :id", id=key.id))

    @rule(pick=PICK)
    def misuse_key(self, pick: int) -> None:
        """Bring a key where only tokens, codes and cookies belong; that it lives on, its invariant tells."""
        self.count("misuse key")
        text, wrong = self.pick(pick).text, "a key works where something else belongs"
        client = {"client_id": self.client_id, "client_secret": SECRET}
        assert self.post("/token", **client, grant_type="refresh_token", refresh_token=text).status_code == 400, wrong
        code = {"grant_type": "authorization_code", "code": text, "code_verifier": "v" * 50}
        assert self.post("/token", **client, **code).status_code == 400, wrong
        assert self.post("/revoke", **client, token=text).status_code == 200
        assert self.post("/introspect", **client, token=text).json == {"active": False}, wrong
        headers = {"Authorization": f"Bearer {text}"}
        assert self.browser.get(f"/register/{self.client_id}", headers=headers).status_code == 401, wrong
        cookie = self.browser.get("/admin", headers=headers | {"Cookie": f"postern={text}"})
        assert cookie.headers["Location"].startswith("/login"), wrong

    @rule(who=WHO, which=st.integers(0, 1), reads_only=st.booleans())
    def let_in(self, who: str, which: int, reads_only: bool) -> None:
        """Let the assistant into a profile, or change what it may do there: what the consent page does."""
        self.count("let in")
        place = self.places[who][which]
        db, profile_id = self.house.db, place.profile.id
        with db.write() as run:
            grant = put_grant(run, profile_id, self.client_id, list_feature_sets(db, profile_id)[int(reads_only)].id, self.now)
            url = f"{self.house.url}/mcp/{place.profile.slug}"
            session_id = insert_session(run, grant, url, "mcp", lifetime=LIFETIMES.session, now=self.now)
            pair = mint_tokens(run, session_id, None, LIFETIMES, self.now)
        place.assistant_reads_only = reads_only
        self.tokens.append(Token(pair.access_token, place))

    @precondition(lambda self: self.tokens)
    @rule(pick=PICK)
    def use_token(self, pick: int) -> None:
        """The assistant calls: it has its own rights, whatever keys there are in the same profile."""
        self.count("use token")
        self.check_token(self.tokens[-1 - pick % len(self.tokens)])

    @rule()
    def use_side_by_side(self) -> None:
        """Several holders call, one right after the other."""
        self.count("use side by side")
        for key in self.keys[-4:]:
            self.check_use(key, f"{self.house.url}/mcp/{key.place.profile.slug}", "Authorization")
        for token in self.tokens[-3:]:
            self.check_token(token)

    def check_token(self, token: Token) -> None:
        place = token.place
        url = f"{self.house.url}/mcp/{place.profile.slug}"
        as_key = self.call_tool({"X-API-Key": token.text}, url, "whose")
        assert as_key.status_code == 401, "a token works where a key belongs"
        opened = self.use({"Authorization": f"Bearer {token.text}"}, url, place, bool(place.assistant_reads_only))
        assert opened or not token.good, "a good token opens nothing"
        assert token.good or not opened, "a token works after its person has signed out everywhere"
        self.tally["token used" if opened else "token refused"] += 1

    @rule(who=WHO)
    def sign_out_everywhere(self, who: str) -> None:
        """It ends the person's logins and the assistant's sessions. A key is for where nobody signs in: it stays."""
        self.count("sign out everywhere")
        user = self.places[who][0].user
        old = self.cookies[who]
        assert self.post("/account/sign-out", who).status_code == 303
        assert self.browser.get("/admin", headers={"Cookie": f"postern={old}"}).status_code == 303
        self.forget_tokens(self.places[who])
        self.cookies[who] = create_login(self.house.db, user.id, now=self.now)

    def forget_tokens(self, places: list[Place]) -> None:
        for token in self.tokens:
            token.good = token.good and token.place not in places

    def forget_keys(self, places: list[Place]) -> None:
        for key in self.keys:
            key.orphaned = key.orphaned or key.place in places

    @rule(who=WHO)
    def lose_profile(self, who: str) -> None:
        """A profile is deleted, and another of its name comes."""
        self.count("lose profile")
        gone = self.places[who][1]
        with self.house.db.write() as run:
            run("DELETE FROM connections WHERE user_id = :id AND name = 'work'", id=gone.user.id)
        delete_profile(self.house.db, gone.user.id, gone.profile.id)
        with self.house.db.write() as run:
            insert_profile(run, gone.user.id, "work", "work-" + new_id(), is_default=False, now=self.now)
        self.forget_keys([gone])
        self.forget_tokens([gone])
        self.places[who][1] = Place(list_profiles(self.house.db, gone.user.id)[1], gone.user)
        self.furnish(self.places[who][1])

    @rule(who=WHO)
    def move_out(self, who: str) -> None:
        """A user is deleted, and another comes."""
        self.count("move out")
        with self.house.db.write() as run:
            run("DELETE FROM users WHERE id = :id", id=self.places[who][0].user.id)
        self.forget_keys(self.places[who])
        self.forget_tokens(self.places[who])
        self.move_in(who)

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 61, 300, 700]))
    def wait(self, seconds: int) -> None:
        self.count("wait")
        self.house.clock.forward(seconds)

    @rule()
    def purge(self) -> None:
        self.count("purge")
        before = sum(map(self.find, self.keys))
        store.api_keys.purge_keys(self.house.db, now=self.now)
        self.tally["keys forgotten"] += before - sum(map(self.find, self.keys))

    # --- what always holds ---

    def should_open(self, key: Key, url: str) -> bool:
        """Whether a key has to open an address."""
        return key.is_good(self.now) and dict(self.addresses()).get(url, key.place) in (None, key.place)

    def check_opened(self, key: Key, url: str) -> None:
        """What has to hold where a key opened an address; it was used then."""
        assert not key.revoked, "a key works though it was revoked"
        assert not key.orphaned, "a key works though its user or its profile is gone"
        assert self.now < key.expires_at, "a key works after its time"
        assert self.now < key.idle_at, "a key works though it lay idle"
        assert self.should_open(key, url), "a key works at another's address"
        if self.now - (key.noted_at or 0) >= USED_EVERY_SECONDS:
            key.noted_at = self.now

    @invariant()
    def keys_open_what_they_should_and_nothing_else(self) -> None:
        for key in self.keys[-4:]:
            for url, _ in self.addresses():
                try:
                    caller = self.house.gate.bridge._authenticate(f"Bearer {key.text}", url)
                except InvalidToken:
                    assert not self.should_open(key, url), "a good key opens nothing"
                else:
                    self.check_opened(key, url)
                    stands_for = (caller.user_id, caller.profile_id, caller.api_key_id, caller.client_id)
                    assert stands_for == (key.place.user.id, key.place.profile.id, key.id, None), "a key stands for another"


# --- the tests ---


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(store.api_keys, "IDLE_SECONDS", IDLE)
    monkeypatch.setattr(store.api_keys, "KEEP_SECONDS", KEPT)
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db"}
    built = House(load_settings(environ, None), Clock(NOW), {"desk": DESK})
    hurry(built.db)
    yield built
    built.close()


RULES = (
    "make key", "make too many keys", "use key", "use key about its end", "revoke key", "misuse key", "let in", "use token",
    "use side by side", "sign out everywhere", "lose profile", "move out", "wait", "purge",
)  # fmt: skip
EVENTS = ("key used", "key refused", "expired", "idle", "in time", "token used", "token refused", "keys forgotten")


@pytest.mark.parametrize("runs", [RUNS, pytest.param(6 * RUNS, marks=pytest.mark.soak)])
def test_whatever_happens_no_promise_of_keys_is_broken(house: House, runs: int):
    check_lively(live(partial(KeyLife, house), runs), (*RULES, *EVENTS), runs)


VIEW = """view = prepared.by_grant.get(caller.grant_id)
    if view is None:
        view = prepared.by_grant[caller.grant_id]"""
PREPARED = """prepared = self._prepared.get(caller.profile_id)
        if prepared is None or prepared.revision < caller.revision:
            if len(self._prepared) > 1_000:
                self._prepared.clear()
            prepared = self._prepared[caller.profile_id]"""

# the promise -> where it is broken: owner, name, what stands there, what a careless hand would make of it
MUTATIONS: dict[str, tuple[ModuleType | type, str, str, str]] = {
    "a key works though it was revoked": (callers, "find_key", " AND k.revoked_at IS NULL", ""),
    "a key works after its time": (store.api_keys, "row_ends_at", 'min(idle_at, row["expires_at"])', "idle_at"),
    "a key works though it lay idle": (store.api_keys, "row_ends_at", "+ IDLE_SECONDS", "+ 2 * IDLE_SECONDS"),
    "a key works at another's address": (callers, "find_key_caller", "urlsplit(resource).path not in", "'' in"),
    "a key stands for another": (callers, "find_key_caller", "=holder.user_id", "=holder.profile_id"),
    "a key of somebody else can be revoked": (api_keys, "revoke_key", " AND user_id = :user_id", ""),
    "a key works where something else belongs": (
        register, "authenticate", "or not same(", 'or "mcp_sk_" not in token and not same('
    ),
    "a good key opens nothing": (callers, "find_key_caller", ', f"/mcp/{holder.slug}"', ""),
    "more than twenty keys": (store.api_keys, "insert_key", ">= KEYS_MAX", "> KEYS_MAX"),
    "somebody may do more than was granted": (toolbox.Toolbox, "view", VIEW, VIEW.replace("grant_id", "profile_id")),
    "somebody calls another's connection": (
        toolbox.Toolbox, "_prepared_for", PREPARED, PREPARED.replace("profile_id", "revision")
    ),
    "a token works where a key belongs": (mcp_bridge, "read_credentials", "key.startswith(KEY_START)", "key"),
    "a token works after its person has signed out everywhere": (accounts, "close_sessions", "SET ended_at = :now, ", "SET "),
}  # fmt: skip


@pytest.mark.parametrize("promise", MUTATIONS)
def test_a_broken_promise_of_keys_would_be_noticed(house: House, monkeypatch: pytest.MonkeyPatch, promise: str):
    owner, name, old, new = MUTATIONS[promise]
    monkeypatch.setattr(owner, name, mutate(getattr(owner, name), old, new))
    with pytest.raises(AssertionError, match=promise):
        live(partial(KeyLife, house))


def test_a_key_that_outlived_its_person_would_be_noticed(house: House):
    house.db._connection().execute("PRAGMA foreign_keys = OFF")  # so that deleting takes along nothing
    gone = "a key works though its user or its profile is gone|a token works after its person has signed out everywhere"
    with pytest.raises(AssertionError, match=gone):  # whichever of the two is tried first: what is left of both works on
        live(partial(KeyLife, house))

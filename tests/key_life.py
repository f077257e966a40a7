"""What API keys go through in a random life, and what holds of them always. Knows nothing of tokens; see test_machine.py."""

from __future__ import annotations

from dataclasses import dataclass

from household import CALLBACK
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from werkzeug.test import TestResponse

import store.api_keys
from callers import USED_EVERY_SECONDS
from crypto import hash_token, new_id
from db import Run
from errors import InvalidInput, InvalidToken
from store.clients import Client as StoredClient
from store.clients import put_client
from store.connections import Draft, insert_connection
from store.profiles import insert_key_grant, insert_member, list_feature_sets, list_profiles
from store.users import User
from tools import Connector, Context, Field, tool

IDLE = 600  # instead of 90 days, so that keys lie idle while sessions live
PICK = st.integers(0, 1000)
WHO = st.sampled_from(["alice", "bob"])
SECRET = "a secret of a client"


@tool(title="Whose", reads=True)
def whose(context: Context) -> str:
    """Tell whose connection this is."""
    return context.settings["owner"]


@tool(title="Write")
def write(context: Context) -> str:
    """Change something, or so it says."""
    return context.settings["owner"]


DESK = Connector("desk", "Desk", "For tests.", fields=(Field("owner", "Owner"),), tools=(whose, write))


@dataclass
class Key:
    """An API key, as the model knows it; `used_at` is when it last opened something, or was made."""

    id: str
    text: str
    user: User
    reads_only: bool
    expires_at: float
    used_at: int
    revoked: bool = False

    def is_surely_good(self, now: int) -> bool:
        """Whether it has to open its addresses: a use is noted at most once in USED_EVERY_SECONDS."""
        return not self.revoked and now < self.expires_at and now < self.used_at - USED_EVERY_SECONDS + IDLE

    def is_maybe_good(self, now: int) -> bool:
        """Whether it may."""
        return not self.revoked and now < self.expires_at and now < self.used_at + IDLE


class KeyLife:
    """The rules of keys, for a life that has a house, people and clients."""

    keys: list[Key]

    def furnish(self, run: Run, user: User, now: int) -> None:
        """Give a new user a connection that tells whose it is."""
        profile_id = run("SELECT id FROM profiles WHERE user_id = :id", id=user.id)[0]["id"]
        desk = Draft("desk", "Desk", {"owner": user.id})
        insert_member(run, profile_id, insert_connection(run, self.state.vault, user.id, desk, now), "desk")

    def register_asker(self) -> str:
        """A client that may introspect, because it has a secret."""
        hashed = hash_token(SECRET)
        client = StoredClient("client_" + new_id(), "dcr", None, "client_secret_post", hashed, (CALLBACK,), {}, self.now)
        put_client(self.house.db, client)
        return client.id

    @rule(
        who=WHO,
        reads_only=st.booleans(),
        lifetime=st.sampled_from([None, None, 60, 500, 5000]),
        times=st.sampled_from([1, 1, 1, 21]),
    )
    def make_key(self, who: str, reads_only: bool, lifetime: int | None, times: int) -> None:
        self.count("make key")
        for _ in range(times):
            self.add_key(self.people[who], reads_only, lifetime)

    def add_key(self, user: User, reads_only: bool, lifetime: int | None) -> None:
        """What the page for a new key does."""
        db, own = self.house.db, [key for key in self.keys if key.user is user]
        profile = list_profiles(db, user.id)[0]
        feature_set = list_feature_sets(db, profile.id)[int(reads_only)]
        try:
            with db.write() as run:
                key_id, text = store.api_keys.insert_key(run, user.id, "script", lifetime=lifetime, now=self.now)
                insert_key_grant(run, profile.id, key_id, feature_set.id, self.now)
        except InvalidInput:
            self.tally["too many keys"] += 1
            assert sum(key.is_maybe_good(self.now) for key in own) >= 20, "a key is refused though there are few"
            return
        expires_at = float("inf") if lifetime is None else self.now + lifetime
        self.keys.append(Key(key_id, text, user, reads_only, expires_at, self.now))
        assert sum(key.is_surely_good(self.now) for key in own) < 20, "more than twenty keys"

    @precondition(lambda self: self.keys)
    @rule(pick=PICK, who=WHO, address=PICK, header=st.sampled_from(["Authorization", "X-API-Key"]))
    def use_key(self, pick: int, who: str, address: int, header: str) -> None:
        self.count("use key")
        key = self.keys[-1 - pick % len(self.keys)]
        url = self.addresses_of(self.people[who])[address % 2]
        told = self.call_tool(key, url, header, "desk_whose")
        wrote = self.call_tool(key, url, header, "desk_write")
        assert told.status_code == wrote.status_code
        if told.status_code == 200:
            self.tally["key used"] += 1
            self.check_key_opened(key, url)
            assert told.json["result"]["content"][0]["text"] == key.user.id, "a key calls another's connection"
            assert ("error" in wrote.json) is key.reads_only, "a key that only reads calls a writing tool"
        else:
            self.tally["key refused"] += 1
            assert told.status_code == 401

    def call_tool(self, key: Key, url: str, header: str, name: str) -> TestResponse:
        value = key.text if header == "X-API-Key" else f"Bearer {key.text}"
        headers = {header: value, "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        return self.browser.post(url.removeprefix(self.house.url), json=message, headers=headers)

    @precondition(lambda self: self.keys)
    @rule(pick=PICK, who=WHO)
    def revoke_key(self, pick: int, who: str) -> None:
        self.count("revoke key")
        key = self.keys[-1 - pick % len(self.keys)]
        may = key.user is self.people[who] and not key.revoked
        form = {"csrf_token": self.state.vault.mac("csrf", self.cookies[who])}
        answer = self.browser.post(f"/keys/{key.id}/revoke", data=form, headers=self.cookie(who))
        assert answer.status_code == (303 if may else 404), "a key of somebody else can be revoked"
        key.revoked = key.revoked or may

    @precondition(lambda self: self.keys)
    @rule(pick=PICK, client=st.integers(0, 1))
    def misuse_key(self, pick: int, client: int) -> None:
        """Bring a key where only tokens, codes and secrets belong; that it lives on, its invariant tells."""
        self.count("misuse key")
        text, client_id = self.keys[-1 - pick % len(self.keys)].text, self.clients[client]
        wrong = "a key works where tokens belong"
        assert self.post("/token", client_id, grant_type="refresh_token", refresh_token=text).status_code == 400, wrong
        code = {"grant_type": "authorization_code", "code": text, "code_verifier": "v" * 50}
        assert self.post("/token", client_id, **code).status_code == 400, wrong
        assert self.post("/revoke", client_id, token=text).status_code == 200
        assert self.post("/introspect", self.asker, client_secret=SECRET, token=text).json == {"active": False}, wrong
        answer = self.browser.get(f"/register/{client_id}", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401, wrong

    # --- what always holds ---

    def check_key_opened(self, key: Key, url: str) -> None:
        """What has to hold where a key opened an address; it was used then."""
        assert not key.revoked, "a key works though it was revoked"
        assert self.now < key.expires_at, "a key works after its time"
        assert self.now < key.used_at + IDLE, "a key works though it lay idle"
        assert url in self.addresses_of(key.user), "a key works at another's address"
        key.used_at = self.now

    @invariant()
    def keys_open_what_they_should_and_nothing_else(self) -> None:
        for key in self.keys[-3:]:
            for url in {url for user in self.people.values() for url in self.addresses_of(user)}:
                try:
                    caller = self.house.gate.bridge._authenticate(f"Bearer {key.text}", url)
                except InvalidToken:
                    good = key.is_surely_good(self.now) and url in self.addresses_of(key.user)
                    assert not good, "a good key opens nothing"
                else:
                    self.check_key_opened(key, url)
                    assert (caller.user_id, caller.api_key_id) == (key.user.id, key.id), "a key stands for somebody else"

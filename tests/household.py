"""A house (house.py) with Alice and Bob in it, and their browsers: werkzeug clients. Knows no page's text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import house
from conftest import NOW
from fake_upstreams import FakeUpstreams
from werkzeug.test import Client, TestResponse

from accounts import insert_account
from config import Settings
from preregistration import add_client
from store.api_keys import insert_key
from store.connections import Draft, insert_connection
from store.grants import insert_key_grant
from store.profiles import insert_member, list_feature_sets, list_profiles
from store.sessions import list_sessions
from store.users import User, create_login
from tools import Connector

CANARY = "canary-7c1f4d"  # Alice's secret
CALLBACK = "https://assistant.example/callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class House(house.House):
    """A house with Alice, who owns it and has a connection with a secret, a session, an API key and a client, and with Bob."""

    def __init__(self, settings: Settings, *connectors: Connector, upstreams: FakeUpstreams | None = None):
        offered = {connector.name: connector for connector in connectors}
        super().__init__(settings, house.Clock(NOW), offered, upstreams=upstreams)
        self.state = self.gate.pages.extensions["postern"]
        self.vault = self.state.vault

    @property
    def now(self) -> float:
        """What its clock shows; a test may set it."""
        return self.clock.now

    @now.setter
    def now(self, moment: float) -> None:
        self.clock.now = moment

    def settle(self) -> House:
        """Let Alice and Bob move in."""
        with self.db.write() as run:
            self.alice = insert_account(run, self.vault, "alice", "no hash: she is signed in by a cookie", NOW)
            self.bob = insert_account(run, self.vault, "bob", "no hash", NOW)
            draft = Draft("personal_context", "Secretive", {}, {"google_maps_api_key": CANARY})
            self.connection_id = insert_connection(run, self.vault, self.alice.id, draft, NOW)
            insert_member(run, list_profiles(self.db, self.alice.id)[0].id, self.connection_id, "secretive")
        self.approve(self.browser(self.alice))
        (session,) = list_sessions(self.db, self.alice.id, now=NOW)
        self.session_id, self.assistant_id = session.id, session.client_id
        made, _ = add_client(self.db, self.state.settings, "Made by hand", [CALLBACK], has_secret=False, now=NOW)
        self.client_id = made.id
        self.key_id, self.key = self.make_key(self.alice, "Backup script")
        return self

    def make_key(self, user: User, name: str, kind: str = "all", lifetime: int | None = None) -> tuple[str, str]:
        """A key of the user's for their first profile: its id, and the key."""
        profile = list_profiles(self.db, user.id)[0]
        (chosen,) = [item for item in list_feature_sets(self.db, profile.id) if item.kind == kind]
        with self.db.write() as run:
            key_id, key = insert_key(run, user.id, name, lifetime=lifetime, now=self.now)
            insert_key_grant(run, profile.id, key_id, chosen.id, self.now)
        return key_id, key

    def browser(self, user: User | None = None) -> Client:
        """A browser, in which the user is signed in."""
        browser = Client(self.gate)
        if user:
            browser.set_cookie("postern", create_login(self.db, user.id, now=self.now))
        return browser

    def ask(self, browser: Client, name: str | None = "Assistant", callback: str = CALLBACK) -> str:
        """Let a new client send the browser here; answers the path of its consent page."""
        body = {"redirect_uris": [callback], "token_endpoint_auth_method": "none", "client_name": name}
        client_id = browser.post("/register", json=body).json["client_id"]
        query = {"response_type": "code", "client_id": client_id, "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return browser.get("/authorize", query_string=query).headers["Location"]

    def approve(self, browser: Client) -> TestResponse:
        """Approve a new client without touching anything."""
        path = self.ask(browser)
        values = {"request": path.split("=")[1], "profile": "home", "feature_set": "all", "decision": "approve"}
        return send(browser, "/connect", **values)

    def contents(self) -> dict[str, list[tuple]]:
        """All that the database holds, but for what counts and notes tries and visits."""
        tables = [row["name"] for row in self.db.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [table for table in tables if table not in ("rate_limits", "leases") and not table.startswith("sign_in_")]
        return {table: sorted(map(tuple, self.db.query(f"SELECT * FROM {table}")), key=repr) for table in kept}


def token_of(browser: Client) -> str:
    """The token in this browser's forms."""
    page = browser.get("/admin", follow_redirects=True)
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]


def send(browser: Client, path: str, **values: str) -> TestResponse:
    """Send one of our forms, as a browser does under no-referrer."""
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    return browser.post(path, data={"csrf_token": token_of(browser)} | values, headers=headers)


@contextmanager
def opened(settings: Settings, *connectors: Connector, upstreams: FakeUpstreams | None = None) -> Iterator[House]:
    """An empty house, which is closed in the end; `connectors` are offered beside the built-in ones."""
    built = House(settings, *connectors, upstreams=upstreams)
    try:
        yield built
    finally:
        built.close()

"""A Postern with Alice in it, whose outgoing requests end in a fake Google: its sign-in, and its services. Holds no test."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fake_service import Request, Service
from house import Clock, House
from household import send
from requests.structures import CaseInsensitiveDict
from werkzeug.test import Client, TestResponse

from accounts import add_account
from addresses import parse_url
from config import Settings
from fetch import UPSTREAM, Response
from google_workspace.fake import ALICE, NOW
from google_workspace.world import World
from store.api_keys import insert_key
from store.connections import Connection, list_connections, list_secrets
from store.grants import insert_key_grant
from store.profiles import list_feature_sets, list_profiles
from store.users import create_login

ACCOUNTS = "https://accounts.google.com"
TOKEN_HOST = "https://oauth2.googleapis.com"
CLIENT = "12-alice.apps.googleusercontent.com"
SECRET = "GOCSPX-alices-secret"
HOUSE_CLIENT, HOUSE_SECRET = "99-house.apps.googleusercontent.com", "GOCSPX-house-secret"


class Wire:
    """The way out: to Google's token endpoint, or to its services."""

    def __init__(self, service: Service, world: World):
        self.service, self.world = service, world

    def check_url(self, url: str, *, trust: Any) -> Any:
        return parse_url(url)

    def find_addresses(self, host: str, port: int, *, trust: Any, timeout: float = 30) -> tuple[str, ...]:
        return ("192.0.2.1",)

    def request(self, method: str, url: str, *, trust: Any, headers: Any = None, form: Any = None, **rest: Any) -> Response:
        if not url.startswith(TOKEN_HOST):
            self.world.fake.tokens = {token: frozenset(scope.split()) for token, scope in self.service.access.items()}
            return self.world.fake.request(method, url, trust=trust, headers=headers, form=form, **rest)
        assert trust is UPSTREAM
        sent = Request(method, url.removeprefix(TOKEN_HOST), CaseInsensitiveDict(headers or {}), urlencode(form or {}).encode())
        status, answered, body = self.service.answer(sent, self.service.auth_port)
        return Response(status, answered, body, "oauth2.googleapis.com")


class Office:
    """Alice, her browser, and her Google account."""

    def __init__(self, settings: Settings, monkeypatch: Any, *, has_house_client: bool = False):
        if has_house_client:
            settings = replace(settings, google_oauth_client_id=HOUSE_CLIENT, google_oauth_client_secret=HOUSE_SECRET)
        self.world, self.service = World(), Service()
        self.fake = self.world.fake
        self.service.settle(1, 2)
        self.service.metadata["issuer"], self.service.rotates = ACCOUNTS, False
        for name, secret in ((CLIENT, SECRET), (HOUSE_CLIENT, HOUSE_SECRET)):
            self.service.clients[name] = {"token_endpoint_auth_method": "client_secret_basic", "client_secret": secret}
        self.is_account(ALICE)
        self.clock = Clock(NOW)
        self.house = House(settings, self.clock, fetch=Wire(self.service, self.world))
        state = self.house.gate.pages.extensions["postern"]
        self.state, self.db, self.vault = state, state.db, state.vault
        self.alice = add_account(self.db, self.vault, "alice", "a fine long password", now=NOW)
        self.profile = list_profiles(self.db, self.alice.id)[0]
        self.browser = Client(self.house.gate)
        self.browser.set_cookie("postern", create_login(self.db, self.alice.id, now=NOW))
        self.unticked: set[str] = set()

    def is_account(self, email: str) -> None:
        """Whose account the browser is signed in to at Google."""
        claims = base64.urlsafe_b64encode(json.dumps({"email": email}).encode()).rstrip(b"=").decode()
        self.service.id_token = f"e30.{claims}.sig"

    # --- pages ---

    def type_in(self, action: str = "save", path: str = "/connections/new", **typed: str) -> TestResponse:
        """Fill in the connection's form; what is not named stands there at first."""
        values = {"connector": "google_workspace", "connection_name": "Google", "clientId": CLIENT, "clientSecret": SECRET}
        first = {item.name: item.default for item in self.state.connectors["google_workspace"].fields if item.kind != "secret"}
        return send(self.browser, path, action=action, **(first | values | typed))

    @property
    def connection(self) -> Connection:
        """Her connection to Google."""
        return next(item for item in list_connections(self.db, self.alice.id) if item.connector == "google_workspace")

    @property
    def path(self) -> str:
        """Her connection's page."""
        return f"/connections/{self.connection.id}"

    def page(self) -> str:
        """What that page says."""
        return re.sub(r"\s+", " ", self.browser.get(self.path).text)

    def leave(self) -> dict[str, str]:
        """Press Connect; answers with what the browser is sent to Google."""
        away = send(self.browser, self.path + "/connect")
        assert away.status_code == 303, away.text
        where, _, query = away.headers["Location"].partition("?")
        assert where == ACCOUNTS + "/o/oauth2/v2/auth"
        return dict(parse_qsl(query))

    def sign_in(self) -> TestResponse:
        """All the way; the boxes that are `unticked` at Google are not granted."""
        asked = self.leave()
        asked["scope"] = " ".join(scope for scope in asked["scope"].split() if scope not in self.unticked)
        status, headers, _ = self.service.answer(
            Request("GET", "/authorize?" + urlencode(asked), {}, b""), self.service.auth_port
        )
        assert status == 302
        back = urlsplit(headers["Location"])
        return self.browser.get(f"{back.path}?{back.query}")

    @property
    def secrets(self) -> dict[str, str]:
        """What is kept of the connection, opened."""
        return list_secrets(self.db, self.vault, self.connection.id)

    # --- an assistant ---

    def key(self, kind: str = "all") -> str:
        """A key with one of the profile's feature sets."""
        (chosen,) = [item for item in list_feature_sets(self.db, self.profile.id) if item.kind == kind]
        with self.db.write() as run:
            key_id, key = insert_key(run, self.alice.id, kind, lifetime=None, now=NOW)
            insert_key_grant(run, self.profile.id, key_id, chosen.id, NOW)
        return key

    def ask(self, key: str, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one request at /mcp."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        usual = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        answer = Client(self.house.gate).post("/mcp", json=body, headers=usual | {"Authorization": f"Bearer {key}"})
        return json.loads(answer.text.partition("data: ")[2] or answer.text)

    def tools(self, key: str) -> set[str]:
        """The Google tools that an assistant sees."""
        listed = self.ask(key, "tools/list")["result"]["tools"]
        return {item["name"].removeprefix("google_") for item in listed if item["name"].startswith("google_")}

    def call(self, key: str, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool answers."""
        result = self.try_call(key, name, **arguments)
        assert result.get("isError") is not True, result
        assert self.fake.problems == []
        return result["structuredContent"]

    def try_call(self, key: str, name: str, /, **arguments: Any) -> dict[str, Any]:
        """A tool's result, whatever it is."""
        return self.ask(key, "tools/call", name=f"google_{name}", arguments=arguments)["result"]

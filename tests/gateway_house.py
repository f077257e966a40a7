"""A user whose profile has other servers in it: dictionaries, at which discovery looks as it does at real ones."""

from __future__ import annotations

from conftest import NOW
from fake_upstreams import FakeForwarder, FakeServer, FakeUpstreams

from accounts import add_account
from connectors.catalog import CONNECTORS
from crypto import Vault
from db import Database
from discovery import Discovery
from fetch import Fetcher
from joining import join
from store.clients import Client, put_client
from store.connections import Connection, Draft, get_connection
from store.grants import put_grant
from store.profiles import list_feature_sets, list_profiles
from store.tokens import Caller
from toolbox import Toolbox
from tools import Call


class GatewayHouse:
    """Alice with a profile `home` that is empty at first, and a client of hers."""

    def __init__(self, db: Database, vault: Vault):
        self.db, self.vault, self.now = db, vault, NOW
        self.upstreams, self.forward = FakeUpstreams(), FakeForwarder()
        self.discovery = Discovery(db, self.upstreams, clock=lambda: self.now, gap=0.05)
        self.toolbox = Toolbox(db, vault, Fetcher(), CONNECTORS, clock=lambda: self.now, forward=self.forward)
        self.alice = add_account(db, vault, "alice", "a fine long password", now=NOW)
        self.home = list_profiles(db, self.alice.id)[0]
        with db.write() as run:
            run("DELETE FROM connections")
        put_client(db, Client("client_a", "dcr", "A", "none", None, ("https://a.example/cb",), {}, NOW))

    def add(self, name: str, server: FakeServer) -> Connection:
        """A connection to a server, in the profile, and looked at."""
        draft = Draft("remote_http", name, {"url": f"https://{len(name)}.example/mcp", "auth": "none"})
        with self.db.write() as run:
            connection_id = join(run, self.vault, self.home, draft, self.now)
        self.upstreams.servers[connection_id] = server
        connection = get_connection(self.db, self.alice.id, connection_id)
        self.look(connection)
        return connection

    def look(self, connection: Connection) -> None:
        """Look at a server, here and now."""
        self.discovery.look(connection, Call())

    def caller(self, kind: str = "all") -> Caller:
        """The client, granted a feature set of this kind, as of now."""
        (chosen,) = [item for item in list_feature_sets(self.db, self.home.id) if item.kind == kind]
        with self.db.write() as run:
            grant_id = put_grant(run, self.home.id, "client_a", chosen.id, self.now)
        revision = self.db.query("SELECT number FROM revisions")[0]["number"]
        return Caller("session", grant_id, "client_a", self.alice.id, self.home.id, "http://x/mcp", NOW + 1, None, revision)

    def names(self, kind: str = "all") -> list[str]:
        """The tools that the client sees."""
        return [item["name"] for item in self.toolbox.list_tools(self.caller(kind))]

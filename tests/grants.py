"""Users, clients, grants and tokens, made straight in the database, for tests that need no page for it."""

from __future__ import annotations

import time

from server import MASTER_KEY, Server

from accounts import insert_account
from crypto import Vault
from db import Database, open_database
from store.clients import Client, put_client
from store.connections import Draft, insert_connection
from store.grants import put_grant
from store.keys import open_vault
from store.profiles import insert_member, insert_profile, list_feature_sets, list_profiles
from store.sessions import insert_session
from store.tokens import Lifetimes, mint_tokens
from store.users import insert_user

NOW = 1_790_000_000
DAY = 86400


def make_grant(db: Database, vault: Vault, name: str) -> str:
    """A user of that name, whose client has everything of the profile home; answers the grant's id."""
    put_test_client(db, f"client-{name}", NOW)
    with db.write() as run:
        user = insert_account(run, vault, name, "no password", NOW)
    profile = list_profiles(db, user.id)[0]
    with db.write() as run:
        return put_grant(run, profile.id, f"client-{name}", list_feature_sets(db, profile.id)[0].id, NOW)


def put_test_client(db: Database, client_id: str, now: int) -> None:
    """A client that nobody registered."""
    put_client(db, Client(client_id, "dcr", None, "none", None, ("http://localhost/",), {}, now))


def make_fixture_token(server: Server) -> str:
    """An access token for `/mcp/conformance` of a running server, where the fixture is alone: its tools keep their names."""
    db = open_database(f"sqlite:///{server.folder}/data/postern.db")
    now, vault = int(time.time()), open_vault(db, bytes.fromhex(MASTER_KEY))
    with db.write() as run:
        user = insert_user(run, "alice", "no password", now)
        profile_id = insert_profile(run, user.id, "conformance", "conformance", is_default=True, now=now)
        connection_id = insert_connection(run, vault, user.id, Draft("conformance", "Conformance", {}), now)
        insert_member(run, profile_id, connection_id, "conformance")
    put_test_client(db, "suite", now)
    with db.write() as run:
        grant_id = put_grant(run, profile_id, "suite", list_feature_sets(db, profile_id)[0].id, now)
        session_id = insert_session(run, grant_id, f"{server.url}/mcp/conformance", "mcp", lifetime=DAY, now=now)
        token = mint_tokens(run, session_id, None, Lifetimes(DAY, DAY, DAY, 0), now).access_token
    db.close()
    return token

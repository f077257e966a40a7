"""A user with a client and a grant, made straight in the database, for tests below the web."""

from __future__ import annotations

from accounts import insert_account
from crypto import Vault
from db import Database
from store.clients import Client, insert_client
from store.profiles import list_feature_sets, list_profiles, put_grant

NOW = 1_790_000_000


def make_grant(db: Database, vault: Vault, name: str) -> str:
    """A user of that name, whose client has everything of the profile home; answers the grant's id."""
    with db.write() as run:
        user = insert_account(run, vault, name, "no password", NOW)
        insert_client(run, Client(f"client-{name}", "dcr", None, "none", None, ("http://localhost/",), {}, NOW))
    profile = list_profiles(db, user.id)[0]
    with db.write() as run:
        return put_grant(run, profile.id, f"client-{name}", list_feature_sets(db, profile.id)[0].id, NOW)

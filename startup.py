"""Makes the database ready before anything is served: key, migrations, first user. Knows no page."""

from __future__ import annotations

import time
from pathlib import Path

from accounts import insert_account
from config import Settings
from crypto import hash_password
from db import Database, is_fresh, migrate, open_database
from store.keys import make_data_key, open_vault, rewrap_data_key
from store.users import count_users, find_weakness, replace_setup_code

HERE = Path(__file__).parent
SCHEMA, MIGRATIONS = HERE / "schema.sql", HERE / "migrations"


def prepare(settings: Settings) -> list[str]:
    """Make the database ready, before any worker starts; answers the lines that greet the person who started the server.

    Raises ConfigError with one clear line; a database that does not fit is not touched.
    """
    now = int(time.time())
    db = open_database(settings.database_url)
    try:
        bring_up_to_date(db, settings, now=now)
        addresses = [f"Postern is at {settings.public_url}", f"Paste this into your assistant: {settings.mcp_url}"]
        return ["", *addresses, *greet(db, settings, now)]
    finally:
        db.close()


def bring_up_to_date(db: Database, settings: Settings, *, now: int) -> list[str]:
    """Check the key, apply what is missing, and see to it that there is a data key; answers the migrations applied."""
    check_key(db, settings, now)
    applied = migrate(db, SCHEMA, MIGRATIONS, now=now)
    make_data_key(db, settings.master_key, now=now)
    return applied


def check_key(db: Database, settings: Settings, now: int) -> None:
    """Refuse a database that was made with another key, before anything of it is changed; move it to a new key if asked to."""
    if is_fresh(db):
        return
    make_data_key(db, settings.master_key, now=now)  # only if the first start was cut off before it came to that
    if settings.master_key_previous:
        rewrap_data_key(db, settings.master_key_previous, settings.master_key, now=now)
    open_vault(db, settings.master_key)


def greet(db: Database, settings: Settings, now: int) -> list[str]:
    """Make the owner of a new server, or the one-time code by which its owner can do so."""
    if count_users(db):
        return [""]
    if settings.owner_password is None:
        code = replace_setup_code(db, now=now)
        return [f"First, make your account: {settings.public_url}/setup", f"One-time code: {code}", ""]
    with db.write() as run:
        insert_account(run, open_vault(db, settings.master_key), "owner", hash_password(settings.owner_password), now)
    greeting = ["Sign in as: owner"]
    if weakness := find_weakness("owner", settings.owner_password):  # told, not refused: who sets it here has decided
        greeting.append(f"OWNER_PASSWORD is weak. {weakness} Change it: {settings.public_url}/account")
    return [*greeting, ""]

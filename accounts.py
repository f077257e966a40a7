"""Makes a user with all that a new user has. Joins the stores; knows no page and no command line."""

from __future__ import annotations

from crypto import Vault
from db import Database, Run
from store.connections import Draft, insert_connection
from store.profiles import find_free_slug, insert_member, insert_profile
from store.users import User, check_new_user, insert_user, spend_setup_code


def add_account(db: Database, vault: Vault, name: str, password: str, *, now: int) -> User:
    """Make a user with a profile `home`. Raises InvalidInput for a bad or taken name or a weak password."""
    name, password_hash = check_new_user(name, password)
    with db.write() as run:
        return insert_account(run, vault, name, password_hash, now)


def set_up_owner(db: Database, vault: Vault, code: str, name: str, password: str, *, now: int) -> User:
    """Spend the set-up code and make the owner; of two that race, one loses.

    Raises InvalidInput for form mistakes (the code is not spent then), NotFound for a wrong or spent code.
    """
    name, password_hash = check_new_user(name, password)
    with db.write() as run:
        spend_setup_code(run, code)
        return insert_account(run, vault, name, password_hash, now)


def insert_account(run: Run, vault: Vault, name: str, password_hash: str, now: int) -> User:
    """A user, the profile `home`, and in it a Personal Context: an untouched consent form then gives a working tool."""
    user = insert_user(run, name, password_hash, now)
    slug = find_free_slug(run, "home", name)
    profile_id = insert_profile(run, user.id, "home", slug, is_default=True, now=now)
    connection_id = insert_connection(run, vault, user.id, Draft("personal_context", "Personal Context", {}), now)
    insert_member(run, profile_id, connection_id, "personal_context")
    return user

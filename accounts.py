"""Makes a user with all that a new user has, and ends what a new password ends. Knows no page and no command line."""

from __future__ import annotations

from crypto import Vault, hash_password
from db import Database, Run
from errors import InvalidInput, NotFound
from store.connections import Draft, insert_connection
from store.profiles import find_free_slug, insert_member, insert_profile
from store.sessions import close_sessions
from store.users import (
    User,
    check_new_user,
    check_password_unchanged,
    end_logins,
    find_weakness,
    insert_user,
    spend_setup_code,
    update_password,
)


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
    insert_member(run, profile_id, connection_id, "personal_context", now)
    return user


def set_password(db: Database, user: User, password: str, *, now: int) -> None:
    """Give a user another password, and sign out whoever may have come in with the old one: every browser and assistant.

    Raises InvalidInput for a weak password, or if the old one, if it was checked, is another one by now.
    """
    if weakness := find_weakness(user.name, password):
        raise InvalidInput("Please look at the marked fields.", {"password": weakness})
    password_hash = hash_password(password)
    try:
        with db.write() as run:
            check_password_unchanged(run, user.id, user.password_mark)
            update_password(run, user.id, password_hash)
            end_everything(run, user.id, now)
    except NotFound:
        raise InvalidInput("Please look at the marked fields.", {"old_password": "It was changed meanwhile."}) from None


def sign_out_everywhere(db: Database, user: User, *, now: int) -> None:
    """End every login of a user and every session: each browser and each assistant has to sign in anew."""
    with db.write() as run:
        end_everything(run, user.id, now)


def end_everything(run: Run, user_id: str, now: int) -> None:
    """End all logins and sessions of a user, in an open transaction."""
    end_logins(run, user_id)
    close_sessions(run, user_id, now)

"""The command line: `python cli.py <command>`. Works when the web application cannot start."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable

from accounts import add_account, set_password
from config import Settings, load_settings
from db import Database, check_current, open_database
from errors import InvalidInput, PosternError
from startup import MIGRATIONS, bring_up_to_date
from store.keys import open_vault
from store.users import count_users, find_user_by_name, list_users, replace_setup_code


def main(arguments: list[str] | None = None) -> int:
    """Run one command; answers the exit code. Mistakes are one line on stderr."""
    options = make_parser().parse_args(arguments)
    try:
        settings = load_settings(os.environ)
        db = open_database(settings.database_url)
        try:
            options.run(db, settings, options)
        finally:
            db.close()
    except InvalidInput as error:
        return complain(" ".join([*error.fields.values()] or [str(error)]))
    except PosternError as error:
        return complain(str(error))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Every command, with its help."""
    parser = argparse.ArgumentParser(prog="python cli.py", description="Look after a Postern from the command line.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add = add_command(commands, "add-user", add_user, "make a user; asks for the password, or reads it from standard input")
    add.add_argument("name", metavar="NAME")
    change = add_command(commands, "set-password", change_password, "give a user a new password; signs everything of theirs out")
    change.add_argument("name", metavar="NAME")
    add_command(commands, "users", show_users, "list the users")
    add_command(commands, "setup-code", new_setup_code, "make a new one-time code for /setup")
    add_command(commands, "migrate", run_migrations, "bring the database up to date (the server does it at its start)")
    return parser


def add_command(commands, name: str, run: Callable[[Database, Settings, argparse.Namespace], None], help_text: str):
    """One command; `run` does it."""
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(run=run)
    return parser


def add_user(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Make a user with a profile `home`."""
    check_current(db, MIGRATIONS)
    vault = open_vault(db, settings.master_key)
    password = read_password()
    user = add_account(db, vault, options.name, password, now=int(time.time()))
    print(f"Made {'the owner' if user.is_owner else 'the user'} {user.name}.")


def change_password(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Give a user a new password: for somebody who has forgotten the old one."""
    check_current(db, MIGRATIONS)
    user = find_user_by_name(db, options.name)
    if user is None:
        raise InvalidInput("There is no such user. To list them: python cli.py users")
    set_password(db, user, read_password(), now=int(time.time()))
    print(f"Changed the password of {user.name}. Every browser and assistant of theirs is signed out.")


def read_password() -> str:
    """A password typed twice, or one line of standard input if that is not a terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidInput("The two passwords differ.")
    return password


def show_users(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """One line for each user."""
    check_current(db, MIGRATIONS)
    for user in list_users(db):
        since = time.strftime("%Y-%m-%d", time.gmtime(user.created_at))
        print(f"{user.name}\t{'owner' if user.is_owner else 'user'}\tsince {since}")


def new_setup_code(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Replace the code in the server's log by a new one."""
    check_current(db, MIGRATIONS)
    if count_users(db):
        raise InvalidInput("There is a user already; /setup is closed.")
    print(f"One-time code for {settings.public_url}/setup: {replace_setup_code(db, now=int(time.time()))}")


def run_migrations(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Apply what is missing, after a backup."""
    applied = bring_up_to_date(db, settings, now=int(time.time()))
    print("Applied: " + ", ".join(applied) if applied else "Nothing to do.")


def complain(message: str) -> int:
    """One line on stderr."""
    print(f"Error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

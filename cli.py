"""The command line: `.venv/bin/python cli.py <command>`. Works when the web application cannot start."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from urllib.parse import urlsplit

from accounts import add_account, set_password
from addresses import parse_url
from assistants import ASSISTANTS, Assistant
from callback import Callback
from config import Settings, load_settings
from db import Database, check_current, open_database
from emulation import DescribedEmulator, Publication, open_home
from errors import InvalidInput, NotFound, PosternError
from fetch import Fetcher
from plain_browser import origin_of
from preregistration import add_client
from smoke import SMOKE, Emulator, FormPerson, visit
from startup import MIGRATIONS, bring_up_to_date
from store.api_keys import insert_key, list_keys, revoke_key
from store.clients import delete_client, list_clients
from store.grants import insert_key_grant
from store.keys import open_vault
from store.profiles import find_choice, list_profiles
from store.signins import list_attempts
from store.users import User, count_users, find_user_by_name, list_users, replace_setup_code
from texts import plain_text, terminal_text
from timeline import describe_attempt


def main(arguments: list[str] | None = None) -> int:
    """Run one command; answers the exit code. Mistakes are one line on stderr."""
    options = make_parser().parse_args(arguments)
    try:
        run_visit(options) if options.run is None else run_at_home(options)
    except InvalidInput as error:
        return complain(" ".join([*error.fields.values()] or [str(error)]))
    except PosternError as error:
        return complain(str(error))
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, or Ctrl-D where something was to be typed
        return complain("stopped.")
    return 0


def run_at_home(options: argparse.Namespace) -> None:
    """A command for the installation that the settings describe."""
    settings = load_settings(os.environ)
    db = open_database(settings.database_url, creates=options.run is run_migrations)
    try:
        options.run(db, settings, options)
    finally:
        db.close()


def make_parser() -> argparse.ArgumentParser:
    """Every command, with its help."""
    parser = argparse.ArgumentParser(prog="python cli.py", description="Look after a Postern from the command line.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add = add_command(commands, "add-user", add_user, "make a user; asks for the password, or reads it from standard input")
    add.add_argument("name", metavar="NAME")
    change = add_command(commands, "set-password", change_password, "give a user a new password; signs everything of theirs out")
    change.add_argument("name", metavar="NAME")
    add_command(commands, "users", show_users, "list the users")
    add_key_commands(commands)
    add_client_commands(commands)
    add_command(commands, "setup-code", new_setup_code, "make a new one-time code for /setup")
    signins = add_command(commands, "signins", show_sign_ins, "list how assistants tried to get in, step by step")
    signins.add_argument("--client", metavar="ID", help="of this client only")
    signins.add_argument("--last", metavar="N", type=int, default=20, help="so many attempts, the latest (20)")
    signins.add_argument("--json", action="store_true", help="as JSON")
    add_command(commands, "migrate", run_migrations, "bring the database up to date (the server does it at its start)")
    smoke = add_command(commands, "smoke", None, "sign in to a running server, use it, and say which step fails")
    add_visit_options(smoke)
    emulate = add_command(commands, "emulate", None, "the same, with what a known assistant sends")
    emulate.add_argument("assistant", choices=ASSISTANTS, metavar="ASSISTANT", help=", ".join(ASSISTANTS))
    add_visit_options(emulate)
    return parser


def add_visit_options(parser: argparse.ArgumentParser) -> None:
    """Where to go, and who signs in."""
    parser.add_argument("url", metavar="URL", help="the URL that is pasted into assistants, such as https://postern.example.com/mcp")
    parser.add_argument("--no-browser", action="store_true", help="only print the address to open, also on this machine")
    parser.add_argument("--user", metavar="NAME", help="sign in as NAME and approve, without a browser; needs --password-stdin")
    parser.add_argument("--password-stdin", action="store_true", help="read NAME's password from standard input")


def add_key_commands(commands) -> None:
    """The commands about API keys."""
    add = add_command(commands, "add-key", add_key, "make an API key, and print it: it is never shown again")
    add.add_argument("user", metavar="USER")
    add.add_argument("--name", required=True, help="what will use it")
    add.add_argument("--profile", metavar="SLUG", help="the user's default profile if left out")
    add.add_argument("--feature-set", default="all", metavar="KIND", help="all (the default), read_only or core")
    add.add_argument("--days", type=int, default=365, help="how long it is good (365); 0: as long as it is used")
    show = add_command(commands, "keys", show_keys, "list the API keys, of one user or of all")
    show.add_argument("user", metavar="USER", nargs="?")
    revoke = add_command(commands, "revoke-key", take_key_back, "make an API key good for nothing, at once")
    revoke.add_argument("user", metavar="USER")
    revoke.add_argument("key_id", metavar="ID", help="as `keys` lists it")


def add_client_commands(commands) -> None:
    """The commands about clients."""
    add = add_command(commands, "add-client", make_client, "make a client for an assistant that cannot register itself")
    add.add_argument("name", metavar="NAME", help="what people are shown when it asks to be let in")
    add.add_argument("redirect_uris", metavar="URI", nargs="+", help="where it wants people to be sent back to, exactly")
    add.add_argument("--secret", action="store_true", help="give it a secret, which is printed and never shown again")
    add_command(commands, "clients", show_clients, "list the clients, however they came")
    delete = add_command(commands, "delete-client", forget_client, "delete a client and end all its sessions, at once")
    delete.add_argument("client_id", metavar="ID", help="as `clients` lists it")


def add_command(commands, name: str, run: Callable[[Database, Settings, argparse.Namespace], None] | None, help_text: str):
    """One command; `run` does it, or None if it is a visit to a server, for which no settings are needed."""
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
    user = get_user(db, options.name)
    set_password(db, user, read_password(), now=int(time.time()))
    print(f"Changed the password of {user.name}. Every browser and assistant of theirs is signed out.")


def get_user(db: Database, name: str) -> User:
    """The user of a name. Raises InvalidInput if there is none."""
    user = find_user_by_name(db, name)
    if user is None:
        raise InvalidInput("There is no such user. To list them: python cli.py users")
    return user


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
        print(f"{user.name}\t{'owner' if user.is_owner else 'user'}\tsince {day(user.created_at)}")


def add_key(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Make an API key. It is all that goes to standard output, so that it can be piped to where it belongs."""
    check_current(db, MIGRATIONS)
    user, now = get_user(db, options.user), int(time.time())
    profiles = list_profiles(db, user.id)
    choice = find_choice(db, profiles, options.profile or profiles[0].slug, options.feature_set)
    if choice is None:
        slugs = ", ".join(profile.slug for profile in profiles)
        raise InvalidInput(f"There is no such profile or feature set. Profiles of {user.name}: {slugs}")
    if options.days < 0:
        raise InvalidInput("A number of days cannot be negative.")
    profile, feature_set = choice
    with db.write() as run:
        key_id, key = insert_key(run, user.id, options.name, lifetime=options.days * 86400 or None, now=now)
        insert_key_grant(run, profile.id, key_id, feature_set.id, now)
    print(key)
    print(f"Made the key {key_id} of {user.name}: {feature_set.name} in {profile.name}. Keep it well.", file=sys.stderr)


def show_keys(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """One line for each key."""
    check_current(db, MIGRATIONS)
    now = int(time.time())
    for user in [get_user(db, options.user)] if options.user else list_users(db):
        for key in list_keys(db, user.id):
            used = f"used {day(key.used_at)}" if key.used_at else "not used"
            state = f"{'good until' if key.ends_at > now else 'ended'} {day(key.ends_at)}"
            print(key.id, user.name, key.name, key.prefix + "…", key.slug, key.feature_set, used, state, sep="\t")


def day(moment: int) -> str:
    """Epoch seconds as a date."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def take_key_back(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Revoke an API key."""
    check_current(db, MIGRATIONS)
    user = get_user(db, options.user)
    try:
        revoke_key(db, user.id, options.key_id, now=int(time.time()))
    except NotFound:
        raise InvalidInput(f"{user.name} has no such key. To list them: python cli.py keys {user.name}") from None
    print("Revoked.")


def make_client(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Make a preregistered client."""
    check_current(db, MIGRATIONS)
    client, secret = add_client(
        db, settings, options.name, options.redirect_uris, has_secret=options.secret, now=int(time.time())
    )
    print(f"client_id\t{client.id}")
    if secret:
        print(f"client_secret\t{secret}")


def show_clients(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """One line for each client."""
    check_current(db, MIGRATIONS)
    for client in list_clients(db):
        approved = f"let in {day(client.approved_at)}" if client.approved_at else "never let in"
        print(client.id, client.kind, plain_text(client.name), f"since {day(client.created_at)}", approved, sep="\t")


def forget_client(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Delete a client of whatever kind. One that describes or registers itself may come back, and is then asked about anew."""
    check_current(db, MIGRATIONS)
    try:
        delete_client(db, options.client_id)
    except NotFound:
        raise InvalidInput("There is no such client. To list them: python cli.py clients") from None
    print("Deleted. All its sessions are ended.")


def new_setup_code(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Replace the code in the server's log by a new one."""
    check_current(db, MIGRATIONS)
    if count_users(db):
        raise InvalidInput("There is a user already; /setup is closed.")
    print(f"One-time code for {settings.public_url}/setup: {replace_setup_code(db, now=int(time.time()))}")


def show_sign_ins(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """The sign-in log, attempt by attempt: each step, how long after the one before it came, and which came last."""
    check_current(db, MIGRATIONS)
    attempts = list_attempts(db, options.client, last=max(options.last, 0))
    if options.json:
        print(json.dumps([asdict(attempt) for attempt in attempts], indent=2))
        return
    for attempt in attempts:
        print("\n".join(describe_attempt(attempt)), end="\n\n")
    if not attempts:
        print("No attempt has been seen in the last two weeks.")


def run_migrations(db: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Apply what is missing, after a backup."""
    applied = bring_up_to_date(db, settings, now=int(time.time()))
    print("Applied: " + ", ".join(applied) if applied else "Nothing to do.")


# --- visits to a running server ---


def run_visit(options: argparse.Namespace) -> None:
    """`smoke` and `emulate`. The URL was typed by whoever runs this, so it may lead to a private address."""
    if bool(options.user) != options.password_stdin:
        raise InvalidInput("--user and --password-stdin go together.")
    assistant = ASSISTANTS[options.assistant] if "assistant" in options else SMOKE
    try:
        fetch = Fetcher(frozenset({parse_url(options.url).name}))
    except ValueError as error:
        raise InvalidInput(f"URL: {error}") from None
    url = options.url if urlsplit(options.url).path.strip("/") else options.url.rstrip("/") + "/mcp"
    say(f"{assistant.title} at {url}")
    with publishing(assistant, url) as publication:
        make = partial(DescribedEmulator, publication) if publication else Emulator
        if options.user:
            person = FormPerson(fetch, url, options.user, sys.stdin.readline().rstrip("\n"))
            visit(make(fetch, url, assistant), person, say)
        else:
            with closing(Callback(assistant.port)) as callback:
                emulator = make(fetch, url, assistant, callback.port, prefers_loopback=True)
                visit(emulator, lambda url, uri: ask_person(callback, url, uri, opens=not options.no_browser), say)


@contextmanager
def publishing(assistant: Assistant, url: str) -> Iterator[Publication | None]:
    """A place for the document of an assistant that has one, as long as this lasts; None where the server is not ours."""
    db = open_home(url, os.environ) if assistant.document else None
    if db is None:
        if assistant.document:
            say("    registers itself (DCR); its client document (CIMD) is its maker's to publish, and is not tried here")
        yield None
        return
    say("    describes itself (CIMD) by a document that is published here for the time of this run")
    publication = Publication(db, origin_of(url))
    try:
        yield publication
    finally:
        publication.withdraw()
        db.close()


def ask_person(callback: Callback, url: str, redirect_uri: str, *, opens: bool) -> str:
    """The person at this terminal signs in with a browser; answers where it ends."""
    say(f"    open this address, sign in and approve:\n    {url}")
    if opens:
        webbrowser.open(url)
    if redirect_uri.startswith("http://"):
        return callback.wait(redirect_uri)
    say(f"    then paste the address at which the browser ends, {redirect_uri}…")
    return sys.stdin.readline().strip()


def say(line: str) -> None:
    """One line, at once."""
    print(terminal_text(line), flush=True)


def complain(message: str) -> int:
    """One line on stderr."""
    print(f"Error: {terminal_text(message)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

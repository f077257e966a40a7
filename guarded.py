"""What only the owner may do, and only soon after typing the password: to say which commands run here. Holds no page."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import request

from definitions import COMMAND
from store.users import User
from tools import Connector
from web import LoginNeeded, Refused, find_current_login, now, state

FRESH_SECONDS = 15 * 60


def list_choices(user: User) -> list[Connector]:
    """The connectors of which this person may make a connection."""
    return [connector for connector in state().connectors.values() if may_define(user, connector.name)]


def may_define(user: User, connector: str) -> bool:
    """Whether this person may make, change or try a connection of this connector: a command is the owner's alone."""
    return connector != COMMAND or (user.is_owner and state().settings.allow_stdio)


def check_may_define(user: User, connector: str, here: str | None = None) -> None:
    """Raise Refused unless the person may, and LoginNeeded if the password was typed too long ago; then one comes back `here`."""
    if connector != COMMAND:
        return
    if not state().settings.allow_stdio:
        raise Refused(403, "Commands are switched off on this server (ALLOW_STDIO).")
    if not user.is_owner:
        raise Refused(403, "Only the owner of this server may say which commands run on it.")
    require_fresh_login(here)


def is_fresh() -> bool:
    """Whether the password was typed in the last quarter of an hour, in this browser."""
    login = find_current_login()
    return login is not None and now() - login.created_at < FRESH_SECONDS


def require_fresh_login(here: str | None = None) -> None:
    """Raise LoginNeeded unless the password was typed just now; one comes back `here` then."""
    if not is_fresh():
        raise LoginNeeded("/login?" + urlencode({"again": "1", "next": here or request.full_path.rstrip("?")}))

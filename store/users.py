"""Users, their logins, and the code that lets the first one in. Knows SQL, not HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from crypto import hash_of_nothing, hash_password, hash_token, new_code, new_id, new_token, verify_password
from db import Database, Row, Run
from errors import InvalidInput, NotFound

LOGIN_SECONDS = 30 * 86400
SEEN_EVERY_SECONDS = 60
PASSWORD_MIN, PASSWORD_MAX = 10, 1024
# What an unknown name is compared with, so that it takes as long as a known one.
NOBODY = hash_of_nothing()


@dataclass(frozen=True)
class User:
    """A person who signs in. `password_mark` says which of their passwords was checked just now; None: none was."""

    id: str
    name: str
    is_owner: bool
    created_at: int
    password_mark: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Login:
    """A browser in which `user` is signed in; `created_at` is when the password was typed."""

    cookie_hash: str
    browser_hash: str
    user: User
    created_at: int
    seen_at: int


# --- users ---


def count_users(db: Database) -> int:
    """How many there are; 0 means that /setup is open to whoever has the code."""
    return db.query("SELECT count(*) AS number FROM users")[0]["number"]


def list_users(db: Database) -> list[User]:
    """Everybody, by name."""
    return [as_user(row) for row in db.query("SELECT id, name, is_owner, created_at FROM users ORDER BY name")]


def insert_user(run: Run, name: str, password_hash: str, now: int) -> User:
    """Make a user, the first of whom is the owner, in an open transaction. Raises InvalidInput if the name is taken."""
    if run("SELECT id FROM users WHERE name = :name", name=name):
        raise InvalidInput("This name is taken.", {"username": "This name is taken."})
    row = run(
        """
        INSERT INTO users
            (id, name, password_hash, is_owner, created_at)
        SELECT
            :id, :name, :password_hash, CASE WHEN count(*) = 0 THEN 1 ELSE 0 END, :now
        FROM users
        RETURNING id, name, is_owner, created_at
        """,
        id=new_id(),
        name=name,
        password_hash=password_hash,
        now=now,
    )[0]
    return as_user(row)


def check_new_user(name: str, password: str) -> tuple[str, str]:
    """The name in lower case and the password's hash; raises InvalidInput unless both are acceptable."""
    name, mistakes = name.strip().lower(), {}
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,39}", name):
        mistakes["username"] = "1 to 40 letters, digits, dots, dashes or underscores."
    if weakness := find_weakness(name, password):
        mistakes["password"] = weakness
    if mistakes:
        raise InvalidInput("Please look at the marked fields.", mistakes)
    return name, hash_password(password)


def find_weakness(name: str, password: str) -> str | None:
    """Why this may not be the password of somebody of this name; None if it may."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        return f"At least {PASSWORD_MIN} characters, please."
    if len(set(password)) < 4 or password.lower() == name:
        return "This password is too easy to guess."
    return None


def find_user_by_name(db: Database, name: str) -> User | None:
    """The user of a name, in whatever case it was typed."""
    row = find_user_row(db, name.strip().lower())
    return as_user(row) if row and name.strip() else None


def find_typed_user(db: Database, name: str) -> User | None:
    """The user that a form to sign in names; an empty name means the only one."""
    row = find_user_row(db, name.strip().lower())
    return as_user(row) if row else None


def update_password(run: Run, user_id: str, password_hash: str) -> None:
    """Put another password in the place of a user's, in an open transaction."""
    run("UPDATE users SET password_hash = :password_hash WHERE id = :id", id=user_id, password_hash=password_hash)


def check_password_unchanged(run: Run, user_id: str, password_mark: str | None) -> None:
    """In an open transaction: raise NotFound if the user has gone, or has another password than that of the mark, if any."""
    rows = run("SELECT password_hash FROM users WHERE id = :id", id=user_id)
    if not rows or password_mark not in (None, hash_token(rows[0]["password_hash"])):
        raise NotFound("the password was changed meanwhile")


def check_password(db: Database, name: str, password: str) -> User | None:
    """The user if the password is right. An empty name means the only user. Takes equally long for unknown names."""
    row = find_user_row(db, name.strip().lower())
    known = row["password_hash"] if row else NOBODY
    right = verify_password(password[:PASSWORD_MAX], known)
    return replace(as_user(row), password_mark=hash_token(known)) if row and right else None


def find_user_row(db: Database, name: str) -> Row | None:
    """The row of a name; of the only user if the name is empty."""
    rows = db.query(
        """
        SELECT id, name, password_hash, is_owner, created_at
        FROM users
        WHERE name = :name OR :name = ''
        LIMIT 2
        """,
        name=name,
    )
    return rows[0] if len(rows) == 1 else None


def as_user(row: Row) -> User:
    """A row as a User."""
    return User(row["id"], row["name"], bool(row["is_owner"]), row["created_at"])


# --- logins ---


def create_login(
    db: Database, user_id: str, old_cookie: str = "", *, password_mark: str | None = None, now: int
) -> str:
    """Sign a browser in; answers its cookie's new value in place of the old one, which only the browser keeps.

    Signed in twice by a double click, it has two cookies, of which it keeps either, and is the same browser with both. Raises
    NotFound if the password that was checked, by its mark, is the user's no more: a new one ends what the old one opened.
    """
    cookie = new_token("")
    with db.write() as run:
        check_password_unchanged(run, user_id, password_mark)
        run(
            """
            INSERT INTO logins
                (cookie_hash, browser_hash, user_id, created_at, seen_at, expires_at)
            VALUES
                (:cookie_hash, :browser_hash, :user_id, :now, :now, :expires_at)
            """,
            cookie_hash=hash_token(cookie),
            browser_hash=hash_token((old_cookie or cookie) + user_id),
            user_id=user_id,
            now=now,
            expires_at=now + LOGIN_SECONDS,
        )
    return cookie


def find_login(db: Database, cookie: str, *, now: int) -> Login | None:
    """The login of a cookie, if it is alive."""
    rows = db.query(
        """
        SELECT l.cookie_hash, COALESCE(NULLIF(l.browser_hash, ''), l.cookie_hash) AS browser_hash,
            l.created_at AS login_at, l.seen_at, u.id, u.name, u.is_owner, u.created_at
        FROM logins l
        JOIN users u ON u.id = l.user_id
        WHERE l.cookie_hash = :cookie_hash AND l.expires_at > :now
        """,
        cookie_hash=hash_token(cookie),
        now=now,
    )
    if not rows:
        return None
    row = rows[0]
    return Login(row["cookie_hash"], row["browser_hash"], as_user(row), row["login_at"], row["seen_at"])


def note_login_seen(db: Database, login: Login, *, now: int) -> None:
    """Remember that the browser was here, at most once a minute, and let the login live on from now.

    Raises StorageError rather than wait long for other writers.
    """
    if now - login.seen_at < SEEN_EVERY_SECONDS:
        return
    with db.write(hasty=True) as run:
        run(
            """
            UPDATE logins
            SET seen_at = :now, expires_at = :expires_at
            WHERE cookie_hash = :cookie_hash
            """,
            cookie_hash=login.cookie_hash,
            now=now,
            expires_at=now + LOGIN_SECONDS,
        )


def end_login(db: Database, cookie: str) -> None:
    """Sign one browser out."""
    with db.write() as run:
        run("DELETE FROM logins WHERE cookie_hash = :cookie_hash", cookie_hash=hash_token(cookie))


def has_login(run: Run, cookie_hash: str) -> bool:
    """Whether a login has not been ended meanwhile, in an open transaction."""
    return bool(run("SELECT cookie_hash FROM logins WHERE cookie_hash = :cookie_hash", cookie_hash=cookie_hash))


def end_logins(run: Run, user_id: str) -> None:
    """Sign a user out of every browser, in an open transaction."""
    run("DELETE FROM logins WHERE user_id = :user_id", user_id=user_id)


def purge_logins(db: Database, *, now: int) -> None:
    """Drop the expired ones."""
    with db.write() as run:
        run("DELETE FROM logins WHERE expires_at <= :now", now=now)


# --- the first user ---


def replace_setup_code(db: Database, *, now: int) -> str:
    """A new one-time code for /setup; the one before is worth nothing any more."""
    code = new_code()
    with db.write() as run:
        run("DELETE FROM setup_codes")
        run(
            """
            INSERT INTO setup_codes
                (code_hash, created_at)
            VALUES
                (:code_hash, :now)
            """,
            code_hash=hash_code(code),
            now=now,
        )
    return code


def hash_code(code: str) -> str:
    """The hash of a set-up code, however its dashes, blanks and capitals were typed."""
    return hash_token(re.sub(r"[^A-Z0-9]", "", code.upper()))


def spend_setup_code(run: Run, code: str) -> None:
    """Use the code up, in an open transaction. Raises NotFound for a wrong or spent one, or once there is a user."""
    spent = run(
        """
        DELETE FROM setup_codes
        WHERE code_hash = :code_hash AND NOT EXISTS (SELECT id FROM users)
        RETURNING code_hash
        """,
        code_hash=hash_code(code),
    )
    if not spent:
        raise NotFound("wrong or spent set-up code")

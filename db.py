"""SQLite plumbing: connections, transactions, migrations. No table name in it but `migrations`; no business."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errors import ConfigError, StorageError

APPLICATION_ID = 0x506F7374  # "Post": so that `file` knows it, and we refuse somebody else's database
BUSY_SECONDS = 5
BEGIN_TRIES = 6
HASTY_SECONDS = 0.5

Row = sqlite3.Row
Run = Callable[..., list[Row]]
log = logging.getLogger("postern.db")


class Connection(sqlite3.Connection):
    """What a thread has of the file. Another thread may close it, but never in the middle of a statement: SQLite would crash."""

    def __init__(self, *args: Any, **options: Any):
        self._lock = threading.Lock()
        super().__init__(*args, **options)

    def run(self, sql: str, values: dict[str, Any] | tuple[()] = ()) -> list[Row]:
        """Run one statement and fetch all: an unfetched RETURNING would keep every other writer out."""
        with self._lock:
            return self.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close it, once a statement that runs has ended."""
        with self._lock:
            super().close()


class Held:
    """A thread's connection, which is closed when the thread has gone."""

    def __init__(self, connection: Connection):
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Database:
    """One SQLite file; each thread has a connection of its own that stays open as long as the thread lives."""

    def __init__(self, path: Path):
        self.path = path
        self._local = threading.local()
        self._opened: weakref.WeakSet[Held] = weakref.WeakSet()

    def query(self, sql: str, **values: Any) -> list[Row]:
        """The rows of one SELECT, outside any transaction. Raises StorageError when the file cannot be read."""
        with storage_errors():
            return run_statement(self._connection(), sql, values)

    @contextmanager
    def write(self, *, hasty: bool = False) -> Iterator[Run]:
        """One transaction: `with db.write() as run: run(sql, name=value)`. Committed at the end, rolled back by any error.

        A `hasty` one is for what is not worth waiting for: if others keep writing, it soon raises StorageError.
        """
        connection = self._connection()
        with storage_errors():
            (begin_hastily if hasty else begin_immediate)(connection)
        try:
            with storage_errors():
                yield lambda sql, **values: run_statement(connection, sql, values)
                connection.run("COMMIT")
        finally:
            if connection.in_transaction:  # SQLite may have rolled back by itself (disk full): again would raise
                connection.run("ROLLBACK")

    def close(self) -> None:
        """Close every connection, of whichever thread."""
        for held in list(self._opened):
            held.connection.close()
        self._local = threading.local()

    def _connection(self) -> Connection:
        held = getattr(self._local, "held", None)
        if held is None:
            with storage_errors():
                held = self._local.held = Held(connect(self.path))
            self._opened.add(held)
        return held.connection


def open_database(url: str, *, creates: bool = True) -> Database:
    """The database of a `sqlite:///` URL; its folder (0700) and file (0600) are made if they are not there and `creates`.

    Raises ConfigError with one line if that cannot be.
    """
    path = Path(url.removeprefix("sqlite:///"))
    try:
        if creates:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if creates else 0), 0o600))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not creates:
            where = "run this in the folder of your Postern, or start a new one with `make run`"
            raise ConfigError(f"{path} is not there, and so not up to date; {where}") from None
        raise ConfigError(f"the database file {path} cannot be opened: {error.strerror}") from None
    return Database(path)


def connect(path: Path) -> Connection:
    """A connection with our pragmas. `isolation_level=None`: transactions begin where we say so."""
    connection = Connection(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()  # not a database, or a broken one: leave nothing open behind
        raise
    return connection


def run_statement(connection: Connection, sql: str, values: dict[str, Any]) -> list[Row]:
    """Run one statement; answers all its rows."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s", " ".join(sql.split()))  # without values
    return connection.run(sql, values)


def begin_immediate(connection: Connection) -> None:
    """Take the write lock at once; SQLite's own waiting is not fair, so try again with some jitter."""
    for left in reversed(range(BEGIN_TRIES)):
        try:
            connection.run("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or left == 0:
                raise
            time.sleep(random.uniform(0.01, 0.1))


def begin_hastily(connection: Connection) -> None:
    """Take the write lock within HASTY_SECONDS, or raise."""
    connection.run(f"PRAGMA busy_timeout = {int(HASTY_SECONDS * 1000)}")
    try:
        connection.run("BEGIN IMMEDIATE")
    finally:
        connection.run(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what a programmer cannot mend (locked, full, I/O) into StorageError; constraint errors stay as they are."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(str(error)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise StorageError(str(error)) from error


# --- schema and migrations ---


def is_fresh(db: Database) -> bool:
    """Whether the file is still empty. Raises ConfigError if it is a database, but not ours."""
    try:
        found = db.query("PRAGMA application_id")[0][0]
        tables = db.query("SELECT count(*) FROM sqlite_master")[0][0]
    except StorageError as error:
        raise ConfigError(f"{db.path} is not a readable SQLite database: {error}") from None
    if found != APPLICATION_ID and (found or tables):
        raise ConfigError(f"{db.path} belongs to another program; refusing to touch it")
    return not tables


def migrate(db: Database, schema: Path, folder: Path, *, now: int) -> list[str]:
    """Bring the file up to date: the whole `schema` if it is fresh, else each missing file of `folder` in order.

    Answers the names applied. Raises ConfigError for a newer database, a failed step or a broken foreign key.
    """
    names = sorted(path.name for path in folder.glob("*.sql"))
    if is_fresh(db):
        load_schema(db, schema.read_text(), names, now)
        return names
    missing = check_version(db, names)
    if missing:
        back_up(db, now)
    for name in missing:
        run_script(db, name, (folder / name).read_text() + record_migration(name, now))
    check_foreign_keys(db)
    return missing


def check_version(db: Database, names: list[str]) -> list[str]:
    """The migrations that are still to run. Raises ConfigError if the database knows one that we do not."""
    applied = {row["name"] for row in db.query("SELECT name FROM migrations")}
    if unknown := sorted(applied - set(names)):
        raise ConfigError(f"{db.path} was written by a newer version ({unknown[-1]}); upgrade the program instead")
    return [name for name in names if name not in applied]


def check_current(db: Database, folder: Path) -> None:
    """Raise ConfigError unless the database is initialised and has every migration."""
    if is_fresh(db) or check_version(db, sorted(path.name for path in folder.glob("*.sql"))):
        raise ConfigError(f"{db.path} is not up to date; start with `make run`, or run: python cli.py migrate")


def load_schema(db: Database, schema: str, names: list[str], now: int) -> None:
    """Make all tables of a fresh file in one transaction, every migration recorded as done."""
    own = "CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL);\n"
    mark = f"PRAGMA application_id = {APPLICATION_ID};\n"
    run_script(db, "schema.sql", mark + own + schema + "".join(record_migration(name, now) for name in names))


def record_migration(name: str, now: int) -> str:
    """The statement that remembers a migration; its file name is its name, so it may hold nothing odd."""
    if not all(letter.isalnum() or letter in "_." for letter in name):
        raise ConfigError(f"a migration's file name may hold letters, digits, _ and . only: {name}")
    return f"\nINSERT INTO migrations (name, applied_at) VALUES ('{name}', {int(now)});\n"


def run_script(db: Database, name: str, script: str) -> None:
    """Run a whole script in one transaction, which a broken foreign key undoes like any other error.

    Statement by statement, because `executescript` would commit what is open.
    """
    connection = db._connection()
    connection.execute("PRAGMA foreign_keys = OFF")  # a migration may rebuild tables in any order
    try:
        begin_immediate(connection)
        for statement in split_statements(script):
            connection.execute(statement)
        check_foreign_keys(db)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise ConfigError(f"{name} failed and was undone: {error}") from None
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA foreign_keys = ON")


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one; a semicolon inside a string or a comment does not end one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def check_foreign_keys(db: Database) -> None:
    """Raise ConfigError if a row points at one that is not there."""
    if broken := db.query("PRAGMA foreign_key_check"):
        raise ConfigError(f"{db.path} is damaged: {len(broken)} rows of {broken[0]['table']} point at missing rows")


def back_up(db: Database, now: int) -> Path:
    """A consistent copy beside the database, made before it is changed."""
    target = db.path.with_name(f"{db.path.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}")
    if target.exists():
        raise ConfigError(f"the backup {target} already exists; move it away first")
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with sqlite3.connect(target) as copy:
        db._connection().backup(copy)
    copy.close()
    return target

"""db.py: transactions, and a database that is never left half changed."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import NOW, ROOT

from crypto import hash_token
from db import APPLICATION_ID, BUSY_SECONDS, Database, check_current, is_fresh, migrate, open_database, split_statements
from errors import ConfigError, StorageError
from store.authorizations import find_request
from store.users import find_login

SCHEMA = "CREATE TABLE pets (name TEXT PRIMARY KEY, owner TEXT REFERENCES pets (name));\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a schema and room for migrations."""
    (tmp_path / "schema.sql").write_text(SCHEMA)
    (tmp_path / "migrations").mkdir()
    return tmp_path


@pytest.fixture
def pets(folder: Path):
    """A database of that schema."""
    db = open_database(f"sqlite:///{folder}/data/pets.db")
    migrate(db, folder / "schema.sql", folder / "migrations", now=NOW)
    yield db
    db.close()


def add_migration(folder: Path, name: str, script: str) -> None:
    (folder / "migrations" / name).write_text(script)


def names(db: Database) -> list[str]:
    return [row["name"] for row in db.query("SELECT name FROM pets ORDER BY name")]


# --- transactions ---


def test_it_keeps_what_a_transaction_wrote(pets: Database):
    with pets.write() as run:
        run("INSERT INTO pets (name) VALUES (:name)", name="rex")
    assert names(pets) == ["rex"]


def test_it_undoes_a_transaction_that_fails(pets: Database):
    with pytest.raises(sqlite3.IntegrityError), pets.write() as run:
        run("INSERT INTO pets (name) VALUES ('rex')") + run("INSERT INTO pets (name) VALUES ('rex')")
    assert names(pets) == []


def test_a_broken_constraint_stays_an_integrity_error(pets: Database):
    with pytest.raises(sqlite3.IntegrityError), pets.write() as run:
        run("INSERT INTO pets (name, owner) VALUES ('rex', 'nobody')")
    assert names(pets) == []


def test_a_table_that_is_not_there_is_a_storage_error(pets: Database):
    with pytest.raises(StorageError):
        pets.query("SELECT name FROM cars")


def test_what_a_thread_opened_is_closed_when_it_has_gone(pets: Database):
    def opened() -> int:
        links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return len([link for link in links if link.startswith(str(pets.path))])

    names(pets)
    before, within = opened(), []
    for _ in range(5):
        thread = threading.Thread(target=lambda: within.append((names(pets), opened())))
        thread.start()
        thread.join()
    assert [count > before for _, count in within] == [True] * 5
    assert opened() <= before + 1  # SQLite keeps one for the next thread, as long as another one has locks on the file


def test_it_can_be_closed_while_another_thread_reads(pets: Database):
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    is_over, found = threading.Event(), {"rows": 0, "closed": 0}

    def read() -> None:
        while not is_over.is_set():
            try:
                found["rows"] += len(pets.query(counting))
            except sqlite3.ProgrammingError:
                found["closed"] += 1  # between taking the connection and using it; in the middle of a statement it would crash

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(100):
        time.sleep(0.001)
        pets.close()
    is_over.set()
    thread.join()
    assert found["rows"] > 0
    assert found["rows"] % 5000 == 0


def test_writers_in_many_threads_all_get_their_turn(pets: Database):
    def add(number: int) -> None:
        with pets.write() as run:
            run("INSERT INTO pets (name) VALUES (:name)", name=f"rex {number}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(pets)) == 40


def test_a_hasty_write_does_not_wait_for_others_and_a_plain_one_does_again(pets: Database):
    with closing(sqlite3.connect(pets.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(StorageError), pets.write(hasty=True):
            pass
        assert time.monotonic() - begun < BUSY_SECONDS / 2
        other.execute("ROLLBACK")
    assert pets.query("PRAGMA busy_timeout")[0][0] == BUSY_SECONDS * 1000
    with pets.write(hasty=True) as run:
        run("INSERT INTO pets (name) VALUES ('rex')")
    assert names(pets) == ["rex"]


@pytest.mark.parametrize("kind", [sqlite3.DatabaseError, sqlite3.OperationalError])
def test_what_breaks_in_a_transaction_is_storage_that_fails_and_a_broken_rule_is_not(pets: Database, kind: type[Exception]):
    with pytest.raises(StorageError, match="malformed"), pets.write():
        raise kind("database disk image is malformed")
    with pytest.raises(sqlite3.IntegrityError), pets.write() as run:
        run("INSERT INTO pets (name) VALUES ('rex'), ('rex')")
    with pets.write() as run:
        run("INSERT INTO pets (name) VALUES ('rex')")
    assert names(pets) == ["rex"]


def test_it_logs_statements_without_values(pets: Database, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG", "postern.db")
    pets.query("SELECT name FROM pets WHERE name = :name", name="a secret name")
    assert "SELECT name FROM pets" in caplog.text
    assert "a secret name" not in caplog.text


def test_the_file_and_what_sqlite_lays_beside_it_are_for_its_owner_only(pets: Database):
    with pets.write() as run:
        run("INSERT INTO pets (name) VALUES ('rex')")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in pets.path.parent.iterdir()}
    assert set(modes) >= {"pets.db", "pets.db-wal", "pets.db-shm"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(pets.path.parent.stat().st_mode) == 0o700


# --- opening ---


def test_it_refuses_the_database_of_another_program(tmp_path: Path):
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (id TEXT)")
    other.close()
    db = open_database(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(ConfigError, match="belongs to another program"):
        migrate(db, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    assert [row[0] for row in db.query("SELECT name FROM sqlite_master")] == ["theirs"]
    db.close()


def test_it_refuses_a_file_that_is_no_database(tmp_path: Path):
    (tmp_path / "letter.db").write_text("Dear reader, " * 100)
    db = open_database(f"sqlite:///{tmp_path}/letter.db")
    with pytest.raises(ConfigError, match="not a readable SQLite database"):
        is_fresh(db)
    db.close()
    assert (tmp_path / "letter.db").read_text().startswith("Dear reader")


def test_it_names_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/file/postern.db")


# --- migrations ---


def test_a_fresh_database_has_every_migration_recorded(folder: Path):
    add_migration(folder, "0001_colour.sql", "this is never run on a fresh database")
    db = open_database(f"sqlite:///{folder}/data/pets.db")
    assert migrate(db, folder / "schema.sql", folder / "migrations", now=NOW) == ["0001_colour.sql"]
    assert [tuple(row) for row in db.query("SELECT name, applied_at FROM migrations")] == [("0001_colour.sql", NOW)]
    assert db.query("PRAGMA application_id")[0][0] == APPLICATION_ID
    db.close()


def test_it_applies_what_is_missing_in_order_and_once(folder: Path, pets: Database):
    add_migration(folder, "0002_age.sql", "UPDATE pets SET name = name || ' 2';")
    add_migration(folder, "0001_colour.sql", "INSERT INTO pets (name) VALUES ('one');")
    assert migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW) == ["0001_colour.sql", "0002_age.sql"]
    assert migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW) == []
    assert names(pets) == ["one 2"]


def test_it_makes_a_backup_before_it_changes_anything(folder: Path, pets: Database):
    with pets.write() as run:
        run("INSERT INTO pets (name) VALUES ('rex')")
    add_migration(folder, "0001_gone.sql", "DELETE FROM pets;")
    migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW)
    (backup,) = pets.path.parent.glob("pets.db.before-*")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with sqlite3.connect(backup) as copy:
        assert copy.execute("SELECT name FROM pets").fetchall() == [("rex",)]
    copy.close()
    assert names(pets) == []


def test_a_migration_that_fails_half_way_leaves_nothing(folder: Path, pets: Database):
    add_migration(folder, "0001_half.sql", "CREATE TABLE half (id TEXT); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(ConfigError, match=r"0001_half\.sql failed and was undone"):
        migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW)
    assert not pets.query("SELECT name FROM sqlite_master WHERE name = 'half'")
    assert not pets.query("SELECT name FROM migrations")


def test_a_migration_that_breaks_a_foreign_key_is_undone(folder: Path, pets: Database):
    add_migration(folder, "0001_orphan.sql", "INSERT INTO pets (name, owner) VALUES ('rex', 'nobody');")
    with pytest.raises(ConfigError, match="point at missing rows"):
        migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW)
    assert names(pets) == []


def test_it_refuses_a_database_with_a_broken_foreign_key(folder: Path, pets: Database):
    pets.close()
    with sqlite3.connect(pets.path) as rude:
        rude.execute("INSERT INTO pets (name, owner) VALUES ('rex', 'nobody')")
    rude.close()
    with pytest.raises(ConfigError, match="1 rows of pets point at missing rows"):
        migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW)


def test_it_refuses_a_newer_database(folder: Path, pets: Database):
    with pets.write() as run:
        run("INSERT INTO migrations (name, applied_at) VALUES ('0099_future.sql', 1)")
    with pytest.raises(ConfigError, match="newer version"):
        migrate(pets, folder / "schema.sql", folder / "migrations", now=NOW)
    with pytest.raises(ConfigError, match="newer version"):
        check_current(pets, folder / "migrations")


def test_a_worker_refuses_a_database_that_is_not_up_to_date(folder: Path, pets: Database):
    check_current(pets, folder / "migrations")
    add_migration(folder, "0001_more.sql", "CREATE TABLE more (id TEXT);")
    with pytest.raises(ConfigError, match="not up to date"):
        check_current(pets, folder / "migrations")


def test_semicolons_in_comments_and_strings_do_not_end_a_statement():
    script = "-- first; not yet\nINSERT INTO a VALUES (';');\nSELECT 1; -- over\n"
    first, second, *rest = split_statements(script)
    assert "VALUES (';')" in first
    assert (second, rest) == ("SELECT 1; -- over\n", [])


# --- the real schema ---


def dump(db: Database) -> dict[str, str]:
    """Every table and index with its SQL: without comments, and without the quotes and spaces that changes leave behind."""
    rows = db.query("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    plain = {row["name"]: " ".join(re.sub(r"--.*", "", row["sql"]).replace('"', "").split()) for row in rows}
    return {name: re.sub(r" (?=[,)])", "", sql) for name, sql in plain.items()}


@pytest.mark.parametrize("frozen", sorted((ROOT / "tests" / "schema").glob("*.sql")), ids=lambda path: path.stem)
def test_an_upgraded_database_equals_a_fresh_one(frozen: Path, tmp_path: Path, db: Database):
    """A frozen schema is a copy of schema.sql behind a first line that names the migrations it already includes."""
    included = frozen.read_text().splitlines()[0].removeprefix("-- Frozen. Migrations included: ")
    (tmp_path / "then").mkdir()
    for name in included.replace("none", "").split():
        (tmp_path / "then" / name).touch()
    old = open_database(f"sqlite:///{tmp_path}/old/postern.db")
    migrate(old, frozen, tmp_path / "then", now=NOW)
    migrate(old, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    assert dump(old) == dump(db)
    old.close()


def test_a_profile_of_before_gets_a_core_set_and_its_grants_keep_theirs(tmp_path: Path):
    (tmp_path / "then").mkdir()
    for name in (path.name for path in (ROOT / "migrations").glob("*.sql") if path.name != "0012_core_sets.sql"):
        (tmp_path / "then" / name).touch()
    old = open_database(f"sqlite:///{tmp_path}/old/postern.db")
    before = (ROOT / "schema.sql").read_text().replace("'all', 'read_only', 'core'", "'all', 'read_only'")
    (tmp_path / "before.sql").write_text(before)
    migrate(old, tmp_path / "before.sql", tmp_path / "then", now=NOW)
    with old.write() as run:
        run("INSERT INTO users (id, name, password_hash, is_owner, created_at) VALUES ('u', 'alice', '', 1, 0)")
        run("INSERT INTO profiles (id, user_id, slug, name, is_default, created_at) VALUES ('p', 'u', 'home', 'home', 1, 0)")
        run("INSERT INTO feature_sets (id, profile_id, kind, name) VALUES ('s', 'p', 'all', 'Everything')")
        run("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at) VALUES ('k', 'u', 'Robot', 'h', 'x', 0)")
        run("INSERT INTO grants (id, profile_id, api_key_id, created_at, updated_at) VALUES ('g', 'p', 'k', 0, 0)")
        run("INSERT INTO grant_feature_sets (grant_id, feature_set_id) VALUES ('g', 's')")
    migrate(old, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    assert [(row["kind"], row["name"]) for row in old.query("SELECT kind, name FROM feature_sets ORDER BY kind")] == [
        ("all", "Everything"), ("core", "Core"),
    ]  # fmt: skip
    assert [tuple(row) for row in old.query("SELECT grant_id, feature_set_id FROM grant_feature_sets")] == [("g", "s")]
    old.close()


def test_who_is_about_to_decide_goes_on_after_an_upgrade(tmp_path: Path):
    """A browser was called by its cookie until migration 0021."""
    frozen, cookie = ROOT / "tests" / "schema" / "0.1.0-beta.sql", "c" * 43
    (tmp_path / "then").mkdir()
    for name in frozen.read_text().splitlines()[0].removeprefix("-- Frozen. Migrations included: ").split():
        (tmp_path / "then" / name).touch()
    old = open_database(f"sqlite:///{tmp_path}/old/postern.db")
    migrate(old, frozen, tmp_path / "then", now=NOW)
    with old.write() as run:
        run("INSERT INTO users (id, name, password_hash, is_owner, created_at) VALUES ('u', 'alice', '', 1, 0)")
        run(
            "INSERT INTO logins (cookie_hash, user_id, created_at, seen_at, expires_at) VALUES (:hash, 'u', 0, :now, :now + 9)",
            hash=hash_token(cookie),
            now=NOW,
        )
        run("INSERT INTO clients (id, kind, auth_method, metadata_json, created_at) VALUES ('c', 'dcr', 'none', '{}', 0)")
        run(
            """
            INSERT INTO authorization_requests
                (id, browser_hash, client_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
            VALUES
                ('r', :hash, 'c', '', '', '', '', 0, 0)
            """,
            hash=hash_token(cookie),
        )
    migrate(old, ROOT / "schema.sql", ROOT / "migrations", now=NOW)
    wanted = find_request(old, "r", find_login(old, cookie, now=NOW).browser_hash)
    assert (wanted.decided_at, wanted.code_hash) == (None, None)
    old.close()


def test_what_refers_to_a_row_is_found_by_an_index(db: Database):
    """When a row goes, SQLite looks for what refers to it: in the whole table, unless there is an index for that."""
    found = 0
    for (table,) in db.query("SELECT name FROM sqlite_master WHERE type = 'table'"):
        indexes = [
            [column["name"] for column in db.query(f"PRAGMA index_info({index['name']})")]
            for index in db.query(f"PRAGMA index_list({table})")
            if not index["partial"]
        ]
        references: dict[int, list[str]] = {}
        for row in db.query(f"PRAGMA foreign_key_list({table})"):
            references.setdefault(row["id"], []).append(row["from"])
        for columns in references.values():
            found += 1
            assert any(set(index[: len(columns)]) == set(columns) for index in indexes), f"{table} by {columns}"
    assert found > 30


def test_every_released_schema_is_frozen():
    assert sorted((ROOT / "tests" / "schema").glob("*.sql")), "freeze schema.sql under tests/schema/ with each release"


def test_the_schema_names_an_owner_above_each_table_that_exists():
    text = (ROOT / "schema.sql").read_text()
    blocks = text.split("CREATE TABLE ")[1:]
    before = text.split("CREATE TABLE ")[:-1]
    for block, lead in zip(blocks, before, strict=True):
        owner = [line for line in lead.splitlines() if line.startswith("-- store/")][-1].removeprefix("-- ").strip()
        assert os.path.exists(ROOT / owner), f"{owner} should own {block.split()[0]}"
        assert f" {block.split()[0]}" in (ROOT / owner).read_text()

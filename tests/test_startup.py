"""startup.py: the key is checked before anything is touched; the first user has a way in."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MASTER_KEY, NOW, ROOT

from config import Settings
from db import Database, open_database
from errors import ConfigError
from startup import bring_up_to_date, prepare
from store.connections import Draft, insert_connection, list_secrets
from store.keys import open_vault
from store.users import check_password, count_users

OTHER_KEY = "c41be0773a9d5f286e02d8b1947f3ac56d80b6e1529f4a07dd83c61f95ba2e3c"


def with_changes(settings: Settings, **changes: object) -> Settings:
    return dataclasses.replace(settings, **changes)


def digest_of(database_url: str) -> str:
    """A hash of the database file, to show that nothing touched it."""
    return hashlib.sha256(Path(database_url.removeprefix("sqlite:///")).read_bytes()).hexdigest()


def test_the_first_start_greets_with_the_url_and_a_one_time_code(settings: Settings):
    lines = "\n".join(prepare(settings))
    assert "Paste this into your assistant: http://localhost:8000/mcp" in lines
    assert "http://localhost:8000/setup" in lines
    assert "One-time code: " in lines


def test_each_start_makes_a_new_code_until_there_is_a_user(settings: Settings):
    first, second = prepare(settings), prepare(settings)
    assert first != second
    assert not any("code" in line for line in prepare(with_changes(settings, owner_password="a fine long password")))
    assert not any("code" in line for line in prepare(settings))


def test_an_owner_password_makes_the_owner_on_an_empty_database_only(settings: Settings):
    prepare(with_changes(settings, owner_password="a fine long password"))
    prepare(with_changes(settings, owner_password="another long password"))
    db = open_database(settings.database_url)
    assert count_users(db) == 1
    assert check_password(db, "owner", "a fine long password").is_owner
    assert check_password(db, "owner", "another long password") is None
    db.close()


def test_a_weak_owner_password_is_told_of(settings: Settings):
    greeting = "\n".join(prepare(with_changes(settings, owner_password="short")))
    assert "OWNER_PASSWORD is weak. At least 10 characters" in greeting
    assert "http://localhost:8000/account" in greeting
    assert "weak" not in "\n".join(prepare(with_changes(settings, owner_password="short")))


def test_a_wrong_key_stops_the_start_and_touches_nothing(settings: Settings):
    prepare(settings)
    before = digest_of(settings.database_url)
    with pytest.raises(ConfigError, match="MASTER_KEY is not the one"):
        prepare(with_changes(settings, master_key=bytes.fromhex(OTHER_KEY)))
    assert digest_of(settings.database_url) == before


def test_the_key_can_be_changed_and_secrets_stay_readable(settings: Settings):
    prepare(with_changes(settings, owner_password="a fine long password"))
    db = open_database(settings.database_url)
    user_id = check_password(db, "owner", "a fine long password").id
    with db.write() as run:
        vault = open_vault(db, settings.master_key)
        connection_id = insert_connection(run, vault, user_id, Draft("personal_context", "x", {}, {"api_key": "s3cret"}), NOW)
    changed = with_changes(settings, master_key=bytes.fromhex(OTHER_KEY), master_key_previous=settings.master_key)
    prepare(changed)
    assert list_secrets(db, open_vault(db, changed.master_key), connection_id) == {"api_key": "s3cret"}
    with pytest.raises(ConfigError, match="MASTER_KEY is not the one"):
        open_vault(db, settings.master_key)
    prepare(changed)  # the previous key may stay set
    db.close()


def test_a_start_that_was_cut_off_before_the_data_key_is_mended(settings: Settings, db: Database):
    assert not db.query("SELECT id FROM data_keys")
    bring_up_to_date(db, settings, now=NOW)
    open_vault(db, settings.master_key)


def test_a_database_that_lost_its_data_key_is_refused(settings: Settings, db: Database):
    bring_up_to_date(db, settings, now=NOW)
    with db.write() as run:
        run("UPDATE data_keys SET wrapped = 'AAAA'")
    with pytest.raises(ConfigError, match="is damaged"):
        open_vault(db, settings.master_key)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "MASTER_KEY is missing"),
        ({"MASTER_KEY": "changeme"}, "MASTER_KEY: must be"),
        ({"MASTER_KEY": "00" * 32}, "placeholder"),
        ({"MASTER_KEY": OTHER_KEY}, "MASTER_KEY is not the one"),
        ({"MASTER_KEY": MASTER_KEY, "PUBLIC_URL": "http://public.example"}, "PUBLIC_URL: must begin with https"),
    ],
    ids=["missing", "short", "placeholder", "wrong", "public-http"],
)
def test_the_server_ends_with_one_clear_line(settings: Settings, tmp_path: Path, environ: dict[str, str], line: str):
    prepare(settings)
    before = digest_of(settings.database_url)
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")]
    words = {"PATH": os.environ["PATH"], "DATABASE_URL": settings.database_url, "PORT": "8999"} | environ
    ended = subprocess.run(command, cwd=tmp_path, env=words, capture_output=True, text=True, timeout=30, check=False)
    said = [text for text in ended.stderr.splitlines() if text and " [INFO] " not in text]
    assert ended.returncode != 0
    assert len(said) == 1, ended.stderr
    assert line in said[0]
    assert "Traceback" not in ended.stderr + ended.stdout
    assert digest_of(settings.database_url) == before

"""cli.py: looks after the database when no page can be opened."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MASTER_KEY

import cli
from config import Settings
from crypto import hash_token
from db import open_database
from startup import prepare
from store.api_keys import find_key, list_keys
from store.clients import find_client, put_client
from store.grants import list_granted_kinds
from store.users import check_password, create_login, find_login, find_user_by_name


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Runs a command on the test's own database, with `typed` on standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASTER_KEY", MASTER_KEY)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)

    def run_command(*arguments: str, typed: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return cli.main(list(arguments))

    return run_command


def test_it_adds_users_and_lists_them(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    assert run("add-user", "Alice", typed="a fine long password\n") == 0
    assert run("add-user", "bob", typed="another long password\n") == 0
    assert run("users") == 0
    out = capsys.readouterr().out
    assert "Made the owner alice." in out
    assert "Made the user bob." in out
    assert [line.split("\t")[:2] for line in out.splitlines()[2:]] == [["alice", "owner"], ["bob", "user"]]
    db = open_database(settings.database_url)
    assert check_password(db, "bob", "another long password").name == "bob"
    db.close()


@pytest.mark.parametrize(
    ("name", "typed", "reason"),
    [("alice", "short\n", "At least 10 characters"), ("al ice", "a fine long password\n", "1 to 40 letters")],
)
def test_it_refuses_a_bad_user_in_one_line(run, settings: Settings, capsys: pytest.CaptureFixture, name, typed, reason):
    prepare(settings)
    assert run("add-user", name, typed=typed) == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: ")
    assert reason in err
    assert err.count("\n") == 1


def test_it_migrates_a_fresh_database_once(run, settings: Settings, capsys: pytest.CaptureFixture):
    assert run("users") == 1
    assert "not up to date" in capsys.readouterr().err
    assert not Path(settings.database_url.removeprefix("sqlite:///")).exists()  # it makes none where it finds none
    assert run("migrate") == 0
    assert run("migrate") == 0
    assert "Nothing to do." in capsys.readouterr().out
    assert run("users") == 0


@pytest.mark.parametrize("key", [KeyboardInterrupt, EOFError])
def test_who_stops_it_sees_one_line(run, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, key):
    def press(*_: object) -> None:
        raise key

    prepare(settings)
    monkeypatch.setattr(cli, "read_password", press)
    assert run("add-user", "alice") == 1
    assert capsys.readouterr().err == "Error: stopped.\n"


def test_it_gives_a_user_a_new_password(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    run("add-user", "alice", typed="a fine long password\n")
    db = open_database(settings.database_url)
    alice = check_password(db, "alice", "a fine long password")
    cookie = create_login(db, alice.id, now=int(time.time()))
    assert run("set-password", "Alice", typed="another long password\n") == 0
    assert "Changed the password of alice." in capsys.readouterr().out
    assert check_password(db, "alice", "another long password") == alice
    assert check_password(db, "alice", "a fine long password") is None
    assert find_login(db, cookie, now=int(time.time())) is None
    for name, typed in (("bob", "another long password\n"), ("", "another long password\n"), ("alice", "short\n")):
        assert run("set-password", name, typed=typed) == 1
    assert check_password(db, "alice", "another long password") == alice
    db.close()


def test_it_makes_lists_and_revokes_api_keys(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    for name in ("alice", "bob"):
        run("add-user", name, typed="a fine long password\n")
    capsys.readouterr()
    assert run("add-key", "Alice", "--name", "Night job", "--profile", "home", "--feature-set", "read_only", "--days", "30") == 0
    made = capsys.readouterr()
    assert re.fullmatch(r"mcp_sk_[A-Za-z0-9_-]{43}\n", made.out)
    assert "Read only in home" in made.err
    db = open_database(settings.database_url)
    holder = find_key(db, made.out.strip())
    assert list_granted_kinds(db, holder.grant_id) == {"read_only"}
    assert holder.ends_at == pytest.approx(time.time() + 30 * 86400, abs=60)
    assert (run("keys"), run("keys", "alice"), run("keys", "bob")) == (0, 0, 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].split("\t")[:4] == [holder.id, "alice", "Night job", made.out[:12] + "…"]
    assert (run("revoke-key", "bob", holder.id), run("revoke-key", "alice", holder.id)) == (1, 0)
    assert find_key(db, made.out.strip()) is None
    assert run("revoke-key", "alice", holder.id) == 1
    assert "alice has no such key" in capsys.readouterr().err
    db.close()


def test_an_api_key_has_everything_for_a_year_unless_it_is_told(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    run("add-user", "alice", typed="a fine long password\n")
    db = open_database(settings.database_url)
    for days in (["--days", "0"], []):
        assert run("add-key", "alice", "--name", "x", *days) == 0
    keys = list_keys(db, find_user_by_name(db, "alice").id)
    assert {key.feature_set for key in keys} == {"Everything"}
    assert {key.expires_at and key.expires_at - key.created_at for key in keys} == {None, 365 * 86400}
    db.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("alice", "--name", "x", "--profile", "work"), "Profiles of alice: home"),
        (("alice", "--name", "x", "--feature-set", "some"), "There is no such profile or feature set"),
        (("alice", "--name", "x", "--days", "-1"), "cannot be negative"),
        (("alice", "--name", ""), "1 to 60 ordinary characters"),
        (("bob", "--name", "x"), "There is no such user"),
    ],
)
def test_it_makes_no_odd_key(run, settings: Settings, capsys: pytest.CaptureFixture, arguments, reason):
    prepare(settings)
    run("add-user", "alice", typed="a fine long password\n")
    capsys.readouterr()
    assert run("add-key", *arguments) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert reason in said.err
    assert run("keys") == 0
    assert capsys.readouterr().out == ""


def test_it_makes_lists_and_deletes_clients(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    db = open_database(settings.database_url)
    assert run("add-client", "Desk", "http://127.0.0.1/callback") == 0
    assert run("add-client", "Cloud", "https://cloud.example/a", "https://cloud.example/b", "--secret") == 0
    said = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in said] == ["client_id", "client_id", "client_secret"]
    desk, cloud = find_client(db, said[0][1]), find_client(db, said[1][1])
    assert (desk.kind, desk.name, desk.auth_method, desk.secret_hash) == ("preregistered", "Desk", "none", None)
    assert cloud.redirect_uris == ("https://cloud.example/a", "https://cloud.example/b")
    assert cloud.secret_hash == hash_token(said[2][1])
    put_client(db, replace(desk, id="client_evil", kind="dcr", name="\x1b[2J\nevil"))
    assert run("clients") == 0
    listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {line[0] for line in listed} == {desk.id, cloud.id, "client_evil"}
    assert {line[1] for line in listed} == {"preregistered", "dcr"}
    assert {line[2] for line in listed} == {"Desk", "Cloud", "[2Jevil"}
    assert {line[4] for line in listed} == {"never let in"}
    assert run("delete-client", desk.id) == 0
    assert find_client(db, desk.id) is None
    assert run("delete-client", desk.id) == 1
    assert "There is no such client" in capsys.readouterr().err
    db.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((" ", "https://a.example/"), "This is needed."), (("A", "http://a.example/"), "uses http although")],
)
def test_it_makes_no_odd_client(run, settings: Settings, capsys: pytest.CaptureFixture, arguments, reason):
    prepare(settings)
    assert run("add-client", *arguments) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert reason in said.err


def test_it_makes_a_set_up_code_until_there_is_a_user(run, settings: Settings, capsys: pytest.CaptureFixture):
    prepare(settings)
    assert run("setup-code") == 0
    assert "/setup: " in capsys.readouterr().out
    run("add-user", "alice", typed="a fine long password\n")
    assert run("setup-code") == 1
    assert "/setup is closed" in capsys.readouterr().err


def test_a_wrong_key_is_one_line(run, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    prepare(settings)
    monkeypatch.setenv("MASTER_KEY", MASTER_KEY[::-1])
    assert run("add-user", "alice", typed="a fine long password\n") == 1
    assert capsys.readouterr().err.startswith("Error: MASTER_KEY is not the one")


def test_help_names_every_command(run, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        run("--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    users, others = ("add-user", "set-password", "users"), ("setup-code", "migrate")
    keys, clients = ("add-key", "keys", "revoke-key"), ("add-client", "clients", "delete-client")
    commands = users + keys + clients + others
    assert all(command in out for command in commands)

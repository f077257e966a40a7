"""gunicorn.conf.py: Postern itself, started as people start it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from nursery import is_there
from patience import wait_until
from server import ROOT, Server, base_environ, free_port, running_gunicorn, running_server, start

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fresh Postern without an owner."""
    with running_server(tmp_path_factory.mktemp("postern")) as running:
        yield running


@dataclass(frozen=True)
class Answer:
    """What a GET was answered with."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(server: Server, path: str, **headers: str) -> Answer:
    """One GET, headers just as they are given."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def refusal(folder: Path, **environ: str) -> str:
    """What gunicorn writes when it must not start; AssertionError if it does start, or tries again."""
    own = {"PORT": str(free_port()), "DATABASE_URL": f"sqlite:///{folder}/data/postern.db"}
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")]
    process = start(folder, command, base_environ(folder) | own | environ)
    try:
        assert process.wait(10) == 1
    finally:
        process.kill()
        process.wait()
    return (folder / "server.log").read_text()


def test_it_says_where_to_go_and_how_to_begin(server: Server):
    assert f"Paste this into your assistant: {server.url}/mcp\n" in server.log
    assert f"{server.url}/setup" in server.log
    assert server.log.count("One-time code: ") == 1


def test_it_is_ready(server: Server):
    assert ask(server, "/readyz").status == 200


def test_it_answers_health_checks_under_any_name_but_nothing_else(server: Server):
    assert ask(server, "/healthz", Host="evil.example").status == 200
    assert ask(server, "/login", Host="evil.example").status == 421


def test_it_does_not_say_its_version(server: Server):
    assert not [word for word in ("27", "3.1", "Werkzeug", "Python") if word in ask(server, "/healthz").headers["Server"]]


def test_it_keeps_its_files_to_itself(server: Server):
    database = server.folder / "data" / "postern.db"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    assert not (server.folder / ".gunicorn").exists()  # no control socket


@pytest.mark.parametrize("header", ["X_Forwarded_Host", "X_Forwarded_Proto", "Script_Name", "Forwarded"])
def test_no_header_changes_who_it_is(server: Server, header: str):
    answer = ask(server, "/.well-known/oauth-authorization-server", **{header: "https"})
    assert json.loads(answer.body)["issuer"] == server.url


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"MASTER_KEY": ""}, "Postern cannot start: MASTER_KEY is missing"),
        ({"MASTER_KEY": "0" * 64}, "Postern cannot start: MASTER_KEY: "),
        ({"PUBLIC_URL": "http://public.example"}, "Postern cannot start: PUBLIC_URL: "),
        ({"DATABASE_URL": "sqlite:////proc/nowhere/postern.db"}, "Postern cannot start: the database file "),
    ],
)
def test_it_refuses_to_start_with_one_clear_line(tmp_path: Path, environ: dict[str, str], line: str):
    log = refusal(tmp_path, **environ)
    assert [said for said in log.splitlines() if "[INFO]" not in said] == [log.splitlines()[-1]]
    assert log.splitlines()[-1].startswith(line)


def test_it_refuses_another_key_and_leaves_the_database_alone(tmp_path: Path):
    with running_server(tmp_path / "first"):
        pass
    database = tmp_path / "first" / "data" / "postern.db"
    before = database.read_bytes()
    log = refusal(tmp_path / "first", MASTER_KEY=os.urandom(32).hex())
    assert log.splitlines()[-1].startswith("Postern cannot start: ")
    assert "Traceback" not in log
    assert database.read_bytes() == before


def test_it_reads_the_key_from_a_file_or_from_dotenv(tmp_path: Path):
    key = os.urandom(32).hex()
    (tmp_path / "key").write_text(key + "\n")
    with running_server(tmp_path, MASTER_KEY="", MASTER_KEY_FILE=str(tmp_path / "key")):
        pass
    (tmp_path / ".env").write_text(f"MASTER_KEY={key}\n")
    with running_server(tmp_path, MASTER_KEY="") as server:
        assert key not in server.log


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_other_processes_of_its_user_do_not_see_the_key(tmp_path: Path):
    plain = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []  # root like any other user

    def environ_of(process: int) -> bytes:
        return subprocess.run([*plain, "cat", f"/proc/{process}/environ"], capture_output=True, check=False).stdout

    with running_server(tmp_path, launcher=plain) as server:
        pid = server.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(workers) == 1
        assert environ_of(pid) + environ_of(int(workers[0])) == b""
    with subprocess.Popen([*plain, "sh", "-c", "echo; sleep 20"], env={"KEY": "seen"}, stdout=subprocess.PIPE) as open_book:
        open_book.stdout.readline()
        assert b"KEY=seen\0" in environ_of(open_book.pid)
        open_book.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_process_does_not_see_the_key_and_ends_with_the_server(tmp_path: Path, end: signal.Signals):
    secret = tmp_path / "key"
    secret.write_text(os.urandom(32).hex())
    (tmp_path / ".env").write_text("LOG_LEVEL=info\n")
    paths = [f"/proc/{who}/{what}" for who in ("ARBITER", "WORKER") for what in ("environ", "mem", "maps", "cwd/key")]
    paths += [str(secret), str(tmp_path / ".env"), str(tmp_path / "data" / "postern.db")]
    wanted = {"MASTER_KEY": "", "MASTER_KEY_FILE": str(secret), "ALLOW_STDIO": "1"}
    with running_gunicorn(tmp_path, ["-c", str(ROOT / "gunicorn.conf.py"), "child_app:app"], **wanted) as server:
        found = json.loads(ask(server, "/?" + "&".join(paths)).body)
        daemon = int(found.pop("daemon"))
        assert found == {"dumpable": 0, "python": sys.executable} | dict.fromkeys(paths, "PermissionError")
        assert is_there(daemon)
        workers = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        for pid in (server.process.pid, *map(int, workers)):
            os.kill(pid, end)
        server.process.wait(20)
        wait_until(lambda: not is_there(daemon))


def test_it_stops_and_hangs_up_cleanly(tmp_path: Path):
    with running_server(tmp_path, WORKERS="2") as server:
        server.process.send_signal(signal.SIGHUP)
        assert all(server.answers(timeout=20) for _ in range(30))
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.stop() == 0
        assert "Traceback" not in server.log


def test_it_offers_the_connectors_of_a_test(tmp_path: Path):
    with running_server(tmp_path, connectors_module="fixture_connector") as server:
        assert ask(server, "/readyz").status == 200

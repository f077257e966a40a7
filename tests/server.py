"""Starts real gunicorn servers for tests, each on a free port with a folder of its own. Knows no page and no protocol."""

from __future__ import annotations

import http.client
import importlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIXTURE_CONFIG = ROOT / "tests" / "gunicorn_fixture.conf.py"
MASTER_KEY = "0d9c41b7e6a2583f71c4de905b16f8a37be2640c9d13f5785a2ec7410fb3968e"
START_SECONDS = 90  # importing alone takes seconds where many tests share a machine
STOP_SECONDS = 15


@dataclass
class Server:
    """A running server. `url` is its PUBLIC_URL, without a slash at the end."""

    url: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """All that it has written so far, to stdout and to stderr."""
        return (self.folder / "server.log").read_text()

    def answers(self, timeout: float = 5) -> bool:
        """Whether /healthz says 200 within the time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", "/healthz", headers={"Connection": "close"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> int:
        """Ask it to end, wait, and answer its exit code. One that does not end is killed and fails the test."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop within {STOP_SECONDS} seconds:\n{self.log}") from None


@contextmanager
def running_server(
    folder: Path, connectors_module: str | None = None, launcher: Sequence[str] = (), **environ: str
) -> Iterator[Server]:
    """Postern itself, with its own gunicorn.conf.py, a fresh database in `folder`, and `environ` over the test's settings.

    `connectors_module` names a module in tests/ whose `CONNECTOR` is offered beside the built-in ones. An empty value in
    `environ` takes a setting away.
    """
    config = ROOT / "gunicorn.conf.py"
    if connectors_module:
        config, environ["TEST_CONNECTORS"] = FIXTURE_CONFIG, connectors_module
    with running_gunicorn(folder, ["-c", str(config)], launcher, **environ) as server:
        yield server


@contextmanager
def running_gunicorn(
    folder: Path, arguments: Sequence[str], launcher: Sequence[str] = (), cwd: Path | None = None, **environ: str
) -> Iterator[Server]:
    """Any gunicorn, with HOST, PORT, PUBLIC_URL, MASTER_KEY and DATABASE_URL set; waits until /healthz answers.

    `{port}` in an argument stands for the port. `launcher` is a command that starts another, such as setpriv.
    It runs in `cwd`, or in `folder`, where its log goes in any case.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    own = {"PORT": str(port), "PUBLIC_URL": f"http://localhost:{port}", "DATABASE_URL": f"sqlite:///{folder}/data/postern.db"}
    words = base_environ(folder) | own | environ
    command = [*launcher, sys.executable, "-m", "gunicorn", *(argument.replace("{port}", str(port)) for argument in arguments)]
    server = Server(words["PUBLIC_URL"], port, folder, start(folder, command, words, cwd))
    try:
        wait_until_it_answers(server)
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def start(folder: Path, command: Sequence[str], environ: dict[str, str], cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a command in `folder`, where no `.env` of a developer lies; its output goes to server.log there."""
    words = {name: value for name, value in environ.items() if value}
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(command, cwd=cwd or folder, env=words, stdout=log, stderr=subprocess.STDOUT)


def base_environ(folder: Path) -> dict[str, str]:
    """An environment that has nothing of the developer's but the search path."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "MASTER_KEY": MASTER_KEY,
    }


def wait_until_it_answers(server: Server) -> None:
    """Return once /healthz answers; AssertionError with the log if the server ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while not server.answers(timeout=1):
        assert server.process.poll() is None, f"the server ended with {server.process.returncode}:\n{server.log}"
        assert time.monotonic() < deadline, f"the server does not answer:\n{server.log}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def app_with_test_connectors() -> Any:
    """What gunicorn_fixture.conf.py serves: the built-in connectors and those of the modules in TEST_CONNECTORS."""
    from app import create_app  # noqa: PLC0415 - in the server's process only
    from connectors.catalog import CONNECTORS  # noqa: PLC0415

    modules = [importlib.import_module(name) for name in os.environ["TEST_CONNECTORS"].split(",")]
    return create_app(connectors=CONNECTORS | {module.CONNECTOR.name: module.CONNECTOR for module in modules})

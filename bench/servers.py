"""Starts what is compared, each in one worker process on a free port of 127.0.0.1, and ends it by its id."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parent
ROOT = BENCH.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from actors import PASSWORD, Assistant, Person  # noqa: E402 - they are the tests'
from server import free_port, running_gunicorn  # noqa: E402

BUILD = ROOT / "build"  # the peers' virtual environments
START_SECONDS = 60
STOP_SECONDS = 15


@dataclass(frozen=True)
class Target:
    """A server under test: where it is, what opens it, and its processes."""

    name: str
    port: int
    token: str
    pids: tuple[int, ...]
    path: str = "/mcp"


def make_peers(name: str = "bench-peers", requirements: str = "requirements-bench.txt") -> Path:
    """The Python of the peers' environment, which is made anew whenever its requirements have changed."""
    wanted, folder = BENCH / requirements, BUILD / name
    python, mark = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        print("Installing the peers …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True, timeout=600)
        mark.write_text(digest)
    return python


@contextmanager
def running_targets(folder: Path) -> Iterator[dict[str, Target]]:
    """All of them, by name; those that are not measured just now only wait."""
    peers = make_peers()
    with ExitStack() as stack:
        targets = (
            stack.enter_context(running_postern(folder / "postern")),
            stack.enter_context(running_peer("sdk", [str(peers), str(BENCH / "peer_sdk.py")], folder)),
            stack.enter_context(running_peer("fastmcp", [str(peers), str(BENCH / "peer_fastmcp.py")], folder)),
            stack.enter_context(running_floor(folder / "floor")),
        )
        yield {target.name: target for target in targets}


@contextmanager
def running_postern(folder: Path) -> Iterator[Target]:
    """Postern as it is run by people, with all its defaults, and a token from the whole OAuth flow."""
    arguments = ["-c", str(BENCH / "gunicorn_bench.conf.py")]
    with running_gunicorn(folder, arguments, **paths(), OWNER_PASSWORD=PASSWORD, WORKERS="1") as server:
        alice, assistant = Person(server.url), Assistant(server.url)
        alice.sign_in()
        form = alice.submit(alice.get(assistant.authorize_url()), connector="bench")
        consent = alice.submit(form, button=("action", "save"), connection_name="Bench")
        granted = alice.submit(consent, button=("decision", "approve"))
        token = assistant.exchange(granted.headers["Location"]).json()["access_token"]
        yield Target("postern", server.port, token, family(server.process.pid))


@contextmanager
def running_floor(folder: Path) -> Iterator[Target]:
    """A bare Flask route under gunicorn's own threads, otherwise with Postern's settings."""
    options = ["-k", "gthread", "--threads", "32", "--keep-alive", "65", "--access-logfile", "-", "--no-control-socket"]
    with running_gunicorn(folder, ["-b", "127.0.0.1:{port}", *options, "floor:app"], **paths()) as server:
        yield Target("floor", server.port, "", family(server.process.pid))


@contextmanager
def running_peer(name: str, command: list[str], folder: Path, **more: str) -> Iterator[Target]:
    """A server that has no health page: it is up once it refuses a stranger. `more` goes into its environment."""
    port, token = free_port(), secrets.token_urlsafe(32)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PORT": str(port), "BENCH_TOKEN": token} | more
    with running_process(name, command, folder, environ) as process:
        wait_until_it_refuses(process, port)
        yield Target(name, port, token, (process.pid,))


@contextmanager
def running_process(
    name: str, command: list[str], folder: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in `folder`, which writes to a log of its name there; ended when it is not needed any more."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_refuses(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once /mcp answers 401. Raises RuntimeError if the server ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("POST", "/mcp", headers={"Host": f"localhost:{port}"})
            if connection.getresponse().status == 401:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"{process.args} does not answer")


def paths() -> dict[str, str]:
    """Where gunicorn finds the project and the bench."""
    return {"PYTHONPATH": f"{ROOT}{os.pathsep}{BENCH}"}


def family(pid: int) -> tuple[int, ...]:
    """A process and its children, where /proc tells."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return (pid, *map(int, children.read_text().split())) if children.exists() else (pid,)

"""The image, without Docker: its files are copied as the Dockerfile says, and its commands run there as its user."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from server import ROOT, Server, running_gunicorn

USER = 10001
NOT_CONTEXT = {".git", ".venv", "node_modules", "__pycache__"}


def read_instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest) pairs, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined if line.strip()]


def rests(instruction: str) -> list[str]:
    """What follows each instruction of this name."""
    return [rest for name, rest in read_instructions() if name == instruction]


def read_env() -> dict[str, str]:
    """All ENV variables."""
    return dict(pair.split("=", 1) for rest in rests("ENV") for pair in rest.split())


def read_command(instruction: str) -> list[str]:
    """A command in exec form, to be run with this interpreter."""
    rest = rests(instruction)[-1]
    command = json.loads(rest[rest.index("[") :])
    interpreter = {"python": [sys.executable], "gunicorn": [sys.executable, "-m", "gunicorn"]}
    return [*interpreter[command[0]], *command[1:]]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a file into the build: the last pattern that matches it decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        if line and not line.startswith("#") and re.fullmatch(pattern + "(/.*)?", path):
            sent = line.startswith("!")
    return sent


@cache
def list_context() -> frozenset[str]:
    """The files that a build would get."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = set(folders) - NOT_CONTEXT
        found += [str(Path(folder, file).relative_to(ROOT)) for file in files]
    return frozenset(filter(is_sent, found))


def list_copies() -> dict[str, str]:
    """Which file of the context goes where under /app; AssertionError for a source that is not there."""
    copies = {}
    for rest in rests("COPY"):
        *sources, target = rest.split()
        for source in sources:
            files = {path for path in list_context() if fnmatchcase(path, source) and "/" not in path}
            files |= {path for path in list_context() if path.startswith(source + "/")}
            assert files, f"COPY {source}: the build gets no such file"
            copies |= {path: path if target == "./" else str(Path(target, Path(path).relative_to(source))) for path in files}
    return copies


@dataclass
class Image:
    """What a build would make: a read-only /app, and a /data that belongs to the image's user."""

    app: Path
    data: Path

    def environ(self) -> dict[str, str]:
        """ENV, with /data where it lies here, on a port of the test."""
        words = {name: value.replace("/data", str(self.data)) for name, value in read_env().items() if name != "PORT"}
        return words | {"HOST": "127.0.0.1"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image's files in a folder that its user may reach."""
    with tempfile.TemporaryDirectory() as name:
        made = Image(Path(name, "app"), Path(name, "data"))
        for source, target in list_copies().items():
            (made.app / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, made.app / target)
        made.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(made.data, USER, USER)
        set_writable(made.app, False)
        yield made
        set_writable(made.app, True)


def set_writable(top: Path, writable: bool) -> None:
    """Open or close a whole tree for its owner; nobody else may write to it in any case."""
    for path in (top, *top.rglob("*")):
        mode = 0o555 if path.is_dir() else 0o444
        path.chmod(mode | stat.S_IWUSR if writable else mode)


@pytest.fixture(scope="module")
def server(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """CMD, run as USER. The interpreter may lie in a home that is closed to others, so reading alone stays allowed."""
    may_read = [
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ]
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *may_read] if os.geteuid() == 0 else []
    arguments = read_command("CMD")[3:]
    environ = image.environ() | {"PYTHONPATH": "", "HOME": "/nonexistent"}
    with running_gunicorn(tmp_path_factory.mktemp("image"), arguments, as_user, image.app, **environ) as running:
        yield running


def health(server: Server) -> int:
    """The exit code of HEALTHCHECK."""
    environ = read_env() | {"PORT": str(server.port)}
    return subprocess.run(read_command("HEALTHCHECK"), env=environ, capture_output=True, check=False, timeout=10).returncode


def test_it_copies_every_file_that_the_server_needs():
    needed = {path.name for path in ROOT.glob("*.py")} | {"schema.sql", "requirements.txt", "LICENSE"}
    for folder in ("migrations", "store", "connectors", "catalogue", "templates", "static"):
        needed |= {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.*") if "__pycache__" not in path.parts}
    assert {source for source, target in list_copies().items() if source == target} == needed


@pytest.mark.parametrize(
    "path", [".env", "data/postern.db", ".git/config", "tests/server.py", "connectors/__pycache__/a.pyc", "key"]
)
def test_the_build_never_gets_what_is_private_or_not_needed(path: str):
    assert not is_sent(path)


def test_it_installs_what_is_pinned_and_nothing_else():
    pip = [rest for rest in rests("RUN") if "pip" in rest]
    assert pip == ["pip install --require-hashes -r requirements.txt"]
    assert not [name for name, _ in read_instructions() if name in ("ADD", "ARG")]


def test_it_has_one_pinned_stage_and_no_secret():
    assert [bool(re.fullmatch(r"python:3\.\d+-slim-\w+", rest)) for rest in rests("FROM")] == [True]
    assert not [name for name in read_env() if re.search("KEY|PASSWORD|SECRET|TOKEN", name)]


def test_it_runs_as_a_user_of_its_own_who_owns_nothing_but_the_data():
    assert rests("USER") == [str(USER)]
    assert [name for name, _ in read_instructions()].index("USER") > max(
        at for at, (name, _) in enumerate(read_instructions()) if name in ("RUN", "COPY")
    )
    assert rests("VOLUME") == ["/data"]
    assert read_env()["DATABASE_URL"] == "sqlite:////data/postern.db"


@pytest.mark.server
def test_it_starts_from_a_read_only_tree_and_keeps_its_data_to_itself(server: Server, image: Image):
    assert server.answers()
    database = image.data / "postern.db"
    assert (database.stat().st_uid, stat.S_IMODE(database.stat().st_mode)) == (USER if os.geteuid() == 0 else os.geteuid(), 0o600)
    assert {str(path.relative_to(image.app)) for path in image.app.rglob("*") if path.is_file()} == set(list_copies().values())


@pytest.mark.server
def test_its_health_check_tells_a_running_server_from_one_that_is_gone(server: Server):
    assert health(server) == 0
    assert server.stop() == 0
    assert health(server) == 1


def test_compose_takes_every_right_away_that_is_not_needed():
    compose = (ROOT / "compose.yaml").read_text()
    for line in ("read_only: true", "cap_drop:\n      - ALL", "no-new-privileges:true", "tmpfs:\n      - /tmp", "data:/data"):
        assert line in compose
    assert "privileged: true" not in compose
    assert '"127.0.0.1:8000:8000"' in compose

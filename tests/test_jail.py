"""jail.py: what a child can reach, tried from inside one. Beside what is out of reach stands what is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nursery import make_children, output_of, start

import jail
from children import ROOT, Children

TRY = """
import json, os, sys

def read(path):
    with open(path, "rb") as file:
        return file.read(16).decode(errors="replace")

def write(path):
    with open(path, "a") as file:
        file.write("x")

def read_link(path):
    os.symlink(path, "link")
    try:
        return read("link")
    finally:
        os.unlink("link")

def copy_link(path):
    os.link(path, "hard")

def move(path):
    os.rename(path, path + "-moved")

def hit(pid):
    os.kill(int(pid), 0)

def attempt(action, path):
    try:
        return globals()[action](path) or "done"
    except OSError as error:
        return type(error).__name__

list_folder = os.listdir
remove = os.unlink
make_folder = os.mkdir
print(json.dumps([attempt(action, path) for action, path in json.load(sys.stdin)]))
"""
DENIED = "PermissionError"


class Place:
    """A server's files, as they lie beside those of its user, and a child that tries to reach them."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("data", "work", "elsewhere", "data/children/bob/home"):
            (folder / name).mkdir(parents=True)
        files = {".env": "MASTER_KEY", "key": "secret", "data/children/bob/home/token": "bob's", "elsewhere/file": "the user's"}
        for name, text in files.items():
            (folder / name).write_text(text)
        hidden = [str(folder / name) for name in (".env", "key", "data", "not-there")]
        make_children(folder)
        self.children = Children(folder / "data" / "children", hidden)
        tell = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        self.bobs = start(self.children, tell, owner="bob")
        self.names = {
            "SELF": str(os.getpid()),
            "BOB": os.read(self.bobs.output, 100).decode().strip(),
            "WARDEN": str(self.bobs._warden.pid),
            "AT": str(folder),
            "CODE": str(ROOT),
            "PYTHON": os.path.realpath(sys.prefix),
        }

    def attempt(self, attempts: list[tuple[str, str]], **options: Any) -> list[Any]:
        """What became of each (action, path)."""
        child = start(self.children, TRY, **({"folder": f"{self.folder}/work"} | options))
        child.send(json.dumps([(action, self.fill(path)) for action, path in attempts]).encode())
        child.stop()
        return json.loads(output_of(child))

    def fill(self, path: str) -> str:
        """A path with its names filled in."""
        for name, value in self.names.items():
            path = path.replace(name, value)
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests."""
    made = Place(tmp_path_factory.mktemp("place"))
    yield made
    made.children.stop()


ATTEMPTS = [
    ("read", "AT/data/postern.db", DENIED),
    ("write", "AT/data/postern.db", DENIED),
    ("write", "AT/data/new", DENIED),
    ("remove", "AT/data/postern.db", DENIED),
    ("move", "AT/data", DENIED),
    ("list_folder", "AT/data", DENIED),
    ("read_link", "AT/data/postern.db", DENIED),
    ("copy_link", "AT/data/postern.db", "OSError"),  # as if it were another disk
    ("read", "AT/.env", DENIED),
    ("write", "AT/.env", DENIED),
    ("move", "AT/.env", DENIED),
    ("read", "AT/key", DENIED),
    ("read", "AT/work/../key", DENIED),
    ("read", "/proc/self/root/AT/key", DENIED),
    ("read", "AT/data/children/bob/home/token", DENIED),
    ("list_folder", "AT/data/children", DENIED),
    # processes
    ("read", "/proc/SELF/environ", DENIED),
    ("read", "/proc/SELF/mem", DENIED),
    ("read", "/proc/SELF/maps", DENIED),
    ("read", "/proc/SELF/fd/0", DENIED),
    ("list_folder", "/proc/SELF/cwd/", DENIED),
    ("read", "/proc/1/environ", DENIED),
    ("read", "/proc/BOB/environ", DENIED),
    ("read", "/proc/BOB/mem", DENIED),
    ("read", "/proc/WARDEN/environ", DENIED),
    ("hit", "SELF", DENIED),
    ("hit", "BOB", DENIED),
    ("hit", "WARDEN", DENIED),
    # the program itself, and what is the user's
    ("read", "CODE/children.py", '"""Child process'),
    ("write", "CODE/children.py", DENIED),
    ("write", "CODE/new.py", DENIED),
    ("write", "PYTHON/new.py", DENIED),
    ("read", "AT/elsewhere/file", "the user's"),
    ("write", "AT/elsewhere/file", DENIED),
    ("make_folder", "AT/elsewhere/new", DENIED),
    ("write", "/proc/sys/kernel/core_pattern", DENIED),
    # its own
    ("write", "AT/work/new", "done"),
    ("read", "AT/work/new", "x"),
    ("move", "AT/work/new", "done"),
    ("make_folder", "AT/work/inner", "done"),
    ("write", "AT/data/children/alice/home/new", "done"),
    ("read", "/proc/self/status", "Name:\tpython"),
    ("write", "/dev/null", "done"),
    ("read", "/dev/urandom", None),
]


@pytest.fixture(scope="module")
def results(place: Place) -> list[Any]:
    """All attempts, by one child."""
    return place.attempt([(action, path) for action, path, _ in ATTEMPTS])


@pytest.mark.parametrize("number", range(len(ATTEMPTS)), ids=[f"{action} {path}" for action, path, _ in ATTEMPTS])
def test_a_child_reaches_what_it_may_and_nothing_else(results: list[Any], number: int):
    wanted = ATTEMPTS[number][2]
    if wanted is None:
        assert results[number] != DENIED
    else:
        assert str(results[number])[: len(wanted)] == wanted


def test_without_a_jail_the_same_attempts_succeed(place: Place):
    attempts = [attempt for attempt in ATTEMPTS if attempt[0] in ("read", "hit") and attempt[2] == DENIED]
    # not by root's rights: what another user could not read proves nothing
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        input=json.dumps([(action, place.fill(path)) for action, path, _ in attempts]),
        capture_output=True,
        text=True,
        check=True,
    )
    failed = [attempt for attempt, result in zip(attempts, json.loads(done.stdout), strict=True) if result == DENIED]
    assert [attempt[1] for attempt in failed if "/1/" not in attempt[1]] == []


def test_a_temporary_folder_is_its_own(place: Place):
    code = "import tempfile; print(tempfile.mkdtemp())"
    made = output_of(start(place.children, code, owner="charlie"))
    assert made.startswith(f"{place.folder}/data/children/charlie/tmp-")


def test_a_folder_around_the_servers_own_can_be_worked_in_but_for_that(place: Place):
    attempts = [
        ("write", "AT/elsewhere/file"),
        ("read", "AT/data/postern.db"),
        ("write", "AT/.env"),
        ("move", "AT/data"),
        ("move", "AT/key"),
    ]
    assert place.attempt(attempts, folder=str(place.folder)) == ["done", *[DENIED] * 4]


def test_a_folder_that_holds_the_program_leaves_it_as_it_is(place: Place, tmp_path: Path):
    assert place.attempt([("write", "CODE/new.py"), ("write", "CODE/tests/new.py")], folder=str(ROOT.parent)) == [DENIED] * 2


def test_what_is_made_later_beside_something_hidden_is_out_of_reach(place: Place):
    code = "import sys\nsys.stdin.readline()\ntry: print(open(sys.argv[1]).read())\nexcept OSError as e: print(type(e).__name__)"
    child = start(place.children, code, f"{place.folder}/postern.db-wal")
    (place.folder / "postern.db-wal").write_text("pages")
    child.send(b"go\n")
    assert output_of(child) == DENIED + "\n"


def test_the_kernel_of_this_machine_has_all_that_is_tested_here():
    assert jail.find_abi() >= jail.SCOPES_ABI


@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns a disk")
def test_a_child_of_root_gets_no_disk_and_no_capability(place: Place):
    disks = [f"/dev/{name}" for name in os.listdir("/dev") if (Path("/dev") / name).is_block_device()]
    results = place.attempt([("read", disk) for disk in disks])
    assert results == [DENIED] * len(disks) != []
    status = output_of(start(place.children, "print(open('/proc/self/status').read())", owner="erna"))
    sets = [line.split()[1] for line in status.splitlines() if line.startswith("Cap")]
    assert len(sets) == 5
    assert {held.strip("0") for held in sets} == {""}


@pytest.mark.parametrize("argv", [["node", "-e", "console.log(1)"], ["npx", "--version"], ["npm", "--version"]], ids=" ".join)
def test_node_and_npx_run_inside(place: Place, argv: list[str]):
    owner = argv[0]
    child = place.children.start(owner, argv[0], argv[1:])
    assert output_of(child).strip() != "", child.tail.text()
    child.has_ended.wait(10)
    assert (child.code, child.tail.text()) == (0, "")

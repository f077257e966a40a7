"""child_folders.py: what is removed, and that nothing beside it is, whatever a child has put there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from child_folders import SURE_SECONDS, make_folder, remove_folder, remove_leftovers
from errors import UpstreamError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the folders are, with something precious beside it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    return tmp_path / "children"


def age(path: Path, seconds: float) -> None:
    """Let a folder be as old as this."""
    os.utime(path, times=(time.time() - seconds,) * 2)


def test_what_a_child_links_to_stays(root: Path, tmp_path: Path):
    own, scratch = make_folder(root, "alice")
    (own / "home" / "folder").symlink_to(tmp_path / "precious")
    (own / "home" / "file").symlink_to(tmp_path / "precious" / "file")
    (own / "home" / "loop").symlink_to(own)
    (Path(scratch) / "up").symlink_to("../../..")
    remove_folder(root, "alice")
    assert not own.exists()
    assert (tmp_path / "precious" / "file").read_text() == "precious"
    assert (tmp_path / "precious").stat().st_mode & 0o777 != 0o700


def test_a_folder_that_is_a_link_is_not_followed(root: Path, tmp_path: Path):
    root.mkdir()
    (root / "alice").symlink_to(tmp_path / "precious")
    remove_folder(root, "alice")
    remove_leftovers(root, list, time.time() + 2 * SURE_SECONDS)
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.parametrize("owner", ["", "..", "../precious", "a/b", "."])
def test_an_owner_is_no_path(root: Path, owner: str):
    with pytest.raises(ValueError, match="letters and digits"):
        remove_folder(root, owner)


def test_what_is_write_protected_goes_too(root: Path):
    own, _ = make_folder(root, "alice")
    deep = own / "home" / "cache" / "deep"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    for path, mode in ((deep / "file", 0o400), (deep, 0o500), (deep.parent, 0)):
        path.chmod(mode)
    with pytest.raises(subprocess.CalledProcessError):  # it is no matter of course
        remove_without_rights(root, "shutil.rmtree(sys.argv[1] + '/alice')")
    remove_without_rights(root, "remove_folder(Path(sys.argv[1]), 'alice')")
    assert not own.exists()


def remove_without_rights(root: Path, code: str) -> None:
    """Remove something as a user who is not root, or as root without its privileges."""
    setup = "import shutil, sys; from pathlib import Path; import jail; from child_folders import remove_folder"
    command = [sys.executable, "-c", f"{setup}\njail.drop_capabilities()\n{code}", str(root)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def test_what_nobody_owns_any_more_goes_when_it_is_sure_that_nobody_uses_it(root: Path):
    for name in ("alice", "bob", "try-1", "try-2"):
        age(make_folder(root, name)[0], SURE_SECONDS + 60)
    age(root / "try-2", 10)  # somebody tries a command just now
    (root / "a file").touch()
    remove_leftovers(root, lambda: {"alice"}, time.time())
    assert sorted(os.listdir(root)) == ["a file", "alice", "try-2"]
    remove_leftovers(root / "not there", list, time.time())


def test_where_there_is_no_room_it_says_so(root: Path):
    root.write_text("a file in the way")
    with pytest.raises(UpstreamError, match="no room"):
        make_folder(root, "alice")

"""The folders of child processes: made, listed, removed. What a child put into its own is never followed. Starts nothing."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from errors import UpstreamError, trace

log = logging.getLogger("postern.children")

OWNER = re.compile(r"[A-Za-z0-9_-]{1,100}")
SURE_SECONDS = 3600  # a folder in which nothing began or ended for so long is nobody's, if its owner is unknown


def make_folder(root: Path, owner: str) -> tuple[Path, str]:
    """A folder of the owner's that stays, so that what was once downloaded is there the next time; and one in it for now."""
    own = find_folder(root.resolve(), owner)
    try:
        for folder in (root, own, own / "home"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return own, tempfile.mkdtemp(prefix="tmp-", dir=own)
    except OSError:
        raise UpstreamError("There is no room for the command's own folder.") from None


def remove_folder(root: Path, owner: str) -> None:
    """Remove an owner's folder with all that is in it. What cannot be removed stays for the next time.

    Nothing outside is touched: `shutil.rmtree` goes by descriptors, and takes a link for what it is.
    """
    own = find_folder(root, owner)
    try:
        if stat.S_ISDIR(own.lstat().st_mode):
            open_up(own)
            shutil.rmtree(own)
    except FileNotFoundError:
        pass
    except (OSError, RecursionError) as error:
        log.warning("the folder of %s could not be removed: %s", owner, trace(error))


def remove_leftovers(root: Path, find_owners: Callable[[], Collection[str]], now: float) -> None:
    """Remove the folders whose owners are gone: their server died before it could, or another process had a child of theirs.

    The folders are listed before the owners are asked for, so that one who comes meanwhile is known.
    """
    try:
        names = [entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
        ages = {name: now - (root / name).lstat().st_mtime for name in names if OWNER.fullmatch(name)}
    except OSError:
        return  # there was never a child; or one has just removed its own
    owners = find_owners()
    for name, age in ages.items():
        if name not in owners and age > SURE_SECONDS:
            remove_folder(root, name)


def find_folder(root: Path, owner: str) -> Path:
    """Where an owner's folder is, or would be."""
    if not OWNER.fullmatch(owner):
        raise ValueError("an owner is named by letters and digits")
    return root / owner


def open_up(folder: Path) -> None:
    """Let ourselves into every folder below: some programs write-protect what they have downloaded."""
    os.chmod(folder, 0o700)
    for _, folders, _, here in os.fwalk(folder, onerror=None):
        for name in folders:
            if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                os.chmod(name, 0o700, dir_fd=here)

"""Child processes for tests: a place for them, and ways to see what has become of a process. Holds no test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from children import Child, Children
from links import StdioTarget

CHILD = str(Path(__file__).parent / "stdio_child.py")
SECONDS = 15  # for things to happen on a busy machine


def make_children(folder: Path, **options: Any) -> Children:
    """Children of a server whose data lies in `folder`/data, which they must not see."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "postern.db").write_text("the database")
    return Children(data / "children", [str(data)], **options)


def target(*traits: str, seconds: float = SECONDS, **more: Any) -> StdioTarget:
    """A server like `stdio_child.py`, with these traits."""
    return StdioTarget(sys.executable, (CHILD, *traits), seconds=seconds, **more)


def start(children: Children, code: str, *arguments: str, owner: str = "alice", **options: Any) -> Child:
    """A child that runs some Python."""
    return children.start(owner, sys.executable, ["-I", "-S", "-c", code, *arguments], **options)


class Kept(dict[str, str]):
    """What children wrote to stderr, by owner, as far as it was kept."""

    def __call__(self, owner: str, text: str) -> None:
        self[owner] = text


def output_of(child: Child) -> str:
    """All that a child writes to stdout, to its end."""
    with open(child.output, "rb") as output:
        return output.read().decode()


def finish(child: Child) -> int | None:
    """Wait for a child that ends by itself, or was told to; its code."""
    assert child.has_ended.wait(SECONDS)
    return child.code


def is_there(pid: int) -> bool:
    """Whether a process runs. A zombie counts: somebody forgot it."""
    return os.path.exists(f"/proc/{pid}")


def processes_with(marker: str) -> list[int]:
    """The processes that have a word in their environment or command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                told = Path(f"/proc/{name}/environ").read_bytes() + Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            found += [int(name)] * (marker.encode() in told)
    return found


def zombies() -> list[str]:
    """Children of this process that have ended, and that nobody has reaped."""
    found = []
    for name in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        status = Path(f"/proc/{name}/stat").read_text()
        found += [name] * (status.rpartition(")")[2].split()[0] == "Z")
    return found

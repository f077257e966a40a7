"""The pipes between a child process, its warden and us: made, and used once at the start. Starts nothing."""

from __future__ import annotations

import errno
import json
import os
import select
import time
from collections.abc import Iterable
from typing import Any

from errors import UpstreamError

FOR_CHILD = ("input", "output", "errors")  # pipes, in the order of their numbers
FOR_WARDEN = ("plan", "report", "control")
THEY_READ = ("input", "plan", "control")
START_SECONDS = 15.0  # for the warden to begin, on a machine that is busy
CHUNK = 65_536
NO_START = "The command could not be started."
FAILURES = {  # what the warden reports, 0 for any other number
    ("command", errno.ENOENT): (
        "The command was not found. It, and what it is written for, have to be installed where Postern runs; "
        "Postern's image has Python, but neither Node (npx) nor uv (uvx): see docs/commands.md."
    ),
    ("command", errno.EACCES): "The command may not be run.",
    ("command", errno.E2BIG): "The command's arguments are too long.",
    ("command", 0): "The command cannot be run.",
    ("folder", errno.ENOENT): "The working folder does not exist.",
    ("folder", 0): "The working folder cannot be entered.",
    ("jail", 0): "The command cannot be confined.",
}


def make_pipes() -> tuple[dict[str, int], dict[str, int]]:
    """Our ends and theirs, by name."""
    ours, theirs = {}, {}
    try:
        for name in (*FOR_CHILD, *FOR_WARDEN):
            reads, writes = os.pipe()
            ours[name], theirs[name] = (writes, reads) if name in THEY_READ else (reads, writes)
    except OSError:
        close((*ours.values(), *theirs.values()))
        raise UpstreamError(NO_START) from None
    return ours, theirs


def close(ends: Iterable[int]) -> None:
    """Close descriptors."""
    for end in ends:
        os.close(end)


def hand_over(plan: dict[str, Any], end: int) -> str:
    """Give the warden its plan. Over a pipe, for a command line and the environment of a process are there for others to see,
    and what the environment says must not count for the warden. Answers a sentence if that fails."""
    try:
        with open(end, "wb") as pipe:
            pipe.write(json.dumps(plan).encode())
    except OSError:
        return NO_START
    return ""


def read_report(end: int) -> str:
    """Wait for the child to run. Answers a sentence if it does not."""
    deadline = time.monotonic() + START_SECONDS
    text = b""
    try:
        while select.select([end], [], [], max(0, deadline - time.monotonic()))[0]:
            data = os.read(end, CHUNK)
            if not data:
                break
            text += data
        else:
            return NO_START
    finally:
        os.close(end)
    if text == b"ok":
        return ""
    step, _, number = text.decode().partition(" ")
    return FAILURES.get((step, int(number or 0))) or FAILURES.get((step, 0), NO_START)

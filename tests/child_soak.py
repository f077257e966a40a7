"""Many sessions with commands that behave badly, in a process of their own, whose memory can be looked at. Says what it found.

Run as a script by test_soak_children.py: the number of sessions and a folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from nursery import make_children, processes_with, target, zombies  # noqa: E402

from errors import UpstreamError  # noqa: E402
from links import Link  # noqa: E402
from tools import Call  # noqa: E402
from upstream_stdio import StdioServers  # noqa: E402

UPSTREAMS = 20
AT_ONCE = 6
SECONDS = 4  # for a call: that long each one that hangs takes
MARKER = "POSTERN_SOAK"
# what an upstream does in each session, after three good calls: (traits, tool, arguments)
TEMPERS: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
    ("behaves", (), "echo", {}),
    ("crashes", (), "crash", {}),
    ("hangs", (), "hang", {}),
    ("floods stdout with rubbish", (), "flood", {"text": "rubbish\n"}),
    ("floods stdout without a line break", (), "flood", {"text": "x" * 65_536}),
    ("floods stderr", (), "flood_errors", {}),
    ("closes stdout", (), "close_output", {}),
    ("forks a daemon", (), "daemon", {}),
    ("forks on and on", (), "rabbit", {}),
    ("ignores SIGTERM", ("deaf", "stubborn"), "echo", {}),
]


@dataclass
class Soak:
    """One run."""

    servers: StdioServers
    marker: str
    ended: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)  # kilobytes, after each session
    lock: threading.Lock = field(default_factory=threading.Lock)

    def session(self, number: int) -> None:
        """One session with the upstream whose turn it is."""
        upstream = number % UPSTREAMS
        name, traits, tool, arguments = TEMPERS[upstream % len(TEMPERS)]
        link = self.open(f"upstream{upstream}", traits)
        try:
            for _ in range(3):
                use(link, "echo", {"word": "x" * 1000})
            use(link, tool, arguments)
            outcome = "closed by us"
        except UpstreamError as error:
            outcome = str(error)
        link.close()
        with self.lock:
            self.ended[f"{name}: {outcome}"] += 1
            self.memory.append(resident_memory())

    def open(self, owner: str, traits: tuple[str, ...]) -> Link:
        """A session. Crashes are forgiven, so that the next need not wait; while too many end, one waits all the same."""
        wanted = target(*traits, seconds=SECONDS, environment={"MARKER": self.marker})
        while True:
            self.servers._children.forgive(owner)
            try:
                return self.servers.open(owner, wanted, {}, lambda *_: None)
            except UpstreamError as error:
                if "Too many" not in str(error) and "just failed" not in str(error):
                    raise
                time.sleep(0.1)


def use(link: Link, tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool."""
    link.request("tools/call", {"name": tool, "arguments": arguments}, Call())


def resident_memory() -> int:
    """Of this process, in kilobytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def main(sessions: int, folder: Path) -> dict[str, Any]:
    """Run them; what was found."""
    marker = f"{MARKER}_{os.getpid()}"
    began, files, threads = time.monotonic(), len(os.listdir("/proc/self/fd")), threading.active_count()
    soak = Soak(StdioServers(make_children(folder)), marker)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(soak.session, range(sessions)))
    soak.servers.stop()
    deadline = time.monotonic() + 10  # the last reading threads close their pipes a moment later
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.05)
    tenth = max(1, sessions // 10)
    early, late = median(soak.memory[tenth : 2 * tenth]), median(soak.memory[-tenth:])
    return {
        "sessions": len(soak.memory),
        "upstreams": UPSTREAMS,
        "how they ended": dict(sorted(soak.ended.items())),
        "processes left": len(processes_with(marker)) + len(zombies()),
        "descriptors left": len(os.listdir("/proc/self/fd")) - files,
        "threads left": threading.active_count() - threads,
        "memory after the first tenth, in KB": int(early),
        "memory in the last tenth, in KB": int(late),
        "growth in percent": round(100 * (late - early) / early, 2),
        "seconds": round(time.monotonic() - began),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), Path(sys.argv[2]))))

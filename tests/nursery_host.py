"""A process that has a child with a runaway daemon, says their numbers, and waits to be killed. Run by test_children.py."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent)]

from children import Children  # noqa: E402

TELL = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
print(os.getpid(), os.getppid(), flush=True)
time.sleep(600)
"""


def main() -> None:
    """Start it from a thread that ends, tell, and wait."""
    folder = Path(sys.argv[1])
    children = Children(folder / "children", [str(folder)])
    started = []
    thread = threading.Thread(
        target=lambda: started.append(children.start("alice", sys.executable, ["-I", "-S", "-c", TELL]))
    )
    thread.start()
    thread.join()
    text = b""
    while text.count(b"\n") < 2:
        text += os.read(started[0].output, 1000)
    print(json.dumps(sorted({int(word) for word in text.split()})), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()

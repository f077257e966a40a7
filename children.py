"""Child processes: started without a shell, confined, capped, listened to and ended. Knows no protocol and no database.

Each child runs under a warden of its own (`warden.py`), which lives until the child and all its descendants are gone, even if
this process dies before. What the child gets: three pipes, an environment built from nothing, a folder of its own for HOME and
TMPDIR. What it cannot reach is in `jail.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jail
from child_folders import make_folder, remove_folder
from child_pipes import CHUNK, FOR_WARDEN, NO_START, close, hand_over, make_pipes, read_report
from errors import UpstreamError, trace
from tails import Tail

log = logging.getLogger("postern.children")

ROOT = Path(__file__).resolve().parent
WARDEN = str(ROOT / "warden.py")
MAX_CHILDREN = 40  # at the same time, in one process of the server
STOP_SECONDS = 8.0  # for a warden to end everything when we end; a little more than its own steps take
SEND_SECONDS = 10.0  # for a child to take one message
LOOK_SECONDS = 0.1
MAX_DELAYS = 200  # remembered, of children that have crashed
KEEP_SECONDS = 10.0  # between two times that what a child writes to stderr is kept, while it runs
PAUSE_SECONDS = 0.01  # between two reads of stderr: at most six megabytes a second from a child that floods stderr
STEADY_SECONDS = 30.0  # a child that lived so long did not crash at once
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.5, 60.0
BASE = {  # what every child needs beside PATH, HOME and TMPDIR
    "LANG": "C.UTF-8",
    "npm_config_prefer_offline": "true",  # what npx has once downloaded it takes from HOME, without asking the network
    "npm_config_update_notifier": "false",
}
DEVICES = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")]


class Child:
    """A running child. `output` is a descriptor to read its stdout from; whoever reads it closes it at its end."""

    def __init__(
        self,
        warden: subprocess.Popen[bytes],
        ends: Mapping[str, int],
        tail: Tail,
        keep: Callable[[Child], None],
        on_end: Callable[[Child], None],
    ):
        self.tail, self.output = tail, ends["output"]  # of stderr, and for stdout
        self.started_at = time.monotonic()
        self.was_told_to_stop = False
        self.code: int | None = None  # once it has ended; 128 and more for a signal
        self.has_ended = threading.Event()  # with all its descendants, and its warden
        self._warden, self._keep, self._on_end = warden, keep, on_end
        self._input, self._control = ends["input"], ends["control"]
        self._is_closing = False
        self._lock = threading.Lock()
        os.set_blocking(self._input, False)
        threading.Thread(target=self._listen, args=(ends["errors"],), daemon=True, name="child").start()

    def send(self, data: bytes) -> None:
        """Write to its stdin. Raises UpstreamError, after which no message can follow, for half of this one may be there."""
        deadline = time.monotonic() + SEND_SECONDS
        with self._lock:
            view = memoryview(data)
            while view:
                if self._is_closing or time.monotonic() > deadline:
                    raise UpstreamError("The command does not take what it is sent.")
                poll = select.poll()
                poll.register(self._input, select.POLLOUT)
                if poll.poll(LOOK_SECONDS * 1000):
                    view = view[self._write(view) :]

    def stop(self) -> None:
        """End it, politely at first, and all that it has started. Does not wait: see `has_ended`."""
        self.was_told_to_stop = self.was_told_to_stop or not self._is_closing
        self._close()

    def kill(self) -> None:
        """End it, and all that it has started, at once. Counts as a crash."""
        self._close(b"k")

    def _write(self, view: memoryview) -> int:
        try:
            return os.write(self._input, view)
        except BlockingIOError:
            return 0
        except OSError:
            raise UpstreamError("The command has closed its input.") from None

    def _close(self, word: bytes = b"") -> None:
        """Close our ends; whoever is sending gives up. The end of the second one is what the warden waits for."""
        self._is_closing = True
        with self._lock:
            if self._control < 0:
                return
            if word:
                with contextlib.suppress(OSError):
                    os.write(self._control, word)
            for end in (self._input, self._control):
                os.close(end)
            self._input = self._control = -1

    def _listen(self, errors: int) -> None:
        """Take what it writes to stderr, wait for its warden, and tidy up."""
        with contextlib.suppress(OSError):
            self._read_errors(errors)
        os.close(errors)
        self.code = self._warden.wait()
        self._on_end(self)
        self._close()
        self.has_ended.set()

    def _read_errors(self, errors: int) -> None:
        """To the end of stderr; what came is kept a while after its first line, and at the end."""
        poll = select.poll()
        poll.register(errors, select.POLLIN)
        due: float | None = None
        data = b"more"
        while data:
            if poll.poll(None if due is None else max(0, due - time.monotonic()) * 1000):
                data = os.read(errors, CHUNK)
                self.tail.add(data)
                if data:
                    due = due or time.monotonic() + KEEP_SECONDS
                    time.sleep(PAUSE_SECONDS)
            if due is not None and (not data or time.monotonic() >= due):
                self._keep(self)
                due = None


class Children:
    """All children of this process. Each belongs to an `owner`, a connection, which has a folder below `folder`.

    `hidden` is what none of them may reach. `unconfined` allows children where the system cannot confine them.
    `keep(owner, text)` gets the last that a child wrote to stderr, now and then and at its end.
    """

    def __init__(
        self,
        folder: Path,
        hidden: Collection[str],
        *,
        unconfined: bool = False,
        maximum: int = MAX_CHILDREN,
        keep: Callable[[str, str], None] = lambda owner, text: None,
    ):
        self.folder = folder.absolute()
        self._hidden = sorted({os.path.realpath(path) for path in (*hidden, self.folder)})
        self._unconfined, self._maximum, self._keep_text = unconfined, maximum, keep
        self._lock = threading.Lock()
        self._running: dict[Child, str] = {}
        self._starting = 0
        self._delays: dict[str, tuple[float, float]] = {}  # owner -> until when, and how long it was
        self._leaving: set[str] = set()  # owners whose folder goes with their last child

    def start(
        self,
        owner: str,
        command: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        secrets: Collection[str] = (),
    ) -> Child:
        """Start a child. `folder` is where it works, beside its own; `secrets` are not shown where it writes them.

        Raises UpstreamError if it cannot be started or confined, if there are too many, or if it has just crashed.
        """
        self._admit(owner)
        try:
            plan = self._plan(owner, command, arguments, environment or {}, folder)
            return self._launch(plan, owner, Tail({*secrets, *(environment or {}).values()}))
        finally:
            with self._lock:
                self._starting -= 1

    def forgive(self, owner: str) -> None:
        """The last crash was no fault of the child's: its owner's next start need not wait."""
        with self._lock:
            self._delays.pop(owner, None)

    def forget(self, owner: str) -> None:
        """An owner is no more: its folder is removed, as soon as its children have ended. It is for others to end them."""
        with self._lock:
            self._delays.pop(owner, None)
            if owner in self._running.values():
                self._leaving.add(owner)
                return
        remove_folder(self.folder, owner)

    def stop(self) -> None:
        """End all of them, side by side, and wait for that."""
        with self._lock:
            self._maximum = 0
            running = list(self._running)
        for child in running:
            child.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            child.has_ended.wait(max(0, deadline - time.monotonic()))

    def __len__(self) -> int:
        return len(self._running)

    # --- who may start ---

    def _admit(self, owner: str) -> None:
        if not jail.find_abi() and not self._unconfined:
            raise UpstreamError("This system cannot confine a command, so none is run. (See ALLOW_STDIO_UNCONFINED.)")
        with self._lock:
            if self._delays.get(owner, (0, 0))[0] > time.monotonic():
                raise UpstreamError("The command has just failed, and is tried again a little later.")
            if len(self._running) + self._starting >= self._maximum:
                raise UpstreamError("Too many commands run at the moment.")
            self._starting += 1

    def _on_end(self, child: Child) -> None:
        """It has ended. After a crash the next start of its owner has to wait, twice as long each time."""
        with self._lock:
            owner = self._running.pop(child)
            last = self._delays.pop(owner, (0, FIRST_DELAY_SECONDS / 2))[1]
            if not child.was_told_to_stop:
                steady = time.monotonic() - child.started_at > STEADY_SECONDS
                self._delay(owner, FIRST_DELAY_SECONDS if steady else min(last * 2, MAX_DELAY_SECONDS))
            is_last = owner in self._leaving and owner not in self._running.values()
            if is_last:
                self._leaving.discard(owner)
                self._delays.pop(owner, None)
        if is_last:
            remove_folder(self.folder, owner)

    def _delay(self, owner: str, seconds: float) -> None:
        self._delays[owner] = (time.monotonic() + seconds, seconds)
        if len(self._delays) > MAX_DELAYS:
            del self._delays[next(iter(self._delays))]

    def _keep(self, child: Child) -> None:
        """Hand on what it wrote. Whatever goes wrong there, the child still has to be seen to its end."""
        try:
            self._keep_text(self._running[child], child.tail.text())
        except Exception as error:
            log.error("what a command wrote could not be kept: %s", trace(error))

    # --- what it gets ---

    def _plan(
        self, owner: str, command: str, arguments: Sequence[str], environment: Mapping[str, str], folder: str | None
    ) -> dict[str, Any]:
        """What the warden is to do: see `warden.read_plan`."""
        if folder and any(jail.is_below(os.path.realpath(folder), path) for path in self._hidden):
            raise UpstreamError("The working folder is one of the server's own.")
        own, scratch = make_folder(self.folder, owner)
        work = os.path.realpath(folder or own / "home")
        base = BASE | {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(own / "home"), "TMPDIR": scratch}
        return {
            "command": command,
            "arguments": list(arguments),
            "environment": base | dict(environment),
            "folder": work,
            "scratch": scratch,
            "jail": self._jail(str(own), work) if jail.find_abi() else None,
        }

    def _jail(self, own: str, work: str) -> dict[str, Sequence[str]]:
        """What the child may reach: the arguments of `jail.confine_files`. Of its devices root gets only the harmless ones."""
        return {
            "own": [own, *(DEVICES if os.geteuid() == 0 else ["/dev"])],
            "writable": [] if jail.is_below(work, own) else [work],
            "fixed": [str(ROOT), os.path.realpath(sys.prefix)],
            "hidden": [*self._hidden, "/dev"],
        }

    # --- how it starts ---

    def _launch(self, plan: dict[str, Any], owner: str, tail: Tail) -> Child:
        """Start a warden, hand it the plan, and wait for what it reports."""
        ours, theirs = make_pipes()
        try:
            warden = subprocess.Popen(  # noqa: S603 - an argument list without anything of a person's
                [sys.executable, "-I", "-S", "-X", "utf8", WARDEN, *(str(theirs[name]) for name in FOR_WARDEN)],
                stdin=theirs["input"],
                stdout=theirs["output"],
                stderr=theirs["errors"],
                pass_fds=[theirs[name] for name in FOR_WARDEN],
                env={},
                cwd="/",
                start_new_session=True,  # so that Ctrl-C in a terminal reaches only the server, which stops in order
            )
        except OSError:
            close(ours.values())
            os.rmdir(plan["scratch"])
            raise UpstreamError(NO_START) from None
        finally:
            close(theirs.values())
        with self._lock:  # before it can end
            child = Child(warden, ours, tail, self._keep, self._on_end)
            self._running[child] = owner
        failures = [hand_over(plan, ours["plan"]), read_report(ours["report"])]  # both, for each closes its pipe
        if failure := next(filter(None, failures), ""):
            child.kill()
            os.close(child.output)
            raise UpstreamError(failure)
        return child

"""Starts one child process, watches it, and ends it with all its descendants. A script of its own: knows nothing of the server.

`children.py` runs it beside each child, as `python -I -S warden.py PLAN REPORT CONTROL`, three descriptors. PLAN is read to its
end (`read_plan`); REPORT gets one line, and ends. When CONTROL ends, because the server closes it or has died, the child has a
moment to follow the end of its input; then all that is left gets SIGTERM, and then SIGKILL. A byte on CONTROL means SIGKILL at
once. What a child leaves behind goes the same way, even if it has left the process group and the session: orphans come to the
nearest ancestor that adopts them, and that is this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import jail

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
QUIET_SECONDS = 1.0  # to end by itself, after the end of its input
TERM_SECONDS = 2.0  # after SIGTERM
KILL_SECONDS = 20.0  # then we give up: not even SIGKILL ends a process that waits for a broken disk
LOOK_SECONDS = 0.02  # between looks who is left
OOM_SCORE = "500"  # where memory runs out, a child goes before the server does (proc(5), oom_score_adj)
NICENESS = 5
NO_CODE = 127  # what a shell says where there was nothing to run


def main(plan_end: int, report_end: int, control_end: int) -> int:
    """Run one child to its end. Answers its exit code, 128 and more for a signal."""
    for end in (report_end, control_end):
        os.set_inheritable(end, False)
    plan = read_plan(plan_end)
    jail.check(jail.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    warden = Warden(control_end)
    try:
        failure = warden.start(plan)
        with contextlib.suppress(BrokenPipeError), os.fdopen(report_end, "w") as report:
            report.write(failure or "ok")  # a warden that dies says nothing
        warden.end_all(is_patient=warden.watch())
    finally:
        remove_folder(plan["scratch"])
    code = NO_CODE if warden.status is None else os.waitstatus_to_exitcode(warden.status)
    return code if code >= 0 else 128 - code


def read_plan(plan_end: int) -> dict[str, Any]:
    """`command`, `arguments`, `environment` and `folder` of the child; `scratch`, a folder to remove at the end; `jail`, the
    arguments of `jail.confine_files`, or None for no jail."""
    with os.fdopen(plan_end, "rb") as plan:
        return json.load(plan)


class Warden:
    """One child and its descendants. `status` is the child's, once it has ended."""

    def __init__(self, control: int):
        self.control = control
        self.child: int | None = None
        self.status: int | None = None
        self.is_scoped = jail.confine_signals() and not may_signal(os.getppid())
        self.alarm, bell = os.pipe()  # a byte for each signal that came
        os.set_blocking(bell, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)

    def start(self, plan: dict[str, Any]) -> str:
        """Start the child. Answers what failed and the error's number, or nothing if it runs."""
        trouble, told = os.pipe()  # closed by a successful exec
        parent = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            become(plan, parent, told)
        os.close(told)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):  # the child's own from here on, so that their other ends see when it closes them
            os.dup2(nothing, number)
        with os.fdopen(trouble) as text:
            return text.read()

    def watch(self) -> bool:
        """Wait until the child has ended or is to be ended; whether there is time to do it politely."""
        poll = select.poll()
        for end in (self.alarm, self.control):
            poll.register(end, select.POLLIN)
        while self.reap() and self.status is None:
            ready = dict(poll.poll())
            if self.alarm in ready and signal.SIGTERM in os.read(self.alarm, 512):
                return True
            if self.control in ready:
                return os.read(self.control, 1) == b""
        return True

    def end_all(self, is_patient: bool) -> None:
        """End everybody who is left, in three steps; unless there is time, by the last one only."""
        steps = [(signal.SIGKILL, KILL_SECONDS)]
        if is_patient:
            steps = [(None, QUIET_SECONDS), (signal.SIGTERM, TERM_SECONDS), *steps]
        for number, seconds in steps:
            deadline = time.monotonic() + seconds
            if number == signal.SIGTERM:
                self.send(number)
            while self.reap():
                if time.monotonic() > deadline or (number is None and self.status is not None):
                    break
                if number == signal.SIGKILL:
                    self.send(number)
                time.sleep(LOOK_SECONDS / 10 if number == signal.SIGKILL else LOOK_SECONDS)

    def reap(self) -> bool:
        """Collect who has ended; whether anybody is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.child:
                    self.status = status
        except ChildProcessError:
            return False

    def send(self, number: int) -> None:
        """Send a signal to all descendants: at one stroke where this process can reach nobody else, which nothing escapes."""
        if self.is_scoped:
            with contextlib.suppress(OSError):
                os.kill(-1, number)
            return
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def become(plan: dict[str, Any], parent: int, told: int) -> NoReturn:
    """In the forked process: turn into the child. A session of its own, no more rights, no other descriptor than its three."""
    step = "start"
    try:
        os.setsid()
        jail.LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it has died already, and nobody would be told
            os._exit(NO_CODE)
        humble()
        step = "jail"
        if plan["jail"] is not None:
            jail.confine_files(**plan["jail"])
            jail.drop_capabilities()
        step = "folder"
        os.chdir(plan["folder"])
        step = "command"
        os.execvpe(plan["command"], [plan["command"], *plan["arguments"]], plan["environment"])  # noqa: S606 - no shell
    except BaseException as error:
        os.write(told, f"{step} {getattr(error, 'errno', 0) or 0}".encode())
    finally:
        os._exit(NO_CODE)


def humble() -> None:
    """Take what a child does not need: priority, core dumps, files that others can read, signals that we ignore."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(OOM_SCORE)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # whoever started the server may have ignored some, as nohup does
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def may_signal(pid: int) -> bool:
    """Whether a process is within our reach."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def descendants(root: int) -> list[int]:
    """All below a process, parents first, as far as they can be seen at this moment."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def remove_folder(path: str) -> None:
    """Remove a folder, as far as that is possible."""
    import shutil  # noqa: PLC0415 - only now, for it would make each start slower

    shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))

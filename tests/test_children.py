"""children.py and warden.py: how child processes start, what they get, and that nothing is ever left of them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from nursery import Kept, finish, is_there, make_children, output_of, start
from patience import wait_until

import children as children_module
import jail
from child_pipes import FAILURES
from children import Children
from errors import UpstreamError

HERE = Path(__file__).parent
WAIT = "import sys; sys.stdin.read()"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
FAMILY = """
import os, signal, sys, time
mode = sys.argv[1]
reads, writes = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(writes, str(os.getpid()).encode())
        os.closerange(0, 10)
        time.sleep(600)
    os._exit(0)
os.write(1, os.read(reads, 100))
if mode == "crash":
    os._exit(3)
sys.stdin.read()
"""
ORPHANS = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        os.fork()
        os._exit(0)
    os.wait()
print("done", flush=True)
time.sleep(600)
"""
RABBIT = """
import os, time
end = time.monotonic() + 60
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        open(os.environ["TRACE"], "w").write(str(os.getpid()))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Children, all ended after the test."""
    nursery = make_children(tmp_path)
    yield nursery
    nursery.stop()
    assert len(nursery) == 0


@pytest.fixture(params=["scoped signals", "an older kernel"])
def any_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of ending everybody."""
    if request.param == "an older kernel":
        monkeypatch.setattr(children_module, "WARDEN", str(HERE / "old_kernel_warden.py"))


def read_word(output: int) -> str:
    """The next that a child writes."""
    return os.read(output, 1000).decode().strip()


# --- what it gets ---


def test_it_gets_an_environment_built_from_nothing(children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MASTER_KEY", "secret")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--x")
    code = "import json, os; print(json.dumps(dict(os.environ) | {'cwd': os.getcwd()}))"
    got = json.loads(output_of(start(children, code, environment={"TOKEN": "t0ken", "LANG": "de_DE.UTF-8"})))
    own = tmp_path / "data" / "children" / "alice"
    assert got.pop("TMPDIR").startswith(str(own / "tmp-"))
    got.pop("LC_CTYPE", None)  # Python's own doing
    home = str(own / "home")
    assert {got.pop("npm_config_prefer_offline"), got.pop("npm_config_update_notifier")} == {"true", "false"}
    assert got == {"PATH": os.environ["PATH"], "LANG": "de_DE.UTF-8", "HOME": home, "TOKEN": "t0ken", "cwd": home}


def test_it_gets_three_descriptors_and_a_session_of_its_own(children: Children):
    leak = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leak, True)
    code = "import os; print(os.listdir('/proc/self/fd')[:-1], os.getsid(0) == os.getpgid(0) == os.getpid())"
    assert output_of(start(children, code)) == "['0', '1', '2'] True\n"
    os.close(leak)


def test_it_leaves_no_core_and_no_open_files_and_minds_broken_pipes(children: Children, request: pytest.FixtureRequest):
    request.addfinalizer(partial(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN)))  # as nohup does
    code = "import os, resource as r; print(r.getrlimit(r.RLIMIT_CORE), oct(os.umask(0)), open('/proc/self/status').read())"
    words = output_of(start(children, code)).split()
    assert words[:3] == ["(0,", "0)", "0o77"]
    mask = int(words[words.index("SigIgn:") + 1], 16)
    ignored = {number for number in signal.valid_signals() if mask & 1 << number - 1}  # the C library keeps two for itself
    assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}  # the two that Python itself ignores
    assert words[words.index("SigBlk:") + 1].strip("0") == ""
    assert words[words.index("NoNewPrivs:") + 1] == "1"


def test_what_it_is_told_is_in_no_command_line_but_its_own(children: Children):
    child = start(children, WAIT, "s3cret-argument", environment={"TOKEN": "s3cret-value"})
    warden = child._warden.pid
    for name in ("cmdline", "environ"):
        assert b"s3cret" not in Path(f"/proc/{warden}/{name}").read_bytes()
    os.close(child.output)


def test_a_long_plan_arrives(children: Children):
    values = {f"NAME{number}": "x" * 100_000 for number in range(5)}
    code = "import os; print(sum(len(value) for name, value in os.environ.items() if name.startswith('NAME')))"
    assert output_of(start(children, code, environment=values)) == "500000\n"


def test_its_home_stays_and_its_temporary_folder_goes(children: Children, tmp_path: Path):
    code = "import os; [open(os.path.join(os.environ[name], 'x'), 'w').write('x') for name in ('HOME', 'TMPDIR')]"
    for _ in range(2):
        assert finish(start(children, code, owner="bob")) == 0
        children.forgive("bob")
    own = tmp_path / "data" / "children" / "bob"
    assert (sorted(os.listdir(own)), os.listdir(own / "home")) == (["home"], ["x"])
    assert (own.stat().st_mode & 0o777, (own / "home").stat().st_mode & 0o777) == (0o700, 0o700)


def test_it_works_where_it_is_told(children: Children, tmp_path: Path):
    (tmp_path / "work").mkdir()
    assert output_of(start(children, "import os; print(os.getcwd())", folder=str(tmp_path / "work"))) == f"{tmp_path}/work\n"


@pytest.mark.parametrize("owner", ["", "../x", "a/b", "a b", "x" * 101])
def test_an_owner_is_no_path(children: Children, owner: str):
    with pytest.raises(ValueError, match="letters and digits"):
        start(children, WAIT, owner=owner)


# --- what does not start ---


@pytest.mark.parametrize(
    ("command", "folder", "sentence"),
    [
        ("no-such-command-anywhere", None, FAILURES["command", errno.ENOENT]),
        ("/etc/passwd", None, "The command may not be run."),
        ("/etc", None, "The command may not be run."),
        ("a\0b", None, "The command cannot be run."),
        ("true", "/no/such/folder", "The working folder does not exist."),
        ("true", "/etc/passwd", "The working folder cannot be entered."),
        ("true", "DATA", "The working folder is one of the server's own."),
        ("true", "DATA/children/bob", "The working folder is one of the server's own."),
    ],
)
def test_it_says_why_a_command_does_not_start(
    children: Children, tmp_path: Path, command: str, folder: str | None, sentence: str
):
    with pytest.raises(UpstreamError) as caught:
        children.start("alice", command, [], folder=folder and folder.replace("DATA", str(tmp_path / "data")))
    assert str(caught.value) == sentence
    wait_until(lambda: len(children) == 0)


def test_too_long_arguments_are_refused(children: Children):
    with pytest.raises(UpstreamError, match="arguments are too long"):
        children.start("alice", "true", ["x" * 3_000_000])


def test_where_nothing_can_be_confined_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jail, "find_abi", lambda: 0)
    with pytest.raises(UpstreamError, match="ALLOW_STDIO_UNCONFINED"):
        start(make_children(tmp_path), WAIT)
    bold = make_children(tmp_path, unconfined=True)
    path = str(tmp_path / "data" / "postern.db")
    assert output_of(start(bold, "import sys; print(open(sys.argv[1]).read())", path)) == "the database\n"
    bold.stop()


def test_there_are_never_more_than_so_many(tmp_path: Path):
    nursery = make_children(tmp_path, maximum=2)
    running = [start(nursery, WAIT) for _ in range(2)]
    with pytest.raises(UpstreamError, match="Too many commands"):
        start(nursery, WAIT, owner="bob")
    running[0].stop()
    finish(running[0])
    running.append(start(nursery, WAIT, owner="bob"))
    nursery.stop()
    with pytest.raises(UpstreamError, match="Too many commands"):
        start(nursery, WAIT, owner="charlie")
    for child in running:
        os.close(child.output)


def test_after_each_crash_the_next_start_waits_longer(children: Children):
    delays = []
    for _ in range(3):
        child = start(children, "raise SystemExit(3)")
        assert (output_of(child), finish(child)) == ("", 3)
        with pytest.raises(UpstreamError, match="has just failed"):
            start(children, WAIT)
        start(children, WAIT, owner="bob").stop()  # somebody else's is not delayed
        delays.append(children._delays["alice"][1])
        children._delays["alice"] = (0, delays[-1])  # time passes
    assert delays == [0.5, 1.0, 2.0]
    children.forgive("alice")
    child = start(children, WAIT)
    child.stop()
    assert finish(child) == 0
    start(children, WAIT).stop()  # that was no crash


# --- how it ends ---


def test_it_ends_by_the_end_of_its_input(children: Children):
    child = start(children, WAIT)
    child.stop()
    assert finish(child) == 0


def test_one_that_does_not_gets_sigterm(children: Children):
    child = start(children, "import time; time.sleep(600)")
    child.stop()
    assert finish(child) == 128 + signal.SIGTERM


def test_one_that_ignores_it_is_killed(children: Children, any_kernel: None):
    child = start(children, DEAF)
    assert read_word(child.output) == "ready"
    child.stop()
    assert finish(child) == 128 + signal.SIGKILL


def test_one_can_be_killed_at_once(children: Children, any_kernel: None):
    child = start(children, DEAF)
    assert read_word(child.output) == "ready"
    began = time.monotonic()
    child.kill()
    assert finish(child) == 128 + signal.SIGKILL
    assert time.monotonic() - began < 2  # it did not wait for the polite steps


@pytest.mark.parametrize("end", ["stop", "kill", "crash"])
def test_a_daemon_that_has_left_the_group_goes_too(children: Children, any_kernel: None, end: str):
    child = start(children, FAMILY, end)
    daemon = int(read_word(child.output))
    if end != "crash":
        assert is_there(daemon)
        getattr(child, end)()
    finish(child)
    assert not is_there(daemon)


def test_one_that_forks_on_and_on_is_caught(children: Children, any_kernel: None, tmp_path: Path):
    trace = tmp_path / "work" / "trace"
    trace.parent.mkdir()
    child = start(children, RABBIT, folder=str(trace.parent), environment={"TRACE": str(trace)})
    assert read_word(child.output) == "ready"
    wait_until(lambda: trace.exists() and trace.read_text())
    child.kill()
    finish(child)
    last = trace.read_text()
    time.sleep(0.1)
    assert trace.read_text() == last


def test_orphans_are_reaped_while_the_child_lives(children: Children):
    child = start(children, ORPHANS)
    assert read_word(child.output) == "done"
    warden = child._warden.pid
    wait_until(lambda: len(Path(f"/proc/{warden}/task/{warden}/children").read_text().split()) == 1)


def test_a_child_outlives_the_thread_that_started_it(children: Children):
    started = []
    thread = threading.Thread(target=lambda: started.append(start(children, WAIT)))
    thread.start()
    thread.join()
    assert not started[0].has_ended.wait(0.3)
    started[0].stop()
    assert finish(started[0]) == 0


def test_all_die_with_the_server_even_if_it_is_killed(tmp_path: Path):
    command = [sys.executable, str(HERE / "nursery_host.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as host:
        pids = json.loads(host.stdout.readline())
        assert len(pids) == 3  # child, warden, daemon
        assert all(is_there(pid) for pid in pids)
        host.kill()
    wait_until(lambda: not any(map(is_there, pids)))


def test_a_child_dies_with_its_warden(children: Children):
    child = start(children, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    pid = int(read_word(child.output))
    child._warden.kill()
    wait_until(lambda: not is_there(pid))
    assert finish(child) is not None


def test_nothing_is_left_of_many(children: Children):
    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def own() -> set[str]:
        """All children of this process, dead ones that nobody has reaped too."""
        return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}

    before, others = count(), own()  # other tests have theirs
    for number in range(12):
        child = start(children, (WAIT, "raise SystemExit(1)", DEAF)[number % 3], owner=f"o{number}")
        (child.stop, child.kill)[number % 2]()
        finish(child)
        os.close(child.output)
    wait_until(lambda: count()[1] <= before[1])
    assert count() == before
    assert own() <= others


def test_ending_all_takes_no_longer_than_ending_one(children: Children):
    running = [start(children, DEAF, owner=f"o{number}") for number in range(5)]
    for child in running:
        assert read_word(child.output) == "ready"
    began = time.monotonic()
    children.stop()
    assert time.monotonic() - began < 6
    assert [finish(child) for child in running] == [128 + signal.SIGKILL] * 5


# --- talking to it ---


def test_it_is_sent_what_it_reads(children: Children):
    child = start(children, "import sys; print(len(sys.stdin.buffer.readline()))")
    child.send(b"x" * 300_000 + b"\n")
    assert output_of(child) == "300001\n"


def test_one_that_does_not_read_blocks_nobody_for_ever(children: Children, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(children_module, "SEND_SECONDS", 0.3)
    child = start(children, DEAF)
    with pytest.raises(UpstreamError, match="does not take"):
        child.send(b"x" * 300_000)
    child.kill()
    finish(child)
    with pytest.raises(UpstreamError, match="does not take"):
        child.send(b"x")


def test_sending_to_one_that_has_gone_is_an_error(children: Children):
    child = start(children, "import os, time; os.close(0); print('ready', flush=True); time.sleep(600)")
    assert read_word(child.output) == "ready"
    with pytest.raises(UpstreamError, match="closed its input"):
        child.send(b"x")


def test_what_it_wrote_to_stderr_can_be_read_without_its_secrets(children: Children):
    words = "f'key {os.environ[\"KEY\"]}, {sys.argv[1]}\\n\\x1b[31mred\\x1b[0m\\x07'"
    code = f"import os, sys; sys.stderr.write({words}); sys.exit(2)"
    child = start(children, code, "inner-s3cret", environment={"KEY": "abcd1234"}, secrets=["inner-s3cret"])
    assert finish(child) == 2
    assert child.tail.text() == "key [hidden], [hidden]\nred\N{REPLACEMENT CHARACTER}"


def test_what_it_wrote_is_kept_at_its_end_and_now_and_then_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(children_module, "KEEP_SECONDS", 0.1)
    kept = Kept()
    nursery = make_children(tmp_path, keep=kept)
    talks = start(
        nursery, "import sys\nprint('begun', file=sys.stderr, flush=True)\nsys.stdin.read()\nprint('over', file=sys.stderr)"
    )
    wait_until(lambda: kept == {"alice": "begun\n"})
    silent = start(nursery, WAIT, owner="bob")
    nursery.stop()
    assert (finish(talks), finish(silent)) == (0, 0)
    assert kept == {"alice": "begun\nover\n"}


def test_a_child_is_seen_to_its_end_even_if_nothing_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def refuse(owner: str, text: str) -> None:
        raise OSError(f"no room for {text}")

    nursery = make_children(tmp_path, keep=refuse)
    child = start(nursery, "raise SystemExit('bob is 42')")
    assert finish(child) == 1
    assert len(nursery) == 0
    assert "could not be kept: OSError" in caplog.text
    assert "42" not in caplog.text


def test_a_flood_to_stderr_is_bounded_and_ends_with_the_child(children: Children):
    child = start(children, "import os\nwhile True:\n    os.write(2, b'x' * 65536)")
    wait_until(lambda: len(child.tail.text()) == 32_768)
    child.kill()
    finish(child)


# --- what is left of it ---


def test_a_folder_goes_with_its_owner_once_the_last_child_has_ended(children: Children, tmp_path: Path):
    own = tmp_path / "data" / "children" / "alice"
    first, second = start(children, WAIT), start(children, WAIT)
    children.forget("alice")
    first.stop()
    finish(first)
    assert own.is_dir()
    second.stop()
    finish(second)
    assert not own.exists()
    children.forget("alice")
    children.forget("nobody")
    finish(start(children, "pass", owner="bob"))
    children.forget("bob")
    assert list(own.parent.iterdir()) == []


def test_a_warden_that_cannot_be_told_what_to_do_leaves_nothing_open(children: Children, monkeypatch: pytest.MonkeyPatch):
    def fail(plan: object, end: int) -> str:
        os.close(end)
        return "It has died already."

    monkeypatch.setattr(children_module, "hand_over", fail)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(UpstreamError, match=r"^It has died already\.$"):
        start(children, WAIT)
    wait_until(lambda: len(children) == 0)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= len(before))

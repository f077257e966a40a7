"""Commands as MCP servers: what their processes get, what they can reach, how they may misbehave, and what is left of them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nursery import CHILD, Kept, is_there, make_children, processes_with, target, zombies
from patience import wait_until

import upstream_stdio
from cases.catalogue import case
from children import Children
from errors import UpstreamError
from links import Link
from tools import Call
from upstream_stdio import StdioServers

MARKER = "POSTERN_CASE_OF_A_CHILD"


class House:
    """A server's files, and a place for its children."""

    def __init__(self, folder: Path, **options: Any):
        self.folder = folder
        self.kept = Kept()
        self.children: Children = make_children(folder, keep=self.kept, **options)
        self.servers = StdioServers(self.children)
        (folder / "data" / ".env").write_text("MASTER_KEY=1234")
        (folder / "data" / "key").write_text("1234")

    def open(self, *traits: str, owner: str = "alice", seconds: float = 15, **more: Any) -> Link:
        """A session with a server of these traits."""
        return self.servers.open(owner, target(*traits, seconds=seconds, **more), {}, lambda *_: None)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """One that is empty again in the end."""
    made = House(tmp_path)
    yield made
    made.servers.stop()
    assert len(made.children) == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Link, Link]]:
    """A house with two servers in it, Alice's and Bob's."""
    made = House(tmp_path_factory.mktemp("shared"))
    bobs = made.open(owner="bob", environment={"TOKEN": "bobs-t0ken"})
    use(bobs, "write", path=f"{made.folder}/data/children/bob/home/token")
    yield made, made.open(), bobs
    made.servers.stop()


def use(link: Link, name: str, **arguments: Any) -> str:
    """Call a tool; its text."""
    return link.request("tools/call", {"name": name, "arguments": arguments}, Call())["content"][0]["text"]


def about(link: Link) -> dict[str, Any]:
    """What the child says of its own process."""
    return json.loads(use(link, "about"))


# --- what they get ---


@pytest.mark.parametrize(
    "argument",
    [
        case("C-01", name, text)
        for name, text in {
            "semicolon": "; touch PWNED",
            "substitution": "$(touch PWNED)",
            "backquotes": "`touch PWNED`",
            "pipe": "| touch PWNED",
            "ampersand": "& touch PWNED &",
            "redirection": "> PWNED",
            "line break": "a\ntouch PWNED\n",
            "quotes": "\" ' \\",
            "glob": "*",
            "variable": "$HOME ${HOME}",
            "empty": "",
        }.items()
    ],
)
def test_arguments_arrive_literally(house: House, tmp_path: Path, argument: str):
    (tmp_path / "work").mkdir()
    got = about(house.open(argument, folder=str(tmp_path / "work")))
    assert got["argv"] == [argument]
    assert os.listdir(tmp_path / "work") == []


def test_c05_the_environment_is_what_was_listed(house: House, monkeypatch: pytest.MonkeyPatch):
    for name in ("MASTER_KEY", "MASTER_KEY_FILE", "GUNICORN_CMD_ARGS", "OWNER_PASSWORD", "HTTP_COOKIE", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "secret")
    got = about(house.open(environment={"TOKEN": "alices-t0ken"}))
    assert got["environ"].pop("TOKEN") == "alices-t0ken"
    assert got["environ"].keys() - {"LC_CTYPE"} == {
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "npm_config_prefer_offline",
        "npm_config_update_notifier",
    }
    assert (got["descriptors"], got["group"], got["session"]) == ([0, 1, 2], got["pid"], got["pid"])
    assert (got["core"], got["umask"]) == ("0", "0077")


# --- what they can reach ---


@pytest.mark.parametrize(
    "path",
    [
        case("C-06", "environment of the server", "/proc/SERVER/environ"),
        case("C-06", "memory of the server", "/proc/SERVER/mem"),
        case("C-06", "mappings of the server", "/proc/SERVER/maps"),
        case("C-06", "files of the server", "/proc/SERVER/cwd/README.md"),
        case("C-06", "environment of the parent", "/proc/PARENT/environ"),
        case("C-06", "memory of the parent", "/proc/PARENT/mem"),
        case("C-06", "environment of the first process", "/proc/1/environ"),
        case("C-07", "database", "DATA/postern.db"),
        case("C-07", "dotenv", "DATA/.env"),
        case("C-07", "key file", "DATA/key"),
        case("C-07", "another child's file", "DATA/children/bob/home/token"),
        case("C-07", "another child's environment", "/proc/BOB/environ"),
        case("C-07", "another child's memory", "/proc/BOB/mem"),
    ],
)
def test_it_is_denied(shared: tuple[House, Link, Link], path: str):
    house, link, bobs = shared
    path = path.replace("SERVER", str(os.getpid())).replace("PARENT", str(about(link)["parent"]))
    path = path.replace("BOB", str(about(bobs)["pid"])).replace("DATA", f"{house.folder}/data")
    assert use(link, "read", path=path) == "PermissionError"


def test_c07_what_is_its_own_is_not_denied(shared: tuple[House, Link, Link]):
    house, link, bobs = shared
    assert use(bobs, "read", path=f"{house.folder}/data/children/bob/home/token") == "read: written"
    assert use(link, "write", path=f"{house.folder}/data/children/alice/home/token") == "written"
    assert use(link, "read", path="/proc/self/environ").startswith("read: ")
    assert use(link, "read", path=CHILD).startswith("read: ")


# --- how they misbehave ---

BABBLE = {
    "rubbish": "hello\n",
    "lines that are no message": '{}\n[]\n1\nnull\n"x"\n{"jsonrpc":"1.0","id":$ID,"result":{"foreign":1}}\n',
    "invalid UTF-8": "\xff\xfe\n\x80\n",
    "lone surrogates": '{"jsonrpc":"2.0","id":$ID,"result":{"x":"\\ud800"}}\n',
    "not a number": '{"jsonrpc":"2.0","id":$ID,"result":{"x":NaN}}\n',
    "too deep": '{"jsonrpc":"2.0","id":$ID,"result":' + "[" * 5000 + "]" * 5000 + "}\n",
    "an answer to nobody": '{"jsonrpc":"2.0","id":999,"result":{"foreign":1}}\n{"jsonrpc":"2.0","id":"$ID","result":{}}\n',
    "an answer without id": '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}\n',
    "a request": '{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}\n',
    "an odd request": '{"jsonrpc":"2.0","id":{},"method":"ping"}\n{"jsonrpc":"2.0","id":1,"method":"x","params":[]}\n',
    "a batch": '[{"jsonrpc":"2.0","id":$ID,"result":{"foreign":1}}]\n',
}


@pytest.mark.parametrize("data", [case("C-09", words, data) for words, data in BABBLE.items()])
def test_a_little_rubbish_is_overlooked(shared: tuple[House, Link, Link], data: str):
    _, link, _ = shared
    assert use(link, "garble", bytes=data) == "done"
    assert use(link, "echo", a=1) == '{"a": 1}'


def test_c09_a_second_answer_is_dropped(shared: tuple[House, Link, Link]):
    _, link, _ = shared
    first = '{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"first"}]}}\n'
    assert use(link, "garble", bytes=first) == "first"
    assert use(link, "echo") == "{}"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        case("C-09", "rubbish without end", "flood", {"text": "hello\n"}),
        case("C-09", "a line without end", "flood", {"text": "x" * 1_000_000}),
        case("C-09", "invalid UTF-8 without end", "flood", {"text": "\x80\n"}),
        case("C-09", "stdout closed", "close_output", {}),
        case("C-09", "crash", "crash", {}),
        case("C-10", "hang", "hang", {}),
    ],
)
def test_it_loses_its_session_and_its_processes(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, Any]
):
    monkeypatch.setattr(upstream_stdio, "PING_SECONDS", 0.5)
    link = house.open(seconds=5)
    daemon = int(use(link, "daemon"))
    assert is_there(daemon)
    with pytest.raises(UpstreamError):
        use(link, name, **arguments)
    assert not link.is_alive
    wait_until(lambda: len(house.children) == 0)
    assert not is_there(daemon)


def test_c09_half_a_line_waits_for_its_other_half(house: House):
    link = house.open(seconds=1)
    with pytest.raises(UpstreamError, match="within 1 seconds"):
        use(link, "garble", bytes='{"jsonrpc":')  # spoils the answer after it
    assert use(link, "echo") == "{}"


def test_c09_a_flood_to_stderr_stops_nobody(shared: tuple[House, Link, Link]):
    _, link, _ = shared
    assert use(link, "flood_errors") == "done"
    wait_until(lambda: len(link._child.tail.text()) > 30_000)


def test_c10_one_that_hangs_on_its_start_is_killed(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(upstream_stdio, "GREETING_SECONDS", 0.3)
    with pytest.raises(UpstreamError, match="did not answer"):
        house.open("stuck", "deaf", environment={"MARKER": MARKER + "stuck"})
    wait_until(lambda: len(house.children) == 0)
    assert processes_with(MARKER + "stuck") == []


def test_c10_one_that_ignores_every_hint_is_killed(house: House):
    link = house.open("deaf", "stubborn", environment={"MARKER": MARKER + "deaf"})
    assert len(processes_with(MARKER + "deaf")) == 1
    link.close()
    wait_until(lambda: len(house.children) == 0)
    assert processes_with(MARKER + "deaf") == []
    assert zombies() == []


def test_c10_a_crash_makes_the_next_start_wait(house: House):
    link = house.open()
    with pytest.raises(UpstreamError):
        use(link, "crash")
    wait_until(lambda: len(house.children) == 0)
    with pytest.raises(UpstreamError, match="has just failed"):
        house.open()
    time.sleep(0.6)
    assert use(house.open(), "echo") == "{}"


def test_c12_a_secret_on_stderr_is_not_shown_and_not_logged(house: House, caplog: pytest.LogCaptureFixture):
    caplog.set_level(0)
    link = house.open("--key", "inner-s3cret", environment={"TOKEN": "alices-t0ken"}, secrets=("inner-s3cret",))
    use(link, "complain", text="Error: alices-t0ken and inner-s3cret are not valid\n")
    with pytest.raises(UpstreamError) as caught:
        use(link, "crash")
    wait_until(lambda: house.kept)
    assert house.kept == {"alice": "Error: [hidden] and [hidden] are not valid\n"}
    assert not [text for text in (caplog.text, str(caught.value)) if "t0ken" in text or "s3cret" in text]


def test_c13_what_was_downloaded_once_is_there_the_next_time(house: House):
    first = house.open()
    assert use(first, "write", path=f"{about(first)['environ']['HOME']}/cache") == "written"
    first.close()
    wait_until(lambda: len(house.children) == 0)
    second = about(house.open())
    assert os.listdir(second["environ"]["HOME"]) == ["cache"]
    assert second["environ"]["npm_config_prefer_offline"] == "true"


def test_c14_a_thousand_calls_start_no_more_than_is_allowed(tmp_path: Path):
    house = House(tmp_path, maximum=3)
    most, done, refused = 0, threading.Event(), []

    def count() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, len(processes_with(MARKER + "many")))

    def call(number: int) -> str:
        try:
            link = house.open(owner=f"o{number % 50}", environment={"MARKER": MARKER + "many"})
        except UpstreamError as error:
            refused.append(str(error))
            return ""
        texts = {use(link, "echo", number=number) for _ in range(5)}
        link.close()
        return texts.pop()

    with ThreadPoolExecutor(41) as pool:
        counting = pool.submit(count)
        texts = list(pool.map(call, range(1000)))
        done.set()
        counting.result()
    assert 1 <= most <= 3
    assert len(refused) + len([text for text in texts if text]) == 1000
    assert set(refused) == {"Too many commands run at the moment."}
    house.servers.stop()
    assert (len(house.children), processes_with(MARKER + "many")) == (0, [])

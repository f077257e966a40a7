"""upstream_stdio.py: sessions with servers of our own that misbehave on demand, and with servers of two SDKs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import npm
import pytest
from nursery import Kept, make_children, target
from patience import wait_until

import upstream_rpc
import upstream_stdio
from children import Children
from config import Settings
from errors import Cancelled, UpstreamError, UpstreamRefused
from links import Link, StdioTarget
from tools import Call
from upstream_stdio import StdioServers, make_stdio_servers, read_lines

HERE = Path(__file__).parent
TINY = """#!/usr/bin/env node
import readline from "node:readline";
const greeting = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "tiny" } };
const refusal = { code: -32601, message: "Method not found" };
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method } = JSON.parse(line);
  const outcome = method === "initialize" ? { result: greeting } : { error: refusal };
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, ...outcome }));
});
"""
ASKABLE: dict[str, Any] = {"elicitation": {}}


class Caller(Call):
    """A caller that wants progress, and accepts whatever it is asked."""

    wants_progress = True
    capabilities = ASKABLE

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []

    def progress(self, progress, total=None, message=None):
        self.told.append((progress, total, message))

    def log(self, level, data, logger=None):
        self.told.append((level, data))

    def ask_all(self, requests):
        self.told.append(tuple(requests.items()))
        return {key: {"action": "accept", "content": {"color": "blue"}} for key in requests}


class House:
    """A place for children, and what was heard of them."""

    def __init__(self, folder: Path):
        self.kept = Kept()
        self.children: Children = make_children(folder, keep=self.kept)
        self.servers = StdioServers(self.children)
        self.heard: list[tuple[str, Any]] = []

    def open(self, wanted: StdioTarget, owner: str = "alice", capabilities: Any = ASKABLE) -> Link:
        """A session."""
        return self.servers.open(owner, wanted, capabilities, lambda *what: self.heard.append(what))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """One that is empty again in the end."""
    made = House(tmp_path)
    yield made
    made.servers.stop()
    assert len(made.children) == 0


@pytest.fixture
def link(house: House) -> Link:
    """A session with a server of the handshake era."""
    return house.open(target())


def use(link: Link, name: str, call: Call | None = None, **arguments: Any) -> str:
    """Call a tool; its text."""
    result = link.request("tools/call", {"name": name, "arguments": arguments}, call or Call())
    return result["content"][0]["text"]


# --- the beginning ---


def test_an_older_server_is_greeted_as_such(link: Link):
    assert (link.greeting.version, link.greeting.is_modern, link.greeting.server) == ("2025-06-18", False, {"name": "child"})


def test_one_that_ends_when_it_is_asked_what_it_does_not_know_is_started_again(house: House):
    assert house.open(target("touchy")).greeting.version == "2025-06-18"


def test_one_that_says_nothing_to_that_is_greeted_all_the_same(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 0.5)
    first = house.open(target("mute"))
    assert use(first, "echo", a=1) == '{"a": 1}'
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 60)
    began = time.monotonic()
    house.open(target("mute"))  # its era is known now
    assert time.monotonic() - began < 30


def test_an_era_is_forgotten_when_it_no_longer_fits(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "GREETING_SECONDS", 0.5)
    house.servers._eras[(target("stuck").command, target("stuck").arguments)] = False
    with pytest.raises(UpstreamError):
        house.open(target("stuck"))
    assert list(house.servers._eras.values()) == [None]


def test_an_era_is_known_from_earlier_until_it_does_not_fit(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 60)
    house.servers._find_era = {"alice": False, "bob": None}.get
    began = time.monotonic()
    assert house.open(target("mute")).greeting.is_modern is False  # which would have kept silent
    assert time.monotonic() - began < 30
    monkeypatch.setattr(upstream_stdio, "GREETING_SECONDS", 0.3)
    with pytest.raises(UpstreamError):
        house.open(target("stuck"))
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 0.2)
    house.children.forgive("alice")
    asked = []

    def note(link: Link) -> None:
        asked.append(link)

    monkeypatch.setattr(upstream_stdio.StdioLink, "_discover", note)
    with pytest.raises(UpstreamError):
        house.open(target("stuck"))
    assert len(asked) == 1


def test_one_that_begins_slowly_and_finds_both_questions_is_of_its_own_era(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 0.1)
    link = house.open(StdioTarget(target().command, (str(HERE / "stdio_sdk.py"),), seconds=30))
    assert link.greeting.version == "2026-07-28"
    assert use(link, "add", a=2, b=3) == "5"


def test_one_that_never_answers_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(upstream_stdio, "GREETING_SECONDS", 0.3)
    with pytest.raises(UpstreamError, match="did not answer"):
        house.open(target("stuck"))
    wait_until(lambda: len(house.children) == 0)
    with pytest.raises(UpstreamError, match="has just failed"):
        house.open(target("stuck"))


def test_one_that_ends_at_once_is_given_up(house: House):
    with pytest.raises(UpstreamError, match=r"has ended \(with code 5\)|closed its") as caught:
        house.open(target("dead"))
    assert caught.value.output == "cannot begin\n"


def test_a_greeting_on_stdout_is_overlooked(house: House):
    assert use(house.open(target("banner")), "echo") == "{}"


def test_commands_can_be_switched_off(settings: Settings):
    servers = make_stdio_servers(settings)
    with pytest.raises(UpstreamError, match="ALLOW_STDIO"):
        servers.open("alice", target(), {}, lambda *_: None)
    assert not (settings.data_folder / "children").exists()


def test_a_person_can_read_what_it_wrote_to_stderr(house: House):
    link = house.open(target(environment={"TOKEN": "t0ken-of-alice"}))
    use(link, "complain", text="no access with t0ken-of-alice\n")
    link.close()
    wait_until(lambda: house.kept)
    assert house.kept == {"alice": "no access with [hidden]\n"}


# --- calls ---


def test_calls_run_side_by_side(link: Link):
    with ThreadPoolExecutor(20) as pool:
        slow = pool.submit(use, link, "sleep", seconds=0.5)
        texts = list(pool.map(lambda number: use(link, "echo", number=number), range(100)))
        assert not slow.done()
        assert slow.result() == "slept"
    assert texts == [json.dumps({"number": number}) for number in range(100)]


@pytest.mark.parametrize("size", [0, 1, 65_535, 3_000_000])
def test_long_lines_arrive_whole(link: Link, size: int):
    assert len(use(link, "big", size=size)) == size
    assert len(use(link, "echo", text="x" * size)) > size


def test_a_line_may_come_in_pieces(link: Link):
    assert use(link, "drip", text="drop by drop ✓") == "drop by drop ✓"


def test_an_error_is_passed_on(link: Link):
    with pytest.raises(UpstreamRefused) as caught:
        link.request("nothing/there", {}, Call())
    assert caught.value.code == -32601


def test_progress_and_log_reach_the_caller(link: Link):
    call = Caller()
    token = use(link, "progress", call)
    assert call.told == [(1, 2, None), (2, 2, None), ("warning", "careful")]
    assert token.isdigit()
    assert use(link, "progress") == "None"  # who wants none gets none


def test_questions_reach_the_caller(link: Link):
    call = Caller()
    answer = json.loads(use(link, "elicit", call))
    assert answer["result"] == {"action": "accept", "content": {"color": "blue"}}
    assert call.told[0][0][1][0] == "elicitation/create"


def test_pings_are_answered_without_anybody(link: Link):
    assert json.loads(use(link, "ping"))["result"] == {}


def test_changed_lists_are_heard(house: House, link: Link):
    use(link, "change_tools")
    wait_until(lambda: house.heard)
    assert house.heard == [("notifications/tools/list_changed", {})]


def test_a_cancelled_call_is_cancelled_there_too(link: Link):
    call = Call()
    threading.Timer(0.2, call.cancelled.set).start()
    with pytest.raises(Cancelled):
        use(link, "sleep", call, seconds=1)
    assert len(json.loads(use(link, "was_cancelled"))) == 1
    time.sleep(1)  # its late answer comes
    assert use(link, "echo") == "{}"


# --- the end ---


def test_a_call_that_takes_too_long_ends_but_not_the_session(house: House):
    link = house.open(target(seconds=1))
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(use, link, "stay_silent")
        time.sleep(0.5)
        assert use(link, "echo") == "{}"
        with pytest.raises(UpstreamError, match="within 1 seconds"):
            slow.result()
    assert link.is_alive
    assert len(json.loads(use(link, "was_cancelled"))) == 1


def test_one_that_is_merely_slow_keeps_it(house: House):
    link = house.open(target(seconds=0.5))
    with pytest.raises(UpstreamError, match=r"within 0\.5 seconds"):
        use(link, "stay_silent")
    assert link.is_alive
    assert use(link, "echo") == "{}"


def test_one_that_hangs_loses_its_session(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "PING_SECONDS", 0.5)
    link = house.open(target(seconds=0.5))
    with pytest.raises(UpstreamError, match=r"within 0\.5 seconds"):
        use(link, "hang")
    assert not link.is_alive
    wait_until(lambda: len(house.children) == 0)
    house.children.forgive("alice")
    assert use(house.open(target()), "echo") == "{}"


def test_when_it_crashes_everybody_who_waits_learns_of_it(link: Link):
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(use, link, "stay_silent") for _ in range(4)]
        time.sleep(0.3)
        with pytest.raises(UpstreamError, match=r"has ended \(with code 3\)"):
            use(link, "crash")
        for call in waiting:
            with pytest.raises(UpstreamError, match=r"has ended \(with code 3\)"):
                call.result()
    assert not link.is_alive
    with pytest.raises(UpstreamError, match="has ended"):
        use(link, "echo")
    with pytest.raises(UpstreamError):
        link.notify("notifications/roots/list_changed", {})


def test_closing_ends_waiting_calls_and_may_be_done_twice(house: House, link: Link):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(use, link, "stay_silent")
        time.sleep(0.2)
        link.close()
        link.close()
        with pytest.raises(UpstreamError, match="was closed"):
            waiting.result()
    assert not link.is_alive
    wait_until(lambda: len(house.children) == 0)
    house.open(target())  # that was no crash


def test_a_line_without_end_ends_the_session(link: Link, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_stdio, "MAX_LINE", 1_000_000)
    with pytest.raises(UpstreamError, match="line without end"):
        use(link, "flood", text="x" * 10_000)


def test_nothing_but_rubbish_ends_the_session(link: Link):
    with pytest.raises(UpstreamError, match="does not speak MCP"):
        use(link, "flood", text="rubbish\n")


def test_a_flood_of_notes_costs_little(link: Link):
    note = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 99, "progress": 1}})
    call = Call()
    threading.Timer(1, call.cancelled.set).start()
    began, spent = time.monotonic(), time.process_time()
    with pytest.raises(Cancelled):
        use(link, "flood", call, text=note + "\n")
    assert time.process_time() - spent < (time.monotonic() - began) / 2
    assert link.is_alive


def test_lines_are_read_as_they_come(tmp_path: Path):
    (tmp_path / "lines").write_bytes(b"one\n\n two\r\n" + b"3" * 200_000 + b"\nhalf a line")
    with open(tmp_path / "lines", "rb") as file:
        assert list(read_lines(file.fileno())) == [b"one", b"", b" two\r", b"3" * 200_000]


# --- servers of the SDKs ---


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[bool, Link]]]:
    """Sessions with the Python SDK's server: of the stateless era (True) and of the handshake era (False)."""
    house = House(tmp_path_factory.mktemp("sdk"))
    wanted = StdioTarget(target().command, (str(HERE / "stdio_sdk.py"),), seconds=30)
    links = {True: house.open(wanted)}
    house.servers._eras[(wanted.command, wanted.arguments)] = False
    links[False] = house.open(wanted)
    yield house, links
    house.servers.stop()


@pytest.mark.parametrize(("is_modern", "version"), [(True, "2026-07-28"), (False, "2025-11-25")])
def test_the_python_sdk_is_understood_in_both_eras(sdk: tuple[House, dict[bool, Link]], is_modern: bool, version: str):
    link = sdk[1][is_modern]
    assert (link.greeting.version, link.greeting.is_modern, link.greeting.instructions) == (version, is_modern, "Add.")
    assert link.greeting.server["name"] == "sdk"
    names = [tool["name"] for tool in link.request("tools/list", {}, Call())["tools"]]
    assert names == ["add", "work", "fail", "rest", "favourite", "pick"]
    assert use(link, "add", a=2, b=3) == "5"
    call = Caller()
    assert use(link, "work", call) == "worked"
    assert call.told == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
    assert link.request("tools/call", {"name": "fail", "arguments": {}}, Call())["isError"] is True
    assert link.request("resources/read", {"uri": "note://one"}, Call())["contents"][0]["text"] == "a note"
    with pytest.raises(UpstreamRefused):
        link.request("resources/read", {"uri": "note://two"}, Call())


@pytest.mark.parametrize("is_modern", [True, False])
def test_a_call_to_the_python_sdk_can_be_cancelled(sdk: tuple[House, dict[bool, Link]], is_modern: bool):
    call = Call()
    threading.Timer(0.3, call.cancelled.set).start()
    with pytest.raises(Cancelled):
        use(sdk[1][is_modern], "rest", call)
    assert use(sdk[1][is_modern], "add", a=1, b=1) == "2"


def test_the_python_sdk_asks_in_the_way_of_its_era(sdk: tuple[House, dict[bool, Link]]):
    assert use(sdk[1][False], "favourite", Caller()) == "accept blue"
    call = Caller()
    result = sdk[1][True].request("tools/call", {"name": "pick", "arguments": {}}, call)
    assert result["resultType"] == "input_required"
    assert result["inputRequests"]["color"]["method"] == "elicitation/create"
    assert call.told == []  # whoever called asks, and calls again


@pytest.mark.node
def test_the_typescript_sdk_is_understood(house: House, tmp_path: Path):
    (tmp_path / "work").mkdir()
    wanted = StdioTarget(npm.find_node(), (str(HERE / "node" / "stdio_sdk.mjs"),), folder=str(tmp_path / "work"), seconds=30)
    link = house.open(wanted)
    assert link.greeting.server == {"name": "node", "version": "1.0.0"}
    assert use(link, "add", a=2, b=3) == "5"
    folder, home, scratch = use(link, "where").split()
    own = tmp_path / "data" / "children" / "alice"
    assert (folder, home) == (str(tmp_path / "work"), str(own / "home"))
    assert scratch.startswith(str(own / "tmp-"))


@pytest.mark.node
def test_a_package_runs_by_npx(house: House, tmp_path: Path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"name": "tiny", "version": "1.2.3", "bin": {"tiny": "tiny.mjs"}}))
    (package / "tiny.mjs").write_text(TINY)
    link = house.open(StdioTarget("npx", ("-y", str(package)), seconds=60))
    assert link.greeting.server == {"name": "tiny"}


def test_an_answer_with_half_a_letter_in_it_is_told_soon(link: Link, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_rpc, "MEND_SECONDS", 0.1)
    half = '{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"\\ud83d"}]}}\n'
    with pytest.raises(UpstreamError, match="cannot be read"):
        use(link, "mumble", bytes=half)
    assert use(link, "echo", a=1) == '{"a": 1}'

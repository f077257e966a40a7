"""Clients of three revisions before servers of three revisions and of every kind: what goes through the gateway.

The table in docs/eras.md is made here: `WRITE_ERAS=1 python -m pytest tests/test_eras.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from behind import connect, draft_for, running_sdk_server
from era_client import EraClient
from server import ROOT, running_server

pytestmark = pytest.mark.server

CLIENTS = ("2025-06-18", "2025-11-25", "2026-07-28")
UPSTREAMS = {  # column -> (kind, the newest revision it speaks; '' for the newest there is)
    "2025-06-18": ("http", "2025-06-18"),
    "2025-11-25": ("http", "2025-11-25"),
    "2026-07-28": ("http", ""),
    "SSE": ("sse", "2025-11-25"),
    "stdio": ("stdio", "2025-11-25"),
}
PAGE = ROOT / "docs" / "eras.md"
PATIENCE = 20
WATCHED = "test://watched-resource"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """One Postern with a connection to each upstream; `tokens` and `notes`, where an upstream writes, by column."""
    folder = tmp_path_factory.mktemp("eras")
    with ExitStack() as stack:
        notes = {name: folder / name for name in UPSTREAMS}
        ports = {
            name: stack.enter_context(running_sdk_server(notes[name], kind, revision))
            for name, (kind, revision) in UPSTREAMS.items()
            if kind != "stdio"
        }
        allowed = ",".join(f"127.0.0.1:{port}" for port in ports.values())
        commands = {"ALLOW_STDIO": "1", "ALLOW_STDIO_UNCONFINED": "1"}
        server = stack.enter_context(running_server(folder / "postern", ALLOW_PRIVATE_UPSTREAMS=allowed, **commands))
        notes["stdio"].mkdir()
        drafts = {
            name: draft_for(kind, ports.get(name, 0), revision, **({"cwd": str(notes[name])} if kind == "stdio" else {}))
            for name, (kind, revision) in UPSTREAMS.items()
        }
        slugs = {name: f"era-{number}" for number, name in enumerate(UPSTREAMS)}
        tokens = {name: connect(server, drafts[name], slug=slugs[name]) for name in UPSTREAMS}
        yield SimpleNamespace(server=server, tokens=tokens, slugs=slugs, notes=notes)


PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]


@pytest.fixture(params=PAIRS, ids=[" before ".join(pair) for pair in PAIRS])
def pair(request: pytest.FixtureRequest, house: SimpleNamespace) -> SimpleNamespace:
    """A client of one revision before one upstream."""
    revision, upstream = request.param
    client = EraClient(f"{house.server.url}/mcp/{house.slugs[upstream]}", house.tokens[upstream], revision)
    return SimpleNamespace(client=client, key=request.param, notes=house.notes[upstream])


def call(client: EraClient, name: str, **arguments: str) -> dict:
    """Call a tool."""
    return client.request("tools/call", {"name": name, "arguments": arguments})


def check_list(pair: SimpleNamespace) -> None:
    assert "test_simple_text" in {tool["name"] for tool in pair.client.request("tools/list", {})["tools"]}


def check_call(pair: SimpleNamespace) -> None:
    assert call(pair.client, "test_simple_text")["content"][0]["text"].startswith("This is a simple text")


def check_progress(pair: SimpleNamespace) -> None:
    params = {"name": "test_tool_with_progress", "arguments": {}}
    assert pair.client.request("tools/call", params, progress=True)["content"][0]["text"] == "done"
    told = [note["params"] for note in pair.client.heard if note["method"] == "notifications/progress"]
    assert [(note["progressToken"], note["progress"]) for note in told] == [("mine", 0), ("mine", 50), ("mine", 100)]


def check_error(pair: SimpleNamespace) -> None:
    result = call(pair.client, "test_error_handling")
    assert (result["isError"], result["content"][0]["text"]) == (True, "This tool intentionally returns an error for testing")


def check_cancel(pair: SimpleNamespace) -> None:
    before = count_cancelled(pair.notes)
    pair.client.leave("tools/call", {"name": "wait_until_cancelled", "arguments": {}})
    deadline = time.monotonic() + PATIENCE
    while count_cancelled(pair.notes) == before:
        assert time.monotonic() < deadline, "the upstream was not told"
        time.sleep(0.05)


def check_elicitation(pair: SimpleNamespace) -> None:
    answer = call(pair.client, "test_elicitation", message="Really?")["content"][0]["text"]
    assert answer == 'User response: action=accept, content={"response": "yes"}'


def check_log(pair: SimpleNamespace) -> None:
    """Older servers here say nothing below a warning until they are told that somebody wants it."""
    pair.client.choose_level("info")
    call(pair.client, "test_tool_with_logging")
    lines = [note["params"] for note in pair.client.heard if note["method"] == "notifications/message"]
    assert [(line["level"], line["logger"], line["data"].split()[-1]) for line in lines] == [
        ("info", "fixture", "started"), ("info", "fixture", "data"), ("info", "fixture", "completed"),
    ]  # fmt: skip
    pair.client.choose_level("error")
    call(pair.client, "test_tool_with_logging")
    assert [note for note in pair.client.heard if note["method"] == "notifications/message"] == []


def check_subscribe(pair: SimpleNamespace) -> None:
    with pair.client.hearing_of(WATCHED) as told:
        for _ in range(2):
            call(pair.client, "test_trigger_resource_change")
            message = next(told)
            assert (message["method"], message["params"]["uri"]) == ("notifications/resources/updated", WATCHED)


CHECKS: dict[str, Callable[[SimpleNamespace], None]] = {
    "list": check_list,
    "call": check_call,
    "progress": check_progress,
    "error": check_error,
    "cancel": check_cancel,
    "elicitation": check_elicitation,
    "log": check_log,
    "subscribe": check_subscribe,
}
PASSED: dict[tuple[str, str], list[str]] = {}


def count_cancelled(folder: Path) -> int:
    """How many calls the upstream in that folder gave up."""
    path = folder / "cancelled"
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("check", CHECKS)
def test_it_goes_through(pair: SimpleNamespace, check: str):
    CHECKS[check](pair)
    PASSED.setdefault(pair.key, []).append(check)


def test_the_documentation_says_what_goes_through():
    assert len(PASSED) == len(CLIENTS) * len(UPSTREAMS), "run the whole file"
    head = "| client | " + " | ".join(UPSTREAMS) + " |\n|---|" + "---|" * len(UPSTREAMS) + "\n"
    rows = [f"| {client} | " + " | ".join(describe(PASSED[client, name]) for name in UPSTREAMS) + " |\n" for client in CLIENTS]
    page = (
        "# Which revisions of MCP go together\n\n"
        "Assistants of the revision on the left, through Postern, before a server of the revision above (over HTTP), or of\n"
        "2025-11-25 over the transport of 2024 (SSE) and as a command (stdio). `tests/test_eras.py` tries it and writes this:\n"
        "listing and calling tools, progress, errors, cancelling, a server that asks the person something, log lines from the\n"
        "level on that the assistant has chosen, and changes of a resource that it has subscribed to.\n\n"
        + head
        + "".join(rows)
    )
    if os.environ.get("WRITE_ERAS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def describe(passed: list[str]) -> str:
    """What went through, in the order of the checks."""
    return "all" if passed == list(CHECKS) else ", ".join(passed)

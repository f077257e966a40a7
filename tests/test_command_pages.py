"""What a command wrote to stderr, on its connection's page: its owner's, without secrets; and what is left when it is deleted."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from conftest import MASTER_KEY, NOW
from household import House, opened, send
from nursery import CHILD
from patience import wait_until

from app import list_tasks
from child_folders import make_folder
from config import load_settings
from store.connections import list_connections_of
from store.tails import find_tail, keep_tail
from tools import Call

SECRET = "t0ken-of-alice"
SAYS = """
import os, sys
print(f"<b>cannot</b> use {os.environ['TOKEN']}\\N{RIGHT-TO-LEFT OVERRIDE}", file=sys.stderr)
raise SystemExit(5)
"""
SHOWN = "<b>cannot</b> use [hidden]\N{REPLACEMENT CHARACTER}\n"
FORM = {
    "connector": "stdio",
    "connection_name": "Tool",
    "command": sys.executable,
    "seconds": "60",
    "env_names.0.name": "TOKEN",
    "env_names.0.value": SECRET,
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Alice owns it, and may run commands."""
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/data/x.db", "ALLOW_STDIO": "1"}
    with opened(load_settings(environ, None)) as house:
        yield house.settle()


def folders(house: House) -> list[str]:
    """The owners who have a folder."""
    root = house.settings.children_folder
    return sorted(os.listdir(root)) if root.exists() else []


def output_on(page: str) -> list[str]:
    """What commands wrote, as a page shows it."""
    return [unescape(text) for text in re.findall(r'<pre class="output"[^>]*><bdi>(.*?)</bdi>', page, re.DOTALL)]


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A program that writes a complaint and ends."""
    (tmp_path / "says.py").write_text(SAYS)
    return str(tmp_path / "says.py")


def make(house: House, arguments: str) -> str:
    """Alice's command; its id."""
    answer = send(house.browser(house.alice), "/connections/new", **FORM, args=arguments, action="save")
    assert answer.status_code == 303, answer.text
    return list_connections_of(house.db, "stdio")[0].id


def find_words(house: House, connection_id: str) -> str:
    """What was kept of what it wrote."""
    tail = find_tail(house.db, house.vault, connection_id)
    return tail.text if tail else ""


@pytest.mark.parametrize("path", ["/connections/new", "/keys/new?connector=stdio"])
def test_a_failed_test_shows_the_last_lines_and_leaves_nothing(house: House, broken: str, path: str):
    page = send(house.browser(house.alice), path, **FORM, args=broken, action="test")
    assert page.status_code == 400
    assert re.search(r"has ended \(with code 5\)|has closed its output", page.text)
    assert output_on(page.text) == [SHOWN]
    assert (SECRET in output_on(page.text)[0], "<b>cannot" in page.text) == (False, False)
    wait_until(lambda: folders(house) == [])
    assert house.db.query("SELECT connection_id FROM tails") == []


def test_a_command_that_is_not_there_says_what_may_be_missing(house: House):
    page = send(house.browser(house.alice), "/connections/new", **(FORM | {"command": "npx-that-is-not-there"}), action="test")
    assert page.status_code == 400
    assert "The command was not found." in page.text
    assert "docs/commands.md" in page.text
    assert output_on(page.text) == []


def test_the_page_shows_what_it_wrote_whichever_process_ran_it(house: House, broken: str):
    connection_id = make(house, broken)
    browser = house.browser(house.alice)
    wait_until(lambda: find_words(house, connection_id))
    page = browser.get(f"/connections/{connection_id}")
    assert output_on(page.text) == [SHOWN]
    assert (SECRET in page.text, "<b>cannot" in page.text) == (False, False)
    keep_tail(house.db, house.vault, connection_id, "said elsewhere", now=NOW)  # as another process would
    assert output_on(browser.get(f"/connections/{connection_id}").text) == ["said elsewhere"]


def test_nobody_else_sees_it_nor_do_assistants(house: House, broken: str):
    connection_id = make(house, broken)
    wait_until(lambda: find_words(house, connection_id))
    assert house.browser(house.bob).get(f"/connections/{connection_id}").status_code == 404
    assert house.browser().get(f"/connections/{connection_id}").status_code == 303
    house.now += 16 * 60  # nor does she whose password was typed long ago
    answer = house.browser(house.alice).get(f"/connections/{connection_id}")
    assert answer.status_code == 200
    late = house.browser(house.alice)
    house.now += 16 * 60
    assert late.get(f"/connections/{connection_id}").status_code == 303
    headers = {"Authorization": f"Bearer {house.key}", "Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "tool_echo", "arguments": {}}}
    assert "cannot" not in house.browser().post("/mcp", json=body, headers=headers).text


def test_one_that_was_made_for_somebody_who_owns_nothing_is_not_shown(house: House, broken: str):
    connection_id = make(house, broken)
    wait_until(lambda: find_words(house, connection_id))
    with house.db.write() as run:
        run("UPDATE users SET is_owner = 0")
    assert house.browser(house.alice).get(f"/connections/{connection_id}").status_code == 403


def test_its_folder_goes_with_it_after_its_process(house: House):
    connection_id = make(house, CHILD)
    connection = list_connections_of(house.db, "stdio")[0]
    params = {"name": "about", "arguments": {}}
    text = house.state.gateway.upstreams.request(connection, "tools/call", params, Call())["content"][0]["text"]
    home = json.loads(text)["environ"]["HOME"]
    assert home == str(house.settings.children_folder / connection_id / "home")
    Path(home, "precious").symlink_to(house.settings.data_folder / "x.db")
    send(house.browser(house.alice), f"/connections/{connection_id}", action="off")
    assert folders(house) == [connection_id]  # it may be switched on again
    send(house.browser(house.alice), f"/connections/{connection_id}", action="delete")
    wait_until(lambda: folders(house) == [])
    assert house.db.path.exists()


def test_folders_of_connections_that_are_gone_go_within_hours(house: House):
    connection_id = make(house, CHILD)
    (task,) = [task for task in list_tasks(house.state) if task.name == "remove folders of commands"]
    for name in ("0123456789", connection_id):
        make_folder(house.settings.children_folder, name)
    task.run(int(time.time()))
    assert folders(house) == sorted([connection_id, "0123456789"])
    task.run(int(time.time()) + 2 * 3600)
    assert folders(house) == [connection_id]

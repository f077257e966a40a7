"""connectors/custom.py: connectors of a person's own are loaded, and a broken one hurts nobody; the example in custom/ works."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from household import House, opened, send

from config import Settings
from connectors.catalog import CONNECTORS
from connectors.custom import load_custom
from store.connections import list_connections
from tools import Connector

GOOD = 'from tools import Connector\nCONNECTOR = Connector("NAME", "Title", "For tests.")\n'
SOURCE = 'Source("x", "x", None, None, ())'
TOOL = 'Tool("NAME", "T", "d", {}, lambda context, arguments: None)'
TOOLS = f'from tools import Connector, Tool\nCONNECTOR = Connector("tooled", "T", "d", tools=({TOOL}, {TOOL}))\n'
ODD = """from __future__ import annotations
from tools import Connector, tool
@tool(title="Odd")
def odd(context, x: TYPE) -> str: return ""
CONNECTOR = Connector("odd", "T", "d", tools=(odd,))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for connectors."""
    (tmp_path / "custom").mkdir(mode=0o755)
    return tmp_path / "custom"


def write(folder: Path, name: str, source: str) -> Path:
    """One file of it."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


def test_it_loads_files_and_packages_and_nothing_else(folder: Path):
    write(folder, "one.py", GOOD.replace("NAME", "one"))
    write(folder, "two/__init__.py", "from . import inner\nCONNECTOR = inner.CONNECTOR\n")
    write(folder, "two/inner.py", GOOD.replace("NAME", "two"))
    for other in ("_later.py", ".hidden.py", "notes.txt"):
        write(folder, other, "raise SystemExit")
    (folder / "data").mkdir()
    found, problems = load_custom(folder, ())
    assert (list(found), problems) == (["one", "two"], {})
    assert all(isinstance(connector, Connector) for connector in found.values())


def test_without_a_folder_there_are_none():
    assert load_custom(None, ()) == ({}, {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\n", "It defines no CONNECTOR, which has to be a tools.Connector."),
        (
            "from sources import Source\n" + GOOD.replace("NAME", "one").replace('.")', f'.", sources=({SOURCE},))'),
            "Each of its sources must need one of its tools at least, and no other.",
        ),
        ("CONNECTOR = 'dice'\n", "It defines no CONNECTOR, which has to be a tools.Connector."),
        ("import nobody_has_this\n", "ModuleNotFoundError in line 1 of bad.py."),
        ("x = 1\ndef f(:\n", "SyntaxError in line 2."),
        ("\nraise RuntimeError('s3cret')\n", "RuntimeError in line 2 of bad.py."),
        ("raise SystemExit(3)\n", "SystemExit in line 1 of bad.py."),
        (GOOD.replace("NAME", "clickup"), "The name “clickup” is taken."),
        (GOOD.replace("NAME", "good"), "The name “good” is taken."),
        (GOOD.replace("NAME", "Bad Name"), "The name of its connector must be made of small letters, digits and underscores."),
        (
            GOOD.replace('"For tests."', '"", is_upstream=True').replace("NAME", "up"),
            "It cannot be another MCP server, and has no",
        ),
        (
            GOOD.replace('"For tests."', '"", storage="users"').replace("NAME", "st"),
            "It cannot be another MCP server, and has no",
        ),
        (TOOLS.replace("NAME", "same"), "Two of its tools have one name, or one that assistants do not accept."),
        (TOOLS.replace("NAME", "a b"), "Two of its tools have one name, or one that assistants do not accept."),
        (ODD.replace("TYPE", "slice"), "What its tool odd takes or answers cannot be described (PydanticSchemaGenerationError)."),
        (ODD.replace("TYPE", "nothing"), "What its tool odd takes or answers cannot be described (NameError)."),
        (TOOLS.replace(f", {TOOL}", ",").replace("NAME", "plain"), "What its tool plain takes is no object."),
    ],
)
def test_a_module_that_will_not_do_is_named_and_the_others_still_work(
    folder: Path, caplog: pytest.LogCaptureFixture, source: str, problem: str
):
    write(folder, "a_good_one.py", GOOD.replace("NAME", "good"))
    write(folder, "bad.py", source)
    write(folder, "z_good_one.py", GOOD.replace("NAME", "other"))
    with caplog.at_level(logging.ERROR, "postern.custom"):
        found, problems = load_custom(folder, CONNECTORS)
    assert (list(found), list(problems)) == (["good", "other"], ["bad.py"])
    assert problems["bad.py"].startswith(problem)
    assert [record.getMessage() for record in caplog.records] == [f"the connector in bad.py is left out: {problems['bad.py']}"]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("name", ["one.py", "two", "two/inner.py", ""])
def test_what_everybody_can_write_is_not_run(folder: Path, name: str):
    write(folder, "one.py", GOOD.replace("NAME", "one"))
    write(folder, "two/__init__.py", GOOD.replace("NAME", "two"))
    write(folder, "two/inner.py", "")
    assert set(load_custom(folder, ())[0]) == {"one", "two"}
    path = folder / name
    path.chmod(path.stat().st_mode | 0o002)
    found, problems = load_custom(folder, ())
    assert set(found) == {"one", "two"} - ({"one"} if name == "one.py" else {"two"} if name else {"one", "two"})
    assert set(problems.values()) == {f"Everybody on this machine can write {path.name}."}


# --- in a house ---


@pytest.fixture
def house(settings: Settings, folder: Path) -> Iterator[House]:
    """With the examples, and with a broken file."""
    for name in ("dice.py", "sayings.py"):
        write(folder, name, (ROOT / "custom" / name).read_text())
    write(folder, "broken.py", "1 / 0\n")
    with opened(replace(settings, custom_dir=folder)) as house:
        yield house.settle()


def call(house: House, method: str, **params: object) -> dict:
    """What an API key of Alice's gets."""
    headers = {
        "Authorization": f"Bearer {house.key}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return house.browser().post("/mcp", json=body, headers=headers).json["result"]


def test_the_example_can_be_connected_tried_and_called(house: House):
    alice = house.browser(house.alice)
    values = {"connector": "dice", "connection_name": "Dice", "sides": "8"}
    assert "A die with 8 sides will do." in send(alice, "/connections/new", action="test", **values).text
    refused = send(alice, "/connections/new", action="test", **values | {"sides": "3"})
    assert (refused.status_code, "Nobody has ever seen a die with three sides." in refused.text) == (400, True)
    assert send(alice, "/connections/new", action="save", **values).status_code == 303
    assert "Dice" in [item.name for item in list_connections(house.db, house.alice.id)]
    (tool,) = [tool for tool in call(house, "tools/list")["tools"] if tool["name"].endswith("dice_roll")]
    assert (tool["annotations"]["readOnlyHint"], tool["outputSchema"]["required"]) == (True, ["dice", "total"])
    result = call(house, "tools/call", name=tool["name"], arguments={"dice": 5})
    rolled = result["structuredContent"]
    assert (len(rolled["dice"]), sum(rolled["dice"])) == (5, rolled["total"])
    assert all(1 <= side <= 8 for side in rolled["dice"])
    assert call(house, "tools/call", name=tool["name"], arguments={"dice": 21})["isError"]


def test_what_the_other_example_knows_is_found_by_search_and_has_a_page(house: House):
    alice = house.browser(house.alice)
    typed = "Many hands make light work.\nToo many cooks spoil the broth."
    values = {"connector": "sayings", "connection_name": "Wise words", "sayings": typed}
    assert send(alice, "/connections/new", action="save", **values).status_code == 303
    results = call(house, "tools/call", name="search", arguments={"query": "who spoils broth with cooks"})
    (found,) = [item for item in results["structuredContent"]["results"] if ":saying:" in item["id"]]
    assert found["title"] == "Too many cooks spoil the broth."
    document = call(house, "tools/call", name="fetch", arguments={"id": found["id"]})["structuredContent"]
    assert (document["text"], document["metadata"]) == (found["title"], {"source": "Wise words, sayings"})
    assert found["title"] in alice.get(found["url"].removeprefix(house.settings.public_url)).text
    for own_id in ("0", "3", "-1", "x", "9" * 30):
        refused = call(house, "tools/call", name="fetch", arguments={"id": found["id"].rpartition(":")[0] + ":" + own_id})
        assert (refused["isError"], refused["content"][0]["text"]) == (True, "There is no such saying."), own_id


def test_the_owner_is_told_of_the_broken_one_and_nobody_else(house: House):
    assert (
        "<code>broken.py</code> (CUSTOM_DIR) is left out: ZeroDivisionError in line 1 of broken.py."
        in house.browser(house.alice).get("/admin").text
    )
    assert "broken.py" not in house.browser(house.bob).get("/admin").text

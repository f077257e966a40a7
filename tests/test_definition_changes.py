"""definition_changes.py, upstream_definitions.py: what was changed since a definition, and a newer one with that kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from fake_upstreams import FakeUpstreams
from household import House, send
from test_importing import hidden
from werkzeug.test import Client

from connectors.catalog import CONNECTORS
from definition_changes import carry_over, describe, differs, lay_flat, to_typed
from definition_texts import read_definitions
from known_servers import Entry
from store.connections import Connection, list_connections, list_secrets
from store.upstreams import find_definition_values, find_upstream

pytest_plugins = ["residents"]

FIELDS = CONNECTORS["stdio"].fields


def sheet(*arguments: str, **variables: str | None) -> dict[str, Any]:
    """A command with these arguments and variables."""
    settings = {"command": "npx", "args": list(arguments), "env_names": list(variables)}
    return lay_flat(FIELDS, settings, {f"env:{name}": value for name, value in variables.items() if value is not None})


# --- what was changed ---


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (sheet("a", A="1"), sheet("a", A="1"), []),
        (sheet("a"), sheet("a", "--b", "c d"), ["Arguments: “--b c d” was added at the end."]),
        (sheet(), sheet("a"), ["Arguments: “a” was added at the end."]),
        (sheet("a", "b"), sheet("a"), ["Arguments: “a” instead of “a b”."]),
        (sheet("a"), sheet("ab"), ["Arguments: “ab” instead of “a”."]),
        (sheet("a"), sheet(), ["Arguments: nothing instead of “a”."]),
        (sheet(A="s3cret", B="s3cret"), sheet(A="other", C="s3cret"), [
            "The variable A has another value.", "The variable B is left out.", "The variable C was added.",
        ]),
        (sheet(A=None), sheet(A="s3cret"), []),  # of older connections the values were not kept
    ],
)  # fmt: skip
def test_each_difference_is_told_and_no_secret(before: dict[str, Any], after: dict[str, Any], told: list[str]):
    assert list(describe(before, after, FIELDS)) == told


def test_what_stands_as_the_form_has_it_is_no_difference():
    saved = {"command": "npx", "args": [], "env_names": [], "cwd": "", "seconds": 60}
    assert lay_flat(FIELDS, saved, {}) == sheet()
    assert list(describe(sheet(), lay_flat(FIELDS, saved | {"seconds": 90}, {}), FIELDS)) == [
        "Seconds to wait for an answer: “90” instead of “60”."
    ]


# --- a newer definition ---


@pytest.mark.parametrize(
    ("base", "mine", "newer", "merged"),
    [
        (sheet("p@1"), sheet("p@1"), sheet("p@2"), sheet("p@2")),
        (sheet("p@1"), sheet("p@1", "--mine"), sheet("p@2", "-x"), sheet("p@2", "-x", "--mine")),
        (sheet("p@1"), sheet("q"), sheet("p@2"), sheet("q")),
        (sheet("p@1"), sheet(), sheet("p@2"), sheet()),
        (sheet("p@1"), sheet("p@1", "--mine"), sheet(), sheet("--mine")),
        (sheet(), sheet("--mine"), sheet("p"), sheet("p", "--mine")),
        (sheet(A="1"), sheet(A="1"), sheet(A="2", B="3"), sheet(A="2", B="3")),
        (sheet(A="1"), sheet(A="mine"), sheet(A="2"), sheet(A="mine")),
        (sheet(A="1"), sheet(A="1", M="m"), sheet(B="2"), sheet(B="2", M="m")),
        (sheet(A="1"), sheet(), sheet(A="2"), sheet()),
        (sheet(A="1"), sheet(A="mine"), sheet(), sheet(A="mine")),
        (sheet(A=None), sheet(A="1"), sheet(A="2"), sheet(A="1")),  # it may be their own
        (sheet(), sheet(A="mine"), sheet(A="2"), sheet(A="mine")),
    ],
)
def test_what_a_person_has_changed_stays_and_the_rest_is_as_the_newer_one_has_it(base, mine, newer, merged):
    assert carry_over(base, mine, newer) == merged


def test_a_value_that_is_kept_already_is_not_typed():
    typed = to_typed(sheet("a", A="1", B="2"), sheet(A="1"))
    assert (typed["command"], typed["args"]) == ("npx", "a")
    rows = {name: value for name, value in typed.items() if name.startswith("env_names")}
    assert rows == {
        "env_names.0.name": "A", "env_names.0.value": "", "env_names.1.name": "B", "env_names.1.value": "2",
    }  # fmt: skip


def test_a_definition_is_another_one_if_anything_that_counts_in_it_is():
    text = {"mcpServers": {"x": {"command": "p", "args": ["a"], "env": {"A": "${input:A}"}, "description": "Words."}}}
    (first,) = read_definitions(json.dumps(text))
    copy = json.loads(json.dumps(first.to_json()))
    for values in (dict(first.secrets), None):
        assert not differs(copy, values, replace(first, description="Other words."))
        assert differs(copy, values, replace(first, settings={**first.settings, "args": ["b"]}))
        assert differs(copy, values, replace(first, inputs=(replace(first.inputs[0], label="A"),)))
        assert differs(copy, values, replace(first, secrets={}))
    assert differs(copy, dict(first.secrets), replace(first, secrets={"env:A": "fixed"}))


# --- on its page ---

OLD = {
    "id": "com.wiki-mcp", "name": "Wiki",
    "transport": {
        "type": "http", "url": "https://wiki.example/v1/mcp", "headers": {"X-Key": "${input:KEY}", "X-Fixed": "first-canary"},
        "metadata": {"inputs": [{"id": "KEY", "label": "Key", "secret": True, "required": True}]},
    },
}  # fmt: skip
NEW = {
    "id": "com.wiki-mcp", "name": "Wiki",
    "transport": {
        "type": "http", "url": "https://wiki.example/v2/mcp",
        "headers": {"X-Key": "Token ${input:KEY}", "X-Fixed": "two", "X-Team": "${input:TEAM}"},
        "metadata": {"inputs": [
            {"id": "KEY", "label": "Key", "secret": True, "required": True}, {"id": "TEAM", "label": "Team", "required": True},
        ]},
    },
}  # fmt: skip


@pytest.fixture
def upstreams() -> FakeUpstreams:
    return FakeUpstreams()


def offer(house: House, document: dict[str, Any]) -> None:
    """Have the list that Postern brings say this."""
    (definition,) = read_definitions(json.dumps(document))
    house.state.servers._own[:] = [Entry("catalogue", definition, json.dumps(document))]


@pytest.fixture
def wiki(house: House, alice: Client) -> Connection:
    """Alice's connection to the old one, in which she has changed something."""
    offer(house, OLD)
    shown = alice.get("/connections/import?server=catalogue:com.wiki-mcp")
    kept = {name: value for name, value in hidden(shown).items() if name != "csrf_token"}
    made = send(alice, "/connections/import", action="save", **(kept | {"0.take": "on", "0.input:KEY": "k3y-canary"}))
    assert made.status_code == 303, made.text
    found = find_wiki(house)
    typed = {"connection_name": "Wiki", "url": found.settings["url"], "auth": "none", "seconds": "90"}
    rows = {"header_names.0.name": "X-Key", "header_names.1.name": "X-Fixed", "header_names.1.value": "mine-canary"}
    assert send(alice, f"/connections/{found.id}", action="save", **(typed | rows)).status_code == 303
    return find_wiki(house)


def find_wiki(house: House) -> Connection:
    return next(item for item in list_connections(house.db, house.alice.id) if item.name == "Wiki")


def fields_of(page: str) -> dict[str, str]:
    """The inputs of the page's first form."""
    form = page[page.index('<form method="post" autocomplete="off">') :].partition("</form>")[0]
    inputs = re.findall(r'<input[^>]*? name="([^"]+)"[^>]*?>', form)
    return {name: (re.search(rf'name="{re.escape(name)}"[^>]*? value="([^"]*)"', form) or ["", ""])[1] for name in inputs}


def test_its_page_tells_what_was_changed_and_its_values_are_sealed(house: House, alice: Client, wiki: Connection):
    page = alice.get(f"/connections/{wiki.id}").text
    assert "Seconds to wait for an answer: “90” instead of “60”." in page
    assert "The header X-Fixed has another value." in page
    assert "X-Key has another value" not in page
    assert "There is a newer one" not in page
    assert "canary" not in page
    values = find_definition_values(house.db, house.vault, wiki.id)
    assert values == {"header:X-Key": "${input:KEY}", "header:X-Fixed": "first-canary"}
    (row,) = house.db.query("SELECT definition_json, definition_sealed FROM upstreams WHERE connection_id = :id", id=wiki.id)
    assert "canary" not in row["definition_json"] + row["definition_sealed"]


def test_a_newer_definition_is_seen_first_and_taken_over_without_losing_anything(house: House, alice: Client, wiki: Connection):
    offer(house, NEW)
    path, before = f"/connections/{wiki.id}", house.contents()
    page = alice.get(path).text
    assert "There is a newer one:" in page
    assert "Address: “https://wiki.example/v2/mcp” instead of “https://wiki.example/v1/mcp”." in page
    assert "The header X-Team was added." in page
    shown = send(alice, path, action="renew")
    assert (shown.status_code, "Nothing is saved yet." in shown.text) == (200, True)
    assert "canary" not in shown.text
    assert house.contents() == before
    typed = fields_of(shown.text) | {"auth": "none"}
    assert (typed["url"], typed["seconds"], typed["input:TEAM"]) == ("https://wiki.example/v2/mcp", "90", "")
    missing = send(alice, path, **(typed | {"action": "save"}))
    assert (missing.status_code, house.contents() == before) == (400, True)
    for _ in range(2):  # a double click
        assert send(alice, path, **(typed | {"action": "save", "input:TEAM": "blue"})).status_code == 303
    found = find_wiki(house)
    assert (found.settings["url"], found.settings["seconds"]) == ("https://wiki.example/v2/mcp", 90)
    assert (found.settings["auth"], found.settings["inputs"]) == ("none", {"TEAM": "blue"})
    assert list_secrets(house.db, house.vault, wiki.id) == {
        "header:X-Key": "Token ${input:KEY}", "header:X-Fixed": "mine-canary", "header:X-Team": "${input:TEAM}",
        "input:KEY": "k3y-canary",
    }  # fmt: skip
    assert find_upstream(house.db, wiki.id).definition["settings"]["url"] == "https://wiki.example/v2/mcp"
    page = alice.get(path).text
    assert "There is a newer one" not in page
    assert "The header X-Fixed has another value." in page


def test_what_only_the_older_one_asked_for_is_not_asked_for_again(house: House, alice: Client, wiki: Connection):
    path = f"/connections/{wiki.id}"
    asking = NEW | {"transport": NEW["transport"] | {"url": "https://wiki.example/${input:PLACE}/mcp"}}
    offer(house, asking)
    typed = fields_of(send(alice, path, action="renew").text) | {"auth": "none", "input:TEAM": "blue", "action": "save"}
    assert send(alice, path, **(typed | {"input:PLACE": "v3"})).status_code == 303
    offer(house, NEW)
    shown = send(alice, path, action="renew")
    typed = fields_of(shown.text) | {"auth": "none", "action": "save"}
    assert ("input:PLACE" in typed, typed["input:TEAM"], typed["url"]) == (False, "blue", "https://wiki.example/v2/mcp")
    assert send(alice, path, **typed).status_code == 303
    assert find_wiki(house).settings["inputs"] == {"TEAM": "blue"}


def test_what_changed_once_more_is_looked_at_again(house: House, alice: Client, wiki: Connection):
    offer(house, NEW)
    path = f"/connections/{wiki.id}"
    typed = fields_of(send(alice, path, action="renew").text) | {"auth": "none", "input:TEAM": "blue", "action": "save"}
    offer(house, NEW | {"transport": NEW["transport"] | {"url": "https://wiki.example/v3/mcp"}})
    before = house.contents()
    refused = send(alice, path, **typed)
    assert (refused.status_code, "The definition has changed once more" in refused.text) == (400, True)
    assert house.contents() == before


def test_nothing_newer_cannot_be_looked_at_and_bob_sees_none_of_it(house: House, alice: Client, wiki: Connection):
    assert send(alice, f"/connections/{wiki.id}", action="renew").status_code == 404
    offer(house, NEW)
    assert send(house.browser(house.bob), f"/connections/{wiki.id}", action="renew").status_code == 404
    assert send(alice, f"/connections/{wiki.id}", action="renew").status_code == 200


def test_one_that_was_made_before_its_values_were_kept_loses_nothing(house: House, alice: Client, wiki: Connection):
    with house.db.write() as run:
        run("UPDATE upstreams SET definition_sealed = NULL")
    offer(house, NEW)
    path = f"/connections/{wiki.id}"
    typed = fields_of(send(alice, path, action="renew").text) | {"auth": "none", "input:TEAM": "blue", "action": "save"}
    assert send(alice, path, **typed).status_code == 303
    secrets = list_secrets(house.db, house.vault, wiki.id)
    assert (secrets["header:X-Key"], secrets["header:X-Fixed"]) == ("${input:KEY}", "mine-canary")
    assert find_wiki(house).settings["url"] == "https://wiki.example/v2/mcp"


def test_a_connection_typed_by_hand_has_none(house: House, alice: Client):
    send(alice, "/connections/new", connector="remote_http", connection_name="T", url="https://t.example/mcp", auth="none",
         seconds="60", action="save")  # fmt: skip
    typed = next(item for item in list_connections(house.db, house.alice.id) if item.name == "T")
    assert "Its definition" not in alice.get(f"/connections/{typed.id}").text

"""importing.py, exporting.py, guarded.py and the forms of other MCP servers, as a werkzeug client sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import NOW
from fake_upstreams import FakeUpstreams
from household import House, opened, send
from werkzeug.test import Client, TestResponse

from config import Settings
from exports import export
from guarded import FRESH_SECONDS
from store.connections import Connection, list_connections, list_secrets
from store.profiles import list_members, list_profiles
from store.upstreams import find_upstream, note_failure, note_greeting

pytest_plugins = ["residents"]

TWO = {
    "mcpServers": {
        "wiki": {"url": "https://wiki.example/mcp", "headers": {"X-Key": "k-${input:TEAM}"}},
        "files": {"command": "npx", "args": ["-y", "files@1.0.0", "a b; $(id)"], "env": {"TOKEN": "s3cret-canary"}},
    }
}
WIKI = {"mcpServers": {"wiki": TWO["mcpServers"]["wiki"]}}


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with opened(replace(settings, allow_stdio=True), upstreams=FakeUpstreams()) as house:
        yield house.settle()


def hidden(answer: TestResponse) -> dict[str, str]:
    """What the page carries unseen."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', answer.text))


def paste(browser: Client, document: object) -> TestResponse:
    """The page that shows what a document would make."""
    text = document if isinstance(document, str) else json.dumps(document)
    return send(browser, "/connections/import", action="read", text=text)


def make(browser: Client, document: object, **values: str) -> TestResponse:
    """Paste it, fill it in, and make it; `take` and `name` of each in `values` as `0.take`."""
    shown = paste(browser, document)
    assert shown.status_code == 200, shown.text
    kept = {name: value for name, value in hidden(shown).items() if name != "csrf_token"}
    return send(browser, "/connections/import", action="save", **(kept | values))


def mine(house: House) -> dict[str, Connection]:
    """Alice's connections."""
    return {item.name: item for item in list_connections(house.db, house.alice.id)}


# --- paste, look, make ---


def test_a_paste_makes_nothing_and_shows_all_of_it_but_no_value(house: House, alice: Client):
    before = house.contents()
    answer = paste(alice, TWO)
    assert answer.status_code == 200
    assert "https://wiki.example/mcp" in answer.text
    assert "npx\n  -y\n  files@1.0.0\n  &#39;a b; $(id)&#39;" in answer.text
    for shown in ("<code>X-Key</code>", "<code>TOKEN</code>", 'name="0.input:TEAM"', 'name="0.connection_name"', 'value="files"'):
        assert shown in answer.text
    assert "s3cret-canary" not in answer.text
    assert house.contents() == before


def test_a_long_command_is_shown_to_its_end(alice: Client):
    arguments = [f"argument-{number}-{'x' * 500}" for number in range(60)]
    answer = paste(alice, {"mcpServers": {"long": {"command": "tool", "args": arguments}}})
    assert all(argument in answer.text for argument in arguments)


def test_what_was_shown_is_made_in_one_go_and_joins_the_profile(house: House, alice: Client):
    answer = make(alice, TWO, **{"0.take": "on", "0.input:TEAM": "blue", "1.take": "on", "1.connection_name": "My files"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    wiki, files = mine(house)["wiki"], mine(house)["My files"]
    assert (wiki.connector, wiki.settings["url"], wiki.settings["auth"]) == ("remote_http", "https://wiki.example/mcp", "none")
    assert list_secrets(house.db, house.vault, wiki.id) == {"header:X-Key": "k-${input:TEAM}", "input:TEAM": "blue"}
    assert (files.settings["command"], files.settings["args"]) == ("npx", ["-y", "files@1.0.0", "a b; $(id)"])
    assert list_secrets(house.db, house.vault, files.id) == {"env:TOKEN": "s3cret-canary"}
    upstream = find_upstream(house.db, files.id)
    assert (upstream.source, upstream.is_enabled, upstream.definition["secrets"]) == ("pasted", True, ["env:TOKEN"])
    profile = list_profiles(house.db, house.alice.id)[0]
    assert [member.name for member in list_members(house.db, profile.id)][-2:] == ["wiki", "My files"]


def test_one_mistake_and_nothing_is_made(house: House, alice: Client):
    before = house.contents()
    answer = make(alice, TWO, **{"0.take": "on", "0.input:TEAM": "", "1.take": "on"})
    assert (answer.status_code, "This is needed." in answer.text) == (400, True)
    taken = make(alice, TWO, **{"0.take": "on", "0.input:TEAM": "x", "1.take": "on", "1.connection_name": "Secretive"})
    assert (taken.status_code, "This name is taken." in taken.text) == (400, True)
    twice = make(
        alice, TWO, **{"0.take": "on", "0.input:TEAM": "x", "0.connection_name": "A", "1.take": "on", "1.connection_name": "A"}
    )
    assert (twice.status_code, "This name is taken." in twice.text) == (400, True)
    none = make(alice, TWO)
    assert (none.status_code, "Choose at least one." in none.text) == (400, True)
    lost = send(alice, "/connections/import", action="save", document="forged")
    assert (lost.status_code, "Paste it again, please" in lost.text) == (400, True)
    foreign = make(alice, WIKI, **{"0.take": "on", "0.input:TEAM": "x", "profile": "elsewhere"})
    assert (foreign.status_code, "Please choose a profile." in foreign.text) == (400, True)
    assert house.contents() == before


def test_what_was_typed_is_carried_sealed_past_a_mistake(house: House, alice: Client):
    shown = make(alice, WIKI, **{"0.take": "on", "0.input:TEAM": "blue", "0.connection_name": "Secretive"})
    assert "blue" not in shown.text
    kept = {name: value for name, value in hidden(shown).items() if name != "csrf_token"}
    assert (
        send(alice, "/connections/import", action="save", **(kept | {"0.take": "on", "0.connection_name": "W"})).status_code
        == 303
    )
    assert list_secrets(house.db, house.vault, mine(house)["W"].id)["input:TEAM"] == "blue"


def test_only_what_was_asked_for_is_read_from_the_form(house: House, alice: Client):
    values = {"0.take": "on", "0.input:TEAM": "x", "0.url": "https://evil.example/mcp", "0.header_names.0.value": "evil"}
    assert make(alice, WIKI, **values).status_code == 303
    assert mine(house)["wiki"].settings["url"] == "https://wiki.example/mcp"
    assert list_secrets(house.db, house.vault, mine(house)["wiki"].id)["header:X-Key"] == "k-${input:TEAM}"


def test_names_that_are_taken_are_numbered(house: House, alice: Client):
    for _ in range(2):
        assert make(alice, WIKI, **{"0.take": "on", "0.input:TEAM": "x"}).status_code == 303
    assert {"wiki", "wiki 2"} <= mine(house).keys()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{oops", "This is not JSON"),
        ({"mcpServers": {"x": {"url": "https://x.example", "envFile": "x"}}}, "has a member “envFile”"),
        ("", "This is not JSON"),
    ],
)
def test_a_document_that_cannot_be_read_comes_back_with_a_sentence(alice: Client, document: object, sentence: str):
    answer = paste(alice, document)
    assert (answer.status_code, sentence in answer.text) == (400, True)
    assert "envFile" in answer.text or "envFile" not in str(document)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"url": "ftp://x.example"}, "Address: This is not an address that can be fetched"),
        ({"url": "https://x.example", "headers": {"Host": "y"}}, "More headers: “Host” is not a header that can be set."),
        ({"command": "npx -y x"}, "Command: Only the program here"),
        ({"command": "tool", "env": {"A B": "c"}}, "Environment: “A B” cannot be the name of a variable"),
        ({"command": "tool", "cwd": "relative"}, "Folder to start in: This must be a whole path"),
    ],
)
def test_what_will_not_do_is_said_before_it_is_tried(house: House, alice: Client, entry: dict, sentence: str):
    document, before = {"mcpServers": {"x": entry}}, house.contents()
    shown, made = paste(alice, document), make(alice, document)
    assert (shown.status_code, sentence in shown.text) == (200, True)
    assert (made.status_code, sentence in made.text) == (400, True)
    assert house.contents() == before


def test_a_value_that_would_become_an_option_is_named(house: House, alice: Client):
    document = {"mcpServers": {"x": {"command": "tool", "args": ["${input:FILE}"]}}}
    answer = make(alice, document, **{"0.take": "on", "0.input:FILE": "--evil"})
    assert (answer.status_code, ">The value “FILE” begins with a dash" in answer.text) == (400, True)


def test_where_somebody_has_to_sign_in_is_shown_next(house: House, alice: Client):
    answer = make(alice, {"mcpServers": {"x": {"url": "https://x.example/mcp"}}}, **{"0.take": "on"})
    assert answer.headers["Location"] == f"/connections/{mine(house)['x'].id}?next=%2Fadmin"


# --- the catalogue ---


def test_a_server_is_picked_filled_in_and_made(house: House, alice: Client):
    listed = alice.get("/connections/catalogue?q=repositories issues")
    assert "GitHub" in listed.text
    assert "Notion" not in listed.text
    (link,) = re.findall(r'href="(/connections/import\?server=[^"]*github[^"]*)"', listed.text)
    shown = alice.get(link.replace("&amp;", "&"))
    assert "It comes from the list that Postern brings along." in shown.text
    kept = {name: value for name, value in hidden(shown).items() if name != "csrf_token"}
    answer = send(alice, "/connections/import", action="save", **(kept | {"0.input:GITHUB_TOKEN": "ghp_1"}))
    assert answer.status_code == 303
    made = mine(house)["GitHub"]
    assert list_secrets(house.db, house.vault, made.id)["input:GITHUB_TOKEN"] == "ghp_1"
    assert find_upstream(house.db, made.id).source == "catalogue"


def test_an_unknown_server_is_404_and_an_empty_search_says_so(alice: Client):
    assert alice.get("/connections/import?server=catalogue:nothing").status_code == 404
    assert "Nothing is known here by that name." in alice.get("/connections/catalogue?q=nobody has this").text


def test_bob_sees_commands_in_the_catalogue_but_no_button(alice: Client, bob: Client):
    owners = alice.get("/connections/catalogue").text
    assert 'aria-label="Add Git"' in owners
    assert "only the owner can add it" not in owners
    page = bob.get("/connections/catalogue").text
    assert "mcp-server-git" in page
    assert "only the owner can add it, with ALLOW_STDIO" in page
    assert 'aria-label="Add Git"' not in page
    assert 'aria-label="Add Linear"' in page


# --- who may define a command, and when ---


def test_bob_is_shown_a_command_as_left_out_and_cannot_make_it(house: House, bob: Client):
    shown, before = paste(bob, TWO), house.contents()
    assert "only the owner of this server may add" in shown.text
    assert 'name="1.take"' not in shown.text
    assert make(bob, TWO, **{"0.input:TEAM": "x", "1.take": "on"}).status_code == 403
    assert house.contents() == before
    assert make(bob, TWO, **{"0.take": "on", "0.input:TEAM": "x"}).status_code == 303


def test_an_old_login_has_to_type_the_password_again_and_comes_back(house: House, alice: Client):
    house.now = NOW + FRESH_SECONDS - 1
    assert alice.get("/connections/new?connector=stdio").status_code == 200
    house.now = NOW + FRESH_SECONDS
    answer = alice.get("/connections/new?connector=stdio")
    where = "/login?again=1&next=%2Fconnections%2Fnew%3Fconnector%3Dstdio%26profile%3Dhome%26next%3D%252Fadmin"
    assert (answer.status_code, answer.headers["Location"]) == (303, where)
    again = alice.get(where)
    assert (again.status_code, "needs your password once more" in again.text) == (200, True)
    assert paste(alice, TWO).headers["Location"] == "/login?again=1&next=%2Fconnections%2Fimport"
    assert "sign in again" in alice.get("/connections/import").text
    assert paste(alice, WIKI).status_code == 200


def test_a_fresh_login_sees_no_word_of_it(alice: Client, bob: Client):
    assert "sign in again" not in alice.get("/connections/import").text
    assert "sign in again" not in bob.get("/connections/import").text


# --- one connection ---


def add_wiki(house: House, alice: Client) -> Connection:
    """Alice's connection with an input."""
    assert make(alice, WIKI, **{"0.take": "on", "0.input:TEAM": "blue"}).status_code == 303
    return mine(house)["wiki"]


def form_of_wiki(**changes: str) -> dict[str, str]:
    """What its form sends."""
    return {
        "action": "save", "connection_name": "wiki", "url": "https://wiki.example/mcp", "auth": "none", "seconds": "60",
        "header_names.0.name": "X-Key",
    } | changes  # fmt: skip


def test_its_inputs_can_be_changed_later(house: House, alice: Client):
    wiki = add_wiki(house, alice)
    page = alice.get(f"/connections/{wiki.id}").text
    assert 'name="input:TEAM"' in page
    assert send(alice, f"/connections/{wiki.id}", **form_of_wiki(**{"input:TEAM": "red"})).status_code == 303
    secrets = list_secrets(house.db, house.vault, wiki.id)
    assert secrets == {"header:X-Key": "k-${input:TEAM}", "input:TEAM": "red"}


def test_a_placeholder_that_is_typed_asks_for_its_value(house: House, alice: Client):
    typed = {"connector": "remote_http", "connection_name": "T", "auth": "none", "action": "save"}
    answer = send(alice, "/connections/new", **typed, url="https://t.example/${input:PLACE}/mcp")
    assert (answer.status_code, 'name="input:PLACE"' in answer.text) == (400, True)
    answer = send(alice, "/connections/new", **typed, url="https://t.example/${input:PLACE}/mcp", **{"input:PLACE": "a/b"})
    assert answer.status_code == 303
    assert list_secrets(house.db, house.vault, mine(house)["T"].id) == {"input:PLACE": "a/b"}


def test_it_can_be_switched_off_and_on_and_says_how_it_is(house: House, alice: Client, bob: Client):
    wiki = add_wiki(house, alice)
    path = f"/connections/{wiki.id}"
    assert "Nobody answers there." in alice.get(path).text
    note_greeting(house.db, wiki.id, {"server": {"name": "<b>wiki</b>"}, "capabilities": {"tools": {}}}, now=NOW)
    assert "It answers: “&lt;b&gt;wiki&lt;/b&gt;”, which offers tools." in alice.get(path).text
    note_failure(house.db, wiki.id, "wiki.example did not answer in time.", now=NOW)
    assert "wiki.example did not answer in time." in alice.get(path).text
    assert "wiki.example did not answer in time." in alice.get("/admin").text
    assert send(bob, path, action="off").status_code == 404
    assert find_upstream(house.db, wiki.id).is_enabled
    assert send(alice, path, action="off").status_code == 303
    assert not find_upstream(house.db, wiki.id).is_enabled
    assert "Switched off." in alice.get("/admin").text
    assert send(alice, path, action="on").status_code == 303
    assert find_upstream(house.db, wiki.id).is_enabled
    assert send(alice, f"/connections/{house.connection_id}", action="off").status_code == 404


# --- and out again ---


def test_the_export_opens_no_secret_and_can_be_pasted_here_again(house: House, alice: Client, bob: Client):
    assert make(alice, TWO, **{"0.take": "on", "0.input:TEAM": "blue", "1.take": "on"}).status_code == 303
    for form in ("cursor", "vscode", "claude_desktop", "unknown"):
        page = alice.get(f"/connections/export?form={form}")
        assert (page.status_code, "wiki.example/mcp" in page.text) == (200, True)
        assert not re.search("blue|s3cret-canary", page.text)
    assert "wiki" not in bob.get("/connections/export").text
    _, others = export("vscode", mine(house).values(), "https://postern.example/mcp")
    shown = paste(alice, others)
    assert (shown.status_code, "wiki 2" in shown.text, "files 2" in shown.text) == (200, True, True)

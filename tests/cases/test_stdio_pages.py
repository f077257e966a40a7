"""The pages on which somebody says which commands run here, and which servers are called (cases C-02 to C-04, S-22, W-15)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from actors import PASSWORD, FormReader, Person
from house import House

from accounts import add_account
from cases.catalogue import case
from cases.evidence import unchanged
from guarded import FRESH_SECONDS
from store.upstreams import list_upstreams
from store.users import find_user_by_name

COMMAND = {"connector": "stdio", "connection_name": "Tool", "command": "/usr/bin/tool", "args": "-v\nrun", "seconds": "60"}
CONFIG = json.dumps({"mcpServers": {"tool": {"command": "/usr/bin/tool", "args": ["--all", "x" * 3000, "the end"]}}})
BOBS = "bobs own long password"


@dataclass
class Village:
    """A house with ALLOW_STDIO, its owner with a command, and Bob."""

    house: House
    owner: Person
    bob: Person

    @property
    def path(self) -> str:
        """The page of the owner's command."""
        user = find_user_by_name(self.house.db, "owner")
        return "/connections/" + next(iter(list_upstreams(self.house.db, user.id)))

    def unchanged(self):
        """Fails unless nothing changes."""
        return unchanged(self.house.db.path)


@pytest.fixture
def village(build_house: Callable[..., House]) -> Iterator[Village]:
    house = build_house(OWNER_PASSWORD=PASSWORD, ALLOW_STDIO="1")
    vault = house.gate.pages.extensions["postern"].vault
    add_account(house.db, vault, "bob", BOBS, now=int(house.clock()))
    owner, bob = Person(house.url, session=house.session()), Person(house.url, "bob", BOBS, session=house.session())
    owner.sign_in()
    bob.sign_in()
    assert post(owner, "/connections/new", **COMMAND, action="save").status_code == 303
    return Village(house, owner, bob)


def post(person: Person, path: str, **values: str) -> requests.Response:
    """A form of ours, sent from wherever; redirects are not followed."""
    token = re.findall(r'name="csrf_token" value="([^"]+)"', person.get("/admin").text)[0]
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    data = {"csrf_token": token} | values
    return person.session.post(person.base_url + path, data=data, headers=headers, allow_redirects=False, timeout=20)


# --- C-03, C-04: who may, and when ---

ATTEMPTS = [  # (row and words, method, path, values)
    case("C-03", "the form", "GET", "/connections/new?connector=stdio", {}),
    case("C-03", "made", "POST", "/connections/new", COMMAND | {"action": "save"}),
    case("C-03", "made with a key", "GET", "/keys/new?connector=stdio", {}),
    case("C-03", "made with a key, sent", "POST", "/keys/new", COMMAND | {"action": "make", "key_name": "k", "profile": "home"}),
    case("C-04", "tried", "POST", "/connections/new", COMMAND | {"action": "test"}),
    case("C-04", "tried with a key", "POST", "/keys/new", COMMAND | {"action": "test", "key_name": "k"}),
]
EDITS = [
    case("C-03", "looked at", "GET", {}),
    case("C-03", "changed", "POST", COMMAND | {"action": "save", "command": "/usr/bin/other"}),
    case("C-03", "switched on", "POST", {"action": "on"}),
    case("C-04", "tried as changed", "POST", COMMAND | {"action": "test"}),
]


def go(person: Person, method: str, path: str, values: dict[str, str]) -> requests.Response:
    """One attempt."""
    if method == "GET":
        return person.session.get(person.base_url + path, allow_redirects=False, timeout=20)
    return post(person, path, **values)


@pytest.mark.parametrize(("method", "path", "values"), ATTEMPTS)
def test_nobody_but_the_owner(village: Village, method: str, path: str, values: dict[str, str]):
    with village.unchanged():
        answer = go(village.bob, method, path, values)
    assert answer.status_code == 403
    assert "Only the owner of this server may say which commands run on it." in answer.text


@pytest.mark.parametrize(("method", "path", "values"), ATTEMPTS)
def test_not_even_the_owner_where_commands_are_off(build_house: Callable[..., House], method: str, path: str, values: dict):
    house = build_house(OWNER_PASSWORD=PASSWORD)
    owner = Person(house.url, session=house.session())
    owner.sign_in()
    with unchanged(house.db.path):
        answer = go(owner, method, path, values)
    assert answer.status_code == 403
    assert "ALLOW_STDIO" in answer.text


@pytest.mark.parametrize(("method", "path", "values"), ATTEMPTS)
def test_not_the_owner_whose_password_was_typed_long_ago(village: Village, method: str, path: str, values: dict[str, str]):
    village.house.clock.forward(FRESH_SECONDS)
    with village.unchanged():
        answer = go(village.owner, method, path, values)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?again=1&next=%2F")


@pytest.mark.parametrize(("method", "values"), EDITS)
def test_a_command_that_is_there_is_kept_as_well(village: Village, method: str, values: dict[str, str]):
    with village.unchanged():
        assert go(village.bob, method, village.path, values).status_code == 404  # not even that it is there
        village.house.clock.forward(FRESH_SECONDS)
        answer = go(village.owner, method, village.path, values)
    assert (answer.status_code, answer.headers["Location"][:19]) == (303, "/login?again=1&next")


def test_c03_the_owner_who_has_just_signed_in_may(village: Village):
    assert go(village.owner, "GET", village.path, {}).status_code == 200
    assert post(village.owner, village.path, **(COMMAND | {"action": "save", "args": "-w"})).status_code == 303
    assert (
        village.house.db.query("SELECT settings_json FROM connections WHERE name = 'Tool'")[0]["settings_json"].count('"-w"') == 1
    )


def test_w15_the_password_is_asked_for_again_and_leads_back(village: Village):
    village.house.clock.forward(FRESH_SECONDS)
    page = village.owner.get("/connections/new?connector=stdio")
    assert "needs your password once more" in page.text
    wrong = village.owner.submit(page, username="owner", password="not this one")
    assert (wrong.status_code, "The name or the password is wrong." in wrong.text) == (401, True)
    page = village.owner.submit(village.owner.get("/connections/new?connector=stdio"), username="owner", password=PASSWORD)
    assert (page.status_code, "New connection: MCP server as a command" in page.text) == (200, True)


def test_c03_taking_a_command_away_needs_no_password(village: Village):
    path = village.path
    village.house.clock.forward(FRESH_SECONDS)
    assert post(village.owner, path, action="off").status_code == 303
    assert post(village.owner, path, action="delete").status_code == 303
    assert go(village.owner, "GET", path, {}).status_code == 404


# --- C-03: a file of another program ---


def test_c03_a_file_is_shown_to_its_last_letter_and_asks(village: Village):
    with village.unchanged():
        page = post(village.owner, "/connections/import", action="read", text=CONFIG)
    assert page.status_code == 200
    assert "x" * 3000 in page.text
    assert "the end" in page.text
    form = FormReader(page.text).forms[-1]
    assert ("action", "save") in form.buttons
    assert post(village.owner, "/connections/import", **(form.values | {"action": "save"})).status_code == 303


def test_c03_bob_cannot_make_a_command_of_a_file(village: Village):
    page = post(village.bob, "/connections/import", action="read", text=CONFIG)
    assert "only the owner of this server may add" in page.text
    values = FormReader(page.text).forms[-1].values | {"action": "save", "0.take": "on"}
    with village.unchanged():
        assert post(village.bob, "/connections/import", **values).status_code == 403


def test_c03_what_was_shown_to_one_person_is_nothing_to_another(village: Village):
    page = post(village.owner, "/connections/import", action="read", text=CONFIG)
    theirs = FormReader(page.text).forms[-1].values
    with village.unchanged():
        values = {name: value for name, value in theirs.items() if name != "csrf_token"} | {"action": "save"}
        answer = post(village.bob, "/connections/import", **values)
    assert (answer.status_code, "Paste it again" in answer.text) == (400, True)


@pytest.mark.parametrize("field", ["command", "args", "mcpServers", "software_statement"])
def test_c03_a_client_cannot_register_a_command(village: Village, field: str):
    body = {"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none", field: CONFIG}
    answer = village.house.session().post(village.house.url + "/register", json=body, timeout=20)
    assert answer.status_code in (201, 400)
    assert len(village.house.db.query("SELECT connection_id FROM upstreams")) == 1


# --- C-02: values that begin with a dash ---


@pytest.mark.parametrize(
    ("arguments", "value", "status"),
    [
        case("C-02", "an option", "run\n${input:FILE}", "--config=/etc/shadow", 400),
        case("C-02", "a short option", "${input:FILE}", "-x", 400),
        case("C-02", "the end of options", "${input:FILE}", "--", 400),
        case("C-02", "behind two dashes", "run\n--\n${input:FILE}", "--config=/etc/shadow", 303),
        case("C-02", "behind a name", "--file=${input:FILE}", "--config=/etc/shadow", 303),
        case("C-02", "an ordinary value", "run\n${input:FILE}", "notes.txt", 303),
    ],
)
def test_a_value_does_not_become_an_option(village: Village, arguments: str, value: str, status: int):
    values = COMMAND | {"connection_name": "Other", "args": arguments, "input:FILE": value}
    answer = post(village.owner, "/connections/new", **values, action="save")
    assert answer.status_code == status
    assert ("begins with a dash" in answer.text) == (status == 400)


# --- S-22: an address of one's own network ---


def private(person: Person, url: str, action: str = "save") -> requests.Response:
    """Somebody types the address of a server."""
    values = {"connector": "remote_http", "connection_name": "Near", "url": url, "auth": "none", "seconds": "60"}
    return post(person, "/connections/new", **values, action=action)


@pytest.mark.parametrize("action", ["save", "test"])
@pytest.mark.parametrize(
    ("url", "hint"),
    [
        case("S-22", "at home", "http://192.168.1.5:3000/mcp", "add 192.168.1.5:3000 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "ourselves", "http://127.0.0.1:8000/mcp", "add 127.0.0.1:8000 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "IPv6", "http://[fd12::1]:3000/mcp", "add [fd12::1]:3000 to ALLOW_PRIVATE_UPSTREAMS"),
        case("S-22", "metadata", "http://169.254.169.254/mcp", "leads to an address that is not public"),
    ],
)
def test_an_address_at_home_is_refused(village: Village, url: str, hint: str, action: str):
    with village.unchanged():
        answer = private(village.owner, url, action)
    assert (answer.status_code, hint in answer.text) == (400, True)


def test_s22_what_is_listed_may_be_kept_but_metadata_never(build_house: Callable[..., House]):
    listed = "192.168.1.5:3000 169.254.169.254:80"
    house = build_house(OWNER_PASSWORD=PASSWORD, ALLOW_PRIVATE_UPSTREAMS=listed)
    owner = Person(house.url, session=house.session())
    owner.sign_in()
    assert private(owner, "http://192.168.1.5:3000/mcp").status_code == 303
    answer = private(owner, "http://169.254.169.254/mcp")
    assert (answer.status_code, "ALLOW_PRIVATE_UPSTREAMS" in answer.text) == (400, False)

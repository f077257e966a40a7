"""profiles.py and profile_features.py: profiles are made, filled and named, and say what each tool is called in them."""

from __future__ import annotations

import re

import pytest
from fake_upstreams import FakeServer, FakeUpstreams, a_tool
from household import House, send
from werkzeug.test import Client, TestResponse

from joining import join
from store.connections import Draft
from store.members import list_members
from store.profiles import list_profiles

pytest_plugins = ["residents"]


@pytest.fixture
def upstreams() -> FakeUpstreams:
    return FakeUpstreams()


@pytest.fixture
def browser(house: House) -> Client:
    return house.browser(house.alice)


@pytest.fixture
def git(house: House) -> str:
    """A connection to a server, in Alice's profile home."""
    with house.db.write() as run:
        draft = Draft("remote_http", "Git", {"url": "https://git.example/mcp", "auth": "none"})
        connection_id = join(run, house.vault, list_profiles(house.db, house.alice.id)[0], draft, house.now)
    tools = [a_tool("look", title="Look"), a_tool("write")]
    house.state.gateway.upstreams.servers[connection_id] = FakeServer(tools=tools, resources=[{"uri": "a:b", "name": "b"}])
    assert house.state.gateway.discovery.look_soon(connection_id, wait=10)
    return connection_id


def members(house: House, slug: str = "home") -> list[tuple[str, str]]:
    (profile,) = [item for item in list_profiles(house.db, house.alice.id) if item.slug == slug]
    return [(member.name, member.prefix) for member in list_members(house.db, profile.id)]


def tools(house: House, slug: str = "home") -> list[str]:
    """The names of the tools that are shown in a profile of Alice's."""
    (profile,) = [item for item in list_profiles(house.db, house.alice.id) if item.slug == slug]
    entries = house.state.toolbox.list_entries(house.alice.id, profile.id)
    return [entry.name for entry in entries if entry.item.kind == "tool" and entry.is_shown]


def assert_moved(answer: TestResponse, where: str) -> None:
    assert (answer.status_code, answer.headers["Location"]) == (303, where)


# --- profiles ---


def test_a_profile_is_made_filled_renamed_and_deleted(house: House, browser: Client, git: str):
    assert_moved(send(browser, "/profiles/new", action="make", profile_name="My Work!"), "/profiles/my-work")
    assert "http://localhost:8000/mcp/my-work" in browser.get("/profiles/my-work").text
    assert_moved(send(browser, "/profiles/my-work", action="add", connection=git), "/profiles/my-work")
    assert members(house, "my-work") == [("Git", "")]
    assert tools(house, "my-work") == ["look", "write"]
    send(browser, "/profiles/my-work", action="rename", profile_name="Office")
    assert "Profile: Office" in browser.get("/profiles/my-work").text
    assert "Office" in browser.get("/admin").text
    assert_moved(send(browser, "/profiles/my-work", action="delete"), "/admin")
    assert browser.get("/profiles/my-work").status_code == 404
    assert browser.get(f"/connections/{git}/features").status_code == 200


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"profile_name": ""}, "1 to 60 ordinary characters."),
        ({"profile_name": "x" * 61}, "1 to 60 ordinary characters."),
        ({"profile_name": "a\u202eb"}, "1 to 60 ordinary characters."),
        ({"profile_name": "home"}, "This address is taken."),
        ({"profile_name": "Home", "slug": "home"}, "This address is taken."),
        ({"profile_name": "home", "slug": "other"}, "You already have a profile of this name."),
        ({"profile_name": "x", "slug": "new"}, "Small letters"),
        ({"profile_name": "x", "slug": "A b"}, "Small letters"),
        ({"profile_name": "日本"}, "Small letters"),
    ],
)
def test_a_profile_that_cannot_be_made_says_why(house: House, browser: Client, values: dict[str, str], said: str):
    answer = send(browser, "/profiles/new", action="make", **values)
    assert answer.status_code == 400
    if "taken" not in said or values.get("slug"):
        assert said in answer.text
    assert len(list_profiles(house.db, house.alice.id)) == 1


def test_the_default_profile_stays(house: House, browser: Client):
    assert "Delete this profile" not in browser.get("/profiles/home").text
    assert send(browser, "/profiles/home", action="delete").status_code == 404


def test_connections_are_moved_taken_out_and_prefixed(house: House, browser: Client, git: str):
    send(browser, "/profiles/home", action="up", connection=git)
    assert [name for name, _ in members(house)] == ["Personal Context", "Git", "Secretive"]
    send(browser, "/profiles/home", action="down", connection=git)
    assert [name for name, _ in members(house)] == ["Personal Context", "Secretive", "Git"]
    send(browser, "/profiles/home", action="prefix", connection=git, prefix="code_")
    assert members(house)[2] == ("Git", "code")
    assert "code_look" in tools(house)
    send(browser, "/profiles/home", action="remove", connection=git)
    assert ("Git", "code") not in members(house)
    assert f'<option value="{git}">Git</option>' in browser.get("/profiles/home").text


@pytest.mark.parametrize(
    ("prefix", "said"),
    [("secretive", "has that prefix already"), ("", "has that prefix already"), ("Git!", "at most 20"), ("9x", "at most 20"),
     ("a" * 21, "at most 20")],
)  # fmt: skip
def test_a_prefix_that_will_not_do_is_refused(house: House, browser: Client, git: str, prefix: str, said: str):
    answer = send(browser, "/profiles/home", action="prefix", connection=git, prefix=prefix)
    assert answer.status_code == 400
    assert said in answer.text
    assert members(house)[2] == ("Git", "git")


# --- features ---


def keys(browser: Client, address: str) -> dict[str, str]:
    """What stands for each feature on a page, by the name that is shown."""
    found = re.findall(r'name="on" value="(\w+)".*?<code>(.*?)</code>', browser.get(address).text, re.S)
    return {name: key for key, name in found}


def test_features_are_switched_off_and_on(house: House, browser: Client, git: str):
    address = f"/profiles/home/{git}"
    known = keys(browser, address)
    assert set(known) == {"git_look", "git_write", "git+a:b"}
    both = list(known.values())
    assert_moved(send(browser, address, action="save", shown=both, on=[known["git_look"]]), address)
    assert [name for name in tools(house) if name.startswith("git")] == ["git_look"]
    send(browser, address, action="off", shown=both)
    assert [name for name in tools(house) if name.startswith("git")] == []
    assert len(tools(house)) == 26
    send(browser, address, action="on", shown=both)
    assert [name for name in tools(house) if name.startswith("git")] == ["git_look", "git_write"]


def test_a_feature_of_our_own_can_be_switched_off_too(house: House, browser: Client):
    address = f"/profiles/home/{house.connection_id}"
    known = keys(browser, address)
    send(browser, address, action="save", shown=list(known.values()), on=[])
    assert not [name for name in tools(house) if name.startswith("secretive")]
    assert "status_get_work" in tools(house)


def test_a_feature_gets_a_name_and_words_and_its_own_back(house: House, browser: Client, git: str):
    address = f"/profiles/home/{git}"
    one = f"{address}/{keys(browser, address)['git_look']}"
    values = {"shown_name": "peek", "shown_title": "Peek", "shown_description": "Line one.\r\nLine two."}
    assert_moved(send(browser, one, action="save", **values), address)
    (entry,) = [
        entry
        for entry in house.state.toolbox.list_entries(house.alice.id, list_profiles(house.db, house.alice.id)[0].id)
        if entry.name == "peek"
    ]
    assert (entry.listing()["title"], entry.listing()["description"]) == ("Peek", "Line one.\nLine two.")
    assert 'value="peek"' in browser.get(one).text
    send(browser, one, action="reset")
    assert "git_look" in tools(house)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shown_name": "git_write"}, "This name is taken in this profile."),
        ({"shown_name": "status_get_work"}, "This name is taken in this profile."),
        ({"shown_name": "search"}, "This name is taken in this profile."),
        ({"shown_name": "a b"}, "At most 64 letters"),
        ({"shown_name": "x" * 65}, "At most 64 letters"),
        ({"shown_title": "x" * 101}, "At most 100 ordinary characters."),
        ({"shown_title": "a\nb"}, "At most 100 ordinary characters."),
        ({"shown_description": "a\x1bb"}, "At most 4000 ordinary characters."),
    ],
)
def test_a_name_or_words_that_will_not_do_are_refused(
    house: House, browser: Client, git: str, values: dict[str, str], said: str
):
    address = f"/profiles/home/{git}"
    before = tools(house)
    answer = send(browser, f"{address}/{keys(browser, address)['git_look']}", action="save", **values)
    assert answer.status_code == 400
    assert said in answer.text
    assert tools(house) == before


@pytest.mark.parametrize("who", ["bob", None])
def test_nobody_else_sees_or_changes_a_profile(house: House, browser: Client, git: str, who: str | None):
    address = f"/profiles/home/{git}"
    one = f"{address}/{keys(browser, address)['git_look']}"
    stranger = house.browser(house.bob if who else None)
    for path in ("/profiles/home", address, one):
        assert stranger.get(path).status_code == (404 if who else 303)
    if who:
        theirs = list_profiles(house.db, house.bob.id)[0].slug
        assert send(stranger, f"/profiles/{theirs}", action="add", connection=git).status_code == 404
        for path, action in (("/profiles/home", "remove"), (address, "off"), (one, "reset")):
            assert send(stranger, path, action=action, connection=git).status_code == 404
    assert "git_look" in tools(house)


def test_what_is_not_there_is_not_found(browser: Client, git: str):
    for path in ("/profiles/none", "/profiles/home/none", f"/profiles/home/{git}/none"):
        assert browser.get(path).status_code == 404
    assert send(browser, "/profiles/home", action="up", connection="none").status_code == 404
    assert send(browser, "/profiles/home", action="add", connection="none").status_code == 404
    assert send(browser, "/profiles/home", action="explode").status_code == 400

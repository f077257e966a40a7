"""search and fetch over ClickUp, as an assistant has them at /mcp."""

from __future__ import annotations

import pytest

from clickup.fake import TOKEN
from clickup.test_mcp import Office
from config import Settings
from store.connections import list_connections


@pytest.fixture
def office(settings: Settings):
    made = Office(settings)
    made.connect()
    yield made
    made.house.close()


def connection_id(office: Office) -> str:
    return next(item.id for item in list_connections(office.db, office.alice.id) if item.connector == "clickup")


def search(office: Office, query: str, kind: str = "all") -> list[tuple[str, str, str]]:
    """(id without the connection, title, address) of what is found in ClickUp, with nothing missing."""
    result = office.ask(office.key(kind), "tools/call", name="search", arguments={"query": query})
    assert result["isError"] is False, result
    assert "_meta" not in result, result
    assert office.fake.problems == []
    found = [(item["id"].partition(":"), item["title"], item["url"]) for item in result["structuredContent"]["results"]]
    return [(parts[2], title, url) for parts, title, url in found if parts[0] == connection_id(office)]


def fetch(office: Office, own_id: str) -> dict:
    """What `fetch` answers."""
    arguments = {"id": f"{connection_id(office)}:{own_id}"}
    return office.ask(office.key("all"), "tools/call", name="fetch", arguments=arguments)


def test_tasks_are_found_by_their_words_or_id_and_read_with_their_comments(office):
    world = office.world
    office.call(office.key("all"), "task_comment_add", taskId=world.task, comment="Make it rhyme", confirm="yes")
    (found,) = search(office, "how do we write the ad")
    assert found[:2] == (f"task:{world.task}", "Write the ad")
    assert found[2].startswith("https://app.clickup.com/t/")
    result = fetch(office, found[0])["structuredContent"]
    assert (result["title"], result["url"]) == ("Write the ad", found[2])
    for words in ("Old words", "urgent", "Make it rhyme", "Draft"):
        assert words in result["text"]
    assert search(office, "DEV-42")[0][1] == "Write the ad"
    assert [title for _, title, _ in search(office, "painter")] == ["Hire a painter"]  # a closed one


def test_docs_are_found_by_what_is_on_their_pages_and_read_whole(office):
    world = office.world
    ((own_id, title, url),) = search(office, "umbrellas")
    assert (own_id, title, url) == (f"doc:1/{world.doc}", "Launch plan", f"https://app.clickup.com/1/v/dc/{world.doc}")
    text = fetch(office, own_id)["structuredContent"]["text"]
    assert text == "# Goals\n\nSell a thousand umbrellas\n\n## Details\n\nIn the rain"


def test_all_tasks_of_the_core_are_enough_to_search(office):
    assert [title for _, title, _ in search(office, "umbrellas", "core")] == ["Launch plan"]
    assert [title for _, title, _ in search(office, "Write the ad", "read_only")] == ["Write the ad"]


@pytest.mark.parametrize("own_id", ["task:../../v2/team", "task:gone", "doc:1/..", "doc:1/%2e%2e", "doc:1", "doc:../1/x"])
def test_ids_lead_nowhere_else(office, own_id):
    assert search(office, "umbrellas")
    before = len(office.fake.sent)
    result = fetch(office, own_id)
    assert result["isError"] is True
    asked = [sent.path for sent in office.fake.sent[before:]]
    assert all("/team" not in path and ".." not in path for path in asked), asked


def test_a_service_that_is_down_is_named_and_the_rest_is_found(office):
    key = office.key("all")
    office.fake.fail(401, times=20)
    result = office.ask(key, "tools/call", name="search", arguments={"query": "status today"})
    titles = [item["title"] for item in result["structuredContent"]["results"]]
    assert titles[0].startswith("Today: ")  # of Personal Context
    assert [title.partition(" (")[0] for title in titles[1:]] == ["Not searched: Work, tasks", "Not searched: Work, docs"]
    assert TOKEN not in str(result)

"""search and fetch over a Google account, as an assistant has them at /mcp."""

from __future__ import annotations

from typing import Any

import pytest

from config import Settings
from google_workspace import fake_calendar
from google_workspace.fake import ALICE
from google_workspace.office import Office
from google_workspace.world import BOB


@pytest.fixture
def office(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    made = Office(settings, monkeypatch)
    made.type_in(contacts="read")
    made.sign_in()
    yield made
    made.house.close()


def ask(office: Office, name: str, kind: str = "all", **arguments: Any) -> dict[str, Any]:
    """A result of one of the two."""
    result = office.ask(office.key(kind), "tools/call", name=name, arguments=arguments)["result"]
    assert office.fake.problems == []
    return result


def search(office: Office, query: str, kind: str = "all") -> list[tuple[str, str, str]]:
    """(id without the connection, title, address) of what is found at Google, with nothing missing."""
    result = ask(office, "search", kind, query=query)
    assert (result["isError"], "_meta" in result) == (False, False), result
    found = [(item["id"].partition(":"), item["title"], item["url"]) for item in result["structuredContent"]["results"]]
    return [(parts[2], title, url) for parts, title, url in found if parts[0] == office.connection.id]


def fetch(office: Office, own_id: str, kind: str = "all") -> dict[str, Any]:
    """What `fetch` answers."""
    return ask(office, "fetch", kind, id=f"{office.connection.id}:{own_id}")


def test_a_mail_is_found_and_read(office):
    ((own_id, title, url),) = search(office, "invoice")
    assert title.startswith("Invoice 7 — Bob Baker")
    assert url == "https://mail.google.com/mail/#all/" + own_id.removeprefix("mail:")
    document = fetch(office, own_id)["structuredContent"]
    assert "Please pay until Friday." in document["text"]
    assert "invoice.txt" in document["text"]
    assert document["url"] == url
    assert document["metadata"] == document["metadata"] | {"subject": "Invoice 7", "source": "Google, mail"}


def test_events_of_all_calendars_are_found_the_nearest_first(office):
    fake_calendar.add_event(office.fake, "Planning of old", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
    found = search(office, "planning")
    world = office.world
    assert [(own_id, title) for own_id, title, _ in found if own_id.startswith("event:")] == [
        (f"event:{ALICE}/{world.meeting}", "Planning — 2026-09-22 10:00"),
        (found[1][0], "Planning of old — 2026-03-01 10:00"),
    ]
    document = fetch(office, found[0][0])["structuredContent"]
    assert (document["title"], document["url"]) == ("Planning — 2026-09-22 10:00", found[0][2])
    assert BOB in document["text"]


def test_a_document_comes_once_though_drive_finds_it_too_and_files_are_read_as_well(office):
    world = office.world
    found = {title: own_id for own_id, title, _ in search(office, "re")}  # of “Report”, and of others
    assert found["Report"] == f"doc:{world.doc}"
    assert fetch(office, found["Report"])["structuredContent"]["text"].startswith("First line\nSecond line")
    assert fetch(office, f"file:{world.doc}")["structuredContent"]["title"] == "Report"
    ((own_id, title, url),) = search(office, "umbrella plan")
    assert (own_id, title) == (f"file:{world.file}", "plan.txt")
    document = fetch(office, own_id)["structuredContent"]
    assert (document["text"], document["url"]) == ("The umbrella plan", url)
    assert not search(office, "Papers")  # a folder


def test_words_cannot_become_a_query_in_drives_own_language(office):
    assert search(office, "' or trashed = true or name contains 'plan") == []
    asked = [sent.one("q") for sent in office.fake.sent if sent.id == "drive.files.list"]
    assert asked
    assert all(query.startswith("(fullText contains '\\' or trashed = true or name contains \\'plan' and ") for query in asked)


def test_contacts_are_found_and_have_an_address(office):
    ((own_id, title, url),) = [item for item in search(office, "Bob") if item[0].startswith("contact:")]
    number = own_id.removeprefix("contact:people/")
    assert (title, url) == ("Bob Baker", f"https://contacts.google.com/person/{number}")
    assert BOB in fetch(office, own_id)["structuredContent"]["text"]


def test_what_the_sign_in_does_not_cover_is_not_searched(office):
    office.type_in(path=office.path, contacts="none", gmail="none")
    office.sign_in()
    office.fake.sent.clear()
    assert [own_id.partition(":")[0] for own_id, *_ in search(office, "Bob")] == ["file"]
    services = {sent.id.partition(".")[0] for sent in office.fake.sent}
    assert services == {"calendar", "drive"}


def test_core_has_no_contacts_so_it_finds_none(office):
    assert [item for item in search(office, "Bob", "core") if item[0].startswith("contact:")] == []
    assert fetch(office, f"contact:{office.world.person}", "core")["isError"] is True
    assert fetch(office, f"contact:{office.world.person}")["isError"] is False
    assert search(office, "invoice", "core")


@pytest.mark.parametrize(
    "own_id", ["mail:../profile", "mail:..", "event:primary/..", "event:x", "doc:.", "file:..", "contact:c1", "contact:people/.."]
)
def test_ids_lead_nowhere_else(office, own_id):
    office.fake.sent.clear()
    assert fetch(office, own_id)["isError"] is True
    assert [sent.id for sent in office.fake.sent if not sent.id.endswith(".get")] == []


def test_one_account_that_wants_a_new_sign_in_is_named(office):
    office.service.access = {"another": ""}
    office.service.refresh.clear()
    result = ask(office, "search", query="status today")
    titles = [item["title"] for item in result["structuredContent"]["results"]]
    assert titles[0].startswith("Today: ")
    assert all(title.startswith("Not searched: Google, ") for title in titles[1:])
    assert len(titles) == 6

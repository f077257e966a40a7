"""discovery.py: everything a server offers is found and kept, and no server spoils or delays another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from conftest import NOW
from fake_upstreams import FakeServer, a_tool
from gateway_house import GatewayHouse
from patience import wait_until

import discovery as module
from crypto import Vault
from db import Database
from discovery import Errand, ago, describe_status
from errors import SignInNeeded, UpstreamError, UpstreamRefused
from store.features import list_features
from store.looks import list_looks
from store.revisions import find_revision
from store.upstreams import find_upstream, list_stale
from tools import Call


@pytest.fixture
def house(db: Database, vault: Vault) -> Iterator[GatewayHouse]:
    built = GatewayHouse(db, vault)
    yield built
    built.discovery.stop()


def names(house: GatewayHouse, connection: str, kind: str = "tool") -> dict[str, bool]:
    """What is kept, and whether it is available."""
    return {item.name: item.is_available for item in list_features(house.db, connection) if item.kind == kind}


def test_it_reads_every_page_of_every_list(house: GatewayHouse):
    server = FakeServer(
        tools=[a_tool(f"t{number}") for number in range(8)],
        prompts=[{"name": "p"}],
        resources=[{"uri": f"a:{number}", "name": "r"} for number in range(4)],
        resourceTemplates=[{"uriTemplate": "a:{x}", "name": "t"}],
    )
    connection = house.add("One", server)
    assert list(names(house, connection.id)) == [f"t{number}" for number in range(8)]
    assert [len(names(house, connection.id, kind)) for kind in ("prompt", "resource", "template")] == [1, 4, 1]
    upstream = find_upstream(house.db, connection.id)
    assert (upstream.greeting["server"]["name"], upstream.discovered_at, upstream.failure) == ("fake", NOW, None)


def test_it_asks_only_for_what_the_server_says_it_has(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("t")])
    server.capabilities = {"tools": {}}
    house.add("One", server)
    assert server.asked == ["tools/list"]


def test_a_server_without_templates_is_no_failure(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("t")])
    server.trouble["resources/templates/list"] = UpstreamRefused(-32601, "<b>what?</b>")
    server.trouble["prompts/list"] = UpstreamRefused(-32603, "<b>oh</b>")
    connection = house.add("One", server)
    assert names(house, connection.id) == {"t": True}
    assert list_looks(house.db, house.alice.id)[connection.id].left_out == (
        "Its prompts could not be listed: the server answered with error -32603.",
    )


@pytest.mark.parametrize(
    ("where", "error", "sentence"),
    [
        ("initialize", UpstreamError("Nobody answers."), "Nobody answers."),
        ("initialize", SignInNeeded("Please sign in at the service."), "Please sign in at the service."),
        ("tools/list", UpstreamRefused(-32000, "secret words"), "The server answered with error -32000."),
        ("tools/list", UpstreamError("It broke off."), "It broke off."),
    ],
)
def test_what_was_known_stays_while_a_server_is_away(house: GatewayHouse, where: str, error: Exception, sentence: str):
    server = FakeServer(tools=[a_tool("t")])
    connection = house.add("One", server)
    revision = find_revision(house.db)
    server.trouble[where], server.lists["tools"] = error, []
    house.now += 60
    house.look(connection)
    upstream = find_upstream(house.db, connection.id)
    assert (upstream.failure, upstream.failed_at, upstream.discovered_at) == (sentence, NOW + 60, NOW)
    assert names(house, connection.id) == {"t": True}
    assert find_revision(house.db) == revision
    server.trouble.clear()
    house.look(connection)
    assert find_upstream(house.db, connection.id).failure is None
    assert names(house, connection.id) == {"t": False}


def test_the_revision_moves_only_if_something_is_different(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("a"), a_tool("b")])
    connection = house.add("One", server)
    before = find_revision(house.db)
    server.lists["tools"].reverse()  # as of a server that lists in no order
    house.look(connection)
    assert find_revision(house.db) == before
    assert list(names(house, connection.id)) == ["a", "b"]
    server.lists["tools"] = [a_tool("a", title="A"), a_tool("b")]
    house.look(connection)
    assert find_revision(house.db) == before + 1


def test_what_is_seen_again_is_available_again(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("a")])
    connection = house.add("One", server)
    server.lists["tools"] = []
    house.look(connection)
    assert (names(house, connection.id), house.names()) == ({"a": False}, [])
    server.lists["tools"] = [a_tool("a")]
    house.look(connection)
    assert (names(house, connection.id), house.names()) == ({"a": True}, ["a"])


@pytest.mark.parametrize("endless", ["new cursors", "one cursor"])
def test_a_list_without_end_is_cut(house: GatewayHouse, monkeypatch: pytest.MonkeyPatch, endless: str):
    monkeypatch.setattr(module, "FEATURES_MAX", 5)
    pages = iter(range(1_000))

    class Endless(FakeServer):
        def answer(self, method: str, params: dict, call: Call) -> dict:
            if method != "tools/list":
                return super().answer(method, params, call)
            page = next(pages)
            return {"tools": [a_tool(f"t{page}")], "nextCursor": f"{page}" if endless == "new cursors" else "0"}

    connection = house.add("One", Endless())
    assert len(names(house, connection.id)) == (5 if endless == "new cursors" else 2)
    assert list_looks(house.db, house.alice.id)[connection.id].left_out == (
        "Its list of tools has no end, so only what came first is here.",
    )


def test_a_list_that_is_none_is_a_failure(house: GatewayHouse):
    class Odd(FakeServer):
        def answer(self, method: str, params: dict, call: Call) -> dict:
            return {"tools": "all of them"}

    connection = house.add("One", Odd())
    assert find_upstream(house.db, connection.id).failure == "The server's list of tools is none."


# --- when ---


def test_a_server_that_hangs_delays_nobody_and_is_given_up_at_the_end(house: GatewayHouse):
    slow, quick = FakeServer(tools=[a_tool("s")]), FakeServer(tools=[a_tool("q")])
    first, second = house.add("Slow", slow), house.add("Quick", quick)
    slow.gate.clear()
    quick.lists["tools"].append(a_tool("q2"))
    assert house.discovery.look_soon(first.id, wait=0.05) is False
    assert house.discovery.look_soon(second.id, wait=10) is True
    assert names(house, second.id) == {"q": True, "q2": True}
    house.discovery.stop()
    wait_until(lambda: not any(thread.name.startswith("look ") for thread in threading.enumerate()))


def test_many_announcements_in_a_burst_lead_to_few_looks(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("a")])
    connection = house.add("One", server)
    server.asked.clear()
    server.gate.clear()
    for number in range(200):
        server.lists["tools"] = [a_tool(f"a{number}")]
        house.discovery.hear(connection.id, "notifications/tools/list_changed", {})
    server.gate.set()
    wait_until(lambda: names(house, connection.id).get("a199") is True)
    wait_until(lambda: not house.discovery._errands)
    assert server.asked.count("tools/list") <= 2


def test_a_server_that_announces_without_end_is_looked_at_ever_less_often(house: GatewayHouse, monkeypatch: pytest.MonkeyPatch):
    connection = house.add("One", server := FakeServer(tools=[a_tool("a")]))
    waits: list[float] = []

    class Bell(threading.Event):
        def wait(self, seconds: float | None = None) -> bool:
            waits.append(round(seconds))
            return self.is_set()

    class Announcing(Call):
        def check_cancelled(self) -> None:  # before each page
            if server.asked.count("tools/list") < 16:
                house.discovery.hear(connection.id, "notifications/tools/list_changed", {})

    house.discovery._gap = 1.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    monkeypatch.setattr(module, "Errand", lambda: Errand(Announcing(), Bell()))
    server.asked.clear()
    house.discovery.hear(connection.id, "notifications/tools/list_changed", {})
    wait_until(lambda: len(waits) >= 17 and not house.discovery._errands)
    assert waits == [0, *[1] * 10, 2, 4, 8, 16, 30, 30]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 2000.0))  # after some quiet
    for _ in range(2):
        house.discovery.hear(connection.id, "notifications/tools/list_changed", {})
        wait_until(lambda: not house.discovery._errands)
    assert waits[17:] == [0, 1]


def test_only_announcements_of_lists_are_heard(house: GatewayHouse):
    server = FakeServer()
    connection = house.add("One", server)
    server.asked.clear()
    house.discovery.hear(connection.id, "notifications/resources/updated", {"uri": "a:b"})
    assert not house.discovery._errands
    house.discovery.hear(connection.id, "notifications/prompts/list_changed", {})
    wait_until(lambda: "prompts/list" in server.asked)


def test_a_look_that_somebody_waits_for_does_not_wait_for_the_gap(house: GatewayHouse):
    house.discovery._gap = 60
    connection = house.add("One", FakeServer(tools=[a_tool("a")]))
    assert house.discovery.look_soon(connection.id, wait=10)
    house.discovery.hear(connection.id, "notifications/tools/list_changed", {})
    assert house.discovery.look_soon(connection.id, wait=10)


def test_what_is_old_is_looked_at_again(house: GatewayHouse):
    connection = house.add("One", FakeServer(tools=[a_tool("a")]))
    assert list_stale(house.db, before=NOW) == []
    house.now += 3601
    assert list_stale(house.db, before=house.now - 3600) == [connection.id]
    house.discovery.look_at_old(house.now)
    wait_until(lambda: find_upstream(house.db, connection.id).discovered_at == house.now)
    with house.db.write() as run:
        run("UPDATE upstreams SET is_enabled = 0, discovered_at = 1")
    assert list_stale(house.db, before=house.now) == []


def test_a_connection_that_was_deleted_meanwhile_is_no_matter(house: GatewayHouse, caplog: pytest.LogCaptureFixture):
    server = FakeServer(tools=[a_tool("a")])
    connection = house.add("One", server)
    server.gate.clear()
    house.discovery.look_soon(connection.id)
    wait_until(lambda: server.asked.count("tools/list") == 2)
    with house.db.write() as run:
        run("DELETE FROM connections")
    server.gate.set()
    wait_until(lambda: not house.discovery._errands)
    assert house.db.query("SELECT name FROM features") == []
    assert house.discovery.look_soon("nobody", wait=10)
    assert caplog.text == ""


def test_a_fault_of_ours_is_logged_without_values(house: GatewayHouse, caplog: pytest.LogCaptureFixture):
    connection = house.add("One", FakeServer())
    house.upstreams.servers[connection.id] = None
    assert house.discovery.look_soon(connection.id, wait=10)
    assert f"looking at connection {connection.id} failed: AttributeError" in caplog.text


# --- what a person is told ---


def test_the_status_says_what_there_is_or_why_not(house: GatewayHouse):
    server = FakeServer(tools=[a_tool("a"), a_tool("b")])
    connection = house.add("One", server)
    counts = {"tool": 2, "prompt": 1, "resource": 0}
    assert describe_status(find_upstream(house.db, connection.id), counts, NOW + 200) == "2 tools, 1 prompt; found 3 minutes ago."
    server.trouble["initialize"] = UpstreamError("Nobody answers.")
    house.now += 7200
    house.look(connection)
    said = describe_status(find_upstream(house.db, connection.id), counts, house.now)
    assert said == "Cannot be reached (tried just now): Nobody answers. It last answered 2 hours ago."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 3, "3 days ago")],
)
def test_times_are_told_roughly(seconds: int, words: str):
    assert ago(NOW, NOW + seconds) == words

"""Claude against a real gunicorn with two workers: its two addresses really refresh at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from actors import PASSWORD, Person
from server import Server, running_server

from assistants import ASSISTANTS
from fetch import Fetcher
from smoke import Emulator

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("claude"), OWNER_PASSWORD=PASSWORD, WORKERS="2") as running:
        yield running


def test_two_addresses_of_claude_refresh_at_the_same_moment_again_and_again(server: Server):
    fetch = Fetcher(frozenset({f"localhost:{server.port}"}))
    both = [Emulator(fetch, server.url + "/mcp", ASSISTANTS["claude"]) for _ in range(2)]
    for claude in both:
        for step in (claude.knock, claude.read_resource, claude.read_server):
            step()
    both[0].register()
    both[0].take_callback(Person(server.url).decide(both[0].authorize_url()))
    both[1].client_id, both[1].tokens = both[0].client_id, both[0].tokens
    with ThreadPoolExecutor(2) as crowd:
        for _ in range(10):
            assert list(crowd.map(Emulator.refresh, both)) == ["a new pair", "a new pair"]
            assert both[0].tokens["refresh_token"] != both[1].tokens["refresh_token"]
            assert list(crowd.map(Emulator.list_tools, both)) == ["15 tools", "15 tools"]
    assert [claude.open() for claude in both] == ["2025-11-25", "2025-11-25"]

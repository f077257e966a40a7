"""`subscriptions/listen`: who is told of which change, and when a subscription ends."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
from werkzeug.test import Client

import mcp_listen
from errors import InvalidToken, StorageError
from mcp_bridge import Bridge
from mcp_listen import Listener, Listeners
from protocol import Request
from store.revisions import bump_features, find_revision
from streams import OPENING, EventStream
from watches import Watches

MODERN = "2026-07-28"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
ALL = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


class Lists:
    """A toolbox of lists that a test may change."""

    def __init__(self):
        self.tools, self.prompts, self.resources, self.templates = [], [], [], []

    def list_tools(self, caller):
        return list(self.tools)

    def list_prompts(self, caller):
        return list(self.prompts)

    def list_resources(self, caller):
        return list(self.resources)

    def list_templates(self, caller):
        return list(self.templates)

    def find_origin(self, caller, uri):
        return None


@pytest.fixture
def lists():
    return Lists()


@pytest.fixture
def listeners(db, lists, monkeypatch):
    """Listeners that look when the test says so."""
    monkeypatch.setattr(Listeners, "_watch", lambda self: None)
    return Listeners(db, lists, Watches(db, None))


@pytest.fixture
def listen(db, listeners):
    """Open a subscription; answers it."""

    def add(authenticate=None, **notifications):
        def find_caller():
            return SimpleNamespace(revision=find_revision(db))

        request = Request(5, "subscriptions/listen", {"notifications": notifications}, MODERN, True, {})
        listener = Listener(EventStream(None), authenticate or find_caller, find_caller(), request=request)
        listeners.add(listener)
        return listener

    return add


def move_revision(db):
    with db.write() as run:
        bump_features(run)


def heard(listeners, listener):
    """The messages of a subscription, which is ended for it."""
    listeners.remove(listener)
    events = list(listener.stream)
    listener.stream.close()
    assert events.pop(0) == OPENING
    return [json.loads(event.partition(b"data: ")[2]) for event in events]


def test_it_is_acknowledged_first_with_what_will_be_told(listeners, listen):
    listener = listen(toolsListChanged=True, promptsListChanged=False, resourcesListChanged="no", resourceSubscriptions=["a:b"])

    assert heard(listeners, listener)[0] == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": {mcp_listen.SUBSCRIPTION_META_KEY: 5}, "notifications": {"toolsListChanged": True}},
    }


@pytest.mark.parametrize(
    ("changed", "told"), [("tools", "tools"), ("prompts", "prompts"), ("resources", "resources"), ("templates", "resources")]
)
def test_it_tells_of_the_list_that_has_changed_and_no_other(db, lists, listeners, listen, changed, told):
    listener = listen(**ALL)
    getattr(lists, changed).append("new")
    move_revision(db)

    listeners.look()
    listeners.look()

    messages = heard(listeners, listener)[1:-1]
    assert [message["method"] for message in messages] == [f"notifications/{told}/list_changed"]
    assert messages[0]["params"]["_meta"][mcp_listen.SUBSCRIPTION_META_KEY] == 5


def test_it_does_not_tell_of_what_was_not_asked_for(db, lists, listeners, listen):
    listener = listen(promptsListChanged=True)
    lists.tools.append("new")
    move_revision(db)

    listeners.look()

    assert len(heard(listeners, listener)) == 2


def test_changes_of_others_are_not_told(db, listeners, listen):
    listener = listen(**ALL)
    move_revision(db)

    listeners.look()

    assert len(heard(listeners, listener)) == 2


def test_a_subscription_ends_with_a_tagged_result(listeners, listen):
    last = heard(listeners, listen(**ALL))[-1]

    assert (last["id"], last["result"]["resultType"]) == (5, "complete")
    assert last["result"]["_meta"][mcp_listen.SUBSCRIPTION_META_KEY] == 5


def test_a_token_that_is_good_no_more_ends_its_subscription(db, listeners, listen):
    def refuse():
        raise InvalidToken("revoked")

    listener = listen(refuse, **ALL)
    move_revision(db)

    listeners.look()

    assert len(listeners) == 0
    assert heard(listeners, listener)[-1]["result"]["resultType"] == "complete"


def test_a_busy_database_is_asked_again_later(db, lists, listeners, listen):
    troubles = [StorageError("locked")]

    def find_caller():
        if troubles:
            raise troubles.pop()
        return SimpleNamespace(revision=find_revision(db))

    listener = listen(find_caller, **ALL)
    lists.tools.append("new")
    move_revision(db)

    listeners.look()
    listeners.look()

    assert [message["method"] for message in heard(listeners, listener)[1:-1]] == ["notifications/tools/list_changed"]


# --- through the bridge, with the watching thread ---


@pytest.fixture
def bridge(settings, lists, vault, db, monkeypatch):
    monkeypatch.setattr(mcp_listen, "POLL_SECONDS", 0.01)

    def authenticate(authorization, resource):
        return SimpleNamespace(user_id="alice", grant_id="grant", session_id="session", revision=find_revision(db))

    return Bridge(dataclasses.replace(settings, threads=8), authenticate, lists, vault, db)


def open_stream(bridge):
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen", "Accept": "*/*"}
    params = {"_meta": ENVELOPE, "notifications": {"toolsListChanged": True}}
    message = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": params}
    return Client(bridge).post("/mcp", json=message, headers=headers)


def test_the_stream_tells_of_a_change_as_it_happens(bridge, lists, db):
    response = open_stream(bridge)
    chunks = iter(response.response)
    assert (next(chunks), b"acknowledged" in next(chunks)) == (OPENING, True)

    lists.tools.append("new")
    move_revision(db)

    assert b"notifications/tools/list_changed" in next(chunks)
    response.close()


def test_listeners_do_not_take_every_thread_and_give_theirs_back(bridge):
    responses = [open_stream(bridge) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 503]
    responses[0].close()
    responses.append(open_stream(bridge))
    assert responses[-1].status_code == 200
    for response in responses[1:]:
        response.close()


def test_stopping_the_server_ends_subscriptions_politely(bridge):
    response = open_stream(bridge)

    bridge.stop()

    assert b'"resultType":"complete"' in b"".join(response.response)
    response.close()


def test_the_handshake_era_has_no_such_method(bridge):
    message = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": {"notifications": {}}}
    response = Client(bridge).post("/mcp", json=message, headers={"Accept": "*/*"})

    assert (response.status_code, response.get_json()["error"]["code"]) == (200, -32601)

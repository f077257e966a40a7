"""Subscriptions at a server over pipes and one stream: what is asked, what was agreed, and what that hangs on."""

from __future__ import annotations

from typing import Any

import pytest
from fake_upstream import MODERN

import upstream_watch
from errors import UpstreamError, UpstreamRefused
from upstream_listens import ACKNOWLEDGED, SUBSCRIPTION_META_KEY
from upstream_rpc import Rpc
from upstream_watch import HandshakeWatch, ListenWatch

A, B = frozenset({"a:"}), frozenset({"b:"})


class Wire:
    """A server of the stateless era at the other end: it agrees to all but `refused`, if it answers at all."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.is_silent = False
        self.rpc = Rpc(self.send, lambda method, params: None, {})
        self.rpc.modern = MODERN

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["method"] == "subscriptions/listen" and not self.is_silent:
            wanted = message["params"]["notifications"]["resourceSubscriptions"]
            self.acknowledge(message["id"], [uri for uri in wanted if uri not in self.refused])

    def acknowledge(self, identity: Any, uris: Any) -> None:
        params = {"_meta": {SUBSCRIPTION_META_KEY: identity}, "notifications": {"resourceSubscriptions": uris}}
        assert self.rpc.take({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params})

    def told(self) -> list[Any]:
        """What was sent, in short."""
        return [
            (message["method"].rpartition("/")[2], message["params"].get("requestId", message.get("id")))
            for message in self.sent
        ]


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setattr(upstream_watch, "ACK_SECONDS", 0.05)
    return Wire()


def test_a_new_listen_takes_the_place_of_the_old_one_which_is_cancelled(wire):
    watch = ListenWatch(wire.rpc)
    assert watch.set(A) == A
    assert watch.set(A | B) == watch.told == A | B
    assert watch.set(frozenset()) == frozenset()
    assert wire.told() == [("listen", 1), ("listen", 2), ("cancelled", 1), ("cancelled", 2)]


def test_only_what_was_agreed_and_wanted_holds(wire):
    watch = ListenWatch(wire.rpc)
    wire.refused = {"b:"}
    assert watch.set(A | B) == A
    wire.acknowledge(1, ["a:", "c:", 5])
    assert watch.told == A
    for odd in ("a:", None, {"a:": 1}):
        wire.acknowledge(1, odd)
        assert watch.told == frozenset()


def test_an_acknowledgement_of_something_else_is_nothing(wire):
    watch = ListenWatch(wire.rpc)
    wire.is_silent = True
    assert watch.set(A) == frozenset()
    for identity in ("1", 2, None, [1]):
        wire.acknowledge(identity, ["a:"])
        assert watch.told == frozenset()
    wire.acknowledge(1, ["a:"])
    assert watch.told == A


@pytest.mark.parametrize("end", ["result", "error", "failure"])
def test_what_the_server_ends_does_not_hold_any_more(wire, end):
    watch = ListenWatch(wire.rpc)
    assert watch.set(A) == A
    if end == "failure":
        wire.rpc.fail("It is gone.")
    else:
        wire.rpc.take({"jsonrpc": "2.0", "id": 1, end: {"code": -1, "message": "no"}})
    assert watch.told == frozenset()


class Older:
    """A server of the handshake era; `era` is what its subscriptions hang on."""

    def __init__(self) -> None:
        self.era: Any = 1
        self.asked: list[tuple[str, str]] = []
        self.errors: dict[str, Exception] = {}

    def ask(self, method: str, params: dict[str, str]) -> None:
        self.asked.append((method.partition("/")[2], params["uri"]))
        if params["uri"] in self.errors:
            raise self.errors[params["uri"]]


def test_each_is_subscribed_to_once_and_unsubscribed_from_when_it_is_not_wanted():
    server = Older()
    watch = HandshakeWatch(server.ask)
    assert (watch.set(A), watch.set(A | B), watch.set(B)) == (A, A | B, B)
    assert server.asked == [("subscribe", "a:"), ("subscribe", "b:"), ("unsubscribe", "a:")]


def test_one_that_is_refused_leaves_the_others():
    server = Older()
    server.errors["a:"] = UpstreamRefused(-32002, "no", None)
    assert HandshakeWatch(server.ask).set(A | B) == B
    server.errors["a:"] = UpstreamError("gone")
    with pytest.raises(UpstreamError, match="gone"):
        HandshakeWatch(server.ask).set(A | B)


def test_in_a_session_that_began_anew_everything_is_asked_for_again():
    server = Older()
    watch = HandshakeWatch(server.ask, lambda: server.era)
    assert watch.set(A) == A
    server.era = 2
    assert (watch.told, watch.set(A)) == (frozenset(), A)
    assert server.asked == [("subscribe", "a:")] * 2
    server.era = None
    assert watch.told == frozenset()

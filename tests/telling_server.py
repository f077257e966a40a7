"""A server behind a connection, of either era, that tells of changes of its resources when a test says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from typing import Any

from fake_upstream import MODERN, STREAM, Asked, FakeUpstream, event, modern, note, older
from raw_server import plain

TELLS: dict[str, Any] = {"resources": {"subscribe": True}}
PATIENCE = 10
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class TellingServer:
    """`wanted` has the URIs that it was asked to tell of, `refused` those that it will not. Ends each stream with its client."""

    def __init__(self, era: str, capabilities: Mapping[str, Any] = TELLS):
        self.wanted: list[str] = []
        self.refused: set[str] = set()
        self.asked_for = 0
        self.streams: dict[socket.socket, dict[str, Any]] = {}  # with the `_meta` of what is said there
        self.changed = threading.Condition()
        lists = {
            "resources__list": lambda asked: asked.result({"resources": [{"uri": "note://1", "name": "One"}]} | CACHE),
            "resources__templates__list": lambda asked: asked.result({"resourceTemplates": []} | CACHE),
        }
        own = (
            modern(capabilities, subscriptions__listen=self.listen, **lists)
            if era == MODERN
            else older(
                capabilities,
                GET=self.open,
                resources__subscribe=self.subscribe,
                resources__unsubscribe=self.unsubscribe,
                **lists,
            )
        )
        self.server = FakeUpstream(own)

    def tell(self, uri: str) -> None:
        """Say on every stream that a resource has changed."""
        with self.changed:
            for sock, meta in self.streams.items():
                sock.sendall(event(note("notifications/resources/updated", uri=uri, **meta)))

    def wait(self, condition: Any) -> None:
        """Return once this holds."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), PATIENCE), self.wanted

    def break_streams(self) -> None:
        """End them all, without a word."""
        with self.changed:
            for sock in self.streams:
                sock.shutdown(socket.SHUT_RDWR)

    # --- handlers ---

    def open(self, asked: Asked) -> Any:
        """The stream of a session of the handshake era."""
        return lambda server, sock: self.talk(sock, {}, [])

    def subscribe(self, asked: Asked) -> bytes:
        """One more."""
        uri = asked.message["params"]["uri"]
        with self.changed:
            self.asked_for += 1
            if uri in self.refused:
                return asked.error(-32002, "200 OK")
            if uri not in self.wanted:  # a session has each once, however often it asks
                self.wanted.append(uri)
            self.changed.notify_all()
        return asked.result({})

    def unsubscribe(self, asked: Asked) -> bytes:
        """One fewer."""
        with self.changed:
            self.wanted.remove(asked.message["params"]["uri"])
            self.changed.notify_all()
        return asked.result({})

    def listen(self, asked: Asked) -> Any:
        """A stream of the stateless era."""
        wanted = asked.message["params"]["notifications"].get("resourceSubscriptions", [])
        self.asked_for += 1
        agreed = [uri for uri in wanted if uri not in self.refused]
        meta = {"_meta": {SUBSCRIPTION: asked.message["id"]}}
        first = note("notifications/subscriptions/acknowledged", notifications={"resourceSubscriptions": agreed}, **meta)
        return lambda server, sock: self.talk(sock, meta, agreed, event(first))

    def talk(self, sock: socket.socket, meta: dict[str, Any], agreed: list[str], first: bytes = b"") -> None:
        """Keep a stream open until its client leaves."""
        with self.changed:
            sock.sendall(STREAM + first)
            self.streams[sock] = meta
            self.wanted += agreed
            self.changed.notify_all()
        try:
            sock.recv(1)
        finally:
            with self.changed:
                del self.streams[sock]
                for uri in agreed:
                    self.wanted.remove(uri)
                self.changed.notify_all()
        raise ConnectionError("the client left")


CACHE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
NO_STREAM = plain(b"", "405 Method Not Allowed")

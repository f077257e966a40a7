"""A client for the conformance suite: a Postern in this process, to which the suite's server is added as a connection of a new
person. They sign in with a browser that follows redirects, and call a tool. Judges nothing itself."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socketserver
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from conftest import MASTER_KEY
from werkzeug.test import Client

import upstream_clients
from accounts import insert_account
from app import Gate, create_app
from config import Settings, load_settings
from crypto import new_id
from joining import join
from startup import prepare
from store.api_keys import insert_key
from store.connections import Draft, get_connection
from store.profiles import insert_key_grant, list_feature_sets, list_profiles
from store.users import create_login

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "0"},
}
PREFIX = "suite_"  # of the names of its tools
WAIT_SECONDS = 20
SIGN_INS_MAX = 2  # a person who is asked again and again gives up
DOCUMENT = "https://conformance-test.local/client-metadata.json"  # the only client id that the suite knows as a document


class Anywhere(frozenset):
    """ALLOW_PRIVATE_UPSTREAMS for servers whose ports the suite chooses as it goes."""

    def __contains__(self, name: object) -> bool:
        return str(name).startswith("localhost:")


def make_settings(folder: Path, public_url: str) -> Settings:
    """Settings of a Postern of this address."""
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{folder}/postern.db", "PUBLIC_URL": public_url}
    return dataclasses.replace(load_settings(environ, dotenv=None), allow_private_upstreams=Anywhere())


class Person:
    """Somebody with a browser, and one connection."""

    def __init__(self, gate: Gate, url: str, given: dict[str, str]):
        self.gate, self.state = gate, gate.pages.extensions["postern"]
        self.base = self.state.settings.public_url
        db, vault, now = self.state.db, self.state.vault, int(self.state.clock())
        secrets = {name: given.pop(name) for name in ("client_secret",) if name in given}
        with db.write() as run:
            self.user = insert_account(run, vault, new_id(), "signed in by a cookie", now)
        with db.write() as run:
            draft = Draft("remote_http", "Suite", {"url": url, "auth": "oauth", **given}, secrets)
            self.connection_id = join(run, vault, list_profiles(db, self.user.id)[0], draft, now)
        self.cookie = create_login(db, self.user.id, now=now)
        self.browser = Client(self.gate)
        name = "postern" if self.state.settings.is_loopback else "__Host-postern"
        self.browser.set_cookie(name, self.cookie, domain=urlsplit(self.base).hostname or "")
        self.sign_ins = 0

    def is_wanted(self) -> bool:
        """Whether the connection's page asks them to sign in."""
        standing = self.state.sign_ins.describe(get_connection(self.state.db, self.user.id, self.connection_id))
        return bool(standing and (standing.need or standing.missing_scope))

    def look(self) -> None:
        """Let Postern find out what the server offers."""
        self.state.gateway.discovery.look_soon(self.connection_id, wait=WAIT_SECONDS)

    def sign_in(self) -> None:
        """Press Connect, follow wherever it leads, and come back."""
        self.sign_ins += 1
        assert self.sign_ins <= SIGN_INS_MAX, "asked to sign in again and again"
        form = {"csrf_token": self.state.vault.mac("csrf", self.cookie)}
        path = f"/connections/{self.connection_id}/connect"
        answer = self.browser.post(path, data=form, base_url=self.base, headers={"Sec-Fetch-Site": "same-origin"})
        while answer.status_code in (302, 303) and not answer.headers["Location"].startswith("/"):
            answer = self.open(answer.headers["Location"])
        assert answer.status_code == 303, answer.text

    def open(self, url: str) -> Any:
        """One step of a browser: our own pages in this process, all others over HTTP."""
        if url.startswith(self.base + "/"):
            return self.browser.get(url.removeprefix(self.base), base_url=self.base)
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        page = Page(answer.status, urljoin(url, answer.headers.get("Location") or url), answer.read().decode())
        connection.close()
        return page


class Page:
    """What another site answered."""

    def __init__(self, status: int, location: str, text: str):
        self.status_code, self.headers, self.text = status, {"Location": location}, text


class Assistant:
    """A program that calls the person's tools at `/mcp`, with an API key."""

    def __init__(self, person: Person, version: str):
        self.person, self.version = person, version
        self.client = Client(person.gate)
        db, now = person.state.db, int(person.state.clock())
        profile = list_profiles(db, person.user.id)[0]
        with db.write() as run:
            key_id, self.key = insert_key(run, person.user.id, "suite", lifetime=None, now=now)
            everything = list_feature_sets(db, profile.id)[0]
            insert_key_grant(run, profile.id, key_id, everything.id, now)

    def find_tool(self) -> str:
        """The first tool of the suite's server. As long as none is known, somebody has to sign in first."""
        self.person.look()
        give_up = time.monotonic() + WAIT_SECONDS
        while not (found := [tool["name"] for tool in self.ask("tools/list", {})["tools"] if tool["name"].startswith(PREFIX)]):
            if self.person.is_wanted():
                self.person.sign_in()
            assert time.monotonic() < give_up, "no tool was found"
            time.sleep(0.1)
        return found[0]

    def call(self, name: str) -> dict[str, Any]:
        """A tool's result. Whenever only the person can help, as the result says, they do."""
        while True:
            result = self.ask("tools/call", {"name": name, "arguments": {}})
            if "mcp/www_authenticate" not in result.get("_meta", {}):
                assert not result.get("isError"), result
                return result
            assert f"{self.person.base}/connections/{self.person.connection_id}" in result["content"][0]["text"]
            self.person.sign_in()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request, in the manner of its revision, and its result."""
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": self.version, "X-API-Key": self.key}
        if self.version == MODERN:
            params = {**params, "_meta": META}
            headers |= {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.client.post("/mcp", json=message, headers=headers, base_url=self.person.base)
        assert answer.status_code == 200, answer.text
        lines = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")]
        return json.loads(lines[-1] if lines else answer.text)["result"]


class Clients:
    """The Posterns that play the client: a loopback one, and a public one where it is to be described by a document."""

    def __init__(self, folder: Path):
        self._own_path, upstream_clients.DOCUMENT_PATH = upstream_clients.DOCUMENT_PATH, urlsplit(DOCUMENT).path
        self.gates = {
            url: self._start(folder / str(index), url)
            for index, url in enumerate(("http://localhost:8000", DOCUMENT.removesuffix(upstream_clients.DOCUMENT_PATH)))
        }

    def _start(self, folder: Path, url: str) -> Gate:
        settings = make_settings(folder, url)
        prepare(settings)
        return create_app(settings)

    def stop(self) -> None:
        """Let go of everything."""
        upstream_clients.DOCUMENT_PATH = self._own_path
        for gate in self.gates.values():
            gate.stop()
            gate.pages.extensions["postern"].db.close()

    def play(self, asked: Mapping[str, str]) -> None:
        """Add the server of one scenario about signing in, and call its first tool."""
        if not asked["MCP_CONFORMANCE_SCENARIO"].startswith("auth/"):
            return
        is_public = asked["MCP_CONFORMANCE_SCENARIO"] == "auth/basic-cimd"
        context = json.loads(asked["MCP_CONFORMANCE_CONTEXT"] or "{}")
        given = {name: context[name] for name in ("client_id", "client_secret") if name in context}
        person = Person(list(self.gates.values())[is_public], asked["url"], given)
        assistant = Assistant(person, asked["MCP_CONFORMANCE_PROTOCOL_VERSION"])
        assistant.call(assistant.find_tool())


class Listener(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 100


@contextmanager
def listening_clients(folder: Path) -> Iterator[Path]:
    """The socket on which conformance_command.py hands on what it is asked."""
    clients = Clients(folder)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                clients.play(json.loads(self.rfile.readline()))
            except Exception:
                self.wfile.write(traceback.format_exc().encode())

    path = folder / "clients.socket"
    server = Listener(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        clients.stop()

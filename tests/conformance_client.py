"""A client for the conformance suite: a Postern in this process, to which the suite's server is added as a connection of a new
person. They sign in with a browser that follows redirects; then assistants of both eras use what the server offers. Judges
nothing itself."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socketserver
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from conformance_assistant import Assistant, Refused
from conftest import MASTER_KEY
from werkzeug.test import Client

import upstream_clients
from accounts import insert_account
from app import Gate, create_app
from config import Settings, load_settings
from crypto import new_id
from joining import join
from startup import prepare
from store.connections import Draft, get_connection
from store.profiles import list_profiles
from store.users import create_login

REVISIONS = ("2026-07-28", "2025-11-25")  # of the assistants
WAIT_SECONDS = 20
CANNOT_CALL = "json-schema-ref-no-deref"  # lists a tool, and answers every call with an error
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
            draft = Draft("remote_http", "Suite", {"url": url, **given}, secrets)
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
        assert self.state.gateway.discovery.look_soon(self.connection_id, wait=WAIT_SECONDS)

    def sign_in(self) -> None:
        """Press Connect, follow wherever it leads, and come back."""
        self.sign_ins += 1
        assert self.sign_ins <= SIGN_INS_MAX, "asked to sign in again and again"
        answer = self._press("/connect")
        while answer.status_code in (302, 303) and not answer.headers["Location"].startswith("/"):
            answer = self.open(answer.headers["Location"])
        assert answer.status_code == 303, answer.text

    def leave(self) -> None:
        """Delete the connection: whatever is open to the server is closed. The suite's servers wait for that when they stop."""
        assert self._press("", action="delete").status_code == 303

    def _press(self, path: str, **form: str) -> Any:
        """Send a form of the connection's page."""
        form["csrf_token"] = self.state.vault.mac("csrf", self.cookie)
        page = f"/connections/{self.connection_id}{path}"
        return self.browser.post(page, data=form, base_url=self.base, headers={"Sec-Fetch-Site": "same-origin"})

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
        """Add the server of one scenario, and use what it offers."""
        scenario, context = asked["MCP_CONFORMANCE_SCENARIO"], json.loads(asked["MCP_CONFORMANCE_CONTEXT"] or "{}")
        given = {name: context[name] for name in ("client_id", "client_secret") if name in context}
        if scenario.startswith("auth/"):
            given["auth"] = "oauth"
        person = Person(list(self.gates.values())[scenario == "auth/basic-cimd"], asked["url"], given)
        try:
            person.look()
            while person.is_wanted():
                person.sign_in()
                person.look()
            for version in REVISIONS:
                with pytest.raises(Refused) if scenario == CANNOT_CALL else nullcontext():
                    Assistant(person, version).use_everything(context.get("toolCalls"))
        finally:
            person.leave()


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

"""A whole Postern inside the test's process, whose clock the test sets; `requests` reaches it without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from email.message import Message
from types import SimpleNamespace
from typing import Any

import requests
from blank import put_blank
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import create_app
from config import Settings
from connectors.catalog import CONNECTORS
from db import Database
from errors import FetchError
from fetch import Response
from limits import Limits
from startup import prepare
from tools import Connector
from web import State


class Clock:
    """Shows the time that it was set to."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self.now += seconds


class House:
    """The application of one worker, with `clock` and `db` in the test's hands. Who has to wait moves the clock instead."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        connectors: Mapping[str, Connector] | None = None,
        fetch: Any = None,
        upstreams: Any = None,
    ):
        put_blank(settings.database_url)
        self.greeting = prepare(settings)
        self.settings, self.clock = settings, clock
        self.url = settings.public_url
        self.gate = create_app(settings, CONNECTORS | (connectors or {}), clock, fetch, upstreams)
        state: State = self.gate.pages.extensions["postern"]
        self.db: Database = state.db
        patient = replace(state, limits=Limits(self.db, clock, sleep=clock.forward))
        self.gate.pages.extensions["postern"] = patient

    def session(self) -> requests.Session:
        """A browser, or a client, that is in this house."""
        session = requests.Session()
        session.trust_env = False
        session.mount(self.url, InProcess(self.gate, self.url))
        return session

    def close(self) -> None:
        """End what runs."""
        self.gate.stop()
        self.db.close()


class InProcess(BaseAdapter):
    """Hands each request of a `requests.Session` to a WSGI application."""

    def __init__(self, application: Any, base_url: str):
        super().__init__()
        self._application, self._base_url = application, base_url

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        """Answer one request, its cookies in both directions included."""
        body = request.body.encode() if isinstance(request.body, str) else request.body
        builder = EnvironBuilder(
            path=request.path_url, base_url=self._base_url, method=request.method, data=body, headers=dict(request.headers)
        )
        builder.environ_base = {"REMOTE_ADDR": "127.0.0.1"}  # the peer, as a reverse proxy beside us would be
        chunks, status, headers = run_wsgi_app(self._application, builder.get_environ(), buffered=True)
        answer = requests.Response()
        answer.request, answer.url = request, request.url
        answer.status_code, answer.reason = int(status[:3]), status[4:]
        answer.headers, answer._content = CaseInsensitiveDict(headers), b"".join(chunks)
        raw_headers = Message()
        for name, value in headers:
            raw_headers[name] = value
        answer.raw = SimpleNamespace(_original_response=SimpleNamespace(msg=raw_headers))
        return answer

    def close(self) -> None:
        """Nothing is open."""


class Door:
    """What fetch.Fetcher is for our own client: a way into a house, seen there as coming from `address`, without cookies."""

    def __init__(self, house: House, address: str = "203.0.113.7"):
        self._house, self._headers = house, {"X-Forwarded-For": address}

    def request(
        self, method: str, url: str, *, trust: Any, headers: Mapping[str, str] | None = None, json: Any = None, form: Any = None
    ) -> Response:
        """One request; where it leads elsewhere, nobody answers."""
        if not url.startswith(self._house.url + "/"):
            raise FetchError("Nobody lives there.")
        sent = self._headers | dict(headers or {})
        session = self._house.session()
        answer = session.request(method, url, headers=sent, json=json, data=form, allow_redirects=False)
        return Response(answer.status_code, answer.headers, answer.content)

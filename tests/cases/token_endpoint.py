"""Requests to /token just as a test wants them, and what a refusal looks like. Holds no test."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import requests
from server import Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def code_in(callback: str) -> str:
    """The code in a callback URL."""
    return parse_qs(urlsplit(callback).query)["code"][0]


def post(server: Server, data: object, **headers: str) -> requests.Response:
    """A request to /token just as it is given."""
    return requests.post(server.url + "/token", data=data, headers=FORM | headers, timeout=20)


def basic(client_id: str, secret: str) -> str:
    """A Basic header."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def assert_refused(answer: requests.Response, status: int, code: str) -> None:
    """The error, in the form that RFC 6749 §5.2 gives it, which nobody may keep (T-31)."""
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"

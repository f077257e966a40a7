"""Requests to /token just as a test wants them, what a refusal looks like, and how sessions end. Holds no test."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
from actors import PASSWORD, Person
from server import Server

from cases.evidence import read

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


def end_session(person: Person, url: str) -> None:
    """Press the last `end` button of the admin page."""
    page = person.get("/admin")
    action = re.findall(r'action="(/admin/sessions/[^"]+/end)"', page.text)[0]
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0]
    assert person.session.post(url + action, data={"csrf_token": token}, timeout=10).status_code == 200


def change_password(person: Person, old: str = PASSWORD, new: str = "quite another one", again: str | None = None):
    """Fill in the form on the account's page."""
    page = person.get("/account")
    return person.submit(page, form=1, old_password=old, password=new, password_again=again or new)


def ended(path: Path, client_id: str) -> list[str | None]:
    """Why each session of a client ended; None for one that has not."""
    sql = "SELECT end_reason FROM sessions s JOIN grants g ON g.id = s.grant_id WHERE g.client_id = :id ORDER BY s.created_at"
    return [row["end_reason"] for row in read(path, sql, id=client_id)]

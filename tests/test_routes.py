"""The inventory of addresses: what a stranger may open is on a list here, with the reason; all else refuses (H-07)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import NOW
from flask import Response
from household import House, opened, token_of
from werkzeug.test import Client, TestResponse

from config import Settings
from naming import short_key
from store.emulated_documents import insert_document

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
DOCUMENT_ID = "d0c"
BRIDGE = ("/mcp", "/mcp/", "/mcp/<slug>", "/mcp/<slug>/more")  # mcp_bridge.py, which Flask's map does not know

DOCUMENT = "it tells a client how to ask; it knows no person"
PROBE = "a monitor has no account; one word is all it says"
OPEN = {
    "GET /": "the front door: what this is, and the address to paste",
    "GET /login": "where one signs in",
    "GET /static/<path:filename>": "the style sheet and its like; a page that refuses needs them too",
    "GET /healthz": PROBE,
    "GET /readyz": PROBE,
    "GET /.well-known/oauth-authorization-server": DOCUMENT,
    "GET /.well-known/openid-configuration": DOCUMENT,
    "GET /.well-known/oauth-protected-resource": DOCUMENT,
    "GET /.well-known/oauth-protected-resource/mcp": DOCUMENT,
    "GET /.well-known/oauth-protected-resource/mcp/<slug>": DOCUMENT,
    "GET /.well-known/mcp-config": DOCUMENT,
    "GET /.well-known/mcp-configuration": DOCUMENT,
    "GET /.well-known/mcp-server": DOCUMENT,
    "GET /oauth/emulated/<document_id>.json": "a client's description is public; it holds a public key and lasts ten minutes",
    "GET /connect/callback": "where services send people back to; without the login that was sent away it is a page that refuses",
    "POST /register": "registration is open to strangers by design (RFC 7591 §3); a client gets nothing before a person consents",
    "GET /authorize": "where a sign-in begins; it gives nothing, and refuses with a page what is not in order",
    "POST /authorize": "the same as GET, to which it leads",
}


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """Alice's, with real things behind every address."""
    with opened(settings) as built:
        insert_document(built.db, DOCUMENT_ID, {"client_name": "ChatGPT"}, expires_at=NOW + 1)
        yield built.settle()


def real_values(house: House) -> dict[str, str]:
    """What stands for the variable parts of addresses: things of Alice's that are there, so that 404 says something."""
    return {
        "connection_id": house.connection_id,
        "session_id": house.session_id,
        "key_id": house.key_id,
        "key": short_key("tool", "status_get_work"),
        "client_id": house.db.query("SELECT id FROM clients")[0]["id"],
        "slug": "home",
        "filename": "style.css",
        "document_id": DOCUMENT_ID,
    }


def list_rules(house: House) -> list[str]:
    """Every address, as it is written in the code."""
    return sorted({rule.rule for rule in house.gate.pages.url_map.iter_rules()}) + list(BRIDGE)


def fill(rule: str, values: dict[str, str]) -> str:
    """A rule with its variable parts filled in."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values.get(part[1], "x"), rule)


def visit(house: House, method: str, rule: str) -> TestResponse:
    """A stranger comes, with a browser of their own and with the form token that it was given at /login."""
    stranger = Client(house.gate)
    form = {"csrf_token": token_of(stranger)} if method not in ("GET", "HEAD", "OPTIONS") else None
    return stranger.open(fill(rule, real_values(house)), method=method, data=form, buffered=True)


def refuses(answer: TestResponse) -> bool:
    """Whether an answer is a closed door."""
    leads_to_login = answer.status_code in (302, 303) and answer.headers["Location"].startswith("/login")
    return answer.status_code in (401, 403, 404, 405) or leads_to_login


def list_open(house: House) -> Iterator[str]:
    """Every method and address that a stranger is not refused. HEAD is GET without a body, OPTIONS has a test of its own."""
    for rule in list_rules(house):
        for method in METHODS:
            if method != "OPTIONS" and not refuses(visit(house, method, rule)):
                yield f"{method.replace('HEAD', 'GET')} {rule}"


def test_a_stranger_can_open_what_is_on_the_list_and_nothing_else(house: House):
    before = house.contents()
    assert set(list_open(house)) == OPEN.keys()
    assert changed_tables(before, house.contents()) == set()


def changed_tables(before: dict[str, list], after: dict[str, list]) -> set[str]:
    """The tables that differ."""
    return {table for table in after if before[table] != after[table]}


def test_asking_what_methods_there_are_tells_nothing_else(house: House):
    for rule in list_rules(house):
        answer = visit(house, "OPTIONS", rule)
        assert refuses(answer) or (answer.status_code == 200 and answer.data == b""), rule


def test_every_open_address_has_a_reason_in_words():
    assert all(len(reason.split()) >= 4 for reason in OPEN.values())


@pytest.mark.parametrize("rule", ["/planted", "/admin/planted/<connection_id>"])
def test_a_page_that_somebody_forgot_to_lock_is_found(house: House, rule: str):
    pages = house.gate.pages
    pages._got_first_request = False  # as if it had been there from the beginning
    pages.add_url_rule(rule, "planted", lambda **_values: Response("All that Alice has"), methods=["GET", "POST"])
    assert set(list_open(house)) - OPEN.keys() == {f"GET {rule}", f"POST {rule}"}

"""web.py and answers.py: who a request counts for, which cookies go out, and in which form an error comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from household import House, opened, token_of
from werkzeug.test import Client, EnvironBuilder, TestResponse

from config import Settings
from web import client_address


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with opened(settings) as house:
        yield house


@pytest.mark.parametrize("cookie", ["x", "postern", "é" * 50, "x" * 39, "x" * 65])
@pytest.mark.parametrize("name", ["oauth-authorization-server", "oauth-protected-resource/mcp/home"])
def test_what_a_cache_may_keep_for_all_sets_no_cookie(house: House, name: str, cookie: str):
    answer = Client(house.gate, use_cookies=False).get("/.well-known/" + name, headers={"Cookie": f"postern={cookie}"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=300")
    assert "Set-Cookie" not in answer.headers
    page = Client(house.gate, use_cookies=False).get("/setup", headers={"Cookie": f"postern={cookie}"})
    assert "Set-Cookie" in page.headers  # the control: a form needs one


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),  # of a socket that listens for IPv4 and IPv6
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", "unknown"),
    ],
)
@pytest.mark.parametrize("hops", [0, 1])
def test_each_address_counts_for_itself(settings: Settings, peer: str, counted: str, hops: int):
    with opened(replace(settings, trust_proxy=hops)) as house:
        headers = {"X-Forwarded-For": f"198.51.100.1, {peer}"} if hops else {}
        builder = EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": "" if hops else peer})
        with house.gate.pages.request_context(builder.get_environ()):
            assert client_address() == counted


def open_path(house: House, method: str, path: str) -> TestResponse:
    return Client(house.gate).open(method=method, environ_overrides={"PATH_INFO": path})


@pytest.mark.parametrize(("path", "status"), [("//token", 400), ("/register//x", 404), ("/account//sign-out", 404)])
def test_a_slash_too_many_is_no_reason_to_send_a_post_somewhere_else(house: House, path: str, status: int):
    answer = open_path(house, "POST", path)
    assert (answer.status_code, answer.headers.get("Location")) == (status, None)


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/register", "/register/x"])
def test_a_program_reads_json_also_where_it_comes_with_a_wrong_method(house: House, path: str):
    answer = open_path(house, "PATCH", path)
    assert (answer.status_code, answer.json["error"]) == (405, "invalid_request")
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("application/json", "no-store")
    assert "OPTIONS" in answer.headers["Allow"]


def test_pages_can_be_read_while_nothing_can_be_written(house: House):
    """For one, when the disk is full."""
    house.settle()
    alice = house.browser(house.alice)
    token = token_of(alice)
    house.clock.forward(3600)
    house.db._connection().run("PRAGMA query_only = ON")
    assert alice.get("/admin").status_code == 200
    refused = alice.post(f"/keys/{house.key_id}/revoke", data={"csrf_token": token})  # the control
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
CHUNKED = [("/token", FORM, 65_536), ("/revoke", FORM, 65_536), ("/introspect", FORM, 65_536), ("/authorize", FORM, 262_144),
           ("/login", FORM, 262_144), ("/register", JSON, 65_536)]  # fmt: skip


@pytest.mark.parametrize(("path", "kind", "most"), CHUNKED)
def test_a_chunked_body_that_is_too_long_is_refused_and_not_cut(house: House, path: str, kind: str, most: int):
    """It does not say how long it is."""

    def send_chunked(size: int) -> TestResponse:
        body = b"x=" + b"y" * (size - 2) if kind == FORM else b'"' + b"y" * (size - 2) + b'"'
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
        return Client(house.gate).post(path, input_stream=BytesIO(body), content_type=kind, environ_overrides=chunked)

    assert send_chunked(most + 1).status_code == 413
    assert send_chunked(2_000_000).status_code == 413
    assert send_chunked(most).status_code in (303, 400, 401, 403)  # the control: read to its end

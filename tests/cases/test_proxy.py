"""Proxies and their headers: only those that TRUST_PROXY counts are believed, and requests that are cut two ways are refused."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
import requests
from actors import Assistant, FormReader, Person
from house import House
from server import Server, running_server

from cases.catalogue import case
from limits import Limits

pytestmark = pytest.mark.server

FOREIGN = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "1",
    "Forwarded": "for=203.0.113.7;host=evil.example;proto=https",
    "X-Original-URL": "/admin",
    "X-Rewrite-URL": "/admin",
    "X-Forwarded-For": "203.0.113.7",
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind one proxy, on which nobody has an account."""
    with running_server(tmp_path_factory.mktemp("proxied"), TRUST_PROXY="1") as running:
        yield running


@pytest.mark.parametrize("name", [case("H-01", name, name) for name in FOREIGN])
@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp", "/mcp"])
def test_a_strangers_headers_do_not_change_who_we_are(server: Server, name: str, path: str):
    plain, changed = (requests.get(server.url + path, headers=headers, timeout=10) for headers in ({}, {name: FOREIGN[name]}))
    assert changed.status_code == plain.status_code
    assert changed.content == plain.content
    assert changed.headers.get("WWW-Authenticate") == plain.headers.get("WWW-Authenticate")


@pytest.mark.parametrize("name", [case("H-01", name, name) for name in FOREIGN])
def test_a_strangers_headers_do_not_change_where_a_sign_in_leads(server: Server, friend: Assistant, name: str):
    answer = requests.get(friend.authorize_url(), headers={name: FOREIGN[name]}, allow_redirects=False, timeout=10)
    assert answer.headers["Location"].startswith("/connect?request=")
    assert "secure" not in answer.headers["Set-Cookie"].lower()  # plain http on loopback, whatever X-Forwarded-Proto says


@pytest.mark.parametrize(
    ("hops", "header", "address"),
    [
        case("H-02", "one proxy, one address", "1", "198.51.100.7", "198.51.100.7"),
        case("H-02", "one proxy, a second address", "1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        case("H-02", "two proxies", "2", "203.0.113.9, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
        case("H-02", "fewer than there should be", "2", "198.51.100.7", "127.0.0.1"),
        case("H-02", "no address", "1", "unknown", "127.0.0.1"),
        case("H-02", "IPv6 counts by its network", "1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        case("H-02", "no proxy", "0", "198.51.100.7", "127.0.0.1"),
    ],
)
def test_the_address_is_what_the_outermost_proxy_saw(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, hops: str, header: str, address: str
):
    house, seen = build_house(TRUST_PROXY=hops), []
    monkeypatch.setattr(Limits, "registration", lambda _limits, counted: seen.append(counted))
    body = {"redirect_uris": ["https://client.example/cb"]}
    house.session().post(house.url + "/register", json=body, headers={"X-Forwarded-For": header})
    assert seen == [address]


def try_code(url: str, session: requests.Session, **headers: str) -> int:
    """A wrong set-up code; ten are allowed for an address in a minute."""
    form = FormReader(session.get(url + "/setup", timeout=10).text).forms[-1].values
    typed = form | {"code": "x", "password": "x", "password_again": "x"}
    return session.post(url + "/setup", data=typed, headers=headers, timeout=10).status_code



def test_h03_a_header_with_an_underscore_is_nobody(empty: Server):
    session = Person(empty.url).session
    proxied = {"X-Forwarded-For": "198.51.100.7"}
    statuses = [try_code(empty.url, session, **proxied, X_Forwarded_For=f"203.0.113.{number}") for number in range(12)]
    assert statuses[:10] == [400] * 10
    assert statuses[10:] == [429] * 2
    assert try_code(empty.url, session, **{"X-Forwarded-For": "198.51.100.8"}) == 400  # the real one does count


def test_h05_who_is_not_behind_a_proxy_cannot_choose_an_address(build_house: Callable[..., House]):
    house = build_house()
    session = house.session()
    statuses = [try_code(house.url, session, **{"X-Forwarded-For": f"203.0.113.{number}"}) for number in range(12)]
    assert statuses == [400] * 10 + [429] * 2


HOST = b"Host: localhost\r\n"
SPLIT = {
    "length and chunks": b"POST /token HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": b"POST /token HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /token HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /token HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "a length that is no number": b"POST /token HTTP/1.1\r\n" + HOST + b"Content-Length: +4\r\n\r\nabcd",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "NUL": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\x00b\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("head", [case("H-04", words, head) for words, head in SPLIT.items()])
def test_a_request_that_can_be_read_two_ways_is_refused(server: Server, head: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.replace(b"Host: localhost\r\n", f"Host: localhost:{server.port}\r\n".encode()))
        answer = connection.makefile("rb").read()
    assert answer.split(b" ")[1] in (b"400", b"501", b"421")
    assert answer.count(b"HTTP/1.1 ") == 1  # and nothing behind it was taken for a second request
    assert server.answers()

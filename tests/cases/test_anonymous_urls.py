"""URLs that strangers make us fetch: client ids that are addresses of their own description (CIMD, "SSRF Attacks")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from actors import PASSWORD, Person
from conftest import MASTER_KEY, NOW
from house import Clock, House
from test_addresses import NEVER, PRIVATE
from web_of_clients import DOCUMENT_URL, Web, chatgpt_document

from cases.catalogue import case
from cases.evidence import unchanged
from config import load_settings
from crypto import s256
from errors import FetchError
from fetch import Fetcher, Response
from store.clients import find_client

REDIRECT = "https://chat.example/connector_platform_oauth_redirect"


def build(tmp_path: Path, fetch: Any) -> House:
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    return House(load_settings(environ, None), Clock(NOW), fetch=fetch)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.publish(DOCUMENT_URL, chatgpt_document())
    return web


@pytest.fixture
def house(tmp_path: Path, web: Web) -> Iterator[House]:
    built = build(tmp_path, web)
    yield built
    built.close()


@pytest.fixture
def owner(house: House) -> Person:
    person = Person(house.url, session=house.session())
    person.sign_in()
    return person


def authorize_url(house: House, client_id: str = DOCUMENT_URL, redirect_uri: str = REDIRECT) -> str:
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": s256("v" * 50),
        "code_challenge_method": "S256",
    }
    return house.url + "/authorize?" + urlencode(asked)


def visit(house: House, *where: str) -> requests.Response:
    """A stranger opens an authorize URL."""
    return house.session().get(authorize_url(house, *where), allow_redirects=False)


def assert_page(answer: requests.Response) -> None:
    """The person is told; nobody is sent anywhere."""
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Location" not in answer.headers


def test_s01_a_good_document_is_fetched_once_and_its_host_is_shown(house: House, owner: Person, web: Web):
    page = owner.get(authorize_url(house))
    assert page.status_code == 200
    assert "chat.example" in page.text
    assert owner.get(authorize_url(house)).status_code == 200
    assert web.asked == [DOCUMENT_URL]


def test_a_description_that_nobody_ever_approved_is_as_good_after_a_week(house: House):
    assert visit(house).status_code == 303
    house.clock.forward(8 * 86400)
    assert visit(house).status_code == 303


ODD = {
    "plain http": "http://chat.example/c.json", "ftp": "ftp://chat.example/c.json", "a file": "file:///etc/passwd",
    "no path": "https://chat.example", "a slash only": "https://chat.example/", "a fragment": "https://chat.example/c#x",
    "a user": "https://chat.example@evil.example/c", "a user and a password": "https://a:b@chat.example/c",
    "a dot": "https://chat.example/./c", "two dots": "https://chat.example/a/../c", "escaped": "https://chat.example/%2e%2e/c",
    "3000 letters": "https://chat.example/" + "x" * 3000, "a backslash": "https://chat.example\\@evil.example/c",
    "a line break": "https://chat.example/c\r\nX: y", "upper case": "HTTPS://chat.example/c",
}  # fmt: skip
PORTS = (22, 25, 80, 443, 6379, 8443, 0, 70000)


@pytest.mark.parametrize(
    "url",
    [
        *(case("S-02", words, url) for words, url in ODD.items()),
        *(case("S-08", f"port {port}", f"https://chat.example:{port}/c") for port in PORTS),
    ],
)
def test_an_odd_id_is_a_page_and_costs_nothing(house: House, web: Web, url: str):
    web.publish(url, chatgpt_document(client_id=url))
    with unchanged(house.db.path):
        assert_page(visit(house, url))
    assert web.asked == []


# --- S-03: with the real guard, where the resolver and the network are the test's ---


class Inside:
    """A resolver that leads every name to one address, and a network on which nobody may be called."""

    def __init__(self) -> None:
        self.address, self.lookups = "", 0

    def resolve(self, host: str, port: int) -> list[str]:
        self.lookups += 1
        return [self.address]

    def dial(self, address: tuple[str, int], timeout: float) -> Any:
        raise AssertionError(f"{address} was dialled")


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def guarded(tmp_path: Path, inside: Inside) -> Iterator[House]:
    built = build(tmp_path, Fetcher(resolver=inside.resolve, dial=inside.dial, own_host="postern.example"))
    yield built
    built.close()


def test_s03_a_name_that_leads_inside_is_refused_before_anybody_is_called(guarded: House, inside: Inside):
    for number, address in enumerate(NEVER + PRIVATE):
        inside.address = address
        guarded.clock.forward(60)
        assert_page(visit(guarded, f"https://host{number}.example/c"))
    assert inside.lookups == len(NEVER + PRIVATE)


@pytest.mark.parametrize(
    "host",
    [
        case("S-03", host, host)
        for host in ("localhost", "app.localhost", "host.docker.internal", "postern-db", "127.0.0.1", "169.254.169.254", "0x7f.1",
                     "2130706433", "printer.local")
    ],
)  # fmt: skip
def test_a_name_of_this_machine_or_its_neighbours_is_refused(guarded: House, inside: Inside, host: str):
    inside.address = "172.17.0.2"
    assert_page(visit(guarded, f"https://{host}/c"))


def test_s03_our_own_name_is_not_even_looked_up(guarded: House, inside: Inside):
    assert_page(visit(guarded, "https://postern.example/.well-known/oauth-authorization-server"))
    assert inside.lookups == 0


# --- what a document says ---

BAD_DOCUMENTS = {
    "S-10": [{"client_id": DOCUMENT_URL.replace("chat", "Chat")}, {"client_id": DOCUMENT_URL + "/"}, {"client_id": None},
             {"client_id": DOCUMENT_URL.replace(".example", ".example:443")}, {"client_id": [DOCUMENT_URL]}],
    "S-12": [{"redirect_uris": None}, {"redirect_uris": []}, {"client_name": None}, {"client_secret": "x"}]
    + [{"token_endpoint_auth_method": f"client_secret_{kind}"} for kind in ("basic", "post", "jwt")]
    + [{"jwks_uri": None, "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "private"}]}}],
}  # fmt: skip


@pytest.mark.parametrize("changes", [case(row, repr(item)[:60], item) for row, items in BAD_DOCUMENTS.items() for item in items])
def test_a_bad_document_is_a_page(house: House, web: Web, changes: dict[str, Any]):
    web.publish(DOCUMENT_URL, chatgpt_document(**changes))
    with unchanged(house.db.path):
        assert_page(visit(house))
    assert web.asked == [DOCUMENT_URL]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(case("S-12", body.decode(), "application/json", body) for body in (b"[]", b"null", b"{", b"5")),
        *(case("S-13", kind or "none", kind, None) for kind in ("text/html", "text/plain", "", "image/svg+xml")),
    ],
)
def test_what_is_no_document_is_a_page(house: House, web: Web, kind: str, body: bytes | None):
    good = web.pages[DOCUMENT_URL].body
    web.pages[DOCUMENT_URL] = Response(200, {"Content-Type": kind}, good if body is None else body)
    assert_page(visit(house))


@pytest.mark.parametrize("uri", [case("S-11", uri, uri) for uri in ("https://evil.example/", REDIRECT + "/", REDIRECT + "?x=y")])
def test_a_redirect_that_the_document_lacks_is_a_page(house: House, owner: Person, uri: str):
    assert_page(visit(house, DOCUMENT_URL, uri))
    assert_page(owner.get(authorize_url(house, DOCUMENT_URL, uri)))


# --- how often ---


def test_s14_a_hundred_visits_make_one_fetch(house: House, web: Web):
    assert {visit(house).status_code for _ in range(100)} == {303}
    assert web.asked == [DOCUMENT_URL]


def test_s14_a_hundred_addresses_are_too_many_for_one_source(house: House, web: Web):
    urls = [f"https://chat{number}.example/c" for number in range(100)]
    for url in urls:
        web.publish(url, chatgpt_document(client_id=url))
    answers = Counter(visit(house, url).status_code for url in urls)
    assert answers == {303: 20, 429: 80}
    assert len(web.asked) == 20


@pytest.mark.parametrize("failure", [case("S-15", words, words) for words in ("status 500", "status 404", "a timeout")])
def test_a_failure_is_not_kept(house: House, web: Web, failure: str):
    good, web.pages[DOCUMENT_URL] = web.pages[DOCUMENT_URL], FetchError(failure)
    assert_page(visit(house))
    assert find_client(house.db, DOCUMENT_URL) is None
    web.pages[DOCUMENT_URL] = good
    assert visit(house).status_code == 303


@pytest.mark.parametrize(
    ("header", "fetches"),
    [
        case("S-15", "not at all", "no-store", 3),
        case("S-15", "for ever", "max-age=1000000000", 2),
        case("S-15", "an hour", "max-age=3600", 2),
    ],
)
def test_what_may_be_kept_is_kept_for_a_day_at_the_most(house: House, web: Web, header: str, fetches: int):
    web.publish(DOCUMENT_URL, chatgpt_document(), **{"Cache-Control": header})
    assert [visit(house).status_code for _ in range(2)] == [303, 303]
    house.clock.forward(86_401)
    assert visit(house).status_code == 303
    assert len(web.asked) == fetches


def test_s16_a_document_that_has_changed_is_asked_about_again(house: House, owner: Person, web: Web):
    owner.decide(authorize_url(house))
    moved = "https://chat.example/moved"
    web.publish(DOCUMENT_URL, chatgpt_document(client_name="Somebody else", redirect_uris=[moved]))
    house.clock.forward(86_401)
    page = owner.get(authorize_url(house, DOCUMENT_URL, moved))
    assert page.status_code == 200
    assert "Somebody else" in page.text
    assert_page(owner.get(authorize_url(house)))  # where it was before


LOGOS = ("https://10.0.0.1/logo.png", "https://evil.example/logo.svg", "javascript:alert(1)", "data:image/svg+xml,x")


@pytest.mark.parametrize("logo", [case("S-17", logo, logo) for logo in LOGOS])
def test_a_logo_is_neither_fetched_nor_shown(house: House, owner: Person, web: Web, logo: str):
    web.publish(DOCUMENT_URL, chatgpt_document(logo_uri=logo))
    page = owner.get(authorize_url(house))
    assert page.status_code == 200
    assert logo not in page.text
    assert "img-src 'self'" in page.headers["Content-Security-Policy"]
    assert web.asked == [DOCUMENT_URL]

"""One running server for all cases, its people, and a look at every error that it answers."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from conftest import NOW
from house import Clock, House
from server import ROOT, Server, base_environ, running_server

from cases import trouble_connector
from config import load_settings

HOUSE_KEY = "3bd7f2c1905e6a84d17cf3092ab58e641f70c9d25bb8a6e3408f1d7ac2956e0b"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Postern with the connectors of tests. Codes live long enough for a whole table of cases.

    It believes where a request says that it comes from, so that the cases do not use up each other's limits.
    """
    folder = tmp_path_factory.mktemp("cases")
    environ = {"OWNER_PASSWORD": PASSWORD, "CODE_TTL_SECONDS": "600", "TRUST_PROXY": "1"}
    with running_server(folder, "fixture_connector,cases.trouble_connector", **environ) as running:
        yield running


@pytest.fixture(scope="session")
def database(server: Server) -> Path:
    """The file in which the server keeps everything."""
    return server.folder / "data" / "postern.db"


@pytest.fixture(scope="session")
def alice(server: Server) -> Person:
    """The owner, who has the connectors of tests in her profile."""
    return move_in(Person(server.url))


@pytest.fixture(scope="session")
def bob(server: Server) -> Person:
    """Another user of the server."""
    environ = base_environ(server.folder) | {"DATABASE_URL": f"sqlite:///{server.folder}/data/postern.db"}
    command = [sys.executable, str(ROOT / "cli.py"), "add-user", "bob"]
    subprocess.run(command, env=environ, cwd=server.folder, input=PASSWORD.encode(), check=True, capture_output=True)
    return move_in(Person(server.url, "bob"))


def move_in(person: Person) -> Person:
    """Sign in and make a connection of each test connector."""
    person.sign_in()
    for connector in ("trouble", "conformance"):
        form = person.get(f"/connections/new?connector={connector}")
        assert person.submit(form, button=("action", "save"), connection_name=connector).status_code == 200
    return person


@pytest.fixture(scope="session")
def friend(server: Server, alice: Person) -> Assistant:
    """An assistant that Alice has let in. Tests leave its tokens as they are."""
    assistant = Assistant(server.url)
    assistant.sign_in(alice)
    return assistant


@pytest.fixture(scope="session")
def stranger(server: Server) -> Assistant:
    """An assistant that nobody has let in."""
    return Assistant(server.url)


@pytest.fixture(scope="session")
def bobs(server: Server, bob: Person) -> Assistant:
    """An assistant that Bob has let in."""
    assistant = Assistant(server.url)
    assistant.sign_in(bob)
    return assistant


@pytest.fixture(scope="session")
def confidential(server: Server, alice: Person) -> Assistant:
    """An assistant with a secret, which Alice has let in."""
    assistant = Assistant(server.url, token_endpoint_auth_method="client_secret_basic")
    callback = alice.decide(assistant.authorize_url())
    assistant.tokens = assistant.exchange(callback, client_secret=assistant.registration["client_secret"]).json()
    return assistant


@pytest.fixture
def build_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes a Postern in this process, with settings by name; its clock the test sets."""
    houses: list[House] = []

    def build(**environ: str) -> House:
        own = {"MASTER_KEY": HOUSE_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house{len(houses)}.db"}
        settings = load_settings(own | environ, None)
        houses.append(House(settings, Clock(NOW), {"trouble": trouble_connector.CONNECTOR}))
        return houses[-1]

    yield build
    for house in houses:
        house.close()


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    """One that has an owner."""
    return build_house(OWNER_PASSWORD=PASSWORD)


@pytest.fixture
def owner(house: House) -> Person:
    """The owner of the house, signed in."""
    person = Person(house.url, session=house.session())
    person.sign_in()
    return person


# --- limits ---

ADDRESSES = (f"10.{number // 65536}.{number // 256 % 256}.{number % 256}" for number in itertools.count(1))


@pytest.fixture(autouse=True)
def _each_test_has_an_address_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it sends comes from there, unless it says otherwise."""
    send, address = requests.Session.send, next(ADDRESSES)

    def send_from_there(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        request.headers.setdefault("X-Forwarded-For", address)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", send_from_there)


# --- X-06 ---

PLAIN = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §5.2, RFC 6750 §3


def odd_errors(answer: requests.Response) -> list[str]:
    """The error texts of an answer that have letters that no error may have."""
    texts = re.findall(r'error(?:_description)?="([^"]*)"', answer.headers.get("WWW-Authenticate", ""))
    texts += re.findall(r"Error: <code>([^<]*)</code>", answer.text if "html" in answer.headers.get("Content-Type", "") else "")
    query = parse_qs(urlsplit(answer.headers.get("Location", "")).query, keep_blank_values=True)
    texts += [text for name in ("error", "error_description") for text in query.get(name, [])]
    body = answer.json() if answer.headers.get("Content-Type") == "application/json" and answer.content else {}
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        texts += [body["error"], body["error_description"]]
    return [text for text in texts if not PLAIN.fullmatch(text)]


@pytest.fixture(autouse=True)
def _errors_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test provokes, each error is in letters that every client can read."""
    send = requests.Session.send

    def send_and_look(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        answer = send(session, request, **options)
        assert odd_errors(answer) == [] or options.get("stream")
        return answer

    monkeypatch.setattr(requests.Session, "send", send_and_look)



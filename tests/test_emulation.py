"""emulation.py: `cli.py emulate` on the server's own host, where an assistant can sign in by a document."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from actors import PASSWORD, Person
from conftest import MASTER_KEY, ROOT
from house import Clock, Door, House
from server import MASTER_KEY as SERVER_KEY
from server import Server, running_server
from test_smoke import STEPS, command, steps

from assistants import ASSISTANTS
from client_assertions import ASSERTION_TYPE
from config import load_settings
from db import Database, migrate, open_database
from emulation import DOCUMENT_SECONDS, DescribedEmulator, Publication, open_home
from errors import PosternError
from fetch import Response
from smoke import FormPerson, visit

DESCRIBED = [name for name, assistant in ASSISTANTS.items() if assistant.document]
DESCRIBED_STEPS = [{"register": "document", "end the registration": "withdraw the document"}.get(name, name) for name in STEPS]


# --- the command, beside a running server ---


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("emulation"), OWNER_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture
def db(server: Server) -> Iterator[Database]:
    """The server's own database, where nothing may be left in the end, and where nobody counts how often the owner signs in."""
    found = open_database(f"sqlite:///{server.folder}/data/postern.db")
    with found.write() as run:
        run("DELETE FROM rate_limits")
    yield found
    for table in ("emulated_documents", "clients", "grants", "sessions", "tokens", "codes", "authorization_requests"):
        assert [tuple(row) for row in found.query(f"SELECT count(*) FROM {table}")] == [(0,)], table
    found.close()


def at_home(server: Server, tmp_path: Path, *words: str) -> dict[str, Any]:
    """How cli.py is started with the server's settings."""
    found = command(tmp_path, *words)
    own = {"MASTER_KEY": SERVER_KEY, "PUBLIC_URL": server.url, "DATABASE_URL": f"sqlite:///{server.folder}/data/postern.db"}
    return found | {"env": found["env"] | own}


def kinds(db: Database) -> list[tuple[str, str]]:
    """The clients there are, and of which kind."""
    return [(row["id"], row["kind"]) for row in db.query("SELECT id, kind FROM clients")]


@pytest.mark.server
@pytest.mark.parametrize("name", ["chatgpt", "claude"])
def test_it_signs_in_by_its_document_and_leaves_nothing(server: Server, db: Database, tmp_path: Path, name: str):
    words = at_home(server, tmp_path, "emulate", name, server.url + "/mcp", "--no-browser")
    with subprocess.Popen(**words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        url = next(line.strip() for line in running.stdout if line.strip().startswith(server.url + "/authorize?"))
        callback = Person(server.url).decide(url)
        ((client_id, kind),) = kinds(db)
        document = requests.get(client_id, timeout=10).json()
        said, _ = running.communicate(callback + "\n", timeout=30)
    assert running.returncode == 0
    assert steps(said) == DESCRIBED_STEPS[4:]
    assert kind == "cimd"
    maker = ASSISTANTS[name].document
    assert client_id.startswith(server.url + "/oauth/emulated/")
    assert document["client_id"] == client_id
    assert document["redirect_uris"] == maker["redirect_uris"]
    assert ("jwks" in document) == ("jwks_uri" in maker)
    assert "jwks_uri" not in document
    assert requests.get(client_id, timeout=10).status_code == 404


@pytest.mark.server
@pytest.mark.parametrize("name", DESCRIBED)
def test_each_that_describes_itself_gets_through_every_step(server: Server, db: Database, tmp_path: Path, name: str):
    words = at_home(server, tmp_path, "emulate", name, server.url, "--user", "owner", "--password-stdin")
    ended = subprocess.run(**words, input=PASSWORD + "\n", capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "describes itself (CIMD)" in ended.stdout
    assert "(DCR)" not in ended.stdout
    assert steps(ended.stdout) == DESCRIBED_STEPS
    assert "mcp_" not in ended.stdout


@pytest.mark.server
@pytest.mark.parametrize("lost", ["PUBLIC_URL", "DATABASE_URL", "MASTER_KEY"])
def test_without_the_servers_own_settings_it_registers_and_says_so(server: Server, db: Database, tmp_path: Path, lost: str):
    words = at_home(server, tmp_path, "emulate", "chatgpt", server.url, "--user", "owner", "--password-stdin")
    del words["env"][lost]
    ended = subprocess.run(**words, input=PASSWORD + "\n", capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "registers itself (DCR); its client document (CIMD) is its maker's to publish, and is not tried here" in ended.stdout
    assert steps(ended.stdout) == STEPS
    assert list(tmp_path.iterdir()) == []  # no database was made on the way


@pytest.mark.server
def test_a_run_that_fails_leaves_nothing_either(server: Server, db: Database, tmp_path: Path):
    words = at_home(server, tmp_path, "emulate", "chatgpt", server.url, "--user", "owner", "--password-stdin")
    ended = subprocess.run(**words, input="a wrong password\n", capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert steps(ended.stdout) == DESCRIBED_STEPS[:4]
    assert kinds(db) == []


# --- in the test's own process ---


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server whose clock begins with the real one, by which the command goes."""
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ, None), Clock(time.time()))
    yield built
    built.close()


class Witness(Door):
    """Remembers which forms were sent where."""

    def __init__(self, house: House):
        super().__init__(house)
        self.forms: list[tuple[str, dict[str, str]]] = []

    def request(self, method: str, url: str, **request: Any) -> Response:
        if method == "POST" and url.endswith(("/token", "/revoke")):
            self.forms.append((url.rpartition("/")[2], request["form"]))
        return super().request(method, url, **request)


@pytest.mark.parametrize(("name", "signs"), [("chatgpt", True), ("claude", False)])
def test_it_signs_every_request_about_tokens_if_its_maker_does(house: House, name: str, signs: bool):
    door = Witness(house)
    emulator = DescribedEmulator(Publication(house.db, house.url), door, house.url + "/mcp", ASSISTANTS[name])
    visit(emulator, FormPerson(door, house.url, "owner", PASSWORD), lambda line: None)
    assert [place for place, _ in door.forms] == ["token", "token", "revoke", "token", "token"]
    assert all((form.get("client_assertion_type") == ASSERTION_TYPE) == signs for _, form in door.forms)
    assert len({form.get("client_assertion") for _, form in door.forms}) == (5 if signs else 1)


def test_a_database_of_another_server_is_noticed(house: House, tmp_path: Path):
    other = open_database(f"sqlite:///{tmp_path}/other.db")
    with closing(other):
        migrate(other, ROOT / "schema.sql", ROOT / "migrations", now=0)
        emulator = DescribedEmulator(Publication(other, house.url), Door(house), house.url + "/mcp", ASSISTANTS["claude"])
        with pytest.raises(PosternError, match=r"^document: expected a JSON document at .*; got 404"):
            visit(emulator, lambda url, uri: url, lambda line: None)


def test_a_document_is_public_for_ten_minutes_and_what_a_dead_run_left_is_cleared_away(house: House):
    emulator = DescribedEmulator(Publication(house.db, house.url), Door(house), house.url + "/mcp", ASSISTANTS["chatgpt"])
    for step in (emulator.knock, emulator.read_resource, emulator.read_server, emulator.join):
        step()
    emulator.take_callback(FormPerson(emulator.fetch, house.url, "owner", PASSWORD)(emulator.authorize_url(), ""))
    published = house.session().get(emulator.client_id)
    assert (published.headers["Content-Type"], published.headers["Cache-Control"]) == ("application/json", "no-store")
    assert emulator.list_tools() == "15 tools"
    house.clock.forward(DOCUMENT_SECONDS + 1)
    assert house.session().get(emulator.client_id).status_code == 404
    assert house.session().get(emulator.authorize_url()).status_code == 400
    house.gate.jobs.tick()
    assert kinds(house.db) == []
    assert emulator.call("tools/list").status == 401


# --- where home is ---


def test_home_is_where_the_settings_and_the_database_are(house: House, tmp_path: Path):
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "PUBLIC_URL": house.url}
    with closing(open_home(house.url + "/mcp", environ)) as db:
        assert db.path == house.db.path


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("http://127.0.0.1:8000/mcp", {}),
        ("http://localhost:8001/mcp", {}),
        ("https://localhost:8000/mcp", {}),
        ("http://localhost:8000.evil.example/mcp", {}),
        ("http://localhost:8000/mcp", {"MASTER_KEY": ""}),
        ("http://localhost:8000/mcp", {"DATABASE_URL": "sqlite:////nowhere/house.db"}),
        ("http://localhost:8000/mcp", {"PUBLIC_URL": "https://postern.example"}),
    ],
)
def test_home_is_nowhere_else(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, changes: dict[str, str]):
    monkeypatch.chdir(tmp_path)  # where no .env lies
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "PUBLIC_URL": house.url}
    assert open_home(url, environ | changes) is None


def test_a_database_that_is_not_up_to_date_is_nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.db").touch()
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.db"}
    assert open_home("http://localhost:8000/mcp", environ) is None

"""smoke.py: `cli.py smoke` and `cli.py emulate` against a real gunicorn, and each thing that they find wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from conftest import MASTER_KEY, NOW
from house import Clock, Door, House
from server import ROOT, Server, free_port, running_server

from assistants import ASSISTANTS
from callback import Callback
from config import load_settings
from db import open_database
from errors import FetchError, PosternError
from fetch import Response
from smoke import Emulator, FormPerson, visit

STEPS = [
    "ask without a token",
    "read the resource's metadata",
    "read the server's metadata",
    "register",
    "authorize",
    "token",
    "initialize",
    "list tools",
    "refresh",
    "list tools again",
    "revoke",
    "end the registration",
]


# --- the commands ---


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("smoke"), OWNER_PASSWORD=PASSWORD) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The one server of all these tests, which has forgotten how often the owner has signed in."""
    db = open_database(f"sqlite:///{running.folder}/data/postern.db")
    with closing(db), db.write() as run:
        run("DELETE FROM rate_limits")
    return running


def command(folder: Path, *words: str) -> dict[str, Any]:
    """How cli.py is started: anywhere, without any setting."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return {"args": [sys.executable, str(ROOT / "cli.py"), *words], "cwd": folder, "env": environ, "text": True}


def run(folder: Path, *words: str, typed: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Run it to its end, the owner's password on its standard input."""
    found = command(folder, *words, "--user", "owner", "--password-stdin")
    return subprocess.run(**found, input=typed + "\n", capture_output=True, timeout=60, check=False)


def steps(said: str) -> list[str]:
    """The steps that went well."""
    return [line[4:33].strip() for line in said.splitlines() if line.startswith("ok ")]


@pytest.mark.server
@pytest.mark.parametrize("words", [["smoke"], *(["emulate", name] for name in ASSISTANTS)], ids=" ".join)
def test_every_assistant_gets_through_every_step(server: Server, tmp_path: Path, words: list[str]):
    ended = run(tmp_path, *words, server.url + "/mcp")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert steps(ended.stdout) == STEPS
    assert ended.stdout.count(" ms  ") == len(STEPS)
    assert PASSWORD not in ended.stdout
    assert "mcp_" not in ended.stdout  # as every token of ours begins
    is_described = words[-1] in ASSISTANTS and bool(ASSISTANTS[words[-1]].document)
    assert ("(CIMD) is its maker's to publish, and is not tried here" in ended.stdout) == is_described


@pytest.mark.server
def test_a_person_with_a_browser_signs_in_and_comes_back_to_a_port_of_this_machine(server: Server, tmp_path: Path):
    words = command(tmp_path, "smoke", server.url, "--no-browser")
    with subprocess.Popen(**words, stdout=subprocess.PIPE) as running:
        url = next(line.strip() for line in running.stdout if line.strip().startswith(server.url + "/authorize?"))
        callback = Person(server.url).decide(url)
        assert requests.get(callback.split("?")[0] + "favicon.ico", timeout=10).status_code == 404
        assert "You may close this page" in requests.get(callback, timeout=10).text
        said = running.stdout.read()
        assert running.wait(20) == 0
    assert steps(said) == STEPS[4:]


@pytest.mark.server
def test_cursor_is_waited_for_at_its_own_port(server: Server, tmp_path: Path):
    words = command(tmp_path, "emulate", "cursor", server.url + "/mcp", "--no-browser")
    with closing(Callback(ASSISTANTS["cursor"].port)):
        taken = subprocess.run(**words, capture_output=True, timeout=60, check=False)
    assert (taken.returncode, taken.stderr) == (1, "Error: Port 8787 of this machine is taken by another program.\n")
    with subprocess.Popen(**words, stdout=subprocess.PIPE) as running:
        url = next(line.strip() for line in running.stdout if line.strip().startswith(server.url + "/authorize?"))
        callback = Person(server.url).decide(url)
        assert callback.startswith("http://localhost:8787/callback?")
        requests.get(callback.replace("localhost", "127.0.0.1", 1), timeout=10)
        assert steps(running.stdout.read()) == STEPS[4:]
        assert running.wait(20) == 0


@pytest.mark.server
def test_a_person_whose_browser_ends_elsewhere_pastes_the_address(server: Server, tmp_path: Path):
    words = command(tmp_path, "emulate", "chatgpt", server.url + "/mcp", "--no-browser")
    with subprocess.Popen(**words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        url = next(line.strip() for line in running.stdout if line.strip().startswith(server.url + "/authorize?"))
        said, _ = running.communicate(Person(server.url).decide(url) + "\n", timeout=20)
    assert running.returncode == 0
    assert steps(said) == STEPS[4:]


@pytest.mark.server
def test_it_leaves_nothing_behind(server: Server, tmp_path: Path):
    owner, name = Person(server.url), ASSISTANTS["gemini"].registration["client_name"]
    owner.sign_in()
    assert run(tmp_path, "emulate", "gemini", server.url + "/mcp").returncode == 0
    assert name not in owner.get("/admin").text
    Assistant(server.url, client_name=name).sign_in(owner)
    assert name in owner.get("/admin").text  # one that stays


@pytest.mark.server
def test_a_wrong_password_ends_it_in_one_line(server: Server, tmp_path: Path):
    ended = run(tmp_path, "smoke", server.url + "/mcp", typed="a wrong password")
    assert ended.returncode == 1
    assert steps(ended.stdout) == STEPS[:4]
    assert ended.stderr == "Error: authorize: expected the consent page; got 401 at /login (is the password right?)\n"


def test_a_server_that_is_not_there_ends_it_in_one_line(tmp_path: Path):
    ended = run(tmp_path, "smoke", f"http://localhost:{free_port()}/mcp")
    assert (ended.returncode, steps(ended.stdout)) == (1, [])
    assert ended.stderr == "Error: ask without a token: localhost could not be reached.\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["smoke", "ftp://postern.example/mcp"], "URL: This is not an address that can be fetched"),
        (["smoke", "http://postern.example:x/mcp"], "URL: This is not an address that can be fetched"),
        (["smoke", "http://localhost:1/mcp", "--user", "alice"], "--user and --password-stdin go together."),
        (["smoke", "http://localhost:1/mcp", "--password-stdin"], "--user and --password-stdin go together."),
    ],
)
def test_it_refuses_what_it_cannot_do_in_one_line(tmp_path: Path, words: list[str], reason: str):
    ended = subprocess.run(**command(tmp_path, *words), capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(f"Error: {reason}")


# --- what it finds wrong: a house whose answers are changed on the way ---


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ, None), Clock(NOW))
    yield built
    built.close()


class Meddler(Door):
    """Changes the answers to requests whose method and path begin like this."""

    def __init__(self, house: House, start: str, change: Any):
        super().__init__(house)
        self.start, self.change = start, change

    def request(self, method: str, url: str, **request: Any) -> Response:
        answer = super().request(method, url, **request)
        told = json.dumps(request.get("json") or request.get("form") or "")
        path = f"{method} {url.removeprefix(self._house.url)} {told}"
        return self.change(answer) if self.start in path else answer


def member(name: str, value: Any) -> Any:
    """Changes a member of a JSON answer; None takes it away."""

    def change(answer: Response) -> Response:
        body = {key: item for key, item in (answer.json() | {name: value}).items() if item is not None}
        return replace(answer, body=json.dumps(body).encode())

    return change


def header(name: str, value: str) -> Any:
    """Changes a header of an answer."""
    return lambda answer: replace(answer, headers=dict(answer.headers) | {name: value})


def status(value: int) -> Any:
    """Changes the status of an answer."""
    return lambda answer: replace(answer, status=value)


OPENED = "http://localhost:8000"
PRM, METADATA = "GET /.well-known/oauth-protected-resource", "GET /.well-known/oauth-authorization-server"
FAULTS = [
    ("POST /mcp", status(200), "ask without a token: expected 401 with WWW-Authenticate: Bearer resource_metadata"),
    ("POST /mcp", header("WWW-Authenticate", "Basic"), "ask without a token: expected 401 with WWW-Authenticate: Bearer"),
    (
        "POST /mcp",
        header("WWW-Authenticate", 'Bearer error="invalid_token", resource_metadata="x"'),
        "ask without a token: expected a challenge without error",
    ),
    (PRM + "/mcp", member("resource", OPENED + "/mcp/"), "read the resource's metadata: expected res"),
    (PRM + " ", status(404), "read the resource's metadata: expected a JSON document at"),
    (METADATA, member("issuer", OPENED + "/"), "read the server's metadata: expected issuer"),
    (
        METADATA,
        member("code_challenge_methods_supported", ["plain"]),
        "read the server's metadata: expected code_challenge_methods_supported to have S256",
    ),
    (
        METADATA,
        member("authorization_response_iss_parameter_supported", None),
        "read the server's metadata: expected authorization_response_iss_parameter_supported to have True",
    ),
    (METADATA, member("registration_endpoint", None), "register: expected a registration_end"),
    ("POST /register", status(200), "register: expected 201"),
    ("POST /register", member("redirect_uris", []), "register: expected redirect_uris"),
    ("GET /connect", status(404), "authorize: expected a page to sign in"),
    (METADATA, member("token_endpoint", None), "read the server's metadata: expected token_endpoint in the answer"),
    (METADATA, lambda answer: replace(answer, body=b"[]"), "read the server's metadata: expected a JSON object; got 200"),
    ("POST /register", member("client_id", None), "register: expected client_id in the answer"),
    (
        METADATA,
        member("authorization_endpoint", "https://evil.example/authorize"),
        "authorize: expected to sign in at http://localhost:8000; got https://evil.example",
    ),
    *(
        (METADATA, member("authorization_endpoint", odd), "read the server's metadata: expected authorization_endpoint to be")
        for odd in ("file:///etc/passwd", "javascript:alert(1)", "--flag", "https://evil.example/\n", 5)
    ),
    *(
        (PRM, member("authorization_servers", odd), "read the server's metadata: expected a web address in authorization_servers")
        for odd in ([], 5, [5], {"a": 1}, None)
    ),
    ("POST /connect", status(200), "authorize: expected to be sent to http://127.0.0.1:3000/callback"),
    ("POST /token", status(400), "token: expected 200, Cache-Control: no-store"),
    ("POST /token", header("Cache-Control", "private"), "token: expected 200, Cache-Control: no-store"),
    ("POST /token", member("refresh_token", None), "token: expected refresh_token in the answer; got access_token"),
    ('"initialize", "params": {"protocolVersion"', status(500), "initialize: expected 200; got 500"),
    ("notifications/initialized", status(200), "initialize: expected 202"),
    ("tools/list", member("result", None), "list tools: expected a result of tools/list"),
    ("refresh_token", member("refresh_token", None), "refresh: expected refresh_token in the answer"),
    ("POST /revoke", status(503), "revoke: expected 200; got 503"),
    ("DELETE /register/", status(404), "end the registration: expected 204; got 404"),
]


@pytest.mark.parametrize(("start", "change", "said"), FAULTS, ids=[f"{number}-{row[0]}" for number, row in enumerate(FAULTS)])
def test_it_stops_at_the_first_step_that_fails_and_says_what_was_expected(house: House, start: str, change: Any, said: str):
    door, lines = Meddler(house, start, change), []
    with pytest.raises(PosternError) as stopped:
        visit(Emulator(door, house.url + "/mcp"), FormPerson(door, house.url, "owner", PASSWORD), lines.append)
    assert str(stopped.value).startswith(said)
    assert steps("\n".join(lines)) == STEPS[: STEPS.index(said.partition(":")[0])]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("state=", "state=x", "token: expected the state that was sent"),
        ("iss=", "iss=x", "token: expected iss to be http://localhost:8000"),
        ("code=", "error=access_denied&x=", "token: expected a code; got access_denied"),
        ("http://127.0.0.1:3000/callback", "http://127.0.0.1:3000/other", "token: expected to be sent to"),
    ],
)
def test_it_does_not_take_a_callback_that_was_tampered_with(house: House, old: str, new: str, said: str):
    door = Door(house)
    owner = FormPerson(door, house.url, "owner", PASSWORD)
    with pytest.raises(PosternError) as stopped:
        visit(Emulator(door, house.url + "/mcp"), lambda url, uri: owner(url, uri).replace(old, new), lambda line: None)
    assert str(stopped.value).startswith(said)


def test_it_reads_an_answer_that_comes_as_a_stream(house: House):
    def stream(answer: Response) -> Response:
        return Response(200, {"Content-Type": "text/event-stream"}, b": open\n\nevent: message\ndata: " + answer.body + b"\n\n")

    door, lines = Meddler(house, "tools/list", lambda answer: stream(answer) if answer.status == 200 else answer), []
    visit(Emulator(door, house.url + "/mcp"), FormPerson(door, house.url, "owner", PASSWORD), lines.append)
    assert steps("\n".join(lines)) == STEPS


def test_a_lost_connection_is_told_with_its_step(house: House):
    def lose(_answer: Response) -> Response:
        raise FetchError("localhost stopped in the middle of its answer.")

    door = Meddler(house, "tools/list", lose)
    with pytest.raises(PosternError, match=r"^list tools: localhost stopped in the middle of its answer\.$"):
        visit(Emulator(door, house.url + "/mcp"), FormPerson(door, house.url, "owner", PASSWORD), lambda line: None)


@pytest.mark.parametrize(
    ("start", "pretended", "said"),
    [
        ("POST /revoke", 200, "revoke: expected 401 invalid_token; got 200"),
        ("DELETE /register/", 204, "end the registration: expected 401 invalid_client; got 400 invalid_grant"),
    ],
)
def test_it_notices_what_a_server_only_pretends_to_have_done(house: House, start: str, pretended: int, said: str):
    class Pretender(Door):
        def request(self, method: str, url: str, **request: Any) -> Response:
            is_meant = f"{method} {url.removeprefix(house.url)}".startswith(start)
            return Response(pretended, {}, b"") if is_meant else super().request(method, url, **request)

    door = Pretender(house)
    with pytest.raises(PosternError) as stopped:
        visit(Emulator(door, house.url + "/mcp"), FormPerson(door, house.url, "owner", PASSWORD), lambda line: None)
    assert str(stopped.value).startswith(said)


def test_where_a_registration_cannot_be_ended_it_says_so(house: House):
    door, lines = Meddler(house, "POST /register", member("registration_client_uri", None)), []
    visit(Emulator(door, house.url + "/mcp"), FormPerson(door, house.url, "owner", PASSWORD), lines.append)
    assert lines[-1].endswith("not offered: the registration stays")


def test_help_names_both_commands(tmp_path: Path):
    ended = subprocess.run(**command(tmp_path, "--help"), capture_output=True, timeout=60, check=True)
    assert all(f"    {name} " in ended.stdout for name in ("smoke", "emulate"))

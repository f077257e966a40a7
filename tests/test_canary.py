"""The canary run (X-04): a secret of its own in every input, all that can go wrong, and then a search of all that is left."""

from __future__ import annotations

import base64
import os
import re
import resource
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import pytest
import requests
from actors import Assistant, Person, setup_code
from cases.token_endpoint import basic, code_in
from server import MASTER_KEY, Server, running_server
from web_of_clients import Signer

from client_assertions import ASSERTION_TYPE
from db import back_up, open_database
from store.keys import open_vault

pytestmark = pytest.mark.server

Places = dict[str, bytes]


@dataclass
class Watch:
    """What each canary is, and all that went over the wire: requests as they were sent, answers by where they came from."""

    canaries: dict[str, bytes] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    answers: Places = field(default_factory=dict)

    def new(self, name: str) -> str:
        """A fresh canary, to be typed or sent."""
        return self.keep(name, f"canary{secrets.token_hex(12)}")

    def keep(self, name: str, value: str) -> str:
        """A secret that somebody else made, from now on a canary too."""
        self.canaries[name] = value.encode()
        return value

    def note(self, request: requests.PreparedRequest, answer: requests.Response) -> None:
        """Remember one exchange."""
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        head = "\n".join([f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())])
        self.sent.append(head.encode() + b"\n\n" + body)
        path = re.sub("/[0-9a-f]{20}", "/ID", urlsplit(request.url).path)
        pieces = {f"{name} of": value.encode() for name, value in answer.headers.items()} | {"body of": answer.content}
        for piece, value in pieces.items():
            place = f"{piece} {request.method} {path}"
            self.answers[place] = self.answers.get(place, b"") + b"\n" + value


# --- what happened ---


def set_up(server: Server, watch: Watch) -> Person:
    """A wrong set-up code, the right one, wrong passwords, the right one."""
    person = Person(server.url, password=watch.new("password"))
    wrong = person.set_up(watch.new("wrong set-up code"))
    assert wrong.status_code == 403
    typo = {"code": "x", "password": watch.new("password typed once"), "password_again": watch.new("password typed otherwise")}
    assert person.submit(wrong, username="alice", **typo).status_code == 400
    assert person.set_up(watch.keep("set-up code", setup_code(server.log))).status_code == 200
    person.session.post(server.url + "/logout", data={"csrf_token": watch.new("wrong form token")})
    form = Person(server.url)
    assert form.submit(form.get("/login"), username="owner", password=watch.new("wrong password")).status_code == 401
    for cookie in person.session.cookies:
        watch.keep(f"cookie {cookie.name}", cookie.value or "")
    return person


def connect_services(person: Person, watch: Watch) -> None:
    """A connection with a secret: typed with a mistake elsewhere, then saved, then edited."""
    form = person.get("/connections/new?connector=trouble")
    secret = watch.new("secret of a connection")
    mistaken = person.submit(form, button=("action", "save"), connection_name="x" * 100, token=secret)
    assert mistaken.status_code == 400
    person.submit(mistaken, button=("action", "save"), connection_name="trouble")
    page = person.get("/admin")
    edit = person.get(re.findall(r'href="(/connections/[0-9a-f]+)"', page.text)[-1])
    assert edit.status_code == 200
    person.submit(edit, button=("action", "save"))


def sign_in(assistant: Assistant, person: Person, watch: Watch, name: str, **proof: str) -> None:
    """The whole flow of an assistant, with a wrong try before each right one."""
    state = watch.new(f"state of {name}")
    callback = person.decide(assistant.authorize_url(state=state))
    watch.keep(f"verifier of {name}", assistant.verifier)
    watch.keep(f"code of {name}", code_in(callback))
    wrong = watch.new(f"wrong verifier of {name}") + "x" * 20
    assert assistant.exchange(callback, code_verifier=wrong, **proof).status_code in (400, 401)
    answer = assistant.exchange(callback, **proof)
    assert answer.status_code == 200, answer.text
    assistant.tokens = answer.json()
    for kind in ("access_token", "refresh_token"):
        watch.keep(f"{kind} of {name}", assistant.tokens[kind])


def sign_in_everybody(server: Server, person: Person, watch: Watch) -> Assistant:
    """Assistants without a secret, with one, and with a key; one asks again, and one comes back with what it used before."""
    public = Assistant(server.url, client_name=watch.new("client name"))
    sign_in(public, person, watch, "a public client")
    old = public.tokens["refresh_token"]
    public.tokens = public.refresh().json()
    watch.keep("rotated refresh token", public.tokens["refresh_token"])
    public.tokens = public.refresh().json()
    assert public.refresh(old).json()["error"] == "invalid_grant"  # a replay: the session has ended
    confidential = Assistant(server.url, token_endpoint_auth_method="client_secret_basic")
    secret = watch.keep("client secret", confidential.registration["client_secret"])
    sign_in(confidential, person, watch, "a confidential client", client_secret=secret)
    wrong = basic(confidential.client_id, watch.new("wrong client secret"))
    assert confidential.session.post(server.url + "/token", data={"x": "y"}, headers={"Authorization": wrong}).status_code == 401
    signing = Signer()
    signer = Assistant(server.url, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signing.public()]})
    assertion = signing.sign(signer.client_id, server.url, int(time.time()), jti=watch.new("id of an assertion"))
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "grant_type": "refresh_token"}
    assert signer.post_token(refresh_token=watch.new("unknown refresh token"), **proof).json()["error"] == "invalid_grant"
    assert signer.post_token(refresh_token="x", **proof).json()["error"] == "invalid_client"  # the assertion was used
    watch.keep("assertion", assertion.rpartition(".")[2])
    friend = Assistant(server.url)
    sign_in(friend, person, watch, "a friend")
    friend.session.post(server.url + "/introspect", data={"client_id": friend.client_id, "token": friend.tokens["access_token"]})
    friend.session.post(server.url + "/revoke", data={"client_id": public.client_id, "token": public.tokens["access_token"]})
    return friend


def be_refused(server: Server, person: Person, friend: Assistant, watch: Watch) -> None:
    """Everything that is wrong with a request, with a secret in it."""
    for path in ("/token", "/revoke", "/introspect"):
        form = {"client_id": friend.client_id, "token": watch.new(f"unknown token at {path}"), "code": "x", "grant_type": "x"}
        requests.post(server.url + path, data=form, timeout=10)
        requests.post(server.url + path, json={"token": watch.new(f"JSON at {path}")}, timeout=10)
        requests.post(server.url + f"{path}?token={watch.new(f'query of {path}')}", data=form, timeout=10)
        requests.put(server.url + path, data=watch.new(f"PUT of {path}"), timeout=10)
    friend.exchange(friend.redirect_uri + "?code=" + watch.new("unknown code"))
    body = {"redirect_uris": ["javascript:" + watch.new("bad redirect URI")], "client_secret": watch.new("self-made secret")}
    assert requests.post(server.url + "/register", json=body, timeout=10).status_code == 400
    requests.post(server.url + "/register", data=b"{" + watch.new("broken JSON").encode(), timeout=10)
    person.get(friend.authorize_url(state=watch.new("state of a refusal"), code_challenge="x"))
    Person(server.url).get(friend.authorize_url(state=watch.new("state of a stranger"), redirect_uri="https://evil.example/"))
    person.session.post(server.url + "/connect", data={"request": watch.new("unknown request")}, timeout=10)
    requests.get(server.url + "/no-page?token=" + watch.new("query of a 404"), timeout=10)
    requests.get(server.url + "/", headers={"Host": watch.new("host") + ".example"}, timeout=10)
    for line in (f"GET / HTTP/1.1\r\nX-Bad\x00: {watch.new('broken header')}", f"BAD{watch.new('broken line')}"):
        watch.sent.append(line.encode())
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(line.encode() + b"\r\n\r\n")
            connection.makefile("rb").read()


def use_tools(server: Server, friend: Assistant, watch: Watch) -> None:
    """Calls that work and calls that break, and bearers that open nothing."""
    for name in ("trouble_bad_text", "trouble_raw_bytes", "trouble_circle", "trouble_nothing"):
        friend.call("tools/call", {"name": name, "arguments": {"word": watch.new(f"argument of {name}")}})
    said = friend.call("tools/call", {"name": "trouble_echo", "arguments": {"word": watch.new("argument that is said back")}})
    assert not said.json()["result"]["isError"], said.text
    broken = friend.call("tools/call", {"name": "trouble_break_down", "arguments": {"word": watch.new("text of a crash")}})
    assert broken.json()["result"]["isError"], broken.text
    friend.call("tools/list", {"cursor": watch.new("cursor")})
    friend.call("ping", token=watch.new("unknown bearer"))
    friend.call("ping", token=watch.new("malformed bearer") + "\u00e9")
    requests.post(server.url + "/mcp?access_token=" + watch.new("bearer in a query"), timeout=10)
    headers = {"Authorization": f"Bearer {friend.tokens['access_token']}", "Accept": "*/*", "Content-Type": "application/json"}
    for body in (b'{"' + watch.new("broken message").encode(), b'["' + watch.new("batch").encode() + b'"]'):
        requests.post(server.url + "/mcp", data=body, headers=headers, timeout=10)
    requests.post(server.url + "/mcp", data=b"{}", headers=headers | {"Mcp-Session-Id": watch.new("MCP session")}, timeout=10)


def break_it(server: Server, person: Person, friend: Assistant, watch: Watch) -> None:
    """Damage the database under the running server, so that what nobody foresaw happens while secrets are at hand."""
    form, lost = person.get("/connections/new?connector=trouble"), Person(server.url)
    login = lost.get("/login")
    with closing(sqlite3.connect(database_of(server), timeout=10, isolation_level=None)) as connection:
        connection.execute("UPDATE credentials SET value_sealed = 'damaged' || value_sealed")
        friend.call("tools/call", {"name": "trouble_echo", "arguments": {"word": watch.new("word to a damaged connection")}})
        connection.execute("DELETE FROM profiles")
        crashed = person.submit(form, button=("action", "save"), profile="", token=watch.new("secret in a crash"))
        assert crashed.status_code == 500
        connection.execute("ALTER TABLE users RENAME TO gone")
        assert lost.submit(login, password=watch.new("password into the void")).status_code == 503
        connection.execute("ALTER TABLE gone RENAME TO users")


def database_of(server: Server) -> Path:
    return server.folder / "data" / "postern.db"


def worker_of(server: Server) -> int:
    """The process that serves."""
    return int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text())


def crash(server: Server) -> None:
    """Let the worker die as by a fault in C code, and wait for the next one."""
    before = worker_of(server)
    os.kill(before, signal.SIGSEGV)
    deadline = time.monotonic() + 20
    while "SIGSEGV" not in server.log or not server.answers(1):
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    assert worker_of(server) != before


# --- what is left ---


def forms_of(value: bytes) -> Iterable[bytes]:
    """A value as it may stand somewhere."""
    return {value, value.hex().encode(), quote_plus(value).encode(), value[::-1]}


def unfold(content: bytes) -> bytes:
    """The content, and all that looks like base64 in it, decoded: a Basic header, the claims of a JWT, a key."""
    return b"\n".join([content, *map(decode_run, re.findall(rb"[A-Za-z0-9+/_-]{40,}", content))])


def decode_run(run: bytes) -> bytes:
    """The bytes of base64 in either alphabet; the last letter is dropped if it cannot be the end of any."""
    whole = run[:-1] if len(run) % 4 == 1 else run
    return base64.b64decode(whole.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(whole) % 4))


def hits(canaries: dict[str, bytes], places: Places) -> set[tuple[str, str]]:
    """Which canary stands where."""
    unfolded = {place: unfold(content) for place, content in places.items()}
    return {
        (name, place)
        for name, value in canaries.items()
        for place, content in unfolded.items()
        if any(form in content for form in forms_of(value))
    }


KINDS = {"server.log": "log", "postern.db": "database", "postern.db-wal": "database", "postern.db-shm": "database"}


def read_folder(folder: Path) -> Places:
    """Every file that a server has made: log and output, database with its write-ahead log, backup, and any other by its name."""
    places: Places = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = "backup" if ".before-" in path.name else KINDS.get(path.name, path.name)
        places[place] = places.get(place, b"") + path.read_bytes()
    return places


@dataclass(frozen=True)
class Run:
    """A finished canary run."""

    watch: Watch
    files: Places
    late_files: Places


CORES = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All flows and all errors, a backup, a crash and a stop. Files are read before the stop (it empties the WAL) and after."""
    watch = Watch()
    send = requests.Session.send

    def send_and_note(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        answer = send(session, request, **options)
        watch.note(request, answer)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", send_and_note)
        folder = tmp_path_factory.mktemp("canary")
        with running_server(folder, "cases.trouble_connector", CORES, LOG_LEVEL="debug") as server:
            person = set_up(server, watch)
            connect_services(person, watch)
            friend = sign_in_everybody(server, person, watch)
            be_refused(server, person, friend, watch)
            use_tools(server, friend, watch)
            add_keys(server, watch)
            break_it(server, person, friend, watch)
            crash(server)
            assert database_of(server).with_name("postern.db-wal").stat().st_size > 0
            files = read_folder(folder)
            assert server.stop() == 0
        yield Run(watch, files, read_folder(folder))


def add_keys(server: Server, watch: Watch) -> None:
    """The keys, and a backup of what they seal."""
    db = open_database(f"sqlite:///{database_of(server)}")
    watch.canaries["MASTER_KEY"] = bytes.fromhex(MASTER_KEY)
    watch.canaries["the data key"] = open_vault(db, bytes.fromhex(MASTER_KEY))._data_key
    back_up(db, int(time.time()))
    db.close()


# --- the tests ---

CLIENTS = ("a public client", "a confidential client", "a friend")
TO_EACH_CLIENT = {
    ("state", "database"): "it waits in authorization_requests for the decision; it is the client's, and opens nothing here",
    ("state", "backup"): "as in the database",
    ("state", "Location of POST /connect"): "the client wants it back",
    ("state", "body of POST /connect"): "as in the Location",
    ("code", "Location of POST /connect"): "this is how a client gets it",
    ("code", "body of POST /connect"): "as in the Location",
    ("access_token", "body of POST /token"): "this is how a client gets it",
    ("refresh_token", "body of POST /token"): "this is how a client gets it",
}
ON_PURPOSE = {(f"{what} of {client}", place): why for (what, place), why in TO_EACH_CLIENT.items() for client in CLIENTS} | {
    ("rotated refresh token", "body of POST /token"): "this is how a client gets it",
    ("client secret", "body of POST /register"): "this is how a client gets it, once",
    ("cookie postern", "Set-Cookie of POST /setup"): "this is how a browser gets it",
    ("cookie postern-device", "Set-Cookie of POST /setup"): "this is how a browser gets it",
    ("set-up code", "log"): "who started the server reads it there; it is good for one account, the first",
    ("wrong set-up code", "body of POST /setup"): "who mistyped it can mend it; it is shown to whoever typed it",
    ("state of a refusal", "Location of GET /authorize"): "a client that was let in before is told, with its state",
    ("state of a refusal", "body of GET /authorize"): "as in the Location",
    ("argument that is said back", "body of POST /mcp"): "the tool says what it was told",
    ("client name", "database"): "no secret: what a client calls itself; it shows that the database was searched",
    ("client name", "backup"): "no secret; it shows that the backup was searched",
    ("client name", "body of POST /register"): "no secret: what was accepted is told",
    ("client name", "body of GET /connect"): "no secret: the person decides about it",
    ("client name", "body of GET /connections/new"): "no secret: who else will see the connection",
}


def test_no_secret_is_left_anywhere(run: Run):
    found = [hits(run.watch.canaries, places) for places in (run.files, run.late_files, run.watch.answers)]
    assert set().union(*found) == ON_PURPOSE.keys()


def test_every_secret_was_really_in_play(run: Run):
    seen = hits(run.watch.canaries, {"sent": b"\n".join(run.watch.sent), **run.watch.answers})
    keys = {"MASTER_KEY", "the data key"}  # the one was in the server's environment, the other seals what it keeps
    assert {name for name, _ in seen} == run.watch.canaries.keys() - keys
    assert len(run.watch.canaries) > 60


def test_all_that_a_server_leaves_was_searched_and_there_was_no_core_among_it(run: Run):
    assert set(run.files) == set(run.late_files) == {"log", "database", "backup"}
    assert b"SELECT" in run.files["log"]  # at LOG_LEVEL=debug
    assert b"SIGSEGV" in run.files["log"]
    assert b"RuntimeError" in run.files["log"]


def test_a_process_that_does_not_hide_its_memory_does_leave_a_core(tmp_path: Path):
    code = "import os, sys; secret = sys.argv[1].upper(); os.abort()"
    subprocess.run([*CORES, sys.executable, "-c", code, "canary-of-another-process"], cwd=tmp_path, check=False)
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    is_left_here = not pattern.startswith(("|", "/")) and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
    found = {name for name, _ in hits({"secret": b"CANARY-OF-ANOTHER-PROCESS"}, read_folder(tmp_path))}
    assert found == ({"secret"} if is_left_here else set())


def test_a_leak_would_be_found(run: Run):
    for name, value in run.watch.canaries.items():
        for form in (*forms_of(value), base64.b64encode(b"x" * 20 + value), base64.urlsafe_b64encode(value + b"x" * 20)):
            assert hits(run.watch.canaries, {"a leak": b"words " + form + b" words"}) == {(name, "a leak")}

"""The canary run (X-04): a secret of its own in every input, all that can go wrong, and then a search of all that is left."""

from __future__ import annotations

import base64
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import pytest
import requests
from canary_run import (
    Places,
    Watch,
    be_refused,
    break_it,
    connect_services,
    crash,
    database_of,
    look_after_an_account,
    set_up,
    sign_in_everybody,
    use_key,
    use_tools,
)
from server import MASTER_KEY, Server, running_server

from db import back_up, open_database
from store.keys import open_vault

pytestmark = pytest.mark.server

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
            look_after_an_account(person, watch)
            friend = sign_in_everybody(server, person, watch)
            be_refused(server, person, friend, watch)
            use_tools(server, friend, watch)
            use_key(server, watch)
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
    ("next cookie postern", "Set-Cookie of POST /account"): "this is how a browser gets it",
    ("next cookie postern-device", "Set-Cookie of POST /account"): "this is how a browser gets it",
    ("API key", "body of POST /keys/new"): "this is how its person gets it, once",
    ("secret of a client made by hand", "body of POST /clients/new"): "this is how its person gets it, once",
    ("registration access token", "body of POST /register"): "this is how a client gets it (RFC 7591 §3.2.1)",
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

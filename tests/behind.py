"""Servers that are not ours, as processes of their own, and a running Postern with a connection to one. Knows no page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grants import DAY, put_test_client
from server import MASTER_KEY, ROOT, Server, free_port

from config import load_settings
from db import Database, open_database
from fetch import Fetcher
from gateway import open_gateway
from store.connections import Draft, insert_connection
from store.grants import put_grant
from store.keys import open_vault
from store.looks import set_changes
from store.members import insert_member
from store.profiles import insert_profile, list_feature_sets
from store.sessions import insert_session
from store.tokens import Lifetimes, mint_tokens
from store.upstreams import insert_upstream
from store.users import insert_user
from upstream_oauth import UpstreamOAuth

SDK_SERVER = ROOT / "tests" / "sdk_server.py"
SEARCH_PATH = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
START_SECONDS = 30


@contextmanager
def running_sdk_server(folder: Path, kind: str, revision: str = "") -> Iterator[int]:
    """sdk_server.py, by `http` or `sse`; answers its port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(SDK_SERVER), kind, str(port), *filter(None, [revision])]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": SEARCH_PATH, "HOME": str(folder)}
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it does not listen"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def draft_for(kind: str, port: int = 0, revision: str = "", **settings: Any) -> Draft:
    """A connection to sdk_server.py by `http`, `sse` or `stdio`, as its form would make it."""
    if kind == "stdio":
        arguments = [str(SDK_SERVER), "stdio", *filter(None, [revision])]
        secrets = {"env:PYTHONPATH": SEARCH_PATH}
        own = {"command": sys.executable, "args": arguments, "cwd": "", "env_names": ["PYTHONPATH"], "seconds": 60, "inputs": {}}
        return Draft("stdio", "Behind", own | settings, secrets)
    path = "mcp" if kind == "http" else "sse"
    own = {"url": f"http://127.0.0.1:{port}/{path}", "auth": "none", "seconds": 60, "inputs": {}}
    return Draft(f"remote_{kind}", "Behind", own | settings)


def connect(server: Server, draft: Draft, *, slug: str = "behind") -> str:
    """Make that connection in a running Postern, alone in a profile, and look at its server; answers a token for that profile.

    What changes there is shown at once: the suites look for it.
    """
    db = open_database(f"sqlite:///{server.folder}/data/postern.db")
    now, vault = int(time.time()), open_vault(db, bytes.fromhex(MASTER_KEY))
    with db.write() as run:
        user = insert_user(run, f"user-{slug}", "no password", now)
        profile_id = insert_profile(run, user.id, slug, slug, is_default=True, now=now)
        connection_id = insert_connection(run, vault, user.id, draft, now)
        insert_upstream(run, connection_id, "typed", None)
        insert_member(run, profile_id, connection_id, "behind")
    put_test_client(db, f"client-{slug}", now)
    set_changes(db, user.id, connection_id, "follow")
    look(server, db, connection_id)
    with db.write() as run:
        grant_id = put_grant(run, profile_id, f"client-{slug}", list_feature_sets(db, profile_id)[0].id, now)
        session_id = insert_session(run, grant_id, f"{server.url}/mcp/{slug}", "mcp", lifetime=DAY, now=now)
        token = mint_tokens(run, session_id, None, Lifetimes(DAY, DAY, DAY, 0), now).access_token
    db.close()
    return token


def look(server: Server, db: Database, connection_id: str) -> None:
    """Find out what a connection's server offers, as one of the server's processes would. Fails if it cannot be reached."""
    words = {"MASTER_KEY": MASTER_KEY, "PUBLIC_URL": server.url, "DATABASE_URL": f"sqlite:///{server.folder}/data/postern.db"}
    settings = load_settings(words | {"ALLOW_STDIO": "1", "ALLOW_STDIO_UNCONFINED": "1"}, dotenv=None)
    vault = open_vault(db, settings.master_key)
    fetch = Fetcher(frozenset(f"127.0.0.1:{port}" for port in range(1024, 65536)))
    gateway = open_gateway(db, vault, fetch, settings, UpstreamOAuth(db, vault, fetch, settings, {}))
    try:
        assert gateway.discovery.look_soon(connection_id, wait=30), "the server does not answer"
    finally:
        gateway.stop()
    failure = db.query("SELECT failure FROM upstreams WHERE connection_id = :id", id=connection_id)[0]["failure"]
    assert failure is None, failure

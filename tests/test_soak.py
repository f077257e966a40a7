"""Killed while people sign in, and races: some for every day, many for `make soak`, which keeps what it found in tests/soak/."""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Event

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from cases.token_endpoint import code_in, ended
from server import ROOT, Server, base_environ, free_port, running_server, start, wait_until_it_answers

pytestmark = pytest.mark.server

REPORTS = ROOT / "tests" / "soak"
KILLS, RACES = 50, 100  # for make soak
LOAD_SECONDS = 0.7  # between a start and the next kill
VISITORS = 4
RACERS = 8


def few_or(many: int) -> pytest.MarkDecorator:
    """Three rounds in every test run, many in `make soak`."""
    return pytest.mark.parametrize("rounds", [3, pytest.param(many, marks=pytest.mark.soak)])


def keep_report(name: str, facts: dict[str, object]) -> None:
    """Keep what a run has found."""
    about = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "cpus": os.cpu_count()}
    (REPORTS / f"{name}.json").write_text(json.dumps(facts | about, indent=2) + "\n")


# --- a server that is killed and started again on the same database and port ---


class Mortal:
    """A real gunicorn. `up` is set while it serves; `flag` says whether one of its transactions is open."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.up = folder, free_port(), Event()
        flag = folder / "flag"
        flag.write_bytes(b"\0")
        self.flag = mmap.mmap(os.open(flag, os.O_RDWR), 1)
        self.url = f"http://localhost:{self.port}"
        self.database = folder / "data" / "postern.db"
        self.environ = base_environ(folder) | {
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "OWNER_PASSWORD": PASSWORD,
            "TRUST_PROXY": "1",
            "CODE_TTL_SECONDS": "600",  # as long as the whole run, so that it is not age that stops a second redemption
            "SOAK_FLAG": str(flag),
        }

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.flag[0] = 0
        config = ROOT / "tests" / "gunicorn_soak.conf.py"
        command = ["setsid", sys.executable, "-m", "gunicorn", "-c", str(config)]
        self.process: subprocess.Popen[bytes] = start(self.folder, command, self.environ)
        wait_until_it_answers(Server(self.url, self.port, self.folder, self.process))
        self.up.set()

    def kill(self, in_transaction: bool) -> bool:
        """`kill -9`, all its processes at once; answers whether it died inside an open transaction."""
        self.up.clear()
        deadline = time.monotonic() + 5
        while in_transaction and not self.flag[0] and time.monotonic() < deadline:
            pass
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return bool(self.flag[0])

    def stop(self) -> None:
        """End it in good order."""
        self.process.terminate()
        assert self.process.wait(20) == 0


# --- people who sign in meanwhile ---


class Traveller(requests.Session):
    """Each request comes from another address, as a proxy tells it, so that limits by address do not slow the load."""

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:
        request.headers["X-Forwarded-For"] = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
        return super().send(request, **options)


@dataclass
class Ledger:
    """What was given out: each code with how often it bought tokens, and each token that reached its client."""

    codes: dict[str, tuple[Assistant, str, int]] = field(default_factory=dict)
    access: list[tuple[Assistant, str]] = field(default_factory=list)
    refresh: list[tuple[Assistant, str]] = field(default_factory=list)
    cut_off: Counter[str] = field(default_factory=Counter)


def visit(mortal: Mortal, assistant: Assistant, person: Person, ledger: Ledger, done: Event) -> None:
    """Sign in again and again, refresh and call, until `done`. No code and no refresh token is ever sent twice."""
    while not done.is_set():
        if not mortal.up.wait(1):
            continue
        step = "authorize"
        try:
            callback = person.decide(assistant.authorize_url())
            code, step = code_in(callback), "code"
            ledger.codes[code] = (assistant, assistant.verifier, 0)
            answer = assistant.exchange(callback)
            assert answer.status_code == 200, answer.text
            ledger.codes[code] = (assistant, assistant.verifier, 1)
            tokens, step = answer.json(), "refresh"
            ledger.access.append((assistant, tokens["access_token"]))
            answer = assistant.refresh(tokens["refresh_token"])
            assert answer.status_code == 200, answer.text
            tokens, step = answer.json(), "call"
            ledger.access.append((assistant, tokens["access_token"]))
            ledger.refresh.append((assistant, tokens["refresh_token"]))
            assert assistant.call("ping", token=tokens["access_token"]).status_code == 200
        except requests.RequestException:
            ledger.cut_off[step] += 1


def check_integrity(path: Path) -> str:
    """What SQLite says of the file, which it repairs from the write-ahead log first."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return connection.execute("PRAGMA integrity_check").fetchone()[0]


def redemptions(code: str, assistant: Assistant, verifier: str) -> int:
    """How often a code buys tokens if it is tried twice more."""
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    answers = [assistant.post_token(**form) for _ in range(2)]
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} <= {"invalid_grant"}
    return sum(answer.status_code == 200 for answer in answers)


def kill_again_and_again(mortal: Mortal, ledger: Ledger, rounds: int) -> Counter[str]:
    """The load and the kills, most of them as soon as a transaction is open; answers what was counted."""
    counted: Counter[str] = Counter()
    done = Event()
    aims = [True] * (rounds - rounds // 12) + [False] * (rounds // 12)
    random.shuffle(aims)
    mortal.start()
    people = [Person(mortal.url, session=Traveller()) for _ in range(VISITORS)]
    for person in people:
        person.sign_in()
    with ThreadPoolExecutor(VISITORS) as pool:
        clients = [Assistant(mortal.url, session=Traveller()) for _ in people]
        visits = [pool.submit(visit, mortal, *pair, ledger, done) for pair in zip(clients, people, strict=True)]
        try:
            for aim in aims:
                time.sleep(LOAD_SECONDS + random.random() / 10)
                counted["killed"] += 1
                counted["inside an open transaction"] += mortal.kill(aim)
                counted["integrity ok"] += check_integrity(mortal.database) == "ok"
                mortal.start()
        finally:
            done.set()
        for each in visits:
            each.result(60)
    return counted


@few_or(KILLS)
def test_kills_under_load_lose_nothing_that_was_answered(tmp_path: Path, rounds: int):
    began, mortal, ledger = time.monotonic(), Mortal(tmp_path), Ledger()
    counted = kill_again_and_again(mortal, ledger, rounds)
    working = sum(assistant.call("ping", token=token).status_code == 200 for assistant, token in ledger.access)
    traded = sum(assistant.refresh(token).status_code == 200 for assistant, token in ledger.refresh)
    bought = Counter(times + redemptions(code, *known) for code, (*known, times) in ledger.codes.items())
    assert check_integrity(mortal.database) == "ok"
    mortal.stop()
    if rounds == KILLS:
        facts = {
            "kill -9": counted["killed"],
            "of these inside an open transaction": counted["inside an open transaction"],
            "integrity_check ok after a kill": counted["integrity ok"],
            "flows cut off by a kill, by step": dict(sorted(ledger.cut_off.items())),
            "access tokens answered": len(ledger.access),
            "of these still good in the end": working,
            "latest refresh tokens answered": len(ledger.refresh),
            "of these good for one more refresh in the end": traded,
            "codes, by how often they bought tokens though tried two more times": {str(n): bought[n] for n in sorted(bought)},
            "seconds": round(time.monotonic() - began),
        }
        keep_report("kills", facts)
    assert counted["inside an open transaction"] >= rounds * 4 // 5
    assert counted["integrity ok"] == rounds
    assert working == len(ledger.access) > rounds
    assert traded == len(ledger.refresh) > rounds
    assert set(bought) <= {0, 1}
    assert bought[1] > rounds


# --- races ---


def race(send: Callable[[], requests.Response]) -> Counter[int]:
    """The statuses of one request that some send in the same moment; every refusal is invalid_grant."""
    barrier = Barrier(RACERS)

    def one(_number: int) -> requests.Response:
        barrier.wait(20)
        return send()

    with ThreadPoolExecutor(RACERS) as crowd:
        answers = list(crowd.map(one, range(RACERS)))
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} <= {"invalid_grant"}
    return Counter(answer.status_code for answer in answers)


@few_or(RACES)
def test_of_many_at_once_one_gets_the_code_and_up_to_five_refresh(tmp_path: Path, rounds: int):
    began = time.monotonic()
    codes: Counter[int] = Counter()
    refreshes: Counter[int] = Counter()
    with running_server(tmp_path, OWNER_PASSWORD=PASSWORD, WORKERS="2", TRUST_PROXY="1") as server:
        database, person = tmp_path / "data" / "postern.db", Person(server.url, session=Traveller())
        assistant, raced_for_code = (Assistant(server.url, session=Traveller()) for _ in range(2))
        person.sign_in()
        for _ in range(rounds):
            callback = person.decide(raced_for_code.authorize_url())
            codes[race(lambda callback=callback: without_session(raced_for_code).exchange(callback))[200]] += 1
            token = assistant.sign_in(person)["refresh_token"]
            refreshes[race(lambda token=token: without_session(assistant).refresh(token))[200]] += 1
        replayed = ended(database, raced_for_code.client_id)
        kept = ended(database, assistant.client_id)
    facts = {
        "races for a code": sum(codes.values()),
        "by how many of the racers won": {str(n): codes[n] for n in sorted(codes)},
        "of these sessions ended as replayed": replayed.count("code_replayed"),
        "races for a refresh token": sum(refreshes.values()),
        "by how many of the racers won a pair": {str(n): refreshes[n] for n in sorted(refreshes)},
        "of these sessions ended": len(kept) - kept.count(None),
        "racers": RACERS,
        "seconds": round(time.monotonic() - began),
    }
    if rounds == RACES:
        keep_report("races", facts)
    assert codes == {1: rounds}
    assert replayed == ["code_replayed"] * rounds
    assert set(refreshes) <= {1, 2, 3, 4, 5}
    assert kept == [None] * rounds


def without_session(assistant: Assistant) -> Assistant:
    """The same client from another machine: `requests.Session` is not for threads."""
    twin = object.__new__(Assistant)
    vars(twin).update(vars(assistant))
    twin.session = Traveller()
    twin.session.trust_env = False
    return twin

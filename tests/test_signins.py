"""signins.py and store/signins.py: each step of each attempt is seen, in its place, without values."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from conftest import MASTER_KEY, NOW
from house import Clock, House
from web_of_clients import DOCUMENT_URL, Web, chatgpt_document

import cli
from app import list_tasks
from config import load_settings
from crypto import s256
from db import BUSY_SECONDS
from signins import name_agent
from store.signins import (
    ATTEMPTS_MAX,
    KEEP_SECONDS,
    LOOKING_MAX,
    STEPS_MAX,
    WINDOW_SECONDS,
    Attempt,
    Clue,
    list_attempts,
    note_step,
)

METADATA = "/.well-known/oauth-authorization-server"
RESOURCE = "/.well-known/oauth-protected-resource/mcp"
REDIRECT = "https://chat.example/connector_platform_oauth_redirect"
VERIFIER = "verifier-" * 6
LOOKING = ["resource_metadata", "server_metadata"]
TO_THE_END = ["authorize", "login", "consent_shown", "consent", "token", "call"]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"


class Ticking(Clock):
    """A clock on which each look takes a moment."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def house(tmp_path: Path, web: Web) -> Iterator[House]:
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ, None), Ticking(NOW), fetch=web)
    yield built
    built.close()


def person(house: House) -> Person:
    """The owner, in a browser in which nobody has signed in yet."""
    session = house.session()
    session.headers["User-Agent"] = BROWSER
    return Person(house.url, session=session)


def discover(house: House, session: requests.Session | None = None) -> requests.Session:
    """What an assistant reads before anything else; answers its session."""
    session = session or house.session()
    session.get(house.url + RESOURCE)
    session.get(house.url + METADATA)
    return session


def arrive(house: House) -> Assistant:
    """An assistant that has looked around and registered."""
    return Assistant(house.url, session=discover(house))


def attempts(house: House) -> list[Attempt]:
    return list_attempts(house.db, last=100)


def words(attempt: Attempt) -> list[str]:
    """Its steps, with the errors of the refused ones."""
    return [f"{step.step} {step.error}" if step.error else step.step for step in attempt.steps]


def only(house: House) -> list[str]:
    """The steps of the only attempt there is."""
    (attempt,) = attempts(house)
    return words(attempt)


# --- whole journeys ---


def test_an_assistant_that_registers_is_one_attempt_from_the_first_look_to_the_first_call(house: House):
    assistant = arrive(house)
    assistant.sign_in(person(house))
    for _ in range(3):
        assert assistant.call("ping").status_code == 200
        house.clock.forward(90)
    assert only(house) == [*LOOKING, "register", *TO_THE_END]
    (attempt,) = attempts(house)
    assert (attempt.client_id, attempt.client_name, attempt.user_name) == (assistant.client_id, "Assistant", "owner")
    assert (attempt.resource, attempt.user_agent) == (house.url + "/mcp", "python-requests")
    assert house.db.query("SELECT id FROM sessions")[0]["id"] == attempt.session_id
    assert [step.at for step in attempt.steps] == sorted({step.at for step in attempt.steps})


def described_url(house: House, **changes: str) -> str:
    """Where an assistant that describes itself sends its person."""
    asked = {
        "response_type": "code",
        "client_id": DOCUMENT_URL,
        "redirect_uri": REDIRECT,
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
    }
    return f"{house.url}/authorize?{urlencode(asked | changes)}"


def post_token(house: House, session: requests.Session, callback: str) -> requests.Response:
    """A request to /token as a public client that describes itself."""
    code = parse_qs(urlsplit(callback).query)["code"][0]
    form = {"grant_type": "authorization_code", "client_id": DOCUMENT_URL, "code": code, "code_verifier": VERIFIER}
    return session.post(house.url + "/token", data=form)


def test_an_assistant_that_describes_itself_is_one_attempt_once_it_shows_up_again(house: House, web: Web):
    web.publish(DOCUMENT_URL, chatgpt_document())
    session = discover(house)
    callback = person(house).decide(described_url(house))
    by_browser = ["document", "authorize", "login", "consent_shown", "consent"]
    assert [words(attempt) for attempt in attempts(house)] == [LOOKING, by_browser]
    tokens = post_token(house, session, callback).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json, text/event-stream"}
    session.post(house.url + "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers)
    assert only(house) == [*LOOKING, *by_browser, "token", "call"]
    (attempt,) = attempts(house)
    assert (attempt.client_id, attempt.client_name, attempt.user_agent) == (DOCUMENT_URL, "ChatGPT", "python-requests")
    assert attempt.started_at == attempt.steps[0].at


def test_a_refresh_that_goes_well_is_no_step(house: House):
    assistant = arrive(house)
    assistant.sign_in(person(house))
    before = only(house)
    assert assistant.refresh().status_code == 200
    assert only(house) == before


# --- what went wrong ---


def test_a_wrong_verifier_is_seen_and_the_right_one_after_it(house: House):
    assistant = arrive(house)
    callback = person(house).decide(assistant.authorize_url())
    assistant.exchange(callback, code_verifier="x" * 43)
    assert only(house)[-2:] == ["consent", "token invalid_grant"]
    assistant.exchange(callback)
    assert only(house)[-2:] == ["token invalid_grant", "token"]


def test_a_denied_consent_is_seen(house: House):
    person(house).decide(arrive(house).authorize_url(), "deny")
    assert only(house)[-2:] == ["consent_shown", "consent access_denied"]


def test_a_wrong_password_is_seen(house: House):
    alice = person(house)
    page = alice.get(arrive(house).authorize_url())
    page = alice.submit(page, username="owner", password="a wrong long password")
    assert page.status_code == 401
    assert only(house)[-2:] == ["authorize", "login wrong_password"]
    alice.submit(page, username="owner", password=PASSWORD)
    assert only(house)[-2:] == ["login", "consent_shown"]


def test_signing_in_to_look_at_the_pages_is_no_attempt(house: House):
    person(house).sign_in()
    assert attempts(house) == []


def test_another_browsers_request_is_not_taken_for_ones_own(house: House):
    alice, mallory = person(house), person(house)
    page = alice.get(arrive(house).authorize_url())
    assert page.url.startswith(house.url + "/login?next=%2Fconnect")
    before = only(house)
    mallory.submit(mallory.get(page.url), username="owner", password="a wrong long password")
    assert only(house) == before


def test_an_address_that_is_none_of_the_persons_is_seen(house: House):
    alice = person(house)
    alice.sign_in()
    assert alice.get(arrive(house).authorize_url(resource=house.url + "/mcp/no-such-profile")).status_code == 404
    assert only(house)[-2:] == ["authorize", "consent_shown not_found"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"client_id": "client_of_nobody"}, "invalid_request"),
    ],
)
def test_a_refused_authorize_is_seen(house: House, change: dict, code: str):
    assistant = arrive(house)
    assistant.session.get(assistant.authorize_url(**change))
    assert words(attempts(house)[-1])[-1] == f"authorize {code}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"redirect_uris": ["http://evil.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [REDIRECT], "grant_types": ["implicit"]}, "invalid_client_metadata"),
    ],
)
def test_a_refused_registration_is_seen(house: House, body: dict, code: str):
    discover(house).post(house.url + "/register", json=body)
    assert only(house) == [*LOOKING, f"register {code}"]


def test_a_description_that_cannot_be_used_is_seen(house: House, web: Web):
    session = discover(house)
    session.get(described_url(house))
    web.publish(DOCUMENT_URL, chatgpt_document(client_name=None))
    session.get(described_url(house))
    refused = "authorize invalid_request"
    assert only(house) == [*LOOKING, "document fetch_failed", refused, "document invalid_client_metadata", refused]


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ({"grant_type": "password"}, "token unsupported_grant_type"),
        ({"client_secret": "x"}, "token invalid_client"),
        ({"grant_type": "authorization_code", "code": "x"}, "token invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "refresh invalid_grant"),
    ],
)
def test_a_refused_request_for_tokens_is_seen(house: House, form: dict, step: str):
    arrive(house).post_token(**form)
    assert only(house) == [*LOOKING, "register", step]


def test_a_client_that_is_gone_is_seen_as_a_stranger(house: House):
    assistant = Assistant(house.url, session=house.session())
    house.clock.forward(WINDOW_SECONDS + 1)
    assistant.post_token(client_id="client_of_nobody", grant_type="refresh_token", refresh_token="x")
    assert (words(attempts(house)[-1]), attempts(house)[-1].client_id) == (["token invalid_client"], None)


def test_a_refresh_token_that_is_refused_after_months_says_whose_it_was(house: House):
    assistant = arrive(house)
    assistant.sign_in(person(house))
    house.clock.forward(91 * 86400)
    run_purge(house)
    assert attempts(house) == []
    assert assistant.refresh().json()["error"] == "invalid_grant"
    (attempt,) = attempts(house)
    assert (words(attempt), attempt.client_id) == (["refresh invalid_grant"], assistant.client_id)


def test_a_call_at_another_address_is_seen_until_the_client_has_got_in(house: House):
    assistant = arrive(house)
    assistant.sign_in(person(house))
    for _ in range(3):
        assert assistant.call("ping", path="/mcp/home").status_code == 401
    (attempt,) = attempts(house)
    assert words(attempt)[-2:] == ["token", "call invalid_token"]
    assert attempt.steps[-1].detail == "another_address"
    assistant.call("ping")
    house.clock.forward(90)
    assistant.call("ping", path="/mcp/home")
    assert only(house)[-2:] == ["call invalid_token", "call"]


# --- what belongs together ---


def test_two_assistants_at_one_address_stay_apart_from_authorize_on(house: House):
    one, two = (Assistant(house.url, session=discover(house)) for _ in range(2))
    alice, again = person(house), person(house)
    callbacks = [browser.decide(assistant.authorize_url()) for assistant, browser in ((one, alice), (two, again))]
    for assistant, callback in zip((two, one), reversed(callbacks), strict=True):
        assistant.tokens = assistant.exchange(callback).json()
        assistant.call("ping")
    whole = [*LOOKING, "register", *TO_THE_END]
    assert [words(attempt) for attempt in attempts(house)] == [whole, whole]
    assert {attempt.client_id for attempt in attempts(house)} == {one.client_id, two.client_id}


def test_two_people_with_one_and_the_same_client_stay_apart(house: House, web: Web):
    web.publish(DOCUMENT_URL, chatgpt_document())
    browsers = [person(house), person(house)]
    logins = [browser.get(described_url(house)) for browser in browsers]
    for browser, login in zip(browsers, logins, strict=True):
        consent = browser.submit(login, username="owner", password=PASSWORD)
        callback = browser.submit(consent, button=("decision", "approve")).headers["Location"]
        assert post_token(house, house.session(), callback).status_code == 200
    first, second = (words(attempt) for attempt in attempts(house))
    assert first == ["document", "authorize", "login", "consent_shown", "consent", "token"]
    assert second == first[1:]


def test_each_visit_to_authorize_is_an_attempt_of_its_own(house: House):
    assistant, alice = arrive(house), person(house)
    for _ in range(3):
        alice.get(assistant.authorize_url())
    assert [words(attempt) for attempt in attempts(house)] == [[*LOOKING, "register", "authorize"], ["authorize"], ["authorize"]]


def test_an_old_look_around_is_no_part_of_todays_sign_in(house: House):
    discover(house)
    house.clock.forward(WINDOW_SECONDS + 1)
    Assistant(house.url, session=house.session())
    assert [words(attempt) for attempt in attempts(house)] == [LOOKING, ["register"]]


# --- no values ---


def contents(house: House) -> str:
    """All that the two tables hold."""
    with closing(sqlite3.connect(f"file:{house.db.path}?mode=ro", uri=True)) as database:
        rows = [database.execute(f"SELECT * FROM {table}").fetchall() for table in ("sign_in_attempts", "sign_in_steps")]
    return repr(rows)


def test_no_value_is_kept(house: House, web: Web):
    canary = "canary7c1f4d"
    session = house.session()
    session.headers["User-Agent"] = f"node/20.1 {canary}"
    discover(house, session)
    session.get(f"{house.url}{RESOURCE}/{canary}?q={canary}")
    assistant = Assistant(house.url, f"https://{canary}.example/", session, client_name=canary, client_uri=f"https://{canary}.example/")
    alice = person(house)
    alice.session.get(described_url(house, client_id=f"https://{canary}.example/client.json"))
    alice.session.get(assistant.authorize_url(client_id=canary, state=canary))
    for resource in (f"https://x.example/{canary}", f"{house.url}/mcp/{canary}"):
        alice.session.get(assistant.authorize_url(resource=resource, scope=canary))
    page = alice.get(assistant.authorize_url(state=canary, scope=f"mcp {canary}"))
    page = alice.submit(page, username=canary, password=canary)
    page = alice.submit(page, username="owner", password=PASSWORD)
    callback = alice.submit(page, button=("decision", "approve")).headers["Location"]
    assistant.exchange(callback, code_verifier=canary * 4, redirect_uri=canary)
    assistant.post_token(client_id=canary, client_secret=canary)
    assistant.tokens = assistant.exchange(callback).json()
    assistant.refresh(canary)
    assistant.call("ping", path=f"/mcp/{canary}")
    assistant.call(canary)
    secrets = [canary, parse_qs(urlsplit(callback).query)["code"][0], *assistant.tokens.values(), assistant.verifier, "127.0.0.1"]
    for secret in [text for text in map(str, secrets) if text not in ("Bearer", "mcp", "3600")]:
        assert secret not in contents(house)
    kinds = {step.step for attempt in attempts(house) for step in attempt.steps}
    assert kinds == {*LOOKING, "register", "document", "refresh", *TO_THE_END}


def test_the_search_for_values_would_find_one(house: House):
    discover(house)
    with house.db.write() as run:
        run("UPDATE sign_in_attempts SET user_agent = 'canary7c1f4d'")
    assert "canary7c1f4d" in contents(house)
    assert "server_metadata" in contents(house)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (BROWSER, "Chrome"),
        (BROWSER + " Edg/141.0", "Edg"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "Safari"),
        ("Mozilla/5.0 (X11; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox"),
        ("Mozilla/5.0 mcp_at_0123456789", ""),
        ("python-httpx/0.28.1", "python-httpx"),
        ("Claude-User (claude-code/2.1)", "Claude-User"),
        ("node", "node"),
        ("mcp_at_0123456789abcdefghijklmnop", ""),
        ("a" * 31, ""),
        ("", ""),
    ],
)
def test_a_program_is_known_by_its_family(header: str, name: str):
    assert name_agent(header) == name


# --- caps ---


def test_an_address_can_have_only_so_many_steps_written_down_in_a_minute(house: House):
    house.clock.now = NOW // 60 * 60
    for number in range(4):
        session = house.session()
        session.headers["User-Agent"] = "agent" + "abcd"[number]
        for _ in range(LOOKING_MAX):
            session.get(house.url + METADATA)
    assert [len(attempt.steps) for attempt in attempts(house)] == [20, 20, 20]
    house.clock.forward(60)
    discover(house, session)
    assert [len(attempt.steps) for attempt in attempts(house)] == [20, 20, 20, 2]


def test_all_strangers_together_have_a_cap(house: House):
    limits = house.gate.pages.extensions["postern"].limits
    house.clock.now = NOW // 60 * 60
    assert sum(limits.may_note(f"192.0.2.{number % 100}") for number in range(1000)) == 600


def test_an_attempt_has_only_so_many_steps_and_more_once_its_client_is_known(house: House):
    clue = Clue("address", "agent")
    for number in range(LOOKING_MAX + 5):
        note_step(house.db, "server_metadata", clue, now=NOW + number)
    assert [len(attempt.steps) for attempt in attempts(house)] == [LOOKING_MAX]
    for number in range(STEPS_MAX):
        note_step(house.db, "token", replace(clue, client_id="client_1"), error="invalid_grant", now=NOW + 30 + number)
    assert [len(attempt.steps) for attempt in attempts(house)] == [STEPS_MAX]


def test_when_there_are_too_many_attempts_those_of_strangers_go_first(house: House):
    note_step(house.db, "consent", Clue("address", "agent", "client_1", "user_1"), now=NOW)
    with house.db.write() as run:
        for number in range(ATTEMPTS_MAX):
            run(
                """
                INSERT INTO sign_in_attempts (id, address_hash, user_agent, started_at, last_at)
                VALUES (:id, 'other', 'agent', :at, :at)
                """,
                id=str(number),
                at=NOW + number,
            )
    note_step(house.db, "server_metadata", Clue("third", "agent"), now=NOW + ATTEMPTS_MAX)
    ids = {row["id"] for row in house.db.query("SELECT id FROM sign_in_attempts")}
    assert len(ids) == ATTEMPTS_MAX
    assert {"0", "1"} & ids == set()
    assert str(ATTEMPTS_MAX - 1) in ids
    assert house.db.query("SELECT id FROM sign_in_attempts WHERE user_id = 'user_1'")


# --- time and trouble ---


def run_purge(house: House) -> None:
    """Do the periodic task, as the app has it."""
    (task,) = [task for task in list_tasks(house.gate.pages.extensions["postern"]) if task.name == "purge the sign-in log"]
    task.run(int(house.clock.now))


def test_an_attempt_is_kept_for_two_weeks(house: House):
    discover(house)
    house.clock.forward(KEEP_SECONDS - 60)
    run_purge(house)
    assert only(house) == LOOKING
    house.clock.forward(61)
    run_purge(house)
    assert attempts(house) == []
    assert house.db.query("SELECT count(*) AS number FROM sign_in_steps")[0]["number"] == 0


@pytest.fixture
def broken(house: House) -> Callable[[], None]:
    """Takes the log away."""

    def take() -> None:
        with house.db.write() as run:
            run("DROP TABLE sign_in_steps")
            run("DROP TABLE sign_in_attempts")

    return take


def test_without_its_log_a_sign_in_goes_on(house: House, web: Web, broken: Callable[[], None]):
    web.publish(DOCUMENT_URL, chatgpt_document())
    broken()
    assistant = arrive(house)
    alice = person(house)
    assistant.sign_in(alice)
    assert assistant.call("ping").status_code == 200
    assert assistant.refresh().status_code == 200
    assert "access_denied" in alice.decide(described_url(house), "deny")


def test_a_busy_database_holds_no_document_up(house: House):
    with closing(sqlite3.connect(house.db.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        answer = house.session().get(house.url + METADATA)
        assert time.monotonic() - begun < BUSY_SECONDS / 2
        other.execute("ROLLBACK")
    assert answer.json()["issuer"] == house.url
    assert attempts(house) == []


def test_the_words_of_steps_are_a_fixed_list(house: House):
    with pytest.raises(sqlite3.IntegrityError):
        note_step(house.db, "breakfast", Clue("address", "agent"), now=NOW)
    assert attempts(house) == []


# --- the command line ---


@pytest.fixture
def signins(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """What `cli.py signins` prints."""
    monkeypatch.setenv("MASTER_KEY", MASTER_KEY)
    monkeypatch.setenv("DATABASE_URL", house.settings.database_url)

    def run(*arguments: str) -> str:
        assert cli.main(["signins", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_it_is_printed_attempt_by_attempt(house: House, signins: Callable[..., str]):
    assistant = Assistant(house.url, session=discover(house), client_name="Bad\x1b[31m\nName")
    house.clock.forward(5)
    callback = person(house).decide(assistant.authorize_url())
    assistant.exchange(callback, code_verifier="x" * 43)
    Assistant(house.url, session=house.session())
    first, second = signins().strip().split("\n\n")
    head, *steps, end = first.splitlines()
    assert head.split("  ") == [
        "2026-09-21 14:13:20 UTC",
        f"Bad[31mName [{assistant.client_id}]",
        "user owner",
        house.url + "/mcp",
        "python-requests",
    ]
    assert [line.split()[2] for line in steps] == [*LOOKING, "register", *TO_THE_END[:-1]]
    assert re.fullmatch(r" +\+5\.[0-9] s  authorize +ok", steps[3])
    assert re.fullmatch(r" +\+0\.[0-9] s  token +refused: invalid_grant", steps[-1])
    assert end == "  Came last: token, refused (invalid_grant)."
    assert "nobody signed in" in second
    assert second.endswith("Came last: register. What did not come: authorize.")


def test_it_says_that_an_assistant_is_in_and_what_is_odd(house: House, signins: Callable[..., str]):
    assistant, alice = arrive(house), person(house)
    alice.get(assistant.authorize_url())
    assistant.sign_in(alice)
    assistant.call("ping")
    out = signins()
    assert "authorize          ok (challenge_repeated)" in out
    assert out.strip().endswith("Came last: call. It is in.")


def test_it_is_printed_for_one_client_or_for_the_last_attempts(house: House, signins: Callable[..., str]):
    one, two = (Assistant(house.url, session=house.session()) for _ in range(2))
    assert one.client_id in signins("--client", one.client_id)
    assert two.client_id not in signins("--client", one.client_id)
    assert one.client_id not in signins("--last", "1")
    assert two.client_id in signins("--last", "1")
    assert signins("--client", "client_of_nobody") == "No attempt has been seen in the last two weeks.\n"


def test_it_is_printed_as_json(house: House, signins: Callable[..., str]):
    assistant = arrive(house)
    (attempt,) = json.loads(signins("--json"))
    assert (attempt["client_id"], attempt["user_name"]) == (assistant.client_id, None)
    assert [step["step"] for step in attempt["steps"]] == [*LOOKING, "register"]
    assert set(attempt["steps"][0]) == {"at", "step", "error", "detail"}

"""Cookies, signing in and out, secrets in forms, and the first user (RFC 6265bis)."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from house import House
from server import MASTER_KEY, Server

import store.users
from accounts import add_account
from cases.browsers import copy_of, signed_in, token_of
from cases.catalogue import case
from cases.evidence import changes, snapshot, unchanged
from cases.token_endpoint import change_password
from config import load_settings
from errors import ConfigError

pytestmark = pytest.mark.server

# --- cookies ---


def cookies_of(answer: requests.Response) -> dict[str, set[str]]:
    """The flags of each cookie that an answer sets, in lower case."""
    lines = answer.raw._original_response.msg.get_all("Set-Cookie") or []
    parts = [[part.strip() for part in line.split(";")] for line in lines]
    return {first.partition("=")[0]: {flag.lower() for flag in flags if "=" not in flag or "max-age" not in flag.lower()}
            for first, *flags in parts}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "prefix", "secure"),
    [
        case("W-04", "https", "https://postern.example", "__Host-", True),
        case("W-04", "https on this machine", "https://localhost:8443", "__Host-", True),
        case("W-05", "http on this machine", "http://localhost:8000", "", False),
        case("W-05", "http on 127.0.0.1", "http://127.0.0.1:8000", "", False),
    ],
)
def test_cookies_are_for_this_server_alone(build_house: Callable[..., House], url: str, prefix: str, secure: bool):
    house = build_house(PUBLIC_URL=url, OWNER_PASSWORD=PASSWORD)
    answer = signed_in(Person(house.url, session=house.session()))
    assert answer.status_code == 303
    expected = {"httponly", "path=/", "samesite=lax"} | ({"secure"} if secure else set())
    flags = {name: {flag for flag in found if not flag.startswith("expires")} for name, found in cookies_of(answer).items()}
    assert flags == {prefix + "postern": expected, prefix + "postern-device": expected}


@pytest.mark.parametrize("url", [case("W-05", url, url) for url in ("http://public.example", "http://192.168.1.5:8000")])
def test_plain_http_is_for_this_machine_only(url: str):
    with pytest.raises(ConfigError, match="PUBLIC_URL: must begin with https"):
        load_settings({"MASTER_KEY": MASTER_KEY, "PUBLIC_URL": url}, dotenv=None)


def test_w04_signing_in_changes_the_cookie(house: House):
    person = Person(house.url, session=house.session())
    person.get("/login")
    before = copy_of(person)
    assert signed_in(person).status_code == 303
    assert person.get("/admin").status_code == 200
    answer = before.get(house.url + "/admin", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")


@pytest.mark.parametrize(
    "words", [case("W-14", word, word) for word in ("another key", "tampered", "shorter", "SQL", "beyond ASCII", "empty")]
)
def test_a_cookie_that_is_not_ours_signs_nobody_in(build_house: Callable[..., House], house: House, owner: Person, words: str):
    other = build_house(OWNER_PASSWORD=PASSWORD, MASTER_KEY=MASTER_KEY)
    stranger = Person(other.url, session=other.session())
    signed_in(stranger)
    own = owner.session.cookies["postern"]
    cookie = {
        "another key": stranger.session.cookies["postern"],
        "tampered": own[:-1] + ("A" if own[-1] != "A" else "B"),
        "shorter": own[:-1],
        "SQL": "' OR 1=1 --",
        "beyond ASCII": "\xfc" * 43,
        "empty": "",
    }[words]
    with unchanged(house.db.path):
        headers = {"Cookie": f"postern={cookie}; postern-device={stranger.session.cookies['postern-device']}"}
        answer = house.session().get(house.url + "/admin", headers=headers, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")


def test_w14_a_cookie_of_100_kb_is_refused_and_the_server_lives(server: Server, database: Path):
    with unchanged(database):
        answer = requests.get(server.url + "/admin", headers={"Cookie": "postern=" + "x" * 100_000}, timeout=10)
    assert answer.status_code in (400, 431)
    assert server.answers()


# --- who is there, and who is not ---


def test_w11_an_unknown_name_looks_like_a_wrong_password(house: House, monkeypatch: pytest.MonkeyPatch):
    checked = []
    verify = store.users.verify_password
    monkeypatch.setattr(store.users, "verify_password", lambda *given: checked.append(given) or verify(*given))
    answers = []
    for name in ("owner", "nobody"):
        person = Person(house.url, name, "a wrong password", house.session())
        answer = person.sign_in()
        answers.append((answer.status_code, re.sub(r'value="[^"]*"', "", answer.text)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert len(checked) == 2  # the slow hash runs for an unknown name too


def test_w13_signing_out_ends_the_login(house: House, owner: Person):
    thief = copy_of(owner)
    before = snapshot(house.db.path)
    owner.session.post(house.url + "/logout", data={"csrf_token": token_of(owner)}, allow_redirects=False)
    assert set(changes(before, snapshot(house.db.path))) == {"logins"}
    answer = thief.get(house.url + "/admin", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")


@pytest.fixture
def elsewhere(house: House, owner: Person) -> Person:
    """Another browser in which the owner is signed in."""
    person = Person(house.url, session=house.session())
    person.sign_in()
    return person


def test_w13_a_new_password_ends_every_other_login_and_every_session(house: House, owner: Person, elsewhere: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    thief = copy_of(owner)
    assert "Your password is changed." in change_password(owner).text
    assert thief.get(house.url + "/admin", allow_redirects=False).status_code == 303
    assert "/login" in elsewhere.get("/admin").url
    assert assistant.call("ping").status_code == 401
    assert "None yet." in owner.get("/admin").text
    assert elsewhere.sign_in().status_code == 401
    elsewhere.password = "quite another one"
    assert elsewhere.sign_in().status_code == 200


@pytest.mark.parametrize(
    ("typed", "status", "reason"),
    [
        (("not the password", "quite another one", None), 403, "This is not your password."),
        ((PASSWORD, "quite another one", "quite another two"), 400, "The two passwords differ."),
        ((PASSWORD, "short", None), 400, "At least 10 characters, please."),
        ((PASSWORD, "aaaaaaaaaaaa", None), 400, "too easy to guess"),
    ],
)
def test_a_password_that_may_not_be_changed_stays_and_ends_nothing(
    house: House, owner: Person, elsewhere: Person, typed: tuple, status: int, reason: str
):
    before = snapshot(house.db.path)
    answer = change_password(owner, *typed)
    assert (answer.status_code, reason in answer.text) == (status, True)
    assert not {"users", "logins", "sessions"} & set(changes(before, snapshot(house.db.path)))
    assert elsewhere.get("/admin").url.endswith("/admin")


def test_old_passwords_are_not_guessed_faster_than_at_the_sign_in(house: House, owner: Person):
    start = house.clock()
    answers = [change_password(owner, "a wrong guess").status_code for _ in range(20)]
    assert answers == [403] * 20
    assert house.clock() - start >= 50  # ten at once, then one every six seconds


def test_w13_signing_out_everywhere_ends_all_logins_and_sessions(house: House, owner: Person, elsewhere: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    assert "/login" in owner.submit(owner.get("/account")).url
    assert "/login" in owner.get("/admin").url
    assert "/login" in elsewhere.get("/admin").url
    assert assistant.call("ping").status_code == 401
    assert assistant.refresh().json()["error"] == "invalid_grant"
    assert house.db.query("SELECT count(*) AS number FROM logins")[0]["number"] == 0


def test_w13_nobody_else_is_signed_out(house: House, owner: Person):
    vault = house.gate.pages.extensions["postern"].vault
    add_account(house.db, vault, "bob", PASSWORD, now=int(house.clock()))
    bob, assistant = Person(house.url, "bob", session=house.session()), Assistant(house.url, session=house.session())
    bob.sign_in()
    assistant.sign_in(bob)
    owner.submit(owner.get("/account"))
    assert bob.get("/admin").url.endswith("/admin")
    assert assistant.call("ping").status_code == 200


def test_w13_a_login_dies_when_nobody_comes_for_a_month(house: House, owner: Person):
    house.clock.forward(30 * 86400)
    assert "/login" in owner.get("/admin").url


def test_w18_a_secret_is_never_rendered(house: House, owner: Person):
    form = owner.get("/connections/new?connector=trouble")
    assert re.search(r'<input[^>]*name="token"[^>]*type="password"', form.text)
    assert 'autocomplete="off"' in form.text
    mistake = owner.submit(form, button=("action", "save"), connection_name="x" * 100, token="canary-token")
    assert (mistake.status_code, "canary-token" in mistake.text) == (400, False)
    saved = owner.submit(form, button=("action", "save"), connection_name="kept", token="canary-token")
    assert (saved.status_code, "canary-token" in saved.text + saved.url) == (200, False)
    (row,) = house.db.query("SELECT id FROM connections WHERE name = 'kept'")
    again = owner.get(f"/connections/{row['id']}")
    assert (again.status_code, "canary-token" in again.text) == (200, False)


def test_w18_a_password_is_never_rendered(house: House):
    person = Person(house.url, password="canary password", session=house.session())
    answer = person.sign_in()
    assert (answer.status_code, "canary" in answer.text + answer.url) == (401, False)
    assert re.search(r'<input[^>]*name="password"[^>]*type="password"', answer.text)


def test_w19_nobody_decides_what_another_browser_brought(server: Server, database: Path, alice: Person, bob: Person):
    consent = alice.get(Assistant(server.url).authorize_url())
    second = Person(server.url)
    second.sign_in()  # Alice herself, at another browser
    for person in (bob, second):
        with unchanged(database):
            assert person.session.get(consent.url, allow_redirects=False, timeout=10).status_code == 403
            data = {"csrf_token": token_of(person), "request": consent.url.split("request=")[1], "decision": "approve"}
            answer = person.session.post(server.url + "/connect", data=data, allow_redirects=False, timeout=10)
            assert (answer.status_code, "Location" in answer.headers) == (403, False)
    assert alice.submit(consent, button=("decision", "approve")).status_code == 303


def test_w19_who_is_not_signed_in_signs_in_first(server: Server, database: Path, alice: Person):
    consent = alice.get(Assistant(server.url).authorize_url())
    with unchanged(database):
        answer = requests.get(consent.url, allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=%2Fconnect")


# --- the first user ---


def code_of(house: House) -> str:
    """The one-time code that the log of a new server shows."""
    return next(line.split(": ")[1] for line in house.greeting if line.startswith("One-time code"))


@pytest.mark.parametrize("code", [case("W-20", code or "empty", code) for code in ("", "wrong", "' OR 1=1 --", "0" * 24)])
def test_a_stranger_cannot_set_up(build_house: Callable[..., House], code: str):
    house = build_house()
    with unchanged(house.db.path):
        answer = Person(house.url, "eve", session=house.session()).set_up(code)
    assert answer.status_code == 403


def test_w20_the_code_opens_set_up_once(build_house: Callable[..., House]):
    house = build_house()
    code = code_of(house)
    late = Person(house.url, "eve", session=house.session())
    page = late.get("/setup")
    assert Person(house.url, "alice", session=house.session()).set_up(code).status_code == 200
    with unchanged(house.db.path):
        assert late.submit(page, code=code, username="eve", password=PASSWORD, password_again=PASSWORD).status_code == 404
        assert late.get("/setup").status_code == 404


def test_w20_of_ten_who_race_with_the_right_code_one_wins(build_house: Callable[..., House]):
    house = build_house()
    code = code_of(house)
    racers = [Person(house.url, f"user{number}", session=house.session()) for number in range(10)]
    pages = [racer.get("/setup") for racer in racers]
    answers = {"code": code, "password": PASSWORD, "password_again": PASSWORD}
    with ThreadPoolExecutor(10) as crowd:
        pairs = zip(racers, pages, strict=True)
        race = [crowd.submit(racer.submit, page, username=racer.name, **answers) for racer, page in pairs]
        statuses = sorted(answer.result().status_code for answer in race)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {403, 404}
    assert len(house.db.query("SELECT id FROM users")) == 1

"""Pages as a werkzeug client sees them: headers, links, names, cookies. Who may do what: test_pages_access.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from conftest import MASTER_KEY, NOW
from household import CALLBACK, House, opened, send
from werkzeug.test import Client, TestResponse

import people
from config import Settings, load_settings
from errors import StorageError, TooManyRequests
from store.connections import list_connections
from store.profiles import insert_profile
from store.users import replace_setup_code

pytest_plugins = ["residents"]

EVIL = "https://evil.example"


@pytest.fixture
def empty_house(settings: Settings) -> Iterator[House]:
    with opened(settings) as house:
        yield house


def test_the_page_of_connections_offers_every_connector(house: House, alice: Client):
    offered = re.findall(r'<option value="([^"]+)">', alice.get("/admin").text)
    assert offered
    assert "personal_context" in offered


# --- headers ---

PAGES = {
    "/": 200,
    "/login": 303,
    "/admin": 200,
    "/account": 200,
    "/clients": 200,
    "/clients/new": 200,
    "/connections/new?connector=personal_context": 200,
    "/connections/{connection}": 200,
    "/keys/new": 200,
    "/keys/new?connector=personal_context": 200,
    "{consent}": 200,
    "/authorize": 400,
    "/connect?request=unknown": 403,
    "/setup": 404,
    "/no/such/page": 404,
    "/logout": 405,
}


def check_headers(answer: TestResponse) -> None:
    """What every page must say to the browser."""
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    form_action = policy.pop("form-action", "absent")
    assert policy == {
        "default-src": "'none'", "style-src": "'self'", "img-src": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'"
    }  # fmt: skip
    assert form_action in ("'self'", "absent")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(("path", "status"), PAGES.items())
def test_every_page_has_its_headers_and_nothing_from_elsewhere(house: House, alice: Client, path: str, status: int):
    answer = alice.get(path.format(connection=house.connection_id, consent=house.ask(alice)))
    assert answer.status_code == status
    check_headers(answer)
    assert not re.search(r"<script|<style|<iframe|\sstyle=|\son[a-z]+=|javascript:", answer.text)
    links = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
    assert all(link.startswith(("/", house.state.settings.public_url + "/")) for link in links)


@pytest.mark.parametrize(
    ("error", "status"), [(StorageError("disk full"), 503), (TooManyRequests(7), 429), (RuntimeError("a detail"), 500)]
)
def test_pages_of_failures_have_them_too_and_tell_no_detail(
    house: House, alice: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
):
    def fail(_db: object) -> int:
        raise error

    monkeypatch.setattr(people, "count_users", fail)
    answer = alice.get("/")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == {429: "7", 503: "5"}.get(status)
    assert not re.search("disk full|a detail|Traceback", answer.text)
    check_headers(answer)


def test_a_page_can_say_that_the_database_is_away(house: House, alice: Client):
    house.db.query("ALTER TABLE users RENAME TO lost")
    answer = alice.get("/admin")
    assert answer.status_code == 503
    assert "<h1>Busy</h1>" in answer.text
    check_headers(answer)


def test_too_much_data_is_413_and_another_host_421(house: House, alice: Client):
    large = alice.post("/login", data={"username": "x" * 300_000})
    foreign = alice.get("/", base_url="http://evil.example")
    assert (large.status_code, foreign.status_code) == (413, 421)
    assert "http://localhost:8000" in foreign.text
    check_headers(large)
    check_headers(foreign)


def test_only_where_a_form_may_lead_to_an_assistant_form_action_is_open(house: House, alice: Client):
    assert "form-action 'self'" in alice.get("/admin").headers["Content-Security-Policy"]
    assert "form-action" not in alice.get(house.ask(alice)).headers["Content-Security-Policy"]


# --- where pages lead ---


@pytest.mark.parametrize(
    "there", ["//evil.example", "/\\evil.example", EVIL, "javascript:alert(1)", "/\t/evil.example", "/a\r\nX: y", " /a", "a", ""]
)
def test_next_never_leaves_the_site(house: House, alice: Client, there: str):
    assert alice.get("/login", query_string={"next": there}).headers["Location"] == "/admin"
    saved = send(alice, f"/connections/{house.connection_id}", connection_name="Renamed", action="save", next=there)
    assert (saved.status_code, saved.headers["Location"]) == (303, "/admin")
    form = alice.get("/connections/new", query_string={"connector": "personal_context", "next": there})
    assert 'href="/admin">Cancel' in form.text


def test_next_leads_on_within_the_site(house: House, alice: Client):
    assert alice.get("/login?next=" + quote("/connect?request=a")).headers["Location"] == "/connect?request=a"


def test_who_is_not_signed_in_is_sent_to_the_sign_in_and_back(house: House):
    answer = house.browser().get("/connections/new?connector=personal_context")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=" + quote("/connections/new?connector=personal_context", safe="")


# --- what strangers call themselves ---


def test_a_clients_name_is_text_and_nothing_else(house: House, alice: Client):
    path = house.ask(alice, "<script>alert(1)</script>\u202e\u200b\x1b\u05d0" + "W" * 150)
    consent = alice.get(path).text
    send(alice, "/connect", request=path.split("=")[1], profile="home", feature_set="all", decision="approve")
    for text in (consent, alice.get("/admin").text, alice.get("/connections/new?connector=personal_context").text):
        assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\u05d0WWW" in text
        assert not re.search("<script|[\u202e\u200b\x1b]|W{80}", text)
    assert "nobody has checked that name" in consent


@pytest.mark.parametrize("name", [None, "", "\u202e\u200b"])
def test_a_client_without_a_name_has_none(house: House, alice: Client, name: str | None):
    consent = alice.get(house.ask(alice, name)).text
    assert "It gives no name." in consent
    assert "It calls itself" not in consent


@pytest.mark.parametrize(
    ("callback", "shown", "warned"),
    [
        (CALLBACK, "assistant.example", False),
        ("http://127.0.0.1:33418/", "127.0.0.1:33418", True),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "the app behind cursor://", True),
    ],
)
def test_consent_names_the_host_first_and_warns_of_programs_on_this_computer(
    house: House, alice: Client, callback: str, shown: str, warned: bool
):
    consent = alice.get(house.ask(alice, "Claude", callback)).text
    assert consent.index(f'<p class="host">{shown}</p>') < consent.index("Claude")
    assert ("<strong>this computer</strong>" in consent) is warned


def test_consent_counts_the_tools_of_each_profile(house: House, alice: Client):
    with house.db.write() as run:
        insert_profile(run, house.alice.id, "empty", "empty", is_default=False, now=NOW)
    consent = re.sub(r"\s+", " ", alice.get(house.ask(alice)).text)
    everything, read_only = consent.split("<strong>Everything</strong>")[1].split("<strong>Read only</strong>")
    assert re.search(r"home: \d+ tools, \d+ of them can change things<.*empty: No tools yet<", everything)
    assert re.search(r"home: \d+ tools that only read<.*empty: No tools yet<", read_only)


def test_an_unknown_profile_in_the_address_leaves_the_first_one_selected(house: House, alice: Client):
    assert 'name="profile" value="home" checked' in alice.get(house.ask(alice) + "&profile=unknown").text


def test_a_connection_added_on_the_way_keeps_its_profile_selected(house: House, alice: Client):
    with house.db.write() as run:
        insert_profile(run, house.alice.id, "work", "work", is_default=False, now=NOW)
    path = house.ask(alice)
    new = {"connector": "personal_context", "profile": "work", "next": path, "action": "save", "connection_name": "At work"}
    back = send(alice, "/connections/new", **new).headers["Location"]
    assert back == path + "&profile=work"
    assert 'name="profile" value="work" checked' in alice.get(back).text


def test_an_untouched_form_makes_a_second_connection_of_a_connector(house: House, alice: Client):
    for number in (2, 3):
        form = alice.get("/connections/new?connector=personal_context").text
        proposed = re.search(r'name="connection_name"[^>]*value="([^"]*)"', form)[1]
        assert proposed == f"Personal Context {number}"
        values = {"connector": "personal_context", "connection_name": proposed, "action": "save"}
        assert send(alice, "/connections/new", **values).status_code == 303
    assert 'value="Personal Context 4"' in alice.get("/keys/new?connector=personal_context").text


def test_a_decision_after_the_login_ran_out_comes_back_to_the_request(house: House, alice: Client):
    path = house.ask(alice)
    values = {"request": path.split("=")[1], "profile": "home", "feature_set": "all", "decision": "approve"}
    with house.db.write() as run:
        run("DELETE FROM logins")
    assert send(alice, "/connect", **values).headers["Location"] == "/login?" + urlencode({"next": path})


# --- cookies, sign-in, set-up ---


def cookies_of(answer: TestResponse) -> dict[str, set[str]]:
    """Each cookie's name and its attributes."""
    lines = [line.split("; ") for line in answer.headers.getlist("Set-Cookie")]
    return {first.split("=")[0]: {part for part in rest if not part.startswith(("Expires", "Max-Age"))} for first, *rest in lines}


@pytest.mark.parametrize(
    ("public_url", "name", "secure"),
    [("http://localhost:8000", "postern", set()), ("https://gate.example", "__Host-postern", {"Secure"})],
)
def test_cookies_are_locked_to_the_site(settings: Settings, public_url: str, name: str, secure: set[str]):
    database = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": settings.database_url, "PUBLIC_URL": public_url}
    with opened(load_settings(database, dotenv=None)) as house:
        answer = house.browser().get("/setup", base_url=public_url)
    assert cookies_of(answer) == {name: {"HttpOnly", "Path=/", "SameSite=Lax"} | secure}


def test_set_up_needs_the_code_and_closes_behind_the_first_one(empty_house: House):
    browser, code = empty_house.browser(), replace_setup_code(empty_house.db, now=NOW)
    form = {"username": "alice", "password": "a fine long password", "password_again": "a fine long password"}
    assert send(browser, "/setup", **form, code="wrong").status_code == 403
    assert send(browser, "/setup", **form | {"password_again": "another"}, code=code).status_code == 400
    done = send(browser, "/setup", **form, code=code)
    assert (done.status_code, done.headers["Location"]) == (303, "/admin")
    assert browser.get("/admin").status_code == 200
    assert browser.get("/setup").status_code == 404


def test_signing_in_and_out_changes_the_cookie_and_keeps_the_request(empty_house: House):
    test_set_up_needs_the_code_and_closes_behind_the_first_one(empty_house)
    browser = empty_house.browser()
    path = empty_house.ask(browser)
    before = browser.get_cookie("postern").value
    wrong = send(browser, "/login", password="wrong", next=path)
    right = send(browser, "/login", password="a fine long password", next=path)
    assert (wrong.status_code, right.status_code, right.headers["Location"]) == (401, 303, path)
    signed_in = browser.get_cookie("postern").value
    assert signed_in != before
    assert browser.get(path).status_code == 200
    assert send(browser, "/logout").status_code == 303
    assert browser.get_cookie("postern").value != signed_in
    browser.set_cookie("postern", signed_in)
    assert browser.get("/admin").headers["Location"].startswith("/login")


@pytest.mark.parametrize("cookie", ["x" * 43, "x" * 100_000, "", "é" * 43, '"; DROP'])
def test_a_strange_cookie_is_nobody(house: House, cookie: str):
    browser = Client(house.gate, use_cookies=False)
    assert browser.get("/admin", headers={"Cookie": "postern=" + cookie}).headers["Location"].startswith("/login")


# --- a connection's name ---


@pytest.mark.parametrize("emptied", ["", "  "])
def test_a_new_connection_whose_name_was_emptied_gets_a_free_one(house: House, alice: Client, emptied: str):
    """Alice has a “Personal Context” from the start."""
    form = {"connector": "personal_context", "connection_name": emptied, "action": "save"}
    assert [send(alice, "/connections/new", **form).status_code for _ in range(2)] == [303, 303]
    key = {"key_name": "Job", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"}
    assert send(alice, "/keys/new", **form | key).status_code == 200
    names = [connection.name for connection in list_connections(house.db, house.alice.id)]
    assert names == ["Personal Context", "Personal Context 2", "Personal Context 3", "Personal Context 4", "Secretive"]


def test_an_old_connection_whose_name_was_emptied_keeps_it(house: House, alice: Client):
    assert send(alice, f"/connections/{house.connection_id}", connection_name=" ", action="save").status_code == 303
    assert [connection.name for connection in list_connections(house.db, house.alice.id)] == ["Personal Context", "Secretive"]

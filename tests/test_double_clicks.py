"""Two clicks where one was meant: the form comes twice, and the second answer counts. Of consent: test_decisions.py."""

from __future__ import annotations

import re

import pytest
from actors import PASSWORD, FormReader
from conftest import NOW
from fake_upstreams import FakeUpstreams
from household import CALLBACK, House, opened, token_of
from werkzeug.test import Client, TestResponse

from accounts import set_password
from config import Settings
from crypto import hash_token
from store.api_keys import find_key, list_keys
from store.clients import list_clients
from store.connections import list_connections
from store.profiles import list_profiles
from store.users import check_password, list_users
from web import REPEAT_SECONDS

pytest_plugins = ["residents"]

HEADERS = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
NEW = "quite another one"
TWO_SERVERS = '{"mcpServers": {"one": {"url": "https://one.example/mcp"}, "two": {"url": "https://two.example/mcp"}}}'


@pytest.fixture
def upstreams() -> FakeUpstreams:
    return FakeUpstreams()


def form_of(page: TestResponse, **values: str) -> dict[str, str]:
    """The form of a page that says most, as it stands, and what is typed into it."""
    return max((form.values for form in FormReader(page.text).forms), key=len) | values


def click(house: House, browser: Client, path: str, form: dict[str, str]) -> TestResponse:
    """Send a form; what the answer sets is lost with it."""
    other = Client(house.gate)
    other.set_cookie("postern", browser.get_cookie("postern").value)
    return other.post(path, data=form, headers=HEADERS)


def click_twice(house: House, browser: Client, path: str, form: dict[str, str]) -> TestResponse:
    """Send a form twice from the same page; what the first answer set is lost with it. The answer to the second."""
    assert click(house, browser, path, form).status_code in (200, 303)
    return browser.post(path, data=form, headers=HEADERS)


def test_signing_in_with_a_double_click_leads_on_to_the_consent_page(house: House):
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    browser = house.browser()
    consent = house.ask(browser)
    page = browser.get(consent, follow_redirects=True)

    answer = click_twice(house, browser, "/login", form_of(page, username="alice", password=PASSWORD))

    assert answer.status_code == 303
    assert "Let this assistant in?" in browser.get(answer.headers["Location"]).text


def test_signing_in_again_with_a_double_click_leads_back_to_the_consent_page(house: House):
    """As the owner does who adds a command there."""
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    browser = house.browser(house.alice)
    consent = house.ask(browser)
    page = browser.get("/login", query_string={"again": "1", "next": consent})

    answer = click_twice(house, browser, "/login", form_of(page, username="alice", password=PASSWORD))

    assert answer.status_code == 303
    assert "Let this assistant in?" in browser.get(answer.headers["Location"]).text


@pytest.mark.parametrize("path", ["/login", "/setup"])
def test_a_second_click_that_comes_when_the_browser_is_signed_in_leads_on(alice: Client, path: str):
    form = {"csrf_token": "of the cookie before", "username": "alice", "password": PASSWORD, "next": "/profiles/home"}
    answer = alice.post(path, data=form, headers=HEADERS)
    assert answer.status_code == 403
    assert "<h1>You are signed in already</h1>" in answer.text
    assert '<a class="button" href="/profiles/home">Go on</a>' in answer.text


@pytest.mark.parametrize("path", ["/logout", "/account/sign-out"])
def test_a_second_click_that_comes_when_the_browser_is_signed_out_says_so(house: House, alice: Client, path: str):
    form = {"csrf_token": token_of(alice)}
    assert alice.post(path, data=form, headers=HEADERS).status_code == 303
    answer = alice.post(path, data=form, headers=HEADERS)
    assert answer.status_code == 403
    assert "<h1>You are signed out already</h1>" in answer.text


def test_setting_up_with_a_double_click_signs_in(settings: Settings):
    with opened(settings) as house:
        browser = house.browser()
        form = form_of(browser.get("/setup"), username="alice", password=PASSWORD, password_again=PASSWORD)
        code = house.greeting[-2].removeprefix("One-time code: ")

        answer = click_twice(house, browser, "/setup", form | {"code": code})

        assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
        assert "Your connections" in browser.get("/admin").text
        assert len(list_users(house.db)) == 1


def test_set_up_is_over_for_everybody_else(settings: Settings):
    """Another name, another password, or later."""
    with opened(settings) as house:
        browser = house.browser()
        form = form_of(browser.get("/setup"), username="alice", password=PASSWORD, password_again=PASSWORD)
        code = house.greeting[-2].removeprefix("One-time code: ")
        assert house.browser().post("/setup", data=form).status_code == 403  # the control: the token is this browser's
        click(house, browser, "/setup", form | {"code": code})

        assert click(house, browser, "/setup", form | {"username": "eve"}).status_code == 404
        assert click(house, browser, "/setup", form | {"password": NEW, "password_again": NEW}).status_code == 404
        house.clock.forward(REPEAT_SECONDS)
        assert click(house, browser, "/setup", form).status_code == 404


def test_changing_the_password_with_a_double_click_says_that_it_is_changed(house: House, alice: Client):
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    alice = house.browser(house.alice)
    typed = {"old_password": PASSWORD, "password": NEW, "password_again": NEW, "username": "alice"}

    answer = click_twice(house, alice, "/account", {"csrf_token": token_of(alice)} | typed)

    assert answer.status_code == 200
    assert "Your password is changed." in answer.text
    assert "Your connections" in alice.get("/admin").text


def test_who_is_signed_out_changes_no_password(house: House):
    """The old one would do, and a wrong one does not."""
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    browser = house.browser()
    for old, new in ((PASSWORD, NEW), (NEW, NEW)):
        typed = {"old_password": old, "password": new, "password_again": new, "username": "alice"}
        answer = click(house, browser, "/account", {"csrf_token": form_of(browser.get("/login"))["csrf_token"]} | typed)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")
    assert check_password(house.db, "alice", PASSWORD)


@pytest.mark.parametrize("path", ["/connections/{}", "/keys/{}/revoke", "/clients/{}/delete", "/admin/sessions/{}/end"])
def test_deleting_with_a_double_click_says_that_it_is_gone(house: House, alice: Client, path: str):
    kinds = {"connections": house.connection_id, "keys": house.key_id, "clients": house.client_id, "admin": house.session_id}
    form = {"csrf_token": token_of(alice), "action": "delete"}

    answer = click_twice(house, alice, path.format(kinds[path.split("/")[1]]), form)

    assert answer.status_code == 404
    assert "It was deleted meanwhile, perhaps by you just now" in answer.text
    assert '<a class="button" href="/admin">Your connections</a>' in answer.text


def test_who_tried_too_often_finds_back_to_the_sign_in(house: House):
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    browser = house.browser()
    form = form_of(browser.get("/login?next=/connect?request=x"), username="alice", password="wrong")
    assert browser.post("/login", data=form, headers=HEADERS).status_code == 401
    with house.db.write() as run:
        run("UPDATE rate_limits SET full_at = full_at + 90")  # as if somebody had gone on trying
    last = browser.post("/login", data=form, headers=HEADERS)
    assert last.status_code == 429
    assert '<a class="button" href="/login?next=%2Fconnect%3Frequest%3Dx">Back to the sign-in</a>' in last.text


# --- what a form makes is made once ---


def made_now(house: House) -> dict[str, list]:
    return {"connections": list_connections(house.db, house.alice.id), "keys": list_keys(house.db, house.alice.id),
            "clients": list_clients(house.db, "preregistered"), "profiles": list_profiles(house.db, house.alice.id)}  # fmt: skip


def test_a_double_click_makes_one_key_and_shows_it(house: House, alice: Client):
    before = made_now(house)
    typed = {"key_name": "script", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"}
    page = alice.get("/keys/new?connector=personal_context")
    form = form_of(page, **typed)

    answer = click_twice(house, alice, "/keys/new", form)

    assert find_key(house.db, re.search(r"mcp_sk_[\w-]+", answer.text)[0])
    assert len(made_now(house)["keys"]) == len(before["keys"]) + 1
    assert len(made_now(house)["connections"]) == len(before["connections"]) + 1


def test_a_key_is_not_shown_again_to_who_reloads_the_page_later(house: House, alice: Client):
    typed = {"key_name": "script", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"}
    form = form_of(alice.get("/keys/new"), **typed)
    click(house, alice, "/keys/new", form)
    house.clock.forward(REPEAT_SECONDS)
    before = made_now(house)

    answer = alice.post("/keys/new", data=form, headers=HEADERS)

    assert answer.status_code == 400
    assert "This form has made its key already" in answer.text
    assert made_now(house) == before
    assert alice.post("/keys/new", data=form_of(answer, **typed), headers=HEADERS).status_code == 200  # pressed again
    assert len(made_now(house)["keys"]) == len(before["keys"]) + 1


@pytest.mark.parametrize(
    "change", [{"key_name": "another"}, {"revoked": "yes"}, {"feature_set": "read_only"}, {"lifetime": "never"}]
)
def test_a_key_is_shown_again_only_if_it_is_the_one_that_was_made(house: House, alice: Client, change: dict[str, str]):
    typed = {"key_name": "script", "profile": "home", "feature_set": "all", "lifetime": "90", "action": "make"}
    form = form_of(alice.get("/keys/new"), **typed)
    click(house, alice, "/keys/new", form)
    if "revoked" in change:
        with house.db.write() as run:
            run("UPDATE api_keys SET revoked_at = :now", now=NOW)
    assert alice.post("/keys/new", data=form | change, headers=HEADERS).status_code == 400


def test_nobody_elses_form_tells_which_key_to_make(house: House, alice: Client):
    """A ticket is its person's: with Alice's, Bob makes a key of his own."""
    bob = house.browser(house.bob)
    typed = {"key_name": "script", "profile": "home-bob", "feature_set": "all", "lifetime": "90", "action": "make"}
    stolen = form_of(alice.get("/keys/new"))["ticket"]
    form = form_of(bob.get("/keys/new"), **typed, ticket=stolen)
    answers = [bob.post("/keys/new", data=form, headers=HEADERS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({re.search(r"mcp_sk_[\w-]+", answer.text)[0] for answer in answers}) == 2


def test_a_double_click_makes_one_client_and_shows_its_secret(house: House, alice: Client):
    before = made_now(house)["clients"]
    page = alice.get("/clients/new")
    form = form_of(page, client_name="By hand", redirect_uris=CALLBACK, kind="secret")

    answer = click_twice(house, alice, "/clients/new", form)

    (made,) = [client for client in made_now(house)["clients"] if client not in before]
    assert f"<code>{made.id}</code>" in answer.text
    assert made.secret_hash == hash_token(re.search(r"mcp_cs_[\w-]+", answer.text)[0])
    other = alice.post("/clients/new", data=form | {"client_name": "Another"}, headers=HEADERS)
    assert other.status_code == 400
    assert "This form has made its client already." in other.text
    assert len(made_now(house)["clients"]) == len(before) + 1


def test_a_clients_secret_is_not_shown_again_to_who_reloads_the_page_later(house: House, alice: Client):
    form = form_of(alice.get("/clients/new"), client_name="By hand", redirect_uris=CALLBACK, kind="secret")
    click(house, alice, "/clients/new", form)
    house.clock.forward(REPEAT_SECONDS)
    before = made_now(house)

    answer = alice.post("/clients/new", data=form, headers=HEADERS)

    assert answer.status_code == 400
    assert "This form has made its client already." in answer.text
    assert made_now(house) == before
    assert alice.post("/clients/new", data=form_of(answer, kind="secret"), headers=HEADERS).status_code == 200  # pressed again
    assert len(made_now(house)["clients"]) == len(before["clients"]) + 1


def test_a_double_click_makes_one_profile_and_leads_to_it(house: House, alice: Client):
    form = form_of(alice.get("/profiles/new"), profile_name="At work", action="make")

    answer = click_twice(house, alice, "/profiles/new", form)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/profiles/at-work")
    house.clock.forward(REPEAT_SECONDS)
    assert alice.post("/profiles/new", data=form, headers=HEADERS).status_code == 400


CONNECTION = {"connection_name": "Second", "google_maps_api_key": "one", "action": "save"}


def test_a_double_click_makes_one_connection_and_leads_on(house: House, alice: Client):
    before = made_now(house)["connections"]
    form = form_of(alice.get("/connections/new?connector=personal_context&next=/profiles/home"), **CONNECTION)

    answer = click_twice(house, alice, "/connections/new", form)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/profiles/home")
    assert len(made_now(house)["connections"]) == len(before) + 1


@pytest.mark.parametrize("change", [{}, {"time_zone": "Europe/Paris"}, {"google_maps_api_key": "two"}])
def test_what_is_another_connection_of_the_same_name_is_refused(house: House, alice: Client, change: dict[str, str]):
    form = form_of(alice.get("/connections/new?connector=personal_context"), **CONNECTION)
    click(house, alice, "/connections/new", form)
    house.clock.forward(0 if change else REPEAT_SECONDS)
    answer = alice.post("/connections/new", data=form | change, headers=HEADERS)
    assert answer.status_code == 400
    assert "This name is taken." in answer.text


def test_a_double_click_brings_in_each_server_once(house: House, alice: Client):
    before = made_now(house)["connections"]
    form = form_of(alice.get("/connections/import"), text=TWO_SERVERS, action="read")
    page = alice.post("/connections/import", data=form, headers=HEADERS)
    form = form_of(page, action="save")

    answer = click_twice(house, alice, "/connections/import", form)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    assert len(made_now(house)["connections"]) == len(before) + 2
    part = alice.post("/connections/import", data=form | {"1.connection_name": "third"}, headers=HEADERS)
    assert part.status_code == 400
    assert len(made_now(house)["connections"]) == len(before) + 2

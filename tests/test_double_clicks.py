"""Two clicks where one was meant: the form comes twice, and the second answer counts. Of consent: test_decisions.py."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from actors import PASSWORD
from conftest import NOW
from household import House, opened, token_of
from werkzeug.test import Client, TestResponse

from accounts import set_password
from config import Settings
from store.users import check_password, list_users
from web import REPEAT_SECONDS

HEADERS = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
NEW = "quite another one"


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with opened(settings) as house:
        yield house.settle()


@pytest.fixture
def alice(house: House) -> Client:
    return house.browser(house.alice)


def form_of(page: TestResponse, **values: str) -> dict[str, str]:
    """The hidden inputs of a page's last form, and what is typed into it."""
    assert page.status_code == 200, page.text
    form = page.text.rsplit('<form method="post"', 1)[1]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)) | values


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


@pytest.mark.parametrize("path", ["/login", "/setup"])
def test_a_second_click_that_comes_when_the_browser_is_signed_in_leads_on(alice: Client, path: str):
    form = {"csrf_token": "of the cookie before", "username": "alice", "password": PASSWORD, "next": "/profiles/home"}
    answer = alice.post(path, data=form, headers=HEADERS)
    assert answer.status_code == 403
    assert "<h1>You are signed in already</h1>" in answer.text
    assert '<a class="button" href="/profiles/home">Go on</a>' in answer.text


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

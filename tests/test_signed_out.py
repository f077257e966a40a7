"""Signed out in the very moment: whoever signs a person out everywhere shuts the doors that are just being opened, too."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from actors import PASSWORD, FormReader
from conftest import NOW
from household import House, opened, send
from werkzeug.test import Client

import api_keys
import connect
import connections
import importing
import people
from accounts import set_password, sign_out_everywhere
from config import Settings
from errors import NotFound
from store.api_keys import list_keys
from store.connections import get_connection, list_connections
from store.sessions import list_sessions
from store.users import check_password, create_login

pytest_plugins = ["residents"]


@pytest.fixture
def house(house: House) -> House:
    set_password(house.db, house.alice, PASSWORD, now=NOW)
    return house


Before = Callable[[Any, str, Callable[[], None]], None]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Lets something happen just before a function of a module is called, once."""

    def let_happen(module: Any, name: str, happens: Callable[[], None]) -> None:
        real = getattr(module, name)

        def late(*arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(module, name, real)
            happens()
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, late)

    return let_happen


def consent_form(house: House, browser: Client) -> dict[str, str]:
    path = house.ask(browser)
    return {"request": path.split("=")[1], "profile": "home", "feature_set": "all", "decision": "approve"}


@pytest.mark.parametrize("clicks", [1, 2])
def test_an_assistant_is_not_let_in_by_a_browser_that_was_just_signed_out(
    house: House, alice: Client, before: Before, clicks: int
):
    form = consent_form(house, alice)
    if clicks == 2:
        assert send(alice, "/connect", **form).status_code == 303
    before(connect, "find_chosen", lambda: sign_out_everywhere(house.db, house.alice, now=NOW))
    answer = send(alice, "/connect", **form)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next=%2Fconnect%3Frequest%3D{form['request']}")
    assert list_sessions(house.db, house.alice.id, now=NOW) == []


def test_a_key_is_not_made_by_a_browser_that_was_just_signed_out(house: House, alice: Client, before: Before):
    form = {"action": "make", "key_name": "New", "profile": "home", "feature_set": "all", "lifetime": "30"}
    assert send(alice, "/keys/new", **form).status_code == 200  # the control: the form would do
    before(api_keys, "read_wish", lambda: sign_out_everywhere(house.db, house.alice, now=NOW))
    answer = send(alice, "/keys/new", **form | {"key_name": "Newer"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")
    assert {key.name for key in list_keys(house.db, house.alice.id)} == {"New", "Backup script"}


@pytest.mark.parametrize("module", [connections, importing], ids=["typed", "imported"])
def test_a_connection_is_not_made_by_a_browser_that_was_just_signed_out(
    house: House, alice: Client, before: Before, module: ModuleType
):
    """It may be a command, which would run here."""
    known = list_connections(house.db, house.alice.id)
    if module is connections:
        path, form = "/connections/new", {"connector": "personal_context", "profile": "home", "connection_name": "New"}
    else:
        pasted = send(alice, "/connections/import", action="read", text='{"mcpServers": {"one": {"url": "https://one.example/mcp"}}}')
        path, form = "/connections/import", max((form.values for form in FormReader(pasted.text).forms), key=len)
    before(module, "read_draft", lambda: sign_out_everywhere(house.db, house.alice, now=NOW))
    answer = send(alice, path, **form | {"action": "save"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin")
    assert list_connections(house.db, house.alice.id) == known


def test_a_connection_is_not_changed_by_a_browser_that_was_just_signed_out(house: House, alice: Client, before: Before):
    path = f"/connections/{house.connection_id}"
    assert send(alice, path, action="save", connection_name="New").status_code == 303  # the control: the form would do
    before(connections, "read_draft", lambda: sign_out_everywhere(house.db, house.alice, now=NOW))
    answer = send(alice, path, action="save", connection_name="Newer")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=" + quote(path, safe=""))
    assert get_connection(house.db, house.alice.id, house.connection_id).name == "New"


def test_the_old_password_signs_nobody_in_while_a_new_one_takes_its_place(house: House, before: Before):
    browser = house.browser()
    house.ask(browser)
    new = "quite another one"
    before(people, "sign_in", lambda: set_password(house.db, house.alice, new, now=NOW))
    answer = send(browser, "/login?next=/profiles/home", username="alice", password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fprofiles%2Fhome")
    assert browser.get("/admin").status_code == 303
    assert send(browser, "/login", username="alice", password=new).headers["Location"] == "/admin"
    assert browser.get("/admin").status_code == 200


def test_of_two_new_passwords_the_one_that_was_given_with_the_old_one_counts(house: House, alice: Client, before: Before):
    stolen, first, second = alice, "quite another one", "and yet another one"
    before(people, "set_password", lambda: set_password(house.db, house.alice, first, now=NOW))
    form = {"old_password": PASSWORD, "password": second, "password_again": second}
    answer = send(stolen, "/account", **form)
    assert answer.status_code == 403
    assert "It was changed meanwhile." in answer.text
    assert check_password(house.db, "alice", first)
    assert stolen.get("/admin").status_code == 303


def test_a_device_counts_for_whom_has_signed_in_on_it_and_for_nobody_else(house: House):
    set_password(house.db, house.bob, PASSWORD, now=NOW)
    devices = [house.browser() for _ in range(3)]
    for bob in devices:
        assert send(bob, "/login", username="bob", password=PASSWORD).status_code == 303
    waited = house.clock.now
    for number in range(10 - len(devices)):
        assert send(devices[number % 3], "/login", username="alice", password="guess").status_code == 401
    assert house.clock.now == waited
    assert send(devices[0], "/login", username="alice", password="guess").status_code == 401
    assert house.clock.now == waited + 6  # his devices gave him no more tries than his address has
    assert send(devices[0], "/login", username="bob", password=PASSWORD).status_code == 303
    assert house.clock.now == waited + 6  # for him they do


def test_a_login_is_made_for_the_password_that_was_checked_only(house: House):
    checked = check_password(house.db, "alice", PASSWORD)
    create_login(house.db, checked.id, password_mark=checked.password_mark, now=NOW)
    set_password(house.db, house.alice, PASSWORD, now=NOW)  # the same one, but made anew
    for user_id, mark in ((checked.id, checked.password_mark), ("nobody", None)):
        with pytest.raises(NotFound):
            create_login(house.db, user_id, password_mark=mark, now=NOW)


def test_a_new_set_up_is_no_place_to_try_passwords(settings: Settings):
    """A form that comes again within seconds signs in; it counts as a try to sign in like any other."""
    with opened(settings) as house:
        browser = house.browser()
        code = house.greeting[-2].removeprefix("One-time code: ")
        form = {"username": "alice", "password": PASSWORD, "password_again": PASSWORD}
        assert send(browser, "/setup", code=code, **form).status_code == 303
        stranger, waited = house.browser(), house.clock.now
        for number in range(11):
            assert house.clock.now == waited
            assert send(stranger, "/setup", **form | {"password": f"guess {number}"}).status_code == 404
        assert house.clock.now == waited + 6  # the last one had to wait

"""What people do, in a real Chromium against a real gunicorn: on a desktop, on a phone, and with the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from actors import PASSWORD, Assistant, Person, setup_code
from chromium import landing, running_chromium
from playwright.sync_api import Browser, Page, expect
from server import Server, running_server

pytestmark = [pytest.mark.server, pytest.mark.browser]

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has set up."""
    with running_server(tmp_path / "server") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with Alice's account."""
    with running_server(tmp_path_factory.mktemp("browser")) as running:
        Person(running.url, "alice").set_up(setup_code(running.log))
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser that has never been anywhere. Whatever its console complains of fails the test."""
    with browser.new_context(ignore_https_errors=True, viewport=DESKTOP) as context:
        complaints = []
        context.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.complaints = complaints
        yield page
        assert complaints == []


def sign_in(page: Page) -> None:
    """Fill in the sign-in page."""
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def arrive_at_consent(page: Page, assistant: Assistant) -> None:
    """Follow an assistant's link in a browser that is not signed in."""
    page.goto(assistant.authorize_url())
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Let this assistant in?")


def decide(page: Page, button: str) -> None:
    """Press Approve or Deny."""
    page.get_by_role("button", name=button).click()


# --- the whole way, and where it ends ---


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_newcomer_comes_from_an_assistant_makes_an_account_and_a_connection_and_goes_back(
    page: Page, new_server: Server, size: dict[str, int]
):
    page.set_viewport_size(size)
    with landing() as callback:
        assistant = Assistant(new_server.url, callback.url)
        page.goto(assistant.authorize_url())
        page.get_by_label("One-time code").fill(setup_code(new_server.log))
        page.get_by_label("User name").fill("alice")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        page.get_by_text("Add a connection first").click()
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("Name", exact=True).fill("Summer house")
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_role("status")).to_contain_text("Nothing is saved yet.")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Summer house")).to_be_visible()
        decide(page, "Approve")
        page.wait_for_url(callback.url + "?*")
        tokens = assistant.exchange(page.url)
    assert tokens.status_code == 200
    assistant.tokens = tokens.json()
    names = {tool["name"] for tool in assistant.call("tools/list").json()["result"]["tools"]}
    assert {"status_get", "summer_house_status_get"} <= names


@pytest.mark.parametrize(("button", "answer"), [("Approve", "code"), ("Deny", "error")])
@pytest.mark.parametrize("tls", [False, True], ids=["loopback", "https"])
def test_both_buttons_take_the_browser_to_the_assistant(
    page: Page, server: Server, tmp_path: Path, tls: bool, button: str, answer: str
):
    with landing(tmp_path if tls else None) as callback:
        arrive_at_consent(page, Assistant(server.url, callback.url))
        decide(page, button)
        page.wait_for_url(callback.url + "?*")
        expect(page.get_by_role("heading")).to_have_text("Arrived")
    ((path, headers),) = callback.arrived
    parameters = parse_qs(urlsplit(path).query)
    assert answer in parameters
    assert (parameters["state"], parameters["iss"]) == (["a state"], [server.url])
    assert not {"Referer", "Cookie"} & set(headers)


@pytest.mark.parametrize(("button", "answer"), [("Approve", "code"), ("Deny", "error")])
def test_both_buttons_open_the_app_behind_a_scheme_of_its_own(page: Page, server: Server, button: str, answer: str):
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    arrive_at_consent(page, Assistant(server.url, CURSOR))
    with page.expect_event("requestfailed", lambda request: request.url.startswith("cursor:")):  # no Cursor is installed here
        decide(page, button)
    (opened,) = failed
    assert opened.startswith(CURSOR + "?")
    assert answer in parse_qs(urlsplit(opened).query)


def test_form_action_self_would_stop_the_browser(page: Page, server: Server):
    """The control of the three above: Chromium does apply form-action to where a form's answer redirects."""

    def narrow(route):
        answer = route.fetch()
        policy = answer.headers["content-security-policy"]
        assert "form-action" not in policy
        route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy + "; form-action 'self'"})

    with landing() as callback:
        arrive_at_consent(page, Assistant(server.url, callback.url))
        page.route("**/connect?*", narrow)
        page.reload()
        with page.expect_console_message(lambda message: "form-action" in message.text):
            page.get_by_role("button", name="Deny").click(no_wait_after=True)
    assert callback.arrived == []
    page.complaints.clear()


def test_a_window_that_an_assistant_opened_can_still_talk_to_it(page: Page, server: Server):
    with landing() as callback:
        assistant = Assistant(server.url, callback.url)
        page.goto(callback.url)
        with page.expect_popup() as opened:
            page.evaluate("url => { window.open(url, 'sign-in', 'width=600,height=700') }", assistant.authorize_url())
        popup = opened.value
        sign_in(popup)
        decide(popup, "Approve")
        popup.wait_for_url(callback.url + "?*")
        assert popup.evaluate("window.opener !== null && window.opener.location.pathname") == "/callback"


# --- how people are ---


def test_approval_needs_nothing_but_the_keyboard(page: Page, server: Server):
    with landing() as callback:
        assistant = Assistant(server.url, callback.url)
        page.goto(assistant.authorize_url())
        expect(page.get_by_label("Password", exact=True)).to_be_focused()
        page.keyboard.type(PASSWORD)  # an empty name means the only user
        page.keyboard.press("Enter")
        page.wait_for_url("**/connect?*")
        tab_to(page, "feature_set")
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio", name="Read only")).to_be_checked()
        tab_to(page, "decision")
        page.keyboard.press("Enter")
        page.wait_for_url(callback.url + "?*")
        assistant.tokens = assistant.exchange(page.url).json()
    names = {tool["name"] for tool in assistant.call("tools/list").json()["result"]["tools"]}
    assert "status_get" in names
    assert "status_set_work" not in names


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a field of this name has the focus; each stop on the way can be seen."""
    for _ in range(20):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            "() => { const at = document.activeElement; return [at.name, getComputedStyle(at).outlineStyle, at.tagName] }"
        )
        assert stop[1] == "solid", stop
        if stop[0] == name:
            return
    raise AssertionError(f"Tab never came to {name}")


def test_the_back_button_after_approval_leads_to_a_page_that_says_it_is_over(page: Page, server: Server):
    with landing() as callback:
        arrive_at_consent(page, Assistant(server.url, callback.url))
        decide(page, "Approve")
        page.wait_for_url(callback.url + "?*")
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in is over")
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert all("400 (BAD REQUEST)" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_a_double_click_on_approve_arrives(page: Page, server: Server):
    with landing() as callback:
        assistant = Assistant(server.url, callback.url)
        arrive_at_consent(page, assistant)
        page.get_by_role("button", name="Approve").dblclick(no_wait_after=True)
        # not wait_for_url: that fails with the first of the two ways there, which the second click cuts off
        expect(page).to_have_url(re.compile(re.escape(callback.url) + r"\?"), timeout=30_000)
        assert assistant.exchange(page.url).status_code == 200


def test_what_was_typed_is_still_there_when_somebody_comes_back(page: Page, server: Server):
    """Where a form has no secret in it: others are not to be kept by a browser."""
    page.goto(server.url + "/login")
    sign_in(page)
    page.goto(server.url + "/profiles/new")
    page.get_by_label("Name", exact=True).fill("At work")
    page.get_by_role("link", name="Account").click()
    page.go_back()
    expect(page.get_by_label("Name", exact=True)).to_have_value("At work")
    page.get_by_role("button", name="Make the profile").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Profile: At work")


def test_a_secret_typed_before_the_test_is_there_when_it_is_saved(page: Page, server: Server):
    page.goto(server.url + "/login")
    sign_in(page)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name", exact=True).fill("With a key")
    page.get_by_label("Home Assistant token").fill("canary-token")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("alert")).to_contain_text("Home Assistant needs all three")
    assert "canary-token" not in page.content()
    page.complaints.clear()  # the test's failure is a 400
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Edit With a key").click()
    expect(page.get_by_label("Forget the saved Home Assistant token")).to_be_visible()

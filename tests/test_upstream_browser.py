"""Signing in at the service behind a connection, in a real Chromium: from a consent page and back, and how the pages look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from actors import PASSWORD, Assistant
from chromium import landing, running_chromium
from fake_service import Service, json_answer, running_service
from npm import need_package
from playwright.sync_api import Browser, Page, expect
from server import Server, running_server
from test_looks import DESKTOP, PHONE, Looks

pytestmark = [pytest.mark.server, pytest.mark.browser, pytest.mark.node]

PICTURES = os.environ.get("POSTERN_PICTURES")  # a folder to leave screenshots in, for whoever wants to look


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        running.challenge_scope = "files:read"
        yield running


@pytest.fixture
def server(service: Service, tmp_path: Path) -> Iterator[Server]:
    """A server of the owner's, which may reach the service."""
    environ = {"OWNER_PASSWORD": PASSWORD, "ALLOW_PRIVATE_UPSTREAMS": service.private}
    with running_server(tmp_path / "server", "service_connector", **environ) as running:
        yield running


@pytest.fixture
def looks() -> Looks:
    return Looks((need_package("axe-core") / "axe.min.js").read_text())


@pytest.fixture
def page(browser: Browser, server: Server, looks: Looks) -> Iterator[Page]:
    """A page; whatever its console complains of on our pages is noted."""
    with browser.new_context(viewport=DESKTOP) as context:
        context.on("console", lambda message: looks.hear(message) if server.url in message.location["url"] else None)
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        yield opened


def see(looks: Looks, page: Page, name: str) -> None:
    """Look at a page, on a phone too."""
    looks.at(name, page)
    if PICTURES:
        page.set_viewport_size(PHONE)
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def add_on_the_way(page: Page, assistant: Assistant, service: Service) -> None:
    """Sign in here for an assistant, and add a connection to the service before approving."""
    page.goto(assistant.authorize_url())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Add a connection first").click()
    page.get_by_role("combobox").last.select_option("service")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("url", exact=True).fill(service.url)
    page.get_by_role("button", name="Save").click()


def test_a_sign_in_from_the_middle_of_a_consent_page_comes_back_to_it(page: Page, server: Server, service: Service, looks: Looks):
    with landing() as callback:
        add_on_the_way(page, Assistant(server.url, callback.url), service)
        expect(page.get_by_text("Nobody has signed in at this service yet.")).to_be_visible()
        see(looks, page, "not signed in")
        page.get_by_role("link", name="Go on without").click()
        expect(page.get_by_text("needs a sign-in of its own")).to_be_visible()
        see(looks, page, "waiting")
        page.get_by_role("link", name="Sign in there first").click()
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Let this assistant in?")
        expect(page.locator("span.help", has_text="Service")).to_be_visible()
        page.get_by_role("button", name="Approve").click()
        page.wait_for_url(callback.url + "?*")
    assert len(service.access) == 1

    page.goto(server.url + "/admin")
    page.get_by_role("link", name="Edit Service").click()
    expect(page.get_by_text("It is renewed by itself.")).to_be_visible()
    expect(page.get_by_text("It may: files:read")).to_be_visible()
    see(looks, page, "signed in")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_text("Nobody has signed in at this service yet.")).to_be_visible()
    assert service.access == {}

    service.answers["/token"] = json_answer({"error": "invalid_grant"}, 400)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("refused (invalid_grant). Nothing was kept. Try again.")).to_be_visible()
    see(looks, page, "refused")
    page.get_by_role("link", name="Back to the connection").click()
    expect(page.get_by_role("button", name="Connect")).to_be_visible()

    assert looks.headings == {
        "not signed in": "Service",
        "waiting": "Let this assistant in?",
        "signed in": "Service",
        "refused": "This sign-in cannot go on",
    }
    assert (looks.violations, looks.too_wide, looks.complaints) == ([], [], [])

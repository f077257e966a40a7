"""How every page looks in a real Chromium: to axe-core, in light and dark, on a phone, and to the console."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from actors import PASSWORD, Assistant, Person, setup_code
from chromium import running_chromium
from npm import need_package
from playwright.sync_api import Browser, Page
from server import ROOT, Server, running_server

pytestmark = [pytest.mark.server, pytest.mark.browser, pytest.mark.node]

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# what can differ in another light and size; the other rules would read the same page again
RULES_OF_LOOKS = {"type": "rule", "values": ["color-contrast", "link-in-text-block", "target-size"]}
EVIL_NAME = "<script>alert(1)</script> \u202eedualC\u202c" + "W" * 150
TOUR = {  # what is seen on the way -> the level-one heading that proves it
    "front page of a new server": "One gate between your assistants and your tools",
    "set-up": "Make your account",
    "set-up with mistakes": "Make your account",
    "set-up with a wrong code": "Make your account",
    "fresh account": "Your connections",
    "front page": "One gate between your assistants and your tools",
    "consent, https": "Let this assistant in?",
    "consent, this computer": "Let this assistant in?",
    "consent, an app": "Let this assistant in?",
    "consent, an evil name": "Let this assistant in?",
    "consent, no name": "Let this assistant in?",
    "new connection": "New connection: Personal Context",
    "connection with mistakes": "New connection: Personal Context",
    "connection after a test": "New connection: Personal Context",
    "consent with two connections": "Let this assistant in?",
    "new key": "New API key",
    "key": "Your API key",
    "new key with mistakes": "New API key: Personal Context",
    "what it offers": "What Summer house offers",
    "a profile": "Profile: home",
    "a profile after a mistake": "Profile: home",
    "a thing that was found": "Work status and location on Thursday 01 January 1970 (1970-01-01)",
    "its features": "Summer house in home",
    "one feature": "How home shows status_get_work",
    "one feature after mistakes": "How home shows status_get_work",
    "new profile": "New profile",
    "new profile with mistakes": "New profile",
    "edit": "Summer house",
    "servers to pick": "MCP servers to pick",
    "no such server": "MCP servers to pick",
    "a server picked": "What this would make",
    "a server picked, with mistakes": "What this would make",
    "a server's own page": "Home Assistant",
    "an address": "New connection: MCP server at an address",
    "an address with mistakes": "New connection: MCP server at an address",
    "a command": "New connection: MCP server as a command",
    "a command with mistakes": "New connection: MCP server as a command",
    "a paste": "Bring in MCP servers",
    "a paste with mistakes": "Bring in MCP servers",
    "a paste of many": "What this would make",
    "servers to take along": "Take your servers along",
    "the password again": "Sign in",
    "clients, none": "Your clients",
    "new client": "New client",
    "new client with mistakes": "New client",
    "a client with a secret": "Your new client",
    "clients": "Your clients",
    "account": "Your account",
    "account after mistakes": "Your account",
    "much on one page": "Your connections",
    "an assistant opened": "Your connections",
    "nothing on the page": "Your connections",
    "consent without a connection": "Let this assistant in?",
    "sign-in": "Sign in",
    "sign-in after a mistake": "Sign in",
    "400": "This sign-in cannot go on",
    "403": "This sign-in belongs to another browser",
    "403, form": "Nothing was changed",
    "404": "Page not found",
    "405": "That did not work",
    "413": "That did not work",
    "421": "Wrong address",
    "429": "Too many tries",
    "503": "Busy",
}


@dataclass
class Looks:
    """What was noticed on the way, page by page."""

    axe: str
    headings: dict[str, str] = field(default_factory=dict)
    violations: list[tuple[str, str, str]] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def at(self, name: str, page: Page) -> None:
        """Look at the page that is open, in every light and size."""
        self.headings[name] = page.get_by_role("heading", level=1).inner_text()
        page.set_viewport_size(PHONE)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            self.too_wide.append(name)
        page.evaluate(self.axe)
        for scheme, size, rules in (("light", PHONE, RULES), ("dark", DESKTOP, RULES_OF_LOOKS)):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            self.violations += [(name, scheme, found) for found in find_violations(page, rules)]

    def hear(self, message: Any) -> None:
        """Note what the console says, but for the status of a page that is an error page on purpose."""
        is_status = message.text.startswith("Failed to load resource: the server responded with a status of")
        if message.type in ("error", "warning") and not (is_status and "/static/" not in message.location["url"]):
            self.complaints.append(message.text)


def find_violations(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe-core, which is on the page, calls serious or critical, with the elements it means."""
    answer = page.evaluate("rules => axe.run({runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{found['id']}: {[node['target'] for node in found['nodes']]}"
        for found in answer["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    return (need_package("axe-core") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def looks(browser: Browser, axe: str, tmp_path_factory: pytest.TempPathFactory) -> Looks:
    """A walk past every page."""
    seen = Looks(axe)
    with running_server(tmp_path_factory.mktemp("looks"), ALLOW_STDIO="1") as server, browser.new_context() as context:
        context.on("console", seen.hear)
        page = context.new_page()
        page.set_default_timeout(30_000)
        see_the_beginning(seen, page, server)
        see_consent(seen, page, server)
        see_keys(seen, page, server)
        see_servers(seen, page, server)
        see_connections(seen, page, server)
        see_errors(seen, page, server)
        page.context.clear_cookies()
        see_sign_in(seen, page, server)
        see_a_broken_database(seen, page, server)
    return seen


def see_the_beginning(seen: Looks, page: Page, server: Server) -> None:
    """From the empty server to the owner's first page."""
    page.goto(server.url)
    seen.at("front page of a new server", page)
    page.get_by_role("link", name="Make your account").click()
    seen.at("set-up", page)
    fill_setup(page, "code", "Al ice!", "short")
    seen.at("set-up with mistakes", page)
    fill_setup(page, "code", "alice", PASSWORD)
    seen.at("set-up with a wrong code", page)
    fill_setup(page, setup_code(server.log), "alice", PASSWORD)
    seen.at("fresh account", page)
    page.goto(server.url)
    seen.at("front page", page)


def fill_setup(page: Page, code: str, name: str, password: str) -> None:
    """Send the set-up form."""
    page.get_by_label("One-time code").fill(code)
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Password again").fill(password)
    page.get_by_role("button", name="Make the account").click()


def see_consent(seen: Looks, page: Page, server: Server) -> None:
    """The consent page for every kind of client, with a connection made on the way."""
    askers = {
        "consent, https": Assistant(server.url, "https://assistant.example/callback", client_name="Claude"),
        "consent, this computer": Assistant(server.url, "http://127.0.0.1:33418/", client_name="VS Code"),
        "consent, an app": Assistant(server.url, "cursor://anysphere.cursor-mcp/oauth/callback", client_name="Cursor"),
        "consent, an evil name": Assistant(server.url, f"https://{'long-label.' * 20}example/cb", client_name=EVIL_NAME),
        "consent, no name": Assistant(server.url, "https://nobody.example/callback", client_name=None),
    }
    alice = Person(server.url, "alice")
    alice.sign_in()
    for name, assistant in askers.items():
        page.goto(assistant.authorize_url())
        seen.at(name, page)
        if name != "consent, no name":
            assistant.sign_in(alice)
    page.get_by_text("Add a connection first").click()
    page.get_by_role("button", name="Continue").click()
    seen.at("new connection", page)
    page.get_by_label("Name", exact=True).fill("Summer house")
    page.get_by_label("Google Maps API key").fill("a key")
    page.get_by_label("Time zone").fill("Nowhere/Land")
    page.get_by_role("button", name="Save").click()
    seen.at("connection with mistakes", page)
    page.goto(assistant.authorize_url())
    page.get_by_text("Add a connection first").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name", exact=True).fill("Summer house")
    page.get_by_role("button", name="Test").click()
    seen.at("connection after a test", page)
    page.get_by_label("Google Maps API key").fill("a key")
    page.get_by_role("button", name="Save").click()
    seen.at("consent with two connections", page)


def see_keys(seen: Looks, page: Page, server: Server) -> None:
    """The way to an API key, alone and with a connection."""
    page.goto(server.url + "/admin")
    page.get_by_role("link", name="Make a key").click()
    seen.at("new key", page)
    page.get_by_label("Name of the key").fill("W" * 60)
    page.get_by_role("button", name="Make the key").click()
    seen.at("key", page)
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="Make a key").click()
    page.get_by_text("Add a connection on the same page").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name of the key").fill("x")
    page.get_by_label("Time zone").fill("Nowhere/Land")
    page.get_by_role("button", name="Connect and make the key").click()
    seen.at("new key with mistakes", page)


PASTE = json.dumps(
    {
        "mcpServers": {
            "w" * 60: {"url": "https://x.example/" + "long-path/" * 20, "headers": {"X-" + "k" * 60: "v"}, "timeout": 5},
            "files": {"command": "npx", "args": ["-y", "a" * 300, "b c"], "env": {"TOKEN": "t"}},
            "bad": {"url": "ftp://x.example"},
        }
    }
)


def see_servers(seen: Looks, page: Page, server: Server) -> None:
    """Other MCP servers: picked, typed, pasted and taken along."""
    page.goto(server.url + "/connections/catalogue?q=nobody+has+this")
    seen.at("no such server", page)
    page.goto(server.url + "/connections/catalogue")
    seen.at("servers to pick", page)
    page.get_by_role("link", name="Add Home Assistant").click()
    seen.at("a server picked", page)
    page.get_by_label("Long-lived access token").fill("t")
    page.get_by_label("Address", exact=True).fill("http://192.168.1.5:8123")
    page.get_by_role("button", name="Make it").click()
    seen.at("a server picked, with mistakes", page)
    page.get_by_label("Address", exact=True).fill("https://home.example")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("link", name="Edit Home Assistant").click()
    seen.at("a server's own page", page)
    see_forms_of_servers(seen, page, server)
    page.goto(server.url + "/connections/import")
    seen.at("a paste", page)
    page.get_by_label("JSON").fill("{oops")
    page.get_by_role("button", name="Show what it would make").click()
    seen.at("a paste with mistakes", page)
    page.get_by_label("JSON").fill(PASTE)
    page.get_by_role("button", name="Show what it would make").click()
    seen.at("a paste of many", page)
    page.goto(server.url + "/connections/export")
    seen.at("servers to take along", page)
    page.goto(server.url + "/login?again=1&next=/admin")
    seen.at("the password again", page)
    page.goto(server.url + "/admin")
    page.get_by_role("link", name="Edit Home Assistant").click()
    page.get_by_text("Delete this connection").click()
    page.get_by_role("button", name="Delete for good").click()


def see_forms_of_servers(seen: Looks, page: Page, server: Server) -> None:
    """The forms in which somebody types an address or a command; what belongs to one choice is there with it only."""
    page.goto(server.url + "/connections/new?connector=remote_http")
    seen.at("an address", page)
    assert not page.get_by_label("API key").is_visible()
    assert page.get_by_label("Client ID").is_visible()
    page.get_by_label("How it lets you in").select_option("api_key")
    assert page.get_by_label("API key").is_visible()
    assert not page.get_by_label("Client ID").is_visible()
    page.get_by_label("Address", exact=True).fill("nowhere")
    page.get_by_label("More headers: name 1").fill("X-One")
    page.get_by_role("button", name="Save").click()
    seen.at("an address with mistakes", page)
    page.goto(server.url + "/connections/new?connector=stdio")
    seen.at("a command", page)
    page.get_by_label("Command").fill("npx -y tool")
    page.get_by_label("Arguments").fill("${workspaceFolder}")
    page.get_by_label("Environment: name 1").fill("A B")
    page.get_by_label("Environment: value 1").fill("c")
    page.get_by_role("button", name="Save").click()
    seen.at("a command with mistakes", page)


def see_connections(seen: Looks, page: Page, server: Server) -> None:
    """The person's own page, full and empty."""
    see_clients(seen, page, server)
    page.goto(server.url + "/account")
    seen.at("account", page)
    page.get_by_label("Old password").fill("not the password")
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password again").fill("short")
    page.get_by_role("button", name="Change the password").click()
    seen.at("account after mistakes", page)
    page.goto(server.url + "/admin")
    page.get_by_role("button", name="Pause").first.click()
    seen.at("much on one page", page)
    page.locator("summary").first.click()
    page.get_by_label("Your name for it").first.fill("W" * 60)
    page.get_by_role("button", name="Save").first.click()
    page.locator("summary").first.click()
    seen.at("an assistant opened", page)
    see_profiles(seen, page)
    page.get_by_role("link", name="Edit Summer house").click()
    page.get_by_text("Delete this connection").click()
    seen.at("edit", page)
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("link", name="Edit Personal Context").click()
    page.get_by_text("Delete this connection").click()
    page.get_by_role("button", name="Delete for good").click()
    while page.get_by_role("button", name="End the access").count():
        page.get_by_role("button", name="End the access").first.click()
    page.get_by_role("button", name="Revoke the key").click()
    seen.at("nothing on the page", page)
    page.goto(Assistant(server.url).authorize_url())
    seen.at("consent without a connection", page)


def see_profiles(seen: Looks, page: Page) -> None:
    """What a connection offers, and what a profile makes of it; from /admin and back."""
    page.get_by_role("link", name="What it offers: Summer house").click()
    page.locator("summary").first.click()
    seen.at("what it offers", page)
    page.go_back()
    page.get_by_role("link", name="Change the profile home").click()
    seen.at("a profile", page)
    page.get_by_label("Names begin with").last.fill("No!")
    page.get_by_role("button", name="Save the prefix of Summer house").click()
    seen.at("a profile after a mistake", page)
    page.get_by_role("link", name="Choose tools of Summer house").click()
    connection_id = page.url.rpartition("/")[2]
    page.goto(f"{page.url.partition('/profiles/')[0]}/found/home?id={connection_id}:day:1970-01-01")
    seen.at("a thing that was found", page)
    page.go_back()
    seen.at("its features", page)
    page.get_by_role("link", name="Rename summer_house_status_get_work").click()
    seen.at("one feature", page)
    page.get_by_label("Name", exact=True).fill("search")
    page.get_by_role("button", name="Save").click()
    seen.at("one feature after mistakes", page)
    page.get_by_role("link", name="Connections").click()
    page.get_by_role("link", name="Make a profile").click()
    seen.at("new profile", page)
    page.get_by_label("Name", exact=True).fill("日本")
    page.get_by_role("button", name="Make the profile").click()
    seen.at("new profile with mistakes", page)
    page.get_by_role("link", name="Connections").click()


def see_clients(seen: Looks, page: Page, server: Server) -> None:
    """The owner makes a client."""
    page.goto(server.url + "/clients")
    seen.at("clients, none", page)
    page.get_by_role("link", name="Make a client").click()
    seen.at("new client", page)
    page.get_by_label("Name").fill(EVIL_NAME)
    page.get_by_label("Redirect URIs").fill("javascript:alert(1)")
    page.get_by_text("With a secret").click()
    page.get_by_role("button", name="Make the client").click()
    seen.at("new client with mistakes", page)
    page.get_by_label("Redirect URIs").fill(f"https://{'long-label.' * 20}example/cb")
    page.get_by_role("button", name="Make the client").click()
    seen.at("a client with a secret", page)
    page.get_by_role("link", name="I have copied it").click()
    seen.at("clients", page)


def see_errors(seen: Looks, page: Page, server: Server) -> None:
    """Every refusal that a person can meet."""
    for name, path in {"400": "/authorize?client_id=unknown", "403": "/connect?request=x", "404": "/x", "405": "/logout"}.items():
        page.goto(server.url + path)
        seen.at(name, page)
    page.goto(server.url + "/admin")
    page.evaluate("document.querySelector('[name=csrf_token]').value = 'wrong'")
    page.get_by_role("button", name="Sign out").click()
    seen.at("403, form", page)
    page.goto(server.url + "/connections/new?connector=personal_context")
    page.evaluate("document.querySelector('[name=home_name]').value = 'x'.repeat(300000)")
    page.get_by_role("button", name="Save").click()
    seen.at("413", page)
    page.goto(server.url.replace("localhost", "gate.example"))
    seen.at("421", page)


def see_sign_in(seen: Looks, page: Page, server: Server) -> None:
    """The sign-in page, until it has had enough."""
    page.goto(Assistant(server.url).authorize_url())
    seen.at("sign-in", page)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    seen.at("sign-in after a mistake", page)
    change_database(server, "UPDATE rate_limits SET full_at = full_at + 90")  # as if somebody had gone on trying
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    seen.at("429", page)


def see_a_broken_database(seen: Looks, page: Page, server: Server) -> None:
    """A table is away, as in a damaged file."""
    change_database(server, "ALTER TABLE users RENAME TO lost")
    page.goto(server.url)
    seen.at("503", page)


def change_database(server: Server, statement: str) -> None:
    """Change the server's own file behind its back."""
    with closing(sqlite3.connect(server.folder / "data" / "postern.db", isolation_level=None)) as db:
        db.execute(statement)


# --- the findings ---


def test_every_page_was_seen(looks: Looks):
    assert looks.headings == TOUR


def test_no_page_keeps_anybody_out(looks: Looks):
    assert looks.violations == []


def test_axe_finds_what_is_wrong(browser: Browser, axe: str):
    """The control."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:#bbb'>faint</p></main></html>")
        page.evaluate(axe)
        found = [{line.split(":")[0] for line in find_violations(page, rules)} for rules in (RULES, RULES_OF_LOOKS)]
    assert found == [{"label", "color-contrast"}, {"color-contrast"}]


def test_no_page_has_to_be_scrolled_sideways_on_a_phone(looks: Looks):
    assert looks.too_wide == []


SLEEPING = """(button) => {
    const [sleep] = button.getAnimations(), box = button.getBoundingClientRect();
    const isHit = () => document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === button;
    sleep.currentTime = sleep.effect.getTiming().duration - 1;
    const before = isHit();
    sleep.finish();
    return [before, isHit()];
}"""


DEEDS = ("<button class=danger>", "<div class=row><form><button>", "<button name=decision>")


@pytest.mark.parametrize("button", DEEDS)
def test_what_cannot_be_undone_does_not_feel_a_click_that_was_meant_for_the_page_before(browser: Browser, button: str):
    with browser.new_context() as context:
        page = context.new_page()
        held = "button { animation-play-state: paused !important }"  # so that it is there however late somebody looks
        page.set_content(f"<style>{(ROOT / 'static' / 'style.css').read_text()}{held}</style><main>{button}x")
        assert page.locator("button").evaluate(SLEEPING) == [False, True]


def test_the_console_has_nothing_to_say(looks: Looks):
    assert looks.complaints == []

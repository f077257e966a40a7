"""Takes the README's picture of the consent page: `python tests/screenshot.py`. No test."""

from __future__ import annotations

import tempfile
from pathlib import Path

from actors import PASSWORD, Assistant, Person, setup_code
from chromium import running_chromium
from server import ROOT, running_server

PICTURE = ROOT / "docs" / "consent.png"
SIZE = {"width": 1200, "height": 700}


def main() -> None:
    """A fresh server, an account, an assistant that asks, and a picture of the page it leads to."""
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server, running_chromium() as browser:
        Person(server.url, "alice").set_up(setup_code(server.log))
        assistant = Assistant(server.url, "https://claude.ai/api/mcp/auth_callback", client_name="Claude")
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(assistant.authorize_url())
        page.get_by_label("User name").fill("alice")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/connect?*")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    main()

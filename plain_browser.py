"""A browser without a window: keeps cookies, follows redirects on one site, fills in forms. Knows no page and runs no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from errors import FetchError
from fetch import OWNER, Fetcher, Response

REDIRECTS = frozenset({301, 302, 303})
REDIRECTS_MAX = 10
# `Expires` has a comma of its own, after which no name stands
COOKIE = re.compile(r"(?:^|,\s*)([^=;,\s]+)=([^;,]*)")


@dataclass
class Form:
    """A form as it would be sent if nobody touched it; `buttons` are (name, value)."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class FormReader(HTMLParser):
    """Collects the forms of a page that are posted."""

    def __init__(self, html: str):
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what counts."""
        facts = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = facts.get("method", "get").lower() == "post"
            if self._inside:
                self.forms.append(Form(facts.get("action", "")))
        elif self._inside and tag in FIELDS:
            FIELDS[tag](self, self.forms[-1], facts)

    def handle_endtag(self, tag: str) -> None:
        """A form ends."""
        self._inside = self._inside and tag != "form"

    def note_input(self, form: Form, facts: Mapping[str, str]) -> None:
        """A field that somebody types into, or a box that may be ticked."""
        can_tick = facts.get("type") in ("radio", "checkbox")
        if facts.get("name") and (not can_tick or "checked" in facts):
            form.values[facts["name"]] = facts.get("value") or ("on" if can_tick else "")

    def note_button(self, form: Form, facts: Mapping[str, str]) -> None:
        """A button that says which it is."""
        if facts.get("name"):
            form.buttons.append((facts["name"], facts.get("value", "")))

    def note_select(self, form: Form, facts: Mapping[str, str]) -> None:
        """A list to choose from; its options follow."""
        self._select = facts.get("name", "")

    def note_option(self, form: Form, facts: Mapping[str, str]) -> None:
        """The first option, or the one that is selected."""
        if self._select and ("selected" in facts or self._select not in form.values):
            form.values[self._select] = facts.get("value", "")


FIELDS = {
    "input": FormReader.note_input,
    "button": FormReader.note_button,
    "select": FormReader.note_select,
    "option": FormReader.note_option,
}


@dataclass(frozen=True)
class Page:
    """Where the browser has come to; `leaves_for` is the address of another site to which it was sent and did not go."""

    url: str
    status: int
    forms: list[Form] = field(default_factory=list)
    leaves_for: str | None = None


class PlainBrowser:
    """One person's browser at the site of `url`. Raises FetchError when there is no answer, or no end of redirects."""

    def __init__(self, fetch: Fetcher, url: str):
        self._fetch = fetch
        self._origin = origin_of(url)
        self._cookies: dict[str, str] = {}

    def open(self, url: str) -> Page:
        """Go to an address."""
        return self._follow(url, self._send("GET", url))

    def submit(self, page: Page, form: Form, **values: str) -> Page:
        """Fill in a form and send it."""
        url = urljoin(page.url, form.action or page.url)
        return self._follow(url, self._send("POST", url, form.values | values))

    def _send(self, method: str, url: str, form: Mapping[str, str] | None = None) -> Response:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())} if self._cookies else {}
        if form is not None:
            headers |= {"Origin": self._origin, "Sec-Fetch-Site": "same-origin"}
        answer = self._fetch.request(method, url, trust=OWNER, headers=headers, form=form)
        self._cookies |= dict(COOKIE.findall(answer.headers.get("Set-Cookie", "")))
        return answer

    def _follow(self, url: str, answer: Response) -> Page:
        for _ in range(REDIRECTS_MAX):
            if answer.status not in REDIRECTS:
                return Page(url, answer.status, FormReader(answer.body.decode(errors="replace")).forms)
            target = urljoin(url, answer.headers.get("Location", ""))
            if origin_of(target) != self._origin:
                return Page(url, answer.status, leaves_for=target)
            url, answer = target, self._send("GET", target)
        raise FetchError(f"{answer.host} redirects without end.")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address (RFC 6454 §4)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

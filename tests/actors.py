"""The cast: people with a browser that posts the real forms, and assistants that sign in. Knows the server only over HTTP."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import requests

PASSWORD = "a fine long password"


@dataclass
class Form:
    """A form as a browser would send it if nobody touched it; `buttons` are (name, value)."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class FormReader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.forms: list[Form] = []
        self._select = self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        name, value = facts.get("name", ""), facts.get("value", "")
        if tag == "form":
            self.forms.append(Form(facts.get("action", ""), facts.get("method", "get").lower()))
        elif not self.forms:
            return
        elif tag == "input" and name:
            ticked = facts.get("type") not in ("radio", "checkbox") or "checked" in facts
            if ticked:
                self.forms[-1].values[name] = value or ("on" if facts.get("type") == "checkbox" else "")
        elif tag == "button" and name:
            self.forms[-1].buttons.append((name, value))
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
            self.forms[-1].values[name] = ""
        elif tag == "option" and self._select and ("selected" in facts or self._select not in self.forms[-1].values):
            self.forms[-1].values[self._select] = value

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].values[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


class Person:
    """Somebody with a browser of their own at one server. Redirects are followed as long as they stay on the server."""

    def __init__(
        self, base_url: str, name: str = "owner", password: str = PASSWORD, session: requests.Session | None = None
    ):
        self.base_url, self.name, self.password = base_url, name, password
        self.session = session or requests.Session()
        self.session.trust_env = False

    def get(self, url: str) -> requests.Response:
        """Open an address."""
        return self._follow(self.session.get(urljoin(self.base_url, url), allow_redirects=False, timeout=20))

    def submit(self, page: requests.Response, *, form: int = -1, button: tuple[str, str] | None = None, **values: str):
        """Fill in a form of a page (the last one that has the button, or that is on it) and send it."""
        forms = FormReader(page.text).forms
        fitting = [item for item in forms if button in item.buttons] if button else forms[1:] or forms
        chosen = fitting[0] if button else forms[form]
        data = chosen.values | values | ({button[0]: button[1]} if button else {})
        target = urljoin(page.url, chosen.action or page.url)
        if chosen.method == "get":
            return self.get(target + "?" + urlencode(data))
        headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # as browsers do under no-referrer
        return self._follow(self.session.post(target, data=data, headers=headers, allow_redirects=False, timeout=20))

    def _follow(self, answer: requests.Response) -> requests.Response:
        while answer.is_redirect and urljoin(answer.url, answer.headers["Location"]).startswith(self.base_url + "/"):
            answer = self.session.get(urljoin(answer.url, answer.headers["Location"]), allow_redirects=False, timeout=20)
        return answer

    def set_up(self, code: str) -> requests.Response:
        """Make the owner's account with the code of the server's log."""
        page = self.get("/setup")
        return self.submit(page, code=code, username=self.name, password=self.password, password_again=self.password)

    def sign_in(self) -> requests.Response:
        """Sign in at /login."""
        return self.submit(self.get("/login"), username=self.name, password=self.password)

    def decide(self, url: str, decision: str = "approve", **values: str) -> str:
        """Visit an authorize URL, sign in if asked, press a button; answers the client's callback URL with its parameters."""
        page = self.get(url)
        if "/login" in page.url:
            page = self.submit(page, username=self.name, password=self.password)
        answer = self.submit(page, button=("decision", decision), **values)
        assert answer.status_code == 303, f"{answer.status_code} {answer.text}"
        return answer.headers["Location"]


class Assistant:
    """An OAuth client of one server, which registers itself."""

    def __init__(
        self,
        base_url: str,
        redirect_uri: str = "http://127.0.0.1:3000/callback",
        session: requests.Session | None = None,
        **metadata: object,
    ):
        self.base_url, self.redirect_uri = base_url, redirect_uri
        self.session = session or requests.Session()
        self.session.trust_env = False
        body = {"redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none", "client_name": "Assistant"} | metadata
        answer = self.session.post(base_url + "/register", json=body, timeout=20)
        assert answer.status_code == 201, answer.text
        self.registration = answer.json()
        self.client_id: str = self.registration["client_id"]
        self.verifier = secrets.token_urlsafe(48)
        self.tokens: dict[str, str] = {}

    def authorize_url(self, **changes: str | None) -> str:
        """The URL to which it sends its person; a change to None leaves a parameter out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": "a state",
            "resource": self.base_url + "/mcp",
            "scope": "mcp",
        } | changes
        given = {name: value for name, value in parameters.items() if value is not None}
        return f"{self.base_url}/authorize?{urlencode(given)}"

    def post_token(self, **parameters: str | None) -> requests.Response:
        """A request to /token as a public client; a parameter of None is left out."""
        form = {"client_id": self.client_id} | parameters
        given = {name: value for name, value in form.items() if value is not None}
        return self.session.post(self.base_url + "/token", data=given, timeout=20)

    def exchange(self, callback: str, **changes: str | None) -> requests.Response:
        """Trade the code in a callback URL."""
        code = parse_qs(urlsplit(callback).query)["code"][0]
        parameters = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        return self.post_token(**(parameters | changes))

    def refresh(self, refresh_token: str | None = None, **changes: str | None) -> requests.Response:
        """Trade a refresh token: the one at hand, if none is given."""
        parameters = {"grant_type": "refresh_token", "refresh_token": refresh_token or self.tokens["refresh_token"]}
        return self.post_token(**(parameters | changes))

    def sign_in(self, person: Person, **changes: str | None) -> dict[str, str]:
        """The whole flow; answers the tokens, and keeps them."""
        answer = self.exchange(person.decide(self.authorize_url(**changes)))
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        return self.tokens

    def call(self, method: str, params: dict | None = None, *, path: str = "/mcp", token: str | None = None) -> requests.Response:
        """One request of the handshake era, without a handshake: the server keeps no session for it."""
        headers = {
            "Authorization": f"Bearer {token or self.tokens['access_token']}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.session.post(self.base_url + path, json=body, headers=headers, timeout=30)


def setup_code(log: str) -> str:
    """The one-time code in a server's log."""
    match = re.search(r"One-time code: (\S+)", log)
    assert match, log
    return match[1]

"""Signs in to a running server as an assistant does, and says which step fails. A client only: knows no database, no settings."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from addresses import parse_url
from assistants import Assistant, public
from crypto import s256
from errors import FetchError, PosternError
from fetch import OWNER, Fetcher, Response
from plain_browser import Page, PlainBrowser, origin_of

SMOKE = Assistant("Smoke test", public("Smoke test", "http://127.0.0.1:{port}/callback"), ("http://127.0.0.1:{port}/callback",))
ACCEPT = "application/json, text/event-stream"


class Surprise(PosternError):
    """The server did something else than a step needs."""

    def __init__(self, expected: str, got: str):
        super().__init__(f"expected {expected}; got {got}")


def expect(is_so: object, expected: str, got: Response | str) -> None:
    """Raise Surprise unless something is so."""
    if not is_so:
        raise Surprise(expected, got if isinstance(got, str) else describe(got))


def describe(answer: Response) -> str:
    """An answer in a few words, without anything secret: its status, and its error if it has one."""
    try:
        body = answer.json()
    except FetchError:
        body = None
    facts = body if isinstance(body, dict) else {}
    words = [str(answer.status), *(str(facts[name]) for name in ("error", "error_description") if name in facts)]
    return " ".join(words)[:300]


class Emulator:
    """An assistant at one server. Each step raises Surprise or FetchError, or answers what it found, in a few words."""

    def __init__(
        self, fetch: Fetcher, mcp_url: str, assistant: Assistant = SMOKE, port: int = 0, *, prefers_loopback: bool = False
    ):
        self.fetch, self.mcp_url, self.assistant = fetch, mcp_url, assistant
        port = port or assistant.port or 3000
        self.registration = {name: with_port(value, port) for name, value in assistant.registration.items()}
        usual, local = assistant.redirect_uris[0], [uri for uri in assistant.redirect_uris if uri.startswith("http://")]
        self.redirect_uri: str = with_port(local[0] if prefers_loopback and local else usual, port)
        self.verifier, self.state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        self.challenge, self.resource, self.server = "", {}, {}
        self.client_id, self.registered, self.tokens = "", {}, {}

    # --- finding the way (RFC 9728, RFC 8414) ---

    def knock(self) -> str:
        """Ask without a token, and be told where to get one."""
        answer = self.call("initialize")
        self.challenge = answer.headers.get("WWW-Authenticate", "")
        named = self.challenge_word("resource_metadata")
        expect(answer.status == 401 and named, '401 with WWW-Authenticate: Bearer resource_metadata="…"', answer)
        expect("error=" not in self.challenge, "a challenge without error, for no token was sent", self.challenge)
        return named

    def challenge_word(self, name: str) -> str:
        """A parameter of the challenge."""
        match = re.search(rf'\b{name}="([^"]*)"', self.challenge)
        return match[1] if match and self.challenge.startswith("Bearer ") else ""

    def read_resource(self) -> str:
        """The resource's description, under the path and at the root (RFC 9728 §3.1); it names the very URL that was typed."""
        self.resource = self.get(self.challenge_word("resource_metadata"))
        named, root = self.resource.get("resource"), urlsplit(self.mcp_url)
        expect(named == self.mcp_url, f"resource to be {self.mcp_url}", repr(named))
        self.get(f"{root.scheme}://{root.netloc}/.well-known/oauth-protected-resource")
        return named

    def read_server(self) -> str:
        """The authorization server's description (RFC 8414 §3)."""
        issuer = next(iter(as_list(self.resource.get("authorization_servers"))), None)
        expect(is_web_address(issuer), "a web address in authorization_servers", repr(issuer))
        self.server = self.get(issuer + "/.well-known/oauth-authorization-server")
        expect(self.server.get("issuer") == issuer, f"issuer to be {issuer}", repr(self.server.get("issuer")))
        for name, value in NEEDED.items():
            expect(value in as_list(self.server.get(name)), f"{name} to have {value}", repr(self.server.get(name)))
        for name in ("authorization_endpoint", "token_endpoint", "revocation_endpoint"):
            expect(is_web_address(need(self.server, name)), f"{name} to be a web address", repr(self.server[name]))
        return issuer

    def get(self, url: str) -> dict[str, Any]:
        """A JSON document."""
        answer = self.fetch.request("GET", url, trust=OWNER, headers={"Accept": "application/json"})
        expect(answer.status == 200, f"a JSON document at {url}", answer)
        return read_object(answer)

    # --- signing in (RFC 7591, OAuth 2.1) ---

    def register(self) -> str:
        """Register, as long as the server lets anybody do so."""
        endpoint = self.server.get("registration_endpoint")
        expect(endpoint, "a registration_endpoint", "none: REGISTRATION is closed")
        answer = self.fetch.request("POST", endpoint, trust=OWNER, json=self.registration)
        expect(answer.status == 201, "201", answer)
        self.registered, wanted = read_object(answer), self.registration["redirect_uris"]
        accepted = self.registered.get("redirect_uris")
        expect(accepted == wanted, f"redirect_uris {wanted}", repr(accepted))
        self.client_id = need(self.registered, "client_id")
        return self.client_id

    def authorize_url(self) -> str:
        """Where the person is sent."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
            "resource": self.mcp_url,
        }
        scope = {"scope": self.scope()} if self.assistant.names_scope else {}
        return f"{self.server['authorization_endpoint']}?{urlencode(asked | scope)}"

    def scope(self) -> str:
        """What the challenge or the resource offers, and a refresh token if the server offers one (MCP, "Scope Selection")."""
        offered = self.challenge_word("scope").split() or self.resource.get("scopes_supported", [])
        known = self.server.get("scopes_supported", [])
        return " ".join([*offered, *(["offline_access"] if "offline_access" in known else [])])

    def take_callback(self, url: str) -> dict[str, str]:
        """The tokens for the code in the URL to which the browser was sent."""
        expect(url.partition("?")[0] == self.redirect_uri, f"to be sent to {self.redirect_uri}", url.partition("?")[0])
        sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        expect(sent.get("state") == self.state, "the state that was sent", repr(sent.get("state")))
        expect("code" in sent, "a code", f"{sent.get('error')}: {sent.get('error_description')}")
        expect(sent.get("iss") == self.server["issuer"], f"iss to be {self.server['issuer']}", repr(sent.get("iss")))  # RFC 9207
        code = {"code": sent["code"], "redirect_uri": self.redirect_uri, "code_verifier": self.verifier}
        return self.keep(self.post("token_endpoint", grant_type="authorization_code", resource=self.mcp_url, **code))

    def refresh(self) -> str:
        """Trade the refresh token; a new one comes with the answer."""
        old = self.tokens["refresh_token"]
        self.keep(self.trade(old))
        expect(self.tokens["refresh_token"] != old, "a new refresh token", "the old one")
        return "a new pair"

    def trade(self, refresh_token: str) -> Response:
        """What the server answers to a refresh token."""
        return self.post("token_endpoint", grant_type="refresh_token", refresh_token=refresh_token, resource=self.mcp_url)

    def keep(self, answer: Response) -> dict[str, str]:
        """The tokens in an answer (OAuth 2.1 §3.2.3)."""
        expect(answer.status == 200 and answer.headers.get("Cache-Control") == "no-store", "200, Cache-Control: no-store", answer)
        tokens = read_object(answer)
        for name in ("access_token", "refresh_token", "expires_in"):
            need(tokens, name)
        self.tokens = tokens
        return tokens

    def credentials(self) -> dict[str, str]:
        """Who asks: a public client says no more than its id."""
        return {"client_id": self.client_id}

    def post(self, endpoint: str, **form: str) -> Response:
        """A form to one of the server's endpoints."""
        headers = {"Accept": "application/json"}
        return self.fetch.request("POST", self.server[endpoint], trust=OWNER, headers=headers, form=self.credentials() | form)

    # --- using it (MCP, Streamable HTTP) ---

    def call(self, method: str, params: Mapping[str, Any] | None = None, **message: Any) -> Response:
        """One message of the handshake era, with the token at hand; `id=None` makes it a notification."""
        headers = {"Accept": ACCEPT, "MCP-Protocol-Version": self.assistant.protocol_version}
        if self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}} | message
        kept = {name: value for name, value in body.items() if value is not None}
        return self.fetch.request("POST", self.mcp_url, trust=OWNER, headers=headers, json=kept)

    def result(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a call brought."""
        answer = self.call(method, params)
        expect(answer.status == 200, "200", answer)
        is_stream = answer.headers.get("Content-Type", "").startswith("text/event-stream")
        body = answer.body.rpartition(b"data:")[2] if is_stream else answer.body
        found = read_object(replace(answer, body=body))
        expect(isinstance(found.get("result"), dict), f"a result of {method}", repr(found.get("error")))
        return found["result"]

    def open(self) -> str:
        """The handshake, of each program that this assistant sends."""
        for program in self.assistant.probes or (self.assistant.title,):
            hello = {
                "protocolVersion": self.assistant.protocol_version,
                "capabilities": {},
                "clientInfo": {"name": program, "version": "1.0.0"},
            }
            agreed = need(self.result("initialize", hello), "protocolVersion")
            expect(agreed == self.assistant.protocol_version, self.assistant.protocol_version, agreed)
            noted = self.call("notifications/initialized", id=None)
            expect(noted.status == 202, "202", noted)
        return agreed

    def list_tools(self) -> str:
        """Every tool that it may call."""
        tools = need(self.result("tools/list"), "tools")
        return f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"

    def leave(self) -> str:
        """Take the tokens back (RFC 7009); from then on they are refused."""
        answer = self.post("revocation_endpoint", token=self.tokens["refresh_token"])
        expect(answer.status == 200, "200", answer)
        refused = self.call("tools/list")
        is_refused = refused.status == 401 and 'error="invalid_token"' in refused.headers.get("WWW-Authenticate", "")
        expect(is_refused, "401 invalid_token", refused)
        dead = self.trade(self.tokens["refresh_token"])
        expect((dead.status, read_object(dead).get("error")) == (400, "invalid_grant"), "400 invalid_grant", dead)
        return "the tokens are good no more"

    def unregister(self) -> str:
        """Leave nothing behind, where a client may end its registration (RFC 7592 §2.3); then nobody knows it."""
        if "registration_client_uri" not in self.registered:
            return "not offered: the registration stays"
        token = {"Authorization": f"Bearer {need(self.registered, 'registration_access_token')}"}
        gone = self.fetch.request("DELETE", self.registered["registration_client_uri"], trust=OWNER, headers=token)
        expect(gone.status == 204, "204", gone)
        unknown = self.trade(self.tokens["refresh_token"])
        expect((unknown.status, read_object(unknown).get("error")) == (401, "invalid_client"), "401 invalid_client", unknown)
        return "the client is unknown again"

    JOIN, PART = ("register", register), ("end the registration", unregister)  # how it becomes a client, and is one no more


NEEDED = {
    "code_challenge_methods_supported": "S256",
    "grant_types_supported": "refresh_token",
    "response_types_supported": "code",
    "token_endpoint_auth_methods_supported": "none",
    "authorization_response_iss_parameter_supported": True,
}


def read_object(answer: Response) -> dict[str, Any]:
    """The JSON object in an answer."""
    body = answer.json()
    expect(isinstance(body, dict), "a JSON object", answer)
    return body


def need(found: Mapping[str, Any], name: str) -> Any:
    """A member that has to be there."""
    expect(name in found, f"{name} in the answer", ", ".join(found) or "nothing")
    return found[name]


def is_web_address(value: Any) -> bool:
    """Whether this can be handed to a browser: another program may be started with it."""
    try:
        return isinstance(value, str) and bool(parse_url(value))
    except ValueError:
        return False


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else as its only item."""
    return value if isinstance(value, list) else [value]


def with_port(value: Any, port: int) -> Any:
    """A text, or a list of texts, with a port at its place."""
    if isinstance(value, list):
        return [with_port(item, port) for item in value]
    return value.replace("{port}", str(port)) if isinstance(value, str) else value


# --- a whole visit ---

Person = Callable[[str, str], str]  # authorize URL, redirect URI -> the URL to which the browser was sent


class FormPerson:
    """Somebody who signs in and approves by posting the real forms, and tells no site the password but that of `home`."""

    def __init__(self, fetch: Fetcher, home: str, user: str, password: str):
        self._fetch, self._home, self._user, self._password = fetch, origin_of(home), user, password

    def __call__(self, url: str, redirect_uri: str) -> str:
        """Sign in, press Approve, and do not follow."""
        expect(origin_of(url) == self._home, f"to sign in at {self._home}", origin_of(url))
        browser = PlainBrowser(self._fetch, url)
        page = browser.open(url)
        form = next((form for form in page.forms if "password" in form.values), None)
        expect(form, "a page to sign in", describe_page(page))
        page = browser.submit(page, form, username=self._user, password=self._password)
        form = next((form for form in page.forms if ("decision", "approve") in form.buttons), None)
        expect(form, "the consent page", f"{describe_page(page)} (is the password right?)")
        page = browser.submit(page, form, decision="approve")
        expect(page.leaves_for, f"to be sent to {redirect_uri}", describe_page(page))
        return page.leaves_for or ""


def describe_page(page: Page) -> str:
    """A page in a few words; what stands behind its path may be secret."""
    return f"{page.status} at {urlsplit(page.leaves_for or page.url).path}"


STEPS: tuple[tuple[str, Callable[[Emulator], str]], ...] = (
    ("ask without a token", Emulator.knock),
    ("read the resource's metadata", Emulator.read_resource),
    ("read the server's metadata", Emulator.read_server),
)
STEPS_INSIDE: tuple[tuple[str, Callable[[Emulator], str]], ...] = (
    ("initialize", Emulator.open),
    ("list tools", Emulator.list_tools),
    ("refresh", Emulator.refresh),
    ("list tools again", Emulator.list_tools),
    ("revoke", Emulator.leave),
)


def visit(emulator: Emulator, person: Person, say: Callable[[str], None]) -> None:
    """Every step in its order, one line each. Raises PosternError at the first that fails, with what was expected."""
    callback: list[str] = []

    def authorize(emulator: Emulator) -> str:
        callback.append(person(emulator.authorize_url(), emulator.redirect_uri))
        return urlsplit(callback[0]).netloc or emulator.redirect_uri

    def exchange(emulator: Emulator) -> str:
        return f"good for {emulator.take_callback(callback[0])['expires_in']} s"

    inside = (("authorize", authorize), ("token", exchange), *STEPS_INSIDE)
    for name, step in (*STEPS, emulator.JOIN, *inside, emulator.PART):
        began = time.monotonic()
        try:
            found = step(emulator)
        except PosternError as error:
            raise PosternError(f"{name}: {error}") from None
        say(f"ok  {name:<29}{(time.monotonic() - began) * 1000:>8.0f} ms  {found}")

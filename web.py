"""What every page needs: the state of the app, the browser's login, CSRF, addresses, answers. Holds no page."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, g, make_response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import RequestEntityTooLarge

from client_assertions import ClientAssertions
from client_documents import ClientDocuments
from client_trust import add_parameters
from config import Settings
from crypto import Vault, hash_token, new_token, same
from db import Database, Run
from errors import InvalidInput, NotFound, StorageError, ToolError
from fetch import Fetcher
from gateway import Gateway
from known_servers import KnownServers
from limits import Limits
from store.authorizations import move_requests
from store.connections import Connection
from store.users import LOGIN_SECONDS, Login, User, create_login, end_login, find_login, has_login, note_login_seen
from toolbox import Toolbox
from tools import Connector
from upstream_oauth import UpstreamOAuth

DEVICE_SECONDS = 365 * 86400
BODY_MAX = 256 * 1024
LOOK_SECONDS = 4
REPEAT_SECONDS = 10  # the second click of a double one arrives within these, over a slow line too
# Answered with JSON, called by programs without cookies, and so without CSRF tokens.
API_ENDPOINTS = frozenset(
    ("register.create", "register.read", "register.replace", "register.delete", "oauth.token", "oauth.revoke", "oauth.introspect")
)
# A form POST to /authorize comes from another site by design; it gives nothing, it only leads to the consent page.
CROSS_SITE_ENDPOINTS = API_ENDPOINTS | {"oauth.authorize"}
SIGN_IN_ENDPOINTS = frozenset({"people.login", "people.setup"})
SIGN_OUT_ENDPOINTS = frozenset({"people.logout", "people.sign_out_of_everything"})
ANY_HOST_ENDPOINTS = frozenset({"health.healthz", "health.readyz", "static"})


@dataclass(frozen=True)
class State:
    """All that the pages work with; made once by app.py."""

    settings: Settings
    db: Database
    vault: Vault
    fetch: Fetcher
    connectors: Mapping[str, Connector]
    custom_problems: Mapping[str, str]  # a file of CUSTOM_DIR -> why it was left out
    toolbox: Toolbox
    sign_ins: UpstreamOAuth
    gateway: Gateway
    limits: Limits
    servers: KnownServers
    documents: ClientDocuments
    assertions: ClientAssertions
    clock: Callable[[], float] = time.time


def state() -> State:
    """The state of the running app."""
    return current_app.extensions["postern"]


def now() -> int:
    """One `now` for the whole request, in epoch seconds."""
    if "now" not in g:
        g.now = int(state().clock())
    return g.now


# --- the browser and who sits before it ---


def cookie_name(name: str) -> str:
    """`__Host-` pins a cookie to this origin (RFC 6265bis §4.1.3.2), which browsers allow with https only."""
    return name if state().settings.is_loopback and state().settings.public_url.startswith("http:") else "__Host-" + name


def browser_cookie() -> str:
    """The value that names this browser; a new one is set if it brought none."""
    if "browser" not in g:
        brought = brought_cookie()
        g.browser, g.browser_is_new = brought or new_token(""), brought is None
    return g.browser


def brought_cookie() -> str | None:
    """The cookie that came with the request, if it can be one of ours."""
    value = request.cookies.get(cookie_name("postern"), "")
    return value if value.isascii() and 40 <= len(value) <= 64 else None


def browser_hash() -> str:
    """What this browser is called in the database: after its login if somebody is signed in, else after its cookie."""
    login = find_current_login()
    return login.browser_hash if login else hash_token(browser_cookie())


def find_current_login() -> Login | None:
    """The login of this browser, if a user is signed in."""
    if "login" not in g:
        g.login = None
        if "browser" in g or brought_cookie():  # who only looks is given no cookie: a cache might keep it for all
            g.login = find_login(state().db, browser_cookie(), now=now())
        if g.login:
            with suppress(StorageError):  # a note is not worth a failed page
                note_login_seen(state().db, g.login, now=now())
    return g.login


def known_login() -> Login | None:
    """The login for a page's header; None while the database cannot be asked, so that a page can say so."""
    with suppress(StorageError):
        return find_current_login()
    return None


def current_user(here: str | None = None) -> User:
    """The signed-in user. Otherwise the browser is sent to sign in, and comes back `here`, or to the page it asked for."""
    login = find_current_login()
    if login is None:
        raise LoginNeeded(login_page(here))
    return login.user


def confirm_login(run: Run, here: str | None = None) -> None:
    """In the open transaction that is to open a door: as `current_user`, but nobody may have signed this browser out since."""
    login = find_current_login()
    if login is None or not has_login(run, login.cookie_hash):
        raise LoginNeeded(login_page(here))


def login_page(here: str | None = None) -> str:
    """Where one signs in, and from there comes back `here`, or to the page that was asked for."""
    return "/login?" + urlencode({"next": here or (request.full_path.rstrip("?") if request.method == "GET" else "/admin")})


class LoginNeeded(Exception):
    """Nobody is signed in; `location` is where that can be mended."""

    def __init__(self, location: str):
        super().__init__(location)
        self.location = location


def sign_in(user: User) -> None:
    """Sign this browser in under a new cookie, so that nobody who knew the old one is signed in with it."""
    old = browser_hash()
    end_login(state().db, browser_cookie())
    try:
        g.browser = create_login(state().db, user.id, browser_cookie(), password_mark=user.password_mark, now=now())
    except NotFound:
        raise LoginNeeded(login_page(next_page())) from None
    g.browser_is_new, g.device_of = True, user
    g.pop("login", None)
    move_requests(state().db, old, browser_hash())


def sign_out() -> None:
    """End this browser's login, and give it a new cookie."""
    end_login(state().db, browser_cookie())
    g.browser, g.browser_is_new, g.login = new_token(""), True, None


def send_cookies(response: Response) -> Response:
    """Set the browser's cookie if it is new, and mark a device on which somebody has signed in."""
    flags: dict[str, Any] = {"httponly": True, "samesite": "Lax", "path": "/", "secure": cookie_name("").startswith("__Host-")}
    if g.get("browser_is_new"):
        response.set_cookie(cookie_name("postern"), g.browser, max_age=LOGIN_SECONDS, **flags)
    if user := g.get("device_of"):
        device = new_token("")
        value = f"{device}.{mac_of_device(device, user)}"
        response.set_cookie(cookie_name("postern-device"), value, max_age=DEVICE_SECONDS, **flags)
    return response


# --- forms, and CSRF ---


def check_body_whole() -> None:
    """Behind the reading of a body: raise RequestEntityTooLarge if Werkzeug has cut it, as it does with chunked ones."""
    if request.content_length is None and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge


def csrf_token() -> str:
    """The token that this browser's forms carry: bound to its cookie, so that nothing needs to be stored."""
    return state().vault.mac("csrf", browser_cookie())


def csrf_input() -> Markup:
    """The hidden input that stands in every form."""
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(csrf_token())


def check_csrf() -> None:
    """Refuse a change that another site sent, or that did not come from one of our forms.

    Our own forms come with `Origin: null`, because of our Referrer-Policy (Fetch, "append a request `Origin` header").
    """
    if request.method in ("GET", "HEAD", "OPTIONS") or request.endpoint is None or request.endpoint in CROSS_SITE_ENDPOINTS:
        return
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none") or (origin not in (None, "null") and not is_own_origin(origin)):
        raise Refused(403, "This form came from another site, so nothing was changed.")
    token = request.form.get("csrf_token", "")
    check_body_whole()
    if not same(token, csrf_token()):
        raise describe_old_form()


def describe_old_form() -> Refused:
    """What is wrong with a form whose token is not this browser's: nothing, if the first click of a double one did it all."""
    is_signed_in = find_current_login() is not None
    if is_signed_in and request.endpoint in SIGN_IN_ENDPOINTS:
        return Refused(403, "There is nothing more to do here.", "You are signed in already", way=(next_page(), "Go on"))
    if not is_signed_in and request.endpoint in SIGN_OUT_ENDPOINTS:
        return Refused(403, "There is nothing more to do here.", "You are signed out already", way=("/login", "Sign in"))
    return Refused(403, "This form is too old, or cookies are blocked. Go back, reload the page and try again.")


def is_own_origin(origin: str) -> bool:
    """Whether a browser's Origin is ours; on loopback every name of this machine is."""
    settings = state().settings
    return origin == settings.public_url or (
        settings.is_loopback and "://" in origin and settings.accepts_host(origin.split("://", 1)[1])
    )


class Refused(Exception):
    """The request is not acceptable; the page says why, with this status and title. `way`: where to go on, and its name."""

    def __init__(self, status: int, message: str, title: str = "Nothing was changed", way: tuple[str, str] | None = None):
        super().__init__(message)
        self.status, self.title, self.way = status, title, way


def check_host() -> None:
    """Refuse a Host that is not ours (DNS rebinding); health checks may use any."""
    if request.endpoint not in ANY_HOST_ENDPOINTS and not state().settings.accepts_host(request.environ.get("HTTP_HOST")):
        raise Refused(421, f"This server answers at {state().settings.public_url} only (PUBLIC_URL).", "Wrong address")


# --- whom limits count ---


def login_identity(user: User | None) -> str:
    """Whom tries of a user's password are counted for: a device on which this very user has signed in before, else the address.

    Of devices of others one could have as many as one likes, with a password of one's own.
    """
    device, _, mac = request.cookies.get(cookie_name("postern-device"), "").partition(".")
    is_known = user is not None and bool(device) and same(mac, mac_of_device(device, user))
    return "device " + device if is_known else "address " + client_address()


def mac_of_device(device: str, user: User) -> str:
    """What tells that we have named a device, and for whom."""
    return state().vault.mac("device", f"{user.id} {device}")


def client_address() -> str:
    """The address that limits count: the peer's, or what the outermost of TRUST_PROXY proxies saw. IPv6 counts by /64."""
    hops = state().settings.trust_proxy
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")] if hops else []
    address = seen[-hops] if hops and len(seen) >= hops else request.remote_addr or ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return request.remote_addr or "unknown"
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed  # ::ffff:203.0.113.7, of a socket that listens for both
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


# --- other servers ---


def look_at_servers(*made: tuple[Connector | None, str]) -> None:
    """Find out what the servers behind connections offer, as far as they have one. The page waits a moment, and goes on without.

    A connection comes with its connector.
    """
    ids = [connection_id for connector, connection_id in made if connector is not None and connector.is_upstream]
    if ids:
        state().gateway.discovery.look_soon(*ids, wait=LOOK_SECONDS)


# --- answers ---
def no_store(response: Response, status: int = 200) -> Response:
    """An answer that nobody may keep, such as one with credentials in it (RFC 6749 §5.1)."""
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def see_other(location: str) -> Response:
    """303: what follows a POST is a GET (RFC 9700 §4.12)."""
    return redirect(location, 303)


def answer_client(redirect_uri: str, client_state: str | None, **parameters: str) -> str:
    """The URL that takes the browser back to a client: always with `iss` (RFC 9207 §2), and `state` as it came."""
    return add_parameters(redirect_uri, **parameters, state=client_state, iss=state().settings.public_url)


def next_page() -> str:
    """Where to go afterwards: a path of ours, never another site (RFC 9700 §4.11)."""
    wanted = request.values.get("next", "")
    return wanted if re.fullmatch(r"/(?![/\\])[!#-\[\]-~]{0,2000}", wanted) else "/admin"


def page_after_making(connection: Connection, wanted: str) -> str:
    """Where to go after a connection was made: where its person signs in, if it needs that, and from there to `wanted`."""
    needs_sign_in = state().sign_ins.describe(connection) is not None
    return f"/connections/{connection.id}?{urlencode({'next': wanted})}" if needs_sign_in else wanted


def serve_form(desk: Any, actions: Mapping[str, Callable[[Any], Response]], show: Callable[..., Response]) -> Response:
    """Show a form, or do what its button says (`action`); mistakes come back with everything that was typed."""
    if request.method == "GET":
        return show(desk)
    action = actions.get(request.form.get("action", ""))
    if action is None:
        return show(desk, 400, error="Please use one of the buttons.")
    try:
        return action(desk)
    except (InvalidInput, ToolError) as mistake:
        return show(desk, 400, error=str(mistake), errors=getattr(mistake, "fields", {}))


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A rendered page."""
    return make_response(render_template(template, **values), status)



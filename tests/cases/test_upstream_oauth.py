"""Postern as a client of other authorization servers: what they, their answers and other people must not get away with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from fake_service import Request, Service, follow, json_answer, running_service
from household import House, opened, send
from service_connector import CONNECTOR
from signing_in import Desk, settings_for, sit_down

import store.upstream_signins
from cases.catalogue import case
from errors import SignInNeeded

TITLE = "This sign-in cannot go on"
UNKNOWN = "This sign-in is not known here: it was not begun in this browser, took longer than ten minutes, or is over already."
OTHER_ISSUER = "The answer does not come from the service that was asked, so nothing was kept."
PRM = "/.well-known/oauth-protected-resource/mcp"


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Service]:
    """Somebody else's service."""
    with running_service() as running:
        yield running


@pytest.fixture
def home(service: Service, other: Service, tmp_path: Any) -> Iterator[House]:
    both = f"{service.private} {other.private}"
    with opened(settings_for(service, tmp_path, ALLOW_PRIVATE_UPSTREAMS=both), CONNECTOR) as built:
        yield built.settle()


@pytest.fixture
def desk(home: House, service: Service) -> Desk:
    return sit_down(home, service)


def refused(answer: Any, sentence: str) -> bool:
    """Whether a page refuses with this sentence."""
    return answer.status_code == 400 and TITLE in answer.text and sentence in answer.text.replace("&#39;", "'")


def values_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return dict(parse_qsl(urlsplit(url).query))


def back(**values: Any) -> str:
    """An address of our callback."""
    return "http://localhost:8000/connect/callback?" + urlencode(values, doseq=True)


# --- on the way there ---


def test_o01_pkce_state_and_resource_are_always_there(desk: Desk, service: Service):
    first, second = (desk.asked(desk.leave()) for _ in range(2))
    assert first["code_challenge_method"] == "S256"
    assert first["resource"] == service.url
    assert not {first["state"], first["code_challenge"]} & {second["state"], second["code_challenge"]}


@pytest.mark.parametrize(
    "methods", [case("O-01", words, methods) for words, methods in {"none": None, "empty": [], "plain": ["plain"]}.items()]
)
def test_a_server_without_s256_is_not_used(desk: Desk, service: Service, methods: Any):
    service.metadata["code_challenge_methods_supported"] = methods
    assert refused(desk.leave(), "does not say that it protects sign-ins by PKCE with S256, which is needed.")
    assert service.came("/register") == []


@pytest.mark.parametrize(
    "change",
    [
        case("O-02", "another host", lambda issuer: "https://evil.example"),
        case("O-02", "a path more", lambda issuer: issuer + "/tenant"),
        case("O-02", "upper case", lambda issuer: issuer.upper()),
        case("O-02", "none", lambda issuer: None),
        case("O-02", "a list", lambda issuer: [issuer]),
    ],
)
def test_metadata_of_another_issuer_is_not_used(desk: Desk, service: Service, change: Any):
    service.metadata["issuer"] = change(service.issuer)
    assert refused(desk.leave(), "is about another sign-in service, so it was not used.")
    assert {request.path for request in service.requests} == {"/mcp", PRM, "/.well-known/oauth-authorization-server"}


@pytest.mark.parametrize(
    "change",
    [
        case("O-04", "another host", lambda url: "https://evil.example/mcp"),
        case("O-04", "another port", lambda url: "http://localhost:1/mcp"),
        case("O-04", "another scheme", lambda url: url.replace("http:", "https:")),
        case("O-04", "another path", lambda url: url + "x"),
        case("O-04", "a path below", lambda url: url + "/deeper"),
        case("O-04", "a fragment", lambda url: url + "#x"),
        case("O-04", "a query", lambda url: url + "?a=b"),
    ],
)
def test_a_resource_that_is_not_ours_is_not_believed(desk: Desk, service: Service, change: Any):
    service.resource["resource"] = change(service.url)
    assert refused(desk.leave(), "The server describes itself as another one, so nothing was sent to where it points.")
    assert {request.path for request in service.requests} == {"/mcp", PRM}


def test_o04_a_resource_above_ours_on_the_same_host_is_named_as_it_names_itself(desk: Desk, service: Service):
    service.resource["resource"] = service.url.removesuffix("/mcp")
    assert desk.asked(desk.leave())["resource"] == service.url.removesuffix("/mcp")


@pytest.mark.parametrize(
    "url",
    [
        case("O-05", url, url)
        for url in (
            "javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "http://remote.example/authorize", "--flag",
            'https://x" onclick=', 'https://x.example/"onclick=', "https://x.example/<script>", "https://x.example/\r\nX: y",
            "https://user@x.example/authorize", "https://x.example/authorize#x", "calc.exe", "", 7, ["https://x.example/"],
        )
    ],
)  # fmt: skip
def test_a_sign_in_page_that_is_no_web_address_is_refused(desk: Desk, service: Service, url: Any):
    service.metadata["authorization_endpoint"] = url
    answer = desk.leave()
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert service.came("/register") == []


def test_o05_a_sign_in_page_keeps_its_own_parameters(desk: Desk, service: Service):
    service.metadata["authorization_endpoint"] += "?tenant=a%26b"
    assert desk.asked(desk.leave())["tenant"] == "a&b"


INSIDE = {
    "metadata": "http://169.254.169.254/latest/meta-data",
    "metadata by https": "https://169.254.169.254/",
    "the LAN": "https://10.0.0.1/",
    "loopback, not listed": "https://localhost:9/",
    "an odd number": "https://2130706433/",
    "another scheme": "file:///etc/passwd",
    "IPv6 link-local": "https://[fe80::1]/",
}


@pytest.mark.parametrize("url", [case("S-20", words, url) for words, url in INSIDE.items()])
def test_a_challenge_that_points_inside_is_not_followed(desk: Desk, service: Service, url: str):
    service.answers["/mcp"] = (401, {"WWW-Authenticate": f'Bearer resource_metadata="{url}"'}, b"")
    answer = desk.leave()
    assert answer.status_code == 400
    assert TITLE in answer.text
    assert [request.path for request in service.requests] == ["/mcp"]


@pytest.mark.parametrize("name", ["token_endpoint", "registration_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("url", [case("S-21", words, url) for words, url in INSIDE.items()])
def test_metadata_that_points_inside_is_refused(desk: Desk, service: Service, name: str, url: str):
    service.metadata[name] = url
    answer = desk.leave()
    assert answer.status_code == 400
    assert TITLE in answer.text
    assert service.came("/register") == []


@pytest.mark.parametrize("issuer", [case("S-21", f"issuer: {words}", url) for words, url in INSIDE.items()])
def test_an_issuer_inside_is_not_asked(desk: Desk, service: Service, issuer: str):
    service.resource["authorization_servers"] = [issuer]
    assert desk.leave().status_code == 400
    assert [request.path for request in service.requests] == ["/mcp", PRM]


def test_s21_keys_inside_are_never_fetched(desk: Desk, service: Service, other: Service):
    service.metadata["jwks_uri"] = other.issuer + "/keys"
    assert desk.sign_in().status_code == 303
    assert other.requests == []


# --- on the way back ---


def cut(url: str, *, drop: tuple[str, ...] = (), **values: str) -> str:
    """An answer with other parameters."""
    kept = {name: value for name, value in values_of(url).items() if name not in drop} | values
    return back(**kept)


ISSUERS = {
    "wrong": lambda issuer: {"iss": "https://evil.example"},
    "with a slash": lambda issuer: {"iss": issuer + "/"},
    "upper case": lambda issuer: {"iss": issuer.upper()},
    "escaped": lambda issuer: {"iss": quote(issuer, safe=":/")[:-1] + "%30"},
    "empty": lambda issuer: {"iss": ""},
}


@pytest.mark.parametrize("is_advertised", [True, False])
@pytest.mark.parametrize("change", [case("O-03", words, change) for words, change in ISSUERS.items()])
def test_an_answer_of_another_issuer_is_not_redeemed(desk: Desk, service: Service, change: Any, is_advertised: bool):
    service.metadata["authorization_response_iss_parameter_supported"] = is_advertised
    location = follow(desk.leave().headers["Location"])
    assert refused(desk.come_back(cut(location, **change(service.issuer))), OTHER_ISSUER)
    assert (service.came("/token"), desk.secrets) == ([], {})
    assert refused(desk.come_back(location), UNKNOWN)  # it was the only try


@pytest.mark.parametrize("is_advertised", [case("O-03", "missing, advertised", True), case("O-03", "missing", False)])
def test_an_answer_without_issuer_counts_where_none_was_promised(desk: Desk, service: Service, is_advertised: bool):
    service.metadata["authorization_response_iss_parameter_supported"] = is_advertised
    answer = desk.come_back(cut(follow(desk.leave().headers["Location"]), drop=("iss",)))
    assert (answer.status_code, bool(desk.secrets)) == ((400, False) if is_advertised else (303, True))


def come_late(desk: Desk, location: str) -> str:
    desk.house.now += 11 * 60
    return location


def come_in_time(desk: Desk, location: str) -> str:
    desk.house.now += 9 * 60
    return location


def come_twice(desk: Desk, location: str) -> str:
    assert desk.come_back(location).status_code == 303
    return location


def come_as_bob(desk: Desk, location: str) -> str:
    desk.browser = desk.house.browser(desk.house.bob)
    return location


def come_from_another_login(desk: Desk, location: str) -> str:
    desk.browser = desk.house.browser(desk.house.alice)
    return location


def come_signed_out(desk: Desk, location: str) -> str:
    desk.browser = desk.house.browser()
    return location


RETURNS = {
    "no state": (lambda desk, url: cut(url, drop=("state",)), UNKNOWN),
    "unknown state": (lambda desk, url: cut(url, state="x" * 43), UNKNOWN),
    "empty state": (lambda desk, url: cut(url, state=""), UNKNOWN),
    "state twice": (lambda desk, url: back(**values_of(url) | {"state": [values_of(url)["state"]] * 2}), UNKNOWN),
    "code twice": (lambda desk, url: back(**values_of(url) | {"code": [values_of(url)["code"], "x"]}), UNKNOWN),
    "again": (come_twice, UNKNOWN),
    "eleven minutes later": (come_late, UNKNOWN),
    "as somebody else": (come_as_bob, UNKNOWN),
    "from another login": (come_from_another_login, UNKNOWN),
    "signed out": (come_signed_out, UNKNOWN),
    "no code": (lambda desk, url: cut(url, drop=("code",)), "The service sent you back without saying yes or no"),
    "denied": (
        lambda desk, url: cut(url, drop=("code",), error="access_denied", error_description="<b>x"),
        "You did not allow it, or the service did not let you. Nothing was kept.",
    ),
    "an error unknown": (
        lambda desk, url: cut(url, error="<script>alert(1)</script>"),
        "The service refused the sign-in. Nothing was kept.",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), [case("K-09", words, *row) for words, row in RETURNS.items()])
def test_an_answer_that_is_not_in_order_gives_nothing(desk: Desk, service: Service, change: Any, sentence: str):
    location = follow(desk.leave().headers["Location"])
    url = change(desk, location)
    before, asked = desk.house.contents(), len(service.came("/token"))

    answer = desk.come_back(url)

    assert refused(answer, sentence)
    after = desk.house.contents()
    assert {table for table in after if after[table] != before[table]} <= {"upstream_visits", "logins"}
    assert len(service.came("/token")) == asked
    values = values_of(location)
    assert [name for name in ("code", "state") if values[name] in answer.text] == []
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text


def test_k09_nine_minutes_are_in_time(desk: Desk):
    location = follow(desk.leave().headers["Location"])
    assert desk.come_back(come_in_time(desk, location)).status_code == 303
    assert desk.secrets.keys() == {"access_token", "refresh_token"}


def test_k09_somebody_elses_try_does_not_spoil_the_right_one(desk: Desk):
    location = follow(desk.leave().headers["Location"])
    bob = Desk(desk.house, desk.service, desk.house.browser(desk.house.bob), desk.connection_id)
    assert refused(bob.come_back(location), UNKNOWN)
    assert desk.come_back(location).status_code == 303


def test_k09_a_code_that_the_server_refuses_gives_nothing(desk: Desk, service: Service):
    location = follow(desk.leave().headers["Location"])
    answer = desk.come_back(cut(location, code="made-up-code"))
    assert refused(answer, "localhost refused (invalid_grant). Nothing was kept. Try again.")
    assert "made-up-code" not in answer.text
    assert desk.secrets == {}


def test_k10_the_link_to_connect_is_of_no_use_to_another_person(desk: Desk, service: Service):
    bob, nobody = desk.house.browser(desk.house.bob), desk.house.browser()
    path = f"/connections/{desk.connection_id}"
    before = desk.house.contents()
    assert [bob.get(path).status_code, send(bob, path + "/connect").status_code] == [404, 404]
    assert send(bob, path + "/disconnect").status_code == 404
    assert nobody.get(path).headers["Location"] == "/login?next=" + quote(path, safe="")
    assert send(nobody, path + "/connect").headers["Location"] == "/login?next=" + quote(path, safe="")
    after = desk.house.contents()
    assert {table for table in after if after[table] != before[table]} <= {"logins"}
    assert service.requests == []


# --- what the token endpoint says ---

GOOD = {"access_token": "access-1", "token_type": "Bearer"}


@pytest.mark.parametrize(
    "answer",
    [
        case("O-06", "5 MB", json_answer({**GOOD, "padding": "x" * 5_000_000})),
        case("O-06", "HTML", (200, {"Content-Type": "text/html"}, b"<p>hello")),
        case("O-06", "a list", json_answer([GOOD])),
        case("O-06", "no token", json_answer({"token_type": "Bearer"})),
        case("O-06", "an empty token", json_answer({**GOOD, "access_token": ""})),
        case("O-06", "a token with a line break", json_answer({**GOOD, "access_token": "a\r\nX-Evil: b"})),
        case("O-06", "a token that is a number", json_answer({**GOOD, "access_token": 7})),
        case("O-06", "a token of 20 kB", json_answer({**GOOD, "access_token": "a" * 20_000})),
        case("O-06", "another kind", json_answer({**GOOD, "token_type": "DPoP"})),
        case("O-06", "a kind that is a list", json_answer({**GOOD, "token_type": ["Bearer"]})),
        case("O-06", "a redirect", (302, {"Location": "/token2"}, b"")),
        case("O-06", "deep JSON", (200, {}, b"[" * 50_000)),
    ],
)
def test_an_answer_without_a_usable_token_gives_nothing(desk: Desk, service: Service, answer: Any):
    service.answers["/token"] = answer
    page = desk.sign_in()
    assert page.status_code == 400
    assert TITLE in page.text
    assert desk.secrets == {}
    assert service.came("/token2") == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        case("O-06", "a text", "3600", 3600),
        case("O-06", "a fraction", 59.9, 59),
        case("O-06", "negative", -1, None),
        case("O-06", "nothing", None, None),
        case("O-06", "zero", 0, None),
        case("O-06", "far away", 1e18, 366 * 86400),
        case("O-06", "true", True, None),
        case("O-06", "words", "soon", None),
        case("O-06", "infinite", float("inf"), None),
    ],
)
def test_a_lifetime_is_believed_as_far_as_it_makes_sense(desk: Desk, service: Service, value: Any, seconds: int | None):
    service.lifetime = value
    assert desk.sign_in().status_code == 303
    (row,) = desk.house.db.query("SELECT expires_at FROM credentials WHERE name = 'access_token'")
    assert row["expires_at"] == (None if seconds is None else desk.house.now + seconds)


def test_o06_a_wider_scope_than_was_asked_for_is_not_asked_for_the_next_time(desk: Desk, service: Service):
    service.challenge_scope = "read"
    service.answers["/token"] = json_answer({**GOOD, "scope": "read write admin"})
    assert desk.sign_in().status_code == 303
    assert desk.asked(desk.leave())["scope"] == "read"


# --- keeping it good ---


def test_o07_what_a_refresh_brings_is_kept_whole_or_not_at_all(desk: Desk, service: Service, monkeypatch: pytest.MonkeyPatch):
    desk.sign_in()
    before = desk.secrets
    desk.house.now += 3600

    def die(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(store.upstream_signins, "put_tokens", die)
        with pytest.raises(RuntimeError):
            desk.tokens.access_token()
    assert desk.secrets == before

    desk.house.now += 31
    with pytest.raises(SignInNeeded, match="The sign-in of the connection “My service” is over"):
        desk.tokens.access_token()  # the service has given the new token away, and knows the old one no more
    assert desk.secrets == {}
    assert desk.sign_in().status_code == 303


def test_o09_a_storm_of_401_makes_one_refresh_and_then_waits_for_the_person(desk: Desk, service: Service):
    desk.sign_in()
    tokens = desk.tokens
    tokens.headers()
    tokens.refused(401, 'Bearer error="invalid_token"')
    tokens.headers()
    with pytest.raises(SignInNeeded, match="The service refuses the sign-in of the connection “My service”"):
        tokens.refused(401, 'Bearer error="invalid_token"')
    assert service.refreshes() == 1

    for _ in range(5):
        with pytest.raises(SignInNeeded):
            tokens.headers()
    assert service.refreshes() == 1


def test_o10_what_is_for_one_issuer_never_goes_to_another(desk: Desk, service: Service, other: Service):
    service.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    desk.sign_in()
    (client,), secrets = service.clients.values(), desk.secrets
    service.resource["authorization_servers"] = [other.issuer]
    desk.house.now += 3600

    desk.tokens.headers()  # is renewed where it came from
    assert (service.refreshes(), other.requests) == (1, [])

    desk.change()
    away = desk.leave()
    assert desk.asked(away)["client_id"] in other.clients
    assert desk.come_back(follow(away.headers["Location"])).status_code == 303
    seen = " ".join(f"{request.body} {request.query} {request.headers}" for request in other.requests)
    own = [client["client_id"], client["client_secret"], *secrets.values(), *desk.service.access, *desk.service.refresh]
    assert [value for value in own if value in seen] == []


def test_o10_a_secret_that_was_typed_for_one_issuer_never_goes_to_another(desk: Desk, service: Service, other: Service):
    service.clients["mine"] = {"token_endpoint_auth_method": "client_secret_basic", "client_secret": "typed"}
    desk.change({"client_secret": "typed"}, client_id="mine")
    assert desk.sign_in().status_code == 303
    service.resource["authorization_servers"] = [other.issuer]

    assert refused(desk.leave(), "If that is right, disconnect first, or type in another client.")
    assert other.came("/authorize") == other.came("/token") == []


GOOGLE = "https://accounts.google.com/o/oauth2/v2/auth"


def test_o11_google_is_asked_for_a_refresh_token_every_time(desk: Desk, service: Service):
    desk.change(
        client_id="mine", authorization_endpoint=GOOGLE, token_endpoint=service.issuer + "/token", scope="a offline_access"
    )
    asked = desk.asked(desk.leave())
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")


def test_o11_without_a_refresh_token_the_page_says_when_it_ends(desk: Desk, service: Service):
    desk.sign_in()
    service.gives_refresh = False
    desk.sign_in()

    assert desk.secrets.keys() == {"access_token"}  # not the old one, which may be another account's
    page = desk.browser.get(f"/connections/{desk.connection_id}").text
    assert "It ends on 21 September 2026, 15:13 UTC; the service does not let it be renewed." in page
    desk.house.now += 3600
    with pytest.raises(SignInNeeded, match="The sign-in of the connection “My service” is over"):
        desk.tokens.access_token()


def test_o11_a_refresh_token_that_is_refused_ends_the_sign_in_in_plain_words(desk: Desk, service: Service):
    desk.sign_in()
    service.refresh.clear()
    desk.house.now += 3600
    with pytest.raises(
        SignInNeeded, match="The sign-in of the connection “My service” is over"
    ):
        desk.tokens.access_token()
    page = desk.browser.get(f"/connections/{desk.connection_id}").text
    assert "The sign-in is over: the service does not renew it any more. Sign in again." in page


def refuse_refresh(code: str, status: int = 400) -> Any:
    """A token endpoint that refuses refreshes like this."""

    def answer(request: Request) -> Any:
        return json_answer({"error": code}, status) if request.form["grant_type"] == "refresh_token" else None

    return answer


@pytest.mark.parametrize(
    ("code", "words"),
    [
        case("O-11", "invalid_grant", "invalid_grant", "is over"),
        case("O-11", "unauthorized_client", "unauthorized_client", "is over"),
        case("O-11", "invalid_client", "invalid_client", "does not know Postern any more"),
    ],
)
def test_a_refusal_for_good_is_told_once_and_not_asked_again(desk: Desk, service: Service, code: str, words: str):
    desk.sign_in()
    service.answers["/token"] = refuse_refresh(code)
    desk.house.now += 3600
    for _ in range(3):
        with pytest.raises(SignInNeeded, match=words):
            desk.tokens.access_token()
    assert service.refreshes() == 1
    old = len(service.clients)
    assert desk.sign_in().status_code == 303
    assert len(service.clients) == old + (code == "invalid_client")

"""A good access token whenever a call needs one: by one refresher at a time, and without giving up too soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from actors import PASSWORD, Person
from fake_service import Request, Service, follow, json_answer, running_service
from household import House, opened
from server import Server, running_server
from service_connector import CONNECTOR
from signing_in import Desk, settings_for, sit_down

from challenges import read_challenge
from db import open_database
from errors import SignInNeeded, ToolError, UpstreamError
from store.api_keys import insert_key
from store.grants import insert_key_grant
from store.profiles import list_feature_sets, list_profiles
from store.tokens import Caller
from store.upstream_signins import find_sign_in, take_refresh
from store.users import list_users
from upstream_tokens import get_tokens


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


@pytest.fixture
def house(service: Service, tmp_path: Path) -> Iterator[House]:
    with opened(settings_for(service, tmp_path), CONNECTOR) as built:
        yield built.settle()


@pytest.fixture
def desk(house: House, service: Service) -> Desk:
    """Alice, who is signed in at the service."""
    built = sit_down(house, service)
    assert built.sign_in().status_code == 303
    return built


# --- when ---


@pytest.mark.parametrize(
    ("lifetime", "age", "refreshes"),
    [(3600, 3539, 0), (3600, 3540, 1), (100, 89, 0), (100, 90, 1), (None, 10**8, 0)],
    ids=["a minute before", "a minute before: due", "a tenth before", "a tenth before: due", "no end known"],
)
def test_a_token_is_renewed_a_minute_or_a_tenth_of_its_life_ahead(house: House, service: Service, lifetime, age, refreshes):
    service.lifetime = lifetime
    desk = sit_down(house, service)
    desk.sign_in()
    house.now += age
    assert desk.call()["isError"] is False
    assert service.refreshes() == refreshes


def test_a_refresh_that_gives_no_refresh_token_keeps_the_old_one(desk: Desk, service: Service):
    service.gives_refresh, service.rotates = False, False
    old = desk.secrets
    desk.house.now += 3600
    desk.tokens.headers()
    assert desk.secrets["refresh_token"] == old["refresh_token"]
    assert desk.secrets["access_token"] != old["access_token"]
    desk.house.now += 3600
    assert desk.call()["isError"] is False


def test_a_refresh_names_the_resource_again(desk: Desk, service: Service):
    desk.house.now += 3600
    desk.tokens.headers()
    assert service.came("/token")[-1].form["resource"] == service.url


# --- one at a time ---


def call_together(count: int, work) -> list:
    """Let threads begin at the same moment; answers what each got."""
    start = threading.Barrier(count)

    def run(_: int):
        start.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_fifty_threads_refresh_once(desk: Desk, service: Service):
    service.refresh_seconds = 0.2
    desk.house.now += 3600
    tokens = [get_tokens(desk.house.state.sign_ins, desk.connection) for _ in range(2)]
    found = call_together(50, lambda: tokens[threading.get_ident() % 2].headers()["Authorization"])
    assert (len(set(found)), service.refreshes()) == (1, 1)


def test_while_one_refreshes_the_others_go_on_with_a_token_that_is_still_good(desk: Desk, service: Service):
    old = desk.tokens.headers()
    desk.house.now += 3550
    assert take_refresh(desk.house.db, desk.connection_id, "somebody", seconds=30, now=desk.house.now)
    assert desk.tokens.headers() == old
    assert service.refreshes() == 0


def test_a_refresher_that_died_keeps_others_out_for_half_a_minute_only(desk: Desk, service: Service):
    desk.house.now += 3550
    assert take_refresh(desk.house.db, desk.connection_id, "dead", seconds=30, now=desk.house.now)
    desk.house.now += 31
    desk.tokens.headers()
    assert service.refreshes() == 1


def test_a_refusal_of_a_token_that_was_renewed_meanwhile_only_means_try_again(desk: Desk, service: Service):
    mine, theirs = desk.tokens, desk.tokens
    mine.headers()
    desk.house.now += 3600
    theirs.headers()
    mine.refused(401, None)
    assert service.refreshes() == 1


# --- failures ---


def down(request: Request):
    return (503, {}, b"busy") if request.form["grant_type"] == "refresh_token" else None


def proxy(request: Request):
    return (403, {}, b"<h1>Forbidden") if request.form["grant_type"] == "refresh_token" else None


def garbled(request: Request):
    return (200, {}, b"<h1>Welcome") if request.form["grant_type"] == "refresh_token" else None


def busy(request: Request):
    error = json_answer({"error": "temporarily_unavailable"}, 400)
    return error if request.form["grant_type"] == "refresh_token" else None


@pytest.mark.parametrize("failure", [down, proxy, garbled, busy])
def test_a_failure_that_may_pass_is_no_end(desk: Desk, service: Service, failure):
    old = desk.tokens.headers()
    service.answers["/token"] = failure

    desk.house.now += 3550  # due, but good
    assert desk.tokens.headers() == old
    assert desk.tokens.headers() == old
    assert service.refreshes() == 1  # not again for a while

    desk.house.now += 60  # over
    with pytest.raises(UpstreamError, match="cannot be renewed just now"):
        desk.tokens.headers()
    assert find_sign_in(desk.house.db, desk.connection_id).need is None

    del service.answers["/token"]
    desk.house.now += 11
    assert desk.tokens.headers() != old


# --- what the server asks for ---


def test_a_connection_that_nobody_signed_in_for_sends_nothing(house: House, service: Service):
    tokens = sit_down(house, service).tokens
    assert tokens.headers() == {}
    with pytest.raises(SignInNeeded, match="Nobody has signed in for the connection “My service” yet"):
        tokens.refused(401, None)
    with pytest.raises(SignInNeeded, match="Nobody has signed in"):
        tokens.access_token()


def test_tokens_never_go_to_an_address_that_was_typed_later(desk: Desk, service: Service):
    desk.change(url=service.url.replace("/mcp", "/elsewhere"))
    assert desk.tokens.headers() == {}
    with pytest.raises(SignInNeeded, match="was changed since somebody signed in"):
        desk.tokens.refused(401, None)
    assert "The address was changed since you signed in." in desk.browser.get(f"/connections/{desk.connection_id}").text
    desk.change(url=service.url)
    assert desk.tokens.headers() != {}


def test_a_missing_scope_is_asked_for_the_next_time_with_all_there_was(house: House, service: Service):
    desk = sit_down(house, service)
    service.challenge_scope = "read"
    desk.sign_in()
    challenge = 'Bearer error="insufficient_scope", scope="write", error_description="more"'
    desk.tokens.headers()
    with pytest.raises(
        SignInNeeded, match="wants more permissions for this than the connection “My service” has: write"
    ) as caught:
        desk.tokens.refused(403, challenge)
    assert (caught.value.code, caught.value.scope) == ("insufficient_scope", "write")
    assert caught.value.link == f"http://localhost:8000/connections/{desk.connection_id}"
    assert desk.tokens.headers() != {}  # other tools go on
    assert "A tool was refused because it needs more: write." in desk.browser.get(f"/connections/{desk.connection_id}").text

    assert desk.asked(desk.leave())["scope"] == "read write"


@pytest.mark.parametrize("scope", ['a\\"b', "a\\\\b", "x" * 3000, "a\u00e9"])
def test_a_scope_that_is_none_is_not_asked_for(desk: Desk, scope: str):
    with pytest.raises(SignInNeeded) as caught:
        desk.tokens.refused(403, f'Bearer error="insufficient_scope", scope="{scope}"')
    assert caught.value.scope is None or caught.value.scope != scope
    assert "scope" not in desk.asked(desk.leave())


def test_a_plain_refusal_is_no_matter_of_signing_in(desk: Desk):
    with pytest.raises(UpstreamError, match="is not allowed to do this"):
        desk.tokens.refused(403, None)
    assert desk.tokens.headers() != {}


# --- for those who call ---


def test_a_tools_result_says_where_to_sign_in(house: House, service: Service):
    desk = sit_down(house, service)
    caller = Caller(None, "grant", None, house.alice.id, list_profiles(house.db, house.alice.id)[0].id,
                    "http://localhost:8000/mcp/home", 0, None, 1)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolbox.list_granted_kinds", lambda *_: frozenset({"all"}))
        (name,) = [tool["name"] for tool in house.state.toolbox.list_tools(caller) if "who_am_i" in tool["name"]]
        result = house.state.toolbox.call_tool(caller, name, {}, None)

    link = f"http://localhost:8000/connections/{desk.connection_id}"
    assert result["isError"] is True
    assert result["content"][0]["text"] == f"Nobody has signed in for the connection “My service” yet. Sign in at {link}"
    (challenge,) = result["_meta"]["mcp/www_authenticate"]
    words = read_challenge(challenge)
    assert words["resource_metadata"] == "http://localhost:8000/.well-known/oauth-protected-resource/mcp/home"
    assert words["error"] == "invalid_token"
    assert words["error_description"].endswith(f"Sign in at {link}")


def test_a_handler_gets_an_access_token_and_never_what_renews_it(desk: Desk):
    desk.change(url=desk.service.url)
    service_answer = desk.call()
    assert service_answer["isError"] is False
    desk.service.access.clear()
    with pytest.raises(ToolError, match=r"status 401, secrets \['access_token'\]"):
        desk.call()


# --- two workers ---

CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "service_who_am_i", "arguments": {}},
}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def sign_in_at(server: Server, service: Service) -> str:
    """The owner makes a connection on the pages and signs in at the service; answers an API key for it."""
    person = Person(server.url)
    person.sign_in()
    page = person.get("/connections/new?connector=service&profile=home")
    page = person.submit(page, button=("action", "save"), url=service.url)
    away = person.submit(page, form=1)
    assert away.status_code == 303, away.text
    home = person.get(follow(away.headers["Location"]))
    assert home.status_code == 200
    return make_key(server)


def make_key(server: Server) -> str:
    """A key of the owner's, for everything in their first profile."""
    db = open_database(f"sqlite:///{server.folder}/data/postern.db", creates=False)
    now = int(time.time())
    profile = list_profiles(db, list_users(db)[0].id)[0]
    with db.write() as run:
        key_id, key = insert_key(run, profile.user_id, "fifty", lifetime=None, now=now)
        insert_key_grant(run, profile.id, key_id, list_feature_sets(db, profile.id)[0].id, now)
    db.close()
    return key


@pytest.mark.server
def test_two_workers_refresh_once(service: Service, tmp_path: Path):
    environ = {"WORKERS": "2", "OWNER_PASSWORD": PASSWORD, "ALLOW_PRIVATE_UPSTREAMS": service.private}
    with running_server(tmp_path, "service_connector", **environ) as server:
        service.lifetime = 1
        key = sign_in_at(server, service)
        time.sleep(2)
        service.lifetime, service.refresh_seconds = 3600, 0.5

        def call() -> dict:
            answer = requests.post(f"{server.url}/mcp", json=CALL, headers=HEADERS | {"X-API-Key": key}, timeout=60)
            return answer.json()["result"]

        results = call_together(50, call)

    assert [result for result in results if result["isError"]] == []
    assert len({result["content"][0]["text"].split()[0] for result in results}) == 2, "one worker did it all"
    assert (service.refreshes(), len(service.came("/token"))) == (1, 2)

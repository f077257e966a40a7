"""client_documents.py: a client that describes itself under its own URL."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from conftest import NOW
from patience import wait_until
from web_of_clients import DOCUMENT_URL, Web, chatgpt_document

from client_documents import ClientDocuments, emulated_url, read_max_age
from config import Settings
from db import Database
from errors import FetchError, TooManyRequests, UnsafeRedirect
from fetch import ANONYMOUS, Fetcher, Response
from joint_fetches import WAITING_MAX
from store.clients import find_client
from store.emulated_documents import delete_document, insert_document


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def documents(db: Database, web: Web, settings: Settings, clock: Clock) -> ClientDocuments:
    return ClientDocuments(db, web, settings, clock)


def no_limit() -> AbstractContextManager[None]:
    """A limit that is never used up."""
    return nullcontext()


def test_it_takes_the_form_that_chatgpt_publishes(documents: ClientDocuments, web: Web, db: Database):
    web.publish(DOCUMENT_URL, chatgpt_document())
    client = documents.find(DOCUMENT_URL, no_limit)
    assert (client.id, client.kind, client.name) == (DOCUMENT_URL, "cimd", "ChatGPT")
    assert client.auth_methods == {"none", "private_key_jwt"}
    assert client.redirect_uris == ("https://chat.example/connector_platform_oauth_redirect",)
    assert find_client(db, DOCUMENT_URL) == client
    assert web.trusts == [ANONYMOUS]


def test_a_method_that_is_left_out_is_none(documents: ClientDocuments, web: Web):
    plain = {"token_endpoint_auth_method": None, "token_endpoint_auth_methods_supported": None, "jwks_uri": None}
    web.publish(DOCUMENT_URL, chatgpt_document(**plain))
    assert documents.find(DOCUMENT_URL, no_limit).auth_methods == {"none"}


@pytest.mark.parametrize(
    "url",
    [
        "http://chat.example/c.json", "https://chat.example", "https://chat.example/", "https://chat.example/c#x",
        "https://user@chat.example/c", "https://chat.example:443/c", "https://chat.example:8443/c", "https://chat.example/a/../c",
        "https://chat.example/./c", "https://chat.example/%2e%2e/c", "https://chat.example/" + "x" * 3000, "https://Chat.example/c",
        "https://chat.example/a b", "https://chat.example/a\\b", "https://chat.example/é",
    ],
)  # fmt: skip
def test_it_refuses_an_odd_url_without_fetching_anything(documents: ClientDocuments, web: Web, url: str):
    web.publish(url, chatgpt_document(client_id=url))
    with pytest.raises(UnsafeRedirect):
        documents.find(url, no_limit)
    assert web.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": DOCUMENT_URL.upper()}, {"client_id": DOCUMENT_URL + "/"}, {"client_id": None},
        {"client_name": None}, {"client_name": 5}, {"client_name": " "}, {"client_name": "x" * 201}, {"client_name": "\ud800"},
        {"redirect_uris": None}, {"redirect_uris": []}, {"redirect_uris": "https://chat.example/cb"},
        {"redirect_uris": ["javascript:alert(1)"]}, {"redirect_uris": ["http://chat.example/cb"]},
        {"redirect_uris": ["https://chat.example/cb"] * 51},
        {"client_secret": "x"}, {"token_endpoint_auth_method": "client_secret_post"}, {"token_endpoint_auth_method": 5},
        {"token_endpoint_auth_methods_supported": "none"},
        {"jwks_uri": None}, {"jwks_uri": "http://chat.example/jwks.json"},
        {"jwks_uri": None, "jwks": {"keys": [{"kty": "RSA", "n": "x", "e": "AQAB", "d": "private"}]}},
        {"jwks_uri": None, "jwks": []}, {"jwks": {"keys": []}},
    ],
    ids=lambda changes: "-".join(f"{name}={value!r}"[:40] for name, value in changes.items()),
)  # fmt: skip
def test_it_refuses_a_bad_document_and_keeps_nothing(documents: ClientDocuments, web: Web, db: Database, changes: dict[str, Any]):
    web.publish(DOCUMENT_URL, chatgpt_document(**changes))
    with pytest.raises(UnsafeRedirect, match=r"chat\.example"):
        documents.find(DOCUMENT_URL, no_limit)
    assert find_client(db, DOCUMENT_URL) is None


@pytest.mark.parametrize("content_type", ["text/html", "", "application/jsonx", "text/json"])
def test_it_refuses_another_media_type(documents: ClientDocuments, web: Web, content_type: str):
    web.publish(DOCUMENT_URL, chatgpt_document(), **{"Content-Type": content_type})
    with pytest.raises(UnsafeRedirect, match="not JSON"):
        documents.find(DOCUMENT_URL, no_limit)


@pytest.mark.parametrize("body", [b"[]", b"null", b"not json", b"", b'"x"', b"[" * 100_000])
def test_it_refuses_what_is_no_json_object(documents: ClientDocuments, web: Web, body: bytes):
    web.pages[DOCUMENT_URL] = Response(200, {"Content-Type": "application/json"}, body)
    with pytest.raises(UnsafeRedirect):
        documents.find(DOCUMENT_URL, no_limit)


def test_redirects_that_we_do_not_accept_are_left_out(documents: ClientDocuments, web: Web):
    uris = ["weird://app/callback", "https://chat.example/cb", "http://127.0.0.1/callback"]
    web.publish(DOCUMENT_URL, chatgpt_document(redirect_uris=uris))
    assert documents.find(DOCUMENT_URL, no_limit).redirect_uris == ("https://chat.example/cb", "http://127.0.0.1/callback")


# --- caching ---


def test_a_fresh_copy_is_not_fetched_again_and_a_stale_one_is(documents: ClientDocuments, web: Web, clock: Clock):
    web.publish(DOCUMENT_URL, chatgpt_document(), **{"Cache-Control": "max-age=60"})
    documents.find(DOCUMENT_URL, no_limit)
    clock.now += 59
    documents.find(DOCUMENT_URL, no_limit)
    assert len(web.asked) == 1
    clock.now += 1
    web.publish(DOCUMENT_URL, chatgpt_document(client_name="Renamed", redirect_uris=["https://chat.example/new"]))
    renamed = documents.find(DOCUMENT_URL, no_limit)
    assert (renamed.name, renamed.redirect_uris) == ("Renamed", ("https://chat.example/new",))
    assert len(web.asked) == 2


@pytest.mark.parametrize("failure", [FetchError("It did not answer."), Response(200, {"Content-Type": "text/html"}, b"oops")])
def test_the_last_good_copy_serves_while_there_is_no_good_answer(
    documents: ClientDocuments, web: Web, clock: Clock, failure: Response | Exception
):
    web.publish(DOCUMENT_URL, chatgpt_document())
    documents.find(DOCUMENT_URL, no_limit)
    clock.now += 90_000
    web.pages[DOCUMENT_URL] = failure
    assert documents.find(DOCUMENT_URL, no_limit).name == "ChatGPT"
    web.publish(DOCUMENT_URL, chatgpt_document(client_name="Back"))
    assert documents.find(DOCUMENT_URL, no_limit).name == "Back"  # the failure itself was not kept


def test_a_failure_is_not_kept(documents: ClientDocuments, web: Web):
    with pytest.raises(UnsafeRedirect, match="did not answer"):
        documents.find(DOCUMENT_URL, no_limit)
    web.publish(DOCUMENT_URL, chatgpt_document())
    assert documents.find(DOCUMENT_URL, no_limit).name == "ChatGPT"


def test_many_at_once_make_one_fetch(documents: ClientDocuments, web: Web):
    web.publish(DOCUMENT_URL, chatgpt_document())
    answer = web.request
    web.request = lambda *args, **options: time.sleep(0.2) or answer(*args, **options)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(documents.find(DOCUMENT_URL, no_limit).id)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(web.asked)) == (30, 1)


def test_the_limit_counts_fetches_and_not_visits(documents: ClientDocuments, web: Web):
    def used_up() -> None:
        raise TooManyRequests(60)

    web.publish(DOCUMENT_URL, chatgpt_document())
    with pytest.raises(TooManyRequests):
        documents.find(DOCUMENT_URL, used_up)
    assert web.asked == []
    documents.find(DOCUMENT_URL, no_limit)
    assert documents.find(DOCUMENT_URL, used_up).name == "ChatGPT"


def test_the_last_good_copy_serves_while_the_limit_is_used_up(documents: ClientDocuments, web: Web, clock: Clock):
    def used_up() -> None:
        raise TooManyRequests(60)

    web.publish(DOCUMENT_URL, chatgpt_document())
    documents.find(DOCUMENT_URL, no_limit)
    clock.now += 90_000
    assert documents.find(DOCUMENT_URL, used_up).name == "ChatGPT"
    assert len(web.asked) == 1


def test_many_who_wait_for_a_url_that_fails_wait_for_one_failure(documents: ClientDocuments, web: Web):
    answer, refused, released = web.request, list[str](), threading.Event()
    web.request = lambda *args, **options: released.wait(10) and answer(*args, **options)

    def visit() -> None:
        with pytest.raises(UnsafeRedirect) as refusal:
            documents.find(DOCUMENT_URL, no_limit)
        refused.append(str(refusal.value))

    threads = [threading.Thread(target=visit) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: documents._fetches._waiting._value == WAITING_MAX - 4)
    released.set()
    for thread in threads:
        thread.join()
    assert (len(refused), len(web.asked)) == (5, 1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 300), ("max-age=60", 60), ("public, MAX-AGE=60", 60), ('max-age="60"', 60), ("max-age=1000000000", 86400),
        ("no-store", 0), ("no-cache, max-age=60", 0), ("max-age=-5", 300), ("max-age=soon", 300), ("max-age=0", 0),
    ],
)  # fmt: skip
def test_cache_headers_are_obeyed_within_bounds(header: str, seconds: int):
    assert read_max_age({"Cache-Control": header}) == seconds


# --- what `cli.py emulate` publishes on this very server ---

HERE = "http://localhost:8000"
KEYS = {"jwks_uri": None, "jwks": {"keys": []}}


def publish_here(db: Database, public_url: str = HERE, **changes: Any) -> str:
    """Lay a document in our own database for ten minutes; answers its address."""
    url = emulated_url(public_url, "d0c")
    insert_document(db, "d0c", chatgpt_document(**({"client_id": url} | KEYS | changes)), expires_at=NOW + 600)
    return url


def refuse_fetching() -> AbstractContextManager[None]:
    """A limit that nothing may touch."""
    raise AssertionError("it was about to fetch")


@pytest.mark.parametrize("public_url", [HERE, "https://postern.example"])
def test_a_document_of_our_own_is_read_and_not_fetched(db: Database, web: Web, settings: Settings, clock: Clock, public_url: str):
    documents = ClientDocuments(db, web, replace(settings, public_url=public_url), clock)
    url = publish_here(db, public_url)
    client = documents.find(url, refuse_fetching)
    assert (client.id, client.kind, client.name, client.fresh_until) == (url, "cimd", "ChatGPT", NOW + 600)
    assert client.auth_methods == {"none", "private_key_jwt"}
    assert find_client(db, url) == client
    assert web.asked == []


def test_a_document_of_our_own_is_unknown_once_it_has_expired(db: Database, documents: ClientDocuments, web: Web, clock: Clock):
    url = publish_here(db)
    clock.now += 599
    documents.find(url, refuse_fetching)
    clock.now += 1
    web.publish(url, chatgpt_document(client_id=url))
    with pytest.raises(UnsafeRedirect, match="does not know the app"):
        documents.find(url, refuse_fetching)
    assert web.asked == []


def test_a_document_of_our_own_is_unknown_once_it_was_taken_back(db: Database, documents: ClientDocuments):
    url = publish_here(db)
    documents.find(url, refuse_fetching)
    delete_document(db, "d0c")
    with pytest.raises(UnsafeRedirect, match="does not know the app"):
        documents.find(url, refuse_fetching)
    assert find_client(db, url) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": DOCUMENT_URL},
        {"client_name": None},
        {"redirect_uris": ["http://chat.example/cb"]},
        {"client_secret": "x"},
        {"jwks": None},
        {"jwks": {"keys": [{"kty": "RSA", "d": "private"}]}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_document_of_our_own_is_under_the_same_rules(db: Database, documents: ClientDocuments, changes: dict[str, Any]):
    publish_here(db, **changes)
    with pytest.raises(UnsafeRedirect, match="cannot be used"):
        documents.find(emulated_url(HERE, "d0c"), refuse_fetching)
    assert db.query("SELECT id FROM clients") == []


@pytest.mark.parametrize(
    "path", ["/oauth/emulated/d0c", "/oauth/emulated/x.json", "/oauth/emulated/", "/oauth/emulated/../emulated/d0c.json",
             "/oauth/emulated/d0c.json?x", "/oauth/emulated/d0c.json/", "/oauth/client.json", "/oauth//emulated/d0c.json",
             "/OAUTH/emulated/d0c.json", "/oauth/emulate%64/d0c.json"],
)  # fmt: skip
@pytest.mark.parametrize("public_url", [HERE, "https://postern.example"])
def test_any_other_address_of_ours_is_refused_without_a_fetch(
    db: Database, settings: Settings, clock: Clock, public_url: str, path: str
):
    def look_up(host: str, port: int) -> list[str]:
        raise AssertionError("it was about to look up a name")

    publish_here(db, public_url)
    fetch = Fetcher(resolver=look_up, own_host="postern.example")
    with pytest.raises(UnsafeRedirect):
        ClientDocuments(db, fetch, replace(settings, public_url=public_url), clock).find(public_url + path, no_limit)
    assert db.query("SELECT id FROM clients") == []


def test_the_same_path_at_another_host_is_fetched_as_ever(db: Database, documents: ClientDocuments, web: Web):
    publish_here(db)
    url = emulated_url("https://chat.example", "d0c")
    web.publish(url, chatgpt_document(client_id=url, client_name="Another"))
    assert documents.find(url, no_limit).name == "Another"
    assert (web.asked, web.trusts) == ([url], [ANONYMOUS])

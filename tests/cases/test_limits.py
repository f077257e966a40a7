"""Limits of the endpoints for programs and of /authorize, over HTTP: who is refused, how, and who is not."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from actors import Assistant, Person
from house import House
from server import Server

from cases.token_endpoint import assert_refused

pytestmark = pytest.mark.server

WRONG = {"grant_type": "refresh_token", "refresh_token": "mcp_rt_unknown"}


def test_too_many_requests_about_tokens_are_refused_until_the_time_they_are_told(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    statuses = Counter(assistant.post_token(**WRONG).status_code for _ in range(299))
    refused = assistant.refresh()
    assert statuses == {400: 299}
    assert_refused(refused, 429, "temporarily_unavailable")
    assert refused.headers["Retry-After"] == "1"
    house.clock.forward(1)
    assert assistant.refresh().status_code == 200


def test_failures_of_one_client_are_refused_earlier_and_it_still_gets_in(house: House, owner: Person):
    assistant = Assistant(house.url, session=house.session(), token_endpoint_auth_method="client_secret_post")
    secret = assistant.registration["client_secret"]
    assistant.tokens = assistant.exchange(owner.decide(assistant.authorize_url()), client_secret=secret).json()
    statuses = Counter(assistant.refresh(client_secret="wrong").status_code for _ in range(30))
    assert statuses == {401: 20, 429: 10}
    assert_refused(assistant.refresh(client_secret="wrong"), 429, "temporarily_unavailable")
    assert assistant.refresh(client_secret=secret).status_code == 200
    other = Assistant(house.url, session=house.session(), token_endpoint_auth_method="client_secret_post")
    assert_refused(other.post_token(**WRONG, client_secret="wrong"), 401, "invalid_client")


def test_too_many_visits_to_authorize_are_refused_with_a_page(house: House, owner: Person):
    url = Assistant(house.url, session=house.session()).authorize_url()
    visits = [owner.session.get(url, allow_redirects=False) for _ in range(121)]
    assert Counter(answer.status_code for answer in visits) == {303: 120, 429: 1}
    assert visits[-1].headers["Retry-After"] == "1"
    assert "<h1>Too many tries</h1>" in visits[-1].text
    house.clock.forward(1)
    assert owner.session.get(url, allow_redirects=False).status_code == 303


def test_fifty_at_once_from_one_address_all_get_their_tokens(server: Server, alice: Person):
    assistants = [Assistant(server.url) for _ in range(50)]
    callbacks = [alice.decide(assistant.authorize_url()) for assistant in assistants]
    with ThreadPoolExecutor(50) as crowd:
        exchanged = list(crowd.map(Assistant.exchange, assistants, callbacks))
        refreshed = list(crowd.map(refresh_with, assistants, exchanged))
    assert Counter(answer.status_code for answer in exchanged) == {200: 50}
    assert Counter(answer.status_code for answer in refreshed) == {200: 50}


def refresh_with(assistant: Assistant, exchanged: requests.Response) -> requests.Response:
    """Trade the refresh token that has just been issued."""
    return assistant.refresh(exchanged.json()["refresh_token"])

"""The flows of known assistants, as their makers describe them, against a house whose clock and web are the test's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from actors import PASSWORD, Person
from conftest import MASTER_KEY, NOW
from house import Clock, House
from web_of_clients import DOCUMENT_URL, KEYS_URL, Signer, Web, chatgpt_document

import crypto
from client_assertions import ASSERTION_TYPE
from config import load_settings
from crypto import s256

REDIRECT = "https://chat.example/connector_platform_oauth_redirect"


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web) -> Iterator[House]:
    monkeypatch.setitem(crypto.ARGON2, "memory_cost", 64)
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ, None), Clock(NOW), fetch=web)
    yield built
    built.close()


@pytest.fixture
def owner(house: House) -> Person:
    person = Person(house.url, session=house.session())
    person.sign_in()
    return person


class ChatGPT:
    """Describes itself under a URL, signs every request to /token, sends `resource` twice the same way, and no scope."""

    def __init__(self, house: House, web: Web, signs: bool = True):
        self.house, self.session, self.signer, self.signs = house, house.session(), Signer(), signs
        web.publish(DOCUMENT_URL, chatgpt_document())
        web.publish(KEYS_URL, {"keys": [self.signer.public()]})
        self.metadata = self.session.get(house.url + "/.well-known/oauth-authorization-server").json()
        self.verifier = secrets.token_urlsafe(48)
        self.tokens: dict[str, Any] = {}

    def authorize_url(self) -> str:
        asked = {
            "response_type": "code",
            "client_id": DOCUMENT_URL,
            "redirect_uri": REDIRECT,
            "state": "s",
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
            "resource": self.house.url + "/mcp",
        }
        return self.metadata["authorization_endpoint"] + "?" + urlencode(asked)

    def post_token(self, **form: str) -> requests.Response:
        own = {"client_id": DOCUMENT_URL, "resource": self.house.url + "/mcp"}
        if self.signs:
            now = int(self.house.clock())
            assertion = self.signer.sign(DOCUMENT_URL, self.metadata["token_endpoint"], now)
            own |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        return self.session.post(self.metadata["token_endpoint"], data=own | form)

    def sign_in(self, person: Person) -> None:
        callback = person.decide(self.authorize_url())
        answer = parse_qs(urlsplit(callback).query)
        assert answer["iss"] == [self.metadata["issuer"]]  # what buys its stable redirect URI
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": self.verifier}
        self.tokens = self.post_token(**form, code=answer["code"][0]).json()

    def call(self, method: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", "Accept": "application/json, text/event-stream"}
        return self.session.post(self.house.url + "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method}, headers=headers)


@pytest.mark.parametrize("signs", [True, False], ids=["private_key_jwt", "none"])
def test_chatgpt_signs_in_by_its_document_and_refreshes_before_every_call(house: House, web: Web, owner: Person, signs: bool):
    chatgpt = ChatGPT(house, web, signs)
    assert chatgpt.metadata["client_id_metadata_document_supported"] is True
    assert {"none", "private_key_jwt"} <= set(chatgpt.metadata["token_endpoint_auth_methods_supported"])
    chatgpt.sign_in(owner)
    for _ in range(20):
        house.clock.forward(120)
        chatgpt.tokens = chatgpt.post_token(grant_type="refresh_token", refresh_token=chatgpt.tokens["refresh_token"]).json()
        assert chatgpt.call("tools/list").status_code == 200
    assert house.db.query("SELECT kind FROM clients")[0]["kind"] == "cimd"


def test_the_consent_page_names_the_host_that_the_description_came_from(house: House, web: Web, owner: Person):
    page = owner.get(ChatGPT(house, web).authorize_url())
    assert page.status_code == 200
    assert "chat.example" in page.text


def test_a_redirect_that_is_not_in_the_document_is_a_page(house: House, web: Web, owner: Person):
    url = ChatGPT(house, web).authorize_url().replace(urlencode({"r": REDIRECT})[2:], urlencode({"r": "https://evil.example/"})[2:])
    page = owner.get(url)
    assert page.status_code == 400
    assert "redirect_uri" in page.text


def test_a_forged_signature_is_refused_and_the_code_is_still_good(house: House, web: Web, owner: Person):
    chatgpt = ChatGPT(house, web)
    right = chatgpt.signer
    code = parse_qs(urlsplit(owner.decide(chatgpt.authorize_url())).query)["code"][0]
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": chatgpt.verifier, "code": code}
    chatgpt.signer = Signer()
    refused = chatgpt.post_token(**form)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    chatgpt.signer = right
    assert chatgpt.post_token(**form).status_code == 200


def test_two_ways_to_authenticate_at_once_are_refused(house: House, web: Web):
    answer = ChatGPT(house, web).post_token(grant_type="refresh_token", refresh_token="x", client_secret="y")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_client_whose_document_does_not_list_none_must_sign(house: House, web: Web, owner: Person):
    chatgpt = ChatGPT(house, web, signs=False)
    web.publish(DOCUMENT_URL, chatgpt_document(token_endpoint_auth_methods_supported=None))
    code = parse_qs(urlsplit(owner.decide(chatgpt.authorize_url())).query)["code"][0]
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": chatgpt.verifier, "code": code}
    refused = chatgpt.post_token(**form)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")

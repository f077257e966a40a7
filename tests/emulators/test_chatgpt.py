"""ChatGPT: describes itself, signs every request to /token, names no scope, and refreshes before every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from actors import Person
from house import House
from web_of_clients import Signer, Web

from assistants import ASSISTANTS, CHATGPT_OWN, CHATGPT_STABLE, chatgpt, public
from emulators.conftest import Installed

STABLE = ASSISTANTS["chatgpt"].document
OWN = chatgpt("c0nn3ct10n/client.json", CHATGPT_OWN)


@pytest.fixture
def signed(arrive: Callable[..., Installed], web: Web) -> Callable[..., Installed]:
    """ChatGPT with a key of its own, and the document and redirect URI of a kind."""

    def come(document: Any = STABLE) -> Installed:
        assistant = arrive("chatgpt", document=document)
        assistant.signer = Signer()
        web.publish(STABLE["jwks_uri"], {"keys": [assistant.signer.public()]})
        assistant.redirect_uri = document["redirect_uris"][0]
        return assistant

    return come


def test_its_addresses_are_those_that_its_maker_documents():
    assert STABLE["client_id"] == "https://chatgpt.com/oauth/client.json"
    assert CHATGPT_STABLE == "https://chatgpt.com/connector_platform_oauth_redirect"
    assert OWN["client_id"] == "https://chatgpt.com/oauth/c0nn3ct10n/client.json"
    assert CHATGPT_OWN == "https://chatgpt.com/connector/oauth/c0nn3ct10n"


@pytest.mark.parametrize("signs", [True, False], ids=["private_key_jwt", "none"])
@pytest.mark.parametrize("document", [STABLE, OWN], ids=["stable", "per connection"])
def test_it_signs_in_by_its_document_and_refreshes_before_every_call(
    house: House, owner: Person, signed: Callable[..., Installed], document: Any, signs: bool
):
    assistant = signed(document)
    if not signs:
        assistant.signer = None
    assert assistant.server["client_id_metadata_document_supported"] is True
    assert {"none", "private_key_jwt"} <= set(assistant.server["token_endpoint_auth_methods_supported"])
    assistant.sign_in(owner)
    for _ in range(20):
        house.clock.forward(120)
        assistant.refresh()
        assert assistant.can_call()
    assert house.db.query("SELECT kind FROM clients")[0]["kind"] == "cimd"


@pytest.mark.parametrize("redirect", [CHATGPT_STABLE, CHATGPT_OWN], ids=["stable", "per connection"])
def test_it_signs_in_by_registration_and_refreshes_before_every_call(
    house: House, owner: Person, arrive: Callable[..., Installed], redirect: str
):
    assistant = arrive("chatgpt")
    assistant.registration = dict(public("ChatGPT", redirect))
    assistant.redirect_uri = redirect
    assistant.register()
    assistant.sign_in(owner)
    for _ in range(20):
        house.clock.forward(120)
        assistant.refresh()
        assert assistant.can_call()
    assert [row["kind"] for row in house.db.query("SELECT kind FROM clients")] == ["dcr"]


def test_it_names_the_resource_twice_and_a_token_for_another_one_does_not_come(
    owner: Person, arrive: Callable[..., Installed]
):
    assistant = arrive("chatgpt", by="registration")
    assert parse_qs(urlsplit(assistant.authorize_url()).query)["resource"] == [assistant.mcp_url]
    callback = owner.decide(assistant.authorize_url())
    right, assistant.mcp_url = assistant.mcp_url, assistant.mcp_url + "/home"
    refused = assistant.post("token_endpoint", **code_form(assistant, callback), resource=assistant.mcp_url)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_target")
    assistant.mcp_url = right
    assistant.take_callback(callback)
    assert assistant.can_call()


def code_form(assistant: Installed, callback: str) -> dict[str, str]:
    """What it sends for the code in a callback URL."""
    code = parse_qs(urlsplit(callback).query)["code"][0]
    form = {"grant_type": "authorization_code", "redirect_uri": assistant.redirect_uri, "code_verifier": assistant.verifier}
    return form | {"code": code}


def test_it_names_no_scope_and_gets_what_the_server_has(owner: Person, arrive: Callable[..., Installed]):
    assistant = arrive("chatgpt", by="registration")
    assert "scope" not in parse_qs(urlsplit(assistant.authorize_url()).query)
    assistant.sign_in(owner)
    assert assistant.tokens["scope"] == "mcp"


def test_the_consent_page_names_the_host_that_the_answer_goes_to(owner: Person, signed: Callable[..., Installed]):
    page = owner.get(signed().authorize_url())
    assert page.status_code == 200
    assert "chatgpt.com" in page.text


def test_a_redirect_that_is_not_in_the_document_is_a_page(owner: Person, signed: Callable[..., Installed]):
    assistant = signed(STABLE)
    assistant.redirect_uri = CHATGPT_OWN
    page = owner.get(assistant.authorize_url())
    assert page.status_code == 400
    assert "redirect_uri" in page.text


def test_a_forged_signature_is_refused_and_the_code_is_still_good(owner: Person, signed: Callable[..., Installed]):
    assistant = signed()
    right, assistant.signer = assistant.signer, Signer()
    callback = owner.decide(assistant.authorize_url())
    refused = assistant.post("token_endpoint", **code_form(assistant, callback))
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")
    assistant.signer = right
    assistant.take_callback(callback)
    assert assistant.can_call()


def test_two_ways_to_authenticate_at_once_are_refused(signed: Callable[..., Installed]):
    answer = signed().post("token_endpoint", grant_type="refresh_token", refresh_token="x", client_secret="y")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


def test_a_client_whose_document_does_not_list_none_must_sign(owner: Person, signed: Callable[..., Installed]):
    document = {name: value for name, value in STABLE.items() if name != "token_endpoint_auth_methods_supported"}
    assistant = signed(document)
    right, assistant.signer = assistant.signer, None
    callback = owner.decide(assistant.authorize_url())
    refused = assistant.post("token_endpoint", **code_form(assistant, callback))
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")
    assistant.signer = right
    assistant.take_callback(callback)
    assert assistant.can_call()


def test_it_may_name_itself_without_a_proof_but_learns_nothing_about_tokens_then(owner: Person, signed: Callable[..., Installed]):
    assistant = signed()
    assistant.sign_in(owner)
    proved = assistant.post("introspection_endpoint", token=assistant.tokens["access_token"])
    assert (proved.status, proved.json()["active"]) == (200, True)
    assistant.signer = None
    unproved = assistant.post("introspection_endpoint", token=assistant.tokens["access_token"])
    assert (unproved.status, unproved.json()["error"]) == (401, "invalid_client")

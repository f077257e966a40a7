"""Cursor, VS Code, Codex and Gemini CLI: programs on the person's machine, with the redirect URIs that each of them has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from actors import Person
from house import House

from assistants import ASSISTANTS, CURSOR, DEVICE_CODE, VSCODE
from emulators.conftest import PORT, Installed
from smoke import with_port

EVERY_WAY = [
    (name, by, number)
    for name in ("cursor", "vscode", "codex", "gemini")
    for by in ("document", "registration")
    for number, uri in enumerate(ASSISTANTS[name].redirect_uris)
    if by == "registration" or (ASSISTANTS[name].document and "insiders" not in uri)
    if (name, by, number) != ("codex", "registration", 1)  # it registers the one that it uses
]


@pytest.mark.parametrize(("name", "by", "number"), EVERY_WAY)
def test_it_signs_in_at_each_of_its_redirect_uris_and_stays_for_a_day(
    house: House, owner: Person, arrive: Callable[..., Installed], name: str, by: str, number: int
):
    editor = arrive(name, by=by, redirect=number)
    callback = owner.decide(editor.authorize_url())
    assert callback.startswith(with_port(ASSISTANTS[name].redirect_uris[number], PORT) + "?")
    editor.take_callback(callback)
    editor.open()
    for _ in range(24):
        house.clock.forward(3600)
        assert editor.call("tools/list").status == 401
        editor.refresh()
        assert editor.can_call()


def test_cursor_registers_its_three_redirect_uris_and_gets_them_back(arrive: Callable[..., Installed]):
    assert set(CURSOR) == {
        "http://localhost:8787/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
    }
    assert arrive("cursor", by="registration").client_id.startswith("client_")  # the step compares them


def test_the_consent_page_says_that_the_answer_goes_to_the_app_cursor(owner: Person, arrive: Callable[..., Installed]):
    page = owner.get(arrive("cursor", by="registration").authorize_url())
    assert page.status_code == 200
    assert "cursor://" in page.text


def test_another_scheme_than_cursors_cannot_be_registered(arrive: Callable[..., Installed]):
    cursor = arrive("cursor", by="registration")
    body = cursor.registration | {"redirect_uris": ["cursor://evil.example/oauth/callback"]}
    refused = cursor.fetch.request("POST", cursor.server["registration_endpoint"], trust=None, json=body)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_redirect_uri")


def test_vscode_registers_four_redirect_uris_and_a_grant_that_it_is_not_given(arrive: Callable[..., Installed]):
    vscode = arrive("vscode", by="registration")
    assert vscode.registration["redirect_uris"] == list(VSCODE)
    assert DEVICE_CODE in vscode.registration["grant_types"]
    answer = vscode.fetch.request("POST", vscode.server["registration_endpoint"], trust=None, json=vscode.registration)
    assert answer.json()["grant_types"] == ["authorization_code", "refresh_token"]
    assert answer.json()["application_type"] == "native"


def test_the_ids_of_the_documents_are_those_that_their_makers_serve():
    assert ASSISTANTS["vscode"].document["client_id"] == "https://vscode.dev/oauth/client-metadata.json"
    assert ASSISTANTS["codex"].document["client_id"] == "https://chatgpt.com/oauth/codex/client.json"


def test_vscode_finds_the_resource_to_be_what_was_typed_by_either_of_two_addresses(arrive: Callable[..., Installed]):
    vscode = arrive("vscode")
    base = vscode.server["issuer"] + "/.well-known/oauth-protected-resource"
    assert [vscode.get(url)["resource"] for url in (base + "/mcp", base)] == [vscode.mcp_url] * 2


def test_gemini_registers_with_an_empty_scope_and_is_given_the_usual_one(owner: Person, arrive: Callable[..., Installed]):
    gemini = arrive("gemini", by="registration")
    assert gemini.registration["scope"] == ""
    gemini.sign_in(owner)
    assert gemini.tokens["scope"].split()[0] == "mcp"


def test_gemini_compares_the_issuer_byte_for_byte(owner: Person, arrive: Callable[..., Installed]):
    gemini = arrive("gemini", by="registration")
    callback = owner.decide(gemini.authorize_url())
    assert callback.endswith("&iss=http%3A%2F%2Flocalhost%3A8000")
    assert gemini.server["issuer"] == "http://localhost:8000"

"""The main job, end to end, through a real gunicorn: from discovery to a tool's result."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from actors import Assistant, FormReader, Person, setup_code
from server import Server, running_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with running_server(tmp_path_factory.mktemp("journey")) as running:
        yield running


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    person = Person(server.url)
    assert person.set_up(setup_code(server.log)).url == server.url + "/admin"
    return person


def test_a_stranger_is_led_from_the_url_to_the_sign_in(server: Server):
    refused = requests.post(server.url + "/mcp", timeout=10)
    assert refused.status_code == 401
    document = refused.headers["WWW-Authenticate"].split('resource_metadata="')[1].split('"')[0]
    resource = requests.get(document, timeout=10).json()
    assert resource["resource"] == server.url + "/mcp"
    metadata = requests.get(resource["authorization_servers"][0] + "/.well-known/oauth-authorization-server", timeout=10).json()
    assert metadata["issuer"] == server.url
    assert requests.post(metadata["registration_endpoint"], json={}, timeout=10).status_code == 400


def test_an_assistant_signs_in_and_calls_a_tool(server: Server, alice: Person):
    assistant = Assistant(server.url)
    callback = alice.decide(assistant.authorize_url())
    answer = parse_qs(urlsplit(callback).query)
    assert callback.startswith(assistant.redirect_uri + "?")
    assert (answer["state"], answer["iss"]) == (["a state"], [server.url])
    tokens = assistant.exchange(callback).json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "mcp")
    assistant.tokens = tokens
    names = {tool["name"] for tool in assistant.call("tools/list").json()["result"]["tools"]}
    assert {"status_get", "status_set_work"} <= names
    assistant.call("tools/call", {"name": "status_set_work", "arguments": {"workStatus": "remote"}})
    status = assistant.call("tools/call", {"name": "status_get_work", "arguments": {}}).json()["result"]["structuredContent"]
    assert status["workStatus"] == "remote"


def test_an_assistant_with_read_only_neither_sees_nor_calls_a_writing_tool(server: Server, alice: Person):
    assistant = Assistant(server.url)
    assistant.tokens = assistant.exchange(alice.decide(assistant.authorize_url(), feature_set="read_only")).json()
    names = {tool["name"] for tool in assistant.call("tools/list").json()["result"]["tools"]}
    assert "status_get" in names
    assert "status_set_work" not in names
    refused = assistant.call("tools/call", {"name": "status_set_work", "arguments": {"workStatus": "off"}}).json()
    unknown = assistant.call("tools/call", {"name": "no_such_tool", "arguments": {}}).json()
    assert refused["error"]["code"] == -32602
    assert refused["error"] == unknown["error"]


def test_deny_tells_the_assistant_and_keeps_nothing(server: Server, alice: Person):
    assistant = Assistant(server.url)
    answer = parse_qs(urlsplit(alice.decide(assistant.authorize_url(), "deny")).query)
    assert (answer["error"], answer["state"], answer["iss"]) == (["access_denied"], ["a state"], [server.url])
    assert "code" not in answer
    assert assistant.client_id not in alice.get("/admin").text


def test_a_connection_made_on_the_way_joins_the_profile_and_its_tools_are_callable(server: Server, alice: Person):
    assistant = Assistant(server.url)
    consent = alice.get(assistant.authorize_url())
    form = alice.submit(consent, connector="personal_context")
    assert "New connection" in form.text
    consent = alice.submit(form, button=("action", "save"), connection_name="Second home")
    answer = alice.submit(consent, button=("decision", "approve"))
    assistant.tokens = assistant.exchange(answer.headers["Location"]).json()
    names = {tool["name"] for tool in assistant.call("tools/list").json()["result"]["tools"]}
    assert {"status_get", "second_home_status_get"} <= names
    result = assistant.call("tools/call", {"name": "second_home_status_get_work", "arguments": {}}).json()["result"]
    assert not result["isError"]


def test_ending_a_session_is_felt_by_the_next_request(server: Server, alice: Person):
    assistant = Assistant(server.url, client_name="To be ended")
    assistant.sign_in(alice)
    assert assistant.call("ping").status_code == 200
    (form,) = FormReader(alice.get("/admin").text.split("<bdi>To be ended</bdi>")[1]).forms[2:3]  # first two: of all its sign-ins
    assert form.action.endswith("/end")
    ended = alice.session.post(server.url + form.action, data=form.values, timeout=10)
    assert ended.status_code == 200
    refused = assistant.call("ping")
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert assistant.refresh().json()["error"] == "invalid_grant"


def test_a_profile_address_opens_with_its_own_tokens_only(server: Server, alice: Person):
    assistant = Assistant(server.url)
    assistant.sign_in(alice, resource=server.url + "/mcp/home")
    assert assistant.call("ping", path="/mcp/home").status_code == 200
    assert assistant.call("ping").status_code == 401

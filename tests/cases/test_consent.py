"""Consent: that a person is asked, is told who asks, and that nobody can bring them to approve unawares."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from actors import Assistant, FormReader, Person
from house import House

from cases.catalogue import case
from cases.evidence import unchanged
from cases.messages import handshake, initialize, send


class Words(HTMLParser):
    """What a person reads on a page."""

    def __init__(self, html: str):
        super().__init__()
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_data(self, data: str) -> None:
        self.text += " " + data


def new_assistant(house: House, redirect_uri: str = "https://evil.example/cb", **metadata: object) -> Assistant:
    return Assistant(house.url, redirect_uri, session=house.session(), **metadata)


def test_k01_a_strangers_link_leads_to_our_page_whatever_the_owner_has_connected(house: House, owner: Person):
    form = owner.get("/connections/new?connector=trouble")
    owner.submit(form, button=("action", "save"), connection_name="trouble", token="a secret")
    new_assistant(house).sign_in(owner)  # somebody was let in before, with the same name and address
    for _ in range(2):
        page = owner.get(new_assistant(house).authorize_url())
        assert (page.status_code, urlsplit(page.url).path) == (200, "/connect")


def test_k03_the_page_says_who_asks_and_that_nobody_has_checked_it(house: House, owner: Person):
    assistant = new_assistant(house, "https://client.example:8443/cb", client_name="Postern <b>Support</b>")
    page = owner.get(assistant.authorize_url())
    words = Words(page.text).text
    assert "Access goes to client.example:8443" in words
    assert "It calls itself Postern <b>Support</b> . It registered by itself, so nobody has checked that name." in words
    assert "<b>Support" not in page.text
    assert assistant.client_id in words
    assert re.search(r"Everything \d+ tools?, \d+ of them can change things", words)
    assert re.search(r"Read only \d+ tools? that only read", words)


@pytest.mark.parametrize(
    ("uri", "warns"),
    [
        case("K-04", "127.0.0.1", "http://127.0.0.1:3000/callback", True),
        case("K-04", "localhost", "http://localhost/callback", True),
        case("K-04", "an app", "cursor://anysphere.cursor-mcp/oauth/callback", True),
        case("K-04", "a web page", "https://client.example/cb", False),
    ],
)
def test_a_program_on_this_computer_is_warned_of(house: House, owner: Person, uri: str, warns: bool):
    page = owner.get(new_assistant(house, uri).authorize_url())
    assert ("This is a program on this computer ." in Words(page.text).text) is warns


@pytest.mark.parametrize("uri", [case("K-05", uri, uri) for uri in ("https://client.example/cb", "http://127.0.0.1:3000/callback")])
def test_who_was_let_in_before_is_asked_about_again(house: House, owner: Person, uri: str):
    assistant = new_assistant(house, uri)
    assistant.sign_in(owner)
    with nothing_given(house):
        page = owner.get(assistant.authorize_url())
    assert (page.status_code, urlsplit(page.url).path) == (200, "/connect")
    assert "It has access already." in Words(page.text).text


@contextmanager
def nothing_given(house: House) -> Iterator[None]:
    """Fails if a session, a code or a token has come."""
    before = count_given(house)
    yield
    assert count_given(house) == before


def count_given(house: House) -> list[int]:
    return [house.db.query(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("sessions", "codes", "tokens")]


def edited(query: str) -> dict[str, str]:
    """What somebody would try who thinks that the address carries the request."""
    token = base64.urlsafe_b64encode(b'{"client_id": "x", "redirect_uri": "https://evil.example/"}').decode()
    return {
        "another id": "request=" + "0" * 20,
        "base64": f"request={token}",
        "parameters": f"params={token}",
        "an own redirect": f"client_id=x&redirect_uri=https://evil.example/&{query}x",
        "nothing": "",
    }


@pytest.mark.parametrize("way", [case("K-07", way, way) for way in edited("")])
def test_nothing_of_a_request_can_be_edited_in_the_address(house: House, owner: Person, way: str):
    asked = house.session().get(new_assistant(house).authorize_url(), allow_redirects=False).headers["Location"]
    assert set(parse_qs(urlsplit(asked).query)) == {"request"}
    with unchanged(house.db.path):
        page = owner.get("/connect?" + edited(urlsplit(asked).query)[way])
    assert page.status_code == 403
    assert 'name="decision"' not in page.text


@pytest.mark.parametrize(
    "changes",
    [
        case("K-08", words, changes)
        for words, changes in {
            "another response_type": {"response_type": "token"}, "no challenge": {"code_challenge": None},
            "another resource": {"resource": "https://evil.example/mcp"}, "a bad scope": {"scope": 'a"b'},
            "prompt none": {"prompt": "none"}, "another redirect": {"redirect_uri": "https://evil.example/other"},
        }.items()
    ],
)  # fmt: skip
@pytest.mark.parametrize("visitor", ["a stranger", "the owner"])
def test_a_bad_request_of_a_new_client_sends_nobody_anywhere(
    house: House, owner: Person, visitor: str, changes: dict[str, str | None]
):
    assistant = new_assistant(house)
    person = owner if visitor == "the owner" else Person(house.url, session=house.session())
    page = person.get(assistant.authorize_url(**changes))
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "evil.example" not in page.text


def test_k10_a_link_to_a_consent_page_is_worth_nothing_to_anybody_else(house: House, owner: Person):
    mallory = Person(house.url, session=house.session())
    link = mallory.session.get(new_assistant(house).authorize_url(), allow_redirects=False).headers["Location"]
    assert "/login" in mallory.get(link).url  # mallory cannot decide
    with unchanged(house.db.path):
        page = owner.get(link)  # and the owner is not led to decide for mallory
    assert page.status_code == 403
    assert "Start again from the assistant" in page.text


@pytest.mark.parametrize("name", [case("K-12", name, name) for name in ("Claude", "Postern", "owner")])
def test_what_a_client_calls_itself_opens_nothing(house: House, owner: Person, name: str):
    assistant = new_assistant(house)
    callback = owner.decide(assistant.authorize_url(), feature_set="read_only")
    assistant.tokens = assistant.exchange(callback).json()
    before = tools_of(assistant)
    greeting = initialize()
    greeting["params"]["clientInfo"] = {"name": name, "version": "1"}
    assert send(assistant, greeting, MCP_Protocol_Version=None).status_code == 200
    assert tools_of(assistant) == before
    assert "status_set_work" not in before
    refused = send(assistant, handshake("tools/call", name="status_set_work", arguments={"workStatus": "off"}))
    assert refused.json()["error"]["code"] == -32602


def tools_of(assistant: Assistant) -> set[str]:
    return {tool["name"] for tool in send(assistant, handshake("tools/list")).json()["result"]["tools"]}


def test_k13_the_owner_sees_every_sign_in_and_ends_it_at_once(house: House, owner: Person):
    assistants = [new_assistant(house, client_name=f"Assistant {number}") for number in range(3)]
    for assistant in assistants:
        assistant.sign_in(owner)
    assert assistants[1].call("ping").status_code == 200
    words = Words(owner.get("/admin").text).text
    rows = re.findall(r"Assistant (\d) (Last used|Not used yet).*?(\d+) sign-in", words)
    assert sorted(rows) == [("0", "Not used yet", "1"), ("1", "Last used", "1"), ("2", "Not used yet", "1")]
    end(owner, assistants[1])
    assert [assistant.call("ping").status_code for assistant in assistants] == [200, 401, 200]
    assert assistants[1].refresh().json()["error"] == "invalid_grant"
    owner.submit(owner.get("/account"))  # its last form: sign out everywhere
    assert {assistant.call("ping").status_code for assistant in assistants} == {401}
    owner.sign_in()
    assert "<bdi>Assistant" not in owner.get("/admin").text


def end(owner: Person, assistant: Assistant) -> None:
    """Press the button in the row of an assistant."""
    forms = FormReader(owner.get("/admin").text).forms
    (form, _) = [item for item in forms if item.values.get("client_id") == assistant.client_id]
    data = form.values | {"action": "end"}
    assert ("action", "end") in form.buttons
    assert owner.session.post(owner.base_url + form.action, data=data, allow_redirects=False).status_code == 303

"""What others wrote: names, errors, queries. It is text on every page, and nothing in any statement."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import quote

import pytest
import requests
from actors import PASSWORD, Assistant, Person
from house import House

from cases.catalogue import case
from cases.evidence import unchanged
from cases.messages import handshake, send

EVIL = {
    "a tag": '"><script>alert(1)</script>',
    "an attribute": "' onmouseover=alert(1) x='",
    "another attribute": '" autofocus onfocus=alert(1) x="',
    "a template": "{{7*7}}${7*7}<%= 7*7 %>",
    "right to left": "\u202egnp.tnatsissa\u2066",
    "an end": "</title></textarea><img src=x onerror=alert(1)>",
}


class Tags(HTMLParser):
    """The elements of a page with their attributes, and what is read on it."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        """Every address that a browser would follow or load."""
        names = ("href", "src", "action", "formaction", "srcset")
        return [attrs[name] for _, attrs in self.tags for name in names if name in attrs]


def assert_harmless(page: requests.Response, home: str) -> None:
    """No script, no handler, no address that is not ours."""
    tags = Tags(page.text)
    assert not {"script", "iframe", "object", "embed", "svg"} & {tag for tag, _ in tags.tags}
    assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on") or name == "style"]
    assert [link for link in tags.links if not link.startswith(("/", "#", home))] == []


@pytest.mark.parametrize("words", [case("X-01", f"{words}, not escaped", words) for words in ("a tag", "an attribute", "an end")])
def test_a_page_that_forgets_to_escape_would_be_noticed(words: str):
    page = requests.Response()
    page._content = f"<p title='{EVIL[words]}'>{EVIL[words]}</p>".encode()
    with pytest.raises(AssertionError):
        assert_harmless(page, "http://localhost")


@pytest.mark.parametrize("name", [case("X-01", words, name) for words, name in EVIL.items()])
def test_a_clients_name_is_only_text(house: House, owner: Person, name: str):
    assistant = Assistant(house.url, session=house.session(), client_name=name, client_uri="https://evil.example/")
    assistant.sign_in(owner)
    shown = "".join(letter for letter in name if letter.isprintable())
    for page in (owner.get(assistant.authorize_url()), owner.get("/admin"), owner.get("/connections/new?connector=trouble")):
        assert_harmless(page, house.url)
        assert shown[:70] in Tags(page.text).text
        assert not {"\u202e", "\u2066"} & set(page.text)


@pytest.mark.parametrize("name", [case("X-01", words, name) for words, name in EVIL.items()])
def test_a_connections_name_and_what_is_typed_are_only_text(house: House, owner: Person, name: str):
    form = owner.get("/connections/new?connector=trouble")
    typed = "".join(letter for letter in name if letter.isprintable())[:60]
    again = owner.submit(form, button=("action", "save"), connection_name=name + "x" * 60, place=name)
    assert again.status_code == 400
    assert_harmless(again, house.url)
    owner.submit(form, button=("action", "save"), connection_name=typed, place=typed)
    page = owner.get("/admin")
    assert_harmless(page, house.url)
    assert typed in Tags(page.text).text


@pytest.mark.parametrize("words", [case("X-02", words, words) for words in EVIL])
def test_nothing_of_the_address_is_shown(house: House, owner: Person, words: str):
    evil = quote(EVIL[words])
    stranger = Person(house.url, session=house.session())
    for person in (owner, stranger):
        for path in ("/", "/login", "/connect", "/authorize", "/admin", "/no-page", "/connections/new", "/setup"):
            query = "&".join(f"{name}={evil}" for name in ("error", "error_description", "message", "next", "title"))
            page = person.get(f"{path}?{query}")
            assert_harmless(page, house.url)
            assert EVIL[words] not in Tags(page.text).text
        assert_harmless(person.get("/" + evil), house.url)


PAGES = ("/", "/login", "/admin", "/account", "/connections/new?connector=trouble", "/no-page", "/connect", "/authorize")


@pytest.mark.parametrize("path", [case("X-03", path, path) for path in PAGES])
def test_a_page_needs_nothing_from_elsewhere(house: House, owner: Person, path: str):
    for person in (owner, Person(house.url, session=house.session())):
        page = person.get(path)
        assert_harmless(page, house.url)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; img-src 'self';")


# --- X-07 ---

METACHARACTERS = ("' OR '1'='1", "x'; DROP TABLE users; --", '"', "\\", "%", "_", "?1", ":id", "x\u0000y", "' UNION SELECT 1 --")


@pytest.mark.parametrize("text", [case("X-07", repr(text), text) for text in METACHARACTERS])
def test_statements_do_not_listen_to_values(house: House, owner: Person, text: str):
    assistant = Assistant(house.url, session=house.session())
    assistant.sign_in(owner)
    evil, stranger = quote(text), Person(house.url, session=house.session())
    with unchanged(house.db.path):
        for name in ("code", "refresh_token", "code_verifier"):
            grant = "refresh_token" if name == "refresh_token" else "authorization_code"
            form = {"grant_type": grant, "code": "x", name: text}
            assert assistant.post_token(**form).json()["error"] == "invalid_grant"
        for path in ("/token", "/revoke", "/introspect"):
            answer = assistant.session.post(house.url + path, data={"client_id": text, "token": text})
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        answer = assistant.session.post(house.url + "/revoke", data={"client_id": assistant.client_id, "token": text})
        assert answer.status_code == 200
        assert assistant.call("ping", token="x").status_code == 401
        assert stranger.get(f"/authorize?client_id={evil}").status_code == 400
        assert owner.get(f"/connect?request={evil}").status_code == 403
        assert owner.get(f"/connections/{evil}").status_code == 404
        assert owner.get(f"/connections/new?connector=trouble&profile={evil}").status_code == 404
        unknown = send(assistant, handshake("tools/call", name=text, arguments={}), path="/mcp")
        assert unknown.json()["error"]["code"] == -32602
    answer = stranger.submit(stranger.get("/login"), username=text, password=PASSWORD)
    assert answer.status_code == 401


def test_x07_such_a_name_is_kept_as_it_is(house: House, owner: Person):
    for number, text in enumerate(text for text in METACHARACTERS if text.isprintable()):
        form = owner.get("/connections/new?connector=trouble")
        owner.submit(form, button=("action", "save"), connection_name=f"{number} {text}")
    names = {row["name"] for row in house.db.query("SELECT name FROM connections")}
    assert names >= {f"{number} {text}" for number, text in enumerate(text for text in METACHARACTERS if text.isprintable())}


# --- X-08 ---

DEBUGGERS = ("/console", "/debug", "/_debug_toolbar", "/?__debugger__=yes&cmd=resource&f=style.css", "/.env", "/.git/config",
             "/static/../app.py", "/static/%2e%2e/app.py", "/server-status", "/docs", "/openapi.json")  # fmt: skip


@pytest.mark.parametrize("path", [case("X-08", path, path) for path in DEBUGGERS])
def test_there_is_no_way_behind_the_pages(house: House, owner: Person, path: str):
    page = owner.session.get(house.url + path, allow_redirects=False)
    front = owner.get("/")
    assert page.status_code == 404 or page.text == front.text
    assert not house.gate.pages.debug


def test_x08_a_failure_shows_no_trace(house: House, owner: Person, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin.list_user_clients", lambda *_values, **_options: 1 / 0)
    page = owner.get("/admin")
    assert page.status_code == 500
    assert not [word for word in ("Traceback", "ZeroDivisionError", "admin.py", "list_user_clients") if word in page.text]

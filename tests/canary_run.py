"""A secret of its own in every input, and all that can go wrong with it: the run that test_canary.py searches. Holds no test."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from actors import Assistant, Person, setup_code
from cases.token_endpoint import basic, code_in
from server import Server
from web_of_clients import Signer

from client_assertions import ASSERTION_TYPE

Places = dict[str, bytes]


@dataclass
class Watch:
    """What each canary is, and all that went over the wire: requests as they were sent, answers by where they came from."""

    canaries: dict[str, bytes] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    answers: Places = field(default_factory=dict)

    def new(self, name: str) -> str:
        """A fresh canary, to be typed or sent."""
        return self.keep(name, f"canary{secrets.token_hex(12)}")

    def keep(self, name: str, value: str) -> str:
        """A secret that somebody else made, from now on a canary too."""
        self.canaries[name] = value.encode()
        return value

    def note(self, request: requests.PreparedRequest, answer: requests.Response) -> None:
        """Remember one exchange."""
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        head = "\n".join([f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())])
        self.sent.append(head.encode() + b"\n\n" + body)
        path = re.sub("/[0-9a-f]{20}", "/ID", urlsplit(request.url).path)
        pieces = {f"{name} of": value.encode() for name, value in answer.headers.items()} | {"body of": answer.content}
        for piece, value in pieces.items():
            place = f"{piece} {request.method} {path}"
            self.answers[place] = self.answers.get(place, b"") + b"\n" + value


# --- what happened ---


def set_up(server: Server, watch: Watch) -> Person:
    """A wrong set-up code, the right one, wrong passwords, the right one."""
    person = Person(server.url, password=watch.new("password"))
    wrong = person.set_up(watch.new("wrong set-up code"))
    assert wrong.status_code == 403
    typo = {"code": "x", "password": watch.new("password typed once"), "password_again": watch.new("password typed otherwise")}
    assert person.submit(wrong, username="alice", **typo).status_code == 400
    assert person.set_up(watch.keep("set-up code", setup_code(server.log))).status_code == 200
    person.session.post(server.url + "/logout", data={"csrf_token": watch.new("wrong form token")})
    form = Person(server.url)
    assert form.submit(form.get("/login"), username="owner", password=watch.new("wrong password")).status_code == 401
    for cookie in person.session.cookies:
        watch.keep(f"cookie {cookie.name}", cookie.value or "")
    return person


def connect_services(person: Person, watch: Watch) -> None:
    """A connection with a secret: typed with a mistake elsewhere, then saved, then edited."""
    form = person.get("/connections/new?connector=trouble")
    secret = watch.new("secret of a connection")
    mistaken = person.submit(form, button=("action", "save"), connection_name="x" * 100, token=secret)
    assert mistaken.status_code == 400
    person.submit(mistaken, button=("action", "save"), connection_name="trouble")
    page = person.get("/admin")
    edit = person.get(re.findall(r'href="(/connections/[0-9a-f]+)"', page.text)[-1])
    assert edit.status_code == 200
    person.submit(edit, button=("action", "save"))


def sign_in(assistant: Assistant, person: Person, watch: Watch, name: str, **proof: str) -> None:
    """The whole flow of an assistant, with a wrong try before each right one."""
    state = watch.new(f"state of {name}")
    callback = person.decide(assistant.authorize_url(state=state))
    watch.keep(f"verifier of {name}", assistant.verifier)
    watch.keep(f"code of {name}", code_in(callback))
    wrong = watch.new(f"wrong verifier of {name}") + "x" * 20
    assert assistant.exchange(callback, code_verifier=wrong, **proof).status_code in (400, 401)
    answer = assistant.exchange(callback, **proof)
    assert answer.status_code == 200, answer.text
    assistant.tokens = answer.json()
    for kind in ("access_token", "refresh_token"):
        watch.keep(f"{kind} of {name}", assistant.tokens[kind])


def look_after_an_account(person: Person, watch: Watch) -> None:
    """Another password, after a wrong old one; a key and a client made by hand."""
    page, old, new = person.get("/account"), person.password, watch.new("next password")
    wrong = {"old_password": watch.new("wrong old password"), "password": new, "password_again": new}
    assert person.submit(page, form=1, **wrong).status_code == 403
    assert person.submit(page, form=1, old_password=old, password=new, password_again=new).status_code == 200
    person.password = new
    for cookie in person.session.cookies:
        watch.keep(f"next cookie {cookie.name}", cookie.value or "")
    key = person.submit(person.get("/keys/new"), button=("action", "make"), key_name="key")
    watch.keep("API key", re.search("mcp_sk_[A-Za-z0-9_-]{43}", key.text)[0])
    typed = {"client_name": "by hand", "redirect_uris": "https://client.example/cb", "kind": "secret"}
    client = person.submit(person.get("/clients/new"), **typed)
    watch.keep("secret of a client made by hand", re.search("mcp_cs_[A-Za-z0-9_-]{43}", client.text)[0])


def use_key(server: Server, watch: Watch) -> None:
    """Both ways to send an API key, and a wrong one."""
    key, wrong = watch.canaries["API key"].decode(), watch.new("wrong API key")
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for headers, status in (({"X-API-Key": key}, 200), ({"Authorization": f"Bearer {key}"}, 200), ({"X-API-Key": wrong}, 401)):
        answer = requests.post(server.url + "/mcp", json=message, headers=headers | {"Accept": "*/*"}, timeout=10)
        assert answer.status_code == status


def sign_in_everybody(server: Server, person: Person, watch: Watch) -> Assistant:
    """Assistants without a secret, with one, and with a key; one asks again, and one comes back with what it used before."""
    public = Assistant(server.url, client_name=watch.new("client name"))
    sign_in(public, person, watch, "a public client")
    watch.keep("registration access token", public.registration["registration_access_token"])
    wrong_owner = {"Authorization": "Bearer " + watch.new("wrong registration access token")}
    assert requests.get(public.registration["registration_client_uri"], headers=wrong_owner, timeout=10).status_code == 401
    old = public.tokens["refresh_token"]
    public.tokens = public.refresh().json()
    watch.keep("rotated refresh token", public.tokens["refresh_token"])
    public.tokens = public.refresh().json()
    assert public.refresh(old).json()["error"] == "invalid_grant"  # a replay: the session has ended
    confidential = Assistant(server.url, token_endpoint_auth_method="client_secret_basic")
    secret = watch.keep("client secret", confidential.registration["client_secret"])
    sign_in(confidential, person, watch, "a confidential client", client_secret=secret)
    wrong = basic(confidential.client_id, watch.new("wrong client secret"))
    assert confidential.session.post(server.url + "/token", data={"x": "y"}, headers={"Authorization": wrong}).status_code == 401
    signing = Signer()
    signer = Assistant(server.url, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signing.public()]})
    assertion = signing.sign(signer.client_id, server.url, int(time.time()), jti=watch.new("id of an assertion"))
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "grant_type": "refresh_token"}
    assert signer.post_token(refresh_token=watch.new("unknown refresh token"), **proof).json()["error"] == "invalid_grant"
    assert signer.post_token(refresh_token="x", **proof).json()["error"] == "invalid_client"  # the assertion was used
    watch.keep("assertion", assertion.rpartition(".")[2])
    friend = Assistant(server.url)
    sign_in(friend, person, watch, "a friend")
    friend.session.post(server.url + "/introspect", data={"client_id": friend.client_id, "token": friend.tokens["access_token"]})
    friend.session.post(server.url + "/revoke", data={"client_id": public.client_id, "token": public.tokens["access_token"]})
    return friend


def be_refused(server: Server, person: Person, friend: Assistant, watch: Watch) -> None:
    """Everything that is wrong with a request, with a secret in it."""
    for path in ("/token", "/revoke", "/introspect"):
        form = {"client_id": friend.client_id, "token": watch.new(f"unknown token at {path}"), "code": "x", "grant_type": "x"}
        requests.post(server.url + path, data=form, timeout=10)
        requests.post(server.url + path, json={"token": watch.new(f"JSON at {path}")}, timeout=10)
        requests.post(server.url + f"{path}?token={watch.new(f'query of {path}')}", data=form, timeout=10)
        requests.put(server.url + path, data=watch.new(f"PUT of {path}"), timeout=10)
    friend.exchange(friend.redirect_uri + "?code=" + watch.new("unknown code"))
    body = {"redirect_uris": ["javascript:" + watch.new("bad redirect URI")], "client_secret": watch.new("self-made secret")}
    assert requests.post(server.url + "/register", json=body, timeout=10).status_code == 400
    requests.post(server.url + "/register", data=b"{" + watch.new("broken JSON").encode(), timeout=10)
    person.get(friend.authorize_url(state=watch.new("state of a refusal"), code_challenge="x"))
    Person(server.url).get(friend.authorize_url(state=watch.new("state of a stranger"), redirect_uri="https://evil.example/"))
    person.session.post(server.url + "/connect", data={"request": watch.new("unknown request")}, timeout=10)
    requests.get(server.url + "/no-page?token=" + watch.new("query of a 404"), timeout=10)
    requests.get(server.url + "/", headers={"Host": watch.new("host") + ".example"}, timeout=10)
    for line in (f"GET / HTTP/1.1\r\nX-Bad\x00: {watch.new('broken header')}", f"BAD{watch.new('broken line')}"):
        watch.sent.append(line.encode())
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(line.encode() + b"\r\n\r\n")
            connection.makefile("rb").read()


def use_tools(server: Server, friend: Assistant, watch: Watch) -> None:
    """Calls that work and calls that break, and bearers that open nothing."""
    for name in ("trouble_bad_text", "trouble_raw_bytes", "trouble_circle", "trouble_nothing"):
        friend.call("tools/call", {"name": name, "arguments": {"word": watch.new(f"argument of {name}")}})
    said = friend.call("tools/call", {"name": "trouble_echo", "arguments": {"word": watch.new("argument that is said back")}})
    assert not said.json()["result"]["isError"], said.text
    broken = friend.call("tools/call", {"name": "trouble_break_down", "arguments": {"word": watch.new("text of a crash")}})
    assert broken.json()["result"]["isError"], broken.text
    friend.call("tools/list", {"cursor": watch.new("cursor")})
    friend.call("ping", token=watch.new("unknown bearer"))
    friend.call("ping", token=watch.new("malformed bearer") + "\u00e9")
    requests.post(server.url + "/mcp?access_token=" + watch.new("bearer in a query"), timeout=10)
    headers = {"Authorization": f"Bearer {friend.tokens['access_token']}", "Accept": "*/*", "Content-Type": "application/json"}
    for body in (b'{"' + watch.new("broken message").encode(), b'["' + watch.new("batch").encode() + b'"]'):
        requests.post(server.url + "/mcp", data=body, headers=headers, timeout=10)
    requests.post(server.url + "/mcp", data=b"{}", headers=headers | {"Mcp-Session-Id": watch.new("MCP session")}, timeout=10)


def break_it(server: Server, person: Person, friend: Assistant, watch: Watch) -> None:
    """Damage the database under the running server, so that what nobody foresaw happens while secrets are at hand."""
    form, lost = person.get("/connections/new?connector=trouble"), Person(server.url)
    login = lost.get("/login")
    with closing(sqlite3.connect(database_of(server), timeout=10, isolation_level=None)) as connection:
        connection.execute("UPDATE credentials SET value_sealed = 'damaged' || value_sealed")
        friend.call("tools/call", {"name": "trouble_echo", "arguments": {"word": watch.new("word to a damaged connection")}})
        connection.execute("DELETE FROM profiles")
        crashed = person.submit(form, button=("action", "save"), profile="", token=watch.new("secret in a crash"))
        assert crashed.status_code == 500
        connection.execute("ALTER TABLE users RENAME TO gone")
        assert lost.submit(login, password=watch.new("password into the void")).status_code == 503
        connection.execute("ALTER TABLE gone RENAME TO users")


def database_of(server: Server) -> Path:
    return server.folder / "data" / "postern.db"


def worker_of(server: Server) -> int:
    """The process that serves."""
    return int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text())


def crash(server: Server) -> None:
    """Let the worker die as by a fault in C code, and wait for the next one."""
    before = worker_of(server)
    os.kill(before, signal.SIGSEGV)
    deadline = time.monotonic() + 20
    while "SIGSEGV" not in server.log or not server.answers(1):
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    assert worker_of(server) != before

"""A service with an authorization server, on two loopback ports; well-behaved until told otherwise. Knows no Postern."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

Answer = tuple[int, dict[str, str], bytes]
PATH = "/mcp"


def json_answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON body."""
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


class Request:
    """What came: everything a rule may look at."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes):
        self.method, self.path, self.headers, self.body = method, urlsplit(target).path, headers, body
        self.query = dict(parse_qsl(urlsplit(target).query))
        self.repeated = {name for name, values in parse_qs(urlsplit(target).query).items() if len(values) > 1}

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def bearer(self) -> str | None:
        header = self.headers.get("Authorization") or ""
        return header.removeprefix("Bearer ") if header.startswith("Bearer ") else None


class Service:
    """The resource at `url`, and the authorization server `issuer`. What it says of itself can be changed, and so can any answer:
    `answers[path]` is an Answer, or a function of the Request, and stands before everything else."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[Request] = []
        self.answers: dict[str, Answer | Callable[[Request], Answer | None]] = {}
        self.clients: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.access: dict[str, str] = {}  # token -> scope
        self.refresh: dict[str, tuple[str, str]] = {}  # token -> (client id, scope)
        self.lifetime: Any = 3600
        self.gives_refresh = True
        self.rotates = True
        self.refresh_seconds = 0.0  # how long a refresh takes
        self.challenge_scope: str | None = None
        self.id_token: str | None = None
        self.mcp_port, self.auth_port = 0, 0

    def settle(self, mcp_port: int, auth_port: int) -> None:
        """Describe itself, once the ports are known."""
        self.mcp_port, self.auth_port = mcp_port, auth_port
        self.url, self.issuer = f"http://localhost:{mcp_port}{PATH}", f"http://localhost:{auth_port}"
        self.resource: dict[str, Any] = {"resource": self.url, "authorization_servers": [self.issuer]}
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "registration_endpoint": self.issuer + "/register",
            "revocation_endpoint": self.issuer + "/revoke",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }

    @property
    def private(self) -> str:
        """For ALLOW_PRIVATE_UPSTREAMS."""
        return f"localhost:{self.mcp_port} localhost:{self.auth_port}"

    def came(self, path: str) -> list[Request]:
        """The requests for a path."""
        return [request for request in self.requests if request.path == path]

    def refreshes(self) -> int:
        """How many refreshes were asked for."""
        return sum(request.form.get("grant_type") == "refresh_token" for request in self.came("/token"))

    # --- the rules ---

    def answer(self, request: Request, port: int) -> Answer:
        """Whatever was set for the path, else what is right."""
        with self.lock:
            self.requests.append(request)
        special = self.answers.get(request.path)
        found = special(request) if callable(special) else special
        if found is not None:
            return found
        rules = self.mcp_rules() if port == self.mcp_port else self.auth_rules()
        rule = rules.get(request.path)
        return rule(request) if rule else (404, {}, b"nothing here")

    def mcp_rules(self) -> dict[str, Callable[[Request], Answer]]:
        return {
            PATH: self.serve,
            "/.well-known/oauth-protected-resource" + PATH: lambda _: json_answer(self.resource),
        }

    def auth_rules(self) -> dict[str, Callable[[Request], Answer]]:
        return {
            "/.well-known/oauth-authorization-server": lambda _: json_answer(self.metadata),
            "/authorize": self.authorize,
            "/token": self.token,
            "/register": self.register,
            "/revoke": self.revoke,
        }

    def serve(self, request: Request) -> Answer:
        if request.bearer in self.access:
            return json_answer({"scope": self.access[request.bearer or ""]})
        place = f"http://localhost:{self.mcp_port}/.well-known/oauth-protected-resource{PATH}"
        scope = f', scope="{self.challenge_scope}"' if self.challenge_scope else ""
        return 401, {"WWW-Authenticate": f'Bearer resource_metadata="{place}"{scope}'}, b""

    def register(self, request: Request) -> Answer:
        body = json.loads(request.body)
        client = {**body, "client_id": "client-" + secrets.token_hex(4), "registration_access_token": secrets.token_hex(8)}
        if client["token_endpoint_auth_method"] != "none":
            client |= {"client_secret": secrets.token_hex(8), "client_secret_expires_at": 0}
        self.clients[client["client_id"]] = client
        return json_answer(client, 201)

    def authorize(self, request: Request) -> Answer:
        asked = request.query
        code = secrets.token_hex(8)
        self.codes[code] = asked
        given = {"code": code, "state": asked["state"], "iss": self.metadata["issuer"]}
        return 302, {"Location": f"{asked['redirect_uri']}?{urlencode(given)}"}, b""

    def token(self, request: Request) -> Answer:
        form = request.form
        client = self.authenticate(request)
        if client is None:
            return json_answer({"error": "invalid_client"}, 401)
        if form["grant_type"] == "refresh_token":
            time.sleep(self.refresh_seconds)
            with self.lock:
                known = self.refresh.get(form["refresh_token"])
                if known is None or known[0] != client:
                    return json_answer({"error": "invalid_grant"}, 400)
                if self.rotates:
                    del self.refresh[form["refresh_token"]]
            return self.issue(client, known[1])
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        same = asked and (asked["client_id"], asked["redirect_uri"], asked["code_challenge"], asked.get("resource")) == (
            client, form["redirect_uri"], challenge, form.get("resource"),
        )  # fmt: skip
        return self.issue(client, asked.get("scope", "")) if asked and same else json_answer({"error": "invalid_grant"}, 400)

    def authenticate(self, request: Request) -> str | None:
        """The client's id, if it proved to be it in the way that it registered."""
        header, form = request.headers.get("Authorization") or "", request.form
        if header.startswith("Basic "):
            name, secret = map(unquote_plus, base64.b64decode(header[6:]).decode().split(":"))
            method = "client_secret_basic"
        else:
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
            method = "client_secret_post" if secret else "none"
        known = self.clients.get(name)
        is_it = known is not None and (known["token_endpoint_auth_method"], known.get("client_secret", "")) == (method, secret)
        return name if is_it else None

    def issue(self, client: str, scope: str) -> Answer:
        access, refresh = "access-" + secrets.token_hex(8), "refresh-" + secrets.token_hex(8)
        self.access[access] = scope
        body: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime}
        if self.gives_refresh:
            self.refresh[refresh] = (client, scope)
            body["refresh_token"] = refresh
        if scope:
            body["scope"] = scope
        if self.id_token:
            body["id_token"] = self.id_token
        return json_answer(body)

    def revoke(self, request: Request) -> Answer:
        token = request.form["token"]
        self.access.pop(token, None)
        self.refresh.pop(token, None)
        return 200, {}, b""


def make_handler(service: Service, port_of: Callable[[], int]) -> type[BaseHTTPRequestHandler]:
    """A handler of one of the two ports."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = service.answer(Request(self.command, self.path, self.headers, body), port_of())
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 (names that http.server looks for)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def running_service() -> Iterator[Service]:
    """The service, listening."""
    service = Service()
    servers: list[Listener] = []
    for index in (0, 1):
        server = Listener(("127.0.0.1", 0), make_handler(service, lambda index=index: servers[index].server_port))
        servers.append(server)
    service.settle(servers[0].server_port, servers[1].server_port)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield service
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def follow(url: str) -> str:
    """Open a sign-in page, which sends the browser on at once; answers where to."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 302, answer.status
        return answer.headers["Location"]
    finally:
        connection.close()

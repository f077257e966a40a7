"""Waits on this machine for the browser that comes back from a sign-in. Knows nothing of who is signed in to what."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from errors import FetchError

WAIT_SECONDS = 300
THANKS = b"<!doctype html><title>Signed in</title><p>That was it. You may close this page and go back to the terminal."


class Callback:
    """A port of the loopback address, from its making to `close`; 0 is any that is free. Raises FetchError if it is taken."""

    def __init__(self, port: int = 0) -> None:
        try:
            self._server = HTTPServer(("127.0.0.1", port), Handler)
        except OSError:
            raise FetchError(f"Port {port} of this machine is taken by another program.") from None
        self._server.timeout = 1
        self._server.arrived = None
        self.port: int = self._server.server_port

    def wait(self, redirect_uri: str) -> str:
        """The URL to which the browser was sent, `redirect_uri` being its start. Raises FetchError after five minutes."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._server.arrived is None:
            if time.monotonic() > deadline:
                raise FetchError(f"Nobody came back within {WAIT_SECONDS // 60} minutes.")
            self._server.handle_request()
        parts = urlsplit(redirect_uri)
        return f"{parts.scheme}://{parts.netloc}{self._server.arrived}"

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Keeps the first request that brings an answer (OAuth 2.1 §4.1.2); others, such as that for an icon, do not count."""

    def do_GET(self) -> None:
        """Answer the browser."""
        if {"code", "error"} & parse_qs(urlsplit(self.path).query).keys():
            self.server.arrived = self.path
        self.send_response(200 if self.server.arrived else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(THANKS)))
        self.end_headers()
        self.wfile.write(THANKS)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: what it would write has the code in it."""

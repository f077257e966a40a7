"""A real Chromium, and places where a browser can arrive. Knows no page of Postern."""

from __future__ import annotations

import datetime
import shutil
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser, sync_playwright

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """The system's Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


class Visits(BaseHTTPRequestHandler):
    """Answers each GET with a small page, and notes it."""

    def do_GET(self) -> None:
        if self.path != "/favicon.ico":
            self.server.arrived.append((self.path, dict(self.headers)))
        body = b"<!doctype html><html lang=en><title>Arrived</title><h1>Arrived</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Landing(ThreadingHTTPServer):
    """Where a client waits for its person: `arrived` holds (path with query, headers) of every visit."""

    daemon_threads = True

    def __init__(self, scheme: str, host: str):
        self.arrived: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Visits)
        self.url = f"{scheme}://{host}:{self.server_address[1]}/callback"

    def handle_error(self, *_: object) -> None:
        """A browser that hangs up is no matter."""


@contextmanager
def landing(folder: Path | None = None) -> Iterator[Landing]:
    """A callback on 127.0.0.1; if a folder for its certificate is given, over TLS as https://assistant.example."""
    server = Landing("https", "assistant.example") if folder else Landing("http", "127.0.0.1")
    if folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(make_certificate(folder))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for assistant.example with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "assistant.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("assistant.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "assistant.pem"
    path.write_bytes(secret + certificate.public_bytes(pem))
    return path

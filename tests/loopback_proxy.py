"""A proxy on loopback that adds a bearer to every request, for test clients that cannot send one. Changes nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}  # RFC 9110 §7.6.1; the length is set anew


@contextmanager
def loopback_proxy(target: str, token: str) -> Iterator[str]:
    """The origin of a proxy that stands before the server of `target`, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        """Each request over a connection of its own, so that what comes back is streamed as it comes."""

        def forward(self) -> None:
            upstream = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP | {"authorization"}:
                    upstream.putheader(name, value)
            upstream.putheader("Authorization", f"Bearer {token}")
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            self.send_back(upstream)
            upstream.close()

        def send_back(self, upstream: http.client.HTTPConnection) -> None:
            answer = upstream.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                while piece := answer.read1(65536):
                    self.wfile.write(piece)
            except OSError:
                self.close_connection = True  # the client has read enough

        do_GET = do_POST = do_DELETE = do_PUT = do_OPTIONS = forward  # noqa: N815 - names that http.server wants

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

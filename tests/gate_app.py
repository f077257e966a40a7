"""A small WSGI application that test_gate_worker.py serves: it answers, reads, fails, and streams without end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gate_worker

Environ = dict[str, Any]

if "HURRY" in os.environ:  # the same limits, but so short that a test can wait for them
    gate_worker.HEAD_SECONDS = gate_worker.BODY_SECONDS = gate_worker.SEND_SECONDS = 1


class GateApp:
    """Routes by path. The worker calls `start` when it begins and `stop` when it is told to end."""

    quick = (b"GET /quick", b"POST /quick")

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.routes: dict[str, Callable[[Environ], Iterator[bytes]]] = {
            "/healthz": lambda environ: iter([b"ok"]),
            "/page": lambda environ: iter([b"page"]),
            "/fail": lambda environ: 1 / 0,
            "/flood": lambda environ: iter(lambda: b"z" * 65536, None),
            "/large": lambda environ: iter([b"z" * 8_000_000]),
            "/read": lambda environ: iter([environ["wsgi.input"].read()]),
            "/wait": self.wait,
            "/quick/thread": lambda environ: iter([str(threading.get_ident()).encode()]),
            "/quick/wait": self.wait,
            "/quick/sleep": self.sleep,
            "/quick/aside": self.step_aside,
            "/quick/fail": lambda environ: 1 / 0,
            "/quick/read": lambda environ: iter([environ["wsgi.input"].read()]),
        }

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
        answer = self.routes[environ["PATH_INFO"].strip("\n")](environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answer

    def wait(self, environ: Environ) -> Iterator[bytes]:
        """A stream that ends only when the server does."""
        yield b"begun"
        self.stopped.wait()
        yield b"ended"

    def sleep(self, environ: Environ) -> Iterator[bytes]:
        """Not quick at all."""
        time.sleep(1)
        return iter([b"slept"])

    def step_aside(self, environ: Environ) -> Iterator[bytes]:
        """Not quick either, but it says so."""
        environ["gate.step_aside"]()
        return self.sleep(environ)

    def start(self) -> None:
        print("the application was started")

    def stop(self) -> None:
        self.stopped.set()


application = GateApp()

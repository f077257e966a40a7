"""A small WSGI application that starts a child and answers what that can reach. Served by test_gunicorn_conf.py."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from nursery import target

from config import load_settings
from tools import Call
from upstream_stdio import make_stdio_servers

PR_GET_DUMPABLE = 3  # prctl(2)
servers = make_stdio_servers(load_settings(os.environ))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """/healthz answers; anything else takes paths in its query, ARBITER and WORKER in them for the processes."""
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"] == "/healthz":
        return iter([b"ok"])
    link = servers.open("alice", target("kept"), {}, lambda *_: None)
    found = {"dumpable": ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), "python": sys.executable}
    for path in environ["QUERY_STRING"].split("&"):
        real = path.replace("ARBITER", str(os.getppid())).replace("WORKER", str(os.getpid()))
        result = link.request("tools/call", {"name": "read", "arguments": {"path": real}}, Call())
        found[path] = result["content"][0]["text"]
    daemon = link.request("tools/call", {"name": "daemon", "arguments": {}}, Call())
    found["daemon"] = daemon["content"][0]["text"]
    return iter([json.dumps(found).encode()])

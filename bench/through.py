"""Starts the gateways that are compared, each in one process before the same upstream. Knows nothing of what is measured."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# isort: split - the tests' folder is on the path once `servers` is imported
from behind import connect
from server import free_port, running_gunicorn
from servers import BENCH, ROOT, START_SECONDS, Target, family, make_peers, paths, running_peer, running_process

from store.connections import Draft

ADMIN, PASSWORD = "admin@example.com", "Bench-password-1"


@contextmanager
def running_gateway(folder: Path, upstream: Target) -> Iterator[Target]:
    """Postern as it is run by people, with a connection to the upstream that sends its token as an API key."""
    address = f"127.0.0.1:{upstream.port}"
    arguments = ["-c", str(ROOT / "gunicorn.conf.py")]
    with running_gunicorn(folder, arguments, **paths(), ALLOW_PRIVATE_UPSTREAMS=address, WORKERS="1") as server:
        settings = {
            "url": f"http://{address}/mcp",
            "auth": "api_key",
            "header_name": "Authorization",
            "header_template": "Bearer {key}",
            "seconds": 60,
            "inputs": {},
        }
        token = connect(server, Draft("remote_http", "Bench", settings, {"api_key": upstream.token}))
        yield Target("postern", server.port, token, family(server.process.pid), "/mcp/behind")


@contextmanager
def running_fastmcp_proxy(folder: Path, upstream: Target) -> Iterator[Target]:
    """FastMCP's own proxy, with its defaults."""
    place = {"UPSTREAM_URL": f"http://127.0.0.1:{upstream.port}/mcp", "UPSTREAM_TOKEN": upstream.token}
    with running_peer("fastmcp", [str(make_peers()), str(BENCH / "peer_fastmcp_proxy.py")], folder, **place) as target:
        yield target


@contextmanager
def running_contextforge(folder: Path, upstream: Target) -> Iterator[Target]:
    """ContextForge with a SQLite file, its admin pages off, and the upstream registered as its documents say."""
    python, port = make_peers("bench-contextforge", "requirements-contextforge.txt"), free_port()
    folder.mkdir(parents=True)
    environ = contextforge_environ(folder)
    command = [str(python), "-m", "uvicorn", "mcpgateway.main:app", "--host", "127.0.0.1", "--port", str(port)]
    with running_process("contextforge", command, folder, environ) as process:
        wait_until_healthy(process, port)
        token = mint_token(python, folder, environ)
        register(port, token, upstream)
        yield Target("contextforge", port, token, (process.pid,), "/mcp/")


def contextforge_environ(folder: Path) -> dict[str, str]:
    """Its settings: what it does not start without, less of what costs time, and loopback upstreams allowed."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/mcp.db",
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(32),
        "BASIC_AUTH_PASSWORD": PASSWORD,
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": PASSWORD,
        "PASSWORD_CHANGE_ENFORCEMENT_ENABLED": "false",
        "MCPGATEWAY_UI_ENABLED": "false",
        "PLUGINS_ENABLED": "false",
        "OTEL_ENABLE_OBSERVABILITY": "false",
        "CACHE_TYPE": "memory",
        "LOG_LEVEL": "ERROR",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
    }


def wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once /health answers 200. Raises RuntimeError if the server ends or takes too long."""
    deadline = time.monotonic() + 3 * START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if ask(port, "GET", "/health", {})[0] == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("ContextForge does not answer")


def mint_token(python: Path, folder: Path, environ: dict[str, str]) -> str:
    """A token of its administrator's, made by its own command."""
    command = [str(python), "-m", "mcpgateway.utils.create_jwt_token", "--username", ADMIN, "--admin", "--exp", "600"]
    command += ["--secret", environ["JWT_SECRET_KEY"]]
    said = subprocess.check_output(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL, text=True)
    return said.strip().splitlines()[-1]


def register(port: int, token: str, upstream: Target) -> None:
    """Make the upstream known. Raises RuntimeError if it is not taken."""
    facts = {
        "name": "bench",
        "url": f"http://127.0.0.1:{upstream.port}/mcp",
        "transport": "STREAMABLEHTTP",
        "auth_type": "bearer",
        "auth_token": upstream.token,
    }
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, body = ask(port, "POST", "/gateways", headers, json.dumps(facts))
    if status >= 300:
        raise RuntimeError(f"ContextForge does not take the upstream: {status} {body[:300]!r}")
    deadline = time.monotonic() + START_SECONDS
    while b'"bench-echo"' not in ask(port, "GET", "/tools?limit=0", headers)[1]:
        if time.monotonic() > deadline:
            raise RuntimeError("ContextForge does not list the upstream's tools")
        time.sleep(0.5)


def ask(port: int, method: str, path: str, headers: dict[str, str], body: str | None = None) -> tuple[int, bytes]:
    """One request: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()

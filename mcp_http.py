"""The rules of HTTP at `/mcp`: the checks of a request's head and body, and the shape of answers. Knows no method and no tool."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from mcp_types.jsonrpc import INVALID_REQUEST

from errors import InvalidRequest, InvalidToken, OAuthError, PosternError, ProtocolError, StorageError, TooManyRequests
from protocol import answer_error, encode_json
from store.api_keys import KEY_START

MAX_BODY = 4 * 1024 * 1024
PATH = re.compile(r"/mcp(/[a-z0-9-]{1,40})?")
UNWANTED = re.compile(r"q\s*=\s*0(\.0*)?")  # a weight of nothing
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
STATUS_HEADERS = {405: (("Allow", "POST"),), 503: (("Retry-After", "1"),)}

Environ = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    headers: Iterable[tuple[str, str]]
    body: Iterable[bytes]


# --- the checks, in their order ---


def find_path(environ: Environ) -> str:
    """`/mcp` or `/mcp/<slug>`, exactly. Raises ProtocolError for anything else, never a redirect."""
    path = environ["PATH_INFO"]
    if not PATH.fullmatch(path):
        raise ProtocolError(INVALID_REQUEST, "There is nothing at this address", status=404)
    return path


def check_verb(environ: Environ) -> None:
    """Raise ProtocolError unless it is a POST, or a DELETE of an MCP session, or a GET of such a one's stream."""
    verb = environ["REQUEST_METHOD"]
    if verb != "POST" and not (verb in ("DELETE", "GET") and "HTTP_MCP_SESSION_ID" in environ):
        raise ProtocolError(INVALID_REQUEST, "Only POST is offered here", status=405)


def read_credentials(environ: Environ) -> str | None:
    """The Authorization header; an API key may come in `X-API-Key` instead, and is then a bearer all the same.

    Raises InvalidRequest if there are two, in both headers or in the query as well (RFC 6750 §2), InvalidToken if the latter
    header has anything but an API key.
    """
    header, key, query = (environ.get(name) for name in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "QUERY_STRING"))
    if header is not None and key is not None:
        raise InvalidRequest("Send the token or key in one header only, Authorization or X-API-Key.")
    given = header if key is None else key
    if query and given is not None and "access_token" in parse_qs(query, keep_blank_values=True):
        raise InvalidRequest("The token must be sent in one way only, in the Authorization header.")
    if key is not None and not key.startswith(KEY_START):
        raise InvalidToken("X-API-Key must hold an API key of this server.")
    return header if key is None else f"Bearer {key}"


def read_body(environ: Environ) -> bytes:
    """The whole body, of declared length or chunked. Raises ProtocolError if it is too long, and leaves the rest unread."""
    declared = environ.get("CONTENT_LENGTH")
    if not declared and environ.get("HTTP_TRANSFER_ENCODING") is None:
        return b""
    length = int(declared or 0)
    body = environ["wsgi.input"].read(length if declared else MAX_BODY + 1) if length <= MAX_BODY else b""
    if max(length, len(body)) > MAX_BODY:
        raise ProtocolError(INVALID_REQUEST, "The body is longer than 4 MiB", status=413)
    return body


@functools.lru_cache(256)
def check_media_types(content_type: str, accept: str) -> None:
    """Raise ProtocolError unless JSON comes, and both JSON and event streams are welcome (MCP, basic/transports)."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ProtocolError(INVALID_REQUEST, "The Content-Type must be application/json", status=415)
    if not (welcomes(accept, "application/json") and welcomes(accept, "text/event-stream")):
        raise ProtocolError(INVALID_REQUEST, "Accept must name application/json and text/event-stream", status=406)


def check_accepts_stream(environ: Environ) -> None:
    """Raise ProtocolError unless an event stream is welcome (MCP 2025-11-25, basic/transports)."""
    if not welcomes(environ.get("HTTP_ACCEPT", ""), "text/event-stream"):
        raise ProtocolError(INVALID_REQUEST, "Accept must name text/event-stream", status=406)


def welcomes(accept: str, kind: str) -> bool:
    """Whether an Accept header lets a media type through: what names it most closely decides (RFC 9110 §12.5.1)."""
    ranges = {}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        ranges[name] = not any(UNWANTED.fullmatch(parameter) for parameter in parameters)
    return next((ranges[name] for name in (kind, kind.partition("/")[0] + "/*", "*/*") if name in ranges), False)


def mcp_headers(environ: Environ) -> dict[str, str]:
    """The `Mcp-…` headers by lower-case name. (No name has an underscore: gunicorn drops those.)"""
    return {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_MCP_")}


# --- answers ---


def json_answer(status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    """A JSON answer that nobody may keep."""
    fixed = (("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"))
    return Answer(status, (*fixed, *headers, *STATUS_HEADERS.get(status, ())), (body,))


def empty_answer(status: int) -> Answer:
    """An answer without a body."""
    return Answer(status, (("Content-Length", "0"),) if status != 204 else (), ())


class LastWords:
    """The body of an answer after which the connection is closed: else the server would read an endless request to its end."""

    def __init__(self, body: Iterable[bytes], connection: socket.socket | None):
        self._body, self._connection = body, connection

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """The server has sent the body (PEP 3333)."""
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the client was faster
                self._connection.shutdown(socket.SHUT_RDWR)


def refuse(error: Exception, metadata_url: str) -> Answer:
    """The answer to a request that got no further than the checks of HTTP and of the bearer."""
    if isinstance(error, OAuthError):
        return refuse_bearer(error, metadata_url)
    if isinstance(error, TooManyRequests):
        return json_answer(429, answer_error(error, None, True)[1], ("Retry-After", str(error.retry_after)))
    status, body = answer_error(error, None, True)
    if isinstance(error, StorageError):
        status = 503
    elif not isinstance(error, PosternError):
        status = 500
    return json_answer(status, body)


def refuse_bearer(error: OAuthError, metadata_url: str) -> Answer:
    """401 with the way to a token (RFC 9728 §5.1; RFC 6750 §3: no error code if no token came), or 400."""
    code = error.code or "unauthorized"
    body = encode_json({"error": code, "error_description": error.description})
    if not isinstance(error, InvalidToken):
        return json_answer(error.status, body)
    challenge = f'Bearer resource_metadata="{metadata_url}", scope="mcp"'
    if error.code:
        challenge += f', error="{code}", error_description="{error.description}"'
    return json_answer(error.status, body, ("WWW-Authenticate", challenge))

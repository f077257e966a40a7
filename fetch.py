"""The one door for outgoing HTTP: guards addresses, sizes and time. Knows no service and no database."""

from __future__ import annotations

import functools
import http.client
import json as jsonlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict

from addresses import Kind, Target, is_address, join_host, judge, parse_url
from carrier import CutOff, ImproperHttp, NoAnswer
from errors import FetchError
from wire import PIECE, Connection, Deadline, Dial, open_connection, open_socket

MAX_ADDRESSES = 6  # of one name, tried in turn

Resolver = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True)
class Trust:
    """How far an address is trusted, by who wrote it."""

    schemes: tuple[str, ...]
    listable: bool  # ALLOW_PRIVATE_UPSTREAMS counts, and opens plain http to the listed host:port as well
    strict: bool  # port 443, GET without credentials, never ourselves, and only 200 is an answer
    max_seconds: float = 300
    max_bytes: int = 64 * 1024 * 1024


# anybody on the internet wrote it, before any sign-in: client ID metadata documents and their keys (CIMD, "SSRF Attacks")
ANONYMOUS = Trust(("https",), listable=False, strict=True, max_seconds=5, max_bytes=5 * 1024)
# an upstream wrote it: discovery documents and the endpoints they name
UPSTREAM = Trust(("https",), listable=True, strict=False)
# the owner typed it: an upstream's address, Home Assistant
OWNER = Trust(("https", "http"), listable=True, strict=False)
# our own code has it: a fixed service
VENDOR = Trust(("https",), listable=False, strict=False)


@dataclass(frozen=True)
class Response:
    """What a server answered. Headers are looked up in any case; repeated ones are joined by commas (RFC 9110 §5.3)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    host: str = "The server"

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", CaseInsensitiveDict(self.headers))

    def json(self) -> Any:
        """The body as JSON; raises FetchError if it is not."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            raise FetchError(f"{self.host} answered something that is not JSON.") from None


@functools.cache
def trust_authorities(ca_file: str | None) -> ssl.SSLContext:
    """TLS with the usual authorities, and those of a file if there is one. Threads may share it; reading them takes a while."""
    tls = ssl.create_default_context(cafile=requests.certs.where())
    if ca_file:
        tls.load_verify_locations(cafile=ca_file)
    return tls


class Fetcher:
    """Sends requests, each to an address that was vetted first. Threads may share one.

    No session stands behind it, so there are no cookies, no redirects, and no proxies or passwords from the environment.
    `allow_private` holds `host:port` texts, `own_host` is the name of this server, `ca_file` adds authorities to the usual ones;
    `resolver` and `dial` stand in for the system's name lookup and TCP connection.
    """

    def __init__(
        self,
        allow_private: frozenset[str] = frozenset(),
        resolver: Resolver | None = None,
        ca_file: str | None = None,
        *,
        own_host: str | None = None,
        dial: Dial | None = None,
    ):
        self._allow_private = allow_private
        self._resolver = resolver or resolve
        self._own_host = own_host.lower() if own_host else None
        self._dial = dial or open_socket
        self._tls = trust_authorities(ca_file)

    def request(
        self,
        method: str,
        url: str,
        *,
        trust: Trust,
        headers: Mapping[str, str] | None = None,
        params: Any = None,
        json: Any = None,
        form: Any = None,
        timeout: float = 30,
        max_bytes: int = 8 * 1024 * 1024,
    ) -> Response:
        """Send one request and read the whole answer, within `timeout` seconds and `max_bytes` of body or what `trust` allows.

        `form` is a mapping, or bytes that go out as they are. Any status is an answer, a redirect too, which is never followed;
        only ANONYMOUS wants 200. Raises FetchError, whose text names the host and never the rest of the URL, a header's value
        or a body.
        """
        deadline, max_bytes = Deadline(min(timeout, trust.max_seconds)), min(max_bytes, trust.max_bytes)
        target = self.check_url(url, trust=trust)
        message = prepare(method, url, headers, params, json, form)
        if trust.strict and not is_bare(message):
            raise FetchError(f"{target.host} is not trusted with anything but a bare GET.")
        try:
            addresses = self.find_addresses(target.host, target.port, trust=trust, timeout=deadline.left())
            tls = self._tls if target.scheme == "https" else None
            connection = Connection(
                target.host, target.port, addresses, tls=tls, dial=self._dial, deadline=deadline, max_bytes=max_bytes
            )
            with closing(connection):
                connection.request(message.method, message.path_url, message.body, dict(message.headers))
                with connection.getresponse() as answer:
                    return read_answer(answer, target.host, trust.strict, max_bytes)
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(explain(target.host, error)) from error

    def connect(self, target: Target, *, trust: Trust, deadline: Deadline) -> socket.socket:
        """A connection that stays with the caller, for a URL that `check_url` let through: looked up, vetted, then dialled.

        Raises FetchError or OSError.
        """
        if trust.strict:
            raise FetchError(f"{target.host} is not trusted with a connection that stays open.")
        addresses = self.find_addresses(target.host, target.port, trust=trust, timeout=deadline.left())
        tls = self._tls if target.scheme == "https" else None
        return open_connection(target.host, target.port, addresses, tls=tls, dial=self._dial, deadline=deadline)

    def check_url(self, url: str, *, trust: Trust) -> Target:
        """Where `url` leads, judged by its text alone; raises FetchError if `trust` does not allow it."""
        try:
            target = parse_url(url)
        except ValueError as error:
            raise FetchError(str(error)) from None
        listed = trust.listable and target.name in self._allow_private
        if target.scheme not in trust.schemes and not listed:
            raise FetchError(f"{target.host} has to be reached by {' or '.join(trust.schemes)}.")
        if trust.strict and target.port != 443:
            raise FetchError(f"{target.host} has to be reached on port 443.")
        if trust.strict and target.host == self._own_host:
            raise FetchError(f"{target.host} is this server itself.")
        return target

    def find_addresses(self, host: str, port: int, *, trust: Trust, timeout: float = 30) -> tuple[str, ...]:
        """The addresses of `host`, looked up once, every one of them vetted: dial these, never the name (DNS rebinding).

        Raises FetchError if there is none, or if a single one is not allowed.
        """
        addresses = [host] if is_address(host) else self._look_up(host, port, timeout)
        for address in addresses:
            self._vet(address, host, port, trust)
        return tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]

    def _look_up(self, host: str, port: int, timeout: float) -> list[str]:
        """Ask the resolver, in a thread, because the system's own cannot be told to hurry."""
        answer: Future[list[str]] = Future()

        def ask() -> None:
            try:
                answer.set_result([address for address in self._resolver(host, port) if is_address(address)])
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        try:
            addresses = answer.result(timeout)
        except (OSError, UnicodeError) as error:
            raise FetchError(f"{host} could not be found: no answer for this name.") from error
        if not addresses:
            raise FetchError(f"{host} could not be found: it has no address.")
        return addresses

    def _vet(self, address: str, host: str, port: int, trust: Trust) -> None:
        """Raise FetchError unless `address` may be dialled for `host`."""
        kind, meaning = judge(address)
        name = join_host(host, port)
        if kind is Kind.PUBLIC or (kind is Kind.PRIVATE and trust.listable and name in self._allow_private):
            return
        hint = f" To allow it, add {name} to ALLOW_PRIVATE_UPSTREAMS." if kind is Kind.PRIVATE and trust.listable else ""
        raise FetchError(f"{host} leads to an address that is not public: {meaning}.{hint}")


# --- the request ---

# identity: what is compressed could unpack to any size (RFC 9110 §12.5.3)
FIXED_HEADERS = {"Accept-Encoding": "identity", "Connection": "close"}
DEFAULT_HEADERS = {"User-Agent": "Postern", "Accept": "*/*"}
# they say where a request goes and where it ends, so no caller sets them
FRAMING_HEADERS = {"content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"} | {
    name.lower() for name in FIXED_HEADERS
}
CREDENTIAL_HEADERS = {"authorization", "cookie", "proxy-authorization"}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.1
HEADER_VALUE = re.compile(r"[\t -~]*")  # RFC 9110 §5.5, without obs-text


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise FetchError for headers that HTTP cannot carry or that are ours to set."""
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise FetchError("The name of a header holds characters that HTTP does not carry.")
        if name.lower() in FRAMING_HEADERS:
            raise FetchError(f"The header {name} belongs to the connection and cannot be set.")
        if not HEADER_VALUE.fullmatch(value):
            raise FetchError(f"The header {name} holds characters that HTTP does not carry, such as a line break.")


def prepare(
    method: str, url: str, headers: Mapping[str, str] | None, params: Any, json: Any, form: Any
) -> requests.PreparedRequest:
    """The request in the form in which it goes out; raises FetchError for headers that HTTP cannot carry or that are ours."""
    headers = headers or {}
    check_headers(headers)
    every = DEFAULT_HEADERS | dict(headers) | FIXED_HEADERS
    try:
        message = requests.Request(method, url, every, params=params, json=json, data=form).prepare()
    except requests.RequestException:
        raise FetchError("The request could not be put together.") from None
    if isinstance(message.body, str):
        message.body = message.body.encode()
    return message


def is_bare(message: requests.PreparedRequest) -> bool:
    """Whether a request is a GET that carries nothing."""
    return message.method == "GET" and message.body is None and not any(name in message.headers for name in CREDENTIAL_HEADERS)


def resolve(host: str, port: int) -> list[str]:
    """The system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


# --- the answer ---

PLAIN = {"Content-Encoding": "identity", "Transfer-Encoding": "chunked"}


def read_answer(answer: http.client.HTTPResponse, host: str, only_200: bool, max_bytes: int) -> Response:
    """The whole answer; raises FetchError for an encoded or too long one, and for any status but 200 if `only_200`."""
    if only_200 and answer.status != 200:
        raise FetchError(f"{host} answered with status {answer.status}.")
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    for name, value in answer.getheaders():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if any(headers.get(name, plain).lower() != plain for name, plain in PLAIN.items()):
        raise FetchError(f"{host} answered in a compressed form, which is not accepted here.")
    return Response(answer.status, headers, read_body(answer, host, max_bytes), host)


def read_body(answer: http.client.HTTPResponse, host: str, max_bytes: int) -> bytes:
    """The body, all of it; raises FetchError as soon as it is known to be longer than `max_bytes`."""
    body = bytearray()
    too_long = (answer.length or 0) > max_bytes
    while not too_long and (piece := answer.read(min(PIECE, max_bytes + 1 - len(body)))):
        body += piece
        too_long = len(body) > max_bytes
    if too_long:
        raise FetchError(f"{host} answered with more than {max_bytes} bytes.")
    if answer.length:  # what Content-Length still promises
        raise http.client.IncompleteRead(b"", answer.length)
    return bytes(body)


# --- what went wrong, for a person; the first kind that fits ---

FAILURES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (TimeoutError, "did not answer in time."),
    (ssl.SSLCertVerificationError, "has a certificate that cannot be trusted"),
    (ssl.SSLError, "could not agree with us on an encrypted connection."),
    ((http.client.IncompleteRead, CutOff), "stopped in the middle of its answer."),
    ((http.client.RemoteDisconnected, NoAnswer), "closed the connection without an answer."),
    ((http.client.HTTPException, ImproperHttp), "did not answer in proper HTTP."),
    (OSError, "could not be reached."),
)


def explain(host: str, error: Exception) -> str:
    """A sentence about a failed request that names the host and nothing else."""
    sentence = next(text for kind, text in FAILURES if isinstance(error, kind))
    if isinstance(error, ssl.SSLCertVerificationError):
        sentence += ": " + error.verify_message.rstrip(".") + "."
    return f"{host} {sentence}"

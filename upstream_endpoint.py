"""The address of an MCP server: HTTP requests to it, with what lets us in, and what its refusals mean. Knows no message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urljoin

from addresses import parse_url
from challenges import read_challenge
from channels import Answer, Channel, path_of
from errors import FetchError, SignInNeeded, UpstreamError
from event_lines import Event, EventLines
from fetch import OWNER, Fetcher
from links import Authorizer, HttpTarget
from wire import Deadline

MAX_BYTES = 32 * 1024 * 1024  # of one message
# What the transport sets by itself (MCP, basic/transports): a person's own headers do not replace it.
RESERVED = frozenset(
    ("accept", "content-type", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id")
)


class Unreachable(UpstreamError):
    """There is nobody at the address, or the connection broke: the next request will probably fare no better."""


class TimedOut(UpstreamError):
    """There was no answer in time."""


class NotUnderstood(UpstreamError):
    """Something answered, but not as an MCP server does; `status` is the HTTP status."""

    def __init__(self, sentence: str, status: int):
        super().__init__(sentence)
        self.status = status


class Endpoint:
    """Where one server is. With every request go the person's own headers, those of `authorizer`, and nothing else of ours.

    Raises UpstreamError if the address or the headers cannot be used.
    """

    def __init__(self, fetch: Fetcher, target: HttpTarget, authorizer: Authorizer | None):
        reserved = RESERVED | {"authorization"} if authorizer else RESERVED
        own = {name: value for name, value in target.headers.items() if name.lower() not in reserved}
        try:
            self.channel = Channel(fetch, target.url, trust=OWNER, headers=own)
        except FetchError as error:
            raise UpstreamError(str(error)) from error
        self._authorizer = authorizer

    def send(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        check: Callable[[], None] | None = None,
        *,
        may_repeat: bool = False,
        path: str | None = None,
    ) -> Answer:
        """One HTTP request, sent once more if the server wants a fresh access token or points to another path of its own.

        Raises FetchError, SignInNeeded.
        """
        may_sign_in, may_move = True, True
        while True:
            lent = self._authorizer.headers() if self._authorizer else {}
            answer = self.channel.send(
                method, {**headers, **lent}, body, deadline=deadline, check=check, may_repeat=may_repeat, path=path
            )
            if answer.status in (307, 308) and may_move and path is None and self._move(answer):
                may_move = False
            elif answer.status == 401 or (answer.status == 403 and is_scope_missing(answer)):
                answer.close()
                self._sign_in(answer, may_sign_in)
                may_sign_in = False
            else:
                return answer

    def _move(self, answer: Answer) -> bool:
        """Follow a redirect that stays here and keeps the method; nothing else is followed."""
        path = self.resolve(answer.headers.get("location", ""))
        if path is None:
            return False
        answer.close()
        self.channel.path = path
        return True

    def _sign_in(self, answer: Answer, may_try: bool) -> None:
        """The server does not let us in: find out whether another try is worth it. Raises SignInNeeded if not."""
        if self._authorizer is not None:
            self._authorizer.refused(answer.status, answer.headers.get("www-authenticate"))  # says where its person can help
        if self._authorizer is None or not may_try:
            raise SignInNeeded("The server does not let this connection in. Please check its key, or sign in again.")

    def resolve(self, reference: str) -> str | None:
        """A URL that the server names, as a path; None unless it stays at this very scheme, name and port."""
        target = self.channel.target
        try:
            url = urljoin(f"{target.scheme}://{target.name}{self.channel.path}", reference)
            return path_of(url) if parse_url(url) == target else None
        except ValueError:
            return None


def feed(lines: EventLines, piece: bytes, answer: Answer) -> list[Event]:
    """The events that a piece completes."""
    try:
        return lines.feed(piece)
    except ValueError:
        raise not_understood(answer) from None


def is_scope_missing(answer: Answer) -> bool:
    """Whether another sign-in, for more, would help (RFC 6750 §3.1)."""
    return read_challenge(answer.headers.get("www-authenticate")).get("error") == "insufficient_scope"


def blame(error: FetchError | TimeoutError) -> UpstreamError:
    """What a failed HTTP request means for whoever asked."""
    if isinstance(error, TimeoutError):
        return TimedOut("The server did not answer in time.")
    if isinstance(error.__cause__, TimeoutError):
        return TimedOut(str(error))
    return UpstreamError(str(error)) if error.__cause__ is None else Unreachable(str(error))


SENTENCES = {  # HTTP status -> what it means here
    200: "answered something that is not MCP",
    202: "did not answer the request",
    404: "has nothing at this address",
    405: "takes no MCP requests at this address",
    429: "wants fewer requests",
}


def not_understood(answer: Answer) -> NotUnderstood:
    """An answer that is none; nothing that it says is repeated."""
    if 300 <= answer.status < 400:
        return NotUnderstood("The server sends us to another address, which is not followed.", answer.status)
    sentence = SENTENCES.get(answer.status, "did not accept the request" if answer.status < 500 else "is out of order")
    return NotUnderstood(f"The server {sentence} (status {answer.status}).", answer.status)

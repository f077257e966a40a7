"""Opens a session with a server of any of the three kinds. Keeps none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from errors import UpstreamError
from fetch import Fetcher
from links import Authorizer, Hear, HttpTarget, Link, StdioTarget
from upstream_endpoint import NotUnderstood
from upstream_http import HttpLink
from upstream_sse import SseLink
from upstream_stdio import StdioServers

OLD_SERVER = (400, 404, 405)  # what one of 2024 says to a POST (MCP 2026-07-28, basic/transports, "HTTP+SSE Transport")

FindSchema = Callable[[str, str], Mapping[str, Any] | None]  # (owner, the server's name of a tool) -> its input schema


class Opener:
    """Knows the ways out: guarded HTTP, and `stdio` where commands are allowed. An `owner` is a connection, by its id."""

    def __init__(
        self, fetch: Fetcher, stdio: StdioServers | None = None, find_schema: FindSchema = lambda owner, name: None
    ):
        self._fetch, self._stdio, self._find_schema = fetch, stdio, find_schema

    def open(
        self,
        kind: str,
        target: HttpTarget | StdioTarget,
        owner: str,
        declared: Mapping[str, Any],
        hear: Hear,
        authorizer: Authorizer | None,
    ) -> Link:
        """A session, in which a server is told `declared`: what can be asked. Raises UpstreamError, SignInNeeded."""
        return OPENERS[kind](self, target, owner, declared, hear, authorizer)

    def forget(self, owner: str) -> None:
        """An owner is no more: remove what its child processes have left, once they have ended."""
        if self._stdio is not None:
            self._stdio.forget(owner)

    def open_http(
        self, target: HttpTarget, owner: str, declared: Mapping[str, Any], hear: Hear, authorizer: Authorizer | None
    ) -> Link:
        """Streamable HTTP, or the transport of 2024 if the server takes no other."""
        try:
            return HttpLink(target, self._fetch, declared, hear, authorizer, lambda name: self._find_schema(owner, name))
        except NotUnderstood as error:
            if error.status not in OLD_SERVER:
                raise
            try:
                return SseLink(target, self._fetch, declared, hear, authorizer)
            except UpstreamError:
                raise error from None

    def open_sse(
        self, target: HttpTarget, _owner: str, declared: Mapping[str, Any], hear: Hear, authorizer: Authorizer | None
    ) -> Link:
        """The transport of 2024."""
        return SseLink(target, self._fetch, declared, hear, authorizer)

    def open_stdio(
        self, target: StdioTarget, owner: str, declared: Mapping[str, Any], hear: Hear, _authorizer: Authorizer | None
    ) -> Link:
        """A child process."""
        if self._stdio is None:
            raise UpstreamError("Commands are not allowed on this server. (See ALLOW_STDIO.)")
        return self._stdio.open(owner, target, declared, hear)


OPENERS: dict[str, Callable[..., Link]] = {
    "remote_http": Opener.open_http,
    "remote_sse": Opener.open_sse,
    "stdio": Opener.open_stdio,
}

"""Every error that crosses a floor, by kind. Renders nothing for clients: `web.py` and `protocol.py` do that."""

from __future__ import annotations

import traceback
from typing import Any


class PosternError(Exception):
    """The root: anything below it was foreseen."""


class ConfigError(PosternError):
    """A setting or the database is unfit to start with; the text is one clear line without values."""


class StorageError(PosternError):
    """The database cannot be read or written just now (busy, full, broken disk); answered as 503."""


class NotFound(PosternError):
    """No such row, or one that this user may not see: the two look alike on purpose."""


class InvalidInput(PosternError):
    """A person's form has mistakes; `fields` maps each field's name to a sentence."""

    def __init__(self, message: str, fields: dict[str, str] | None = None):
        super().__init__(message)
        self.fields = fields or {}


class TooManyRequests(PosternError):
    """A limit is used up; `retry_after` is in seconds."""

    def __init__(self, retry_after: int):
        super().__init__(f"Too many requests. Try again in {retry_after} seconds.")
        self.retry_after = retry_after


# --- OAuth (RFC 6749 §4.1.2.1 and §5.2) ---


class OAuthError(PosternError):
    """An OAuth error: `code` on the wire, HTTP `status`, and whether a redirect may carry it to the client."""

    code = "invalid_request"
    status = 400
    may_redirect = True

    def __init__(self, description: str):
        super().__init__(description)
        self.description = description


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 §5.2)."""


class UnsafeRedirect(OAuthError):
    """The client or its redirect URI cannot be trusted, so the person is told and the browser stays (RFC 6749 §4.1.2.1)."""

    may_redirect = False


class UnsupportedResponseType(OAuthError):
    """Only `code` is offered (OAuth 2.1 §4.1.1)."""

    code = "unsupported_response_type"


class InvalidScope(OAuthError):
    """The scope is malformed, or wider than what was granted (RFC 6749 §5.2)."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """The resource is not one of ours, or not the one that was granted (RFC 8707 §2)."""

    code = "invalid_target"


class LoginRequired(OAuthError):
    """The client wants no page to be shown (`prompt=none`), but consent is asked every time (OIDC Core §3.1.2.6)."""

    code = "login_required"


class AccessDenied(OAuthError):
    """The person said no (RFC 6749 §4.1.2.1)."""

    code = "access_denied"


class InvalidClient(OAuthError):
    """Client authentication failed; `challenge` asks for Basic when the header was tried (RFC 6749 §5.2)."""

    code = "invalid_client"
    status = 401

    def __init__(self, description: str, challenge: bool = False):
        super().__init__(description)
        self.challenge = challenge


class InvalidGrant(OAuthError):
    """The code or refresh token is unknown, spent, expired, or somebody else's (RFC 6749 §5.2)."""

    code = "invalid_grant"


class UnsupportedGrantType(OAuthError):
    """Only authorization_code and refresh_token are offered (RFC 6749 §5.2)."""

    code = "unsupported_grant_type"


class InvalidRedirectUri(OAuthError):
    """A redirect URI in a registration is not acceptable (RFC 7591 §3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """Some other member of a registration is not acceptable (RFC 7591 §3.2.2)."""

    code = "invalid_client_metadata"


class InvalidToken(OAuthError):
    """The bearer is missing (`code` None: RFC 6750 §3 wants no error then), unknown, expired or for another resource."""

    status = 401

    def __init__(self, description: str, code: str | None = "invalid_token"):
        super().__init__(description)
        self.code = code


# --- MCP ---


class ProtocolError(PosternError):
    """A JSON-RPC error: `code`, `message` and `data` on the wire; `status` overrides the HTTP status of the code."""

    def __init__(self, code: int, message: str, data: Any = None, status: int | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status


class ToolError(PosternError):
    """A tool could not do its work; the text is written for the model, which sees it as `isError`."""


class Cancelled(PosternError):
    """The client went away or cancelled; nobody waits for the result."""


class InputRequired(Cancelled):
    """This run ends here: the client has to answer something first, and then the handler runs again."""


class FetchError(PosternError):
    """An outgoing request was refused by our guard, failed, or was answered with more than was allowed."""


# --- upstreams ---


class UpstreamError(ToolError):
    """Another MCP server cannot be reached, or does not keep to the protocol; the sentence holds nothing that it said.

    `output` is what a command wrote to stderr, without its secrets: for its person only, never for a model or a log.
    """

    output = ""


class UpstreamRefused(PosternError):
    """Another MCP server answered with a JSON-RPC error; `message` and `data` are its words, and not to be trusted."""

    def __init__(self, code: int, message: str, data: Any = None):
        super().__init__(f"the server answered with error {code}")
        self.code, self.message, self.data = code, message, data


class SignInNeeded(ToolError):
    """A connection lets nobody through until its person has signed in (again) at the service; the sentence is for the person.

    `link` is where they can. `code` is that of RFC 6750 §3.1; for `insufficient_scope`, `scope` is what is missing, if known.
    """

    def __init__(self, message: str, *, link: str = "", code: str = "invalid_token", scope: str | None = None):
        super().__init__(message)
        self.link, self.code, self.scope = link, code, scope


class SignInFailed(PosternError):
    """A sign-in at the service behind a connection came to nothing; the sentence is for the person.

    `connection_id` is None where the answer belongs to no sign-in that this browser has begun.
    """

    def __init__(self, message: str, connection_id: str | None = None):
        super().__init__(message)
        self.connection_id = connection_id


def trace(error: BaseException) -> str:
    """For the log, what nobody foresaw: its kind and where it came from. Not its text, which may hold anybody's secret."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"

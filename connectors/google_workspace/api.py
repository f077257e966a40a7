"""Google's HTTP interfaces for one call: requests, waiting, refusals, several at once. Knows no tool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from challenges import write_challenge
from connectors.google_workspace.refusals import Refused, explain, lacks_scope, status_of
from connectors.google_workspace.settings import char_limit
from errors import SignInNeeded, ToolError
from fetch import VENDOR, Response
from service_calls import Patience, Reading, read_wait
from service_messages import as_query, fill_path, given, objects, part, read_json
from tools import Context, Tool

__all__ = ["BASES", "Api", "NotLetIn", "Request", "given", "objects", "part"]  # what the tools of this connector need

MAX_BYTES = 32 * 1024 * 1024
READING = Reading(status_of, read_wait)
BASES = {
    "gmail": "https://gmail.googleapis.com/gmail/v1/users/me",
    "calendar": "https://www.googleapis.com/calendar/v3",
    "drive": "https://www.googleapis.com/drive/v3",
    "upload": "https://www.googleapis.com/upload/drive/v3",
    "docs": "https://docs.googleapis.com/v1",
    "sheets": "https://sheets.googleapis.com/v4",
    "slides": "https://slides.googleapis.com/v1",
    "tasks": "https://tasks.googleapis.com/tasks/v1",
    "people": "https://people.googleapis.com/v1",
    "forms": "https://forms.googleapis.com/v1",
    "meet": "https://meet.googleapis.com/v2",
    "chat": "https://chat.googleapis.com/v1",
    "directory": "https://admin.googleapis.com/admin/directory/v1",
    "reports": "https://admin.googleapis.com/admin/reports/v1",
    "who": "https://www.googleapis.com/oauth2/v2",
}


@dataclass(frozen=True)
class Request:
    """One request: method, service, path with `{names}`, what they stand for, query and body."""

    method: str
    service: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    form: bytes | None = None
    content_type: str = ""


class NotLetIn(ToolError):
    """Google answered 401 to one of several requests; the caller's thread sees to it."""

    def __init__(self, response: Response):
        super().__init__("Google does not accept this connection's sign-in.")
        self.response = response


class Api:
    """What one call of a tool asks Google through. Threads of its own do nothing but talk to Google."""

    def __init__(self, context: Context, tool: Tool | None = None):
        self.context, self.char_limit = context, char_limit(context)
        self._tool = tool
        self._patience = Patience(context.call, "Google")

    # --- asking ---

    def get(self, service: str, path: str, params: Mapping[str, Any] | None = None, /, **ids: str) -> dict[str, Any]:
        """The JSON that a GET answers."""
        return self.send(Request("GET", service, path, ids, params or {}))

    def post(
        self, service: str, path: str, json: Any = None, params: Mapping[str, Any] | None = None, /, **ids: str
    ) -> dict[str, Any]:
        """The JSON that a POST answers."""
        return self.send(Request("POST", service, path, ids, params or {}, json))

    def patch(self, service: str, path: str, json: Any, params: Mapping[str, Any] | None = None, /, **ids: str) -> dict[str, Any]:
        """The JSON that a PATCH answers."""
        return self.send(Request("PATCH", service, path, ids, params or {}, json))

    def delete(self, service: str, path: str, params: Mapping[str, Any] | None = None, /, **ids: str) -> None:
        """Delete what a path names."""
        self.send(Request("DELETE", service, path, ids, params or {}))

    def send(self, request: Request) -> dict[str, Any]:
        """The JSON of an answer; an empty object if there is none. Raises Refused, SignInNeeded, FetchError or OutOfTime."""
        return read_body(self.fetch(request))

    def fetch(self, request: Request) -> Response:
        """The answer as it came, after waiting, trying again and renewing the sign-in where that helps."""
        for is_last in (False, True):
            try:
                return self._try(request, self._headers())
            except NotLetIn as refusal:
                self._see_to(refusal.response, is_last)
        raise AssertionError("the last try returns or raises")

    def send_all(self, requests: Iterable[Request], *, what: str = "") -> list[dict[str, Any] | ToolError]:
        """The answers to several requests, in order, a ToolError for each that failed."""
        requests = list(requests)
        answers = self._send_all(requests, self._headers(), what)
        late = [index for index, answer in enumerate(answers) if isinstance(answer, NotLetIn)]
        if late:
            self._see_to(answers[late[0]].response, False)
            again = self._send_all([requests[index] for index in late], self._headers(), what)
            for index, answer in zip(late, again, strict=True):
                answers[index] = answer
        return answers

    def get_all(self, requests: Iterable[Request], *, what: str = "") -> list[dict[str, Any]]:
        """The same; the first refusal is raised."""
        answers = self.send_all(requests, what=what)
        for answer in answers:
            if isinstance(answer, ToolError):
                raise answer
        return answers  # type: ignore[return-value]

    def get_present(self, requests: Iterable[Request]) -> list[dict[str, Any]]:
        """The same, without what is not there any more: something may go between its being found and its being read."""
        answers = [answer for answer in self.send_all(requests) if not (isinstance(answer, Refused) and answer.status == 404)]
        for answer in answers:
            if isinstance(answer, ToolError):
                raise answer
        return answers  # type: ignore[return-value]

    def _send_all(self, requests: list[Request], headers: Mapping[str, str], what: str) -> list[Any]:
        def job(request: Request) -> Callable[[], dict[str, Any]]:
            return lambda: read_body(self._try(request, headers))

        def tell(done: int) -> None:
            self.context.call.progress(done, len(requests), f"{done} of {len(requests)} {what}")

        return self._patience.run_all([job(request) for request in requests], tell=tell if what else None)

    # --- one request ---

    def _headers(self) -> Mapping[str, str]:
        signed_in = self.context.signed_in
        return signed_in.headers() if signed_in else {"Authorization": f"Bearer {self.context.secrets['access_token']}"}

    def _try(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The answer to a request; raises NotLetIn for a 401, and Refused for any other error."""
        url = BASES[request.service] + "/" + fill_path(request.path, request.ids)

        def send() -> Response:
            return self.context.fetch.request(
                request.method,
                url,
                trust=VENDOR,
                headers={**headers, "Accept": "*/*"} | ({"Content-Type": request.content_type} if request.form else {}),
                params=as_query(request.params),
                json=request.json,
                form=request.form,
                timeout=self._patience.seconds_for_request(),
                max_bytes=MAX_BYTES,
            )

        response = self._patience.insist(request.method, send, READING)
        if response.status == 401:
            raise NotLetIn(response)
        if lacks_scope(response):
            self._say_scope(response)
        if response.status >= 300:
            raise explain(response, headers["Authorization"].removeprefix("Bearer "), request.method)
        return response

    def _see_to(self, response: Response, is_last: bool) -> None:
        """Renew the sign-in after a 401. Raises SignInNeeded if that does not help."""
        signed_in = self.context.signed_in
        if signed_in is not None:
            signed_in.refused(401, response.headers.get("WWW-Authenticate"))
        if is_last or signed_in is None:
            raise SignInNeeded("Google does not accept this connection's sign-in. Its person has to sign in again.")

    def _say_scope(self, response: Response) -> None:
        """Raise SignInNeeded with the choice in the connection's form that would ask for what is missing."""
        tool, signed_in = self._tool, self.context.signed_in
        scope = tool.scopes[0][0] if tool and tool.scopes else None
        hint = f"This takes “{tool.scope_hint}”, which is chosen in the connection's form." if tool and tool.scope_hint else ""
        try:
            if signed_in is not None:
                signed_in.refused(403, write_challenge({"error": "insufficient_scope", "scope": scope}))
        except SignInNeeded as needed:
            raise SignInNeeded(f"{hint} {needed}".strip(), link=needed.link, code=needed.code, scope=needed.scope) from None
        raise SignInNeeded(f"Google wants a sign-in that allows more. {hint}".strip(), code="insufficient_scope", scope=scope)

    # --- the account ---

    def check_account(self, email: str) -> None:
        """Raise ToolError unless the connection's account is this one: a connection never works for another."""
        account = (self.context.signed_in.account() if self.context.signed_in else None) or self._ask_account()
        if account.casefold() != email.strip().casefold():
            raise ToolError(
                f"This connection is signed in as {account}, not as {email[:100]}. Leave out user_google_email, or use the tools "
                "of the connection for that account."
            )

    def _ask_account(self) -> str:
        return str(self.get("who", "userinfo").get("email") or "an account that Google does not name")


# --- answers ---


def read_body(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; nothing is an empty one. Raises ToolError if it is neither."""
    body = read_json(response, "Google")
    return body if isinstance(body, dict) else {}

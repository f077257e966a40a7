"""What ClickUp's errors mean, as sentences that a model can act on. Sends nothing."""

from __future__ import annotations

import re
from typing import Any

from errors import FetchError, ToolError
from fetch import Response
from service_messages import quote_words, trouble_of, word_refusal

# https://developer.clickup.com/docs/common_errors, read in 2026-09
WORKSPACE_CODES = {"OAUTH_023", "OAUTH_026", "OAUTH_027", *(f"OAUTH_{number:03}" for number in range(29, 46))}
SENTENCES = {
    400: "ClickUp did not accept the request",
    401: "ClickUp does not accept this connection's API token. Its person has to put a new one into the connection",
    403: "ClickUp does not let this account do that",
    404: "ClickUp finds nothing there: the id is wrong, it was deleted, or this account may not see it",
    405: "ClickUp does not offer this for what was named",
    409: "ClickUp says that this clashes with what is there",
    413: "ClickUp says that this is too large",
    429: "ClickUp's rate limit for this account is used up",
}
NO_WORKSPACE = "ClickUp does not let this account into that workspace, or what was named is in another one"


class Refused(ToolError):
    """ClickUp answered with an error; `status` is HTTP's, `code` its own word for it, or ''."""

    def __init__(self, sentence: str, status: int, code: str):
        super().__init__(sentence)
        self.status, self.code = status, code


def explain(response: Response, token: str, method: str) -> Refused:
    """Why ClickUp refused: what it means, and ClickUp's own words where they help."""
    body = read_error(response)
    code = text_of(body, "ECODE") or text_of(body, "ecode")
    code = code if re.fullmatch(r"[A-Za-z0-9_]{1,40}", code) else ""
    sentence = SENTENCES.get(response.status, f"ClickUp answered with status {response.status}")
    if response.status >= 500:
        sentence = trouble_of("ClickUp", method)
    if code in WORKSPACE_CODES:
        sentence = NO_WORKSPACE
    said = quote_words(text_of(body, "err") or text_of(body, "message") or text_of(body, "error"), token, 200)
    return Refused(word_refusal(sentence, said if response.status < 500 else "", response.status, code), response.status, code)


def read_error(response: Response) -> dict[str, Any]:
    """The JSON object of an error; an empty one if there is none."""
    try:
        body = response.json()
    except FetchError:
        return {}
    return body if isinstance(body, dict) else {}


def text_of(item: dict[str, Any], name: str) -> str:
    """A member that should be a text; '' if it is not."""
    value = item.get(name)
    return value if isinstance(value, str) else ""

"""What Google's errors mean, as sentences that a model or its person can act on. Sends nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from errors import ToolError
from fetch import Response
from service_messages import quote_words, trouble_of, word_refusal

# https://developers.google.com/workspace/gmail/api/guides/handle-errors and those of the other services, read in 2026-09
RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"})
SCOPE_REASONS = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
SWITCHED_OFF = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
SENTENCES = {
    400: "Google did not accept the request",
    401: "Google does not accept this connection's sign-in",
    403: "Google does not let this account do that",
    404: "Google finds nothing there: the id is wrong, it was deleted, or this account may not see it",
    409: "Google says that this clashes with what is there",
    410: "Google says that this was there and is deleted",
    412: "It was changed meanwhile: read it again, then try once more",
    413: "Google says that this is too large",
    429: "Google's rate limit for this account is used up: wait a minute, and ask for less at a time",
}
REASONS = {
    "dailyLimitExceeded": "The quota of this Google Cloud project for today is used up",
    "quotaExceeded": "The quota for this is used up",
    "domainPolicy": "The administrators of this account's organisation do not allow that",
    "storageQuotaExceeded": "This account's storage is full",
    "cannotDownloadAbusiveFile": "Google takes this file for malware and does not hand it out",
    "exportSizeLimitExceeded": "This is too large to be exported: Google exports at most 10 MB",
    "fileNotDownloadable": "This has no content to download: export it instead",
    "insufficientFilePermissions": "This account may not do that with this file",
}


class Refused(ToolError):
    """Google answered with an error; `status` is HTTP's, or what it amounts to; `reason` is Google's own word, or ''."""

    def __init__(self, sentence: str, status: int, reason: str):
        super().__init__(sentence)
        self.status, self.reason = status, reason


def status_of(response: Response) -> int:
    """What an answer amounts to: some rate limits come as 403."""
    if response.status == 403 and not RATE_REASONS.isdisjoint(reasons_of(read_error(response))):
        return 429
    return response.status


def lacks_scope(response: Response) -> bool:
    """Whether it was refused because the sign-in does not cover it."""
    header = response.headers.get("WWW-Authenticate", "")
    return response.status == 403 and (
        "insufficient_scope" in header or not SCOPE_REASONS.isdisjoint(reasons_of(read_error(response)))
    )


def explain(response: Response, token: str, method: str) -> Refused:
    """Why Google refused: what it means, and Google's own words where they help."""
    error, status = read_error(response), status_of(response)
    reasons = reasons_of(error)
    reason = next((word for word in reasons if word in REASONS or word in SWITCHED_OFF), next(iter(reasons), ""))
    sentence = REASONS.get(reason) or SENTENCES.get(status, f"Google answered with status {status}")
    if reason in SWITCHED_OFF:
        sentence = (
            f"The API at {response.host} is switched off in the Google Cloud project that this connection's client belongs to. "
            "Its owner can enable it under APIs & Services, Library; it takes a few minutes to work"
        )
    elif status >= 500:
        sentence = trouble_of("Google", method)
    said = quote_words(error.get("message"), token) if status < 500 and reason not in SWITCHED_OFF else ""
    return Refused(word_refusal(sentence, said, response.status, reason), status, reason)


def read_error(response: Response) -> dict[str, Any]:
    """The `error` object of an answer; an empty one if there is none."""
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


def reasons_of(error: dict[str, Any]) -> list[str]:
    """Google's words for what is wrong, of its older and its newer kind of errors."""
    items = [item for name in ("errors", "details") if isinstance(error.get(name), list) for item in error[name]]
    words = [item.get("reason") for item in items if isinstance(item, dict)] + [error.get("status")]
    return [word for word in words if isinstance(word, str) and re.fullmatch(r"[A-Za-z_]{1,60}", word)]

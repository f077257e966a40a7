"""An attempt to sign in as lines of text: what was seen, what came last, what did not come. Reads no database."""

from __future__ import annotations

import time

from store.signins import Attempt, Step
from texts import plain_text

FOLLOWERS = {  # step -> what comes after it, if all goes well
    "resource_metadata": "server_metadata",
    "server_metadata": "register, or authorize",
    "register": "authorize",
    "document": "authorize",
    "authorize": "login, or consent_shown",
    "login": "consent_shown",
    "consent_shown": "consent",
    "consent": "token",
    "token": "call",
}


def describe_attempt(attempt: Attempt) -> list[str]:
    """An attempt as lines of text."""
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(attempt.started_at))
    client = f"{plain_text(attempt.client_name) or 'client'} [{attempt.client_id}]" if attempt.client_id else "no known client"
    person = f"user {attempt.user_name}" if attempt.user_name else "nobody signed in"
    lines = ["  ".join(filter(None, (started, client, person, attempt.resource, attempt.user_agent)))]
    before = attempt.started_at
    for step in attempt.steps:
        outcome = f"refused: {step.error}" if step.error else "ok"
        lines.append(f"  {step.at - before:+9.1f} s  {step.step:<18} {outcome}" + (f" ({step.detail})" if step.detail else ""))
        before = step.at
    return [*lines, "  " + describe_end(attempt.steps[-1])]


def describe_end(last: Step) -> str:
    """What came last, and what should have come then."""
    if last.error:
        return f"Came last: {last.step}, refused ({last.error})."
    follower = FOLLOWERS.get(last.step)
    return f"Came last: {last.step}. What did not come: {follower}." if follower else f"Came last: {last.step}. It is in."

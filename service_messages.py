"""What connectors share about single requests and answers: paths, queries, JSON, words of refusals. Knows no service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from errors import FetchError, ToolError
from fetch import Response
from strict_json import SURROGATE

HALVES = re.compile("[\ud800-\udfff]")  # of a letter in UTF-16: nothing by themselves
VALUE_MAX = 1000  # letters of what may stand in a path
MAY_BE_DONE = "It may have been done all the same: look before you try again"


def fill_path(path: str, ids: Mapping[str, str], check: Callable[[str, str], None] | None = None) -> str:
    """A path with its `{names}` filled in, each as one segment that leads nowhere else. Raises ToolError for what cannot be one.

    `check(name, value)` may know more of a service's ids.
    """

    def segment(match: re.Match[str]) -> str:
        name, value = match[1], str(ids[match[1]])
        if check:
            check(name, value)
        if not value.strip() or value in (".", "..") or not value.isprintable() or len(value) > VALUE_MAX:
            raise ToolError(f"“{value[:50]}” cannot be used as {name}.")
        return quote(value, safe="")

    return re.sub(r"\{([A-Za-z_]+)\}", segment, path)


def as_query(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Query parameters as most services read them: repeated keys for lists, `true` and `false`; None is left out."""
    pairs = []
    for name, value in params.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                pairs.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
    return pairs


def given(**members: Any) -> dict[str, Any]:
    """Those members that are not None. A name that ends in _ stands for the word before it."""
    return {name.rstrip("_"): value for name, value in members.items() if value is not None}


def read_json(response: Response, service: str) -> Any:
    """The JSON of an answer, half a letter in it replaced; nothing is an empty object. Raises ToolError if it is neither."""
    if not response.body.strip():
        return {}
    try:
        value = response.json()
        return make_whole(value) if SURROGATE.search(response.body) else value
    except (FetchError, RecursionError):
        raise ToolError(f"{service} answered something that is not JSON. Try again later.") from None


def make_whole(value: Any) -> Any:
    """The same with U+FFFD for each half of a pair of surrogates: some services cut a text in the middle of an emoji."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(HALVES.sub("\ufffd", text)) if HALVES.search(text) else value


def objects(answer: Any, name: str) -> list[dict[str, Any]]:
    """The objects of a member that should be a list of them."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def part(answer: Any, name: str) -> dict[str, Any]:
    """A member that should be an object; an empty one if it is not."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}


def quote_words(said: Any, secret: str, letters: int = 300) -> str:
    """A service's own words for what is wrong, fit to be shown: one line, not too long, and never the secret it was sent."""
    text = said.replace(secret, "…") if isinstance(said, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:letters].rstrip(". ")


def trouble_of(service: str, method: str) -> str:
    """What an error of a service itself means. A POST is not tried again by us, and should not be blindly by anybody else."""
    return f"{service} has trouble of its own. {MAY_BE_DONE if method == 'POST' else 'Try again later'}"


def word_refusal(meaning: str, said: str, status: int, word: str) -> str:
    """The sentence for a refusal: what it means, the service's own words and its word for it, where there are any."""
    return f"{meaning}{f': “{said}”' if said else ''} (status {status}{f', {word}' if word else ''})."

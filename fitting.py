"""Answers that fit: what is empty is left out, what is too long is shortened, and says so. Knows no tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NotRequired

from typing_extensions import TypedDict

WHOLE = ("guidance", "next_page_token", "base64")  # texts that are of no use in part
SHORT = 200  # a text of so many characters is not cut any more
GUIDANCE = "Shortened to fit. Ask for less at a time (a smaller limit, a filter), or for one item, to see the rest."


class Answer(TypedDict):
    """What every answer may say about itself."""

    truncated: NotRequired[bool]
    guidance: NotRequired[str]


class Report(Answer):
    """An answer that may know only a part, and then says why."""

    partial: bool
    partialReasons: list[str]


def fit(answer: dict[str, Any], limit: int) -> dict[str, Any]:
    """The answer within `limit` characters of JSON: again and again, its longest list or text is halved."""
    if len(dump(answer)) <= limit:
        return answer
    answer = cut_texts(json.loads(dump(answer)), limit * 3 // 4)
    answer |= {"truncated": True, "guidance": GUIDANCE}
    while (size := len(dump(answer))) > limit:
        longest = max(find_long_ones(answer), key=lambda found: found[:2], default=None)
        if longest is None:
            break
        _, _, holder, key = longest
        value = holder[key]
        keep = max(len(value) * limit // size, 1) if len(value) * limit // size < len(value) // 2 else len(value) // 2
        holder[key] = value[:keep] if isinstance(value, list) else value[:keep] + "…"
    return answer


def slice_text(text: str, offset: int, limit: int) -> dict[str, Any]:
    """As much of a text as an answer of `limit` characters holds, from an offset on, and where it goes on."""
    room = max(limit - 1500, 500)
    piece = text[offset : offset + room * 3 // 4]
    end = offset + len(piece)
    return {"text": piece} | ({"next_offset": end, "total_chars": len(text)} if end < len(text) else {})


def cut_texts(value: Any, longest: int) -> Any:
    """The same with no text longer than `longest`: one long text shall not cost all the others that stand beside it."""
    if isinstance(value, dict):
        return {key: item if key in WHOLE else cut_texts(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [cut_texts(item, longest) for item in value]
    return value[:longest] + "…" if isinstance(value, str) and len(value) > longest else value


def find_long_ones(value: Any) -> Iterator[tuple[bool, int, Any, Any]]:
    """(whether something is left of it, length, holder, key) of each list and each long text, wherever it stands.

    Half of one thing is nothing: a list of one is emptied last, when what is in it cannot be shortened.
    """
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        if (isinstance(item, list) and item) or (isinstance(item, str) and len(item) > SHORT and key not in WHOLE):
            yield len(item) > 1, len(dump(item)), value, key
        yield from find_long_ones(item)


def dump(value: Any) -> str:
    """JSON as it will be sent."""
    return json.dumps(value, ensure_ascii=False)


def compact(item: dict[str, Any]) -> dict[str, Any]:
    """Without the members that say nothing: None, and empty texts and lists."""
    return {name: value for name, value in item.items() if value is not None and value not in ("", [], {})}

"""Messages from other MCP servers, read (JSON-RPC 2.0). Knows no session and no method."""

from __future__ import annotations

import json
from typing import Any

from errors import UpstreamError, UpstreamRefused
from strict_json import bound_parts, decode_json

Message = dict[str, Any]
UNREADABLE = "unreadable"  # a member of what is left of such a response


def read_message(data: bytes) -> Any:
    """The JSON of a message. Raises ValueError for what is none.

    Of a response that only lenient readers take, such as one with half a letter in it, its id is left, and UNREADABLE, so that
    whoever waits for it need not wait long; of anything else that is so, nothing.
    """
    try:
        return decode_json(data)
    except ValueError:
        loose = read_loosely(data)
    if not isinstance(loose, dict) or "method" in loose:
        return None
    return {name: loose[name] for name in ("jsonrpc", "id") if name in loose} | {UNREADABLE: True}


def read_loosely(data: bytes) -> Any:
    """The value of a text that is JSON at least for the standard library. Raises ValueError."""
    bound_parts(data)
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_response(message: Message) -> dict[str, Any]:
    """The result of a response. Raises UpstreamRefused for an error, UpstreamError for neither (JSON-RPC 2.0 §5)."""
    result, error = message.get("result"), message.get("error")
    if isinstance(result, dict) and error is None:
        return result
    if isinstance(error, dict) and is_number(error.get("code")) and isinstance(error.get("message"), str):
        raise UpstreamRefused(int(error["code"]), error["message"], error.get("data"))
    raise UpstreamError("The server's answer is neither a result nor an error.")


def is_id(value: Any) -> bool:
    """Whether a value may be the id of a request (MCP, basic, "Requests")."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)

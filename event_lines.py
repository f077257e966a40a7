"""Reads `text/event-stream` bytes as they come (WHATWG HTML §9.2.6). Opens nothing, and knows no message inside."""

from __future__ import annotations

import re
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")
MAX_EVENT_BYTES = 8 * 1024 * 1024
MAX_FIELD_BYTES = 1024  # of an id: it comes back to the server in a header


@dataclass(frozen=True)
class Event:
    """One event. `kind` is "message" unless the server named another; `data` may be empty."""

    kind: str
    data: bytes


class EventLines:
    """Takes pieces of a stream, however they are cut, and answers the events that are complete.

    `last_id` is what a reader who comes back shows to the server, `retry_seconds` what the server wants it to wait first.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES):
        self.last_id = ""
        self.retry_seconds: float | None = None
        self._max_bytes = max_bytes
        self._line = bytearray()  # begun, but not ended
        self._after_cr = False  # the last piece ended in CR: a LF at the start of the next one belongs to it
        self._at_start = True
        self._kind, self._id = "", ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes. Raises ValueError for an event that is longer than allowed."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if piece:
            self._after_cr = piece.endswith(b"\r")
        first, *rest = LINE_END.split(piece)
        self._line += first
        if len(self._line) + self._size > self._max_bytes:
            raise ValueError("an event is too long")
        if not rest:
            return []
        lines = [bytes(self._line), *rest[:-1]]
        self._line = bytearray(rest[-1])
        if self._at_start:
            lines[0], self._at_start = lines[0].removeprefix(BOM), False
        return [event for line in lines if (event := self._read(line)) is not None]

    def _read(self, line: bytes) -> Event | None:
        """Take one line; a blank one ends an event."""
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + 1
            if self._size > self._max_bytes:
                raise ValueError("an event is too long")
            self._data.append(value)
        elif name == b"event":
            self._kind = value[:MAX_FIELD_BYTES].decode(errors="replace")
        elif name == b"id" and b"\x00" not in value and len(value) <= MAX_FIELD_BYTES:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= 9:
            self.retry_seconds = int(value) / 1000
        return None  # comments have an empty name; unknown names are ignored

    def _finish(self) -> Event | None:
        self.last_id = self._id
        data, kind = self._data, self._kind or "message"
        self._data, self._size, self._kind = [], 0, ""
        return Event(kind, b"\n".join(data)) if data else None

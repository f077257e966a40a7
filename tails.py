"""The last that a program wrote, for a person to read: bounded, and without secrets. Reads nothing by itself."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection

TAIL_BYTES = 32_768
SHORTEST_SECRET = 4  # letters; shorter values would blot out ordinary text
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.")  # ECMA-48 §5.4, OSC


class Tail:
    """The last that a child wrote to stderr, without the values in `secrets`. Any thread may write, any may read."""

    def __init__(self, secrets: Collection[str]):
        self._secrets = sorted((value for value in set(secrets) if len(value) >= SHORTEST_SECRET), key=len, reverse=True)
        self._margin = max((len(value.encode()) for value in self._secrets), default=0)
        self._kept = b""
        self._is_cut = False
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Keep more, and forget what is old."""
        with self._lock:
            kept = self._kept + data
            self._is_cut = self._is_cut or len(kept) > TAIL_BYTES + self._margin
            self._kept = kept[-(TAIL_BYTES + self._margin) :]

    def text(self) -> str:
        """As plain text. Where the beginning is lost, so much more is left out that no piece of a secret can be in it."""
        with self._lock:
            kept, is_cut = self._kept.decode(errors="replace"), self._is_cut
        for value in self._secrets:
            kept = kept.replace(value, "[hidden]")
        kept = self._without_beginning(kept)
        kept = ESCAPES.sub("", kept[self._margin :] if is_cut else kept).replace("\r\n", "\n")
        return "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in kept)

    def _without_beginning(self, kept: str) -> str:
        """Hide what may be the first half of a secret, of which the second one is still to come."""
        for value in self._secrets:
            for length in range(min(len(value) - 1, len(kept)), SHORTEST_SECRET - 1, -1):
                if kept.endswith(value[:length]):
                    return kept[:-length] + "[hidden]"
        return kept

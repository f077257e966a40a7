"""Other people's words and moments in time, as a person reads them. Knows no page and no command line."""

from __future__ import annotations

import time

PLAIN_MAX = 80
PROSE_MAX = 4_000


def plain_text(value: str | None) -> str:
    """Untrusted text for one line: short, and without what is invisible or turns the direction of writing."""
    plain = "".join(letter for letter in value or "" if letter.isprintable()).strip()
    return plain if len(plain) <= PLAIN_MAX else plain[: PLAIN_MAX - 1] + "…"


def prose_text(value: str | None, longest: int = PROSE_MAX) -> str:
    """Untrusted text of several lines: not endless, and without what is invisible or turns the direction of writing."""
    prose = terminal_text(value or "").strip()
    return prose if len(prose) <= longest else prose[: longest - 1] + "…"


def terminal_text(value: str) -> str:
    """Text for a terminal, which would obey what is not printable."""
    return "".join(letter for letter in value if letter.isprintable() or letter == "\n")


def date_text(moment: int) -> str:
    """Epoch seconds as a date and time that needs no explanation."""
    return time.strftime("%-d %B %Y, %H:%M UTC", time.gmtime(moment))

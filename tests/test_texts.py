"""texts.py: untrusted text is harmless where it is shown, and moments read as dates."""

from __future__ import annotations

import pytest

from texts import PLAIN_MAX, date_text, plain_text, terminal_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("  Claude  ", "Claude"),
        ("日本語 ünï", "日本語 ünï"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("a\r\nb\x1b[2J\x00", "ab[2J"),
        ("x" * PLAIN_MAX, "x" * PLAIN_MAX),
        ("x" * (PLAIN_MAX + 1), "x" * (PLAIN_MAX - 1) + "…"),
    ],
)
def test_untrusted_text_becomes_one_short_plain_line(value: str | None, shown: str):
    assert plain_text(value) == shown


def test_a_moment_reads_as_a_date():
    assert date_text(0) == "1 January 1970, 00:00 UTC"
    assert date_text(1_790_000_000) == "21 September 2026, 14:13 UTC"


def test_a_terminal_gets_nothing_that_it_would_obey():
    assert terminal_text("  one\n\ttwo \x1b[2J\x07\r\u202e\n") == "  one\ntwo [2J\n"

"""tails.py: what is kept of what a program wrote."""

from __future__ import annotations

import pytest

from tails import TAIL_BYTES, Tail


def test_it_keeps_the_last():
    tail = Tail([])
    for number in range(20_000):
        tail.add(b"%d\n" % number)
    text = tail.text()
    assert len(text) == TAIL_BYTES
    assert text.endswith("19998\n19999\n")


def test_no_secret_is_in_it_however_it_came():
    tail = Tail(["s3cret", "s3cret-and-longer", "abc"])
    for piece in (b"a s3c", b"ret b", b" s3cret-and-longer", b" abc"):
        tail.add(piece)
    assert tail.text() == "a [hidden] b [hidden] abc"  # three letters are too few to hide


@pytest.mark.parametrize("cut", range(1, 12))
def test_no_piece_of_a_secret_is_left_where_the_beginning_is_lost(cut: int):
    secret = "0123456789AB"
    tail = Tail([secret])
    tail.add(b"." * 10 + secret.encode())
    tail.add(b"x" * (TAIL_BYTES + cut))  # all but the last letters of the secret are forgotten
    assert set(tail.text()) == {"x"}


def test_the_first_half_of_a_secret_is_hidden_until_the_second_one_comes():
    tail = Tail(["abcdefgh"])
    tail.add(b"key abcdef")
    assert tail.text() == "key [hidden]"
    tail.add(b"gh, abc")
    assert tail.text() == "key [hidden], abc"


def test_a_secret_of_many_lines_is_hidden():
    tail = Tail(["-----BEGIN-----\nabc\n-----END-----"])
    tail.add(b"key: -----BEGIN-----\nabc\n-----END-----\nnext")
    assert tail.text() == "key: [hidden]\nnext"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xfe ok", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} ok"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07after", "after"),
        (b"a\r\nb\tc\x00", "a\nb\tc\N{REPLACEMENT CHARACTER}"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x".encode(), "\N{REPLACEMENT CHARACTER}x"),
    ],
)
def test_it_is_plain_text(data: bytes, text: str):
    tail = Tail([])
    tail.add(data)
    assert tail.text() == text

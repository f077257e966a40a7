"""Event streams, however they are cut."""

from __future__ import annotations

import time

import pytest

from event_lines import Event, EventLines


def read(stream: bytes, *, size: int = 0) -> list[Event]:
    """The events of a whole stream, fed in pieces of `size`."""
    lines = EventLines()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [stream]
    return [event for piece in pieces for event in lines.feed(piece)]


STREAMS = {  # what it shows -> (the stream, its events)
    "line feeds": (b"data: a\n\ndata: b\n\n", [("message", b"a"), ("message", b"b")]),
    "carriage returns": (b"data: a\r\rdata: b\r\r", [("message", b"a"), ("message", b"b")]),
    "both": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", b"a"), ("message", b"b")]),
    "a mixture": (b"data: a\r\ndata: b\rdata: c\n\r\n", [("message", b"a\nb\nc")]),
    "many lines of data": (b"data: a\ndata\ndata:  c\n\n", [("message", b"a\n\n c")]),
    "a kind": (b"event: endpoint\ndata: /x\n\ndata: y\n\n", [("endpoint", b"/x"), ("message", b"y")]),
    "a kind without data": (b"event: endpoint\n\ndata: y\n\n", [("message", b"y")]),
    "comments": (b": hello\n\n:\ndata: a\n: b\n\n", [("message", b"a")]),
    "unknown fields": (b"data: a\nDATA: b\ncolour: red\nlonely\n\n", [("message", b"a")]),
    "no blank after the colon": (b"data:a\n\n", [("message", b"a")]),
    "a colon inside": (b"data: {\"a\": 1}\n\n", [("message", b'{"a": 1}')]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
    "a byte order mark in the middle": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", b"a")]),
    "an end in the middle": (b"data: a\n\ndata: b\n", [("message", b"a")]),
    "an event to begin with": (b"id: 7\ndata:\n\n", [("message", b"")]),
    "bytes that are no text": (b"data: \xff\x00\n\n", [("message", b"\xff\x00")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("name", STREAMS)
def test_it_reads_a_stream_however_it_is_cut(name: str, size: int):
    stream, events = STREAMS[name]
    assert [(event.kind, event.data) for event in read(stream, size=size)] == events


def test_a_line_feed_that_comes_late_belongs_to_the_carriage_return():
    lines = EventLines()
    assert lines.feed(b"data: a\r") == []
    assert lines.feed(b"") == []
    assert lines.feed(b"\ndata: b\r\n") == []
    assert lines.feed(b"\r\n") == [Event("message", b"a\nb")]


@pytest.mark.parametrize(
    ("stream", "last_id"),
    [
        (b"id: 1\ndata: a\n\n", "1"),
        (b"id: 1\n\n", "1"),
        (b"id: 1\ndata: a\n\ndata: b\n\n", "1"),
        (b"id: 1\n\nid\n\n", ""),
        (b"id: 1\n\nid: 2\n", "1"),
        (b"id: 1\n\nid: 2\x003\n\n", "1"),
        (b"id: 1\n\nid: " + b"x" * 2000 + b"\n\n", "1"),
    ],
)
def test_it_knows_where_it_was(stream: bytes, last_id: str):
    lines = EventLines()
    lines.feed(stream)
    assert lines.last_id == last_id


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"500", 0.5), (b"0", 0.0), (b"-1", None), (b"1.5", None), (b"", None), (b"9" * 30, None), (b"\xb2", None)],
)
def test_it_is_told_how_long_to_wait(value: bytes, seconds: float | None):
    lines = EventLines()
    lines.feed(b"retry: " + value + b"\n")
    assert lines.retry_seconds == seconds


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 101],
        [b"data: " + b"x" * 60, b"x" * 60],
        [b"data: " + b"x" * 60 + b"\n", b"data: " + b"x" * 60 + b"\n"],
        [b"data\n" * 101],
        [b"x" * 101],
    ],
)
def test_an_event_that_is_too_long_is_refused(pieces: list[bytes]):
    lines = EventLines(max_bytes=100)
    for piece in pieces[:-1]:
        assert lines.feed(piece) == []
    with pytest.raises(ValueError, match="too long"):
        lines.feed(pieces[-1])


def test_the_limit_is_for_one_event_and_not_for_the_stream():
    lines = EventLines(max_bytes=100)
    assert len(lines.feed(b"data: abcdefghi\n\n" * 1000)) == 1000
    assert lines.feed(b": comment\n" * 1000 + b"data: " + b"x" * 90 + b"\n\n") == [Event("message", b"x" * 90)]


def test_a_long_line_in_small_pieces_takes_no_long_time():
    lines = EventLines()
    started = time.monotonic()
    lines.feed(b"data: ")
    for _ in range(7000):
        lines.feed(b"x" * 1000)
    assert [len(event.data) for event in lines.feed(b"\n\n")] == [7_000_000]
    assert time.monotonic() - started < 5

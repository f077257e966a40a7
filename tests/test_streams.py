"""Event streams: what comes out, who ends them, and how a closed connection is noticed."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from streams import KEEPALIVE, OPENING, EventStream, frame


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_it_begins_at_once_and_ends_with_the_last_message():
    stream = EventStream(None)
    assert next(stream) == OPENING

    stream.put(b"1")
    stream.put(b"2")
    stream.finish(b"3")

    assert list(stream) == [frame(b"1"), frame(b"2"), frame(b"3")]
    stream.close()


def test_an_event_is_one_line_of_data():
    assert frame(b'{"a":1}') == b'event: message\ndata: {"a":1}\n\n'


def test_it_ends_without_a_last_message_too():
    stream = EventStream(None)
    stream.finish()

    assert list(stream) == [OPENING]
    stream.close()


def test_it_says_that_it_lives_while_nothing_happens():
    stream = EventStream(None, keepalive_seconds=0.01)

    assert [next(stream), next(stream), next(stream)] == [OPENING, KEEPALIVE, KEEPALIVE]
    stream.close()


def test_a_waiting_reader_wakes_when_something_is_put():
    stream = EventStream(None)
    threading.Timer(0.05, stream.put, [b"1"]).start()
    next(stream)

    began = time.monotonic()
    assert next(stream) == frame(b"1")
    assert time.monotonic() - began < 2
    stream.close()


def test_a_closed_connection_ends_it_at_once(pair):
    ours, theirs = pair
    stream = EventStream(ours)
    next(stream)
    threading.Timer(0.05, theirs.close).start()

    began = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - began < 2
    stream.close()


def test_more_requests_on_the_connection_do_not_end_it(pair):
    ours, theirs = pair
    stream = EventStream(ours, keepalive_seconds=0.01)
    theirs.sendall(b"POST /mcp HTTP/1.1\r\n")

    assert [next(stream), next(stream)] == [OPENING, KEEPALIVE]
    stream.close()


def test_stopping_ends_it_whatever_the_writer_does():
    stream = EventStream(None)
    next(stream)

    stream.stop()

    assert list(stream) == []
    stream.close()


def test_closing_tells_even_if_it_never_began():
    told = []
    stream = EventStream(None, on_close=lambda: told.append("closed"), on_end=lambda: told.append("over"))

    stream.close()
    stream.close()
    assert told == ["closed"]
    stream.put(b"dropped")
    stream.finish(b"dropped")

    assert told == ["closed", "over"]


def test_it_gives_its_file_descriptors_back_in_either_order():
    before = open_files()
    for first, second in (("close", "finish"), ("finish", "close")):
        stream = EventStream(None)
        getattr(stream, first)()
        getattr(stream, second)()

    assert open_files() == before


def test_it_is_silent_only_if_the_last_message_is_the_first():
    quick, chatty, slow = EventStream(None), EventStream(None), EventStream(None)
    quick.finish(b"1")
    chatty.put(b"0")
    chatty.finish(b"1")

    assert [quick.is_silent_after(5), chatty.is_silent_after(5), slow.is_silent_after(0.01)] == [True, False, False]
    slow.finish()
    for stream in (quick, chatty, slow):
        stream.close()


def test_it_does_not_wait_for_a_word_once_the_reader_has_gone():
    ours, theirs = socket.socketpair()
    stream = EventStream(ours)
    threading.Timer(0.05, theirs.close).start()
    begun = time.monotonic()

    assert stream.is_silent_after(20) is False
    assert time.monotonic() - begun < 10
    stream.finish()
    stream.close()
    ours.close()


def test_thousands_of_events_before_anybody_reads_do_not_block_the_writer():
    stream = EventStream(None)
    for _ in range(70_000):  # more than the pipe behind it can hold
        stream.put(b"1")
    stream.finish()

    assert sum(1 for _ in stream) == 70_001
    stream.close()


def test_nothing_is_kept_for_a_reader_who_has_gone():
    stream = EventStream(None)
    assert stream.put(b"1") is True
    stream.close()

    assert stream.put(b"2") is False
    assert stream.waiting_bytes == 0
    stream.finish()


def test_a_reader_who_is_too_slow_misses_messages_but_never_the_last_one(monkeypatch):
    monkeypatch.setattr("streams.MAX_WAITING_BYTES", 100)
    stream = EventStream(None)
    assert [stream.put(b"x" * 60) for _ in range(3)] == [True, True, False]
    assert [next(stream), next(stream), next(stream)] == [OPENING, frame(b"x" * 60), frame(b"x" * 60)]
    assert stream.put(b"y") is True
    stream.finish(b"z" * 500)

    assert list(stream) == [frame(b"y"), frame(b"z" * 500)]
    stream.close()

"""The stream on which an MCP server over HTTP says what nobody asked for: one thread, for as long as the session lasts.

Nothing depends on it: a server without such a stream is one whose lists are looked at now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from channels import Answer
from errors import FetchError, SignInNeeded, ToolError
from event_lines import EventLines
from strict_json import decode_json, encode_json
from upstream_endpoint import MAX_BYTES, feed
from upstream_posts import Posts
from wire import Deadline

SILENCE_SECONDS = 600  # after so long without a byte the connection is taken for dead
FIRST_SECONDS, LAST_SECONDS = 1.0, 300.0  # between two tries, twice as long each time
OPEN_SECONDS = 30
PASSING = (404, 429)  # a session that is gone, and for which there soon will be another; too many requests


class Listener:
    """Reads the stream and hands every message to `posts`, but for answers, which belong on streams of their own."""

    def __init__(self, posts: Posts, wanted: Mapping[str, bool]):
        self._posts, self._wanted = posts, dict(wanted)
        self._stopped = threading.Event()
        self.is_settled = threading.Event()  # it is known whether there is a stream
        self._lines = EventLines(MAX_BYTES)
        threading.Thread(target=self._run, name="listen to a server", daemon=True).start()

    def stop(self) -> None:
        """Read no more; the stream itself is closed with its channel."""
        self._stopped.set()

    def _run(self) -> None:
        wait = FIRST_SECONDS
        while not self._stopped.is_set():
            try:
                if not self._read():
                    return
                wait = FIRST_SECONDS
            except SignInNeeded:
                return
            except (ToolError, FetchError, OSError):
                wait = min(2 * wait, LAST_SECONDS)
            finally:
                self.is_settled.set()
            self._stopped.wait(max(wait, self._lines.retry_seconds or 0))

    def _read(self) -> bool:
        """One stream to its end; False if the server has none."""
        with self._open() as answer:
            self.is_settled.set()
            if answer.status >= 500 or answer.status in PASSING:
                raise ToolError("The server has no stream just now.")
            if answer.status != 200 or answer.kind != "text/event-stream":
                return False
            if not self._lines.last_id:
                self._catch_up()
            answer.wait_until(Deadline(SILENCE_SECONDS))
            for piece in answer.pieces():
                answer.wait_until(Deadline(SILENCE_SECONDS))
                for event in feed(self._lines, piece, answer):
                    if event.kind == "message" and event.data:
                        self._take(event.data)
        return True

    def _open(self) -> Answer:
        """Ask for the stream, in the way of the era."""
        posts, deadline = self._posts, Deadline(OPEN_SECONDS)
        if not posts.modern:
            return posts.endpoint.send("GET", posts.listen_headers(self._lines), None, deadline)
        self._lines = EventLines(MAX_BYTES)  # such streams are not taken up where they were
        message = posts.make_listen(self._wanted)
        return posts.endpoint.send("POST", posts.headers_of(message), encode_json(message), deadline)

    def _catch_up(self) -> None:
        """What changed while nobody listened was told to nobody."""
        for kind in self._wanted:
            self._posts.take({"jsonrpc": "2.0", "method": f"notifications/{kind.removesuffix('ListChanged')}/list_changed"})

    def _take(self, data: bytes) -> None:
        try:
            message = decode_json(data)
        except ValueError:
            raise ToolError("The server sends something that is not JSON.") from None
        if isinstance(message, dict) and "method" in message:
            self._posts.take(message)

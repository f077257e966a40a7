"""The stream on which an MCP server over HTTP says what nobody asked for: one thread, for as long as the session lasts.

No list depends on it: a server without such a stream is one whose lists are looked at now and then. Of resources that somebody
wants to hear of, there is no other way to learn.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from channels import Answer
from errors import FetchError, PosternError, SignInNeeded, ToolError
from event_lines import EventLines
from strict_json import decode_json, encode_json
from upstream_endpoint import MAX_BYTES, feed
from upstream_listens import Listen
from upstream_posts import Posts
from wire import Deadline

SILENCE_SECONDS = 600  # after so long without a byte the connection is taken for dead
FIRST_SECONDS, LAST_SECONDS = 1.0, 300.0  # between two tries, twice as long each time
OPEN_SECONDS = 30
PASSING = (404, 429)  # a session that is gone, and for which there soon will be another; too many requests


class Listener:
    """Reads the stream and hands every message to `posts`, but for answers, which belong on streams of their own.

    `opened` counts the streams so far: what was told between two of them is lost.
    """

    def __init__(self, posts: Posts, wanted: Mapping[str, bool]):
        self._posts, self._wanted = posts, dict(wanted)
        self._stopped, self._hurry = threading.Event(), threading.Event()
        self.is_settled = threading.Event()  # it is known whether there is a stream
        self.is_open, self.opened = False, 0
        self._lines = EventLines(MAX_BYTES)
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._thread = threading.Thread(target=self._run, name="listen to a server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more, and close the stream."""
        self._stopped.set()
        self._hurry.set()
        with self._lock:
            if self._answer:
                self._answer.abort()

    def hurry(self, seconds: float) -> None:
        """Try again at once, if there is no stream just now; returns when it is known, or after so long."""
        self.is_settled.clear()
        self._hurry.set()
        if self._thread.is_alive() and not self.is_open:
            self.is_settled.wait(seconds)

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
            self._hurry.wait(max(wait, self._lines.retry_seconds or 0))
            self._hurry.clear()

    def _read(self) -> bool:
        """One stream to its end; False if the server has none."""
        with self._open() as answer:
            if answer.status >= 500 or answer.status in PASSING:
                raise ToolError("The server has no stream just now.")
            if answer.status != 200 or answer.kind != "text/event-stream":
                return False
            with self._lock:
                self._answer, self.is_open, self.opened = answer, True, self.opened + 1
            self.is_settled.set()
            try:
                self._follow(answer)
            finally:
                with self._lock:
                    self._answer, self.is_open = None, False
        return True

    def _follow(self, answer: Answer) -> None:
        if self._stopped.is_set():
            return
        if not self._lines.last_id:
            self._catch_up()
        answer.wait_until(Deadline(SILENCE_SECONDS))
        for piece in answer.pieces():
            answer.wait_until(Deadline(SILENCE_SECONDS))
            for event in feed(self._lines, piece, answer):
                if event.kind == "message" and event.data:
                    self._take(event.data)

    def _open(self) -> Answer:
        """Ask for the stream, in the way of the era."""
        posts, deadline = self._posts, Deadline(OPEN_SECONDS)
        if not posts.modern:
            return posts.endpoint.send("GET", posts.listen_headers(self._lines), None, deadline)
        self._lines = EventLines(MAX_BYTES)  # such streams are not taken up where they were
        listen = posts.make_listen(self._wanted)
        try:
            return send_listen(posts, listen, deadline)
        finally:
            posts.end_listen(listen)  # nobody waits for what the server says of it

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


class ResourceListener(Listener):
    """One stream of the stateless era, about some resources. Once it has ended, `listen` says so; it is not opened again."""

    def __init__(self, posts: Posts, uris: list[str]):
        self.listen = posts.make_listen({"resourceSubscriptions": uris})
        super().__init__(posts, {})

    @property
    def resources(self) -> frozenset[str]:
        """See `Listen.resources`."""
        return self.listen.resources

    def wait(self, seconds: float) -> None:
        """See `Listen.wait`."""
        self.listen.wait(seconds)

    def _run(self) -> None:
        try:
            self._read()
        except (PosternError, OSError):
            pass  # whoever wants it looks
        finally:
            self._posts.end_listen(self.listen)
            self.is_settled.set()

    def _open(self) -> Answer:
        return send_listen(self._posts, self.listen, Deadline(OPEN_SECONDS))

    def stop(self) -> None:
        """Read no more, and close the stream, by which the server learns of it."""
        self._posts.end_listen(self.listen)
        super().stop()


def send_listen(posts: Posts, listen: Listen, deadline: Deadline) -> Answer:
    """Ask for a stream of the stateless era."""
    return posts.endpoint.send("POST", posts.headers_of(listen.message), encode_json(listen.message), deadline)

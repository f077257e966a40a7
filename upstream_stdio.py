"""A session with an MCP server that is a child process: lines of JSON over stdin and stdout. Leaves processes to `children.py`.

A server that breaks the rules loses its session: one whose lines have no end, that writes nothing but rubbish, or that does not
answer at all. A little rubbish is overlooked, for many a program prints a greeting.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from mcp_types import UNSUPPORTED_PROTOCOL_VERSION

from children import Child, Children
from config import Settings
from errors import UpstreamError, UpstreamRefused
from links import Greeting, Hear, StdioTarget
from strict_json import encode_json
from tools import Call
from upstream_greeting import NoCommonVersion, discover, find_wanted, initialize
from upstream_messages import Message, read_message
from upstream_rpc import Rpc
from upstream_watch import HandshakeWatch, ListenWatch

CHUNK = 65_536
MAX_LINE = 16 * 1024 * 1024  # bytes of one message
MAX_RUBBISH = 1000  # lines in a row that are no message
PATIENCE = 100  # lines in a row that answer nothing; then we read with pauses, so that a flood costs little
BURST, PAUSE_SECONDS = 20, 0.005
# For a server to say whether it is of the stateless era. An older one may keep silent, and its person waits so long at the first
# test. A newer one may begin more slowly than that, and finds both our questions: it answers one of them, see `_initialize`.
PROBE_SECONDS = 3.0
PING_SECONDS = 3.0
GREETING_SECONDS = 60.0  # the first start of a command may download it
CODE_SECONDS = 0.5  # for it to end, to learn its code and its last words
MAX_KNOWN = 200


class StdioLink:
    """One session: see `links.Link`. Call `greet` before anything else."""

    greeting: Greeting

    def __init__(self, child: Child, target: StdioTarget, capabilities: Mapping[str, Any], hear: Hear):
        self._child, self._seconds = child, target.seconds
        self._rpc = Rpc(self._send, hear, capabilities)
        self._heard = 0  # lines so far
        self._over = threading.Event()
        threading.Thread(target=self._read, daemon=True, name="stdio").start()

    @property
    def is_alive(self) -> bool:
        """Whether another request is worth trying."""
        return not self._over.is_set()

    def request(self, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask and wait: see `links.Link.request`. A server that said nothing at all, and answers not even a ping, ends here."""
        heard = self._heard
        try:
            return self._rpc.request(method, params, call, self._seconds)
        except UpstreamError:
            if self._heard == heard and not self._answers():
                self._end("The command does not answer.", at_once=True)
            raise

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the server something. Raises UpstreamError."""
        self._rpc.notify(method, params)

    def watch(self, uris: frozenset[str]) -> frozenset[str]:
        """Be told of changes of these: see `links.Link.watch`."""
        return self._watch.set(uris)

    @property
    def watched(self) -> frozenset[str]:
        """What of that holds."""
        return self._watch.told if self.is_alive else frozenset()

    def close(self) -> None:
        """End the session and the process."""
        self._end("The session was closed.", at_once=False)

    def fail(self) -> None:
        """End them because they are of no use."""
        self._end("The session could not begin.", at_once=True)

    def read_output(self) -> str:
        """What its process wrote to stderr, for its person; once it has been told to end, all of it."""
        self._child.has_ended.wait(CODE_SECONDS)
        return self._child.tail.text()

    def _answers(self) -> bool:
        """Whether there is any sign of life. The stateless era has no ping."""
        heard = self._heard
        with suppress(UpstreamError, UpstreamRefused):
            self._rpc.request("server/discover" if self.greeting.is_modern else "ping", {}, Call(), PING_SECONDS)
        return self._heard != heard

    # --- the beginning ---

    def greet(self, is_modern: bool | None) -> Greeting:
        """Find out what the server is; `is_modern` is what it was the last time. Raises UpstreamError or UpstreamRefused."""
        self.greeting = (self._discover() if is_modern is not False else None) or self._initialize()
        if self.greeting.is_modern:
            self._listen()
        self._watch = ListenWatch(self._rpc) if self.greeting.is_modern else HandshakeWatch(self._subscribe)
        return self.greeting

    def _discover(self) -> Greeting | None:
        """MCP 2026-07-28, basic/transports/stdio, "Backward Compatibility": silence, too, shows an older server."""
        try:
            return discover(self._rpc, PROBE_SECONDS)
        except NoCommonVersion:
            raise
        except UpstreamError:
            if not self.is_alive:
                raise
            return None

    def _initialize(self) -> Greeting:
        try:
            return initialize(self._rpc, GREETING_SECONDS)
        except UpstreamRefused as error:
            # it was slow to begin, and has taken our first question after all
            greeting = discover(self._rpc, GREETING_SECONDS) if error.code == UNSUPPORTED_PROTOCOL_VERSION else None
            if greeting is None:
                raise UpstreamError("The server refuses to begin.") from None
            return greeting

    def _subscribe(self, method: str, params: Mapping[str, Any]) -> None:
        self.request(method, params, Call())

    def _listen(self) -> None:
        """Ask to be told of changed lists, which servers of the handshake era do unasked."""
        if wanted := find_wanted(self.greeting.capabilities):
            self._rpc.listen(wanted)

    # --- what goes out ---

    def _send(self, message: Message) -> None:
        try:
            self._child.send(encode_json(message) + b"\n")
        except UpstreamError as error:
            self._end(str(error), at_once=True)  # half a message may be on its way
            raise

    # --- what comes in ---

    def _read(self) -> None:
        """The reading thread, to the end of the child's output. Whatever ends it ends the session: nobody else would notice."""
        sentence = "The command's output cannot be read."
        try:
            self._take_lines()
            sentence = ""
        except UpstreamError as error:
            sentence = str(error)
        except OSError:
            pass
        finally:
            self._over.set()
            self._end(sentence or self._last_words(), at_once=True)
            os.close(self._child.output)

    def _take_lines(self) -> None:
        """Hand on each message. Raises UpstreamError for a child that only babbles."""
        rubbish = idle = 0
        for line in read_lines(self._child.output):
            self._heard += 1
            message = read_line(line)
            rubbish = 0 if self._rpc.take(message) else rubbish + 1
            if rubbish > MAX_RUBBISH:
                raise UpstreamError("The command does not speak MCP.")
            idle = 0 if isinstance(message, dict) and "result" in message else idle + 1
            if idle > PATIENCE and idle % BURST == 0:
                time.sleep(PAUSE_SECONDS)

    def _last_words(self) -> str:
        self._child.has_ended.wait(CODE_SECONDS)
        code = self._child.code
        return "The command has closed its output." if code is None else f"The command has ended (with code {code})."

    def _end(self, sentence: str, at_once: bool) -> None:
        """The session is over, for everybody who waits; so is the process, which is not to be tried again soon if `at_once`."""
        self._over.set()
        self._rpc.fail(sentence)
        (self._child.kill if at_once else self._child.stop)()


class StdioServers:
    """Starts children and greets them. Remembers of which era each command is, so that it has to be asked only once.

    `find_era(owner)` answers what is known from earlier, by whichever process: whether it is the stateless one; else None.
    """

    def __init__(
        self, children: Children, *, allowed: bool = True, find_era: Callable[[str], bool | None] = lambda owner: None
    ):
        self._children, self._allowed, self._find_era = children, allowed, find_era
        self._eras: OrderedDict[tuple[str, tuple[str, ...]], bool | None] = OrderedDict()  # None: the last one did not fit
        self._lock = threading.Lock()

    def open(self, owner: str, target: StdioTarget, capabilities: Mapping[str, Any], hear: Hear) -> StdioLink:
        """A session with a new child, which belongs to `owner`: a connection. Raises UpstreamError."""
        if not self._allowed:
            raise UpstreamError("Commands are switched off on this server (ALLOW_STDIO).")
        key = (target.command, target.arguments)
        is_modern = self._eras[key] if key in self._eras else self._find_era(owner)
        try:
            link = self._begin(owner, target, capabilities, hear, is_modern)
        except UpstreamError:
            self._remember(key, None)
            raise
        self._remember(key, link.greeting.is_modern)
        return link

    def forget(self, owner: str) -> None:
        """A connection is no more: remove what its children have left, once they have ended."""
        self._children.forget(owner)

    def stop(self) -> None:
        """End all children."""
        self._children.stop()

    def _begin(
        self, owner: str, target: StdioTarget, capabilities: Mapping[str, Any], hear: Hear, is_modern: bool | None
    ) -> StdioLink:
        """Start a child and greet it. Raises UpstreamError with what it wrote to stderr."""
        child = self._children.start(
            owner, target.command, target.arguments, target.environment, target.folder, secrets=target.secrets
        )
        link = StdioLink(child, target, capabilities, hear)
        try:
            link.greet(is_modern)
        except UpstreamError as error:
            if is_modern is not False and not link.is_alive:  # some older servers end when asked what they do not know
                self._children.forgive(owner)
                return self._begin(owner, target, capabilities, hear, False)
            link.fail()
            error.output = link.read_output()
            raise
        return link

    def _remember(self, key: tuple[str, tuple[str, ...]], is_modern: bool | None) -> None:
        with self._lock:
            self._eras.pop(key, None)
            self._eras[key] = is_modern
            if len(self._eras) > MAX_KNOWN:
                self._eras.popitem(last=False)


def make_stdio_servers(
    settings: Settings,
    *,
    keep: Callable[[str, str], None] = lambda owner, text: None,
    find_era: Callable[[str], bool | None] = lambda owner: None,
) -> StdioServers:
    """What a server with these settings may start. Children live below the database's folder, and reach nothing else in it."""
    children = Children(
        settings.children_folder, settings.private_paths, unconfined=settings.allow_stdio_unconfined, keep=keep
    )
    return StdioServers(children, allowed=settings.allow_stdio, find_era=find_era)


def read_lines(end: int) -> Iterator[bytes]:
    """The lines that come out of a pipe; one that never ended is not one. Raises UpstreamError for one that is too long."""
    pieces: list[bytes] = []
    size = 0
    while data := os.read(end, CHUNK):
        *ends, rest = data.split(b"\n")
        for last in ends:
            yield b"".join((*pieces, last))
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > MAX_LINE:
            raise UpstreamError("The command writes a line without end.")


def read_line(line: bytes) -> Any:
    """The message on a line; None if it is none."""
    try:
        return read_message(line)
    except ValueError:
        return None

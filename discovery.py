"""Finds out what the servers behind connections offer, and keeps it. Opens no connection by itself, and knows no page."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from db import Database
from errors import Cancelled, FetchError, PosternError, ToolError, UpstreamError, UpstreamRefused, trace
from feature_checks import METHODS, sort_out
from links import Greeting
from store.connections import Connection, find_connection
from store.features import Found, find_feature, save_features
from store.revisions import find_revision
from store.upstreams import list_stale, note_failure, note_greeting
from tools import Call

log = logging.getLogger("postern.discovery")

HOUR = 3600
PAGES_MAX = 50
FEATURES_MAX = 1_000  # of one kind
BYTES_MAX = 8 * 1024 * 1024  # of one kind, about
SENTENCES_MAX = 20
SOUND_MAX = 20_000  # definitions of which it is remembered that they are sound
GAP_SECONDS, GAP_MAX = 1.0, 30.0  # between two looks that nobody asked for
PATIENT_LOOKS, DOUBLINGS = 10, 5  # in a row, until the gap grows; how often it doubles
CLOSE_SECONDS = 2.0
BATCH = 8  # connections looked at by age at one time
METHOD_NOT_FOUND = -32601
CAPABILITIES = {"tool": "tools", "prompt": "prompts", "resource": "resources", "template": "resources"}
ANNOUNCEMENTS = frozenset(f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))


class Upstreams(Protocol):
    """The way to the servers. Both raise UpstreamError, UpstreamRefused or SignInNeeded."""

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """Ask and wait."""

    def greeting(self, connection: Connection, call: Call) -> Greeting:
        """What the server said of itself."""


@dataclass(eq=False)
class Errand:
    """One connection's looks: at most one at a time, and one more if somebody asked meanwhile."""

    call: Call = field(default_factory=Call)
    hurry: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    is_wanted_again: bool = False


class Discovery:
    """Looks at servers, each in a thread of its own, so that a slow one keeps nobody waiting."""

    def __init__(
        self,
        db: Database,
        upstreams: Upstreams,
        *,
        clock: Callable[[], float] = time.time,
        gap: float = GAP_SECONDS,
    ):
        self._db, self._upstreams, self._clock, self._gap = db, upstreams, clock, gap
        self._lock = threading.Lock()
        self._errands: dict[str, Errand] = {}
        self._last: dict[str, tuple[float, int]] = {}  # when each was looked at, by the machine's own clock, how often in a row
        self._stopping = threading.Event()
        self._sound: set[str] = set()
        self._schemas: tuple[int, dict[tuple[str, str], Mapping[str, Any] | None]] = (-1, {})

    # --- when ---

    def look_soon(self, *connection_ids: str, wait: float = 0.0) -> bool:
        """Look at these connections' servers at once, because a person wants it; waits so long, and answers if all are done."""
        errands = [self._send(connection_id) for connection_id in connection_ids]
        for errand in errands:
            errand.hurry.set()
        deadline = time.monotonic() + wait
        return all(errand.done.wait(max(0.0, deadline - time.monotonic())) for errand in errands)

    def hear(self, connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        """A server has said something that belongs to no call. Many announcements in a row lead to one more look, not to many."""
        if method in ANNOUNCEMENTS:
            self._send(connection_id)

    def look_at_old(self, now: int) -> None:
        """Look again at what was not looked at for an hour: a few at a time, for each may have to start a process."""
        for connection_id in list_stale(self._db, before=now - HOUR)[:BATCH]:
            self._send(connection_id)

    def stop(self) -> None:
        """Give up whatever is under way."""
        self._stopping.set()
        with self._lock:
            errands = list(self._errands.values())
        for errand in errands:
            errand.call.cancelled.set()
            errand.hurry.set()
        for errand in errands:
            errand.done.wait(CLOSE_SECONDS / max(len(errands), 1))

    def _send(self, connection_id: str) -> Errand:
        with self._lock:
            errand = self._errands.get(connection_id)
            if errand is not None:
                errand.is_wanted_again = True
                return errand
            errand = self._errands[connection_id] = Errand()
            name = "look " + connection_id[:8]
            threading.Thread(target=self._run, args=(connection_id, errand), name=name, daemon=True).start()
            return errand

    def _run(self, connection_id: str, errand: Errand) -> None:
        """Look, and again as long as somebody asks."""
        again = True
        while again and not self._stopping.is_set():
            self._wait_for_turn(connection_id, errand)
            errand.is_wanted_again = False
            errand.hurry.clear()
            self._attempt(connection_id, errand)
            with self._lock:
                again = errand.is_wanted_again
                if not again:
                    del self._errands[connection_id]
        errand.done.set()

    def _wait_for_turn(self, connection_id: str, errand: Errand) -> None:
        """Never look sooner than a gap after the last time, unless in a hurry. It grows while a server goes on announcing: each
        change of its lets every process prepare all lists anew.
        """
        last, looks = self._last.get(connection_id, (-math.inf, 0))
        gap = min(self._gap * 2.0 ** min(max(0, looks - PATIENT_LOOKS), DOUBLINGS), GAP_MAX)
        is_in_hurry = errand.hurry.wait(max(0.0, last + gap - time.monotonic()))
        now = time.monotonic()
        goes_on = now - last < 2 * gap and not is_in_hurry
        self._last[connection_id] = now, looks + 1 if goes_on else 1

    def _attempt(self, connection_id: str, errand: Errand) -> None:
        """One look in a thread of ours, where nobody would see what it raises."""
        try:
            connection = find_connection(self._db, connection_id)
            if connection is not None:  # else it was deleted
                self.look(connection, errand.call)
        except Cancelled:
            pass  # the server is going down
        except PosternError as error:
            log.warning("looking at connection %s failed: %s", connection_id, type(error).__name__)
        except Exception as error:
            log.error("looking at connection %s failed: %s", connection_id, trace(error))

    # --- what ---

    def find_schema(self, connection_id: str, name: str) -> Mapping[str, Any] | None:
        """A tool's input schema as its server has it now, whatever assistants are told; None if there is no such tool."""
        revision = find_revision(self._db)
        kept, schemas = self._schemas
        if kept != revision:
            schemas = {}
            self._schemas = (revision, schemas)
        if (connection_id, name) not in schemas:
            feature = find_feature(self._db, connection_id, "tool", name)
            schemas[connection_id, name] = feature.raw["inputSchema"] if feature else None
        return schemas[connection_id, name]

    def look(self, connection: Connection, call: Call) -> None:
        """Ask a connection's server for all that it offers, and keep it. If it cannot be asked, that is kept, and what was known
        of it stays.
        """
        try:
            greeting = self._upstreams.greeting(connection, call)
            kinds, found, left_out = self._read_all(connection, greeting, call)
        except (ToolError, FetchError, UpstreamRefused) as error:
            note_failure(self._db, connection.id, describe_failure(error), now=int(self._clock()))
            return
        now = int(self._clock())
        save_features(self._db, connection.id, kinds, found, shorten(left_out), now=now)
        note_greeting(self._db, connection.id, {**asdict(greeting)}, now=now)

    def _read_all(self, connection: Connection, greeting: Greeting, call: Call) -> tuple[list[str], list[Found], list[str]]:
        """(kinds that could be read, what is sound of them, a sentence for what is not). Raises if nothing at all could be."""
        kinds, found, left_out = [], [], []
        if len(self._sound) > SOUND_MAX:
            self._sound.clear()
        for kind in METHODS:
            if CAPABILITIES[kind] not in greeting.capabilities:
                kinds.append(kind)
                continue
            try:
                raws, missing = self._read_list(connection, kind, call)
            except UpstreamRefused as error:
                if kind == "tool" and error.code != METHOD_NOT_FOUND:
                    raise
                if error.code == METHOD_NOT_FOUND:  # many declare all resources, and have no templates
                    kinds.append(kind)
                else:
                    left_out.append(f"Its {kind}s could not be listed: {error}.")
                continue
            kinds.append(kind)
            for item in sort_out(kind, raws, self._sound):
                (found if isinstance(item, Found) else left_out).append(item)
            left_out += missing
        return kinds, found, left_out

    def _read_list(self, connection: Connection, kind: str, call: Call) -> tuple[list[Any], list[str]]:
        """One list of a server, page by page, up to a bound; and a sentence if there is more. Raises UpstreamError."""
        method, member, _ = METHODS[kind]
        raws: list[Any] = []
        size, params, seen = 0, {}, set()
        for _page in range(PAGES_MAX):
            call.check_cancelled()
            result = self._upstreams.request(connection, method, params, call)
            page = result.get(member)
            if not isinstance(page, list):
                raise UpstreamError(f"The server's list of {kind}s is none.")
            raws += page
            size += len(repr(page))
            cursor = result.get("nextCursor")
            if cursor is None:
                return raws[:FEATURES_MAX], [] if len(raws) <= FEATURES_MAX else [too_many(kind)]
            if not isinstance(cursor, str) or cursor in seen or len(raws) > FEATURES_MAX or size > BYTES_MAX:
                break
            seen.add(cursor)
            params = {"cursor": cursor}
        return raws[:FEATURES_MAX], [too_many(kind)]


def too_many(kind: str) -> str:
    """What is said of a list without end."""
    return f"Its list of {kind}s has no end, so only what came first is here."


def shorten(sentences: list[str]) -> Iterator[str]:
    """The first of many sentences, and how many more there were."""
    yield from sentences[:SENTENCES_MAX]
    if len(sentences) > SENTENCES_MAX:
        yield f"{len(sentences) - SENTENCES_MAX} more were left out."


def describe_failure(error: PosternError) -> str:
    """Why a server could not be asked, in a sentence without its own words."""
    return f"The server answered with error {error.code}." if isinstance(error, UpstreamRefused) else str(error)


# --- what a person is told of it ---


def describe_status(upstream: Any, counts: Mapping[str, int], now: int) -> str:
    """How a connection's server is, in one sentence: what it has and since when that is known, or why that is not so."""
    if not upstream.is_enabled:
        return "Switched off."
    has = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count) or "nothing to offer"
    if upstream.failed_at is not None:
        since = f" It last answered {ago(upstream.discovered_at, now)}." if upstream.discovered_at else ""
        return f"Cannot be reached (tried {ago(upstream.failed_at, now)}): {upstream.failure}{since}"
    if upstream.discovered_at is None:
        return "Nobody has looked at it yet."
    return f"{has[0].upper()}{has[1:]}; found {ago(upstream.discovered_at, now)}."


def ago(moment: int, now: int) -> str:
    """How long something is past, roughly."""
    seconds = max(0, now - moment)
    for unit, length in (("day", 86400), ("hour", HOUR), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"

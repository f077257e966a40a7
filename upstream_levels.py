"""The log level that an MCP server was told on one session of the handshake era. Knows no connection and no pool."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from contexts import DEFAULT_LOG_LEVEL, LOG_LEVELS
from errors import Cancelled, UpstreamError, UpstreamRefused
from links import Greeting, Link
from tools import Call

LOOK_SECONDS = 0.1  # between looks whether a caller who waits for another's choice still wants it
ANSWER_SECONDS = 5.0  # for a server to say that it has understood: no call fails because it does not


class ToldLevel:
    """What a session's server was told, with the greeting of that time: who has begun anew knows it no more."""

    def __init__(self) -> None:
        self._told: tuple[Greeting | None, str] = (None, "")
        self._telling = threading.Lock()  # held by whoever changes it

    def tell(self, link: Link, call: Call) -> None:
        """Let the server know which log lines its caller has asked for; in the stateless era each request says so.

        All callers share the session, so it is told the lowest level that any of them has named, and none above what those get
        who have named none: what is too much for one of them is left out on the way to its client.
        """
        greeting, wanted = link.greeting, call.chosen_log_level
        if wanted is None or greeting.is_modern or "logging" not in greeting.capabilities:
            return
        while not self._telling.acquire(timeout=LOOK_SECONDS):  # of two at once, the second sees the first one's choice
            call.check_cancelled()
        try:
            told = self._told[1] if self._told[0] is greeting else None
            level = min(wanted, told or DEFAULT_LOG_LEVEL, DEFAULT_LOG_LEVEL, key=LOG_LEVELS.index)
            if level == told:
                return
            self._told = (greeting, level)
            with suppress(UpstreamError, UpstreamRefused, Cancelled):  # the call itself may go well all the same
                link.request("logging/setLevel", {"level": level}, BriefCall(call))
        finally:
            self._telling.release()
        call.check_cancelled()


class BriefCall(Call):
    """A request on behalf of a caller, that nobody waits for long. It ends with the caller's own."""

    def __init__(self, caller: Call):
        super().__init__()
        self._caller, self._until = caller, time.monotonic() + ANSWER_SECONDS

    def check_cancelled(self) -> None:
        """Raise Cancelled if the caller is gone, or the time is over."""
        self._caller.check_cancelled()
        if time.monotonic() > self._until:
            raise Cancelled("nobody waits for this any longer")

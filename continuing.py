"""Calls of older servers that ask in the middle of a call, for clients that answer in another request. Knows no transport.

Such a server waits on its own session for the answer, so the call goes on in a thread of its own while the client's request ends
with the question. The answer comes with another request, maybe to another process, and is handed over through a row, as is how it
ended: whoever has the client's next request looks there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from crypto import Vault, new_id
from db import Database
from errors import Cancelled, NotFound, PosternError, SignInNeeded, ToolError, UpstreamRefused, trace
from store.continuations import (
    delete_continuation,
    find_continuation,
    find_reply,
    put_outcome,
    put_question,
    put_reply,
)
from tools import Call

WAIT_SECONDS = 600  # how long a person may take to answer
POLL_SECONDS = 0.05
CALLS_MAX = 64  # of one process, each with a thread

Work = Callable[[Call], dict[str, Any]]


class Continuations:
    """The calls of one process that may have to wait for another request."""

    def __init__(self, db: Database, vault: Vault, log_error: Callable[..., None], clock: Callable[[], float] = time.time):
        self._db, self._vault, self._log_error, self._clock = db, vault, log_error, clock
        self._calls: dict[str, ContinuedCall] = {}

    def run(self, connection_id: str, work: Work, call: Call) -> dict[str, Any]:
        """What `work` answers, begun now or in an earlier request of the client. Raises InputRequired if the server asks.

        Raises ToolError if it began earlier and is over: its process has ended, or nobody answered in time.
        """
        earlier = call.kept.get("continuation")
        if earlier is None:
            return self._begin(connection_id, work, call)
        return self._go_on(earlier, call.kept["question"], call)

    def stop(self) -> None:
        """End all of them: the process is going down."""
        for call in list(self._calls.values()):
            call.cancelled.set()

    def _begin(self, connection_id: str, work: Work, call: Call) -> dict[str, Any]:
        if len(self._calls) >= CALLS_MAX:
            raise ToolError("Too many calls wait for answers of people just now. Try again later.")
        begun = ContinuedCall(self._db, self._vault, connection_id, call, self._clock)
        self._calls[begun.id] = begun
        threading.Thread(target=self._work, args=(begun, work), name="continued", daemon=True).start()
        while not begun.turned.wait(POLL_SECONDS):
            self._check_cancelled(begun.id, call)
        if begun.outcome is not None:
            return read_outcome(begun.outcome)
        return self._go_on(begun.id, 0, call)

    def _work(self, begun: ContinuedCall, work: Work) -> None:
        """In its own thread: from the first word to the server to its last."""
        try:
            outcome: dict[str, Any] = {"result": work(begun)}
        except UpstreamRefused as refusal:
            outcome = {"refused": [refusal.code, refusal.message, refusal.data]}
        except SignInNeeded as needed:
            outcome = {"sign_in": {"link": needed.link, "code": needed.code, "scope": needed.scope}, "failed": str(needed)}
        except PosternError as error:
            outcome = {"failed": str(error)}
        except Exception as error:
            self._log_error("a continued call failed: %s", trace(error))
            outcome = {"failed": "The call failed inside Postern."}
        try:
            begun.end(outcome)
        except PosternError as error:
            self._log_error("how a continued call ended could not be kept: %s", type(error).__name__)
        finally:
            self._calls.pop(begun.id, None)

    def _go_on(self, continuation_id: str, seen: int, call: Call) -> dict[str, Any]:
        """Take the client's answer to question `seen` to the server, if there is one, and wait for what comes next."""
        is_handed_over = False
        while True:
            self._check_cancelled(continuation_id, call)
            found = find_continuation(self._db, self._vault, continuation_id, now=int(self._clock()))
            if found is None:
                raise ToolError("The other server no longer waits for this answer. Call the tool again.")
            if found.outcome is not None:
                return read_outcome(found.outcome)
            if found.number > seen:  # a new question, to which the client has brought no answer
                if seen:
                    call.forget_answers()
                call.kept.update(continuation=continuation_id, question=found.number)
                seen, is_handed_over = found.number, False
            if is_handed_over:
                time.sleep(POLL_SECONDS)
            else:
                answer = call.ask(**found.question)  # ends this request unless it brought the answer
                put_reply(self._db, self._vault, continuation_id, seen, answer)
                is_handed_over = True

    def _check_cancelled(self, continuation_id: str, call: Call) -> None:
        """If the client has gone, let the server know, if its session is this process's; else at its next question."""
        if call.cancelled.is_set():
            if begun := self._calls.get(continuation_id):
                begun.cancelled.set()
            delete_continuation(self._db, continuation_id)
            raise Cancelled("nobody waits any more")


class ContinuedCall(Call):
    """The call as the other server has it: it goes on while the client's requests come and go."""

    def __init__(self, db: Database, vault: Vault, connection_id: str, client: Call, clock: Callable[[], float]):
        super().__init__()
        self.id, self._number = new_id(), 0
        self._db, self._vault, self._connection_id, self._client, self._clock = db, vault, connection_id, client, clock
        self.turned = threading.Event()  # the first question is there, or the end
        self.outcome: dict[str, Any] | None = None

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared in its first request."""
        return self._client.capabilities

    @property
    def sender(self) -> Any:
        """Whose requests they are."""
        return self._client.sender

    @property
    def log_level(self) -> str | None:
        """What the first request wants to hear."""
        return self._client.log_level

    @property
    def chosen_log_level(self) -> str | None:
        """What it has named."""
        return self._client.chosen_log_level

    @property
    def wants_progress(self) -> bool:
        """Whether the first request asked for it; the later ones hear nothing of this call but its end."""
        return self._client.wants_progress

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the first request, while it lasts."""
        self.check_cancelled()
        if not self.turned.is_set():
            self._client.progress(progress, total, message)

    def log(self, level: str, data: Any, logger: str | None = None) -> None:
        """Tell the first request, while it lasts."""
        self.check_cancelled()
        if not self.turned.is_set():
            self._client.log(level, data, logger)

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Ask one after the other, and wait for the request that brings the answer."""
        return {key: self._ask(key, method, params) for key, (method, params) in requests.items()}

    def end(self, outcome: dict[str, Any]) -> None:
        """Let whoever waits know how it ended."""
        self.outcome = outcome
        if self._number:
            put_outcome(self._db, self._vault, self.id, outcome)
        self.turned.set()

    def _ask(self, key: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._client.check_capability(method, params)
        self._number += 1
        question = {"key": key, "method": method, "params": params}
        expires_at = int(self._clock()) + WAIT_SECONDS
        put_question(self._db, self._vault, self.id, self._connection_id, self._number, question, expires_at=expires_at)
        self.turned.set()
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if self.cancelled.wait(POLL_SECONDS):
                raise Cancelled("the client has gone")
            try:
                reply = find_reply(self._db, self._vault, self.id)
            except NotFound:
                raise Cancelled("the client has gone") from None
            if reply is not None:
                return reply
        raise ToolError("Nobody answered in time.")


def read_outcome(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a call that went well; raises what it raised otherwise."""
    if "refused" in outcome:
        raise UpstreamRefused(*outcome["refused"])
    if "sign_in" in outcome:
        raise SignInNeeded(outcome["failed"], **outcome["sign_in"])
    if "failed" in outcome:
        raise ToolError(outcome["failed"])
    return outcome["result"]

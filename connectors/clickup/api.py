"""ClickUp's HTTP interface for one call: requests, waiting, copies. Knows no tool, and does not judge who may write where."""

from __future__ import annotations

import json as jsonlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from connectors.clickup.refusals import Refused, explain
from connectors.clickup.settings import Settings, read_settings
from errors import FetchError, ToolError
from fetch import VENDOR, Response
from tools import Context

BASE_URL = "https://api.clickup.com/api"
BUDGET_SECONDS = 55  # for all that one call does: assistants give up after a minute
REQUEST_SECONDS = 30
MAX_BYTES = 16 * 1024 * 1024
TRIES = 4
FIRST_PAUSE = 0.25
RETRIED = (429, 500, 502, 503, 504)
MAX_WORKERS = 10
TICK_SECONDS = 0.2
ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

# how long a copy is good for, by kind, in seconds; 0 for what has to be true at this moment
LIVES = {"hierarchy": 300, "members": 300, "tags": 300, "fields": 300, "views": 60, "tasks": 60, "docs": 60, "time": 30, "now": 0}
# which copies a write makes stale: the first part of a path that fits
STALE = (
    ("/time_entries", ("time", "tasks")),
    ("/docs", ("docs",)),
    ("/view", ("views", "tasks")),
    ("/space/{space_id}/tag", ("tags", "tasks")),
    ("/task", ("tasks", "time")),
    ("/checklist", ("tasks",)),
    ("", ("hierarchy", "fields", "tags", "views", "tasks", "time", "docs")),
)


@dataclass(frozen=True)
class Request:
    """One request, as ClickUp's description names it: method, path with `{names}`, what they stand for, query and body."""

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    form: bytes | None = None
    content_type: str = "application/json"


class Api:
    """What the tools ask ClickUp through. Only `send` and `send_all` change anything, and only `plans.py` may call them.

    Threads of its own do nothing but talk to ClickUp: copies are kept by the caller's thread.
    """

    def __init__(self, context: Context):
        self.context = context
        self.settings: Settings = read_settings(context)
        self._began = time.monotonic()
        self._resume = 0.0  # no request before this moment: the rate limit said so
        self._team_id: str | None = self.settings.team_id

    # --- time ---

    @property
    def now(self) -> float:
        """The time, in epoch seconds."""
        return self.context.now + time.monotonic() - self._began

    def seconds_left(self) -> float:
        """The seconds that this call may still take."""
        return BUDGET_SECONDS - (time.monotonic() - self._began)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the call is cancelled; raises Cancelled then, and ToolError if the call cannot last so long."""
        if seconds > self.seconds_left():
            raise OutOfTime(f"ClickUp asks to wait {int(seconds) + 1} seconds, which is longer than this call can last.")
        self.context.call.cancelled.wait(seconds)
        self.context.call.check_cancelled()

    # --- reading ---

    def get(
        self, path: str, *, kind: str, params: Mapping[str, Any] | None = None, fresh: bool = False, **ids: str
    ) -> dict[str, Any]:
        """What ClickUp answers to a GET, or a copy that is not too old. `fresh` wants no copy."""
        return self.get_all([Request("GET", path, ids, params or {})], kind=kind, fresh=fresh)[0]

    def get_all(
        self, requests: Iterable[Request], *, kind: str, fresh: bool = False, workers: int = 5
    ) -> list[dict[str, Any]]:
        """The answers to several GETs, in order; the first refusal is raised."""
        answers = self.try_all(requests, kind=kind, fresh=fresh, workers=workers)
        for answer in answers:
            if isinstance(answer, ToolError):
                raise answer
        return answers  # type: ignore[return-value]

    def try_all(
        self, requests: Iterable[Request], *, kind: str, fresh: bool = False, workers: int = 5
    ) -> list[dict[str, Any] | ToolError]:
        """The answers to several GETs, in order, each with its own refusal."""
        requests = list(requests)
        keys = [self._key(kind, request) for request in requests]
        found: list[Any] = [None if fresh else self._find_copy(kind, key) for key in keys]
        missing = [index for index, answer in enumerate(found) if answer is None]
        for index, answer in zip(missing, self.send_all([requests[index] for index in missing], workers=workers), strict=True):
            found[index] = answer
            if LIVES[kind] and not isinstance(answer, ToolError):
                self.context.cache.put(keys[index], answer, fresh_seconds=LIVES[kind], keep_seconds=LIVES[kind])
        return found

    def _find_copy(self, kind: str, key: str) -> Any:
        copy = self.context.cache.get(key) if LIVES[kind] else None
        return copy.value if copy and copy.fresh else None

    def _key(self, kind: str, request: Request) -> str:
        """Where a copy lies. The token is a part of it: with another one, the account may see something else."""
        asked = [self.settings.token, request.path, dict(request.ids), dict(request.params)]
        return f"clickup:{kind}:{sha256(jsonlib.dumps(asked, sort_keys=True).encode()).hexdigest()}"

    def drop_copies(self, path: str) -> None:
        """Forget what a write to `path` may have made stale."""
        for kind in next(kinds for part, kinds in STALE if part in path):
            self.context.cache.drop(f"clickup:{kind}:")

    # --- sending ---

    def send(self, request: Request) -> dict[str, Any]:
        """ClickUp's answer, after waiting and trying again where that helps. Raises Refused, FetchError or OutOfTime."""
        for attempt in range(TRIES):
            self.context.call.check_cancelled()
            if (seconds := self._resume - self.now) > 0:
                self._pause(seconds)
            last = attempt == TRIES - 1
            try:
                response = self._send_once(request)
            except FetchError:
                if last or request.method == "POST":  # it may have arrived: sent twice, it would be done twice
                    raise
                self._pause(back_off(attempt))
                continue
            if response.status < 400:
                return read_body(response)
            if last or not may_repeat(request.method, response.status):
                break
            self._pause(self._find_pause(response, attempt))
        raise explain(response, self.settings.token)

    def _find_pause(self, response: Response, attempt: int) -> float:
        """How long to wait after a refusal that will pass. A rate limit holds for every request of this call."""
        seconds = read_wait(response, self.now)
        if seconds is None:
            return back_off(attempt)
        if response.status == 429:
            self._resume = self.now + seconds
        return seconds

    def _send_once(self, request: Request) -> Response:
        token = self.settings.token
        seconds = self.seconds_left()
        if seconds <= 0:
            raise OutOfTime("ClickUp took too long: this call has no time left.")
        return self.context.fetch.request(
            request.method,
            BASE_URL + fill(request.path, request.ids),
            trust=VENDOR,
            headers={
                "Authorization": token if token.startswith("pk_") else f"Bearer {token}",
                "Content-Type": request.content_type,
                "Accept": "application/json",
            },
            params=as_query(request.params),
            json=request.json,
            form=request.form,
            timeout=min(REQUEST_SECONDS, seconds),
            max_bytes=MAX_BYTES,
        )

    def send_all(
        self, requests: list[Request], *, workers: int = 5, tell: Callable[[int], None] | None = None
    ) -> list[dict[str, Any] | ToolError]:
        """The answers to several requests, in order, a ToolError for each that failed. `tell(done)` hears of the progress."""
        if len(requests) <= 1:
            return [self._try_to_send(request) for request in requests]
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=min(workers, MAX_WORKERS, len(requests))) as pool:
            futures = [pool.submit(self._try_to_send, request, stop) for request in requests]
            try:
                watch(futures, self.context.call.check_cancelled, tell)
            except BaseException:
                stop.set()  # what has not begun never does
                raise
        return [future.result() for future in futures]

    def _try_to_send(self, request: Request, stop: threading.Event | None = None) -> dict[str, Any] | ToolError:
        if stop is not None and stop.is_set():
            return OutOfTime("It was not tried: the call had ended.")
        try:
            return self.send(request)
        except ToolError as error:
            return error
        except FetchError as error:
            return ToolError(str(error))

    # --- the workspace ---

    def teams(self, *, fresh: bool = False) -> list[dict[str, Any]]:
        """The workspaces of this account, with their members."""
        return objects(self.get("/v2/team", kind="members", fresh=fresh), "teams")

    def team_id(self, wanted: str | None = None) -> str:
        """The workspace to work in: the one named, the connection's, or the only one. Raises ToolError if it is not clear."""
        if wanted:
            return wanted
        if self._team_id is None:
            teams = self.teams()
            if len(teams) != 1:
                names = ", ".join(f"{team.get('name')} ({team.get('id')})" for team in teams) or "none"
                raise ToolError(
                    f"It is not clear which workspace is meant: this account is in {names}. "
                    "Name one, or let the person set the workspace id of this connection."
                )
            self._team_id = str(teams[0].get("id"))
        return self._team_id

    def use_team(self, team_id: str | None) -> None:
        """Work in this workspace for the rest of the call, if one is named."""
        self._team_id = team_id or self._team_id

    def task_query(self, task_id: str) -> dict[str, Any]:
        """What a request has to say besides the id of a task: for a custom one such as DEV-42, that it is custom."""
        return {"custom_task_ids": True, "team_id": self.team_id()} if "-" in task_id else {}


class OutOfTime(ToolError):
    """The call may last no longer; what was not done by now is not done."""


# --- requests ---


def fill(path: str, ids: Mapping[str, str]) -> str:
    """A path with its `{names}` filled in, each as one segment that leads nowhere else. Raises ToolError for unfit ids."""

    def segment(match: re.Match[str]) -> str:
        name, value = match[1], str(ids[match[1]])
        if name != "tag_name" and not ID.fullmatch(value):
            raise ToolError(f"“{value[:50]}” is not an id of ClickUp.")
        if not value.strip() or value in (".", "..") or not value.isprintable():
            raise ToolError(f"“{value[:50]}” cannot be used as a name here.")
        return quote(value, safe="")

    return re.sub(r"\{([A-Za-z_]+)\}", segment, path)


def as_query(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Query parameters as ClickUp reads them: repeated keys for lists, `true` and `false`."""
    pairs = []
    for name, value in params.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                pairs.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
    return pairs


# --- answers ---


def read_body(response: Response) -> dict[str, Any]:
    """The JSON of an answer: a bare list stands under `items`, nothing is an empty object. Raises ToolError if it is neither."""
    if not response.body.strip():
        return {}
    try:
        body = response.json()
    except FetchError:
        raise ToolError("ClickUp answered something that is not JSON. Try again later.") from None
    if isinstance(body, dict):
        return body
    return {"items": body} if isinstance(body, list) else {}


def objects(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a member that should be a list of them."""
    found = answer.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def may_repeat(method: str, status: int) -> bool:
    """Whether a refused request may be sent again. After 429 nothing was done; after other errors a POST might have been."""
    return status in RETRIED and (status == 429 or method != "POST")


def read_wait(response: Response, now: float) -> float | None:
    """The seconds that ClickUp asks to wait: `Retry-After`, or until `X-RateLimit-Reset` (epoch seconds)."""
    for header, base in (("Retry-After", 0.0), ("X-RateLimit-Reset", now)):
        text = response.headers.get(header, "")
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", text) and (response.status == 429 or header == "Retry-After"):
            return max(float(text) - base, 0.0) + random.uniform(0.05, 0.25)
    return None


def back_off(attempt: int) -> float:
    """Twice as long each time, with some jitter."""
    return FIRST_PAUSE * 2**attempt * random.uniform(0.8, 1.2)


def watch(futures: list[Future[Any]], check: Callable[[], None], tell: Callable[[int], None] | None) -> None:
    """Wait for all, saying how many are done, and noticing when nobody waits any more."""
    left, told = set(futures), 0
    while left:
        _, left = wait(left, timeout=TICK_SECONDS)
        check()
        if tell and (count := len(futures) - len(left)) > told:
            tell(count)
            told = count


def is_missing(error: Any) -> bool:
    """Whether an answer is the refusal of something that is not there."""
    return isinstance(error, Refused) and error.status == 404

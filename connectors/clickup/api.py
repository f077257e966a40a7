"""ClickUp's HTTP interface for one call: requests, waiting, copies. Knows no tool, and does not judge who may write where."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connectors.clickup.refusals import Refused, explain
from connectors.clickup.settings import Settings, read_settings
from errors import ToolError
from fetch import VENDOR, Response
from service_calls import Patience, Reading
from service_messages import as_query, fill_path, objects, read_json
from service_pages import Copies
from tools import Context

BASE_URL = "https://api.clickup.com/api"
MAX_BYTES = 16 * 1024 * 1024
ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

# how long a copy is good for, by kind, in seconds; 0 for what has to be true at this moment
LIVES = {"hierarchy": 300, "members": 300, "tags": 300, "fields": 300, "views": 60, "tasks": 60, "docs": 60, "time": 30, "now": 0}
# which copies a write makes stale: the first part of a path that fits
STALE = (
    ("/time_entries", ("time", "tasks")),
    ("/docs", ("docs",)),
    ("/view", ("views", "tasks")),
    ("/space/{space_id}/tag", ("tags", "tasks")),
    ("/task/{task_id}/tag", ("tags", "tasks")),  # ClickUp makes the tags that a space does not have yet
    ("/list/{list_id}/task", ("tags", "tasks", "time")),
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
        self._patience = Patience(context.call, "ClickUp")
        self._copies = Copies(context.cache, "clickup", LIVES)
        self._team_id: str | None = self.settings.team_id

    # --- time ---

    @property
    def now(self) -> float:
        """The time, in epoch seconds."""
        return self.context.now + self._patience.passed()

    def seconds_left(self) -> float:
        """The seconds that this call may still take."""
        return self._patience.seconds_left()

    # --- reading ---

    def get(
        self, path: str, *, kind: str, params: Mapping[str, Any] | None = None, fresh: bool = False, **ids: str
    ) -> dict[str, Any]:
        """What ClickUp answers to a GET, or a copy that is not too old. `fresh` wants no copy."""
        return self.get_all([Request("GET", path, ids, params or {})], kind=kind, fresh=fresh)[0]

    def get_all(self, requests: Iterable[Request], *, kind: str, fresh: bool = False, workers: int = 5) -> list[dict[str, Any]]:
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
        found: list[Any] = [None if fresh else self._copies.find(kind, key) for key in keys]
        missing = [index for index, answer in enumerate(found) if answer is None]
        for index, answer in zip(missing, self.send_all([requests[index] for index in missing], workers=workers), strict=True):
            found[index] = answer
            if not isinstance(answer, ToolError):
                self._copies.keep(kind, keys[index], answer)
        return found

    def _key(self, kind: str, request: Request) -> str:
        """Where a copy lies. The token is a part of it: with another one, the account may see something else."""
        return self._copies.key(kind, self.settings.token, request.path, dict(request.ids), dict(request.params))

    def drop_copies(self, path: str) -> None:
        """Forget what a write to `path` may have made stale."""
        self._copies.drop(*next(kinds for part, kinds in STALE if part in path))

    # --- sending ---

    def send(self, request: Request) -> dict[str, Any]:
        """ClickUp's answer, after waiting and trying again where that helps. Raises Refused, FetchError or OutOfTime."""
        reading = Reading(lambda response: response.status, lambda response: read_wait(response, self.now))
        response = self._patience.insist(request.method, lambda: self._send_once(request), reading)
        if response.status < 400:
            return read_body(response)
        raise explain(response, self.settings.token, request.method)

    def _send_once(self, request: Request) -> Response:
        token = self.settings.token
        return self.context.fetch.request(
            request.method,
            BASE_URL + fill_path(request.path, request.ids, check_id),
            trust=VENDOR,
            headers={
                "Authorization": token if token.startswith("pk_") else f"Bearer {token}",
                "Content-Type": request.content_type,
                "Accept": "application/json",
            },
            params=as_query(request.params),
            json=request.json,
            form=request.form,
            timeout=self._patience.seconds_for_request(),
            max_bytes=MAX_BYTES,
        )

    def send_all(
        self, requests: list[Request], *, workers: int = 5, tell: Callable[[int], None] | None = None
    ) -> list[dict[str, Any] | ToolError]:
        """The answers to several requests, in order, a ToolError for each that failed. `tell(done)` hears of the progress."""
        jobs = [partial(self.send, request) for request in requests]
        return self._patience.run_all(jobs, workers=workers, tell=tell)

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

    def task_query(self, task_id: str, workspace: str | None = None) -> dict[str, Any]:
        """What a request has to say besides the id of a task: for a custom one such as DEV-42, that it is custom, and where."""
        return {"custom_task_ids": True, "team_id": self.team_id(workspace)} if "-" in task_id else {}


# --- requests ---


def check_id(name: str, value: str) -> None:
    """Raise ToolError unless it can be an id of ClickUp's. Only tags go by their names."""
    if name != "tag_name" and not ID.fullmatch(value):
        raise ToolError(f"“{value[:50]}” is not an id of ClickUp.")


# --- answers ---


def read_body(response: Response) -> dict[str, Any]:
    """The JSON of an answer: a bare list stands under `items`, nothing is an empty object. Raises ToolError if it is neither."""
    body = read_json(response, "ClickUp")
    if isinstance(body, dict):
        return body
    return {"items": body} if isinstance(body, list) else {}


def read_wait(response: Response, now: float) -> float | None:
    """The seconds that ClickUp asks to wait: `Retry-After`, or until `X-RateLimit-Reset` (epoch seconds)."""
    for header, base in (("Retry-After", 0.0), ("X-RateLimit-Reset", now)):
        text = response.headers.get(header, "")
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", text) and (response.status == 429 or header == "Retry-After"):
            return max(float(text) - base, 0.0) + random.uniform(0.05, 0.25)
    return None


def is_missing(error: Any) -> bool:
    """Whether an answer is the refusal of something that is not there."""
    return isinstance(error, Refused) and error.status == 404

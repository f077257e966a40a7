"""Time tools: timers and time entries. Their sums are in `time_reports.py`."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.access import Target
from connectors.clickup.api import Api, Request, objects
from connectors.clickup.moments import Moment, parse_moment, parse_range, read_ms, show_moment
from connectors.clickup.plans import Outcome, Step, Steps, reads, writes
from connectors.clickup.shapes import WORD, Named, TaskId, TeamId, show_named, show_user
from connectors.clickup.task_pages import real_task_id
from connectors.clickup.task_reading import Page, PageSize
from errors import ToolError
from fitting import Answer, Report, compact

EntryId = Annotated[str, Field(pattern=WORD, description="A time entry's id.")]
Duration = Annotated[int, Field(ge=1, le=366 * 86_400_000, description="Milliseconds.")]
Description = Annotated[str, Field(max_length=2000)]


class TimeEntry(TypedDict):
    """Time that somebody spent. A running timer has no end."""

    id: str
    task: NotRequired[Named]
    user: NotRequired[str]
    start: NotRequired[str]
    end: NotRequired[str]
    durationMs: NotRequired[int]
    running: NotRequired[bool]
    description: NotRequired[str]
    billable: NotRequired[bool]
    tags: NotRequired[list[str]]


class EntryOutcome(Outcome):
    """What became of a time entry."""

    entry: NotRequired[TimeEntry]


class Entries(Report):
    """Time entries, and their sum."""

    entries: list[TimeEntry]
    totalMs: int
    hasMore: bool


class PagedEntries(Entries):
    """A page of time entries; `totalMs` is the sum of all pages."""

    page: int
    start: str | None
    end: str | None


class Current(Answer):
    """The timer that runs now, if one does."""

    running: bool
    entry: NotRequired[TimeEntry]


@writes(title="Start timer", gives=EntryOutcome, core=True)
def task_timer_start(api: Api, taskId: TaskId) -> Steps:
    """Start the timer on a task. ClickUp stops the one that runs, if any."""
    running, on, label = read_current(api, None), [Target("task", taskId)], f"start the timer on task {taskId}"
    if task_id_of(running) != taskId and running:
        on.append(Target("entry", str(running.get("id"))))
        label += f", and stop the one on {task_id_of(running) or 'no task'}"
    request = entry_request(api, "POST", "/start", None, taskId, {"tid": taskId})
    answer = yield Step(request, label, tuple(on))
    return {"summary": f"Started the timer on task {taskId}.", "entry": show_entry(data_of(answer))}


@writes(title="Stop timer", gives=EntryOutcome, core=True)
def task_timer_stop(api: Api, taskId: TaskId) -> Steps:
    """Stop the timer that runs on a ClickUp task."""
    running = read_current(api, None)
    if not running:
        raise ToolError("No timer runs.")
    if real_task_id(api, taskId) != (found := task_id_of(running)):
        raise ToolError(f"The timer does not run on task {taskId}, but on {f'task {found}' if found else 'no task'}.")
    request = entry_request(api, "POST", "/stop", None, None)
    answer = yield Step(request, f"stop the timer on task {taskId}", (Target("task", found),))
    return {"summary": f"Stopped the timer on task {taskId}.", "entry": show_entry(data_of(answer))}


@writes(title="Add time entry", gives=EntryOutcome, core=True)
def time_entry_create_for_task(
    api: Api,
    taskId: TaskId,
    start: Moment,
    end: Moment | None = None,
    durationMs: Duration | None = None,
    description: Description | None = None,
) -> Steps:
    """Add time that was spent on a ClickUp task: from `start` to `end`, or for `durationMs`."""
    body = {**span(start, end, durationMs), "tid": taskId} | compact({"description": description})
    request = entry_request(api, "POST", "", None, taskId, body)
    answer = yield Step(request, f"add {body['duration'] // 60_000} minutes to task {taskId}", (Target("task", taskId),))
    return {"summary": f"Added a time entry to task {taskId}.", "entry": show_entry(data_of(answer) or answer)}


@writes(title="Change time entry", gives=EntryOutcome, idempotent=True, destructive=True)
def time_entry_update(
    api: Api,
    entryId: EntryId,
    start: Moment | None = None,
    end: Moment | None = None,
    durationMs: Duration | None = None,
    description: Description | None = None,
    teamId: TeamId | None = None,
) -> Steps:
    """Change a time entry of ClickUp. What is left out stays as it is; a new start alone moves it."""
    team_id = api.team_id(teamId)
    entry = get_entry(api, team_id, entryId)
    # ClickUp wants these two in every change (PUT time_entries: `tags` and `tid` are required)
    body: dict[str, Any] = {"tags": objects(entry, "tags"), "tid": task_id_of(entry)}
    if description is not None:
        body["description"] = description
    if any(value is not None for value in (start, end, durationMs)):
        body |= moved(entry, start, end, durationMs)
    if len(body) == 2:
        raise ToolError("Say what to change: start, end, durationMs or description.")
    answer = yield Step(entry_request(api, "PUT", "/{timer_id}", entryId, None, body, team_id), f"change time entry {entryId}")
    return {"summary": f"Changed time entry {entryId}."} | show_if_any(data_of(answer))


@writes(title="Delete time entry", idempotent=True, destructive=True)
def time_entry_delete(api: Api, entryId: EntryId, teamId: TeamId | None = None) -> Steps:
    """Delete a time entry of a ClickUp workspace."""
    yield Step(entry_request(api, "DELETE", "/{timer_id}", entryId, None, None, teamId), f"delete time entry {entryId}")
    return {"summary": f"Deleted time entry {entryId}."}


@reads(title="List a task's time entries")
def task_time_entry_list(api: Api, taskId: TaskId, pageSize: PageSize = 20) -> Entries:
    """List the time entries of a ClickUp task in the last 90 days, newest first, and their sum."""
    start, end = parse_range(None, None, soon(api), days=90)
    found = read_entries(api, start, end, task_id=taskId, **api.task_query(taskId))
    return {
        "entries": [show_entry(entry) for entry in found[:pageSize]],
        "totalMs": sum_of(found),
        "hasMore": len(found) > pageSize,
        "partial": False,
        "partialReasons": [],
    }


@reads(title="Current timer")
def time_entry_current(api: Api, teamId: TeamId | None = None) -> Current:
    """Show the timer that runs in ClickUp now, if one does."""
    entry = read_current(api, teamId)
    return {"running": bool(entry), **show_if_any(entry)}


@reads(title="List time entries", core=True)
def time_entry_list(
    api: Api,
    taskId: TaskId | None = None,
    from_: Moment | None = None,
    to: Moment | None = None,
    page: Page = 0,
    pageSize: PageSize = 20,
) -> PagedEntries:
    """List this account's time entries in ClickUp, newest first: of one task or all, in a range, else the last 30 days."""
    start, end = parse_range(from_, to, soon(api))
    more = {"task_id": taskId, **api.task_query(taskId)} if taskId else {}
    found = read_entries(api, start, end, **more)
    shown = found[page * pageSize : (page + 1) * pageSize]
    return {
        "entries": [show_entry(entry) for entry in shown],
        "totalMs": sum_of(found),
        "page": page,
        "hasMore": len(found) > (page + 1) * pageSize,
        "start": show_moment(start),
        "end": show_moment(end),
        "partial": False,
        "partialReasons": [],
    }


# --- requests ---


def entry_request(
    api: Api,
    method: str,
    end: str,
    entry_id: str | None,
    task_id: str | None,
    body: dict[str, Any] | None = None,
    team_id: str | None = None,
) -> Request:
    """A request about time entries. A custom task id in its body is told from others by the query."""
    ids = {"team_id": api.team_id(team_id)} | ({"timer_id": entry_id} if entry_id else {})
    params = api.task_query(task_id) if task_id else {}
    return Request(method, "/v2/team/{team_id}/time_entries" + end, ids, params, body)


def read_entries(api: Api, start: int, end: int, *, workspace: str | None = None, **params: Any) -> list[dict[str, Any]]:
    """The time entries of a range, newest first. ClickUp gives them all at once."""
    query = {"start_date": start, "end_date": end, "include_task_tags": True, **params}
    path = "/v2/team/{team_id}/time_entries"
    found = objects(api.get(path, kind="time", params=query, team_id=api.team_id(workspace)), "data")
    return sorted(found, key=lambda entry: -(read_ms(entry.get("start")) or 0))


def get_entry(api: Api, team_id: str, entry_id: str) -> dict[str, Any]:
    """One time entry. Raises ToolError if ClickUp does not know it."""
    answer = api.get("/v2/team/{team_id}/time_entries/{timer_id}", kind="now", team_id=team_id, timer_id=entry_id)
    entry = data_of(answer)
    if not entry:
        raise ToolError(f"ClickUp knows no time entry {entry_id}.")
    return entry


def read_current(api: Api, team_id: str | None) -> dict[str, Any]:
    """The time entry that runs now; an empty one if none does."""
    return data_of(api.get("/v2/team/{team_id}/time_entries/current", kind="now", team_id=api.team_id(team_id)))


def task_id_of(entry: dict[str, Any]) -> str:
    """The id of an entry's task; '' if it has none."""
    task = entry.get("task")
    return str(task.get("id") or "") if isinstance(task, dict) else ""


def data_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The entry in an answer: ClickUp gives it alone or in a list."""
    data = answer.get("data")
    if isinstance(data, list):
        data = next((item for item in data if isinstance(item, dict)), None)
    return data if isinstance(data, dict) else {}


# --- spans of time ---


def soon(api: Api) -> int:
    """The next whole minute, in epoch milliseconds: a range up to now, whose copy is good for another question."""
    return (int(api.now) // 60 + 1) * 60_000


def span(start: str | int, end: str | int | None, duration: int | None) -> dict[str, int]:
    """`start` and `duration` as ClickUp takes them. Raises ToolError unless one of `end` and `duration` is given."""
    if (end is None) == (duration is None):
        raise ToolError("Give either end or durationMs.")
    begins = parse_moment(start, "start").ms
    length = duration if duration is not None else parse_moment(end or "", "end").ms - begins
    if length <= 0:
        raise ToolError("`end` has to be after `start`.")
    return {"start": begins, "duration": length}


def moved(entry: dict[str, Any], start: str | int | None, end: str | int | None, duration: int | None) -> dict[str, int]:
    """`start`, `end` and `duration` of a time entry after a change; ClickUp wants the first two together."""
    if end is not None and duration is not None:
        raise ToolError("Give either end or durationMs.")
    begins = parse_moment(start, "start").ms if start is not None else read_ms(entry.get("start")) or 0
    length = duration if duration is not None else abs(read_ms(entry.get("duration")) or 0)
    ends = parse_moment(end, "end").ms if end is not None else begins + length
    if ends <= begins:
        raise ToolError("`end` has to be after `start`.")
    return {"start": begins, "end": ends, "duration": ends - begins}


# --- shapes ---


def length_of(entry: dict[str, Any]) -> int:
    """How long an entry is; a running one, whose duration is negative, counts nothing."""
    return max(read_ms(entry.get("duration")) or 0, 0)


def sum_of(entries: list[dict[str, Any]]) -> int:
    """The time of several entries."""
    return sum(length_of(entry) for entry in entries)


def show_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """A time entry."""
    duration = read_ms(entry.get("duration"))
    facts = {
        "task": show_named(entry.get("task")),
        "user": show_user(entry.get("user")),
        "start": show_moment(entry.get("start")),
        "end": show_moment(entry.get("end")),
        "durationMs": duration if duration is not None and duration >= 0 else None,
        "running": True if duration is not None and duration < 0 else None,
        "description": entry.get("description"),
        "billable": entry.get("billable"),
        "tags": [tag["name"] for tag in objects(entry, "tags") if tag.get("name")],
    }
    return {"id": str(entry.get("id", ""))} | compact(facts)


def show_if_any(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry under its name, if there is one."""
    return {"entry": show_entry(entry)} if entry else {}

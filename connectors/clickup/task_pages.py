"""Reading many tasks: pages of ClickUp's, filters of our own, and finding the one that a name means. Offers no tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request, objects
from connectors.clickup.shapes import Name, TaskId, description_of, status_of, tags_of
from errors import ToolError
from service_pages import Gathered, gather

PAGE = 100  # tasks on a page of ClickUp's
MAX_PAGES = 10
WEIGHTS = (("name", 0.5), ("description", 0.3), ("status", 0.2))
SAME_WORD = 0.7  # how alike two words have to be to count as one with a typing mistake
THRESHOLD = 0.35  # how unlike a task may be and still count as found; 0 is the same

Accept = Callable[[dict[str, Any]], bool]


class KnownTask(TypedDict):
    """A task that the conversation already has."""

    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]

    id: TaskId
    name: Name


class KnownTasks(TypedDict):
    """Tasks that the conversation already has: a name is looked up among them first."""

    tasks: NotRequired[list[KnownTask]]


TaskContext = Annotated[KnownTasks, Field(description="Tasks already known here; taskName is looked up among them first.")]


def scan(
    api: Api,
    request: Request,
    *,
    limit: int,
    first_page: int = 0,
    max_pages: int = MAX_PAGES,
    accept: Accept | None = None,
    fresh: bool = False,
) -> Gathered:
    """The first tasks that a request finds and that are accepted, page by page: at most `limit`, from at most `max_pages`."""

    def ask(page: int) -> tuple[list[dict[str, Any]], int | None]:
        answer = api.get(request.path, kind="tasks", params={**request.params, "page": page}, fresh=fresh, **request.ids)
        found = objects(answer, "tasks")
        is_last = answer.get("last_page", len(found) < PAGE) or not found
        return found, None if is_last else page + 1

    call = api.context.call
    return gather(ask, call=call, what="tasks", first=first_page, limit=limit, pages=max_pages, accept=accept)


def take_page(api: Api, request: Request, page: int, size: int, accept: Accept | None) -> Gathered:
    """One page of our own size. If nothing is filtered here, only ClickUp's pages that it lies on are read."""
    start = page * size
    first = 0 if accept else start // PAGE
    skipped = first * PAGE
    found = scan(api, request, limit=start + size - skipped, first_page=first, accept=accept)
    return replace(found, items=found.items[start - skipped :])


def missing(found: Gathered) -> list[str]:
    """Why some tasks may be missing."""
    return [] if found.is_complete else [f"Only the first {len(found.items)} tasks were read."]


def ask_workspace(team_id: str, **params: Any) -> Request:
    """The request for tasks of a whole workspace, newest change first."""
    return Request("GET", "/v2/team/{team_id}/task", {"team_id": team_id}, {"order_by": "updated", "reverse": True} | params)


def ask_list(list_id: str, **params: Any) -> Request:
    """The request for the tasks of a list."""
    return Request("GET", "/v2/list/{list_id}/task", {"list_id": list_id}, params)


def is_in_one_list(task: dict[str, Any]) -> bool:
    """Whether a task is in its own list only."""
    return not objects(task, "locations")


def all_of(*conditions: Accept | None) -> Accept | None:
    """All conditions at once; None if there is none."""
    real = [condition for condition in conditions if condition]
    return (lambda task: all(condition(task) for condition in real)) if real else None


def holds_words(query: str | None) -> Accept | None:
    """Whether a task has every word of a query in its name, ids, tags or description."""
    words = (query or "").casefold().split()
    if not words:
        return None

    def accept(task: dict[str, Any]) -> bool:
        parts = (task.get("name"), task.get("id"), task.get("custom_id"), *tags_of(task), description_of(task))
        return all(word in " ".join(str(part or "") for part in parts).casefold() for word in words)

    return accept


# --- likeness ---


class Likeness:
    """How like a query texts are. Each word is compared once, in however many texts it occurs: a thousand tasks hold many."""

    def __init__(self, query: str):
        self._query = query.casefold().strip()
        self._matchers = [SequenceMatcher(None, "", word) for word in self._query.split()[:10]]
        self._known: list[dict[str, float]] = [{} for _ in self._matchers]

    def of_text(self, text: str) -> float:
        """From 0 to 1. A text that holds all words of the query is very like it."""
        text = str(text).casefold().strip()
        if not self._query or not text:
            return 0.0
        if self._query == text:
            return 1.0
        words = set(text.split()[:200])
        per_word = [max(self._of_word(index, word) for word in words) for index in range(len(self._matchers))]
        return 0.95 * sum(per_word) / len(per_word)

    def of_task(self, task: dict[str, Any]) -> float:
        """From 0 to 1: a task's name counts most, then its description, then its status."""
        texts = {"name": task.get("name"), "description": description_of(task), "status": status_of(task).get("status")}
        return max(self.of_text(texts[part] or "") * (1 if part == "name" else 0.5 + weight) for part, weight in WEIGHTS)

    def _of_word(self, index: int, word: str) -> float:
        """How like a word of the query another word is; 0 if they are two words, and not one with a typing mistake."""
        known = self._known[index]
        if word not in known:
            matcher = self._matchers[index]
            matcher.set_seq1(word)
            is_like = matcher.real_quick_ratio() >= SAME_WORD and matcher.quick_ratio() >= SAME_WORD
            ratio = matcher.ratio() if is_like else 0.0
            known[word] = ratio if ratio >= SAME_WORD else 0.0
        return known[word]


def rank(tasks: list[dict[str, Any]], query: str, limit: int) -> list[tuple[float, dict[str, Any]]]:
    """(score, task) of the tasks that are like a query, the likest first; a score of 1 is the same."""
    likeness = Likeness(query)
    scored = sorted((1 - likeness.of_task(task), index) for index, task in enumerate(tasks))
    return [(round(1 - score, 2), tasks[index]) for score, index in scored if score <= THRESHOLD][:limit]


# --- the task that is meant ---


def find_task_id(api: Api, task_id: str | None, name: str | None, context: dict[str, Any] | None) -> str:
    """The id of the task that is meant. Raises ToolError with the candidates if a name fits none or several."""
    if task_id:
        return task_id
    if not name:
        raise ToolError("Give taskId, or taskName.")
    known = [task for task in (context or {}).get("tasks", []) if task["name"].casefold() == name.casefold()]
    if len(known) == 1:
        return known[0]["id"]
    request = ask_workspace(api.team_id(), subtasks=True, include_closed=True)
    ranked = rank(scan(api, request, limit=MAX_PAGES * PAGE, max_pages=5).items, name, 6)
    same = [task for _, task in ranked if str(task.get("name")).casefold() == name.casefold()]
    found = same or [task for _, task in ranked]
    if len(found) == 1:
        return str(found[0]["id"])
    listed = ", ".join(f"“{task.get('name')}” ({task.get('id')})" for task in found) or "nothing like it among the latest ones"
    raise ToolError(f"It is not clear which task “{name}” is. Give its id. Found: {listed}.")


def real_task_id(api: Api, task_id: str) -> str:
    """A task's own id where a custom one was given: some places want no other."""
    if "-" not in task_id:
        return task_id
    task = api.get("/v2/task/{task_id}", kind="tasks", params=api.task_query(task_id), task_id=task_id)
    return str(task.get("id") or task_id)

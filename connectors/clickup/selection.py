"""Which tasks a report is about: a workspace, space, folder or list, and filters. Reads them, within limits; offers no tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from connectors.clickup.api import Api, Request
from connectors.clickup.members import resolve
from connectors.clickup.places import resolve_path
from connectors.clickup.task_pages import MAX_PAGES, PAGE, Accept, ask_list, ask_workspace, is_in_one_list, missing, scan
from errors import ToolError
from service_pages import Gathered

KINDS = ("workspace", "space", "folder", "list")
Person = Annotated[str, Field(pattern=r"\S", max_length=200)]
People = Annotated[list[Person], Field(max_length=50, description="Names, e-mail addresses or ids.")]


@dataclass(frozen=True)
class Container:
    """Where the tasks are."""

    kind: str
    id: str


@dataclass(frozen=True)
class Filters:
    """Which of them count."""

    closed: bool = False
    subtasks: bool = True
    many_lists: bool = True
    tags: list[str] | None = None
    people: list[str] | None = None
    statuses: list[str] | None = None
    due_before: int | None = None  # epoch milliseconds
    more: dict[str, Any] = field(default_factory=dict)


def choose_container(
    api: Api,
    *,
    workspace: str | None = None,
    space: str | None = None,
    folder: str | None = None,
    list_: str | None = None,
    path: list[Any] | None = None,
    fresh: bool = False,
) -> Container:
    """The one place that was named; nothing means the connection's workspace. Raises ToolError for several."""
    named = [Container(kind, found) for kind, found in zip(KINDS, (workspace, space, folder, list_), strict=True) if found]
    inner = [place for place in named if place.kind != "workspace"] or named
    if len(inner) + (path is not None) > 1:
        raise ToolError("Name one place only: a space, a folder, a list, or a path.")
    if path is not None:
        last = resolve_path(api, path, fresh=fresh)[-1]
        return Container(last.kind, last.id)
    return inner[0] if inner else Container("workspace", api.team_id())


def ask_container(api: Api, place: Container, filters: Filters, team_id: str | None = None) -> tuple[Request, Accept | None]:
    """The request for the tasks of a place, and what only we can filter."""
    params: dict[str, Any] = {
        "subtasks": filters.subtasks,
        "include_closed": filters.closed,
        "tags[]": filters.tags,
        "statuses[]": filters.statuses,
        "assignees[]": find_people(api, filters.people, team_id) if filters.people else None,
        "due_date_lt": filters.due_before,
        **filters.more,
    }
    if place.kind == "list":
        return ask_list(place.id, include_timl=filters.many_lists, **params), None
    where = {"space": "space_ids[]", "folder": "project_ids[]"}
    if place.kind in where:
        params[where[place.kind]] = [place.id]
    team_id = place.id if place.kind == "workspace" else api.team_id(team_id)
    return ask_workspace(team_id, **params), None if filters.many_lists else is_in_one_list


def find_people(api: Api, people: list[str], team_id: str | None) -> list[str]:
    """Ids of members. Raises ToolError for one who is not clear."""
    if all(person.isdigit() for person in people):
        return people
    found = resolve(api, people, api.team_id(team_id), 2, False)
    unclear = [result["identifier"] for result in found if len(result["members"]) != 1]
    if unclear:
        raise ToolError(f"It is not clear who is meant by {', '.join(unclear)}. member_resolve tells who there is.")
    return [result["members"][0]["id"] for result in found]


def read_tasks(
    api: Api, place: Container, filters: Filters, *, fresh: bool = False, team_id: str | None = None, max_pages: int = MAX_PAGES
) -> tuple[Gathered, list[str]]:
    """The tasks of a place that pass the filters, and why some may be missing."""
    request, accept = ask_container(api, place, filters, team_id)
    found = scan(api, request, limit=max_pages * PAGE, max_pages=max_pages, accept=accept, fresh=fresh)
    return found, missing(found)

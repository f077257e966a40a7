"""Hierarchy tools: workspaces, spaces, folders and lists, and the way to one of them by names."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, objects
from connectors.clickup.places import (
    Place,
    ask_for_folders,
    ask_for_lists,
    list_folders,
    list_lists,
    list_spaces,
    list_workspaces,
    places,
    resolve_path,
)
from connectors.clickup.plans import reads
from connectors.clickup.shapes import FolderId, Fresh, Named, Path, SpaceId, WorkspaceId
from errors import ToolError
from fitting import Answer, Report, compact
from service_calls import OutOfTime

Limit = Annotated[int, Field(ge=1, le=500)]
Depth = Annotated[int, Field(ge=1, le=4, description="1 workspaces, 2 spaces, 3 folders and lists, 4 lists in folders.")]


class Workspace(Named):
    """A workspace."""

    memberCount: NotRequired[int]


class Space(Named):
    """A space, with the statuses that its tasks may have."""

    private: NotRequired[bool]
    statuses: NotRequired[list[str]]


class Folder(Named):
    """A folder."""

    taskCount: NotRequired[int]


class ListInfo(Named):
    """A list."""

    taskCount: NotRequired[int]
    folder: NotRequired[str]


class Workspaces(Answer):
    """The workspaces that this account is in."""

    workspaces: list[Workspace]


class Spaces(Answer):
    """The spaces of a workspace."""

    workspaceId: str
    spaces: list[Space]


class Folders(Answer):
    """The folders of a space."""

    spaceId: str
    folders: list[Folder]


class Lists(Answer):
    """The lists of a folder, or those of a space that are in no folder."""

    lists: list[ListInfo]


class FolderNode(Folder):
    """A folder with its lists."""

    lists: NotRequired[list[ListInfo]]


class SpaceNode(Space):
    """A space with its folders, and its lists that are in none."""

    folders: NotRequired[list[FolderNode]]
    lists: NotRequired[list[ListInfo]]


class WorkspaceNode(Workspace):
    """A workspace with its spaces."""

    spaces: NotRequired[list[SpaceNode]]


class Overview(Report):
    """A workspace at a glance."""

    workspace: Named
    spaceCount: int
    folderCount: int
    listCount: int
    spaces: list[SpaceNode]


class Hierarchy(Report):
    """The tree of what this account sees."""

    workspaces: list[WorkspaceNode]


class WorkspaceName(TypedDict):
    """A workspace by its id or its name."""

    id: NotRequired[WorkspaceId]
    name: NotRequired[str]


class Step(TypedDict):
    """One thing on a path."""

    type: str
    id: str
    name: str


class Resolved(Answer):
    """What a path leads to, and over what."""

    type: str
    id: str
    name: str
    path: list[Step]


# --- tools ---


@reads(title="List workspaces", core=True)
def workspace_list(api: Api, forceRefresh: Fresh = False) -> Workspaces:
    """List the workspaces of this ClickUp account, with their ids."""
    return {"workspaces": [show_workspace(place) for place in list_workspaces(api, fresh=forceRefresh)]}


@reads(title="List spaces", core=True)
def space_list_for_workspace(api: Api, workspaceId: WorkspaceId, forceRefresh: Fresh = False) -> Spaces:
    """List the spaces of a ClickUp workspace, with the statuses that tasks may have there."""
    found = list_spaces(api, workspaceId, fresh=forceRefresh)
    return {"workspaceId": workspaceId, "spaces": [show_space(place) for place in found]}


@reads(title="List folders", core=True)
def folder_list_for_space(api: Api, spaceId: SpaceId, forceRefresh: Fresh = False) -> Folders:
    """List the folders of a ClickUp space. Lists may also lie in the space itself: see list_list_for_space_or_folder."""
    return {"spaceId": spaceId, "folders": [show_folder(place) for place in list_folders(api, spaceId, fresh=forceRefresh)]}


@reads(title="List lists", core=True)
def list_list_for_space_or_folder(
    api: Api, folderId: FolderId | None = None, spaceId: SpaceId | None = None, forceRefresh: Fresh = False
) -> Lists:
    """List the lists of a ClickUp folder, or those of a space that are in no folder. Give one of the two ids."""
    if (folderId is None) == (spaceId is None):
        raise ToolError("Give either folderId or spaceId.")
    found = list_lists(api, folder_id=folderId or "", space_id=spaceId or "", fresh=forceRefresh)
    return {"lists": [show_list(place) for place in found]}


@reads(title="Workspace overview", streams=True)
def workspace_overview(api: Api, workspaceId: WorkspaceId, forceRefresh: Fresh = False) -> Overview:
    """Show a ClickUp workspace at a glance: its spaces, with their folders and lists, and how many there are of each."""
    name = next((place.name for place in list_workspaces(api, fresh=forceRefresh) if place.id == workspaceId), None)
    walk = Walk(api, fresh=forceRefresh)
    nodes = walk.spaces(list_spaces(api, workspaceId, fresh=forceRefresh), depth=4)
    return {
        "workspace": compact({"id": workspaceId, "name": name}),
        "spaceCount": len(nodes),
        "folderCount": sum(len(node.get("folders", [])) for node in nodes),
        "listCount": sum(count_lists(node) for node in nodes),
        "spaces": nodes,
        **walk.report(),
    }


@reads(title="Workspace hierarchy", core=True, streams=True)
def workspace_hierarchy(
    api: Api,
    workspaceIds: list[WorkspaceId] | None = None,
    workspaceNames: list[str] | None = None,
    workspaces: list[WorkspaceName] | None = None,
    maxDepth: Depth = 4,
    maxWorkspaces: Limit = 10,
    maxSpacesPerWorkspace: Limit = 50,
    maxFoldersPerSpace: Limit = 50,
    maxListsPerSpace: Limit = 50,
    maxListsPerFolder: Limit = 50,
    concurrency: Annotated[int, Field(ge=1, le=10, description="Requests at the same time.")] = 5,
    forceRefresh: Fresh = False,
) -> Hierarchy:
    """Show the tree of ClickUp workspaces, spaces, folders and lists, with their ids: of all workspaces, if none is chosen."""
    ids = {*(workspaceIds or []), *(item["id"] for item in workspaces or [] if "id" in item)}
    wanted = [*(workspaceNames or []), *(item["name"] for item in workspaces or [] if "name" in item)]
    names = {name.casefold() for name in wanted}
    walk = Walk(api, forceRefresh, concurrency, maxFoldersPerSpace, maxListsPerSpace, maxListsPerFolder)
    chosen = choose_workspaces(list_workspaces(api, fresh=forceRefresh), ids, names)
    nodes = []
    for place in walk.cut(chosen, maxWorkspaces, "workspaces"):
        node = show_workspace(place)
        if maxDepth > 1:
            found = walk.cut(list_spaces(api, place.id, fresh=forceRefresh), maxSpacesPerWorkspace, f"spaces of {place.name}")
            node["spaces"] = walk.spaces(found, maxDepth)
        nodes.append(node)
    return {"workspaces": nodes, **walk.report()}


@reads(title="Find by path", core=True)
def hierarchy_resolve_path(api: Api, path: Path, forceRefresh: Fresh = False) -> Resolved:
    """Find the id of a ClickUp workspace, space, folder or list by the names on the way to it, such as ["Marketing", "Ads"].

    Case does not matter. If a name is missing or not unique, the error lists what there is to choose from.
    """
    found = [{"type": place.kind, "id": place.id, "name": place.name} for place in resolve_path(api, path, fresh=forceRefresh)]
    return {**found[-1], "path": found}


# --- the walk ---


class Walk:
    """Goes through spaces, several requests at a time, within limits; remembers what it left out, and why."""

    def __init__(
        self, api: Api, fresh: bool, concurrency: int = 5, folders: int = 500, lists: int = 500, lists_in_folder: int = 500
    ):
        self._api, self._fresh, self._concurrency = api, fresh, concurrency
        self._folders, self._lists, self._lists_in_folder = folders, lists, lists_in_folder
        self._reasons: list[str] = []

    def report(self) -> dict[str, Any]:
        """Whether something is missing, and why."""
        return {"partial": bool(self._reasons), "partialReasons": self._reasons}

    def cut(self, found: list[Place], limit: int, what: str) -> list[Place]:
        """At most `limit` of them."""
        if len(found) > limit:
            self._reasons.append(f"Only {limit} of {len(found)} {what} are shown.")
        return found[:limit]

    def spaces(self, spaces: list[Place], depth: int) -> list[dict[str, Any]]:
        """Spaces with what is in them, down to a depth: 2 spaces, 3 folders and lists, 4 lists in folders too."""
        nodes = [show_space(space) for space in spaces]
        if depth < 3 or not spaces:
            return nodes
        requests = [ask(space) for space in spaces for ask in (ask_for_folders, ask_for_lists)]
        answers = self._ask(requests, [space for space in spaces for _ in range(2)])
        inside: list[tuple[dict[str, Any], list[Place]]] = []
        for index, (space, node) in enumerate(zip(spaces, nodes, strict=True)):
            folders = self.cut(places("folder", answers[2 * index], "folders"), self._folders, f"folders of {space.name}")
            lists = self.cut(places("list", answers[2 * index + 1], "lists"), self._lists, f"lists of {space.name}")
            node["folders"], node["lists"] = [], [show_list(place) for place in lists]
            inside.append((node, folders))
        self._fill_folders(inside, depth)
        return nodes

    def _fill_folders(self, inside: list[tuple[dict[str, Any], list[Place]]], depth: int) -> None:
        """Put folders into their spaces, with their lists if it goes so deep."""
        every = [folder for _, folders in inside for folder in folders]
        answers = iter(self._ask([ask_for_lists(folder) for folder in every], every) if depth > 3 else [])
        for node, folders in inside:
            for folder in folders:
                shown = show_folder(folder)
                if depth > 3:
                    lists = self.cut(places("list", next(answers), "lists"), self._lists_in_folder, f"lists of {folder.name}")
                    shown["lists"] = [show_list(place) for place in lists]
                node["folders"].append(shown)

    def _ask(self, requests: list[Any], about: list[Place]) -> list[dict[str, Any]]:
        """The answers; an empty one, and a reason, for what could not be had."""
        answers = self._api.try_all(requests, kind="hierarchy", fresh=self._fresh, workers=self._concurrency)
        if answers and all(isinstance(answer, ToolError) for answer in answers) and not isinstance(answers[0], OutOfTime):
            raise answers[0]  # type: ignore[misc]
        for answer, place in zip(answers, about, strict=True):
            if isinstance(answer, ToolError):
                self._reasons.append(f"What is in the {place.kind} {place.name} is not known: {answer}")
        self._api.context.call.progress(len(answers), message=f"{len(answers)} answers read")
        return [{} if isinstance(answer, ToolError) else answer for answer in answers]


def choose_workspaces(found: list[Place], ids: set[str], names: set[str]) -> list[Place]:
    """Those with one of these ids or names; all if none is asked for. Raises ToolError for one that is not there."""
    if not ids and not names:
        return found
    missing = (ids - {place.id for place in found}) | (names - {place.name.casefold() for place in found})
    if missing:
        listed = ", ".join(f"{place.name} ({place.id})" for place in found) or "none"
        raise ToolError(f"This account is in no workspace {', '.join(sorted(missing))}. It is in: {listed}.")
    return [place for place in found if place.id in ids or place.name.casefold() in names]


def count_lists(node: dict[str, Any]) -> int:
    """The lists of a space, in folders or not."""
    return len(node.get("lists", [])) + sum(len(folder.get("lists", [])) for folder in node.get("folders", []))


# --- shapes ---


def show_workspace(place: Place) -> dict[str, Any]:
    """A workspace."""
    return {"id": place.id, "name": place.name, "memberCount": len(objects(place.item, "members"))}


def show_space(place: Place) -> dict[str, Any]:
    """A space."""
    statuses = [item.get("status") for item in objects(place.item, "statuses")]
    private = place.item.get("private")
    return {"id": place.id, "name": place.name} | compact({"private": private, "statuses": [name for name in statuses if name]})


def count_of(place: Place) -> int | None:
    """How many tasks are in a folder or list; ClickUp gives the number as a text."""
    count = place.item.get("task_count")
    return int(count) if str(count).isdigit() else None


def show_folder(place: Place) -> dict[str, Any]:
    """A folder."""
    return {"id": place.id, "name": place.name} | compact({"taskCount": count_of(place)})


def show_list(place: Place) -> dict[str, Any]:
    """A list."""
    folder = place.item.get("folder") if isinstance(place.item.get("folder"), dict) else {}
    name = None if folder.get("hidden") else folder.get("name")
    return {"id": place.id, "name": place.name} | compact({"taskCount": count_of(place), "folder": name})

"""The tree of workspaces, spaces, folders and lists, and the way along it by names. Offers no tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.clickup.api import Api, Request, objects
from errors import ToolError

DEPTHS = ("workspace", "space", "folder", "list")


@dataclass(frozen=True)
class Place:
    """Something in the tree. `item` is ClickUp's own object."""

    kind: str
    id: str
    name: str
    item: dict[str, Any]


def as_place(kind: str, item: dict[str, Any]) -> Place:
    """ClickUp's object as a place."""
    return Place(kind, str(item.get("id", "")), str(item.get("name") or ""), item)


def places(kind: str, answer: dict[str, Any], name: str) -> list[Place]:
    """The places of one kind in an answer; what has no id is none."""
    return [as_place(kind, item) for item in objects(answer, name) if item.get("id")]


def list_workspaces(api: Api, *, fresh: bool = False) -> list[Place]:
    """The workspaces of this account."""
    return places("workspace", {"teams": api.teams(fresh=fresh)}, "teams")


def list_spaces(api: Api, workspace_id: str, *, fresh: bool = False) -> list[Place]:
    """The spaces of a workspace."""
    answer = api.get("/v2/team/{team_id}/space", kind="hierarchy", params=LIVING, fresh=fresh, team_id=workspace_id)
    return places("space", answer, "spaces")


def list_folders(api: Api, space_id: str, *, fresh: bool = False) -> list[Place]:
    """The folders of a space."""
    answer = api.get("/v2/space/{space_id}/folder", kind="hierarchy", params=LIVING, fresh=fresh, space_id=space_id)
    return places("folder", answer, "folders")


def list_lists(api: Api, *, space_id: str = "", folder_id: str = "", fresh: bool = False) -> list[Place]:
    """The lists of a folder, or those of a space that are in no folder."""
    path, ids = ("/v2/folder/{folder_id}/list", {"folder_id": folder_id}) if folder_id else (
        "/v2/space/{space_id}/list", {"space_id": space_id}
    )  # fmt: skip
    return places("list", api.get(path, kind="hierarchy", params=LIVING, fresh=fresh, **ids), "lists")


LIVING = {"archived": False}


def ask_for_lists(place: Place) -> Request:
    """The request for the lists right under a space or a folder."""
    return Request("GET", f"/v2/{place.kind}/{{{place.kind}_id}}/list", {f"{place.kind}_id": place.id}, LIVING)


def ask_for_folders(space: Place) -> Request:
    """The request for the folders of a space."""
    return Request("GET", "/v2/space/{space_id}/folder", {"space_id": space.id}, LIVING)


# --- along a path ---


@dataclass(frozen=True)
class Name:
    """One step of a path: a name, and the kind that was asked for, if any."""

    text: str
    kind: str | None


def read_path(path: list[Any]) -> list[Name]:
    """A path as it was given."""
    return [Name(part, None) if isinstance(part, str) else Name(part["name"], part["type"]) for part in path]


def resolve_path(api: Api, path: list[Any], *, fresh: bool = False) -> list[Place]:
    """The places along a path of names, outermost first, the workspace always among them.

    Raises ToolError with what there is to choose from if a name fits nothing or several things.
    """
    names = read_path(path)
    found = [find_workspace(api, names, fresh=fresh)]
    if fits(found[0], names[0]) and (names[0].kind == "workspace" or not is_space(api, found[0], names[0], fresh)):
        names = names[1:]
    for name in names:
        options = CHILDREN[found[-1].kind](api, found[-1], fresh)
        found.append(choose([option for option in options if name.kind in (None, option.kind)], name, found[-1]))
    return found


def is_space(api: Api, workspace: Place, name: Name, fresh: bool) -> bool:
    """Whether a workspace has a space that is called like this: then the name means the space."""
    return any(fits(space, name) for space in list_spaces(api, workspace.id, fresh=fresh))


def find_workspace(api: Api, names: list[Name], *, fresh: bool) -> Place:
    """The workspace that a path begins with; if it names none, the connection's."""
    workspaces = list_workspaces(api, fresh=fresh)
    if names[0].kind in (None, "workspace"):
        named = [workspace for workspace in workspaces if fits(workspace, names[0])]
        if len(named) == 1:
            return named[0]
        if names[0].kind == "workspace":
            return choose(workspaces, names[0], None)
    team_id = api.team_id()
    return next((workspace for workspace in workspaces if workspace.id == team_id), Place("workspace", team_id, "", {}))


def list_in_space(api: Api, space: Place, fresh: bool) -> list[Place]:
    """The folders and the lists right under a space."""
    return [*list_folders(api, space.id, fresh=fresh), *list_lists(api, space_id=space.id, fresh=fresh)]


CHILDREN: dict[str, Callable[[Api, Place, bool], list[Place]]] = {
    "workspace": lambda api, place, fresh: list_spaces(api, place.id, fresh=fresh),
    "space": list_in_space,
    "folder": lambda api, place, fresh: list_lists(api, folder_id=place.id, fresh=fresh),
    "list": lambda api, place, fresh: [],
}


def fits(place: Place, name: Name) -> bool:
    """Whether a place is called like this, whatever the case, or has it as its id."""
    return name.kind in (None, place.kind) and name.text.strip().casefold() in (place.name.strip().casefold(), place.id)


def choose(options: list[Place], name: Name, parent: Place | None) -> Place:
    """The one that is called like this; exact case wins. Raises ToolError if none is, or several are."""
    named = [option for option in options if fits(option, name)]
    exact = [option for option in named if option.name == name.text]
    chosen = exact if len(exact) == 1 else named
    if len(chosen) == 1:
        return chosen[0]
    where = f"in the {parent.kind} “{parent.name}”" if parent else "for this account"
    if chosen:
        listed = ", ".join(f"{option.kind} {option.id}" for option in chosen[:10])
        raise ToolError(f"Several things {where} are called “{name.text}”: {listed}. Say the type, or use an id.")
    listed = ", ".join(f"“{option.name}” ({option.kind})" for option in options[:30]) or "nothing"
    raise ToolError(f"There is no {name.kind or 'item'} “{name.text}” {where}. There is: {listed}.")


def find_place(api: Api, kind: str, place_id: str | None, path: list[Any] | None, *, names: str) -> str:
    """The id of a place of one kind, by its id or by a path that ends at one. Raises ToolError unless exactly one is given."""
    if (place_id is None) == (path is None):
        raise ToolError(f"Give either {names}, or a path.")
    if place_id is not None:
        return place_id
    last = resolve_path(api, path or [])[-1]
    if last.kind != kind:
        raise ToolError(f"The path ends at a {last.kind}, “{last.name}”, but a {kind} is needed.")
    return last.id

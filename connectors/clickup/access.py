"""Where a connection may write: nowhere, everywhere, or in some spaces and lists. Looks up where things are; writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connectors.clickup.api import Api, Request, objects
from errors import ToolError

MAX_ROUNDS = 4  # a doc is in a folder, which is in a space


@dataclass(frozen=True)
class Target:
    """Something that a write would change: a task, list, folder, space, view, doc, time entry, or a whole workspace.

    `workspace`: in which the write would look for it, if it says so.
    """

    kind: str
    id: str
    workspace: str = ""


NOWHERE = Target("workspace", "")  # no setting allows it
# names in a path that say what a request changes; the others (pages, tags, fields, templates) are inside of these
IN_PATH = {
    "task_id": "task",
    "list_id": "list",
    "folder_id": "folder",
    "space_id": "space",
    "view_id": "view",
    "doc_id": "doc",
    "timer_id": "entry",
}
PARENTS = {"4": "space", "5": "folder", "6": "list", "1": "task"}  # ClickUp's numbers for kinds of parents


def targets_of(request: Request) -> list[Target]:
    """What a request changes, as its path tells."""
    names = re.findall(r"\{([A-Za-z_]+)\}", request.path)
    workspace = request.ids.get("team_id") or request.ids.get("workspace_id") or request.params.get("team_id") or ""
    return [Target(IN_PATH[name], str(request.ids[name]), str(workspace)) for name in names if name in IN_PATH]


def tags_of(request: Request) -> list[tuple[Target, str]]:
    """The tags that a request gives to a task, each with what tells the space: ClickUp makes those that it does not have."""
    if request.method == "POST" and request.path == "/v2/task/{task_id}/tag/{tag_name}":
        return [(targets_of(request)[0], request.ids["tag_name"])]
    if request.method == "POST" and request.path == "/v2/list/{list_id}/task":
        return [(targets_of(request)[0], tag) for tag in request.json.get("tags", [])]
    return []


class Access:
    """The rules of one connection, and what they let through during one call."""

    def __init__(self, api: Api):
        self._api, self._allowed, self._tagged = api, set[Target](), set[tuple[Target, str]]()
        self._seen: dict[Target, dict[str, Any]] = {}  # what was looked up

    def check_writing(self) -> None:
        """Raise ToolError if this connection only reads."""
        if self._api.settings.read_only:
            raise ToolError("This connection only reads: its person has set “Only read”. Nothing was changed.")

    def check(self, targets: Iterable[Target]) -> None:
        """Raise ToolError unless every target may be written to. Nothing may be sent before this has let all of it through."""
        self.check_writing()
        if not self._api.settings.selective:
            return
        wanted = list(dict.fromkeys(targets))
        if not wanted:
            raise refusal([NOWHERE])
        refused = self._find_refused([target for target in wanted if target not in self._allowed])
        if refused:
            raise refusal(refused)
        self._allowed |= set(wanted)

    def check_tags(self, tags: Iterable[tuple[Target, str]]) -> None:
        """Raise ToolError if a space that may not be written to would get a tag that it does not have yet."""
        wanted = [pair for pair in dict.fromkeys(tags) if pair not in self._tagged] if self._api.settings.selective else []
        homes = list(dict.fromkeys(home for home, _ in wanted))
        self._see([home for home in homes if home not in self._seen])
        spaces = {home: place_in(self._seen[home], "space") for home in homes}
        closed = [space for space in dict.fromkeys(spaces.values()) if not self._is_named(space)]
        answers = self._api.get_all([Request("GET", SPACE_TAGS, {"space_id": space.id}) for space in closed], kind="now")
        names = {space: tag_names(answer) for space, answer in zip(closed, answers, strict=True)}
        for home, tag in wanted:
            known = names.get(spaces[home])
            if known is not None and tag.casefold() not in map(str.casefold, known):
                raise new_tag(tag, spaces[home], known)
        self._tagged |= set(wanted)

    def _find_refused(self, wanted: list[Target]) -> list[Target]:
        """Those targets that are in no allowed place, after as many look-ups as it takes."""
        open_, refused = {target: target for target in wanted}, []
        for _ in range(MAX_ROUNDS):
            open_ = {origin: place for origin, place in open_.items() if not self._is_named(place)}
            refused += [origin for origin, place in open_.items() if place.kind not in LOOK_UPS]
            open_ = {origin: place for origin, place in open_.items() if place.kind in LOOK_UPS}
            if not open_:
                return refused
            places = list(dict.fromkeys(open_.values()))
            self._see(places)
            outer = {place: self._find_place(place, self._seen[place]) for place in places}
            open_ = {origin: outer[place] for origin, place in open_.items()}
        return refused + list(open_)

    def _see(self, places: list[Target]) -> None:
        """Look up where some places are."""
        answers = self._api.get_all([self._look_up(place) for place in places], kind="now")
        self._seen |= dict(zip(places, answers, strict=True))

    def _is_named(self, place: Target) -> bool:
        settings = self._api.settings
        return (place.kind == "list" and place.id in settings.lists) or (place.kind == "space" and place.id in settings.spaces)

    def _look_up(self, place: Target) -> Request:
        path, name = LOOK_UPS[place.kind]
        ids, params = {name: place.id}, self._api.task_query(place.id, place.workspace) if place.kind == "task" else {}
        for team in ("team_id", "workspace_id"):
            if f"{{{team}}}" in path:
                ids[team] = self._api.team_id(place.workspace)
        return Request("GET", path, ids, params)

    def _find_place(self, place: Target, answer: dict[str, Any]) -> Target:
        """What something is in: the list if that is named, else what is around it."""
        if place.kind == "entry":
            return place_in(answer.get("data"), "task")
        if place.kind in ("view", "doc"):
            parent = (answer.get("view") if place.kind == "view" else answer) or {}
            parent = parent.get("parent") or {}
            return Target(PARENTS.get(str(parent.get("type")), "workspace"), str(parent.get("id")))
        home = place_in(answer, "list")
        return home if place.kind == "task" and self._is_named(home) else place_in(answer, "space")


SPACE_TAGS = "/v2/space/{space_id}/tag"
LOOK_UPS = {
    "task": ("/v2/task/{task_id}", "task_id"),
    "list": ("/v2/list/{list_id}", "list_id"),
    "folder": ("/v2/folder/{folder_id}", "folder_id"),
    "view": ("/v2/view/{view_id}", "view_id"),
    "doc": ("/v3/workspaces/{workspace_id}/docs/{doc_id}", "doc_id"),
    "entry": ("/v2/team/{team_id}/time_entries/{timer_id}", "timer_id"),
}


def place_in(answer: Any, kind: str) -> Target:
    """The list, space or task that an answer names; nowhere if it names none."""
    item = answer.get(kind) if isinstance(answer, dict) else None
    found = item.get("id") if isinstance(item, dict) else None
    return Target(kind, str(found)) if found else NOWHERE


def tag_names(answer: Any) -> list[str]:
    """The names of a space's tags."""
    return [str(tag.get("name")) for tag in objects(answer, "tags")]


def refusal(refused: list[Target]) -> ToolError:
    """The sentence for what may not be written to."""
    names = ", ".join(f"{target.kind} {target.id}".strip() for target in refused[:5])
    more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
    return ToolError(
        f"This connection writes in some spaces and lists only, and these are not in them: {names}{more}. "
        "Nothing was changed. Its person can allow more in the connection's settings."
    )


def new_tag(tag: str, space: Target, known: list[str]) -> ToolError:
    """The sentence for a tag that would be made where nothing may be."""
    return ToolError(
        f"Space {space.id} has no tag “{tag}”, and this connection may not make one there. Nothing was changed. "
        f"It has: {', '.join(known[:50]) or 'none'}."
    )

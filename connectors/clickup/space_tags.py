"""Space tag tools: the tags that the tasks of a space may have."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from connectors.clickup.api import Api, Request, objects
from connectors.clickup.plans import Outcome, Step, Steps, reads, writes
from connectors.clickup.shapes import Color, Fresh, SpaceId, TagName
from errors import ToolError
from fitting import Answer, compact

WHITE, VIOLET = "#FFFFFF", "#7B68EE"
TAG = "/v2/space/{space_id}/tag/{tag_name}"


class SpaceTag(TypedDict):
    """A tag and its colours."""

    name: str
    foregroundColor: NotRequired[str]
    backgroundColor: NotRequired[str]


class SpaceTags(Answer):
    """The tags of a space."""

    spaceId: str
    tags: list[SpaceTag]


class SpaceTagOutcome(Outcome):
    """What became of a tag."""

    tag: NotRequired[SpaceTag]


@reads(title="List space tags")
def space_tag_list(api: Api, spaceId: SpaceId, forceRefresh: Fresh = False) -> SpaceTags:
    """List the tags of a ClickUp space."""
    return {"spaceId": spaceId, "tags": [show_tag(tag) for tag in list_tags(api, spaceId, fresh=forceRefresh)]}


@writes(title="Create space tag", gives=SpaceTagOutcome, idempotent=True)
def space_tag_create(
    api: Api, spaceId: SpaceId, name: TagName, foregroundColor: Color = WHITE, backgroundColor: Color = VIOLET
) -> Steps:
    """Create a tag in a ClickUp space, for its tasks."""
    tag = {"name": name, "tag_fg": foregroundColor, "tag_bg": backgroundColor}
    request = Request("POST", "/v2/space/{space_id}/tag", {"space_id": spaceId}, json={"tag": tag})
    yield Step(request, f"create tag “{name}” in space {spaceId}")
    return {"summary": f"Created tag “{name}”.", "tag": show_tag(tag)}


@writes(title="Change space tag", gives=SpaceTagOutcome, idempotent=True, destructive=True)
def space_tag_update(
    api: Api,
    spaceId: SpaceId,
    currentName: TagName,
    name: TagName | None = None,
    foregroundColor: Color | None = None,
    backgroundColor: Color | None = None,
) -> Steps:
    """Rename a tag of a ClickUp space, or change its colours. Every task that has it shows the change."""
    if name is None and foregroundColor is None and backgroundColor is None:
        raise ToolError("Say what to change: name, foregroundColor or backgroundColor.")
    old = find_tag(api, spaceId, currentName)
    new = {
        "name": name or old["name"],
        "fg_color": foregroundColor or old.get("tag_fg") or WHITE,
        "bg_color": backgroundColor or old.get("tag_bg") or VIOLET,
    }
    yield Step(Request("PUT", TAG, tag_ids(spaceId, old), json={"tag": new}), f"change tag “{currentName}” in space {spaceId}")
    shown = {"name": new["name"], "tag_fg": new["fg_color"], "tag_bg": new["bg_color"]}
    return {"summary": f"Changed tag “{currentName}”.", "tag": show_tag(shown)}


@writes(title="Delete space tag", idempotent=True, destructive=True)
def space_tag_delete(api: Api, spaceId: SpaceId, name: TagName) -> Steps:
    """Delete a tag of a ClickUp space; every task loses it."""
    old = find_tag(api, spaceId, name)
    # ClickUp wants the whole tag in the body (DELETE tag: `tag` is required)
    tag = {"name": old["name"], "tag_fg": old.get("tag_fg") or WHITE, "tag_bg": old.get("tag_bg") or VIOLET}
    yield Step(Request("DELETE", TAG, tag_ids(spaceId, old), json={"tag": tag}), f"delete tag “{name}” of space {spaceId}")
    return {"summary": f"Deleted tag “{name}”."}


def list_tags(api: Api, space_id: str, *, fresh: bool = False) -> list[dict[str, Any]]:
    """The tags of a space, as ClickUp has them."""
    return objects(api.get("/v2/space/{space_id}/tag", kind="tags", fresh=fresh, space_id=space_id), "tags")


def find_tag(api: Api, space_id: str, name: str) -> dict[str, Any]:
    """A tag of a space by its name, whatever the case. Raises ToolError with those that there are."""
    tags = list_tags(api, space_id, fresh=True)
    found = next((tag for tag in tags if str(tag.get("name")).casefold() == name.casefold()), None)
    if found is None:
        names = ", ".join(str(tag.get("name")) for tag in tags[:50]) or "none"
        raise ToolError(f"Space {space_id} has no tag “{name}”. It has: {names}.")
    return found


def tag_ids(space_id: str, tag: dict[str, Any]) -> dict[str, str]:
    """What stands in the path of a tag."""
    return {"space_id": space_id, "tag_name": str(tag["name"])}


def show_tag(tag: dict[str, Any]) -> dict[str, Any]:
    """A tag."""
    colors = {"foregroundColor": tag.get("tag_fg"), "backgroundColor": tag.get("tag_bg")}
    return {"name": str(tag.get("name", ""))} | compact(colors)

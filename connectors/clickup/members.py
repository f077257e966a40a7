"""Member tools: who is in a workspace, and who is meant by a name or an address."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api, objects
from connectors.clickup.plans import reads
from connectors.clickup.shapes import Fresh, Member, Query, TeamId, show_member
from errors import ToolError
from fitting import Answer

Identifiers = Annotated[
    list[Query], Field(min_length=1, max_length=50, description='Names, e-mail addresses or ids; "me" is this account.')
]
Limit = Annotated[int, Field(ge=1, le=100)]
GOOD = 0.6  # how alike two names have to be


class Members(Answer):
    """The members of a workspace."""

    teamId: str
    members: list[Member]


class Resolution(TypedDict):
    """Who may be meant; `match` is exact, fuzzy or none."""

    identifier: str
    match: str
    members: list[Member]


class Resolutions(Answer):
    """Who may be meant, for each identifier."""

    teamId: str
    results: list[Resolution]


class Assignees(Answer):
    """The ids to assign a task to, and what could not be told."""

    teamId: str
    assigneeIds: list[str]
    results: list[Resolution]
    unresolved: list[str]


@reads(title="List members", core=True)
def member_list_for_workspace(api: Api, teamId: TeamId | None = None) -> Members:
    """List the members of a ClickUp workspace, with their ids."""
    team_id = api.team_id(teamId)
    return {"teamId": team_id, "members": list_members(api, team_id)}


@reads(title="Find members", core=True)
def member_resolve(
    api: Api, identifiers: Identifiers, teamId: TeamId | None = None, limit: Limit = 5, refresh: Fresh = False
) -> Resolutions:
    """Find members of a ClickUp workspace by id, e-mail address or name: first exactly, then by likeness, `limit` for each."""
    team_id = api.team_id(teamId)
    return {"teamId": team_id, "results": resolve(api, identifiers, team_id, limit, refresh)}


@reads(title="Search members by name")
def member_search_by_name(
    api: Api, query: Query, teamId: TeamId | None = None, limit: Limit = 10, refresh: Fresh = False
) -> Members:
    """Search members of a ClickUp workspace whose name or e-mail address is like the query, the likest first."""
    team_id = api.team_id(teamId)
    return {"teamId": team_id, "members": rank(list_members(api, team_id, fresh=refresh), query)[:limit]}


@reads(title="Resolve assignees")
def task_assignee_resolve(
    api: Api, identifiers: Identifiers, teamId: TeamId | None = None, limitPerIdentifier: Limit = 3, refresh: Fresh = False
) -> Assignees:
    """Turn names or e-mail addresses into the ids that ClickUp tasks are assigned by. Only what is clear is in assigneeIds."""
    team_id = api.team_id(teamId)
    results = resolve(api, identifiers, team_id, limitPerIdentifier, refresh)
    clear = [result["members"][0]["id"] for result in results if len(result["members"]) == 1]
    return {
        "teamId": team_id,
        "assigneeIds": list(dict.fromkeys(clear)),
        "results": results,
        "unresolved": [result["identifier"] for result in results if len(result["members"]) != 1],
    }


# --- matching ---


def list_members(api: Api, team_id: str, *, fresh: bool = False) -> list[dict[str, Any]]:
    """The members of a workspace. Raises ToolError if this account is not in it."""
    team = next((team for team in api.teams(fresh=fresh) if str(team.get("id")) == team_id), None)
    if team is None:
        raise ToolError(f"This account is in no workspace {team_id}. workspace_list tells in which it is.")
    return [show_member(item) for item in objects(team, "members")]


def resolve(api: Api, identifiers: list[str], team_id: str, limit: int, fresh: bool) -> list[dict[str, Any]]:
    """Who may be meant by each identifier."""
    members = list_members(api, team_id, fresh=fresh)
    results = []
    for identifier in identifiers:
        wanted = own_id(api) if identifier.strip().casefold() == "me" else identifier.strip().casefold()
        exact = [member for member in members if wanted in names_of(member)]
        found = exact or rank(members, wanted)
        match = "exact" if exact else "fuzzy" if found else "none"
        results.append({"identifier": identifier, "match": match, "members": found[:limit]})
    return results


def own_id(api: Api) -> str:
    """The id of this account's own user."""
    user = api.get("/v2/user", kind="members").get("user")
    return str(user.get("id")) if isinstance(user, dict) else ""


def names_of(member: dict[str, Any]) -> set[str]:
    """What a member may exactly be called."""
    return {member["id"], member["username"].casefold(), member.get("email", "").casefold()} - {""}


def rank(members: list[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    """The members whose name or address is like the query, the likest first."""
    scored = [(likeness(query.casefold(), member), member) for member in members]
    return [member for score, member in sorted(scored, key=lambda pair: -pair[0]) if score >= GOOD]


def likeness(query: str, member: dict[str, Any]) -> float:
    """How like a member's names are to a query, from 0 to 1; a part of a name is very like it."""
    words = [name for name in names_of(member) if not name.isdigit()]
    words += [word for name in words for word in name.replace("@", " ").replace(".", " ").split()]
    matcher, best = SequenceMatcher(None, "", query), 0.0
    for word in words:
        matcher.set_seq1(word)
        if matcher.real_quick_ratio() >= GOOD and matcher.quick_ratio() >= GOOD:  # thousands of members take no time
            best = max(best, matcher.ratio())
    return max(best, 0.9) if any(query in word for word in words) else best

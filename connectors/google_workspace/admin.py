"""Administration tools: users and groups of an organisation, and what happened in it. Only for its administrators."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import ADDRESS, Page, PageSize, PageToken, reads, writes
from connectors.google_workspace.moments import When, instant
from errors import ToolError
from fitting import Answer, compact

USERS_READ, USERS = ("admin.directory.user.readonly", "admin.directory.user"), ("admin.directory.user",)
GROUPS_READ, GROUPS = ("admin.directory.group.readonly", "admin.directory.group"), ("admin.directory.group",)
AUDIT = ("admin.reports.audit.readonly",)

Key = Annotated[str, Field(min_length=1, max_length=320, description="An address, or an id.")]
Domain = Annotated[str | None, Field(max_length=253, description="Only of this domain.")]
Address = Annotated[str, Field(pattern=ADDRESS, max_length=320)]


class User(TypedDict):
    """A user of the organisation."""

    id: str
    email: str
    name: NotRequired[str]
    admin: NotRequired[bool]
    suspended: NotRequired[bool]
    org_unit: NotRequired[str]
    last_login: NotRequired[str]
    created: NotRequired[str]
    aliases: NotRequired[list[str]]


class Users(Page):
    """Users of the organisation."""

    users: list[User]


class UserShown(Answer):
    """The user."""

    user: User


class GroupShown(TypedDict):
    """A group."""

    id: str
    email: str
    name: NotRequired[str]
    description: NotRequired[str]
    members: NotRequired[int]


class GroupList(Page):
    """Groups."""

    groups: list[GroupShown]


class GroupMember(TypedDict):
    """Somebody in a group."""

    id: NotRequired[str]
    email: NotRequired[str]
    role: NotRequired[str]
    type: NotRequired[str]


class GroupMembers(Page):
    """All who are in a group."""

    members: list[GroupMember]


class MemberMade(Answer):
    """Who is in the group now."""

    member: GroupMember


class Activity(TypedDict):
    """Something that happened."""

    time: NotRequired[str]
    actor: NotRequired[str]
    ip_address: NotRequired[str]
    events: list[dict[str, Any]]


class Activities(Page):
    """What happened, the last first."""

    activities: list[Activity]


@reads(*USERS_READ, title="List users")
def list_users(
    api: Api,
    domain: Domain = None,
    query: Annotated[str | None, Field(max_length=500, description="Such as name:Alice or isSuspended=true.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = None,
) -> Users:
    """List the users of the Google Workspace organisation, by their addresses."""
    params = {"query": query, "maxResults": page_size, "pageToken": page_token, "orderBy": "email"}
    found = api.get("directory", "users", params | whose(domain))
    return {"users": [show_user(item) for item in objects(found, "users")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*USERS_READ, title="Read user")
def get_user(api: Api, user_key: Key) -> UserShown:
    """Read what is known of a user."""
    return {"user": show_user(api.get("directory", "users/{user_key}", user_key=user_key))}


@writes(*USERS, title="Create user")
def create_user(
    api: Api,
    primary_email: Address,
    given_name: Annotated[str, Field(min_length=1, max_length=60)],
    family_name: Annotated[str, Field(min_length=1, max_length=60)],
    password: Annotated[str, Field(min_length=8, max_length=100)],
    org_unit_path: Annotated[str, Field(description="Such as /Sales.")] = "/",
    change_password_next_login: bool = True,
) -> UserShown:
    """Create a user of the Google Workspace organisation. It may cost a licence."""
    body = {
        "primaryEmail": primary_email,
        "name": {"givenName": given_name, "familyName": family_name},
        "password": password,
        "orgUnitPath": org_unit_path,
        "changePasswordAtNextLogin": change_password_next_login,
    }
    return {"user": show_user(api.post("directory", "users", body))}


@writes(*USERS, title="Change user", destructive=True, idempotent=True)
def update_user(
    api: Api,
    user_key: Key,
    suspended: bool | None = None,
    given_name: str | None = None,
    family_name: str | None = None,
    org_unit_path: str | None = None,
) -> UserShown:
    """Suspend a user or let them in again, rename them, or move them to another unit."""
    name = given(givenName=given_name, familyName=family_name)
    body = given(suspended=suspended, name=name or None, orgUnitPath=org_unit_path)
    if not body:
        raise ToolError("Name what shall change.")
    return {"user": show_user(api.patch("directory", "users/{user_key}", body, user_key=user_key))}


@reads(*GROUPS_READ, title="List groups")
def list_groups(
    api: Api,
    domain: Domain = None,
    user_key: Annotated[Key | None, Field(description="Only groups that this user is in.")] = None,
    page_size: Annotated[int, Field(ge=1, le=200)] = 100,
    page_token: PageToken = None,
) -> GroupList:
    """List the groups of the Google Workspace organisation."""
    place = {"userKey": user_key, "domain": domain} if user_key else whose(domain)
    found = api.get("directory", "groups", {"maxResults": page_size, "pageToken": page_token} | place)
    return {"groups": [show_group(item) for item in objects(found, "groups")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*GROUPS_READ, title="List members of a group")
def list_group_members(
    api: Api, group_key: Key, page_size: Annotated[int, Field(ge=1, le=200)] = 100, page_token: PageToken = None
) -> GroupMembers:
    """List who is in a group."""
    params = {"maxResults": page_size, "pageToken": page_token}
    found = api.get("directory", "groups/{group_key}/members", params, group_key=group_key)
    return {"members": [show_member(item) for item in objects(found, "members")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@writes(*GROUPS, title="Add member to group")
def add_group_member(
    api: Api, group_key: Key, email: Address, role: Literal["MEMBER", "MANAGER", "OWNER"] = "MEMBER"
) -> MemberMade:
    """Add somebody to a group."""
    body = {"email": email, "role": role}
    return {"member": show_member(api.post("directory", "groups/{group_key}/members", body, group_key=group_key))}


@reads(*AUDIT, title="List what happened")
def list_admin_activities(
    api: Api,
    application_name: Annotated[
        str, Field(pattern=r"^[a-z_]{2,40}$", description="Such as login, admin, drive, calendar, token.")
    ],
    user_key: Annotated[Key, Field(description="Whose; `all` for everybody.")] = "all",
    start_time: When | None = None,
    end_time: When | None = None,
    event_name: Annotated[str | None, Field(max_length=100, description="Such as login_failure.")] = None,
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100,
    page_token: PageToken = None,
) -> Activities:
    """List what users and administrators did in a service of Google's."""
    params = {
        "startTime": instant(start_time) if start_time else None,
        "endTime": instant(end_time) if end_time else None,
        "eventName": event_name,
        "maxResults": page_size,
        "pageToken": page_token,
    }
    path = "activity/users/{user_key}/applications/{application}"
    found = api.get("reports", path, params, user_key=user_key, application=application_name)
    return {"activities": [show_activity(item) for item in objects(found, "items")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


# --- parts of them ---


def whose(domain: str | None) -> dict[str, str]:
    """Of one domain, or of all that the administrator has."""
    return {"domain": domain} if domain else {"customer": "my_customer"}


def show_user(item: dict[str, Any]) -> dict[str, Any]:
    """A user."""
    facts = {
        "name": part(item, "name").get("fullName"),
        "admin": item.get("isAdmin"),
        "suspended": item.get("suspended"),
        "org_unit": item.get("orgUnitPath"),
        "last_login": item.get("lastLoginTime"),
        "created": item.get("creationTime"),
        "aliases": item.get("aliases"),
    }
    return {"id": str(item.get("id", "")), "email": str(item.get("primaryEmail", ""))} | compact(facts)


def show_group(item: dict[str, Any]) -> dict[str, Any]:
    """A group."""
    count = item.get("directMembersCount")
    facts = {
        "name": item.get("name"),
        "description": item.get("description"),
        "members": int(count) if str(count).isdigit() else None,
    }
    return {"id": str(item.get("id", "")), "email": str(item.get("email", ""))} | compact(facts)


def show_member(item: dict[str, Any]) -> dict[str, Any]:
    """Somebody in a group."""
    return compact({name: item.get(name) for name in ("id", "email", "role", "type")})


def show_activity(item: dict[str, Any]) -> dict[str, Any]:
    """Something that happened."""
    events = [compact({name: event.get(name) for name in ("type", "name", "parameters")}) for event in objects(item, "events")]
    facts = {
        "time": part(item, "id").get("time"),
        "actor": part(item, "actor").get("email"),
        "ip_address": item.get("ipAddress"),
    }
    return {"events": events} | compact(facts)


TOOLS = (
    list_users,
    get_user,
    create_user,
    update_user,
    list_groups,
    list_group_members,
    add_group_member,
    list_admin_activities,
)

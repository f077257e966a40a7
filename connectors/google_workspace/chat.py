"""Chat tools: spaces, who is in them, messages. Only for accounts of a Google Workspace organisation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Done, Page, PageToken, reads, writes
from fitting import Answer, compact

SPACES_READ, SPACES = ("chat.spaces.readonly", "chat.spaces"), ("chat.spaces",)
MEMBERS_READ, MEMBERS = ("chat.memberships.readonly", "chat.memberships"), ("chat.memberships",)
MESSAGES_READ, MESSAGES = ("chat.messages.readonly", "chat.messages"), ("chat.messages",)
KINDS = {"room": 'spaceType = "SPACE"', "dm": 'spaceType = "DIRECT_MESSAGE"', "group": 'spaceType = "GROUP_CHAT"'}

SpaceId = Annotated[str, Field(pattern=r"^(spaces/)?[A-Za-z0-9_-]{1,100}$", description="Such as spaces/AAAA.")]
MessageName = Annotated[
    str, Field(pattern=r"^spaces/[A-Za-z0-9_-]{1,100}/messages/[A-Za-z0-9_.-]{1,200}$", description="name of get_messages.")
]
MemberName = Annotated[
    str,
    Field(
        pattern=r"^(spaces/[A-Za-z0-9_-]{1,100}/members/|users/)?[A-Za-z0-9_.@+-]{1,200}$",
        description="users/123, or an address.",
    ),
]
Count = Annotated[int, Field(ge=1, le=1000)]
Text = Annotated[str, Field(min_length=1, max_length=16_000)]


class Space(TypedDict):
    """A space, a group chat or a direct message."""

    name: str
    display_name: NotRequired[str]
    type: NotRequired[str]
    external_users: NotRequired[bool]
    url: NotRequired[str]


class Spaces(Page):
    """The spaces that this account is in."""

    spaces: list[Space]


class SpaceMade(Answer):
    """The space."""

    space: Space


class Member(TypedDict):
    """Somebody in a space."""

    name: str
    user: NotRequired[str]
    display_name: NotRequired[str]
    role: NotRequired[str]
    state: NotRequired[str]


class Members(Page):
    """All who are in a space."""

    members: list[Member]


class MemberMade(Answer):
    """Who is in the space now."""

    member: Member


class ChatMessage(TypedDict):
    """A message."""

    name: str
    text: str
    sender: NotRequired[str]
    created: NotRequired[str]
    thread: NotRequired[str]


class ChatMessages(Page):
    """Messages."""

    messages: list[ChatMessage]


class MessageMade(Answer):
    """The message."""

    message: ChatMessage


@reads(*SPACES_READ, title="List chat spaces")
def list_spaces(
    api: Api, page_size: Count = 100, space_type: Literal["all", "room", "dm", "group"] = "all", page_token: PageToken = None
) -> Spaces:
    """List the spaces, group chats and direct messages of this account in Google Chat."""
    found = api.get("chat", "spaces", {"pageSize": page_size, "filter": KINDS.get(space_type), "pageToken": page_token})
    return {"spaces": [show_space(item) for item in objects(found, "spaces")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@writes(*SPACES, title="Create chat space")
def create_space(
    api: Api,
    display_name: Annotated[str, Field(min_length=1, max_length=128)],
    space_type: Literal["SPACE", "GROUP_CHAT"] = "SPACE",
    external_user_allowed: bool = False,
) -> SpaceMade:
    """Create a space in Google Chat."""
    body = {"displayName": display_name, "spaceType": space_type, "externalUserAllowed": external_user_allowed}
    return {"space": show_space(api.post("chat", "spaces", body))}


@reads(*MEMBERS_READ, title="List members of a space")
def list_members(api: Api, space_id: SpaceId, page_size: Count = 100, page_token: PageToken = None) -> Members:
    """List who is in a space of Google Chat."""
    params = {"pageSize": page_size, "pageToken": page_token}
    found = api.get("chat", "spaces/{space_id}/members", params, space_id=last(space_id))
    return {"members": [show_member(item) for item in objects(found, "memberships")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@writes(*MEMBERS, title="Add member to space")
def add_member(api: Api, space_id: SpaceId, member_name: MemberName) -> MemberMade:
    """Add a person to a space of Google Chat."""
    body = {"member": {"name": f"users/{last(member_name)}", "type": "HUMAN"}}
    return {"member": show_member(api.post("chat", "spaces/{space_id}/members", body, space_id=last(space_id)))}


@writes(*MEMBERS, title="Remove member from space", destructive=True, idempotent=True)
def remove_member(api: Api, space_id: SpaceId, member_name: MemberName) -> Done:
    """Take a person out of a space of Google Chat."""
    path = "spaces/{space_id}/members/{member_id}"
    api.delete("chat", path, space_id=last(space_id), member_id=last(member_name))
    return {"done": f"{member_name} is no longer in {space_id}."}


@reads(*MESSAGES_READ, title="Read chat messages")
def get_messages(
    api: Api,
    space_id: SpaceId,
    page_size: Count = 50,
    page_token: PageToken = None,
    thread: Annotated[
        str | None, Field(pattern=r"^spaces/[A-Za-z0-9_-]+/threads/[A-Za-z0-9_-]+$", description="A message's thread.")
    ] = None,
    newest_first: bool = True,
) -> ChatMessages:
    """Read the messages of a space of Google Chat, or of one thread in it."""
    params = {
        "pageSize": page_size,
        "pageToken": page_token,
        "filter": f"thread.name = {thread}" if thread else None,
        "orderBy": f"createTime {'desc' if newest_first else 'asc'}",
    }
    found = api.get("chat", "spaces/{space_id}/messages", params, space_id=last(space_id))
    return {"messages": [show_message(item) for item in objects(found, "messages")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@writes(*MESSAGES, title="Send chat message")
def send_message(
    api: Api,
    space_id: SpaceId,
    message_text: Text,
    thread_key: Annotated[str | None, Field(max_length=1000, description="Messages with the same key are one thread.")] = None,
    thread: Annotated[str | None, Field(description="A message's thread, to reply in it.")] = None,
) -> MessageMade:
    """Send a message to a space of Google Chat, in a thread if one is named."""
    place = given(threadKey=thread_key, name=thread)
    body = given(text=message_text, thread=place or None)
    params = {"messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD" if place else None}
    return {"message": show_message(api.post("chat", "spaces/{space_id}/messages", body, params, space_id=last(space_id)))}


@writes(*MESSAGES, title="Change chat message", destructive=True, idempotent=True)
def update_message(api: Api, message_name: MessageName, message_text: Text) -> MessageMade:
    """Put another text into a message of this account in Google Chat."""
    _, space_id, _, message_id = message_name.split("/")
    path, params = "spaces/{space_id}/messages/{message_id}", {"updateMask": "text"}
    found = api.patch("chat", path, {"text": message_text}, params, space_id=space_id, message_id=message_id)
    return {"message": show_message(found)}


@writes(*MESSAGES, title="Delete chat message", destructive=True, idempotent=True)
def delete_message(api: Api, message_name: MessageName) -> Done:
    """Delete a message of this account in Google Chat."""
    _, space_id, _, message_id = message_name.split("/")
    api.delete("chat", "spaces/{space_id}/messages/{message_id}", space_id=space_id, message_id=message_id)
    return {"done": f"Deleted {message_name}."}


# --- parts of them ---


def last(name: str) -> str:
    """The id at the end of a name such as spaces/AAAA."""
    return name.rpartition("/")[2]


def show_space(item: dict[str, Any]) -> dict[str, Any]:
    """A space."""
    facts = {
        "display_name": item.get("displayName"),
        "type": item.get("spaceType"),
        "external_users": item.get("externalUserAllowed"),
        "url": item.get("spaceUri"),
    }
    return {"name": str(item.get("name", ""))} | compact(facts)


def show_member(item: dict[str, Any]) -> dict[str, Any]:
    """Somebody in a space."""
    person = part(item, "member")
    facts = {
        "user": person.get("name"),
        "display_name": person.get("displayName"),
        "role": item.get("role"),
        "state": item.get("state"),
    }
    return {"name": str(item.get("name", ""))} | compact(facts)


def show_message(item: dict[str, Any]) -> dict[str, Any]:
    """A message."""
    sender = part(item, "sender")
    facts = {
        "sender": sender.get("displayName") or sender.get("name"),
        "created": item.get("createTime"),
        "thread": part(item, "thread").get("name"),
    }
    return {"name": str(item.get("name", "")), "text": str(item.get("text", ""))} | compact(facts)


TOOLS = (
    list_spaces,
    create_space,
    list_members,
    add_member,
    remove_member,
    get_messages,
    send_message,
    update_message,
    delete_message,
)

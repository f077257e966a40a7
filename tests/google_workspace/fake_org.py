"""The fake's Chat and administration: what only an organisation has."""

from __future__ import annotations

from typing import Any

from google_workspace.fake import ALICE, FakeGoogle, Refusal, Sent, page, patch, serves, take

CHAT, DIRECTORY = "chat.spaces.", "directory."


# --- chat ---


def chat(fake: FakeGoogle) -> dict[str, Any]:
    """Chat's room: two spaces."""
    kept = fake.room("chat")
    kept.setdefault(
        "spaces",
        {
            name: {
                "name": f"spaces/{name}",
                "displayName": name.title(),
                "spaceType": kind,
                "spaceUri": "https://chat.google.com/x",
            }
            for name, kind in (("team", "SPACE"), ("bob", "DIRECT_MESSAGE"))
        },
    )
    kept.setdefault("members", {name: {} for name in kept["spaces"]})
    kept.setdefault("messages", {name: {} for name in kept["spaces"]})
    return kept


def add_member(fake: FakeGoogle, space: str, user: str) -> dict[str, Any]:
    """Somebody in a space."""
    made = {
        "name": f"spaces/{space}/members/{user}", "role": "ROLE_MEMBER", "state": "JOINED",
        "member": {"name": f"users/{user}", "displayName": user.title(), "type": "HUMAN"},
    }  # fmt: skip
    chat(fake)["members"][space][user] = made
    return made


def add_message(fake: FakeGoogle, space: str, text: str, thread: str = "") -> dict[str, Any]:
    """A message."""
    number = fake.new_id("msg")
    made = {
        "name": f"spaces/{space}/messages/{number}", "text": text, "sender": {"name": "users/1", "displayName": "Alice"},
        "createTime": f"2026-09-21T10:00:{len(chat(fake)['messages'][space]):02}Z",
        "thread": {"name": thread or f"spaces/{space}/threads/t{number}"},
    }  # fmt: skip
    chat(fake)["messages"][space][number] = made
    return made


@serves(CHAT + "list")
def list_spaces(fake: FakeGoogle, sent: Sent) -> Any:
    wanted = sent.one("filter").partition('"')[2].rstrip('"')
    found = [space for space in chat(fake)["spaces"].values() if wanted in ("", space["spaceType"])]
    return page(sent, found, "spaces", size="pageSize")


@serves(CHAT + "create")
def create_space(fake: FakeGoogle, sent: Sent) -> Any:
    name = fake.new_id("space")
    chat(fake)["spaces"][name] = {"name": f"spaces/{name}", **sent.body}
    chat(fake)["members"][name], chat(fake)["messages"][name] = {}, {}
    return chat(fake)["spaces"][name]


@serves(CHAT + "members.list")
def list_members(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(take(chat(fake)["members"], sent.ids["spacesId"]).values()), "memberships", size="pageSize")


@serves(CHAT + "members.create")
def create_member(fake: FakeGoogle, sent: Sent) -> Any:
    user = sent.body["member"]["name"].removeprefix("users/")
    if user in take(chat(fake)["members"], sent.ids["spacesId"]):
        raise Refusal(409, "ALREADY_EXISTS", "Member already exists.")
    return add_member(fake, sent.ids["spacesId"], user)


@serves(CHAT + "members.delete")
def delete_member(fake: FakeGoogle, sent: Sent) -> Any:
    members = take(chat(fake)["members"], sent.ids["spacesId"])
    take(members, sent.ids["membersId"])
    return members.pop(sent.ids["membersId"])


@serves(CHAT + "messages.list")
def list_messages(fake: FakeGoogle, sent: Sent) -> Any:
    wanted = sent.one("filter").removeprefix("thread.name = ")
    found = [
        item for item in take(chat(fake)["messages"], sent.ids["spacesId"]).values() if wanted in ("", item["thread"]["name"])
    ]
    found.sort(key=lambda item: item["createTime"], reverse=sent.one("orderBy").endswith("desc"))
    return page(sent, found, "messages", size="pageSize")


@serves(CHAT + "messages.create")
def create_message(fake: FakeGoogle, sent: Sent) -> Any:
    take(chat(fake)["spaces"], sent.ids["spacesId"])
    place = sent.body.get("thread", {})
    key = f"spaces/{sent.ids['spacesId']}/threads/{place['threadKey']}" if "threadKey" in place else ""
    return add_message(fake, sent.ids["spacesId"], sent.body["text"], place.get("name", key))


@serves(CHAT + "messages.patch", CHAT + "messages.update")
def patch_message(fake: FakeGoogle, sent: Sent) -> Any:
    return patch(take(take(chat(fake)["messages"], sent.ids["spacesId"]), sent.ids["messagesId"]), sent.body)


@serves(CHAT + "messages.delete")
def delete_message(fake: FakeGoogle, sent: Sent) -> Any:
    messages = take(chat(fake)["messages"], sent.ids["spacesId"])
    take(messages, sent.ids["messagesId"])
    del messages[sent.ids["messagesId"]]
    return {}


# --- administration ---


def org(fake: FakeGoogle) -> dict[str, Any]:
    """The organisation: two users, two groups."""
    kept = fake.room("org")
    kept.setdefault(
        "users",
        {
            email: {
                "id": str(number), "primaryEmail": email, "name": {"fullName": email.partition("@")[0].title()},
                "isAdmin": not number,
                "orgUnitPath": "/",
            }
            for number, email in enumerate((ALICE, "bob@example.com"))
        },
    )  # fmt: skip
    kept.setdefault(
        "groups",
        {
            email: {"id": email[0], "email": email, "name": email[:4], "directMembersCount": "2"}
            for email in ("team@example.com", "board@example.com")
        },
    )
    people = {email: {"email": email, "role": "MEMBER", "type": "USER"} for email in (ALICE, "bob@example.com")}
    kept.setdefault("members", {email: dict(people) for email in kept["groups"]})
    return kept


@serves(DIRECTORY + "users.list")
def list_users(fake: FakeGoogle, sent: Sent) -> Any:
    if bool(sent.one("domain")) == bool(sent.one("customer")):
        raise Refusal(400, "badRequest", "Bad Request")
    return page(sent, list(org(fake)["users"].values()), "users")


@serves(DIRECTORY + "users.get")
def get_user(fake: FakeGoogle, sent: Sent) -> Any:
    return take(org(fake)["users"], sent.ids["userKey"])


@serves(DIRECTORY + "users.insert")
def insert_user(fake: FakeGoogle, sent: Sent) -> Any:
    email = sent.body["primaryEmail"]
    if email in org(fake)["users"]:
        raise Refusal(409, "duplicate", "Entity already exists.")
    shown = {name: value for name, value in sent.body.items() if name != "password"}
    org(fake)["users"][email] = {"id": fake.new_id(""), **shown}
    return org(fake)["users"][email]


@serves(DIRECTORY + "users.patch")
def patch_user(fake: FakeGoogle, sent: Sent) -> Any:
    return patch(take(org(fake)["users"], sent.ids["userKey"]), sent.body)


@serves(DIRECTORY + "groups.list")
def list_groups(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(org(fake)["groups"].values()), "groups")


@serves(DIRECTORY + "members.list")
def list_group_members(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(take(org(fake)["members"], sent.ids["groupKey"]).values()), "members")


@serves(DIRECTORY + "members.insert")
def insert_group_member(fake: FakeGoogle, sent: Sent) -> Any:
    members = take(org(fake)["members"], sent.ids["groupKey"])
    if sent.body["email"] in members:
        raise Refusal(409, "duplicate", "Member already exists.")
    members[sent.body["email"]] = {"type": "USER", **sent.body}
    return members[sent.body["email"]]


@serves("reports.activities.list")
def list_activities(fake: FakeGoogle, sent: Sent) -> Any:
    events = [{"type": "login", "name": "login_success", "parameters": [{"name": "login_type", "value": "google_password"}]}]
    found = [
        {
            "id": {"time": f"2026-09-2{number}T10:00:00Z", "applicationName": sent.ids["applicationName"]},
            "actor": {"email": ALICE},
            "ipAddress": "192.0.2.1", "events": events,
        }
        for number in (0, 1)
    ]  # fmt: skip
    return page(sent, found, "items")

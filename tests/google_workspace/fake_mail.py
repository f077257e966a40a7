"""The fake's Gmail: messages, threads, labels, drafts, filters, settings."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from typing import Any

from google_workspace.fake import ALICE, NOW, FakeGoogle, Refusal, Sent, page, patch, serves, take

GMAIL = "gmail.users."
SYSTEM = ("INBOX", "UNREAD", "STARRED", "TRASH", "SENT", "DRAFT", "SPAM", "IMPORTANT")


def mail(fake: FakeGoogle) -> dict[str, Any]:
    """Gmail's room."""
    room = fake.room("gmail")
    for name in ("messages", "files", "drafts", "filters"):
        room.setdefault(name, {})
    room.setdefault("labels", {name: {"id": name, "name": name, "type": "system"} for name in SYSTEM})
    room.setdefault("vacation", {"enableAutoReply": False})
    return room


def add_mail(
    fake: FakeGoogle, sender: str, subject: str, text: str, *, html: str = "", labels: tuple[str, ...] = ("INBOX", "UNREAD"),
    thread: str = "", files: dict[str, bytes] | None = None, **headers: str,
) -> str:  # fmt: skip
    """A message that came; answers its id."""
    letter = EmailMessage()
    letter["From"], letter["Subject"] = sender, subject
    letter["Date"] = "Mon, 21 Sep 2026 09:00:00 +0000"
    for name, value in ({"To": ALICE} | headers).items():
        letter[name.replace("_", "-")] = value
    letter["Message-ID"] = f"<{len(mail(fake)['messages'])}@example.com>"
    letter.set_content(html or text, subtype="html" if html else "plain")
    for name, content in (files or {}).items():
        letter.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return keep(fake, bytes(letter), list(labels), thread)["id"]


def keep(fake: FakeGoogle, raw: bytes, labels: list[str], thread: str) -> dict[str, Any]:
    """Put a message away as Gmail has it."""
    message_id = fake.new_id("m")
    letter = message_from_bytes(raw, policy=default)
    kept = {
        "id": message_id, "threadId": thread or fake.new_id("t"), "labelIds": labels, "internalDate": str(NOW * 1000),
        "payload": make_part(fake, letter, ""), "snippet": "", "raw": base64.urlsafe_b64encode(raw).decode(),
    }  # fmt: skip
    body = letter.get_body(("plain", "html"))
    kept["snippet"] = str(body.get_content()).strip()[:40] if body else ""
    mail(fake)["messages"][message_id] = kept
    return kept


def make_part(fake: FakeGoogle, letter: Message, place: str) -> dict[str, Any]:
    """A part of a message, with those inside of it."""
    headers = [{"name": name, "value": str(value)} for name, value in letter.items()]
    made: dict[str, Any] = {
        "partId": place, "mimeType": letter.get_content_type(), "filename": letter.get_filename() or "", "headers": headers,
        "body": {"size": 0},
    }  # fmt: skip
    if letter.is_multipart():
        made["parts"] = [make_part(fake, inner, f"{place}{index}") for index, inner in enumerate(letter.iter_parts())]  # type: ignore[attr-defined]
        return made
    content = letter.get_payload(decode=True) or b""
    made["body"] = {"size": len(content)}
    if made["filename"]:
        file_id = fake.new_id("att")
        mail(fake)["files"][file_id] = content
        made["body"]["attachmentId"] = file_id
    else:
        made["body"]["data"] = base64.urlsafe_b64encode(content).decode()
    return made


def shape(message: dict[str, Any], sent: Sent) -> dict[str, Any]:
    """A message in the format that was asked for."""
    kind = sent.one("format", "full")
    shown = {name: value for name, value in message.items() if name != "raw" or kind == "raw"}
    if kind == "minimal":
        shown.pop("payload")
    if kind == "metadata":
        wanted = {name.lower() for name in sent.many("metadataHeaders")}
        headers = [item for item in message["payload"]["headers"] if not wanted or item["name"].lower() in wanted]
        shown["payload"] = {"mimeType": message["payload"]["mimeType"], "headers": headers}
    return shown


def header(message: dict[str, Any], name: str) -> str:
    """A header of a message."""
    return next((item["value"] for item in message["payload"]["headers"] if item["name"].lower() == name.lower()), "")


def matches(message: dict[str, Any], sent: Sent) -> bool:
    """Whether a search finds a message."""
    if not set(sent.many("labelIds")) <= set(message["labelIds"]):
        return False
    if {"TRASH", "SPAM"} & set(message["labelIds"]) and sent.one("includeSpamTrash") != "true":
        return False
    for word in sent.one("q").split():
        name, _, value = word.rpartition(":")
        if name == "is":
            found = value.upper() in message["labelIds"]
        elif name in ("from", "to", "subject"):
            found = value.lower() in header(message, name).lower()
        else:
            found = word.lower() in (header(message, "subject") + message["snippet"]).lower()
        if not found:
            return False
    return True


def reference(message: dict[str, Any]) -> dict[str, Any]:
    """A message as lists have it."""
    return {"id": message["id"], "threadId": message["threadId"]}


@serves(GMAIL + "getProfile")
def profile(fake: FakeGoogle, sent: Sent) -> Any:
    return {"emailAddress": ALICE, "messagesTotal": len(mail(fake)["messages"])}


@serves(GMAIL + "messages.list")
def list_messages(fake: FakeGoogle, sent: Sent) -> Any:
    found = [reference(item) for item in reversed(mail(fake)["messages"].values()) if matches(item, sent)]
    return page(sent, found, "messages") | {"resultSizeEstimate": len(found)}


@serves(GMAIL + "messages.get")
def get_message(fake: FakeGoogle, sent: Sent) -> Any:
    return shape(take(mail(fake)["messages"], sent.ids["id"]), sent)


@serves(GMAIL + "messages.attachments.get")
def get_file(fake: FakeGoogle, sent: Sent) -> Any:
    take(mail(fake)["messages"], sent.ids["messageId"])
    content = take(mail(fake)["files"], sent.ids["id"])
    return {"size": len(content), "data": base64.urlsafe_b64encode(content).decode()}


@serves(GMAIL + "threads.list")
def list_threads(fake: FakeGoogle, sent: Sent) -> Any:
    found = {item["threadId"]: item["snippet"] for item in mail(fake)["messages"].values() if matches(item, sent)}
    return page(sent, [{"id": name, "snippet": snippet} for name, snippet in found.items()], "threads")


@serves(GMAIL + "threads.get")
def get_thread(fake: FakeGoogle, sent: Sent) -> Any:
    found = [shape(item, sent) for item in in_thread(fake, sent)]
    return {"id": sent.ids["id"], "messages": found}


def in_thread(fake: FakeGoogle, sent: Sent) -> list[dict[str, Any]]:
    """The messages of a thread."""
    found = [item for item in mail(fake)["messages"].values() if item["threadId"] == sent.ids["id"]]
    if not found:
        raise Refusal(404, "notFound")
    return found


@serves(GMAIL + "threads.trash")
def trash_thread(fake: FakeGoogle, sent: Sent) -> Any:
    for item in in_thread(fake, sent):
        relabel(item, ["TRASH"], ["INBOX"])
    return {"id": sent.ids["id"]}


def relabel(message: dict[str, Any], add: list[str], remove: list[str]) -> None:
    """Change a message's labels."""
    message["labelIds"] = [label for label in dict.fromkeys([*message["labelIds"], *add]) if label not in remove]


@serves(GMAIL + "messages.batchModify")
def batch_modify(fake: FakeGoogle, sent: Sent) -> Any:
    for message_id in sent.body["ids"]:
        for label in [*sent.body.get("addLabelIds", []), *sent.body.get("removeLabelIds", [])]:
            if label not in mail(fake)["labels"]:
                raise Refusal(400, "invalidArgument", f"Invalid label: {label}")
        message = take(mail(fake)["messages"], message_id)
        relabel(message, sent.body.get("addLabelIds", []), sent.body.get("removeLabelIds", []))


@serves(GMAIL + "messages.trash", GMAIL + "messages.untrash")
def trash(fake: FakeGoogle, sent: Sent) -> Any:
    message = take(mail(fake)["messages"], sent.ids["id"])
    add, remove = (["TRASH"], ["INBOX"]) if sent.id.endswith(".trash") else ([], ["TRASH"])
    relabel(message, add, remove)
    return reference(message)


def read_raw(body: dict[str, Any]) -> bytes:
    """The message in a body. Raises Refusal if it is none."""
    raw = base64.urlsafe_b64decode(body["raw"])
    if not any(message_from_bytes(raw)[name] for name in ("To", "Cc", "Bcc")):
        raise Refusal(400, "invalidArgument", "Recipient address required")
    return raw


def is_in_thread(fake: FakeGoogle, body: dict[str, Any]) -> str:
    """The thread that a message says it belongs to."""
    thread = body.get("threadId", "")
    if thread and thread not in {item["threadId"] for item in mail(fake)["messages"].values()}:
        raise Refusal(404, "notFound", "Requested entity was not found.")
    return thread


@serves(GMAIL + "messages.send")
def send_message(fake: FakeGoogle, sent: Sent) -> Any:
    message = keep(fake, read_raw(sent.body), ["SENT"], is_in_thread(fake, sent.body))
    return reference(message) | {"labelIds": message["labelIds"]}


@serves(GMAIL + "drafts.create")
def create_draft(fake: FakeGoogle, sent: Sent) -> Any:
    body = sent.body["message"]
    message = keep(fake, base64.urlsafe_b64decode(body["raw"]), ["DRAFT"], is_in_thread(fake, body))
    draft_id = fake.new_id("r")
    mail(fake)["drafts"][draft_id] = message["id"]
    return {"id": draft_id, "message": reference(message)}


@serves(GMAIL + "drafts.list")
def list_drafts(fake: FakeGoogle, sent: Sent) -> Any:
    messages = mail(fake)["messages"]
    found = [
        {"id": draft, "message": reference(messages[message])}
        for draft, message in mail(fake)["drafts"].items()
        if matches(messages[message], sent)
    ]
    return page(sent, found, "drafts")


@serves(GMAIL + "drafts.get")
def get_draft(fake: FakeGoogle, sent: Sent) -> Any:
    message = mail(fake)["messages"][take(mail(fake)["drafts"], sent.ids["id"])]
    return {"id": sent.ids["id"], "message": shape(message, sent)}


@serves(GMAIL + "drafts.update")
def update_draft(fake: FakeGoogle, sent: Sent) -> Any:
    take(mail(fake)["drafts"], sent.ids["id"])
    body = sent.body["message"]
    message = keep(fake, base64.urlsafe_b64decode(body["raw"]), ["DRAFT"], is_in_thread(fake, body))
    mail(fake)["drafts"][sent.ids["id"]] = message["id"]
    return {"id": sent.ids["id"], "message": reference(message)}


@serves(GMAIL + "drafts.send")
def send_draft(fake: FakeGoogle, sent: Sent) -> Any:
    message = mail(fake)["messages"][take(mail(fake)["drafts"], sent.body["id"])]
    del mail(fake)["drafts"][sent.body["id"]]
    relabel(message, ["SENT"], ["DRAFT"])
    return reference(message)


@serves(GMAIL + "drafts.delete")
def delete_draft(fake: FakeGoogle, sent: Sent) -> Any:
    take(mail(fake)["drafts"], sent.ids["id"])
    del mail(fake)["messages"][mail(fake)["drafts"].pop(sent.ids["id"])]


@serves(GMAIL + "labels.list")
def list_labels(fake: FakeGoogle, sent: Sent) -> Any:
    return {"labels": list(mail(fake)["labels"].values())}


@serves(GMAIL + "labels.create")
def create_label(fake: FakeGoogle, sent: Sent) -> Any:
    if sent.body["name"] in {label["name"] for label in mail(fake)["labels"].values()}:
        raise Refusal(409, "aborted", "Label name exists or conflicts")
    label = {"type": "user", **sent.body, "id": fake.new_id("Label_")}
    mail(fake)["labels"][label["id"]] = label
    return label


@serves(GMAIL + "labels.patch")
def patch_label(fake: FakeGoogle, sent: Sent) -> Any:
    return patch(take(mail(fake)["labels"], sent.ids["id"]), sent.body)


@serves(GMAIL + "labels.delete")
def delete_label(fake: FakeGoogle, sent: Sent) -> Any:
    take(mail(fake)["labels"], sent.ids["id"])
    del mail(fake)["labels"][sent.ids["id"]]


@serves(GMAIL + "settings.filters.list")
def list_filters(fake: FakeGoogle, sent: Sent) -> Any:
    return {"filter": list(mail(fake)["filters"].values())}


@serves(GMAIL + "settings.filters.create")
def create_filter(fake: FakeGoogle, sent: Sent) -> Any:
    made = {**sent.body, "id": fake.new_id("f")}
    mail(fake)["filters"][made["id"]] = made
    return made


@serves(GMAIL + "settings.filters.delete")
def delete_filter(fake: FakeGoogle, sent: Sent) -> Any:
    take(mail(fake)["filters"], sent.ids["id"])
    del mail(fake)["filters"][sent.ids["id"]]


@serves(GMAIL + "settings.sendAs.list")
def list_send_as(fake: FakeGoogle, sent: Sent) -> Any:
    return {"sendAs": [{"sendAsEmail": ALICE, "isDefault": True}, {"sendAsEmail": "sales@example.com"}]}


@serves(GMAIL + "settings.getVacation")
def get_vacation(fake: FakeGoogle, sent: Sent) -> Any:
    return mail(fake)["vacation"]


@serves(GMAIL + "settings.updateVacation")
def update_vacation(fake: FakeGoogle, sent: Sent) -> Any:
    mail(fake)["vacation"] = dict(sent.body)
    return sent.body

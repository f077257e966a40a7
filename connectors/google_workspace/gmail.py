"""Gmail tools that read: search, messages, threads, attachments, labels, drafts, filters."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, Request, given, objects, part
from connectors.google_workspace.declare import Offset, Page, PageToken, reads
from connectors.google_workspace.mail import Brief, Full, decode, headers_of, show_brief, show_full, walk
from errors import ToolError
from fitting import Answer, compact, slice_text

READ = ("gmail.readonly", "gmail.modify")
BRIEF_HEADERS = ["From", "To", "Cc", "Subject", "Date"]
MAX_BATCH = 25

MessageId = Annotated[str, Field(min_length=1, max_length=200, description="id of a message.")]
ThreadId = Annotated[str, Field(min_length=1, max_length=200, description="thread_id of a message.")]
LabelIds = Annotated[list[str], Field(max_length=50, description="Ids of labels, such as INBOX, UNREAD or Label_7.")]
AttachmentId = Annotated[str, Field(min_length=1, description="Of get_gmail_message_content, read just before.")]
Search = Annotated[str, Field(max_length=2000, description="As in Gmail's search box: from:ann is:unread newer_than:7d …")]
Few = Annotated[int, Field(ge=1, le=50)]


class Messages(Page):
    """Messages found, the newest first."""

    messages: list[Brief]
    estimate: NotRequired[int]


class Unread(TypedDict):
    """A message that could not be read."""

    id: str
    error: str


class Batch(Answer):
    """Several messages; `failed` has those that could not be read."""

    messages: list[Full]
    failed: NotRequired[list[Unread]]


class File(Answer):
    """What is in an attachment: text if it is text, else base64."""

    size: int
    filename: NotRequired[str]
    mime_type: NotRequired[str]
    text: NotRequired[str]
    base64: NotRequired[str]
    next_offset: NotRequired[int]
    total_chars: NotRequired[int]


class Message(Answer):
    """A message."""

    message: Full


class Thread(Answer):
    """A conversation, the oldest message first."""

    thread_id: str
    messages: list[Full]


class ThreadBrief(TypedDict):
    """A conversation in a few words."""

    thread_id: str
    snippet: NotRequired[str]


class Threads(Page):
    """Conversations found, the newest first."""

    threads: list[ThreadBrief]


class Label(TypedDict):
    """A label; `type` is system for those that Gmail has by itself."""

    id: str
    name: str
    type: NotRequired[str]
    unread: NotRequired[int]
    total: NotRequired[int]


class Labels(Answer):
    """All labels."""

    labels: list[Label]


class Draft(TypedDict):
    """A draft."""

    draft_id: str
    message: Brief


class Drafts(Page):
    """Drafts, the newest first."""

    drafts: list[Draft]


class Filter(TypedDict):
    """A filter: which mail, and what is done with it."""

    id: str
    criteria: dict[str, Any]
    action: dict[str, Any]


class Filters(Answer):
    """All filters."""

    filters: list[Filter]


class Aliases(Answer):
    """The addresses that this account can send from."""

    addresses: list[str]
    default: NotRequired[str]


class Vacation(Answer):
    """The automatic reply."""

    enabled: bool
    subject: NotRequired[str]
    message: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    contacts_only: NotRequired[bool]
    domain_only: NotRequired[bool]


@reads(*READ, title="Search mail", core=True)
def search_gmail_messages(
    api: Api,
    query: Search,
    page_size: Few = 10,
    page_token: PageToken = None,
    label_ids: LabelIds | None = None,
    include_spam_trash: bool = False,
) -> Messages:
    """Search mail in Gmail. Answers sender, subject, date and a snippet of each; get_gmail_message_content has the text."""
    asked = {"q": query, "maxResults": page_size, "pageToken": page_token, "labelIds": label_ids}
    found = api.get("gmail", "messages", asked | {"includeSpamTrash": include_spam_trash or None})
    params = {"format": "metadata", "metadataHeaders": BRIEF_HEADERS}
    ids = [str(item.get("id")) for item in objects(found, "messages")]
    messages = api.get_present(Request("GET", "gmail", "messages/{message_id}", {"message_id": id_}, params) for id_ in ids)
    return {"messages": [show_brief(message) for message in messages]} | compact(
        {"next_page_token": found.get("nextPageToken"), "estimate": found.get("resultSizeEstimate")}
    )


@reads(*READ, title="Read mail", core=True)
def get_gmail_message_content(api: Api, message_id: MessageId, offset: Offset = 0) -> Message:
    """Read a mail: its headers, its text, and what is attached."""
    shown = show_full(get_message(api, message_id))
    return {"message": shown | slice_text(shown.get("text", ""), offset, api.char_limit)}


@reads(*READ, title="Read several mails", core=True)
def get_gmail_messages_content_batch(
    api: Api,
    message_ids: Annotated[list[MessageId], Field(min_length=1, max_length=MAX_BATCH)],
    format: Literal["full", "metadata"] = "full",
) -> Batch:
    """Read up to 25 mails at once; `metadata` leaves out the text."""
    params: dict[str, Any] = {"format": format} | ({"metadataHeaders": BRIEF_HEADERS} if format == "metadata" else {})
    requests = [Request("GET", "gmail", "messages/{message_id}", {"message_id": id_}, params) for id_ in message_ids]
    answers = api.send_all(requests, what="messages")
    pairs = list(zip(message_ids, answers, strict=True))
    if all(isinstance(answer, ToolError) for _, answer in pairs):
        raise pairs[0][1]  # type: ignore[misc]
    failed = [{"id": id_, "error": str(answer)} for id_, answer in pairs if isinstance(answer, ToolError)]
    return {"messages": [show_full(answer) for _, answer in pairs if isinstance(answer, dict)]} | compact({"failed": failed})


@reads(*READ, title="Read attachment", core=True)
def get_gmail_attachment_content(api: Api, message_id: MessageId, attachment_id: AttachmentId, offset: Offset = 0) -> File:
    """Read an attachment of a mail: text as text, anything else as base64, if it is short enough."""
    file, content = get_attachment(api, message_id, attachment_id)
    facts = compact({"filename": file.get("filename"), "mime_type": file.get("mimeType")})
    if (text := as_text(content)) is not None:
        return {"size": len(content), **slice_text(text, offset, api.char_limit), **facts}
    if len(content) * 4 // 3 > api.char_limit - 500:
        raise ToolError(
            f"The attachment has {len(content)} bytes that are no text, which is longer than answers of this connection may be. "
            "save_gmail_attachment_to_drive can put it on Drive, and get_drive_file_content may read it there."
        )
    return {"size": len(content), "base64": base64.b64encode(content).decode(), **facts}


@reads(*READ, title="Read conversation")
def get_gmail_thread_content(api: Api, thread_id: ThreadId) -> Thread:
    """Read all mails of a conversation."""
    found = api.get("gmail", "threads/{thread_id}", {"format": "full"}, thread_id=thread_id)
    return {"thread_id": thread_id, "messages": [show_full(message) for message in objects(found, "messages")]}


@reads(*READ, title="Search conversations")
def search_gmail_threads(api: Api, query: Search, page_size: Few = 10, page_token: PageToken = None) -> Threads:
    """Search conversations in Gmail."""
    found = api.get("gmail", "threads", {"q": query, "maxResults": page_size, "pageToken": page_token})
    threads = [
        {"thread_id": str(item.get("id"))} | compact({"snippet": item.get("snippet")}) for item in objects(found, "threads")
    ]
    return {"threads": threads} | compact({"next_page_token": found.get("nextPageToken")})


@reads(*READ, title="List labels")
def list_gmail_labels(api: Api) -> Labels:
    """List all labels of mail with their ids."""
    return {"labels": [show_label(item) for item in objects(api.get("gmail", "labels"), "labels")]}


@reads(*READ, title="List drafts")
def list_gmail_drafts(api: Api, query: Search | None = None, page_size: Few = 10, page_token: PageToken = None) -> Drafts:
    """List drafts of mail with their subjects."""
    found = api.get("gmail", "drafts", {"q": query, "maxResults": page_size, "pageToken": page_token})
    ids = [str(item.get("id")) for item in objects(found, "drafts")]
    params = {"format": "metadata"}
    drafts = api.get_present(Request("GET", "gmail", "drafts/{draft_id}", {"draft_id": id_}, params) for id_ in ids)
    shown = [{"draft_id": str(item.get("id")), "message": show_brief(part(item, "message"))} for item in drafts]
    return {"drafts": shown} | compact({"next_page_token": found.get("nextPageToken")})


@reads(*READ, "gmail.settings.basic", title="List mail filters")
def list_gmail_filters(api: Api) -> Filters:
    """List the filters that sort incoming mail."""
    return {"filters": [show_filter(item) for item in objects(api.get("gmail", "settings/filters"), "filter")]}


@reads(*READ, "gmail.settings.basic", title="List send-as addresses")
def list_gmail_send_as(api: Api) -> Aliases:
    """List the addresses that mail can be sent from."""
    found = objects(api.get("gmail", "settings/sendAs"), "sendAs")
    default = next((item.get("sendAsEmail") for item in found if item.get("isDefault")), None)
    return {"addresses": [str(item.get("sendAsEmail")) for item in found]} | compact({"default": default})


@reads(*READ, "gmail.settings.basic", title="Read automatic reply")
def get_gmail_vacation_reply(api: Api) -> Vacation:
    """Read whether mail is answered automatically, and how."""
    return show_vacation(api.get("gmail", "settings/vacation"))


# --- what others need too ---


def get_message(api: Api, message_id: str) -> dict[str, Any]:
    """A message, whole."""
    return api.get("gmail", "messages/{message_id}", {"format": "full"}, message_id=message_id)


def get_attachment(api: Api, message_id: str, attachment_id: str) -> tuple[dict[str, Any], bytes]:
    """A message's part of this attachment, as far as it can be told, and the content."""
    found = api.get(
        "gmail", "messages/{message_id}/attachments/{attachment_id}", message_id=message_id, attachment_id=attachment_id
    )
    content = decode(found.get("data"))
    files = [item for item in walk(part(get_message(api, message_id), "payload")) if item.get("filename")]
    same = [item for item in files if part(item, "body").get("attachmentId") == attachment_id]
    alike = [item for item in files if part(item, "body").get("size") == len(content)]  # ids change with each reading
    return next(iter([*same, *alike]), {}), content


def as_text(content: bytes) -> str | None:
    """The text of bytes that are UTF-8 text; None for others."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    printable = text
    for letter in "\r\n\t\f":
        printable = printable.replace(letter, "")
    return text if printable.isprintable() else None


def show_label(item: dict[str, Any]) -> dict[str, Any]:
    """A label."""
    facts = {"type": item.get("type"), "unread": item.get("messagesUnread"), "total": item.get("messagesTotal")}
    return {"id": str(item.get("id", "")), "name": str(item.get("name", ""))} | compact(facts)


def show_filter(item: dict[str, Any]) -> dict[str, Any]:
    """A filter."""
    return {"id": str(item.get("id", "")), "criteria": part(item, "criteria"), "action": part(item, "action")}


def show_vacation(item: dict[str, Any]) -> dict[str, Any]:
    """The automatic reply; its times are epoch milliseconds."""
    facts = given(
        subject=item.get("responseSubject"),
        message=item.get("responseBodyPlainText") or item.get("responseBodyHtml"),
        start=int(item["startTime"]) if item.get("startTime") else None,
        end=int(item["endTime"]) if item.get("endTime") else None,
        contacts_only=item.get("restrictToContacts"),
        domain_only=item.get("restrictToDomain"),
    )
    return {"enabled": bool(item.get("enableAutoReply"))} | facts


def subject_of(message: dict[str, Any]) -> str:
    """A message's subject."""
    return headers_of(message).get("subject", "")


TOOLS = (
    search_gmail_messages,
    get_gmail_message_content,
    get_gmail_messages_content_batch,
    get_gmail_attachment_content,
    get_gmail_thread_content,
    search_gmail_threads,
    list_gmail_labels,
    list_gmail_drafts,
    list_gmail_filters,
    list_gmail_send_as,
    get_gmail_vacation_reply,
)

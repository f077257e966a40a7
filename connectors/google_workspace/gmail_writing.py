"""Gmail tools that write mail: send, draft, reply, forward."""

from __future__ import annotations

import re
from typing import Annotated, Any, NotRequired

from pydantic import Field

from connectors.google_workspace.api import Api, Request, given, objects, part
from connectors.google_workspace.declare import Done, writes
from connectors.google_workspace.gmail import MessageId, ThreadId, get_message, subject_of
from connectors.google_workspace.mail import (
    Address,
    Addresses,
    FileToSend,
    addresses_in,
    bare,
    build,
    headers_of,
    prefixed,
    text_of,
    walk,
)
from errors import ToolError
from fitting import Answer, compact

WRITE = ("gmail.modify",)
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
SUBJECT_MAX = 900

Subject = Annotated[str, Field(max_length=SUBJECT_MAX)]
Body = Annotated[str, Field(max_length=500_000, description="Plain text.")]
Html = Annotated[str | None, Field(max_length=500_000, description="The same as HTML, if it shall look better.")]
From = Annotated[Address | None, Field(description="One of list_gmail_send_as, if not the usual one.")]
Files = Annotated[list[FileToSend], Field(max_length=20)]
DraftId = Annotated[str, Field(min_length=1, max_length=200, description="Of list_gmail_drafts.")]


class Sent(Answer):
    """A message that is on its way."""

    message_id: str
    thread_id: NotRequired[str]


class Mailed(Sent):
    """A message that is on its way, or a draft of it, and whom it goes to: a reply goes where its sender wants to have it."""

    draft_id: NotRequired[str]
    to: NotRequired[list[str]]
    cc: NotRequired[list[str]]


class Drafted(Answer):
    """A draft that was saved. Its person can change and send it in Gmail, too."""

    draft_id: str
    message_id: NotRequired[str]
    thread_id: NotRequired[str]


@writes(*WRITE, title="Send mail", core=True)
def send_gmail_message(
    api: Api,
    to: Addresses,
    subject: Subject,
    body: Body,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    html_body: Html = None,
    from_email: From = None,
    attachments: Files | None = None,
    thread_id: ThreadId | None = None,
) -> Sent:
    """Send a mail. It cannot be taken back; draft_gmail_message lets its person look at it first."""
    if not to and not cc and not bcc:
        raise ToolError("Name somebody to send it to.")
    raw = build(
        subject=subject, body=body, to=to, cc=cc or (), bcc=bcc or (), html_body=html_body, from_email=from_email,
        attachments=attachments or (), headers=last_of(api, thread_id),
    )  # fmt: skip
    return show_sent(api.post("gmail", "messages/send", given(raw=raw, threadId=thread_id)))


@writes(*WRITE, title="Draft mail", core=True)
def draft_gmail_message(
    api: Api,
    subject: Subject,
    body: Body,
    to: Addresses | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    html_body: Html = None,
    from_email: From = None,
    attachments: Files | None = None,
    thread_id: ThreadId | None = None,
) -> Drafted:
    """Save a draft of a mail, for its person to look at and send."""
    raw = build(
        subject=subject, body=body, to=to or (), cc=cc or (), bcc=bcc or (), html_body=html_body, from_email=from_email,
        attachments=attachments or (), headers=last_of(api, thread_id),
    )  # fmt: skip
    return show_draft(api.post("gmail", "drafts", {"message": given(raw=raw, threadId=thread_id)}))


@writes(*WRITE, title="Change draft", destructive=True, idempotent=True)
def update_gmail_draft(
    api: Api,
    draft_id: DraftId,
    subject: Subject,
    body: Body,
    to: Addresses | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    html_body: Html = None,
    attachments: Files | None = None,
) -> Drafted:
    """Put another mail in the place of a draft's; it stays in its conversation."""
    old = api.get("gmail", "drafts/{draft_id}", {"format": "minimal"}, draft_id=draft_id)
    thread_id = part(old, "message").get("threadId")
    raw = build(
        subject=subject, body=body, to=to or (), cc=cc or (), bcc=bcc or (), html_body=html_body,
        attachments=attachments or (), headers=last_of(api, thread_id),
    )  # fmt: skip
    message = given(raw=raw, threadId=thread_id)
    return show_draft(api.send(Request("PUT", "gmail", "drafts/{draft_id}", {"draft_id": draft_id}, json={"message": message})))


@writes(*WRITE, title="Send draft")
def send_gmail_draft(api: Api, draft_id: DraftId) -> Sent:
    """Send a draft as it is."""
    return show_sent(api.post("gmail", "drafts/send", {"id": draft_id}))


@writes(*WRITE, title="Delete draft", destructive=True, idempotent=True)
def delete_gmail_draft(api: Api, draft_id: DraftId) -> Done:
    """Delete a draft for good."""
    api.delete("gmail", "drafts/{draft_id}", draft_id=draft_id)
    return {"done": f"Deleted draft {draft_id}."}


@writes(*WRITE, title="Reply to mail")
def reply_gmail_message(
    api: Api,
    message_id: MessageId,
    body: Body,
    reply_all: bool = False,
    html_body: Html = None,
    quote_original: Annotated[bool, Field(description="With the old text below.")] = True,
    attachments: Files | None = None,
    as_draft: Annotated[bool, Field(description="True: save it as a draft, and send nothing.")] = False,
) -> Mailed:
    """Reply to a mail, in its conversation: to its sender, or to everybody."""
    original = get_message(api, message_id)
    headers = headers_of(original)
    to, cc = find_recipients(api, original, reply_all)
    if not to:
        raise ToolError("The message names nobody to reply to.")
    if quote_original:
        body = f"{body}\n\nOn {headers.get('date', 'that day')}, {headers.get('from', 'somebody')} wrote:\n{quoted(original)}"
    raw = build(
        subject=prefixed(subject_of(original)[:SUBJECT_MAX], "Re:"), body=body, to=to, cc=cc, html_body=html_body,
        attachments=attachments or (), headers=thread_headers(headers),
    )  # fmt: skip
    return finish(api, given(raw=raw, threadId=original.get("threadId")), as_draft) | compact({"to": to, "cc": cc})


@writes(*WRITE, title="Forward mail")
def forward_gmail_message(
    api: Api,
    message_id: MessageId,
    to: Annotated[Addresses, Field(min_length=1)],
    body: Body = "",
    cc: Addresses | None = None,
    with_attachments: bool = True,
    as_draft: Annotated[bool, Field(description="True: save it as a draft, and send nothing.")] = False,
) -> Mailed:
    """Forward a mail with its text and attachments."""
    original = get_message(api, message_id)
    headers = headers_of(original)
    named = [f"{name}: {headers[name.lower()]}" for name in ("From", "Date", "Subject", "To", "Cc") if name.lower() in headers]
    lines = [body, "", "---------- Forwarded message ----------", *named, "", text_of(part(original, "payload"))]
    files = [
        {"filename": item["filename"], "mime_type": item.get("mimeType") or "application/octet-stream", "base64": data}
        for item in walk(part(original, "payload"))
        if with_attachments and item.get("filename") and (data := attachment_data(api, message_id, item))
    ]
    subject = prefixed(subject_of(original)[:SUBJECT_MAX], "Fwd:")
    raw = build(subject=subject, body="\n".join(lines), to=to, cc=cc or (), attachments=files)
    return finish(api, {"raw": raw}, as_draft) | compact({"to": to, "cc": cc})


# --- parts of them ---


def finish(api: Api, message: dict[str, Any], as_draft: bool) -> dict[str, Any]:
    """Send a message, or save it as a draft."""
    if as_draft:
        return show_draft(api.post("gmail", "drafts", {"message": message}))
    return show_sent(api.post("gmail", "messages/send", message))


def find_recipients(api: Api, original: dict[str, Any], reply_all: bool) -> tuple[list[str], list[str]]:
    """Who gets a reply, and who a copy: of a message that this account wrote, those who got it."""
    headers = headers_of(original)
    is_own = "SENT" in (original.get("labelIds") or []) and bool(headers.get("to"))
    to = addresses_in(headers["to"] if is_own else headers.get("reply-to") or headers.get("from", ""))
    if not reply_all:
        return to, []
    me = str(api.get("gmail", "profile").get("emailAddress", "")).casefold()
    if {bare(address) for address in to} == {me}:
        to = addresses_in(headers.get("to", ""))
    known = {me, *map(bare, to)}
    others = addresses_in(headers.get("to", ""), headers.get("cc", ""))
    return to, [address for address in others if bare(address) not in known]


def thread_headers(headers: dict[str, str]) -> dict[str, str]:
    """What makes a reply one (RFC 5322 §3.6.4): the ids of the last messages before it, and nothing else that may stand there."""
    message_id, before = (MESSAGE_ID.findall(headers.get(name, "")) for name in ("message-id", "references"))
    return {"In-Reply-To": "".join(message_id[:1]), "References": " ".join([*before[-20:], *message_id[:1]])}


def last_of(api: Api, thread_id: str | None) -> dict[str, str]:
    """What makes a mail a reply to the last one of a conversation: its id alone puts it there for this account only."""
    if not thread_id:
        return {}
    params = {"format": "metadata", "metadataHeaders": ["Message-ID", "References"]}
    messages = objects(api.get("gmail", "threads/{thread_id}", params, thread_id=thread_id), "messages")
    sent = [headers_of(message) for message in messages if "DRAFT" not in (message.get("labelIds") or [])]
    named = [headers for headers in sent if headers.get("message-id")]
    return thread_headers(named[-1]) if named else {}


def quoted(original: dict[str, Any]) -> str:
    """The text of a message, as it stands in a reply."""
    return "\n".join(f"> {line}" for line in text_of(part(original, "payload")).splitlines()[:500])


def attachment_data(api: Api, message_id: str, item: dict[str, Any]) -> str:
    """The base64 of a file at a message: in the message itself, or kept beside it."""
    body = part(item, "body")
    if body.get("data"):
        return str(body["data"])
    if not body.get("attachmentId"):
        return ""
    path = "messages/{message_id}/attachments/{attachment_id}"
    return str(api.get("gmail", path, message_id=message_id, attachment_id=body["attachmentId"]).get("data", ""))


def show_sent(answer: dict[str, Any]) -> dict[str, Any]:
    """A message that was sent."""
    return {"message_id": str(answer.get("id", ""))} | given(thread_id=answer.get("threadId"))


def show_draft(answer: dict[str, Any]) -> dict[str, Any]:
    """A draft that was saved."""
    message = part(answer, "message")
    return {"draft_id": str(answer.get("id", ""))} | given(message_id=message.get("id"), thread_id=message.get("threadId"))


TOOLS = (
    send_gmail_message,
    draft_gmail_message,
    update_gmail_draft,
    send_gmail_draft,
    delete_gmail_draft,
    reply_gmail_message,
    forward_gmail_message,
)

"""Gmail tools that put mail in order: labels, archive, trash, filters, the automatic reply."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from connectors.google_workspace.api import Api, Request, given
from connectors.google_workspace.declare import Done, writes
from connectors.google_workspace.gmail import (
    READ,
    AttachmentId,
    Label,
    LabelIds,
    MessageId,
    ThreadId,
    Vacation,
    get_attachment,
    show_filter,
    show_label,
    show_vacation,
)
from connectors.google_workspace.gmail import Filter as ShownFilter
from connectors.google_workspace.uploads import FileMade, upload
from errors import ToolError
from fitting import Answer

WRITE = ("gmail.modify",)
SETTINGS = ("gmail.settings.basic",)

MessageIds = Annotated[list[MessageId], Field(min_length=1, max_length=1000)]
LabelId = Annotated[str, Field(min_length=1, max_length=200, description="Of list_gmail_labels.")]
LabelName = Annotated[str, Field(min_length=1, max_length=225, description="“Work/Invoices” lies inside of “Work”.")]


class LabelMade(Answer):
    """The label."""

    label: Label


class FilterMade(Answer):
    """The new filter."""

    filter: ShownFilter


@writes(*WRITE, title="Change labels of mail", destructive=True, idempotent=True)
def modify_gmail_message_labels(
    api: Api, message_ids: MessageIds, add_label_ids: LabelIds | None = None, remove_label_ids: LabelIds | None = None
) -> Done:
    """Add labels to messages, and take labels off; up to 1000 messages at once."""
    if not add_label_ids and not remove_label_ids:
        raise ToolError("Name a label to add or to take off.")
    return change_labels(api, message_ids, add_label_ids or [], remove_label_ids or [], "Changed the labels of")


@writes(*WRITE, title="Archive mail", idempotent=True)
def archive_gmail_messages(api: Api, message_ids: MessageIds) -> Done:
    """Take messages out of the inbox; they stay under All Mail."""
    return change_labels(api, message_ids, [], ["INBOX"], "Archived")


@writes(*WRITE, title="Move mail to the inbox", idempotent=True)
def unarchive_gmail_messages(api: Api, message_ids: MessageIds) -> Done:
    """Put messages back into the inbox."""
    return change_labels(api, message_ids, ["INBOX"], [], "Put into the inbox:")


@writes(*WRITE, title="Mark mail read or unread", idempotent=True)
def mark_gmail_messages_read(api: Api, message_ids: MessageIds, read: bool = True) -> Done:
    """Mark messages as read, or as unread."""
    add, remove = ([], ["UNREAD"]) if read else (["UNREAD"], [])
    return change_labels(api, message_ids, add, remove, f"Marked as {'read' if read else 'unread'}:")


@writes(*WRITE, title="Star mail", idempotent=True)
def star_gmail_messages(api: Api, message_ids: MessageIds, starred: bool = True) -> Done:
    """Put a star on messages, or take it off."""
    add, remove = (["STARRED"], []) if starred else ([], ["STARRED"])
    return change_labels(api, message_ids, add, remove, "Starred" if starred else "Took the star off")


@writes(*WRITE, title="Move mail to the trash", destructive=True, idempotent=True)
def trash_gmail_message(api: Api, message_id: MessageId) -> Done:
    """Move a message to the trash, where Gmail keeps it for 30 days."""
    api.post("gmail", "messages/{message_id}/trash", message_id=message_id)
    return {"done": f"Message {message_id} is in the trash for 30 days."}


@writes(*WRITE, title="Take mail out of the trash", idempotent=True)
def untrash_gmail_message(api: Api, message_id: MessageId) -> Done:
    """Take a message out of the trash."""
    api.post("gmail", "messages/{message_id}/untrash", message_id=message_id)
    return {"done": f"Message {message_id} is out of the trash."}


@writes(*WRITE, title="Move conversation to the trash", destructive=True, idempotent=True)
def trash_gmail_thread(api: Api, thread_id: ThreadId) -> Done:
    """Move all messages of a conversation to the trash, where Gmail keeps them for 30 days."""
    api.post("gmail", "threads/{thread_id}/trash", thread_id=thread_id)
    return {"done": f"Conversation {thread_id} is in the trash for 30 days."}


@writes(*WRITE, title="Create label")
def create_gmail_label(api: Api, name: LabelName, show_in_label_list: bool = True) -> LabelMade:
    """Create a label for mail, inside of another one if its name says so."""
    return {"label": show_label(api.post("gmail", "labels", label_body(name, show_in_label_list)))}


@writes(*WRITE, title="Change label", destructive=True, idempotent=True)
def update_gmail_label(
    api: Api, label_id: LabelId, name: LabelName | None = None, show_in_label_list: bool | None = None
) -> LabelMade:
    """Rename a label, show or hide it."""
    body = label_body(name, show_in_label_list)
    return {"label": show_label(api.patch("gmail", "labels/{label_id}", body, label_id=label_id))}


@writes(*WRITE, title="Delete label", destructive=True, idempotent=True)
def delete_gmail_label(api: Api, label_id: LabelId) -> Done:
    """Delete a label; the messages that have it stay."""
    api.delete("gmail", "labels/{label_id}", label_id=label_id)
    return {"done": f"Deleted label {label_id}."}


@writes(*SETTINGS, title="Create mail filter")
def create_gmail_filter(
    api: Api,
    criteria: Annotated[
        dict[str, Any],
        Field(description="Which mail: from, to, subject, query, negatedQuery, hasAttachment, size, sizeComparison."),
    ],
    action: Annotated[dict[str, Any], Field(description="addLabelIds, removeLabelIds (INBOX: archive; UNREAD: read), forward.")],
) -> FilterMade:
    """Create a filter for mail that comes from now on."""
    return {"filter": show_filter(api.post("gmail", "settings/filters", {"criteria": criteria, "action": action}))}


@writes(*SETTINGS, title="Delete mail filter", destructive=True, idempotent=True)
def delete_gmail_filter(
    api: Api, filter_id: Annotated[str, Field(min_length=1, max_length=200, description="Of list_gmail_filters.")]
) -> Done:
    """Delete a mail filter; what it did stays done."""
    api.delete("gmail", "settings/filters/{filter_id}", filter_id=filter_id)
    return {"done": f"Deleted filter {filter_id}."}


@writes(*SETTINGS, title="Set automatic reply", destructive=True, idempotent=True)
def set_gmail_vacation_reply(
    api: Api,
    enabled: bool,
    subject: str | None = None,
    message: str | None = None,
    start: Annotated[int | None, Field(description="Epoch milliseconds.")] = None,
    end: Annotated[int | None, Field(description="Epoch milliseconds.")] = None,
    contacts_only: bool | None = None,
) -> Vacation:
    """Switch the automatic reply on or off, and say what it answers."""
    body = given(
        enableAutoReply=enabled,
        responseSubject=subject,
        responseBodyPlainText=message,
        startTime=str(start) if start else None,
        endTime=str(end) if end else None,
        restrictToContacts=contacts_only,
    )
    return show_vacation(api.send(Request("PUT", "gmail", "settings/vacation", json=body)))


@writes("drive", "drive.file", also=READ, title="Save attachment to Drive")
def save_gmail_attachment_to_drive(
    api: Api,
    message_id: MessageId,
    attachment_id: AttachmentId,
    folder_id: Annotated[str, Field(min_length=1, description="`root` is My Drive.")] = "root",
    file_name: Annotated[str | None, Field(description="If not the attachment's own.")] = None,
) -> FileMade:
    """Put an attachment of a message on Drive."""
    file, content = get_attachment(api, message_id, attachment_id)
    name = file_name or str(file.get("filename") or "attachment")
    return upload(api, name, content, str(file.get("mimeType") or "application/octet-stream"), folder_id)


def change_labels(api: Api, message_ids: list[str], add: list[str], remove: list[str], done: str) -> dict[str, Any]:
    """Change the labels of messages in one request."""
    body: dict[str, Any] = {"ids": message_ids}
    body |= {"addLabelIds": add} if add else {}
    body |= {"removeLabelIds": remove} if remove else {}
    api.post("gmail", "messages/batchModify", body)
    return {"done": f"{done} {len(message_ids)} messages."}


def label_body(name: str | None, is_shown: bool | None) -> dict[str, Any]:
    """A label as Gmail takes it."""
    shown = {None: None, True: "labelShow", False: "labelHide"}[is_shown]
    return given(name=name, labelListVisibility=shown)


TOOLS = (
    modify_gmail_message_labels,
    archive_gmail_messages,
    unarchive_gmail_messages,
    mark_gmail_messages_read,
    star_gmail_messages,
    trash_gmail_message,
    untrash_gmail_message,
    trash_gmail_thread,
    create_gmail_label,
    update_gmail_label,
    delete_gmail_label,
    create_gmail_filter,
    delete_gmail_filter,
    set_gmail_vacation_reply,
    save_gmail_attachment_to_drive,
)

"""Drive tools that write: create, change, copy, move, share, trash and delete files; folders, comments."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.google_workspace.api import Api, given
from connectors.google_workspace.declare import ADDRESS, Done, writes
from connectors.google_workspace.drive import (
    FOLDER,
    SHORTCUT,
    Comment,
    FileId,
    Permission,
    Reply,
    get_file,
    show_comment,
    show_permission,
    show_reply,
)
from connectors.google_workspace.uploads import FIELDS, MEDIA_TYPE, FileMade, send_content, show_file, upload
from errors import ToolError
from fitting import Answer

WRITE = ("drive", "drive.file")
GOOGLE_KINDS = {
    "document": "application/vnd.google-apps.document",
    "spreadsheet": "application/vnd.google-apps.spreadsheet",
    "presentation": "application/vnd.google-apps.presentation",
}

FileName = Annotated[str, Field(min_length=1, max_length=1000)]
FolderId = Annotated[str, Field(min_length=1, max_length=200, description="`root` is My Drive.")]
MimeType = Annotated[str, Field(description="Of the content.", pattern=f"^{MEDIA_TYPE}$")]
Base64 = Annotated[str | None, Field(description="The content, if it is not text.")]
PermissionId = Annotated[str, Field(min_length=1, description="Of get_drive_file_permissions.")]
Expiration = Annotated[str | None, Field(description="2026-09-20T10:00:00Z; for a person or group only.")]
Role = Literal["reader", "commenter", "writer", "fileOrganizer", "organizer"]


class Shared(Answer):
    """Who may see or change the file now."""

    permission: Permission


class CommentMade(Answer):
    """The comment."""

    comment: Comment


class ReplyMade(Answer):
    """The reply."""

    reply: Reply


@writes(*WRITE, title="Create file", core=True)
def create_drive_file(
    api: Api,
    file_name: FileName,
    content: str | None = None,
    folder_id: FolderId = "root",
    mime_type: MimeType = "text/plain",
    content_base64: Base64 = None,
    convert_to: Annotated[
        Literal["document", "spreadsheet", "presentation"] | None, Field(description="Make a document of Google's own of it.")
    ] = None,
) -> FileMade:
    """Create a file on Drive with some content: text, or bytes as base64."""
    return upload(api, file_name, read_content(content, content_base64), mime_type, folder_id, GOOGLE_KINDS.get(convert_to or ""))


@writes(*WRITE, title="Replace content of a file", destructive=True, idempotent=True)
def update_drive_file_content(
    api: Api,
    file_id: FileId,
    content: str | None = None,
    mime_type: MimeType = "text/plain",
    content_base64: Base64 = None,
) -> FileMade:
    """Put other content into a file; Drive keeps the old one as a version."""
    body = read_content(content, content_base64)
    return {"file": show_file(send_content(api, "PATCH", "files/{file_id}", {"file_id": file_id}, {}, body, mime_type))}


@writes(*WRITE, title="Create folder")
def create_drive_folder(api: Api, folder_name: FileName, parent_folder_id: FolderId = "root") -> FileMade:
    """Create a folder on Drive, inside of another one."""
    return change(api, "POST", "files", {"name": folder_name, "mimeType": FOLDER, "parents": [parent_folder_id]})


@writes(*WRITE, title="Create shortcut")
def create_drive_shortcut(
    api: Api, target_file_id: FileId, folder_id: FolderId = "root", name: FileName | None = None
) -> FileMade:
    """Create a shortcut to a file in another folder."""
    body = given(name=name, mimeType=SHORTCUT, parents=[folder_id], shortcutDetails={"targetId": target_file_id})
    return change(api, "POST", "files", body)


@writes(*WRITE, title="Rename or describe file", destructive=True, idempotent=True)
def update_drive_file(
    api: Api, file_id: FileId, name: FileName | None = None, description: str | None = None, starred: bool | None = None
) -> FileMade:
    """Give a file or folder another name or description, put a star on it or take it off."""
    body = given(name=name, description=description, starred=starred)
    if not body:
        raise ToolError("Name what shall change.")
    return change(api, "PATCH", "files/{file_id}", body, file_id=file_id)


@writes(*WRITE, title="Move file", idempotent=True)
def move_drive_file(api: Api, file_id: FileId, folder_id: FolderId) -> FileMade:
    """Move a file or folder into another folder."""
    if folder_id == "root":  # by its own id, so that a file that is there already is not taken out of it
        folder_id = str(get_file(api, "root", "id").get("id") or "root")
    old = get_file(api, file_id, "parents").get("parents") or []
    params = {"addParents": folder_id, "removeParents": ",".join(parent for parent in old if parent != folder_id) or None}
    return change(api, "PATCH", "files/{file_id}", {}, params, file_id=file_id)


@writes(*WRITE, title="Copy file")
def copy_drive_file(api: Api, file_id: FileId, name: FileName | None = None, folder_id: FolderId | None = None) -> FileMade:
    """Copy a file on Drive; a template's copy is a new document."""
    body = given(name=name, parents=[folder_id] if folder_id else None)
    return change(api, "POST", "files/{file_id}/copy", body, file_id=file_id)


@writes(*WRITE, title="Share file")
def share_drive_file(
    api: Api,
    file_id: FileId,
    role: Role = "reader",
    type: Annotated[
        Literal["user", "group", "domain", "anyone"], Field(description="anyone: everybody who has the link.")
    ] = "user",
    email: Annotated[str | None, Field(pattern=ADDRESS, description="Of the person or group.")] = None,
    domain: str | None = None,
    message: Annotated[str | None, Field(max_length=5000, description="Goes along with the mail that tells them.")] = None,
    send_notification: bool = True,
    expiration_time: Expiration = None,
) -> Shared:
    """Let a person, a group, a domain or everybody with the link see or change a file or folder."""
    wanted = {"user": email, "group": email, "domain": domain, "anyone": "all"}[type]
    if not wanted or (email and type not in ("user", "group")) or (domain and type != "domain"):
        raise ToolError("A person or group is named by `email`, a domain by `domain`, anyone by neither.")
    if message and not (type in ("user", "group") and send_notification):
        raise ToolError("A message goes along with the mail that tells a person or group: nobody gets one here.")
    body = given(role=role, type=type, emailAddress=email, domain=domain, expirationTime=expiration_time)
    params: dict[str, Any] = {"supportsAllDrives": True, "fields": PERMISSION}
    if type in ("user", "group"):
        params |= {"sendNotificationEmail": send_notification, "emailMessage": message}
    return {"permission": show_permission(api.post("drive", "files/{file_id}/permissions", body, params, file_id=file_id))}


@writes(*WRITE, title="Change what somebody may do with a file", destructive=True, idempotent=True)
def update_drive_permission(
    api: Api, file_id: FileId, permission_id: PermissionId, role: Role, expiration_time: Expiration = None
) -> Shared:
    """Change what somebody may do with a file who may see it already."""
    params = {"supportsAllDrives": True, "fields": PERMISSION}
    path, body = "files/{file_id}/permissions/{permission_id}", given(role=role, expirationTime=expiration_time)
    return {"permission": show_permission(api.patch("drive", path, body, params, file_id=file_id, permission_id=permission_id))}


@writes(*WRITE, title="Stop sharing file", destructive=True, idempotent=True)
def remove_drive_permission(api: Api, file_id: FileId, permission_id: PermissionId) -> Done:
    """Take a file away from somebody who could see it."""
    path = "files/{file_id}/permissions/{permission_id}"
    api.delete("drive", path, {"supportsAllDrives": True}, file_id=file_id, permission_id=permission_id)
    return {"done": f"Removed permission {permission_id} from file {file_id}."}


@writes(*WRITE, title="Move file to the trash", destructive=True, idempotent=True)
def trash_drive_file(api: Api, file_id: FileId) -> FileMade:
    """Move a file or folder to the trash, where Drive keeps it for 30 days."""
    return change(api, "PATCH", "files/{file_id}", {"trashed": True}, file_id=file_id)


@writes(*WRITE, title="Take file out of the trash", idempotent=True)
def untrash_drive_file(api: Api, file_id: FileId) -> FileMade:
    """Take a file or folder out of the trash."""
    return change(api, "PATCH", "files/{file_id}", {"trashed": False}, file_id=file_id)


@writes(*WRITE, title="Delete file for good", destructive=True, idempotent=True)
def delete_drive_file(api: Api, file_id: FileId) -> Done:
    """Delete a file, or a folder with all in it, for good. trash_drive_file can be taken back."""
    api.delete("drive", "files/{file_id}", {"supportsAllDrives": True}, file_id=file_id)
    return {"done": f"Deleted file {file_id} for good."}


@writes(*WRITE, title="Comment on file")
def create_drive_comment(
    api: Api,
    file_id: FileId,
    text: Annotated[str, Field(min_length=1, max_length=4000)],
    quoted_text: Annotated[str | None, Field(description="What of the file it is about.")] = None,
) -> CommentMade:
    """Comment on a document, sheet, presentation or other file."""
    body = given(content=text, quotedFileContent={"value": quoted_text} if quoted_text else None)
    params = {"fields": "id,content,createdTime,resolved,author(displayName),quotedFileContent(value)"}
    return {"comment": show_comment(api.post("drive", "files/{file_id}/comments", body, params, file_id=file_id))}


@writes(*WRITE, title="Reply to comment")
def reply_drive_comment(
    api: Api,
    file_id: FileId,
    comment_id: Annotated[str, Field(min_length=1, description="Of list_drive_comments.")],
    text: Annotated[str, Field(max_length=4000, description="May be left out to resolve only.")] = "",
    resolve: bool = False,
) -> ReplyMade:
    """Reply to a comment at a file on Drive, and resolve it if it is done."""
    if not text and not resolve:
        raise ToolError("A reply says something, or resolves the comment.")
    body = given(content=text or None, action="resolve" if resolve else None)
    params = {"fields": "id,content,createdTime,author(displayName)"}
    path = "files/{file_id}/comments/{comment_id}/replies"
    return {"reply": show_reply(api.post("drive", path, body, params, file_id=file_id, comment_id=comment_id))}


# --- parts of them ---

PERMISSION = "id,role,type,emailAddress,displayName,domain,expirationTime"


def change(
    api: Api, method: str, path: str, body: dict[str, Any], params: dict[str, Any] | None = None, **ids: str
) -> dict[str, Any]:
    """Send what shall be known of a file; answers the file as it is then."""
    send = {"POST": api.post, "PATCH": api.patch}[method]
    return {"file": show_file(send("drive", path, body, {"supportsAllDrives": True, "fields": FIELDS} | (params or {}), **ids))}


def read_content(text: str | None, data: str | None) -> bytes:
    """The content of a file: text, or what base64 stands for. Raises ToolError for both, and for what is not base64."""
    if text is not None and data is not None:
        raise ToolError("Give `content` or `content_base64`, not both.")
    try:
        return (text or "").encode() if data is None else base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ToolError("`content_base64` is not base64.") from None


TOOLS = (
    create_drive_file,
    update_drive_file_content,
    create_drive_folder,
    create_drive_shortcut,
    update_drive_file,
    move_drive_file,
    copy_drive_file,
    share_drive_file,
    update_drive_permission,
    remove_drive_permission,
    trash_drive_file,
    untrash_drive_file,
    delete_drive_file,
    create_drive_comment,
    reply_drive_comment,
)

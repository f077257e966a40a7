"""Putting content on Drive in one request (multipart, RFC 2387). Knows no tool."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, NotRequired

from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, Request
from errors import ToolError
from fitting import Answer, compact

MEDIA_TYPE = r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?"
MAX_BYTES = 25 * 1024 * 1024
FIELDS = "id,name,mimeType,size,createdTime,modifiedTime,webViewLink,parents,owners(emailAddress),shared,trashed,description"


class File(TypedDict):
    """A file or folder on Drive."""

    id: str
    name: str
    mime_type: NotRequired[str]
    size: NotRequired[int]
    created: NotRequired[str]
    modified: NotRequired[str]
    url: NotRequired[str]
    parents: NotRequired[list[str]]
    owners: NotRequired[list[str]]
    shared: NotRequired[bool]
    trashed: NotRequired[bool]
    description: NotRequired[str]


class FileMade(Answer):
    """The file as it is now."""

    file: File


def show_file(item: dict[str, Any]) -> dict[str, Any]:
    """A file or folder."""
    owners = item.get("owners") if isinstance(item.get("owners"), list) else []
    facts = {
        "mime_type": item.get("mimeType"),
        "size": int(item["size"]) if str(item.get("size", "")).isdigit() else None,
        "created": item.get("createdTime"),
        "modified": item.get("modifiedTime"),
        "url": item.get("webViewLink"),
        "parents": item.get("parents"),
        "owners": [owner["emailAddress"] for owner in owners if isinstance(owner, dict) and owner.get("emailAddress")],
        "shared": item.get("shared"),
        "trashed": item.get("trashed") or None,
        "description": item.get("description"),
    }
    return {"id": str(item.get("id", "")), "name": str(item.get("name", ""))} | compact(facts)


def upload(api: Api, name: str, content: bytes, mime_type: str, folder_id: str, target_type: str | None = None) -> dict[str, Any]:
    """Make a file with this content; `target_type` makes a document of Google's own kinds of it."""
    metadata = {"name": name, "parents": [folder_id], "mimeType": target_type or mime_type}
    return {"file": show_file(send_content(api, "POST", "files", {}, metadata, content, mime_type))}


def send_content(
    api: Api, method: str, path: str, ids: dict[str, str], metadata: dict[str, Any], content: bytes, mime_type: str
) -> dict[str, Any]:
    """Send what is known of a file together with its content."""
    if len(content) > MAX_BYTES:
        raise ToolError(f"The content is larger than {MAX_BYTES // 1024 // 1024} MB, which is more than can be sent at once.")
    if not re.fullmatch(MEDIA_TYPE, mime_type):  # that of an attachment is its sender's word
        mime_type = "application/octet-stream"
    boundary = "postern-" + sha256(content).hexdigest()[:32]
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(metadata)}\r\n"
    middle = f"--{boundary}\r\nContent-Type: {mime_type}\r\n\r\n"
    form = head.encode() + middle.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    params = {"uploadType": "multipart", "supportsAllDrives": True, "fields": FIELDS}
    return api.send(
        Request(method, "upload", path, ids, params, form=form, content_type=f"multipart/related; boundary={boundary}")
    )

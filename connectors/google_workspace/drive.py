"""Drive tools that read: search, list, what is in files, permissions, revisions, comments, shared drives."""

from __future__ import annotations

import base64
import io
import re
import zipfile
import zlib
from typing import Annotated, Any, Literal, NotRequired
from xml.etree import ElementTree

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, Request, objects, part
from connectors.google_workspace.declare import Offset, Page, PageSize, PageToken, reads
from connectors.google_workspace.gmail import as_text
from connectors.google_workspace.uploads import FIELDS, File, show_file
from errors import ToolError
from fitting import Answer, compact, slice_text

READ = ("drive.readonly", "drive", "drive.file")
GOOGLE = "application/vnd.google-apps."
FOLDER, SHORTCUT = GOOGLE + "folder", GOOGLE + "shortcut"
# what a document of Google's own is read as
TEXT_OF = {
    GOOGLE + "document": "text/plain",
    GOOGLE + "spreadsheet": "text/csv",
    GOOGLE + "presentation": "text/plain",
    GOOGLE + "script": "application/vnd.google-apps.script+json",
}
OFFICE = "application/vnd.openxmlformats-officedocument."
EXPORTS = {
    "pdf": "application/pdf",
    "docx": OFFICE + "wordprocessingml.document",
    "xlsx": OFFICE + "spreadsheetml.sheet",
    "pptx": OFFICE + "presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/x-vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "application/zip",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "png": "image/png",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
}
MAX_HOPS = 5
MAX_UNPACKED = 20 * 1024 * 1024
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all that Word knows; others unpack without a limit

FileId = Annotated[str, Field(min_length=1, max_length=200, description="id of a file or folder on Drive.")]
DriveId = Annotated[str | None, Field(max_length=200, description="Of a shared drive.")]
Corpora = Annotated[Literal["user", "domain", "drive", "allDrives"] | None, Field(description="Where to look.")]
OrderBy = Annotated[str | None, Field(max_length=200, description="Such as modifiedTime desc, or name.")]


class Files(Page):
    """Files and folders."""

    files: list[File]


class FileInfo(Answer):
    """What is known of a file."""

    file: File


class Content(Answer):
    """What is in a file; a long text goes on at next_offset."""

    file: File
    mime_type: str
    text: NotRequired[str]
    base64: NotRequired[str]
    next_offset: NotRequired[int]
    total_chars: NotRequired[int]


class Permission(TypedDict):
    """Who may do what with a file."""

    permission_id: str
    role: str
    type: str
    email: NotRequired[str]
    name: NotRequired[str]
    domain: NotRequired[str]
    expires: NotRequired[str]


class Permissions(Page):
    """Who may see or change a file."""

    file: File
    permissions: list[Permission]


class Revision(TypedDict):
    """An older state of a file."""

    revision_id: str
    modified: NotRequired[str]
    by: NotRequired[str]
    size: NotRequired[int]


class Revisions(Page):
    """The states of a file, the oldest first."""

    revisions: list[Revision]


class Reply(TypedDict):
    """A reply to a comment."""

    reply_id: str
    text: str
    by: NotRequired[str]
    at: NotRequired[str]


class Comment(TypedDict):
    """A comment at a file."""

    comment_id: str
    text: str
    by: NotRequired[str]
    at: NotRequired[str]
    quoted: NotRequired[str]
    resolved: NotRequired[bool]
    replies: NotRequired[list[Reply]]


class Comments(Page):
    """Comments at a file."""

    comments: list[Comment]


class SharedDrive(TypedDict):
    """A shared drive."""

    drive_id: str
    name: str


class SharedDrives(Page):
    """The shared drives that this account is in."""

    drives: list[SharedDrive]


@reads(*READ, title="Search Drive", core=True)
def search_drive_files(
    api: Api,
    query: Annotated[str, Field(min_length=1, max_length=2000, description="Words, or Drive's own: name contains 'plan' and …")],
    page_size: PageSize = 10,
    page_token: PageToken = None,
    drive_id: DriveId = None,
    include_items_from_all_drives: Annotated[bool, Field(description="Shared drives too.")] = True,
    corpora: Corpora = None,
    order_by: OrderBy = None,
) -> Files:
    """Search files on Drive by words in them, or by a query in Drive's own language. What is in the trash is left out."""
    words = query if is_drive_query(query) else f"fullText contains {literal(query)}"
    wanted = words if "trashed" in words else f"({words}) and trashed = false"
    return list_files(api, wanted, page_size, page_token, drive_id, include_items_from_all_drives, corpora, order_by)


@reads(*READ, title="List folder", core=True)
def list_drive_items(
    api: Api,
    folder_id: Annotated[str, Field(min_length=1, max_length=200, description="`root` is My Drive.")] = "root",
    page_size: PageSize = 100,
    page_token: PageToken = None,
    drive_id: DriveId = None,
    include_items_from_all_drives: Annotated[bool, Field(description="Shared drives too.")] = True,
    corpora: Corpora = None,
    order_by: OrderBy = None,
) -> Files:
    """List what is in a folder on Drive."""
    inside = drive_id if drive_id and folder_id == "root" else folder_id
    wanted = f"{literal(inside)} in parents and trashed = false"
    return list_files(api, wanted, page_size, page_token, drive_id, include_items_from_all_drives, corpora, order_by)


@reads(*READ, title="Read file", core=True)
def get_drive_file_content(api: Api, file_id: FileId, offset: Offset = 0) -> Content:
    """Read a file on Drive: documents (Word too) as text, sheets as CSV, text as it is, other kinds as base64 if short."""
    file = find_real_file(api, file_id)
    kind = str(file.get("mimeType", ""))
    if kind.startswith(GOOGLE) and kind not in TEXT_OF:
        raise ToolError(f"A {kind.removeprefix(GOOGLE)} has no text that could be read.")
    target = TEXT_OF.get(kind, kind)
    content = export(api, str(file["id"]), target) if kind in TEXT_OF else download(api, str(file["id"]))
    text = text_of_word(content) if kind == EXPORTS["docx"] else as_text(content)
    shown: dict[str, Any] = {"file": show_file(file), "mime_type": target}
    return shown | (slice_text(text, offset, api.char_limit) if text is not None else as_base64(api, content))


@reads(*READ, title="Export file")
def export_drive_file(
    api: Api,
    file_id: FileId,
    format: Annotated[str, Field(description=f"One of {', '.join(EXPORTS)}, as the kind of document allows.")] = "pdf",
    offset: Offset = 0,
) -> Content:
    """Export a document, sheet or presentation of Google's in another format: text as text, other formats as base64 if short."""
    if format not in EXPORTS:
        raise ToolError(f"“{format[:20]}” is none of {', '.join(EXPORTS)}.")
    file = find_real_file(api, file_id)
    content = export(api, str(file["id"]), EXPORTS[format])
    text = as_text(content) if format in ("txt", "md", "csv", "tsv", "svg", "rtf") else None
    shown: dict[str, Any] = {"file": show_file(file), "mime_type": EXPORTS[format]}
    return shown | (slice_text(text, offset, api.char_limit) if text is not None else as_base64(api, content))


@reads(*READ, title="Describe file")
def get_drive_file_info(api: Api, file_id: FileId) -> FileInfo:
    """Say what is known of a file or folder: its kind, folder, owner, times, address."""
    return {"file": show_file(get_file(api, file_id))}


@reads(*READ, title="List who may see a file")
def get_drive_file_permissions(api: Api, file_id: FileId, page_token: PageToken = None) -> Permissions:
    """List who may see or change a file or folder."""
    fields = "nextPageToken,permissions(id,role,type,emailAddress,displayName,domain,expirationTime)"
    params = {"fields": fields, "supportsAllDrives": True, "pageSize": 100, "pageToken": page_token}
    file = get_file(api, file_id)
    found = api.get("drive", "files/{file_id}/permissions", params, file_id=file_id)
    shown = {"file": show_file(file), "permissions": [show_permission(item) for item in objects(found, "permissions")]}
    return shown | compact({"next_page_token": found.get("nextPageToken")})


@reads(*READ, title="List versions of a file")
def list_drive_revisions(api: Api, file_id: FileId, page_size: PageSize = 50, page_token: PageToken = None) -> Revisions:
    """List the older states of a file on Drive."""
    fields = "nextPageToken,revisions(id,modifiedTime,size,lastModifyingUser(displayName,emailAddress))"
    params = {"fields": fields, "pageSize": page_size, "pageToken": page_token}
    found = api.get("drive", "files/{file_id}/revisions", params, file_id=file_id)
    return {"revisions": [show_revision(item) for item in objects(found, "revisions")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*READ, title="List comments")
def list_drive_comments(
    api: Api,
    file_id: FileId,
    page_size: Annotated[int, Field(ge=1, le=100)] = 20,
    page_token: PageToken = None,
    include_resolved: bool = True,
) -> Comments:
    """List the comments at a document, sheet, presentation or other file."""
    fields = (
        "nextPageToken,comments(id,content,createdTime,resolved,author(displayName),quotedFileContent(value),"
        "replies(id,content,createdTime,author(displayName)))"
    )
    params = {"fields": fields, "pageSize": page_size, "pageToken": page_token}
    found = api.get("drive", "files/{file_id}/comments", params, file_id=file_id)
    comments = [show_comment(item) for item in objects(found, "comments")]
    kept = [item for item in comments if include_resolved or not item.get("resolved")]
    return {"comments": kept} | compact({"next_page_token": found.get("nextPageToken")})


@reads("drive.readonly", "drive", title="List shared drives")
def list_shared_drives(
    api: Api, page_size: Annotated[int, Field(ge=1, le=100)] = 50, page_token: PageToken = None
) -> SharedDrives:
    """List the shared drives that this account is in."""
    params = {"fields": "nextPageToken,drives(id,name)", "pageSize": page_size, "pageToken": page_token}
    found = api.get("drive", "drives", params)
    drives = [{"drive_id": str(item.get("id", "")), "name": str(item.get("name", ""))} for item in objects(found, "drives")]
    return {"drives": drives} | compact({"next_page_token": found.get("nextPageToken")})


# --- what others need too ---


def get_file(api: Api, file_id: str, fields: str = FIELDS) -> dict[str, Any]:
    """What is known of a file."""
    return api.get("drive", "files/{file_id}", {"fields": fields, "supportsAllDrives": True}, file_id=file_id)


def find_real_file(api: Api, file_id: str) -> dict[str, Any]:
    """The file behind an id; a shortcut is followed."""
    for _ in range(MAX_HOPS):
        file = get_file(api, file_id, FIELDS + ",shortcutDetails(targetId)")
        if file.get("mimeType") != SHORTCUT:
            return {"id": file_id, **file}
        file_id = str(part(file, "shortcutDetails").get("targetId", ""))
    raise ToolError("The shortcut leads to another, and so on, without end.")


def download(api: Api, file_id: str) -> bytes:
    """The bytes of a file."""
    params = {"alt": "media", "supportsAllDrives": True}
    return api.fetch(Request("GET", "drive", "files/{file_id}", {"file_id": file_id}, params)).body


def export(api: Api, file_id: str, mime_type: str) -> bytes:
    """The bytes of a document of Google's in another format."""
    return api.fetch(Request("GET", "drive", "files/{file_id}/export", {"file_id": file_id}, {"mimeType": mime_type})).body


def list_files(
    api: Api,
    query: str,
    page_size: int,
    page_token: str | None,
    drive_id: str | None = None,
    all_drives: bool = True,
    corpora: str | None = None,
    order_by: str | None = None,
) -> dict[str, Any]:
    """Files that a query in Drive's own language finds."""
    params = {
        "q": query,
        "pageSize": page_size,
        "pageToken": page_token,
        "orderBy": order_by,
        "driveId": drive_id,
        "corpora": corpora or ("drive" if drive_id else None),
        "includeItemsFromAllDrives": all_drives or bool(drive_id),
        "supportsAllDrives": True,
        "fields": f"nextPageToken,files({FIELDS})",
    }
    found = api.get("drive", "files", params)
    return {"files": [show_file(item) for item in objects(found, "files")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


def is_drive_query(query: str) -> bool:
    """Whether somebody wrote in Drive's own language."""
    return re.search(r"(\b(contains|in|has)\b|[!=<>])\s*['\"]?|\b(starred|trashed|sharedWithMe)\b", query) is not None and (
        re.search(r"\b(name|fullText|mimeType|modifiedTime|createdTime|viewedByMeTime|trashed|starred|parents|owners|writers|"
                  r"readers|sharedWithMe|properties|visibility)\b", query) is not None
    )  # fmt: skip


def literal(text: str) -> str:
    """A text as it stands in a query."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def as_base64(api: Api, content: bytes) -> dict[str, Any]:
    """Bytes as base64, if they are few enough."""
    if len(content) * 4 // 3 > api.char_limit - 1500:
        raise ToolError(
            f"The file has {len(content)} bytes that are no text, which is longer than answers of this connection may be. "
            "Its person can open it at its address, or choose longer answers in the connection's settings."
        )
    return {"base64": base64.b64encode(content).decode()}


def text_of_word(content: bytes) -> str | None:
    """The text of a Word file (ECMA-376), a paragraph a line; None if it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            packed = archive.getinfo("word/document.xml")
            if packed.file_size > MAX_UNPACKED or packed.compress_type not in PACKINGS:
                return None
            with archive.open(packed) as file:
                document = file.read(MAX_UNPACKED).decode()  # a size, for what it says of its own is only its word
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, EOFError, OSError, RuntimeError, ValueError):
        return None
    if "<!DOCTYPE" in document or "<!ENTITY" in document:  # a Word file has none, and what they could do is not wanted
        return None
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 (no entities, see above, and of a bounded size)
    except ElementTree.ParseError:
        return None
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    signs = {f"{space}p": "\n", f"{space}br": "\n"}
    # once through it all: paragraphs may be inside of others, a hundred thousand deep
    pieces = (element.text or "" if element.tag == f"{space}t" else signs.get(element.tag, "") for element in root.iter())
    return "".join(pieces).removeprefix("\n")


# --- Google's objects as shapes ---


def show_permission(item: dict[str, Any]) -> dict[str, Any]:
    """Who may do what with a file."""
    facts = {
        "email": item.get("emailAddress"),
        "name": item.get("displayName"),
        "domain": item.get("domain"),
        "expires": item.get("expirationTime"),
    }
    shown = {"permission_id": str(item.get("id", "")), "role": str(item.get("role", "")), "type": str(item.get("type", ""))}
    return shown | compact(facts)


def show_revision(item: dict[str, Any]) -> dict[str, Any]:
    """An older state of a file."""
    by = part(item, "lastModifyingUser")
    size = int(item["size"]) if str(item.get("size", "")).isdigit() else None
    facts = {"modified": item.get("modifiedTime"), "by": by.get("emailAddress") or by.get("displayName"), "size": size}
    return {"revision_id": str(item.get("id", ""))} | compact(facts)


def show_reply(item: dict[str, Any]) -> dict[str, Any]:
    """A reply to a comment."""
    facts = {"by": part(item, "author").get("displayName"), "at": item.get("createdTime")}
    return {"reply_id": str(item.get("id", "")), "text": str(item.get("content", ""))} | compact(facts)


def show_comment(item: dict[str, Any]) -> dict[str, Any]:
    """A comment at a file."""
    facts = {
        "by": part(item, "author").get("displayName"),
        "at": item.get("createdTime"),
        "quoted": part(item, "quotedFileContent").get("value"),
        "resolved": item.get("resolved"),
        "replies": [show_reply(reply) for reply in objects(item, "replies")],
    }
    return {"comment_id": str(item.get("id", "")), "text": str(item.get("content", ""))} | compact(facts)


TOOLS = (
    search_drive_files,
    list_drive_items,
    get_drive_file_content,
    export_drive_file,
    get_drive_file_info,
    get_drive_file_permissions,
    list_drive_revisions,
    list_drive_comments,
    list_shared_drives,
)

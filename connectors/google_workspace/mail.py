"""Mail as text: what Gmail's parts say, and a message put together (RFC 5322). Sends nothing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from hashlib import sha256
from html import unescape
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import objects, part
from errors import ToolError
from fitting import compact

NAME_MAX = 100  # letters of somebody's name in an address
FILE_NAME_MAX = 200  # letters, the ending among them: `email` takes a minute for the thousands that a sender may choose
MAX_ATTACHMENTS = 18 * 1024 * 1024  # Gmail takes 25 MB, of base64
SILENT, RAW = frozenset({"head", "title"}), frozenset({"script", "style"})
# possessive throughout, so that what is no tag after all is not tried in other ways
TAG = re.compile(r"""<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)(?:[^<>="']|=\s*+(?:"[^"]*+"|'[^']*+')?+|["'])*+>""")
MEDIA_TYPE = re.compile(r"(?!multipart/|message/)[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+")  # of those two a file's bytes make none
MAILBOX = re.compile(r"[^\s@<>()\[\]\\,:;\"]+@[^\s@<>()\[\]\\,:;\"]+")  # RFC 5322 §3.4.1, without quoted ones
BREAKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "blockquote", "hr", "ul", "ol"})

Address = Annotated[str, Field(pattern=r"^[^\r\n@]+@[^\r\n@]+$", max_length=320)]
Addresses = Annotated[list[Address], Field(max_length=100, description="ann@example.com, or Ann <ann@example.com>.")]


class FileToSend(TypedDict):
    """A file to attach."""

    filename: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,200}$")]
    mime_type: NotRequired[Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$")]]
    base64: str


class Attachment(TypedDict):
    """A file at a message; `attachment_id` is good for a short time only."""

    attachment_id: str
    filename: str
    mime_type: NotRequired[str]
    size: NotRequired[int]


class Brief(TypedDict):
    """A message in a few words."""

    id: str
    thread_id: NotRequired[str]
    sender: NotRequired[str]
    to: NotRequired[str]
    cc: NotRequired[str]
    subject: NotRequired[str]
    date: NotRequired[str]
    snippet: NotRequired[str]
    labels: NotRequired[list[str]]
    unread: NotRequired[bool]
    url: NotRequired[str]


class Full(Brief):
    """A message with its text and what is attached."""

    reply_to: NotRequired[str]
    message_id: NotRequired[str]
    text: NotRequired[str]
    next_offset: NotRequired[int]
    total_chars: NotRequired[int]
    attachments: NotRequired[list[Attachment]]


# --- reading ---


def headers_of(message: Mapping[str, Any]) -> dict[str, str]:
    """A message's headers by their names in lower case, each on one line (RFC 5322 §2.2.3); of two alike the first counts."""
    found: dict[str, str] = {}
    for header in objects(part(message, "payload"), "headers"):
        found.setdefault(str(header.get("name", "")).lower(), " ".join(str(header.get("value", "")).splitlines()))
    return found


def show_brief(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in a few words."""
    headers, labels = headers_of(message), list(message.get("labelIds") or [])
    return {"id": str(message.get("id", ""))} | compact(
        {
            "thread_id": message.get("threadId"),
            "sender": headers.get("from"),
            "to": headers.get("to"),
            "cc": headers.get("cc"),
            "subject": headers.get("subject"),
            "date": headers.get("date"),
            "snippet": message.get("snippet"),
            "labels": labels,
            "unread": True if "UNREAD" in labels else None,
            "url": f"https://mail.google.com/mail/#all/{message['id']}" if message.get("id") else None,
        }
    )


def show_full(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with its text and what is attached."""
    headers, payload = headers_of(message), part(message, "payload")
    facts = {
        "reply_to": headers.get("reply-to"),
        "message_id": headers.get("message-id"),
        "text": text_of(payload),
        "attachments": [show_attachment(item) for item in walk(payload) if item.get("filename")],
    }
    return show_brief(message) | compact(facts)


def show_attachment(item: Mapping[str, Any]) -> dict[str, Any]:
    """A file at a message."""
    body = part(item, "body")
    facts = {"mime_type": item.get("mimeType"), "size": body.get("size")}
    return {"attachment_id": str(body.get("attachmentId", "")), "filename": str(item.get("filename"))} | compact(facts)


def walk(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A part and all parts inside of it."""
    yield dict(payload)
    for inner in objects(payload, "parts"):
        yield from walk(inner)


def text_of(payload: Mapping[str, Any]) -> str:
    """What a message says: its plain text, else its HTML as text."""
    for kind in ("text/plain", "text/html"):
        text = "\n".join(filter(None, [words_of(item) for item in walk(payload) if item.get("mimeType") == kind]))
        if text.strip():
            return text.replace("\r\n", "\n") if kind == "text/plain" else text_of_html(text)
    return ""


def words_of(item: Mapping[str, Any]) -> str:
    """The text of one part: UTF-8, or else what its header says."""
    content = decode(part(item, "body").get("data"))
    declared = headers_of({"payload": item}).get("content-type", "")
    named = re.search(r"charset=\"?([A-Za-z0-9._:-]{1,40})", declared, re.IGNORECASE)
    for charset in ("utf-8", named[1] if named else "latin-1"):
        try:
            text = content.decode(charset)
            text.encode()  # some make letters that are none
        except (UnicodeError, LookupError):
            continue
        return text
    return content.decode("utf-8", "replace")


def decode(data: Any) -> bytes:
    """The bytes of base64url text, as Gmail has them; none if it is not."""
    try:
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        return b""


def text_of_html(page: str) -> str:
    """HTML as text, with at most one empty line between two."""
    lines = [line.strip() for line in "".join(read_html(page)).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def read_html(page: str) -> Iterator[str]:
    """What a person would read of an HTML page, in one pass: html.parser takes hours for some pages of a few kilobytes."""
    at, silent = 0, 0
    while (start := page.find("<", at)) >= 0:
        found = TAG.match(page, start)
        end = found.end() if found else skip_oddity(page, start)
        if not silent:
            yield words_between(page, at, end if end == start + 1 else start)
        at, name, is_end = end, found[2].lower() if found else "", bool(found and found[1])
        if name in BREAKS:
            yield "\n"
        elif name in SILENT:
            silent = max(silent + (-1 if is_end else 1), 0)
        elif name in RAW and not is_end:
            closing = re.compile(f"</{name}", re.IGNORECASE).search(page, at)
            at = closing.start() if closing else len(page)
        elif name == "body":
            silent = 0  # the end of a head may be left out
    if not silent:
        yield words_between(page, at, len(page))


def skip_oddity(page: str, start: int) -> int:
    """Where a comment or the like ends; right behind the < that begins nothing."""
    if page[start + 1 : start + 2] not in ("!", "?", "/"):
        return start + 1
    close = "-->" if page.startswith("!--", start + 1) else ">"
    end = page.find(close, start)
    return end + len(close) if end >= 0 else len(page)


def words_between(page: str, start: int, end: int) -> str:
    """A piece of a page that has no tags, its blanks as HTML takes them."""
    return re.sub(r"\s+", " ", unescape(page[start:end]))


# --- writing ---


def build(
    *,
    subject: str,
    body: str,
    to: Iterable[str] = (),
    cc: Iterable[str] = (),
    bcc: Iterable[str] = (),
    html_body: str | None = None,
    from_email: str | None = None,
    attachments: Iterable[FileToSend] = (),
    headers: Mapping[str, str] | None = None,
) -> str:
    """A message as Gmail takes it: RFC 5322 in base64url. Raises ToolError for what cannot be put into one."""
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    people = {"From": [from_email] if from_email else [], "To": to, "Cc": cc, "Bcc": bcc}
    for name, addresses in people.items():
        if mailboxes := [read_mailbox(address) for address in addresses]:
            message[name] = mailboxes
    if len(subject.splitlines()) > 1:
        raise ToolError("The subject holds a line break.")
    for name, value in ({"Subject": subject} | dict(headers or {})).items():
        if value:
            message[name] = " ".join(value.splitlines())
    message.set_content(body)
    if html_body:
        message.add_alternative(html_body, subtype="html")
    attach(message, attachments)
    settle_boundaries(message)
    return base64.urlsafe_b64encode(message.as_bytes()).decode()


def attach(message: EmailMessage, files: Iterable[FileToSend]) -> None:
    """Attach files. Raises ToolError for what is not base64, or too much."""
    total = 0
    for file in files:
        try:
            plain = file["base64"].translate({45: 43, 95: 47}).rstrip("=")
            content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ToolError(f"The content of “{file['filename']}” is not base64.") from None
        total += len(content)
        if total > MAX_ATTACHMENTS:
            raise ToolError("The attachments are larger than Gmail takes. Put them on Drive, and send a link.")
        kind, _, sub = fit_media_type(file.get("mime_type", "")).partition("/")
        name = "".join(letter for letter in file["filename"][-FILE_NAME_MAX:] if letter.isprintable())
        message.add_attachment(content, maintype=kind, subtype=sub, filename=name)


def fit_media_type(text: str) -> str:
    """A media type that a file may have here."""
    return text if MEDIA_TYPE.fullmatch(text) else "application/octet-stream"


def settle_boundaries(message: EmailMessage) -> None:
    """Give each multipart a boundary that follows from what is in it."""
    for index, item in enumerate(message.walk()):
        if item.is_multipart():
            seed = [repr(inner.get_payload())[:10_000] for inner in item.walk() if not inner.is_multipart()]
            item.set_boundary("=_" + sha256("".join([str(index), *seed]).encode()).hexdigest()[:40])


def read_mailbox(text: str) -> Mailbox:
    """One address, with a name or without. Raises ToolError for anything else, for it might go to somebody who was not meant."""
    found = split_addresses(text)
    mailbox = make_mailbox(*found[0]) if len(found) == 1 else None
    if mailbox is None:
        raise ToolError(f"“{text[:100]}” is not an address: it has to look like ann@example.com, or Ann <ann@example.com>.")
    return mailbox


def addresses_in(*values: str) -> list[str]:
    """The addresses that header values name, with their names, each once; what is none is left out."""
    found: dict[str, str] = {}
    for pair in split_addresses(*values):
        if mailbox := make_mailbox(*pair):
            found.setdefault(mailbox.addr_spec.casefold(), str(mailbox))
    return list(found.values())


def split_addresses(*values: str) -> list[tuple[str, str]]:
    """(name, address) of each of several; none where the brackets nest so deep that nobody can have meant it."""
    try:
        return getaddresses(values)
    except RecursionError:
        return []


def make_mailbox(name: str, address: str) -> Mailbox | None:
    """An address with its name, its encoded words read (RFC 2047): `email` may take one with a comma for two addresses."""
    local, _, domain = address.partition("@")
    if not MAILBOX.fullmatch(address) or not local.isascii() or not address.isprintable() or "=?" in address:
        return None
    try:
        name = str(make_header(decode_header(name)))
        domain = domain if domain.isascii() else domain.encode("idna").decode()
    except (HeaderParseError, LookupError, UnicodeError):
        return None
    return Mailbox("" if "=?" in name or not name.isprintable() else name[:NAME_MAX], local, domain)


def bare(address: str) -> str:
    """An address without its name, in lower case."""
    return next((found.casefold() for _, found in split_addresses(address)), "")


def prefixed(subject: str, prefix: str) -> str:
    """A subject with “Re:” or “Fwd:” before it, once."""
    return subject if subject.casefold().startswith(prefix.casefold()) else f"{prefix} {subject}".strip()

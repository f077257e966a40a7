"""Google as a source of `search`: mail, events, documents, files, contacts. Asks what the tools for reading ask, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.google_workspace.api import Api, Request, objects
from connectors.google_workspace.calendar import get_events, list_calendars
from connectors.google_workspace.contacts import get_contact, search_contacts
from connectors.google_workspace.docs import get_doc_content
from connectors.google_workspace.drive import get_drive_file_content, list_files, literal, search_drive_files
from connectors.google_workspace.gmail import get_gmail_message_content, search_gmail_messages
from errors import NotFound, ToolError
from sources import Document, Hit, Source
from tools import Context, Tool

WHOLE = 140_000  # characters of an answer; Drive and Docs then give about 100,000 of a text
DAY = 86_400
PAST_DAYS, CALENDARS_MAX, EVENTS_MAX = 365, 6, 100
DOCUMENT = "application/vnd.google-apps.document"
FOLDER = "application/vnd.google-apps.folder"


def ask(tool: Tool, context: Context, **arguments: Any) -> dict[str, Any]:
    """What a tool answers, with room for a whole text."""
    whole = replace(context, settings={**context.settings, "charLimit": WHOLE})
    answer = tool.run(whole, arguments).structured
    return answer or {}


def lines_of(facts: dict[str, Any], *left_out: str) -> str:
    """What is known of a thing, a line each."""
    return "\n".join(f"{name.replace('_', ' ')}: {show(value)}" for name, value in facts.items() if name not in left_out)


def show(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {show(item)}" for name, item in value.items())
    return "; ".join(map(show, value)) if isinstance(value, list) else str(value)


# --- mail ---


def find_mail(context: Context, query: str, limit: int) -> list[Hit]:
    """Messages, as Gmail's own search finds them."""
    found = ask(search_gmail_messages, context, query=query, page_size=limit)["messages"]
    return [Hit(item["id"], name_mail(item), item.get("url", "")) for item in found]


def name_mail(item: dict[str, Any]) -> str:
    """What a message is called."""
    return f"{item.get('subject') or '(no subject)'} — {item.get('sender') or 'unknown'}"


def read_mail(context: Context, message_id: str) -> Document:
    """A message."""
    found = ask(get_gmail_message_content, context, message_id=message_id)["message"]
    facts = {name: found[name] for name in ("sender", "to", "cc", "subject", "date") if found.get(name)}
    files = [item["filename"] for item in found.get("attachments", [])]
    head = lines_of(facts | ({"attachments": files} if files else {}))
    return Document(name_mail(found), f"{head}\n\n{with_rest(found)}", found.get("url", ""), facts)


# --- events ---


def find_events(context: Context, query: str, limit: int) -> list[Hit]:
    """Events of this account's calendars, of a year back and all to come: those nearest to now come first."""
    calendars = ask(list_calendars, context)["calendars"]
    mine = sorted(calendars, key=lambda item: (not item.get("primary"), item.get("role") != "owner"))[:CALENDARS_MAX]
    params = {
        "singleEvents": True,
        "orderBy": "startTime",
        "q": query,
        "timeMin": moment(context.now - PAST_DAYS * DAY),
        "timeMax": moment(context.now + PAST_DAYS * DAY),
        "maxResults": EVENTS_MAX,
    }
    requests = [
        Request("GET", "calendar", "calendars/{calendar_id}/events", {"calendar_id": item["id"]}, params) for item in mine
    ]
    answers = Api(context, get_events).send_all(requests)
    if answers and all(isinstance(answer, ToolError) for answer in answers):
        raise answers[0]
    found = [
        (item, event)
        for item, answer in zip(mine, answers, strict=True)
        if isinstance(answer, dict)
        for event in objects(answer, "items")
    ]
    found.sort(key=lambda pair: abs(start_of(pair[1]) - context.now))
    return [
        Hit(f"{item['id']}/{event.get('id')}", name_event(event), event.get("htmlLink") or "") for item, event in found[:limit]
    ]


def moment(seconds: int) -> str:
    """A moment as Google takes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def start_of(event: dict[str, Any]) -> float:
    """When an event begins, in epoch seconds."""
    try:
        found = datetime.fromisoformat(text_of_start(event))
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def text_of_start(event: dict[str, Any]) -> str:
    """When an event begins, in Google's words."""
    start = event.get("start") if isinstance(event.get("start"), dict) else {}
    return str(start.get("dateTime") or start.get("date") or "")


def name_event(event: dict[str, Any]) -> str:
    """What an event is called, and when it is."""
    return f"{event.get('summary') or '(no title)'} — {text_of_start(event)[:16].replace('T', ' ')}"


def read_event(context: Context, place: str) -> Document:
    """An event."""
    calendar_id, _, event_id = place.rpartition("/")
    if not calendar_id or not event_id:
        raise NotFound("no such event")
    (found,) = ask(get_events, context, calendar_id=calendar_id, event_id=event_id)["events"]
    title = f"{found.get('summary') or '(no title)'} — {str(found.get('start', ''))[:16].replace('T', ' ')}"
    facts = {name: str(found[name]) for name in ("start", "end", "location") if found.get(name)}
    text = f"{lines_of(found, 'id', 'url', 'description', 'attachments')}\n\n{found.get('description', '')}".strip()
    return Document(title, text, found.get("url", ""), facts)


# --- documents and files ---


def find_docs(context: Context, query: str, limit: int) -> list[Hit]:
    """Google documents that hold the words."""
    return find_in_drive(context, f"fullText contains {literal(query)} and mimeType = '{DOCUMENT}'", limit)


def find_files(context: Context, query: str, limit: int) -> list[Hit]:
    """Files of any kind that hold the words."""
    return find_in_drive(context, f"fullText contains {literal(query)} and mimeType != '{FOLDER}'", limit)


def find_in_drive(context: Context, wanted: str, limit: int) -> list[Hit]:
    """What a query in Drive's own language finds."""
    found = list_files(Api(context, search_drive_files), f"({wanted}) and trashed = false", limit, None)["files"]
    return [Hit(item["id"], item["name"], item.get("url") or f"https://drive.google.com/open?id={item['id']}") for item in found]


def read_doc(context: Context, document_id: str) -> Document:
    """A document."""
    found = ask(get_doc_content, context, document_id=document_id)
    return Document(found.get("title", ""), with_rest(found), found.get("url", ""))


def read_file(context: Context, file_id: str) -> Document:
    """A file, as text if it has any."""
    found = ask(get_drive_file_content, context, file_id=file_id)
    file = found.get("file", {})
    facts = {name: str(file[name]) for name in ("mime_type", "modified", "size") if file.get(name)}
    text = with_rest(found) if "text" in found else "(It holds no text.)"
    return Document(file.get("name", ""), text, file.get("url", ""), facts)


def with_rest(found: dict[str, Any]) -> str:
    """A text, with a word about what is left out of it."""
    rest = found.get("total_chars", 0) - found.get("next_offset", 0)
    return found.get("text", "") + (f"\n\n(Cut here: it goes on for {rest} characters.)" if rest > 0 else "")


# --- contacts ---


def find_contacts(context: Context, query: str, limit: int) -> list[Hit]:
    """Contacts whose names, addresses or numbers begin so."""
    found = ask(search_contacts, context, query=query[:200], page_size=limit)["contacts"]
    return [Hit(item["resource_name"], name_contact(item), address_of(item["resource_name"])) for item in found]


def name_contact(item: dict[str, Any]) -> str:
    """What somebody is called."""
    return item.get("name") or next(iter(item.get("emails", [])), "") or item["resource_name"]


def read_contact(context: Context, resource_name: str) -> Document:
    """What is known of somebody."""
    if not resource_name.startswith("people/"):
        raise NotFound("no such contact")
    found = ask(get_contact, context, resource_name=resource_name)["contact"]
    return Document(name_contact(found), lines_of(found, "resource_name"), address_of(resource_name))


def address_of(resource_name: str) -> str:
    """Where a contact is on the web."""
    return "https://contacts.google.com/person/" + quote(resource_name.removeprefix("people/"), safe="")


SOURCES = (
    Source("mail", "mail", find_mail, read_mail, (search_gmail_messages.name, get_gmail_message_content.name)),
    Source("event", "events", find_events, read_event, (list_calendars.name, get_events.name)),
    Source("doc", "documents", find_docs, read_doc, (search_drive_files.name, get_doc_content.name)),
    Source("file", "files", find_files, read_file, (search_drive_files.name, get_drive_file_content.name)),
    Source("contact", "contacts", find_contacts, read_contact, (search_contacts.name, get_contact.name)),
)

"""Docs tools: read, create and change documents, find and replace, tables, styles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Done, Offset, reads, writes
from errors import ToolError
from fitting import Answer, compact, slice_text

READ = ("documents.readonly", "documents")
WRITE = ("documents",)
MAX_CELLS = 2000

DocId = Annotated[str, Field(min_length=1, max_length=200, description="The part of its address behind /d/.")]
Index = Annotated[int, Field(ge=1, description="As get_doc_content shows with_indexes; 1 is the beginning.")]
TabId = Annotated[str | None, Field(description="Of get_doc_content; the first tab if left out.")]
Style = Literal["NORMAL_TEXT", "TITLE", "SUBTITLE", "HEADING_1", "HEADING_2", "HEADING_3", "HEADING_4", "HEADING_5", "HEADING_6"]
Color = Annotated[str | None, Field(pattern=r"^#[0-9a-fA-F]{6}$", description="Such as #cc0000.")]


class Paragraph(TypedDict):
    """A paragraph, and where it stands."""

    start: int
    end: int
    text: str
    style: NotRequired[str]


class Tab(TypedDict):
    """A tab of a document."""

    tab_id: str
    title: str


class Document(Answer):
    """A document; a long text goes on at next_offset."""

    document_id: str
    title: str
    url: str
    text: NotRequired[str]
    next_offset: NotRequired[int]
    total_chars: NotRequired[int]
    tabs: NotRequired[list[Tab]]
    paragraphs: NotRequired[list[Paragraph]]


class Replaced(Answer):
    """How often something was replaced."""

    done: str
    occurrences: int


@reads(*READ, title="Read document", core=True)
def get_doc_content(
    api: Api,
    document_id: DocId,
    offset: Offset = 0,
    tab_id: TabId = None,
    with_indexes: Annotated[bool, Field(description="With the places of paragraphs, to change them.")] = False,
) -> Document:
    """Read a Google document as text. Tables have | between their cells; several tabs follow each other."""
    found = get_document(api, document_id)
    tabs = list_tabs(found)
    chosen = [tab for tab in tabs if tab_id in (None, tab["tab_id"])]
    if not chosen:
        raise ToolError(f"The document has no tab {tab_id}.")
    texts = [text_of(tab["content"]) for tab in chosen]
    if len(chosen) > 1:
        texts = [f"=== {tab['title']} ===\n{text}" for tab, text in zip(chosen, texts, strict=True)]
    shown = show_document(found) | slice_text("\n".join(texts), offset, api.char_limit)
    if len(tabs) > 1:
        shown["tabs"] = [{"tab_id": tab["tab_id"], "title": tab["title"]} for tab in tabs]
    if with_indexes:
        shown["paragraphs"] = list(list_paragraphs(chosen[0]["content"]))
    return shown


@writes(*WRITE, title="Create document")
def create_doc(api: Api, title: Annotated[str, Field(max_length=1000)], content: str | None = None) -> Document:
    """Create a Google document with some text."""
    made = api.post("docs", "documents", {"title": title})
    if content:
        update(api, str(made.get("documentId")), [insert(content, 1, None)])
    return show_document(made)


@writes(*WRITE, title="Change text of a document", core=True, destructive=True)
def modify_doc_text(
    api: Api,
    document_id: DocId,
    text: Annotated[str, Field(max_length=500_000, description="Empty: only delete.")],
    index: Annotated[Index, Field(description="Where to insert, if nothing is replaced.")] = 1,
    start_index: Annotated[int | None, Field(ge=1, description="With end_index: what the text replaces.")] = None,
    end_index: Annotated[int | None, Field(ge=2, description="Behind the last letter.")] = None,
    tab_id: TabId = None,
) -> Done:
    """Insert text into a Google document, or put it in the place of what stands from start_index to end_index."""
    if (start_index is None) != (end_index is None) or (start_index and end_index and end_index <= start_index):
        raise ToolError("start_index and end_index belong together, and end_index is the greater one.")
    requests = []
    if start_index is not None:
        span = given(startIndex=start_index, endIndex=end_index, tabId=tab_id)
        requests.append({"deleteContentRange": {"range": span}})
    if text:
        requests.append(insert(text, start_index or index, tab_id))
    if not requests:
        raise ToolError("Give a text to insert, or what to delete.")
    update(api, document_id, requests)
    return {"done": f"Changed document {document_id} at {start_index or index}."}


@writes(*WRITE, title="Add to the end of a document")
def append_doc_text(api: Api, document_id: DocId, text: Annotated[str, Field(min_length=1)], tab_id: TabId = None) -> Done:
    """Add text behind all that a Google document has."""
    place = {"endOfSegmentLocation": given(tabId=tab_id)}
    update(api, document_id, [{"insertText": {"text": text, **place}}])
    return {"done": f"Added {len(text)} characters to document {document_id}."}


@writes(*WRITE, title="Find and replace in a document", destructive=True)
def find_and_replace_doc(
    api: Api,
    document_id: DocId,
    find: Annotated[str, Field(min_length=1)],
    replace: str,
    match_case: bool = False,
    tab_id: TabId = None,
) -> Replaced:
    """Replace a text wherever it occurs in a Google document."""
    request = {"containsText": {"text": find, "matchCase": match_case}, "replaceText": replace}
    if tab_id:
        request["tabsCriteria"] = {"tabIds": [tab_id]}
    answer = update(api, document_id, [{"replaceAllText": request}])
    count = sum(int(part(reply, "replaceAllText").get("occurrencesChanged") or 0) for reply in objects(answer, "replies"))
    return {"done": f"Replaced “{find[:80]}” {count} times.", "occurrences": count}


@writes(*WRITE, title="Insert table")
def insert_doc_table(
    api: Api,
    document_id: DocId,
    rows: Annotated[list[list[str]], Field(min_length=1, max_length=200, description="The cells' texts, row by row.")],
    index: Annotated[Index | None, Field(description="The end of the document if left out.")] = None,
) -> Done:
    """Insert a table into a Google document, and fill it."""
    width = max(map(len, rows))
    if not width or width * len(rows) > MAX_CELLS:
        raise ToolError(f"A table has at least one column, and at most {MAX_CELLS} cells.")
    place: dict[str, Any] = {"location": {"index": index}} if index else {"endOfSegmentLocation": {}}
    update(api, document_id, [{"insertTable": {"rows": len(rows), "columns": width, **place}}])
    content = list_tabs(get_document(api, document_id))[0]["content"]
    tables = [item for item in content if "table" in item and (index is None or int(item.get("startIndex", 0)) >= index)]
    if not tables:
        raise ToolError("The table was inserted, but could not be found again to be filled.")
    table = part(tables[0] if index else tables[-1], "table")
    inserts = [
        insert(text, int(objects(cell, "content")[0].get("startIndex", 1)), None)
        for row, texts in zip(objects(table, "tableRows"), rows, strict=False)
        for cell, text in zip(objects(row, "tableCells"), texts, strict=False)
        if text
    ]
    if inserts:
        update(api, document_id, inserts[::-1])  # from behind, so that places stay true
    return {"done": f"Inserted a table of {len(rows)} rows and {width} columns."}


@writes(*WRITE, title="Insert image")
def insert_doc_image(
    api: Api,
    document_id: DocId,
    image_url: Annotated[str, Field(pattern=r"^https://\S+$", description="One that everybody can open.")],
    index: Index = 1,
    width_pt: Annotated[float | None, Field(gt=0, le=2000)] = None,
) -> Done:
    """Insert an image from an address into a Google document."""
    size = {"objectSize": {"width": {"magnitude": width_pt, "unit": "PT"}}} if width_pt else {}
    update(api, document_id, [{"insertInlineImage": {"uri": image_url, "location": {"index": index}, **size}}])
    return {"done": f"Inserted an image at {index}."}


@writes(*WRITE, title="Insert page break")
def insert_doc_page_break(api: Api, document_id: DocId, index: Index) -> Done:
    """Begin a new page at some place of a Google document."""
    update(api, document_id, [{"insertPageBreak": {"location": {"index": index}}}])
    return {"done": f"A new page begins at {index}."}


@writes(*WRITE, title="Format text of a document", destructive=True, idempotent=True)
def format_doc_text(
    api: Api,
    document_id: DocId,
    start_index: Index,
    end_index: Annotated[Index, Field(description="Behind the last letter.")],
    bold: bool | None = None,
    italic: bool | None = None,
    underline: bool | None = None,
    font_size: Annotated[float | None, Field(gt=0, le=400)] = None,
    color: Color = None,
    link: Annotated[str | None, Field(pattern=r"^https?://\S+$")] = None,
    style: Annotated[Style | None, Field(description="Of whole paragraphs.")] = None,
    bullets: Annotated[bool | None, Field(description="True: a list of points; false: none.")] = None,
) -> Done:
    """Format the text of a Google document from start_index to end_index: letters, paragraphs, lists."""
    span = {"startIndex": start_index, "endIndex": end_index}
    letters = given(
        bold=bold,
        italic=italic,
        underline=underline,
        fontSize={"magnitude": font_size, "unit": "PT"} if font_size else None,
        foregroundColor={"color": {"rgbColor": read_color(color)}} if color else None,
        link={"url": link} if link else None,
    )
    requests: list[dict[str, Any]] = []
    if style:
        named = {"namedStyleType": style}
        requests.append({"updateParagraphStyle": {"range": span, "paragraphStyle": named, "fields": "namedStyleType"}})
    if letters:
        requests.append({"updateTextStyle": {"range": span, "textStyle": letters, "fields": ",".join(letters)}})
    if bullets is True:
        requests.append({"createParagraphBullets": {"range": span, "bulletPreset": "BULLET_DISC_CIRCLE_SQUARE"}})
    if bullets is False:
        requests.append({"deleteParagraphBullets": {"range": span}})
    if not requests:
        raise ToolError("Name what shall change.")
    update(api, document_id, requests)
    return {"done": f"Formatted {start_index} to {end_index} of document {document_id}."}


# --- documents as text ---


def get_document(api: Api, document_id: str) -> dict[str, Any]:
    """A document with all its tabs."""
    return api.get("docs", "documents/{document_id}", {"includeTabsContent": True}, document_id=document_id)


def update(api: Api, document_id: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Change a document: all of it or nothing."""
    return api.post("docs", "documents/{document_id}:batchUpdate", {"requests": requests}, document_id=document_id)


def insert(text: str, index: int, tab_id: str | None) -> dict[str, Any]:
    """The request to insert a text."""
    return {"insertText": {"text": text, "location": given(index=index, tabId=tab_id)}}


def list_tabs(document: dict[str, Any]) -> list[dict[str, Any]]:
    """(id, title, content) of each tab, the inner ones behind the outer."""

    def walk(tabs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for tab in tabs:
            facts, body = part(tab, "tabProperties"), part(part(tab, "documentTab"), "body")
            names = {"tab_id": str(facts.get("tabId", "")), "title": str(facts.get("title", ""))}
            yield {**names, "content": objects(body, "content")}
            yield from walk(objects(tab, "childTabs"))

    whole = {"tab_id": "", "title": "", "content": objects(part(document, "body"), "content")}
    return list(walk(objects(document, "tabs"))) or [whole]


def text_of(content: list[dict[str, Any]]) -> str:
    """Structural elements as text."""
    pieces = []
    for element in content:
        if "paragraph" in element:
            pieces.append(text_of_paragraph(element))
        elif "table" in element:
            for row in objects(part(element, "table"), "tableRows"):
                cells = [text_of(objects(cell, "content")).strip() for cell in objects(row, "tableCells")]
                pieces.append("| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |\n")
        elif "tableOfContents" in element:
            pieces.append(text_of(objects(part(element, "tableOfContents"), "content")))
    return "".join(pieces)


def text_of_paragraph(element: dict[str, Any]) -> str:
    """The text of a paragraph; what is a smart chip stands there as its name."""
    pieces = []
    for item in objects(part(element, "paragraph"), "elements"):
        person, rich = part(part(item, "person"), "personProperties"), part(part(item, "richLink"), "richLinkProperties")
        text = part(item, "textRun").get("content") or person.get("name") or person.get("email") or rich.get("title")
        pieces.append(str(text or ""))
    return "".join(pieces)


def list_paragraphs(content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The paragraphs with their places, those in tables too."""
    for element in content:
        for row in objects(part(element, "table"), "tableRows"):
            for cell in objects(row, "tableCells"):
                yield from list_paragraphs(objects(cell, "content"))
        if "paragraph" in element:
            style = part(part(element, "paragraph"), "paragraphStyle").get("namedStyleType")
            shown = {"start": int(element.get("startIndex") or 0), "end": int(element.get("endIndex") or 0)}
            yield shown | {"text": text_of_paragraph(element)} | compact({"style": style if style != "NORMAL_TEXT" else None})


def show_document(found: dict[str, Any]) -> dict[str, Any]:
    """A document's id, title and address."""
    document_id = str(found.get("documentId", ""))
    url = f"https://docs.google.com/document/d/{document_id}/edit"
    return {"document_id": document_id, "title": str(found.get("title", "")), "url": url}


def read_color(text: str) -> dict[str, float]:
    """#rrggbb as Google has colours: three parts of one."""
    names = ("red", "green", "blue")
    return {name: round(int(text[at : at + 2], 16) / 255, 4) for name, at in zip(names, (1, 3, 5), strict=True)}


TOOLS = (
    get_doc_content,
    create_doc,
    modify_doc_text,
    append_doc_text,
    find_and_replace_doc,
    insert_doc_table,
    insert_doc_image,
    insert_doc_page_break,
    format_doc_text,
)

"""Slides tools: read, create and change presentations."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Done, reads, writes
from connectors.google_workspace.docs import Color, read_color
from connectors.google_workspace.drive import READ as DRIVE_READ
from connectors.google_workspace.drive import FileId, export
from connectors.google_workspace.drive_writing import WRITE as DRIVE_WRITE
from connectors.google_workspace.drive_writing import FolderId
from connectors.google_workspace.uploads import FileMade, upload
from errors import ToolError
from fitting import Answer, compact

READ = ("presentations.readonly", "presentations")
WRITE = ("presentations",)
PDF = "application/pdf"

PresentationId = Annotated[str, Field(min_length=1, max_length=200, description="The part of its address behind /d/.")]
PageId = Annotated[str, Field(min_length=1, max_length=200, description="slide_id of get_presentation.")]
Points = Annotated[float, Field(ge=0, le=5000, description="In points; a slide is 720 wide and 405 high.")]
Layout = Literal[
    "BLANK",
    "TITLE",
    "TITLE_ONLY",
    "TITLE_AND_BODY",
    "TITLE_AND_TWO_COLUMNS",
    "SECTION_HEADER",
    "CAPTION_ONLY",
    "BIG_NUMBER",
    "MAIN_POINT",
    "ONE_COLUMN_TEXT",
    "SECTION_TITLE_AND_DESCRIPTION",
]


class Shape(TypedDict):
    """Something on a slide that says something."""

    object_id: str
    text: str
    placeholder: NotRequired[str]


class Slide(TypedDict):
    """A slide, with what it says."""

    slide_id: str
    shapes: list[Shape]
    notes: NotRequired[str]


class Presentation(Answer):
    """A presentation."""

    presentation_id: str
    title: str
    url: str
    slides: list[Slide]


class Made(Answer):
    """What was made; its id is for further changes."""

    object_id: str


class Replaced(Answer):
    """How often something was replaced."""

    done: str
    occurrences: int


class Picture(Answer):
    """The address of a picture of a slide; it is good for 30 minutes."""

    url: str
    width: NotRequired[int]
    height: NotRequired[int]


class Pdf(Answer):
    """A presentation as PDF."""

    size: int
    base64: str


@reads(*READ, title="Read presentation")
def get_presentation(api: Api, presentation_id: PresentationId) -> Presentation:
    """Read what the slides of a presentation say."""
    return show_presentation(api.get("slides", "presentations/{presentation_id}", presentation_id=presentation_id))


@reads(*READ, title="Picture of a slide")
def get_slide_thumbnail(
    api: Api, presentation_id: PresentationId, page_id: PageId, size: Literal["SMALL", "MEDIUM", "LARGE"] = "MEDIUM"
) -> Picture:
    """Get the address of a picture of a slide."""
    path = "presentations/{presentation_id}/pages/{page_id}/thumbnail"
    params = {"thumbnailProperties.thumbnailSize": size, "thumbnailProperties.mimeType": "PNG"}
    found = api.get("slides", path, params, presentation_id=presentation_id, page_id=page_id)
    return {"url": str(found.get("contentUrl", ""))} | given(width=found.get("width"), height=found.get("height"))


@reads(*DRIVE_READ, title="Export presentation as PDF")
def export_presentation_pdf(api: Api, presentation_id: PresentationId) -> Pdf:
    """Export a presentation as PDF, if it is short enough; save_drive_export puts a longer one on Drive."""
    content = export(api, presentation_id, PDF)
    if len(content) * 4 // 3 > api.char_limit - 500:
        raise ToolError(f"The PDF has {len(content)} bytes, which is too long for an answer: use save_drive_export.")
    return {"size": len(content), "base64": base64.b64encode(content).decode()}


@writes(*DRIVE_WRITE, title="Export a file to Drive")
def save_drive_export(
    api: Api,
    file_id: FileId,
    file_name: Annotated[str, Field(min_length=1, max_length=1000)],
    mime_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$", description="Of the result.")] = PDF,
    folder_id: FolderId = "root",
) -> FileMade:
    """Export a document, sheet or presentation of Google's in another format, and keep the result on Drive."""
    return upload(api, file_name, export(api, file_id, mime_type), mime_type, folder_id)


@writes(*WRITE, title="Create presentation")
def create_presentation(api: Api, title: Annotated[str, Field(max_length=1000)] = "Untitled Presentation") -> Presentation:
    """Create a presentation with one slide."""
    return show_presentation(api.post("slides", "presentations", {"title": title}))


@writes(*WRITE, title="Add slide")
def create_slide(
    api: Api,
    presentation_id: PresentationId,
    layout: Layout = "TITLE_AND_BODY",
    insertion_index: Annotated[int | None, Field(ge=0, description="0 is the first; the end if left out.")] = None,
) -> Made:
    """Add a slide to a presentation."""
    request = given(slideLayoutReference={"predefinedLayout": layout}, insertionIndex=insertion_index)
    return made(update(api, presentation_id, [{"createSlide": request}]), "createSlide")


@writes(*WRITE, title="Delete slide or shape", destructive=True, idempotent=True)
def delete_slide_object(
    api: Api, presentation_id: PresentationId, object_id: Annotated[str, Field(min_length=1, description="Slide or shape.")]
) -> Done:
    """Delete a slide, or something on one."""
    update(api, presentation_id, [{"deleteObject": {"objectId": object_id}}])
    return {"done": f"Deleted {object_id}."}


@writes(*WRITE, title="Add text box")
def add_textbox(
    api: Api,
    presentation_id: PresentationId,
    page_id: PageId,
    text: Annotated[str, Field(min_length=1)],
    x: Points,
    y: Points,
    width: Points,
    height: Points,
    font_size: Annotated[float | None, Field(gt=0, le=400)] = None,
    color: Color = None,
) -> Made:
    """Put a box with text on a slide."""
    first = update(api, presentation_id, [{"createShape": {"shapeType": "TEXT_BOX", **place(page_id, x, y, width, height)}}])
    box = made(first, "createShape")
    requests: list[dict[str, Any]] = [{"insertText": {"objectId": box["object_id"], "text": text}}]
    style = given(
        fontSize={"magnitude": font_size, "unit": "PT"} if font_size else None,
        foregroundColor={"opaqueColor": {"rgbColor": read_color(color)}} if color else None,
    )
    if style:
        requests.append(
            {
                "updateTextStyle": {
                    "objectId": box["object_id"],
                    "style": style,
                    "textRange": {"type": "ALL"},
                    "fields": ",".join(style),
                }
            }
        )
    update(api, presentation_id, requests)
    return box


@writes(*WRITE, title="Add image to slide")
def add_slide_image(
    api: Api,
    presentation_id: PresentationId,
    page_id: PageId,
    image_url: Annotated[str, Field(pattern=r"^https://\S+$", description="One that everybody can open.")],
    x: Points,
    y: Points,
    width: Points,
    height: Points,
) -> Made:
    """Put an image from an address on a slide."""
    request = {"createImage": {"url": image_url, **place(page_id, x, y, width, height)}}
    return made(update(api, presentation_id, [request]), "createImage")


@writes(*WRITE, title="Set text of a shape", destructive=True, idempotent=True)
def set_slide_text(
    api: Api,
    presentation_id: PresentationId,
    object_id: Annotated[str, Field(min_length=1, description="object_id of get_presentation.")],
    text: str,
    had_text: Annotated[bool, Field(description="Whether there is text to be replaced.")] = True,
) -> Done:
    """Put a text into a title, a body or a box, in the place of what it said."""
    requests: list[dict[str, Any]] = []
    if had_text:
        requests.append({"deleteText": {"objectId": object_id, "textRange": {"type": "ALL"}}})
    if text:
        requests.append({"insertText": {"objectId": object_id, "text": text}})
    if not requests:
        raise ToolError("There is nothing to replace, and nothing to put there.")
    update(api, presentation_id, requests)
    return {"done": f"{object_id} says something else now."}


@writes(*WRITE, title="Replace text in a presentation", destructive=True)
def replace_text_in_presentation(
    api: Api,
    presentation_id: PresentationId,
    find: Annotated[str, Field(min_length=1)],
    replace: str,
    match_case: bool = False,
) -> Replaced:
    """Replace a text wherever it occurs in a presentation."""
    request = {"containsText": {"text": find, "matchCase": match_case}, "replaceText": replace}
    answer = update(api, presentation_id, [{"replaceAllText": request}])
    count = sum(int(part(reply, "replaceAllText").get("occurrencesChanged") or 0) for reply in objects(answer, "replies"))
    return {"done": f"Replaced “{find[:80]}” {count} times.", "occurrences": count}


# --- parts of them ---


def update(api: Api, presentation_id: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Change a presentation: all of it or nothing."""
    return api.post(
        "slides", "presentations/{presentation_id}:batchUpdate", {"requests": requests}, presentation_id=presentation_id
    )


def made(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    """The id of what a change has made."""
    reply = next(iter(objects(answer, "replies")), {})
    return {"object_id": str(part(reply, kind).get("objectId", ""))}


def place(page_id: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """Where something stands on a slide, and how large it is."""
    size = {name: {"magnitude": value, "unit": "PT"} for name, value in (("width", width), ("height", height))}
    transform = {"scaleX": 1, "scaleY": 1, "translateX": x, "translateY": y, "unit": "PT"}
    return {"elementProperties": {"pageObjectId": page_id, "size": size, "transform": transform}}


def show_presentation(found: dict[str, Any]) -> dict[str, Any]:
    """A presentation with what its slides say."""
    presentation_id = str(found.get("presentationId", ""))
    return {
        "presentation_id": presentation_id,
        "title": str(found.get("title", "")),
        "url": f"https://docs.google.com/presentation/d/{presentation_id}/edit",
        "slides": [show_slide(item) for item in objects(found, "slides")],
    }


def show_slide(item: dict[str, Any]) -> dict[str, Any]:
    """A slide with what it says."""
    notes = part(part(item, "slideProperties"), "notesPage")
    said = " ".join(shape["text"] for shape in list_shapes(notes) if shape.get("placeholder") == "BODY")
    return {"slide_id": str(item.get("objectId", "")), "shapes": list_shapes(item)} | compact({"notes": said.strip()})


def list_shapes(page: dict[str, Any]) -> list[dict[str, Any]]:
    """What is on a page and can say something, with what it says."""
    found = []
    for element in objects(page, "pageElements"):
        shape, table = part(element, "shape"), part(element, "table")
        cells = [cell for row in objects(table, "tableRows") for cell in objects(row, "tableCells")]
        text = " | ".join(text_of(part(cell, "text")) for cell in cells) if table else text_of(part(shape, "text"))
        kind = part(shape, "placeholder").get("type")
        if text or kind:
            found.append({"object_id": str(element.get("objectId", "")), "text": text} | compact({"placeholder": kind}))
    return found


def text_of(text: dict[str, Any]) -> str:
    """A text of Slides."""
    runs = [part(item, "textRun").get("content") for item in objects(text, "textElements")]
    return "".join(run for run in runs if isinstance(run, str)).strip()


TOOLS = (
    get_presentation,
    get_slide_thumbnail,
    export_presentation_pdf,
    save_drive_export,
    create_presentation,
    create_slide,
    delete_slide_object,
    add_textbox,
    add_slide_image,
    set_slide_text,
    replace_text_in_presentation,
)

"""Forms tools: read, create and change forms; what people answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Page, PageToken, reads, writes
from errors import ToolError
from fitting import Answer, compact

READ = ("forms.body.readonly", "forms.body")
WRITE = ("forms.body",)
RESPONSES = ("forms.responses.readonly",)

FormId = Annotated[str, Field(min_length=1, max_length=200, description="The part of its edit_url behind /d/.")]
Kind = Literal["SHORT_ANSWER", "PARAGRAPH", "RADIO", "CHECKBOX", "DROP_DOWN", "DATE", "TIME"]


class Question(TypedDict):
    """A question of a form, or what stands between them."""

    item_id: str
    title: NotRequired[str]
    description: NotRequired[str]
    question_id: NotRequired[str]
    kind: NotRequired[str]
    required: NotRequired[bool]
    options: NotRequired[list[str]]


class FormShown(Answer):
    """A form."""

    form_id: str
    title: str
    description: NotRequired[str]
    answer_url: NotRequired[str]
    edit_url: str
    items: list[Question]


class Changed(Answer):
    """What became of each request."""

    form_id: str
    replies: list[dict[str, Any]]


class Response(TypedDict):
    """What somebody answered, by question_id."""

    response_id: str
    submitted: NotRequired[str]
    email: NotRequired[str]
    score: NotRequired[float]
    answers: dict[str, list[str]]


class Responses(Page):
    """What people answered."""

    responses: list[Response]


class ResponseShown(Answer):
    """What somebody answered."""

    response: Response


@reads(*READ, title="Read form")
def get_form(api: Api, form_id: FormId) -> FormShown:
    """Read the questions of a Google form."""
    return show_form(api.get("forms", "forms/{form_id}", form_id=form_id))


@reads(*RESPONSES, title="List answers to a form")
def list_form_responses(
    api: Api,
    form_id: FormId,
    page_size: Annotated[int, Field(ge=1, le=5000)] = 50,
    page_token: PageToken = None,
    submitted_after: Annotated[str | None, Field(description="RFC 3339 in UTC, such as 2026-09-01T00:00:00Z.")] = None,
) -> Responses:
    """List what people answered in a Google form."""
    since = f"timestamp > {submitted_after}" if submitted_after else None
    params = {"pageSize": page_size, "pageToken": page_token, "filter": since}
    found = api.get("forms", "forms/{form_id}/responses", params, form_id=form_id)
    return {"responses": [show_response(item) for item in objects(found, "responses")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*RESPONSES, title="Read an answer to a form")
def get_form_response(
    api: Api, form_id: FormId, response_id: Annotated[str, Field(min_length=1, description="Of list_form_responses.")]
) -> ResponseShown:
    """Read what somebody answered in a Google form."""
    found = api.get("forms", "forms/{form_id}/responses/{response_id}", form_id=form_id, response_id=response_id)
    return {"response": show_response(found)}


@writes(*WRITE, title="Create form")
def create_form(
    api: Api, title: Annotated[str, Field(min_length=1, max_length=300)], document_title: str | None = None
) -> FormShown:
    """Create an empty Google form; add_form_question fills it. `document_title` is its name on Drive."""
    return show_form(api.post("forms", "forms", {"info": given(title=title, documentTitle=document_title)}))


@writes(*WRITE, title="Add question to form")
def add_form_question(
    api: Api,
    form_id: FormId,
    title: Annotated[str, Field(min_length=1, max_length=1000)],
    kind: Kind = "SHORT_ANSWER",
    options: Annotated[list[str] | None, Field(max_length=200, description="Of RADIO, CHECKBOX and DROP_DOWN.")] = None,
    required: bool = False,
    description: str | None = None,
    index: Annotated[int, Field(ge=0, description="Its place; 0 is the first.")] = 0,
) -> Changed:
    """Add a question to a Google form."""
    is_choice = kind in ("RADIO", "CHECKBOX", "DROP_DOWN")
    if is_choice == (not options):
        raise ToolError("RADIO, CHECKBOX and DROP_DOWN have options, the other kinds have none.")
    question: dict[str, Any] = {"required": required}
    if is_choice:
        question["choiceQuestion"] = {"type": kind, "options": [{"value": option} for option in options or []]}
    elif kind in ("DATE", "TIME"):
        question[f"{kind.lower()}Question"] = {}
    else:
        question["textQuestion"] = {"paragraph": kind == "PARAGRAPH"}
    item = given(title=title, description=description, questionItem={"question": question})
    return update(api, form_id, [{"createItem": {"item": item, "location": {"index": index}}}])


@writes(*WRITE, title="Change form", destructive=True)
def batch_update_form(
    api: Api,
    form_id: FormId,
    requests: Annotated[
        list[dict[str, Any]],
        Field(min_length=1, max_length=100, description="Of Forms' batchUpdate: createItem, updateItem, deleteItem, moveItem, …"),
    ],
) -> Changed:
    """Change a Google form by Google's own requests: all of them or none."""
    return update(api, form_id, requests)


# --- parts of them ---


def update(api: Api, form_id: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Change a form."""
    found = api.post("forms", "forms/{form_id}:batchUpdate", {"requests": requests}, form_id=form_id)
    return {"form_id": form_id, "replies": objects(found, "replies")}


def show_form(found: dict[str, Any]) -> dict[str, Any]:
    """A form."""
    info, form_id = part(found, "info"), str(found.get("formId", ""))
    facts = {"description": info.get("description"), "answer_url": found.get("responderUri")}
    return {
        "form_id": form_id,
        "title": str(info.get("title", "")),
        "edit_url": f"https://docs.google.com/forms/d/{form_id}/edit",
        "items": [show_item(item) for item in objects(found, "items")],
    } | compact(facts)


def show_item(item: dict[str, Any]) -> dict[str, Any]:
    """A question, or what stands between them."""
    question = part(part(item, "questionItem"), "question")
    kinds = [name.removesuffix("Question") for name in question if name.endswith("Question")]
    facts = {
        "title": item.get("title"),
        "description": item.get("description"),
        "question_id": question.get("questionId"),
        "kind": next(iter(kinds), None),
        "required": question.get("required"),
        "options": [str(option.get("value", "")) for option in objects(part(question, "choiceQuestion"), "options")],
    }
    return {"item_id": str(item.get("itemId", ""))} | compact(facts)


def show_response(item: dict[str, Any]) -> dict[str, Any]:
    """What somebody answered."""
    answers = {
        name: [str(entry.get("value", "")) for entry in objects(part(answer, "textAnswers"), "answers")]
        for name, answer in part(item, "answers").items()
    }
    facts = {
        "submitted": item.get("lastSubmittedTime") or item.get("createTime"),
        "email": item.get("respondentEmail"),
        "score": item.get("totalScore"),
    }
    return {"response_id": str(item.get("responseId", "")), "answers": answers} | compact(facts)


TOOLS = (get_form, list_form_responses, get_form_response, create_form, add_form_question, batch_update_form)

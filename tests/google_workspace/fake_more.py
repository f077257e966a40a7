"""The fake's Slides, Forms, Meet and Contacts, and what is around the values of its Sheets."""

from __future__ import annotations

from typing import Any

from google_workspace.fake import FakeGoogle, Refusal, Sent, page, patch, serves, take
from google_workspace.fake_files import GOOGLE, SHEETS, add_file, add_sheet, book_of, show_book
from google_workspace.fake_files import room as drive_room

SLIDES, FORMS, MEET, PEOPLE = "slides.presentations.", "forms.forms.", "meet.", "people.people."


# --- slides ---


def decks(fake: FakeGoogle) -> dict[str, Any]:
    """All presentations."""
    return fake.room("slides")


def add_deck(fake: FakeGoogle, title: str) -> str:
    """A presentation with a slide on which a title stands; answers its id."""
    deck = add_file(fake, title, b"", GOOGLE + "presentation", id=fake.new_id("deck"))
    shape = {"shapeType": "TEXT_BOX", "placeholder": {"type": "TITLE"}, "text": said(title)}
    element = {"objectId": fake.new_id("box"), "shape": shape}
    notes = {"pageElements": [{"objectId": "n", "shape": {"placeholder": {"type": "BODY"}, "text": said("Speak up")}}]}
    slide = {"objectId": fake.new_id("slide"), "pageElements": [element], "slideProperties": {"notesPage": notes}}
    decks(fake)[deck] = {"presentationId": deck, "title": title, "slides": [slide]}
    return deck


def said(text: str) -> dict[str, Any]:
    """A text as Slides has it."""
    return {"textElements": [{"paragraphMarker": {}}, {"textRun": {"content": text + "\n"}}]}


def words(element: dict[str, Any]) -> str:
    """What an element says."""
    runs = element["shape"].get("text", {}).get("textElements", [])
    return "".join(item.get("textRun", {}).get("content", "") for item in runs).rstrip("\n")


@serves(SLIDES + "create")
def create_deck(fake: FakeGoogle, sent: Sent) -> Any:
    return decks(fake)[add_deck(fake, sent.body["title"])]


@serves(SLIDES + "get")
def get_deck(fake: FakeGoogle, sent: Sent) -> Any:
    return take(decks(fake), sent.ids["presentationsId"])


@serves(SLIDES + "pages.getThumbnail")
def thumbnail(fake: FakeGoogle, sent: Sent) -> Any:
    deck = take(decks(fake), sent.ids["presentationId"])
    take({slide["objectId"]: slide for slide in deck["slides"]}, sent.ids["pageObjectId"])
    return {"contentUrl": "https://lh3.googleusercontent.com/a", "width": 800, "height": 450}


@serves(SLIDES + "batchUpdate")
def update_deck(fake: FakeGoogle, sent: Sent) -> Any:
    deck = take(decks(fake), sent.ids["presentationId"])
    replies = []
    for request in sent.body["requests"]:
        ((kind, facts),) = request.items()
        replies.append({kind: reply} if (reply := CHANGES[kind](fake, deck, facts)) else {})
    return {"presentationId": deck["presentationId"], "replies": replies}


def find_element(deck: dict[str, Any], object_id: str) -> dict[str, Any]:
    """An element of a slide. Raises Refusal if there is none."""
    for slide in deck["slides"]:
        for element in slide["pageElements"]:
            if element["objectId"] == object_id:
                return element
    raise Refusal(400, "invalidArgument", f"The object ({object_id}) could not be found.")


def create_slide(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    slide = {"objectId": fake.new_id("slide"), "pageElements": []}
    deck["slides"].insert(facts.get("insertionIndex", len(deck["slides"])), slide)
    return {"objectId": slide["objectId"]}


def create_element(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    slides = {slide["objectId"]: slide for slide in deck["slides"]}
    slide = take(slides, facts["elementProperties"]["pageObjectId"])
    element = {"objectId": fake.new_id("box"), "shape": {"shapeType": "TEXT_BOX"}}
    slide["pageElements"].append(element)
    return {"objectId": element["objectId"]}


def insert_words(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    element = find_element(deck, facts["objectId"])
    element["shape"]["text"] = said(facts["text"] + words(element))


def delete_words(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    element = find_element(deck, facts["objectId"])
    if not words(element):
        raise Refusal(400, "invalidArgument", "The startIndex 0 must be less than the endIndex 0.")
    del element["shape"]["text"]


def delete_object(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    gone = facts["objectId"]
    for slide in deck["slides"]:
        slide["pageElements"] = [element for element in slide["pageElements"] if element["objectId"] != gone]
    deck["slides"] = [slide for slide in deck["slides"] if slide["objectId"] != gone]


def replace_words(fake: FakeGoogle, deck: dict[str, Any], facts: dict[str, Any]) -> Any:
    count = 0
    for slide in deck["slides"]:
        for element in slide["pageElements"]:
            text = words(element)
            count += text.count(facts["containsText"]["text"])
            element["shape"]["text"] = said(text.replace(facts["containsText"]["text"], facts["replaceText"]))
    return {"occurrencesChanged": count}


CHANGES: dict[str, Any] = {
    "createSlide": create_slide,
    "createShape": create_element,
    "createImage": create_element,
    "insertText": insert_words,
    "deleteText": delete_words,
    "deleteObject": delete_object,
    "replaceAllText": replace_words,
    "updateTextStyle": lambda fake, deck, facts: find_element(deck, facts["objectId"]) and None,
}


# --- spreadsheets: what is around the values ---


@serves(SHEETS + "create")
def create_book(fake: FakeGoogle, sent: Sent) -> Any:
    names = [sheet["properties"]["title"] for sheet in sent.body.get("sheets", [])] or ["Sheet1"]
    sheet_id = add_sheet(fake, sent.body["properties"]["title"], [], names[0])
    book = drive_room(fake)["sheets"][sheet_id]
    for number, name in enumerate(names[1:], 1):
        book["tabs"].append({"id": number, "title": name})
        book["grids"][name] = {}
    return show_book(fake, sheet_id)


@serves(SHEETS + "batchUpdate")
def update_book(fake: FakeGoogle, sent: Sent) -> Any:
    book = book_of(fake, sent)
    replies = [reshape(book, *next(iter(request.items()))) for request in sent.body["requests"]]
    return {"spreadsheetId": sent.ids["spreadsheetId"], "replies": replies}


def reshape(book: dict[str, Any], kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """One change of a spreadsheet."""
    if kind == "addSheet":
        title = facts["properties"]["title"]
        if title in book["grids"]:
            raise Refusal(400, "badRequest", f"A sheet with the name “{title}” already exists.")
        tab = {"id": len(book["tabs"]) + 10, "title": title}
        book["tabs"].append(tab)
        book["grids"][title] = {}
        return {"addSheet": {"properties": {"sheetId": tab["id"], **facts["properties"]}}}
    if kind == "findReplace":
        return {"findReplace": {"occurrencesChanged": replace_cells(book, facts)}}
    named = facts.get("sheetId", facts.get("range", facts.get("properties", {})))
    number = named if isinstance(named, int) else named.get("sheetId", 0)
    tab = take({str(item["id"]): item for item in book["tabs"]}, str(number))
    if kind == "deleteSheet":
        book["tabs"].remove(tab)
        del book["grids"][tab["title"]]
    if kind == "updateSheetProperties" and "title" in facts["properties"]:
        book["grids"][facts["properties"]["title"]] = book["grids"].pop(tab["title"])
        tab["title"] = facts["properties"]["title"]
    if kind == "sortRange":
        sort_cells(book["grids"][tab["title"]], facts)
    return {}


def sort_cells(grid: dict[tuple[int, int], Any], facts: dict[str, Any]) -> None:
    """Sort the rows of a range."""
    span, (spec,) = facts["range"], facts["sortSpecs"]
    rows, columns = range(span["startRowIndex"], span["endRowIndex"]), range(span["startColumnIndex"], span["endColumnIndex"])
    lines = [[grid.get((row, column), "") for column in columns] for row in rows]
    lines.sort(key=lambda line: str(line[spec["dimensionIndex"] - columns[0]]), reverse=spec["sortOrder"] == "DESCENDING")
    grid |= {
        (row, column): cell for row, line in zip(rows, lines, strict=True) for column, cell in zip(columns, line, strict=True)
    }


def replace_cells(book: dict[str, Any], facts: dict[str, Any]) -> int:
    """Replace a text in all cells; answers how often."""
    count = 0
    for grid in book["grids"].values():
        for place, cell in grid.items():
            if facts["find"] in str(cell):
                count += str(cell).count(facts["find"])
                grid[place] = str(cell).replace(facts["find"], facts["replacement"])
    return count


# --- forms ---


def forms(fake: FakeGoogle) -> dict[str, Any]:
    """Forms' room."""
    return fake.room("forms")


def add_form(fake: FakeGoogle, title: str) -> str:
    """A form with a question and two answers; answers its id."""
    form_id = fake.new_id("form")
    question = {
        "questionId": "q1",
        "required": True,
        "choiceQuestion": {"type": "RADIO", "options": [{"value": "Yes"}, {"value": "No"}]},
    }
    answers = {
        f"resp{number}": {
            "responseId": f"resp{number}", "lastSubmittedTime": f"2026-09-0{number}T00:00:00Z",
            "respondentEmail": "bob@example.com",
            "answers": {"q1": {"questionId": "q1", "textAnswers": {"answers": [{"value": "Yes"}]}}},
        }
        for number in (1, 2)
    }  # fmt: skip
    forms(fake)[form_id] = {
        "form": {
            "formId": form_id, "info": {"title": title, "documentTitle": title}, "responderUri": "https://forms.gle/x",
            "items": [{"itemId": "i1", "title": "Will you come?", "questionItem": {"question": question}}],
        },
        "responses": answers,
    }  # fmt: skip
    return form_id


@serves(FORMS + "create")
def create_form(fake: FakeGoogle, sent: Sent) -> Any:
    form_id = add_form(fake, sent.body["info"]["title"])
    form = forms(fake)[form_id]["form"]
    form["items"] = []
    patch(form["info"], sent.body["info"])
    return form


@serves(FORMS + "get")
def get_form(fake: FakeGoogle, sent: Sent) -> Any:
    return take(forms(fake), sent.ids["formId"])["form"]


@serves(FORMS + "batchUpdate")
def update_form(fake: FakeGoogle, sent: Sent) -> Any:
    form, replies = take(forms(fake), sent.ids["formId"])["form"], []
    for request in sent.body["requests"]:
        if "createItem" in request:
            facts = request["createItem"]
            item = {"itemId": fake.new_id("i"), **facts["item"]}
            form["items"].insert(facts["location"]["index"], item)
            replies.append({"createItem": {"itemId": item["itemId"], "questionId": [fake.new_id("q")]}})
        elif "deleteItem" in request:
            index = request["deleteItem"]["location"]["index"]
            if index >= len(form["items"]):
                raise Refusal(400, "invalidArgument", "Invalid location")
            del form["items"][index]
            replies.append({})
        else:
            replies.append({})
    return {"replies": replies}


@serves(FORMS + "responses.list")
def list_responses(fake: FakeGoogle, sent: Sent) -> Any:
    found = list(take(forms(fake), sent.ids["formId"])["responses"].values())
    since = sent.one("filter").removeprefix("timestamp > ")
    return page(sent, [item for item in found if item["lastSubmittedTime"] > since], "responses", size="pageSize")


@serves(FORMS + "responses.get")
def get_response(fake: FakeGoogle, sent: Sent) -> Any:
    return take(take(forms(fake), sent.ids["formId"])["responses"], sent.ids["responseId"])


# --- meetings ---


def records(fake: FakeGoogle) -> dict[str, Any]:
    """Past meetings: two of them."""
    return fake.room("meet").setdefault(
        "records",
        {
            name: {
                "name": f"conferenceRecords/{name}", "startTime": "2026-09-20T10:00:00Z", "endTime": "2026-09-20T11:00:00Z",
                "space": "spaces/s1",
            }
            for name in ("one", "two")
        },
    )  # fmt: skip


@serves(MEET + "conferenceRecords.list")
def list_records(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(records(fake).values()), "conferenceRecords", size="pageSize")


@serves(MEET + "conferenceRecords.get")
def get_record(fake: FakeGoogle, sent: Sent) -> Any:
    return take(records(fake), sent.ids["conferenceRecordsId"])


def inside(fake: FakeGoogle, sent: Sent, kind: str, *facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What belongs to a past meeting."""
    record = take(records(fake), sent.ids["conferenceRecordsId"])
    return [{"name": f"{record['name']}/{kind}/{number}", **item} for number, item in enumerate(facts)]


@serves(MEET + "conferenceRecords.participants.list")
def list_participants(fake: FakeGoogle, sent: Sent) -> Any:
    users = ({"signedinUser": {"user": "users/1", "displayName": "Bob"}}, {"anonymousUser": {"displayName": "Guest"}})
    times = {"earliestStartTime": "2026-09-20T10:00:00Z", "latestEndTime": "2026-09-20T11:00:00Z"}
    found = inside(fake, sent, "participants", *({**user, **times} for user in users))
    return page(sent, found, "participants", size="pageSize")


@serves(MEET + "conferenceRecords.recordings.list")
def list_recordings(fake: FakeGoogle, sent: Sent) -> Any:
    place = {"file": "file1", "exportUri": "https://drive.google.com/file1"}
    return {"recordings": inside(fake, sent, "recordings", {"state": "FILE_GENERATED", "driveDestination": place})}


@serves(MEET + "conferenceRecords.transcripts.list")
def list_transcripts(fake: FakeGoogle, sent: Sent) -> Any:
    place = {"document": "doc1", "exportUri": "https://docs.google.com/doc1"}
    return {"transcripts": inside(fake, sent, "transcripts", {"state": "FILE_GENERATED", "docsDestination": place})}


@serves(MEET + "conferenceRecords.transcripts.entries.list")
def list_entries(fake: FakeGoogle, sent: Sent) -> Any:
    lines = ({"text": text, "participant": "p", "startTime": "2026-09-20T10:00:00Z"} for text in ("Hello", "Goodbye"))
    return page(sent, inside(fake, sent, "entries", *lines), "transcriptEntries", size="pageSize")


@serves(MEET + "spaces.create")
def create_space(fake: FakeGoogle, sent: Sent) -> Any:
    code = {"meetingUri": "https://meet.google.com/abc-mnop-xyz", "meetingCode": "abc-mnop-xyz"}
    return {"name": fake.new_id("spaces/s"), **code, **sent.body}


# --- contacts ---


def people(fake: FakeGoogle) -> dict[str, Any]:
    """All contacts."""
    return fake.room("people")


def add_person(fake: FakeGoogle, first: str, last: str, email: str) -> str:
    """A contact; answers its resource name."""
    person_id = fake.new_id("c")
    name = {"givenName": first, "familyName": last, "displayName": f"{first} {last}"}
    people(fake)[person_id] = {
        "resourceName": f"people/{person_id}", "etag": "e1", "names": [name], "emailAddresses": [{"value": email}],
        "phoneNumbers": [{"value": "+44 1"}], "organizations": [{"name": "Acme", "title": "Baker"}],
        "birthdays": [{"date": {"month": 2, "day": 29}}],
    }  # fmt: skip
    return f"people/{person_id}"


@serves(PEOPLE + "connections.list")
def list_people(fake: FakeGoogle, sent: Sent) -> Any:
    found = list(people(fake).values())
    return page(sent, found, "connections", size="pageSize") | {"totalPeople": len(found)}


@serves(PEOPLE + "searchContacts")
def search_people(fake: FakeGoogle, sent: Sent) -> Any:
    room = fake.room("people state")
    if not sent.one("query"):
        room["warm"] = True
        return {}
    found = [
        {"person": person}
        for person in people(fake).values()
        if room.get("warm") and sent.one("query").lower() in str(person["names"] + person["emailAddresses"]).lower()
    ]
    return {"results": found[: int(sent.one("pageSize", "10"))]}


@serves(PEOPLE + "get")
def get_person(fake: FakeGoogle, sent: Sent) -> Any:
    return take(people(fake), sent.ids["peopleId"])


@serves(PEOPLE + "createContact")
def create_person(fake: FakeGoogle, sent: Sent) -> Any:
    person_id = fake.new_id("c")
    people(fake)[person_id] = {"resourceName": f"people/{person_id}", "etag": "e1", **sent.body}
    return people(fake)[person_id]


@serves(PEOPLE + "updateContact")
def update_person(fake: FakeGoogle, sent: Sent) -> Any:
    person = take(people(fake), sent.ids["peopleId"])
    if sent.body.get("etag") != person["etag"]:
        raise Refusal(400, "failedPrecondition", "Request person.etag is different than the current person.etag.")
    for name in sent.one("updatePersonFields").split(","):
        person[name] = sent.body.get(name, [])
    return person


@serves(PEOPLE + "deleteContact")
def delete_person(fake: FakeGoogle, sent: Sent) -> Any:
    take(people(fake), sent.ids["peopleId"])
    del people(fake)[sent.ids["peopleId"]]
    return {}

"""The fake's Drive, Docs and Sheets: files, what is in them, who may see them."""

from __future__ import annotations

import re
from typing import Any

from google_workspace.contract import media_of
from google_workspace.fake import ALICE, FakeGoogle, Refusal, Sent, page, patch, serves, take

DRIVE, DOCS, SHEETS = "drive.", "docs.documents.", "sheets.spreadsheets."
GOOGLE = "application/vnd.google-apps."
TABLE, ROW, CELL, BREAK = "\x1c", "\x1d", "\x1e", "\x0c"
OWN = {"owners": [{"emailAddress": ALICE}], "createdTime": "2026-09-01T00:00:00Z", "modifiedTime": "2026-09-20T00:00:00Z"}


def room(fake: FakeGoogle) -> dict[str, Any]:
    """Drive's room."""
    kept = fake.room("drive")
    for name in ("files", "content", "permissions", "revisions", "comments", "docs", "sheets"):
        kept.setdefault(name, {})
    kept.setdefault("drives", {})
    return kept


def add_file(
    fake: FakeGoogle, name: str, content: bytes = b"", mime_type: str = "text/plain", parent: str = "root", **facts: Any
) -> str:
    """A file; answers its id."""
    file_id = facts.pop("id", None) or fake.new_id("file")
    kept = room(fake)
    kept["files"][file_id] = {
        "id": file_id, "name": name, "mimeType": mime_type, "parents": [parent], "trashed": False, "size": str(len(content)),
        "webViewLink": f"https://drive.google.com/file/d/{file_id}/view", **OWN, **facts,
    }  # fmt: skip
    kept["content"][file_id] = content
    kept["permissions"][file_id] = {"p1": {"id": "p1", "role": "owner", "type": "user", "emailAddress": ALICE}}
    kept["revisions"][file_id] = [
        {"id": f"rev{number}", "modifiedTime": f"2026-09-0{number}T00:00:00Z", "lastModifyingUser": {"emailAddress": ALICE}}
        for number in (1, 2)
    ]
    kept["comments"][file_id] = {}
    return file_id


def file_of(fake: FakeGoogle, sent: Sent) -> dict[str, Any]:
    """The file that a path names."""
    return take(room(fake)["files"], sent.ids["fileId"])


# --- files ---


def fits(fake: FakeGoogle, file: dict[str, Any], query: str) -> bool:
    """Whether a query in Drive's language finds a file."""
    content = room(fake)["content"].get(file["id"], b"").decode(errors="replace").lower()
    for value, name in re.findall(r"'((?:[^'\\]|\\.)*)' in (\w+)", query):
        if value not in file[name]:
            return False
    for name, sign, value in re.findall(r"(\w+) (contains|!?=) '((?:[^'\\]|\\.)*)'", query):
        text = {"name": file["name"], "fullText": file["name"] + content, "mimeType": file["mimeType"]}[name]
        plain = re.sub(r"\\(.)", r"\1", value)
        if not {"=": text == plain, "!=": text != plain, "contains": plain.lower() in text.lower()}[sign]:
            return False
    return "trashed = false" not in query or not file["trashed"]


@serves(DRIVE + "files.list")
def list_files(fake: FakeGoogle, sent: Sent) -> Any:
    found = [file for file in room(fake)["files"].values() if fits(fake, file, sent.one("q"))]
    if sent.one("driveId"):
        found = [file for file in found if file.get("driveId") == sent.one("driveId")]
    return page(sent, found, "files", size="pageSize")


ROOT = "0AROOT"  # what `root` stands for


@serves(DRIVE + "files.get")
def get_file(fake: FakeGoogle, sent: Sent) -> Any:
    if sent.ids["fileId"] == "root":
        return {"id": ROOT, "name": "My Drive", "mimeType": GOOGLE + "folder"}
    file = file_of(fake, sent)
    if sent.one("alt") != "media":
        return file
    if file["mimeType"].startswith(GOOGLE):
        raise Refusal(403, "fileNotDownloadable", "Only files with binary content can be downloaded.")
    return room(fake)["content"][file["id"]]


@serves(DRIVE + "files.export")
def export(fake: FakeGoogle, sent: Sent) -> Any:
    file = file_of(fake, sent)
    if not file["mimeType"].startswith(GOOGLE):
        raise Refusal(403, "fileNotExportable", "Export only supports Docs Editors files.")
    kept = room(fake)
    text = plain_of(kept["docs"][file["id"]]) if file["id"] in kept["docs"] else "a,b\n1,2\n"
    if file["mimeType"] == GOOGLE + "presentation":
        text = "slides"
    kind = sent.one("mimeType")
    return text.encode() if kind.startswith("text/") else f"%{kind} {text}".encode() + b"\xff\x00"


@serves(DRIVE + "files.create")
def create_file(fake: FakeGoogle, sent: Sent) -> Any:
    body, kind, content = sent.body, "", b""
    if sent.form is not None:
        body, kind, content = media_of(sent.form, sent.headers["Content-Type"])
    parents = body.get("parents", ["root"])
    if parents[0] != "root":
        take(room(fake)["files"], parents[0])
    facts = {name: value for name, value in body.items() if name not in ("name", "mimeType", "parents")}
    made = add_file(fake, body.get("name", "Untitled"), content, body.get("mimeType") or kind, parents[0], **facts)
    if body.get("mimeType") == GOOGLE + "document":
        room(fake)["docs"][made] = {"title": body["name"], "body": content.decode() + "\n"}
    return room(fake)["files"][made]


@serves(DRIVE + "files.update")
def update_file(fake: FakeGoogle, sent: Sent) -> Any:
    file, body = file_of(fake, sent), sent.body
    if sent.form is not None:
        body, kind, content = media_of(sent.form, sent.headers["Content-Type"])
        room(fake)["content"][file["id"]] = content
        file |= {"mimeType": kind, "size": str(len(content))}
    added, removed = (sent.one(name).replace("root", ROOT).split(",") for name in ("addParents", "removeParents"))
    file["parents"] = [name for name in dict.fromkeys([*file["parents"], *added]) if name and name not in removed]
    return patch(file, dict(body))


@serves(DRIVE + "files.copy")
def copy_file(fake: FakeGoogle, sent: Sent) -> Any:
    file = file_of(fake, sent)
    content = room(fake)["content"][file["id"]]
    parent = sent.body.get("parents", file["parents"])[0]
    made = add_file(fake, sent.body.get("name", f"Copy of {file['name']}"), content, file["mimeType"], parent)
    return room(fake)["files"][made]


@serves(DRIVE + "files.delete")
def delete_file(fake: FakeGoogle, sent: Sent) -> Any:
    del room(fake)["files"][file_of(fake, sent)["id"]]


@serves(DRIVE + "permissions.list")
def list_permissions(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(room(fake)["permissions"][file_of(fake, sent)["id"]].values()), "permissions", size="pageSize")


@serves(DRIVE + "permissions.create")
def create_permission(fake: FakeGoogle, sent: Sent) -> Any:
    rule = {**sent.body, "id": fake.new_id("p")}
    room(fake)["permissions"][file_of(fake, sent)["id"]][rule["id"]] = rule
    return rule


@serves(DRIVE + "permissions.update")
def update_permission(fake: FakeGoogle, sent: Sent) -> Any:
    return patch(take(room(fake)["permissions"][file_of(fake, sent)["id"]], sent.ids["permissionId"]), dict(sent.body))


@serves(DRIVE + "permissions.delete")
def delete_permission(fake: FakeGoogle, sent: Sent) -> Any:
    rules = room(fake)["permissions"][file_of(fake, sent)["id"]]
    take(rules, sent.ids["permissionId"])
    del rules[sent.ids["permissionId"]]


@serves(DRIVE + "revisions.list")
def list_revisions(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, room(fake)["revisions"][file_of(fake, sent)["id"]], "revisions", size="pageSize")


@serves(DRIVE + "comments.list")
def list_comments(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(room(fake)["comments"][file_of(fake, sent)["id"]].values()), "comments", size="pageSize")


@serves(DRIVE + "comments.create")
def create_comment(fake: FakeGoogle, sent: Sent) -> Any:
    made = {"author": {"displayName": "Alice"}, "createdTime": "2026-09-21T00:00:00Z", "replies": [], **sent.body}
    made["id"] = fake.new_id("comment")
    room(fake)["comments"][file_of(fake, sent)["id"]][made["id"]] = made
    return made


@serves(DRIVE + "replies.create")
def create_reply(fake: FakeGoogle, sent: Sent) -> Any:
    comment = take(room(fake)["comments"][file_of(fake, sent)["id"]], sent.ids["commentId"])
    made = {"author": {"displayName": "Alice"}, **sent.body, "id": fake.new_id("reply")}
    comment["replies"].append(made)
    if sent.body.get("action") == "resolve":
        comment["resolved"] = True
    return made


@serves(DRIVE + "drives.list")
def list_drives(fake: FakeGoogle, sent: Sent) -> Any:
    return page(sent, list(room(fake)["drives"].values()), "drives", size="pageSize")


# --- documents: a text in which tables, rows and cells begin with a letter of their own, as Google counts them ---


def add_doc(fake: FakeGoogle, title: str, text: str = "") -> str:
    """A document; answers its id."""
    doc_id = add_file(fake, title, text.encode(), GOOGLE + "document", id=fake.new_id("doc"))
    room(fake)["docs"][doc_id] = {"title": title, "body": text + "\n"}
    return doc_id


def plain_of(doc: dict[str, Any]) -> str:
    """What a document says."""
    return re.sub(f"[{TABLE}{ROW}{CELL}{BREAK}]", "", doc["body"])


def elements(body: str, start: int) -> list[dict[str, Any]]:
    """Structural elements of a text that begins at some place."""
    found: list[dict[str, Any]] = []
    at = 0
    while at < len(body):
        if body[at] == TABLE:
            rows = body[at + 1 :].partition(TABLE)[0]
            found.append({"startIndex": start + at, "endIndex": start + at + len(rows) + 2, "table": table(rows, start + at + 1)})
            at += len(rows) + 2
            continue
        line = re.match(rf"[^\n{TABLE}]*\n?", body[at:])[0]  # type: ignore[index]
        run = {"startIndex": start + at, "endIndex": start + at + len(line), "textRun": {"content": line}}
        style = {"namedStyleType": "NORMAL_TEXT"}
        paragraph = {"elements": [run], "paragraphStyle": style}
        found.append({"startIndex": start + at, "endIndex": start + at + len(line), "paragraph": paragraph})
        at += len(line)
    return found


def table(rows: str, start: int) -> dict[str, Any]:
    """A table."""
    made: list[dict[str, Any]] = []
    at = start
    for row in rows.split(ROW)[1:]:
        at += 1
        cells: list[dict[str, Any]] = []
        for cell in row.split(CELL)[1:]:
            cells.append({"startIndex": at, "endIndex": at + 1 + len(cell), "content": elements(cell, at + 1)})
            at += 1 + len(cell)
        made.append({"tableCells": cells})
    return {"rows": len(made), "columns": len(made[0]["tableCells"]) if made else 0, "tableRows": made}


def doc_of(fake: FakeGoogle, sent: Sent) -> dict[str, Any]:
    """The document that a path names."""
    return take(room(fake)["docs"], sent.ids["documentId"])


@serves(DOCS + "create")
def create_doc(fake: FakeGoogle, sent: Sent) -> Any:
    doc_id = add_doc(fake, sent.body["title"])
    return {"documentId": doc_id, "title": sent.body["title"], "body": {"content": elements("\n", 1)}}


@serves(DOCS + "get")
def get_doc(fake: FakeGoogle, sent: Sent) -> Any:
    doc = doc_of(fake, sent)
    found: dict[str, Any] = {"documentId": sent.ids["documentId"], "title": doc["title"]}
    content = {"content": elements(doc["body"], 1)}
    if sent.one("includeTabsContent") != "true":
        return found | {"body": content}
    tabs = [{"tabProperties": {"tabId": "t.0", "title": "Main"}, "documentTab": {"body": content}}]
    for index, text in enumerate(doc.get("tabs", [])):
        names = {"tabId": f"t.{index + 1}", "title": f"Tab {index + 2}"}
        tabs.append({"tabProperties": names, "documentTab": {"body": {"content": elements(text, 1)}}})
    return found | {"tabs": tabs}


@serves(DOCS + "batchUpdate")
def update_doc(fake: FakeGoogle, sent: Sent) -> Any:
    doc = doc_of(fake, sent)
    text, replies = doc["body"], []
    for request in sent.body["requests"]:
        ((kind, facts),) = request.items()
        text, reply = EDITS.get(kind, lambda text, facts: (text, {}))(text, facts)
        replies.append(reply)
    doc["body"] = text
    return {"documentId": sent.ids["documentId"], "replies": replies}


def place_of(text: str, facts: dict[str, Any]) -> int:
    """Where in a text something shall go. Raises Refusal for what lies outside."""
    if "endOfSegmentLocation" in facts:
        return len(text) - 1
    index = facts["location"]["index"] - 1
    if not 0 <= index < len(text) or text[index] in (ROW, CELL):
        raise Refusal(400, "invalidArgument", f"Index {index + 1} must be less than the end index of the referenced segment")
    return index


def insert_text(text: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    at = place_of(text, facts)
    return text[:at] + facts["text"] + text[at:], {}


def delete_range(text: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    span = facts["range"]
    if span["endIndex"] > len(text):
        raise Refusal(400, "invalidArgument", "The range should not include the last newline.")
    return text[: span["startIndex"] - 1] + text[span["endIndex"] - 1 :], {}


def replace_all(text: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    flags = 0 if facts["containsText"].get("matchCase") else re.IGNORECASE
    new, count = re.subn(re.escape(facts["containsText"]["text"]), lambda _: facts["replaceText"], text, flags=flags)
    return new, {"replaceAllText": {"occurrencesChanged": count}}


def insert_table(text: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    at = place_of(text, facts)
    row = ROW + (CELL + "\n") * facts["columns"]
    return text[:at] + "\n" + TABLE + row * facts["rows"] + TABLE + text[at:], {}


def insert_break(text: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    at = place_of(text, facts)
    return text[:at] + BREAK + "\n" + text[at:], {}


EDITS = {
    "insertText": insert_text,
    "deleteContentRange": delete_range,
    "replaceAllText": replace_all,
    "insertTable": insert_table,
    "insertPageBreak": insert_break,
}


# --- spreadsheets ---


def add_sheet(fake: FakeGoogle, title: str, rows: list[list[Any]], name: str = "Sheet1") -> str:
    """A spreadsheet with one sheet; answers its id."""
    sheet_id = add_file(fake, title, b"", GOOGLE + "spreadsheet", id=fake.new_id("sheet"))
    grid = {(row, column): cell for row, line in enumerate(rows) for column, cell in enumerate(line)}
    room(fake)["sheets"][sheet_id] = {"title": title, "tabs": [{"id": 0, "title": name}], "grids": {name: grid}}
    return sheet_id


def book_of(fake: FakeGoogle, sent: Sent) -> dict[str, Any]:
    """The spreadsheet that a path names."""
    return take(room(fake)["sheets"], sent.ids["spreadsheetId"])


def show_book(fake: FakeGoogle, sheet_id: str) -> dict[str, Any]:
    """A spreadsheet as Google has it."""
    book = room(fake)["sheets"][sheet_id]
    tabs = [
        {"properties": {"sheetId": tab["id"], "title": tab["title"], "gridProperties": {"rowCount": 1000, "columnCount": 26}}}
        for tab in book["tabs"]
    ]
    url = f"https://docs.google.com/spreadsheets/d/{sheet_id}/edit"
    return {"spreadsheetId": sheet_id, "spreadsheetUrl": url, "properties": {"title": book["title"]}, "sheets": tabs}


def column_of(letters: str) -> int:
    """The number of a column."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def read_range(book: dict[str, Any], text: str) -> tuple[str, int, int, int, int]:
    """(sheet, first row, first column, last row, last column) of a range. Raises Refusal for what is none."""
    match = re.fullmatch(r"(?:'?([^'!]+)'?!)?([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?", text)
    names = [tab["title"] for tab in book["tabs"]]
    if match is None:
        if text not in names:
            raise Refusal(400, "badRequest", f"Unable to parse range: {text}")
        return text, 0, 0, 999, 25
    name = match[1] or names[0]
    if name not in names:
        raise Refusal(400, "badRequest", f"Unable to parse range: {text}")
    first_row, first_column = int(match[3]) - 1, column_of(match[2])
    last_row = int(match[5]) - 1 if match[5] else first_row
    return name, first_row, first_column, last_row, column_of(match[4]) if match[4] else first_column


def values_of(book: dict[str, Any], text: str) -> dict[str, Any]:
    """The values of a range, without what is empty at the end."""
    name, top, left, bottom, right = read_range(book, text)
    grid = book["grids"][name]
    rows = [[grid.get((row, column), "") for column in range(left, right + 1)] for row in range(top, bottom + 1)]
    for row in rows:
        while row and row[-1] == "":
            row.pop()
    while rows and not rows[-1]:
        rows.pop()
    return {"range": text, "majorDimension": "ROWS", "values": rows}


def write(book: dict[str, Any], text: str, rows: list[list[Any]]) -> dict[str, Any]:
    """Write values into a range."""
    name, top, left, _, _ = read_range(book, text)
    for row, line in enumerate(rows):
        for column, cell in enumerate(line):
            book["grids"][name][top + row, left + column] = cell
    return {
        "updatedRange": text,
        "updatedRows": len(rows),
        "updatedCells": sum(map(len, rows)),
        "updatedColumns": max(map(len, rows)),
    }


@serves(SHEETS + "get")
def get_book(fake: FakeGoogle, sent: Sent) -> Any:
    book_of(fake, sent)
    return show_book(fake, sent.ids["spreadsheetId"])


@serves(SHEETS + "values.get")
def get_values(fake: FakeGoogle, sent: Sent) -> Any:
    return values_of(book_of(fake, sent), sent.ids["range"])


@serves(SHEETS + "values.batchGet")
def batch_get(fake: FakeGoogle, sent: Sent) -> Any:
    book = book_of(fake, sent)
    return {"spreadsheetId": sent.ids["spreadsheetId"], "valueRanges": [values_of(book, text) for text in sent.many("ranges")]}


@serves(SHEETS + "values.update")
def update_values(fake: FakeGoogle, sent: Sent) -> Any:
    if not sent.one("valueInputOption"):
        raise Refusal(400, "badRequest", "'valueInputOption' is required but not specified")
    return write(book_of(fake, sent), sent.ids["range"], sent.body["values"])


@serves(SHEETS + "values.clear")
def clear_values(fake: FakeGoogle, sent: Sent) -> Any:
    book = book_of(fake, sent)
    name, top, left, bottom, right = read_range(book, sent.ids["range"])
    for row, column in list(book["grids"][name]):
        if top <= row <= bottom and left <= column <= right:
            del book["grids"][name][row, column]
    return {"clearedRange": sent.ids["range"]}


@serves(SHEETS + "values.append")
def append_values(fake: FakeGoogle, sent: Sent) -> Any:
    book = book_of(fake, sent)
    name = read_range(book, sent.ids["range"])[0]
    row = max((row for row, _ in book["grids"][name]), default=-1) + 2
    return {"updates": write(book, f"{name}!A{row}", sent.body["values"])}


@serves(SHEETS + "values.batchUpdate")
def batch_update_values(fake: FakeGoogle, sent: Sent) -> Any:
    done = [write(book_of(fake, sent), item["range"], item["values"]) for item in sent.body["data"]]
    return {"totalUpdatedCells": sum(item["updatedCells"] for item in done), "responses": done}

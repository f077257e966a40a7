"""Sheets tools for what is around the values: spreadsheets, sheets, formats, order, find and replace, checks of what is typed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Done, writes
from connectors.google_workspace.docs import Color, Replaced, read_color
from connectors.google_workspace.sheets import WRITE, SheetTab, Spreadsheet, SpreadsheetId, show_spreadsheet, show_tab
from errors import ToolError
from fitting import Answer

SheetId = Annotated[int, Field(ge=0, description="sheet_id of get_spreadsheet_info.")]
TabTitle = Annotated[str, Field(min_length=1, max_length=100)]
GridRange = Annotated[str, Field(pattern=r"^[A-Za-z]{1,3}[0-9]{0,7}(:[A-Za-z]{1,3}[0-9]{0,7})?$", description="Such as A1:C10.")]


class TabMade(Answer):
    """The sheet."""

    sheet: SheetTab


@writes(*WRITE, title="Create spreadsheet")
def create_spreadsheet(
    api: Api,
    title: Annotated[str, Field(min_length=1, max_length=1000)],
    sheet_titles: Annotated[list[TabTitle] | None, Field(max_length=50)] = None,
) -> Spreadsheet:
    """Create a spreadsheet with one or more sheets."""
    sheets = [{"properties": {"title": name}} for name in sheet_titles] if sheet_titles else None
    return show_spreadsheet(api.post("sheets", "spreadsheets", given(properties={"title": title}, sheets=sheets)))


@writes(*WRITE, title="Add sheet")
def add_sheet(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    title: TabTitle,
    rows: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    columns: Annotated[int, Field(ge=1, le=1000)] = 26,
) -> TabMade:
    """Add a sheet to a spreadsheet."""
    properties = {"title": title, "gridProperties": {"rowCount": rows, "columnCount": columns}}
    answer = update(api, spreadsheet_id, [{"addSheet": {"properties": properties}}])
    reply = next(iter(objects(answer, "replies")), {})
    return {"sheet": show_tab(part(part(reply, "addSheet"), "properties"))}


@writes(*WRITE, title="Rename, move or hide sheet", destructive=True, idempotent=True)
def update_sheet(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    sheet_id: SheetId,
    title: TabTitle | None = None,
    index: Annotated[int | None, Field(ge=0, description="Its place among the sheets.")] = None,
    hidden: bool | None = None,
    frozen_rows: Annotated[int | None, Field(ge=0, le=100)] = None,
    frozen_columns: Annotated[int | None, Field(ge=0, le=100)] = None,
) -> Done:
    """Rename, move or hide a sheet, or keep its first rows and columns in sight."""
    frozen = given(frozenRowCount=frozen_rows, frozenColumnCount=frozen_columns)
    properties = given(title=title, index=index, hidden=hidden)
    names = [*properties, *(f"gridProperties.{name}" for name in frozen)]
    if not names:
        raise ToolError("Name what shall change.")
    properties |= {"gridProperties": frozen} if frozen else {}
    request = {"properties": {"sheetId": sheet_id, **properties}, "fields": ",".join(names)}
    update(api, spreadsheet_id, [{"updateSheetProperties": request}])
    return {"done": f"Changed sheet {sheet_id}."}


@writes(*WRITE, title="Delete sheet", destructive=True, idempotent=True)
def delete_sheet(api: Api, spreadsheet_id: SpreadsheetId, sheet_id: SheetId) -> Done:
    """Delete a sheet with all that is on it."""
    update(api, spreadsheet_id, [{"deleteSheet": {"sheetId": sheet_id}}])
    return {"done": f"Deleted sheet {sheet_id}."}


@writes(*WRITE, title="Format cells", destructive=True, idempotent=True)
def format_sheet_range(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    sheet_id: SheetId,
    range: GridRange,
    bold: bool | None = None,
    italic: bool | None = None,
    font_size: Annotated[int | None, Field(ge=1, le=400)] = None,
    text_color: Color = None,
    background_color: Color = None,
    horizontal_alignment: Literal["LEFT", "CENTER", "RIGHT"] | None = None,
    wrap: Literal["OVERFLOW_CELL", "CLIP", "WRAP"] | None = None,
    number_format: Annotated[str | None, Field(max_length=100, description="Such as #,##0.00 or yyyy-mm-dd.")] = None,
) -> Done:
    """Format the cells of a range: letters, colours, numbers."""
    letters = given(
        bold=bold,
        italic=italic,
        fontSize=font_size,
        foregroundColorStyle={"rgbColor": read_color(text_color)} if text_color else None,
    )
    style = given(
        textFormat=letters or None,
        backgroundColorStyle={"rgbColor": read_color(background_color)} if background_color else None,
        horizontalAlignment=horizontal_alignment,
        wrapStrategy=wrap,
        numberFormat={"type": kind_of(number_format), "pattern": number_format} if number_format else None,
    )
    if not style:
        raise ToolError("Name what shall change.")
    names = [name for name in style if name != "textFormat"] + [f"textFormat.{name}" for name in letters]
    fields = ",".join(f"userEnteredFormat.{name}" for name in names)
    request = {"range": grid_of(sheet_id, range), "cell": {"userEnteredFormat": style}, "fields": fields}
    update(api, spreadsheet_id, [{"repeatCell": request}])
    return {"done": f"Formatted {range}."}


@writes(*WRITE, title="Merge cells", destructive=True)
def merge_sheet_cells(
    api: Api, spreadsheet_id: SpreadsheetId, sheet_id: SheetId, range: GridRange, unmerge: bool = False
) -> Done:
    """Make one cell of a range, or several of one again. Only the first cell's value stays."""
    grid = grid_of(sheet_id, range)
    request = {"unmergeCells": {"range": grid}} if unmerge else {"mergeCells": {"range": grid, "mergeType": "MERGE_ALL"}}
    update(api, spreadsheet_id, [request])
    return {"done": f"{'Unmerged' if unmerge else 'Merged'} {range}."}


@writes(*WRITE, title="Sort rows", destructive=True, idempotent=True)
def sort_sheet_range(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    sheet_id: SheetId,
    range: GridRange,
    column: Annotated[str, Field(pattern="^[A-Za-z]{1,3}$", description="By which the rows are sorted.")],
    descending: bool = False,
) -> Done:
    """Sort the rows of a range by one column."""
    spec = {"dimensionIndex": column_of(column), "sortOrder": "DESCENDING" if descending else "ASCENDING"}
    update(api, spreadsheet_id, [{"sortRange": {"range": grid_of(sheet_id, range), "sortSpecs": [spec]}}])
    return {"done": f"Sorted {range} by column {column}."}


@writes(*WRITE, title="Delete rows or columns", destructive=True)
def delete_sheet_rows_or_columns(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    sheet_id: SheetId,
    dimension: Literal["ROWS", "COLUMNS"],
    start: Annotated[int, Field(ge=1, description="The first of them; 1 is row 1 or column A.")],
    count: Annotated[int, Field(ge=1, le=10_000)] = 1,
) -> Done:
    """Delete rows or columns with all that is in them; what follows moves up."""
    span = {"sheetId": sheet_id, "dimension": dimension, "startIndex": start - 1, "endIndex": start - 1 + count}
    update(api, spreadsheet_id, [{"deleteDimension": {"range": span}}])
    return {"done": f"Deleted {count} {dimension.lower()} from {start} on."}


@writes(*WRITE, title="Find and replace in a spreadsheet", destructive=True)
def find_replace_sheet(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    find: Annotated[str, Field(min_length=1)],
    replace: str,
    sheet_id: Annotated[int | None, Field(ge=0, description="Only on this sheet.")] = None,
    match_case: bool = False,
    whole_cell: bool = False,
) -> Replaced:
    """Replace a text in the cells of a spreadsheet."""
    where: dict[str, Any] = {"allSheets": True} if sheet_id is None else {"sheetId": sheet_id}
    request = {"find": find, "replacement": replace, "matchCase": match_case, "matchEntireCell": whole_cell, **where}
    answer = update(api, spreadsheet_id, [{"findReplace": request}])
    count = sum(int(part(reply, "findReplace").get("occurrencesChanged") or 0) for reply in objects(answer, "replies"))
    return {"done": f"Replaced “{find[:80]}” {count} times.", "occurrences": count}


@writes(*WRITE, title="Check what is typed", destructive=True, idempotent=True)
def set_sheet_validation(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    sheet_id: SheetId,
    range: GridRange,
    choices: Annotated[list[str], Field(min_length=1, max_length=500, description="What may be typed; a drop-down.")],
    strict: Annotated[bool, Field(description="True: anything else is refused; false: it is marked.")] = True,
) -> Done:
    """Let the cells of a range take only some values."""
    condition = {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": choice} for choice in choices]}
    rule = {"condition": condition, "strict": strict, "showCustomUi": True}
    update(api, spreadsheet_id, [{"setDataValidation": {"range": grid_of(sheet_id, range), "rule": rule}}])
    return {"done": f"{range} takes one of {len(choices)} values."}


# --- parts of them ---


def update(api: Api, spreadsheet_id: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Change a spreadsheet: all of it or nothing."""
    path = "spreadsheets/{spreadsheet_id}:batchUpdate"
    return api.post("sheets", path, {"requests": requests}, spreadsheet_id=spreadsheet_id)


def column_of(letters: str) -> int:
    """The number of a column: A is 0."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def grid_of(sheet_id: int, text: str) -> dict[str, int]:
    """A range such as A1:C10 as Google counts: from 0, the end not included; what is not said is not bounded."""
    first, _, last = text.partition(":")
    (left, top), (right, bottom) = split_cell(first), split_cell(last or first)
    if column_of(right) < column_of(left) or (top and bottom and bottom < top):
        raise ToolError(f"{text} ends before it begins.")
    return {"sheetId": sheet_id} | given(
        startRowIndex=top - 1 if top else None,
        endRowIndex=bottom,
        startColumnIndex=column_of(left),
        endColumnIndex=column_of(right) + 1,
    )


def split_cell(text: str) -> tuple[str, int | None]:
    """The column and the row of a cell such as B7."""
    match = re.fullmatch(r"([A-Za-z]+)([0-9]*)", text)
    if match is None or match[2] == "0":
        raise ToolError(f"“{text}” is no cell.")
    return match[1], int(match[2]) if match[2] else None


def kind_of(pattern: str) -> str:
    """The kind of a number format."""
    if re.search(r"[yd]|mmm", pattern):
        return "DATE_TIME" if re.search(r"h", pattern) else "DATE"
    return "PERCENT" if "%" in pattern else "NUMBER"


TOOLS = (
    create_spreadsheet,
    add_sheet,
    update_sheet,
    delete_sheet,
    format_sheet_range,
    merge_sheet_cells,
    sort_sheet_range,
    delete_sheet_rows_or_columns,
    find_replace_sheet,
    set_sheet_validation,
)

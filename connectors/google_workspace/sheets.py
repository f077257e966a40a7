"""Sheets tools for values: read, change, append; several ranges at once; which spreadsheets there are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, Request, objects, part
from connectors.google_workspace.declare import PageSize, PageToken, reads, writes
from connectors.google_workspace.drive import READ as DRIVE_READ
from connectors.google_workspace.drive import Files, list_files, literal
from errors import ToolError
from fitting import Answer, compact

READ = ("spreadsheets.readonly", "spreadsheets")
WRITE = ("spreadsheets",)

SpreadsheetId = Annotated[str, Field(min_length=1, max_length=200, description="The part of its address behind /d/.")]
Range = Annotated[str, Field(min_length=1, max_length=500, description="A1 notation: Sheet1!A1:C10, or Sheet1.")]
Cell = str | int | float | bool | None
Rows = Annotated[list[list[Cell]], Field(max_length=5000, description="Row by row.")]
InputOption = Annotated[
    Literal["RAW", "USER_ENTERED"], Field(description="USER_ENTERED reads formulas and dates as if they were typed.")
]
Render = Annotated[
    Literal["FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"], Field(description="As it looks, as it is, or its formula.")
]


class SheetTab(TypedDict):
    """A sheet of a spreadsheet."""

    sheet_id: int
    title: str
    rows: NotRequired[int]
    columns: NotRequired[int]
    hidden: NotRequired[bool]


class Spreadsheet(Answer):
    """A spreadsheet and its sheets."""

    spreadsheet_id: str
    title: str
    url: NotRequired[str]
    time_zone: NotRequired[str]
    sheets: list[SheetTab]


class Values(Answer):
    """The values of a range; empty rows and cells at the end are left out."""

    range: str
    values: list[list[Any]]


class ManyValues(Answer):
    """The values of several ranges."""

    ranges: list[Values]


class Written(Answer):
    """What was written."""

    range: str
    rows: NotRequired[int]
    columns: NotRequired[int]
    cells: NotRequired[int]
    cleared: NotRequired[bool]


class ManyWritten(Answer):
    """What was written in several ranges."""

    cells: int
    ranges: list[Written]


class RangeValues(TypedDict):
    """What to write where."""

    range: Range
    values: Rows


@reads(*DRIVE_READ, title="List spreadsheets")
def list_spreadsheets(
    api: Api,
    page_size: PageSize = 25,
    page_token: PageToken = None,
    name_contains: Annotated[str | None, Field(max_length=200)] = None,
) -> Files:
    """List spreadsheets on Drive, the last changed first."""
    wanted = "mimeType = 'application/vnd.google-apps.spreadsheet' and trashed = false"
    if name_contains:
        wanted += f" and name contains {literal(name_contains)}"
    return list_files(api, wanted, page_size, page_token, order_by="modifiedTime desc")


@reads(*READ, title="Describe spreadsheet")
def get_spreadsheet_info(api: Api, spreadsheet_id: SpreadsheetId) -> Spreadsheet:
    """Say which sheets a spreadsheet has, and how large they are."""
    params = {"fields": "spreadsheetId,spreadsheetUrl,properties(title,timeZone),sheets(properties)"}
    return show_spreadsheet(api.get("sheets", "spreadsheets/{spreadsheet_id}", params, spreadsheet_id=spreadsheet_id))


@reads(*READ, title="Read cells", core=True)
def read_sheet_values(
    api: Api, spreadsheet_id: SpreadsheetId, range_name: Range = "A1:Z1000", value_render: Render = "FORMATTED_VALUE"
) -> Values:
    """Read the values of a range of a Google sheet."""
    path, params = "spreadsheets/{spreadsheet_id}/values/{range}", {"valueRenderOption": value_render}
    return show_values(api.get("sheets", path, params, spreadsheet_id=spreadsheet_id, range=range_name))


@reads(*READ, title="Read several ranges")
def batch_get_sheet_values(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    ranges: Annotated[list[Range], Field(min_length=1, max_length=50)],
    value_render: Render = "FORMATTED_VALUE",
) -> ManyValues:
    """Read the values of several ranges of a Google sheet at once."""
    params = {"ranges": ranges, "valueRenderOption": value_render}
    found = api.get("sheets", "spreadsheets/{spreadsheet_id}/values:batchGet", params, spreadsheet_id=spreadsheet_id)
    return {"ranges": [show_values(item) for item in objects(found, "valueRanges")]}


@writes(*WRITE, title="Change cells", core=True, destructive=True, idempotent=True)
def modify_sheet_values(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    range_name: Range,
    values: Rows | None = None,
    value_input_option: InputOption = "USER_ENTERED",
    clear_values: Annotated[bool, Field(description="True: first make the range empty.")] = False,
) -> Written:
    """Write values into a range of a Google sheet, or make it empty. What stands there is overwritten."""
    ids = {"spreadsheet_id": spreadsheet_id, "range": range_name}
    if values is None and not clear_values:
        raise ToolError("Give values to write, or clear_values.")
    if clear_values:
        found = api.post("sheets", "spreadsheets/{spreadsheet_id}/values/{range}:clear", {}, **ids)
        if values is None:
            return {"range": str(found.get("clearedRange", range_name)), "cleared": True}
    params, body = {"valueInputOption": value_input_option}, {"range": range_name, "values": values}
    return show_written(api.send(Request("PUT", "sheets", "spreadsheets/{spreadsheet_id}/values/{range}", ids, params, body)))


@writes(*WRITE, title="Append rows", core=True)
def append_sheet_rows(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    range_name: Annotated[str, Field(min_length=1, description="The table to which the rows go: its sheet, or a part of it.")],
    values: Rows,
    value_input_option: InputOption = "USER_ENTERED",
    insert_data_option: Annotated[
        Literal["OVERWRITE", "INSERT_ROWS"], Field(description="Whether what stands below moves down.")
    ] = "INSERT_ROWS",
) -> Written:
    """Add rows behind the last row of a table in a Google sheet."""
    params = {"valueInputOption": value_input_option, "insertDataOption": insert_data_option}
    path = "spreadsheets/{spreadsheet_id}/values/{range}:append"
    found = api.post("sheets", path, {"values": values}, params, spreadsheet_id=spreadsheet_id, range=range_name)
    return show_written(part(found, "updates"))


@writes(*WRITE, title="Change several ranges", destructive=True, idempotent=True)
def batch_update_sheet_values(
    api: Api,
    spreadsheet_id: SpreadsheetId,
    data: Annotated[list[RangeValues], Field(min_length=1, max_length=100)],
    value_input_option: InputOption = "USER_ENTERED",
) -> ManyWritten:
    """Write values into several ranges of a Google sheet at once."""
    body = {"valueInputOption": value_input_option, "data": data}
    found = api.post("sheets", "spreadsheets/{spreadsheet_id}/values:batchUpdate", body, spreadsheet_id=spreadsheet_id)
    written = [show_written(item) for item in objects(found, "responses")]
    return {"cells": int(found.get("totalUpdatedCells") or 0), "ranges": written}


# --- Google's objects as shapes ---


def show_spreadsheet(found: dict[str, Any]) -> dict[str, Any]:
    """A spreadsheet and its sheets."""
    properties = part(found, "properties")
    facts = {"url": found.get("spreadsheetUrl"), "time_zone": properties.get("timeZone")}
    shown = {"spreadsheet_id": str(found.get("spreadsheetId", "")), "title": str(properties.get("title", ""))}
    return shown | compact(facts) | {"sheets": [show_tab(part(item, "properties")) for item in objects(found, "sheets")]}


def show_tab(item: dict[str, Any]) -> dict[str, Any]:
    """A sheet."""
    grid = part(item, "gridProperties")
    facts = {"rows": grid.get("rowCount"), "columns": grid.get("columnCount"), "hidden": item.get("hidden")}
    return {"sheet_id": int(item.get("sheetId") or 0), "title": str(item.get("title", ""))} | compact(facts)


def show_values(item: dict[str, Any]) -> dict[str, Any]:
    """The values of a range."""
    return {"range": str(item.get("range", "")), "values": item.get("values") or []}


def show_written(item: dict[str, Any]) -> dict[str, Any]:
    """What was written."""
    facts = {"rows": item.get("updatedRows"), "columns": item.get("updatedColumns"), "cells": item.get("updatedCells")}
    return {"range": str(item.get("updatedRange", ""))} | compact(facts)


TOOLS = (
    list_spreadsheets,
    get_spreadsheet_info,
    read_sheet_values,
    batch_get_sheet_values,
    modify_sheet_values,
    append_sheet_rows,
    batch_update_sheet_values,
)

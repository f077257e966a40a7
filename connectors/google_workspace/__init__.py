"""Google Workspace: mail, calendars, files, documents and more. This file puts the connector together and does no work."""

from __future__ import annotations

from connectors.google_workspace import (
    admin,
    calendar,
    calendar_writing,
    chat,
    contacts,
    docs,
    drive,
    drive_writing,
    forms,
    gmail,
    gmail_keeping,
    gmail_writing,
    meet,
    sheets,
    sheets_shaping,
    slides,
    tasks,
)
from connectors.google_workspace.checkup import check_connection
from connectors.google_workspace.scopes import sign_in
from connectors.google_workspace.search import SOURCES
from connectors.google_workspace.settings import FIELDS
from tools import Connector

SERVICES = (
    gmail,
    gmail_writing,
    gmail_keeping,
    calendar,
    calendar_writing,
    drive,
    drive_writing,
    docs,
    sheets,
    sheets_shaping,
    slides,
    tasks,
    contacts,
    forms,
    meet,
    chat,
    admin,
)

CONNECTOR = Connector(
    name="google_workspace",
    title="Google Workspace",
    description="Mail, calendars, files, documents, sheets, tasks and more of one Google account, as far as you let it.",
    fields=FIELDS,
    tools=tuple(tool for service in SERVICES for tool in service.TOOLS),
    sources=SOURCES,
    test=check_connection,
    sign_in=sign_in,
)

"""Which connectors there are: a plain dict, name to connector."""

from __future__ import annotations

from connectors import clickup, google_workspace, personal_context, upstream_kinds
from tools import Connector

CONNECTORS: dict[str, Connector] = {
    connector.name: connector
    for connector in (personal_context.CONNECTOR, clickup.CONNECTOR, google_workspace.CONNECTOR, *upstream_kinds.CONNECTORS)
}

"""What forms of other MCP servers need beyond those of any connector: inputs, and where they lead. Keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from addresses import is_address, parse_url
from crypto import Vault
from db import Database
from definitions import KINDS, find_target
from errors import FetchError, InvalidInput
from fetch import OWNER, Fetcher
from links import HttpTarget
from server_definitions import read_inputs, with_inputs
from store.connections import Connection, Draft, list_secrets_with
from store.upstreams import Upstream
from tools import Connector

FILLED_IN = ("url", "args")  # settings in which a person sees placeholders


def form_of(
    connector: Connector, typed: Mapping[str, str] | None, connection: Connection | None = None, upstream: Upstream | None = None
) -> Connector:
    """The connector with a field for each value that its definition, or a placeholder in it, asks for."""
    if connector.name not in KINDS:
        return connector
    held: Mapping[str, Any] = typed if typed is not None else connection.settings if connection else {}
    texts = [text for name in FILLED_IN for text in as_lines(held.get(name))]
    return with_inputs(connector, read_inputs(upstream.definition if upstream else None), texts)


def as_lines(value: Any) -> list[str]:
    """A setting's texts."""
    return value if isinstance(value, list) else [str(value or "")]


def check_draft(db: Database, vault: Vault, fetch: Fetcher, draft: Draft, connection: Connection | None) -> None:
    """Raise ToolError or InvalidInput with what is missing or refused, unless a draft leads somewhere that may be reached."""
    if draft.connector not in KINDS:
        return
    target = find_target(draft.connector, draft.settings, list_secrets_with(db, vault, connection, draft))
    if isinstance(target, HttpTarget):
        check_address(fetch, target.url)


def check_address(fetch: Fetcher, url: str) -> None:
    """Refuse an address that will never be reached, as far as its text tells: names are looked up when it is called."""
    target = parse_url(url)
    try:
        fetch.check_url(url, trust=OWNER)
        if is_address(target.host):
            fetch.find_addresses(target.host, target.port, trust=OWNER)
    except FetchError as error:
        raise InvalidInput("Please look at the marked fields.", {"url": str(error)}) from None

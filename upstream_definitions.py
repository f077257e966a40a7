"""How a connection stands to the definition it was made from: what its person has changed, and a newer one. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from crypto import Unreadable, Vault
from db import Database
from definition_changes import carry_over, describe, differs, lay_flat, to_typed
from known_servers import KnownServers
from server_definitions import Definition, as_typed
from store.connections import Connection, list_secrets
from store.upstreams import Upstream, find_definition_values
from tools import Connector


@dataclass(frozen=True)
class Comparison:
    """`own`: a sentence for each change of its person's. `listed` is what the list that it was picked from now says of its
    server, `news` a sentence for each difference, and `typed` the form with that and those changes in it.
    """

    own: list[str]
    listed: Definition | None = None
    is_newer: bool = False
    news: tuple[str, ...] = ()
    typed: Mapping[str, str] | None = None

    @property
    def mark(self) -> str:
        """Stands in a form for the definition that it holds."""
        told = [self.listed.to_json(), dict(self.listed.secrets)] if self.listed else []
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def compare(
    db: Database, vault: Vault, servers: KnownServers, connector: Connector, connection: Connection, upstream: Upstream | None
) -> Comparison | None:
    """A connection beside its definition; None if it has none, or its secrets cannot be opened."""
    if upstream is None or upstream.definition is None:
        return None
    try:
        secrets, values = list_secrets(db, vault, connection.id), find_definition_values(db, vault, connection.id)
    except Unreadable:
        return None
    copy = {"settings": {}, "secrets": [], **upstream.definition}
    base = lay_flat(connector.fields, copy["settings"], values or {})
    mine = lay_flat(connector.fields, connection.settings, secrets)
    own = list(describe(base, mine, connector.fields))
    entry = servers.find(f"{upstream.source}:{copy.get('key')}")
    if entry is None or entry.definition.kind != connection.connector:
        return Comparison(own)
    listed = entry.definition
    flat = lay_flat(connector.fields, listed.settings, listed.secrets)
    typed = to_typed(carry_over(base, mine, flat), mine) | type_inputs(listed, connection)
    return Comparison(
        own,
        listed,
        differs(copy, values, listed),
        tuple(describe(base, flat, connector.fields)),
        typed | {"connection_name": connection.name},
    )


def type_inputs(listed: Definition, connection: Connection) -> dict[str, str]:
    """The values that stand for placeholders: what is kept, else what the definition proposes."""
    kept = connection.settings.get("inputs") or {}
    return {f"input:{item.id}": as_typed(kept.get(item.id, item.default)) for item in listed.inputs if not item.is_secret}

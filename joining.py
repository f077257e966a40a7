"""A new connection with all that belongs to it: its row, its secrets, its place in a profile. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crypto import Vault
from db import Run
from definitions import KINDS
from store.connections import Draft, insert_connection
from store.profiles import Profile, insert_member
from store.upstreams import insert_upstream, put_definition


def join(
    run: Run,
    vault: Vault,
    profile: Profile,
    draft: Draft,
    now: int,
    *,
    source: str = "typed",
    definition: Mapping[str, Any] | None = None,
    values: Mapping[str, str] | None = None,
) -> str:
    """Make a connection of the profile's user and let it join, in an open transaction. Answers its id.

    `definition` is the copy of what it is made from, without its `values`. Raises InvalidInput if the user has one of this name.
    """
    connection_id = insert_connection(run, vault, profile.user_id, draft, now)
    if draft.connector in KINDS:
        insert_upstream(run, connection_id, source, definition)
        if definition is not None and values is not None:
            put_definition(run, vault, connection_id, definition, values)
    insert_member(run, profile.id, connection_id, draft.name, now)
    return connection_id

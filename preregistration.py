"""Makes clients for the owner, who vouches for them, from a page or from the command line. Knows neither of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from client_trust import check_registration
from config import Settings
from crypto import hash_token, new_token
from db import Database
from errors import InvalidClientMetadata, InvalidInput, InvalidRedirectUri
from store.clients import Client, find_client, put_client

ID_DIGITS = 20  # 80 bits, like any id
MADE_ALREADY = "This form has made its client already. Press again to make another one."


def add_client(
    db: Database,
    settings: Settings,
    name: str,
    redirect_uris: Sequence[str],
    random_part: str = "",
    *,
    has_secret: bool,
    now: int,
    after: int = 0,
) -> tuple[Client, str | None]:
    """Make a preregistered client, under the same rules as any registration; answers it, and its secret this once.

    With the same random part it is the same client, so that a form that is sent twice makes one: if the first time was later
    than `after`. Raises InvalidInput with a sentence for the field that has to be mended.
    """
    metadata = read_metadata(settings, name, redirect_uris, has_secret=has_secret)
    random_part = random_part or new_token("")
    secret = "mcp_cs_" + random_part if has_secret else None
    client = Client(
        id="client_" + hash_token(random_part)[:ID_DIGITS],
        kind="preregistered",
        name=metadata["client_name"],
        auth_method=metadata["token_endpoint_auth_method"],
        secret_hash=hash_token(secret) if secret else None,
        redirect_uris=tuple(metadata["redirect_uris"]),
        metadata=metadata,
        created_at=now,
    )
    made = find_client(db, client.id)
    if made and (made.created_at <= after or replace(made, created_at=now, approved_at=None) != client):
        raise mistake("client_name", MADE_ALREADY)
    put_client(db, client)
    return client, secret


def read_metadata(settings: Settings, name: str, redirect_uris: Sequence[str], *, has_secret: bool) -> dict[str, Any]:
    """What the owner typed as a registration would say it, checked. Raises InvalidInput."""
    wanted = {
        "client_name": name.strip(),
        "redirect_uris": list(redirect_uris),
        "token_endpoint_auth_method": "client_secret_basic" if has_secret else "none",
    }
    if not wanted["client_name"]:
        raise mistake("client_name", "This is needed.")
    try:
        return check_registration(wanted, settings)
    except InvalidRedirectUri as error:
        raise mistake("redirect_uris", error.description) from None
    except InvalidClientMetadata as error:
        raise mistake("client_name", error.description) from None


def mistake(field: str, sentence: str) -> InvalidInput:
    """What has to be mended in one field."""
    return InvalidInput("Please look at the marked fields.", {field: sentence})

"""OAuth clients and where their codes may go. Knows SQL; what a client may register is judged in client_trust.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db import Database, Run

# Registration is open to strangers: of those whom nobody ever approved, only so many are kept, the newest.
NEVER_APPROVED_MAX = 1000


@dataclass(frozen=True)
class Client:
    """An OAuth client. `name` is untrusted text; `metadata` is what it registered, as accepted (RFC 7591 §2).

    The id of kind `cimd` is the URL of its description, of which this is a copy, fresh until `fresh_until`.
    """

    id: str
    kind: str
    name: str | None
    auth_method: str
    secret_hash: str | None
    redirect_uris: tuple[str, ...]
    metadata: Mapping[str, Any]
    created_at: int
    fresh_until: int | None = None

    @property
    def auth_methods(self) -> frozenset[str]:
        """How it may authenticate: as it registered, or by any method that its document lists besides."""
        return frozenset({self.auth_method, *self.metadata.get("token_endpoint_auth_methods_supported", ())})


def put_client(db: Database, client: Client) -> None:
    """Keep a client, or a newer copy of its description; of those that nobody ever approved the oldest make room."""
    with db.write() as run:
        upsert_client(run, client)
        run("DELETE FROM redirect_uris WHERE client_id = :client_id", client_id=client.id)
        for position, uri in enumerate(client.redirect_uris):
            run(
                """
                INSERT INTO redirect_uris
                    (client_id, position, uri)
                VALUES
                    (:client_id, :position, :uri)
                """,
                client_id=client.id,
                position=position,
                uri=uri,
            )
        prune_never_approved(run, keep=NEVER_APPROVED_MAX)


def upsert_client(run: Run, client: Client) -> None:
    """The client's own row, in an open transaction."""
    run(
        """
        INSERT INTO clients
            (id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until)
        VALUES
            (:id, :kind, :name, :auth_method, :secret_hash, :metadata_json, :created_at, :fresh_until)
        ON CONFLICT (id) DO UPDATE
        SET name = excluded.name, auth_method = excluded.auth_method, metadata_json = excluded.metadata_json,
            fresh_until = excluded.fresh_until
        """,
        id=client.id,
        kind=client.kind,
        name=client.name,
        auth_method=client.auth_method,
        secret_hash=client.secret_hash,
        metadata_json=json.dumps(dict(client.metadata)),
        created_at=client.created_at,
        fresh_until=client.fresh_until,
    )


def prune_never_approved(run: Run, keep: int) -> None:
    """Drop the oldest clients that nobody approved, in an open transaction, until `keep` of them are left."""
    run(
        """
        DELETE FROM clients
        WHERE approved_at IS NULL AND id NOT IN (
            SELECT id
            FROM clients
            WHERE approved_at IS NULL
            ORDER BY created_at DESC, id
            LIMIT :keep
        )
        """,
        keep=keep,
    )


def find_client(db: Database, client_id: str) -> Client | None:
    """The client of an id, or None."""
    rows = db.query(
        """
        SELECT id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until
        FROM clients
        WHERE id = :id
        """,
        id=client_id,
    )
    if not rows:
        return None
    row = rows[0]
    uris = db.query("SELECT uri FROM redirect_uris WHERE client_id = :id ORDER BY position", id=client_id)
    return Client(
        row["id"], row["kind"], row["name"], row["auth_method"], row["secret_hash"], tuple(item["uri"] for item in uris),
        json.loads(row["metadata_json"]), row["created_at"], row["fresh_until"],
    )  # fmt: skip


def mark_approved(run: Run, client_id: str, now: int) -> None:
    """Remember a client's first consent, in an open transaction: from then on it is never pruned."""
    run(
        """
        UPDATE clients
        SET approved_at = :now
        WHERE id = :id AND approved_at IS NULL
        """,
        id=client_id,
        now=now,
    )

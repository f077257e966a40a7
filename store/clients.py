"""OAuth clients and where their codes may go. Knows SQL; what a client may register is judged in client_trust.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db import Database, Row, Run
from errors import NotFound
from store.revisions import bump_features

# Registration is open to strangers: of those whom nobody ever approved, only so many are kept, the newest, and not for long.
NEVER_APPROVED_MAX = 1000
NEVER_APPROVED_SECONDS = 7 * 86400


@dataclass(frozen=True)
class Client:
    """An OAuth client. `name` is untrusted text; `metadata` is what it registered, as accepted (RFC 7591 §2).

    The id of kind `cimd` is the URL of its description, of which this is a copy, fresh until `fresh_until`. One of kind `dcr`
    holds a token for its own registration; one of kind `preregistered` was made by the owner.
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
    approved_at: int | None = None
    registration_token_hash: str | None = None

    @property
    def auth_methods(self) -> frozenset[str]:
        """How it may authenticate: as it registered, or by any method that its document lists besides."""
        return frozenset({self.auth_method, *self.metadata.get("token_endpoint_auth_methods_supported", ())})


def put_client(db: Database, client: Client) -> None:
    """Keep a client, or a newer copy of its description; of those that nobody ever approved the oldest make room."""
    with db.write() as run:
        upsert_client(run, client)
        put_redirect_uris(run, client)
        prune_never_approved(run, client.created_at, spared=client.id)  # that is now


def replace_client(db: Database, known: Client, client: Client) -> None:
    """Keep what a client says of itself now. Raises NotFound if it is gone.

    It was judged by what was `known` of it: if a person let it in meanwhile, or it has another secret, it is not that any more.
    """
    with db.write() as run:
        replaced = run(
            """
            UPDATE clients
            SET name = :name, auth_method = :auth_method, secret_hash = :secret_hash, metadata_json = :metadata_json
            WHERE id = :id AND COALESCE(secret_hash, '') = :known_hash AND (approved_at IS NULL OR :was_approved = 1)
            RETURNING id
            """,
            id=client.id,
            known_hash=known.secret_hash or "",
            was_approved=int(known.approved_at is not None),
            name=client.name,
            auth_method=client.auth_method,
            secret_hash=client.secret_hash,
            metadata_json=json.dumps(dict(client.metadata)),
        )
        if not replaced:
            raise NotFound("no such client")
        put_redirect_uris(run, client)


def delete_client(db: Database, client_id: str) -> None:
    """Forget a client with all it was given: grants, sessions, codes and tokens. Raises NotFound for an unknown one."""
    with db.write() as run:
        if not remove_client(run, client_id):
            raise NotFound("no such client")


def remove_client(run: Run, client_id: str) -> bool:
    """Forget a client with all it was given, in an open transaction; answers whether there was one."""
    removed = run("DELETE FROM clients WHERE id = :id RETURNING id", id=client_id)
    if removed:
        bump_features(run)  # who listens for changes looks again, and learns that the token is good no more
    return bool(removed)


def put_redirect_uris(run: Run, client: Client) -> None:
    """Let a client's codes go to these URIs and nowhere else, in an open transaction."""
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


def upsert_client(run: Run, client: Client) -> None:
    """The client's own row, in an open transaction."""
    run(
        """
        INSERT INTO clients
            (id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until, registration_token_hash)
        VALUES
            (:id, :kind, :name, :auth_method, :secret_hash, :metadata_json, :created_at, :fresh_until, :registration_token_hash)
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
        registration_token_hash=client.registration_token_hash,
    )


def purge_clients(db: Database, *, now: int) -> None:
    """Drop clients that registered long ago and that nobody ever approved."""
    with db.write() as run:
        prune_never_approved(run, now)


def prune_never_approved(run: Run, now: int, keep: int = NEVER_APPROVED_MAX, spared: str = "") -> None:
    """Drop clients that nobody approved, in an open transaction: old ones, and the oldest until `keep` of them are left.

    One that waits for its person's decision stays, and so do one that the owner made and the one that is `spared`.
    """
    run(
        """
        DELETE FROM clients
        WHERE approved_at IS NULL AND kind <> 'preregistered' AND id <> :spared
            AND (created_at <= :before OR id NOT IN (
                SELECT id
                FROM clients
                WHERE approved_at IS NULL AND kind <> 'preregistered'
                ORDER BY created_at DESC, id
                LIMIT :keep
            ))
            AND NOT EXISTS (SELECT id FROM grants WHERE client_id = clients.id)
            AND NOT EXISTS (
                SELECT id
                FROM authorization_requests
                WHERE client_id = clients.id AND decided_at IS NULL AND expires_at > :now
            )
        """,
        before=now - NEVER_APPROVED_SECONDS,
        keep=keep,
        now=now,
        spared=spared,
    )


def find_client(db: Database, client_id: str) -> Client | None:
    """The client of an id, or None."""
    rows = db.query(
        """
        SELECT id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until, approved_at,
            registration_token_hash
        FROM clients
        WHERE id = :id
        """,
        id=client_id,
    )
    return as_client(db, rows[0]) if rows else None


def list_clients(db: Database, kind: str | None = None) -> list[Client]:
    """All clients, or those of one kind, the latest first."""
    rows = db.query(
        """
        SELECT id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until, approved_at,
            registration_token_hash
        FROM clients
        WHERE kind = COALESCE(:kind, kind)
        ORDER BY created_at DESC, id
        """,
        kind=kind,
    )
    return [as_client(db, row) for row in rows]


def as_client(db: Database, row: Row) -> Client:
    """A row as a Client, with its redirect URIs."""
    uris = db.query("SELECT uri FROM redirect_uris WHERE client_id = :id ORDER BY position", id=row["id"])
    return Client(
        row["id"], row["kind"], row["name"], row["auth_method"], row["secret_hash"], tuple(item["uri"] for item in uris),
        json.loads(row["metadata_json"]), row["created_at"], row["fresh_until"], row["approved_at"],
        row["registration_token_hash"],
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

"""Client documents that `cli.py emulate` publishes here. Knows SQL, not what a document may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db import Database, Row, Run
from store.clients import Client, put_redirect_uris, remove_client, upsert_client


@dataclass(frozen=True)
class EmulatedDocument:
    """One that is still good, as it was published."""

    id: str
    document_json: str
    expires_at: int


def insert_document(db: Database, document_id: str, document: Mapping[str, Any], *, expires_at: int) -> None:
    """Publish a document until a moment."""
    with db.write() as run:
        run(
            """
            INSERT INTO emulated_documents
                (id, document_json, expires_at)
            VALUES
                (:id, :document_json, :expires_at)
            """,
            id=document_id,
            document_json=json.dumps(dict(document)),
            expires_at=expires_at,
        )


def find_document(db: Database, document_id: str, *, now: int) -> EmulatedDocument | None:
    """The document of an id, or None, also once it has expired."""
    rows = db.query(
        """
        SELECT id, document_json, expires_at
        FROM emulated_documents
        WHERE id = :id AND expires_at > :now
        """,
        id=document_id,
        now=now,
    )
    return EmulatedDocument(rows[0]["id"], rows[0]["document_json"], rows[0]["expires_at"]) if rows else None


def put_described_client(db: Database, document_id: str, client: Client, *, now: int) -> bool:
    """Keep the client that a document describes if that is still good, so that no client outlives it; answers whether it is."""
    with db.write() as run:
        is_good = run("SELECT id FROM emulated_documents WHERE id = :id AND expires_at > :now", id=document_id, now=now)
        if is_good:
            upsert_client(run, client)
            put_redirect_uris(run, client)
    return bool(is_good)


def delete_document(db: Database, document_id: str) -> None:
    """Take a document back, if it is there, with the client that it describes and all that this one was given."""
    with db.write() as run:
        remove_clients(run, run("DELETE FROM emulated_documents WHERE id = :id RETURNING document_json", id=document_id))


def purge_documents(db: Database, *, now: int) -> None:
    """Drop what has expired, with the clients: those of a run that was cut off."""
    with db.write() as run:
        remove_clients(run, run("DELETE FROM emulated_documents WHERE expires_at <= :now RETURNING document_json", now=now))


def remove_clients(run: Run, rows: list[Row]) -> None:
    """Forget the clients that these documents describe, in an open transaction."""
    for row in rows:
        remove_client(run, json.loads(row["document_json"])["client_id"])

"""Who Postern is at other authorization servers. Knows SQL, not OAuth; seals secrets on the way in."""

from __future__ import annotations

from dataclasses import dataclass, field

from crypto import Vault, new_id
from db import Database, Row, Run
from errors import NotFound


@dataclass(frozen=True)
class Registration:
    """Our client id at one issuer, for one connection. `metadata_json` is what is known of the server."""

    connection_id: str
    issuer: str
    kind: str
    client_id: str
    auth_method: str
    redirect_uri: str
    metadata_json: str
    created_at: int
    secret: str | None = field(default=None, repr=False)
    scope: str | None = None
    registration_token: str | None = field(default=None, repr=False)
    registration_uri: str | None = None
    expires_at: int | None = None
    dead_at: int | None = None
    id: str = field(default_factory=new_id)


def drop_unused(run: Run, connection_id: str, now: int) -> None:
    """Drop, in an open transaction, the registrations of a connection that no sign-in and no visit refers to."""
    run(
        """
        DELETE FROM registrations
        WHERE connection_id = :connection_id
            AND id NOT IN (SELECT registration_id FROM upstream_signins WHERE connection_id = :connection_id)
            AND id NOT IN (
                SELECT registration_id
                FROM upstream_visits
                WHERE connection_id = :connection_id AND expires_at > :now
            )
        """,
        connection_id=connection_id,
        now=now,
    )


def insert_registration(db: Database, vault: Vault, new: Registration) -> None:
    """Keep a registration; older ones of the same connection that nothing refers to are dropped."""
    with db.write() as run:
        drop_unused(run, new.connection_id, new.created_at)
        run(
            """
            INSERT INTO registrations
                (id, connection_id, issuer, kind, client_id, auth_method, secret_sealed, redirect_uri, scope, token_sealed,
                 registration_uri, metadata_json, created_at, expires_at)
            VALUES
                (:id, :connection_id, :issuer, :kind, :client_id, :auth_method, :secret_sealed, :redirect_uri, :scope,
                 :token_sealed, :registration_uri, :metadata_json, :created_at, :expires_at)
            """,
            id=new.id,
            connection_id=new.connection_id,
            issuer=new.issuer,
            kind=new.kind,
            client_id=new.client_id,
            auth_method=new.auth_method,
            secret_sealed=seal(vault, "secret_sealed", new.id, new.secret),
            redirect_uri=new.redirect_uri,
            scope=new.scope,
            token_sealed=seal(vault, "token_sealed", new.id, new.registration_token),
            registration_uri=new.registration_uri,
            metadata_json=new.metadata_json,
            created_at=new.created_at,
            expires_at=new.expires_at,
        )


def update_metadata(db: Database, registration_id: str, metadata_json: str) -> None:
    """Note what the server says of itself now."""
    with db.write() as run:
        run(
            """
            UPDATE registrations
            SET metadata_json = :metadata_json
            WHERE id = :id
            """,
            id=registration_id,
            metadata_json=metadata_json,
        )


def mark_dead(run: Run, registration_id: str, now: int) -> None:
    """Note, in an open transaction, that the server does not know a registration any more."""
    run(
        """
        UPDATE registrations
        SET dead_at = :now
        WHERE id = :id AND dead_at IS NULL
        """,
        id=registration_id,
        now=now,
    )


def get_registration(db: Database, vault: Vault, registration_id: str) -> Registration:
    """One registration, with its secrets; raises NotFound."""
    found = load_registrations(db, vault, "id = :id", id=registration_id)
    if not found:
        raise NotFound("no such registration")
    return found[0]


def list_registrations(db: Database, vault: Vault, connection_id: str) -> list[Registration]:
    """Those of a connection, the newest first."""
    return load_registrations(
        db, vault, "connection_id = :connection_id ORDER BY created_at DESC, id", connection_id=connection_id
    )


def load_registrations(db: Database, vault: Vault, condition: str, **values: str) -> list[Registration]:
    """The registrations that a fixed SQL condition of this file selects."""
    rows = db.query(
        f"""
        SELECT id, connection_id, issuer, kind, client_id, auth_method, secret_sealed, redirect_uri, scope, token_sealed,
            registration_uri, metadata_json, created_at, expires_at, dead_at
        FROM registrations
        WHERE {condition}
        """,  # noqa: S608 (no part of it comes from outside)
        **values,
    )
    return [as_registration(vault, row) for row in rows]


def as_registration(vault: Vault, row: Row) -> Registration:
    """A row as a Registration. Raises crypto.Unreadable if a secret was damaged."""
    plain = {
        name: row[name]
        for name in (
            "id", "connection_id", "issuer", "kind", "client_id", "auth_method", "redirect_uri", "scope", "registration_uri",
            "metadata_json", "created_at", "expires_at", "dead_at",
        )
    }  # fmt: skip
    return Registration(
        **plain,
        secret=unseal(vault, "secret_sealed", row["id"], row["secret_sealed"]),
        registration_token=unseal(vault, "token_sealed", row["id"], row["token_sealed"]),
    )


def seal(vault: Vault, column: str, row: str, value: str | None) -> str | None:
    """A secret for its place; None stays None."""
    return None if value is None else vault.seal(value.encode(), "registrations", column, row)


def unseal(vault: Vault, column: str, row: str, sealed: str | None) -> str | None:
    """A secret from its place; None stays None."""
    return None if sealed is None else vault.unseal(sealed, "registrations", column, row).decode()


def kill_registration(db: Database, registration_id: str, *, now: int) -> None:
    """Note that the server does not know a registration any more."""
    with db.write() as run:
        mark_dead(run, registration_id, now)


def drop_registrations(db: Database, connection_id: str) -> None:
    """Forget who we are at the services of a connection."""
    with db.write() as run:
        run("DELETE FROM registrations WHERE connection_id = :connection_id", connection_id=connection_id)

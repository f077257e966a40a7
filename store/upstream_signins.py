"""How connections are signed in at their services, and visits there that are under way. Knows SQL, not OAuth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto import Vault
from db import Database, Run
from store.connections import drop_secrets, put_secrets, touch_connection
from store.registrations import mark_dead

VISIT_SECONDS = 600
KEPT_SECONDS = 86400  # a spent visit, to tell whether people come back
ACCESS, REFRESH = "access_token", "refresh_token"  # names of credentials


@dataclass(frozen=True)
class Visit:
    """A person who was sent away to sign in; only the browser of `browser_hash` may come back."""

    state_hash: str
    connection_id: str
    registration_id: str
    browser_hash: str
    verifier: str = field(repr=False)
    url: str
    resource: str
    scope: str | None
    next: str


@dataclass(frozen=True)
class UpstreamSignIn:
    """How a connection is signed in; the columns of the table by the same names."""

    connection_id: str
    registration_id: str
    url: str
    resource: str
    scope: str | None
    missing_scope: str | None
    account: str | None
    need: str | None
    signed_in_at: int
    forced_at: int | None
    retry_at: int | None


@dataclass(frozen=True)
class KeptToken:
    """An access token as it lies in the database, and what decides whether it may be used. `sealed` None: there is none."""

    url: str
    need: str | None
    retry_at: int | None
    sealed: str | None = field(repr=False)
    expires_at: int | None
    issued_at: int | None


# --- visits ---


def insert_visit(db: Database, vault: Vault, visit: Visit, *, now: int) -> None:
    """Note that a person is sent away."""
    with db.write() as run:
        run(
            """
            INSERT INTO upstream_visits
                (state_hash, connection_id, registration_id, browser_hash, verifier_sealed, url, resource, scope, next,
                 created_at, expires_at)
            VALUES
                (:state_hash, :connection_id, :registration_id, :browser_hash, :verifier_sealed, :url, :resource, :scope,
                 :next, :now, :now + :lifetime)
            """,
            state_hash=visit.state_hash,
            connection_id=visit.connection_id,
            registration_id=visit.registration_id,
            browser_hash=visit.browser_hash,
            verifier_sealed=vault.seal(visit.verifier.encode(), "upstream_visits", "verifier_sealed", visit.state_hash),
            url=visit.url,
            resource=visit.resource,
            scope=visit.scope,
            next=visit.next,
            now=now,
            lifetime=VISIT_SECONDS,
        )


def claim_visit(db: Database, vault: Vault, state_hash: str, browser_hash: str, *, now: int) -> Visit | None:
    """A visit of this very browser, once: None for a second time, for another browser, and when it took too long."""
    with db.write() as run:
        rows = run(
            """
            UPDATE upstream_visits
            SET used_at = :now
            WHERE state_hash = :state_hash AND browser_hash = :browser_hash AND used_at IS NULL AND expires_at > :now
            RETURNING connection_id, registration_id, verifier_sealed, url, resource, scope, next
            """,
            state_hash=state_hash,
            browser_hash=browser_hash,
            now=now,
        )
    if not rows:
        return None
    row = rows[0]
    verifier = vault.unseal(row["verifier_sealed"], "upstream_visits", "verifier_sealed", state_hash).decode()
    return Visit(
        state_hash, row["connection_id"], row["registration_id"], browser_hash, verifier, row["url"], row["resource"],
        row["scope"], row["next"],
    )  # fmt: skip


def has_lost_visit(db: Database, registration_id: str, *, after: int) -> bool:
    """Whether somebody was sent away with a registration, later than `after`, and has not come back."""
    rows = db.query(
        """
        SELECT state_hash
        FROM upstream_visits
        WHERE registration_id = :registration_id AND used_at IS NULL AND created_at > :after
        LIMIT 1
        """,
        registration_id=registration_id,
        after=after,
    )
    return bool(rows)


def purge_visits(db: Database, *, now: int) -> None:
    """Drop visits that are long over."""
    with db.write() as run:
        run("DELETE FROM upstream_visits WHERE expires_at <= :before", before=now - KEPT_SECONDS)


# --- sign-ins ---


def find_sign_in(db: Database, connection_id: str) -> UpstreamSignIn | None:
    """How a connection is signed in; None if it never was, or was signed out."""
    rows = db.query(
        """
        SELECT connection_id, registration_id, url, resource, scope, missing_scope, account, need, signed_in_at, forced_at,
            retry_at
        FROM upstream_signins
        WHERE connection_id = :connection_id
        """,
        connection_id=connection_id,
    )
    return UpstreamSignIn(*rows[0]) if rows else None


def find_token(db: Database, connection_id: str) -> KeptToken | None:
    """The access token of a connection, in one query: it is asked for with every call. None if nobody is signed in."""
    rows = db.query(
        """
        SELECT s.url, s.need, s.retry_at, c.value_sealed, c.expires_at, c.updated_at
        FROM upstream_signins s
        LEFT JOIN credentials c ON c.connection_id = s.connection_id AND c.name = 'access_token'
        WHERE s.connection_id = :connection_id
        """,
        connection_id=connection_id,
    )
    return KeptToken(*rows[0]) if rows else None


def list_scopes(db: Database, user_id: str) -> dict[str, frozenset[str]]:
    """What was granted to each connection of a user that is signed in."""
    rows = db.query(
        """
        SELECT s.connection_id, s.scope
        FROM upstream_signins s
        JOIN connections c ON c.id = s.connection_id
        WHERE c.user_id = :user_id AND s.scope IS NOT NULL
        """,
        user_id=user_id,
    )
    return {row["connection_id"]: frozenset(row["scope"].split()) for row in rows}


def put_sign_in(
    db: Database, vault: Vault, visit: Visit, tokens: Mapping[str, str], *, scope: str | None, account: str | None,
    expires_at: int | None, now: int,
) -> None:  # fmt: skip
    """Keep what a visit brought, in place of all that was before. The grants of assistants stay as they are.

    Raises NotFound if the connection was deleted meanwhile.
    """
    with db.write() as run:
        touch_connection(run, visit.connection_id, now)
        run(
            """
            INSERT INTO upstream_signins
                (connection_id, registration_id, url, resource, scope, account, signed_in_at)
            VALUES
                (:connection_id, :registration_id, :url, :resource, :scope, :account, :now)
            ON CONFLICT (connection_id) DO UPDATE
            SET registration_id = excluded.registration_id, url = excluded.url, resource = excluded.resource,
                scope = excluded.scope, account = excluded.account, signed_in_at = excluded.signed_in_at,
                missing_scope = NULL, need = NULL, forced_at = NULL, retry_at = NULL, refresher = NULL, refresher_until = NULL
            """,
            connection_id=visit.connection_id,
            registration_id=visit.registration_id,
            url=visit.url,
            resource=visit.resource,
            scope=scope,
            account=account,
            now=now,
        )
        drop_secrets(run, visit.connection_id, (ACCESS, REFRESH))
        put_tokens(run, vault, visit.connection_id, tokens, expires_at, now)


def put_tokens(run: Run, vault: Vault, connection_id: str, tokens: Mapping[str, str], expires_at: int | None, now: int) -> None:
    """Seal tokens as credentials, in an open transaction; only the access token's end is known."""
    put_secrets(run, vault, connection_id, {ACCESS: tokens[ACCESS]}, now, expires_at=expires_at)
    put_secrets(run, vault, connection_id, {name: value for name, value in tokens.items() if name != ACCESS}, now)


def drop_sign_in(db: Database, connection_id: str, *, now: int) -> None:
    """Forget the tokens of a connection, and that anybody was signed in."""
    with db.write() as run:
        run("DELETE FROM upstream_signins WHERE connection_id = :connection_id", connection_id=connection_id)
        drop_secrets(run, connection_id, (ACCESS, REFRESH))
        touch_connection(run, connection_id, now)


def note_missing_scope(db: Database, connection_id: str, scope: str) -> None:
    """Note what a call was refused for: the next sign-in asks for it too."""
    with db.write() as run:
        run(
            """
            UPDATE upstream_signins
            SET missing_scope = :scope
            WHERE connection_id = :connection_id
            """,
            connection_id=connection_id,
            scope=scope,
        )


def forget_scopes(db: Database, connection_id: str) -> None:
    """Let the next sign-in ask for nothing that an earlier one had: the service does not know it any more."""
    with db.write() as run:
        run(
            """
            UPDATE upstream_signins
            SET scope = NULL, missing_scope = NULL
            WHERE connection_id = :connection_id
            """,
            connection_id=connection_id,
        )


# --- refreshing: one at a time, in whichever process ---


def take_refresh(db: Database, connection_id: str, refresher: str, *, seconds: int, now: int) -> bool:
    """Take the right to refresh, if nobody has it. One that dies keeps others out for `seconds`."""
    with db.write() as run:
        taken = run(
            """
            UPDATE upstream_signins
            SET refresher = :refresher, refresher_until = :now + :seconds
            WHERE connection_id = :connection_id AND (refresher IS NULL OR refresher_until <= :now)
            RETURNING connection_id
            """,
            connection_id=connection_id,
            refresher=refresher,
            seconds=seconds,
            now=now,
        )
    return bool(taken)


def release_refresh(db: Database, connection_id: str, refresher: str, *, retry_at: int | None = None) -> None:
    """Let go of it; `retry_at` says that it failed for now. Somebody else's is left alone."""
    with db.write() as run:
        run(
            """
            UPDATE upstream_signins
            SET refresher = NULL, refresher_until = NULL, retry_at = :retry_at
            WHERE connection_id = :connection_id AND refresher = :refresher
            """,
            connection_id=connection_id,
            refresher=refresher,
            retry_at=retry_at,
        )


def finish_refresh(
    db: Database, vault: Vault, connection_id: str, refresher: str, tokens: Mapping[str, str], *, is_forced: bool,
    expires_at: int | None, now: int,
) -> bool:  # fmt: skip
    """Keep refreshed tokens and let go, all or nothing; False, and nothing kept, for one that has lost the right meanwhile."""
    with db.write() as run:
        if not run(
            """
            UPDATE upstream_signins
            SET refresher = NULL, refresher_until = NULL, retry_at = NULL,
                forced_at = COALESCE(:forced_at, forced_at)
            WHERE connection_id = :connection_id AND refresher = :refresher
            RETURNING connection_id
            """,
            connection_id=connection_id,
            refresher=refresher,
            forced_at=now if is_forced else None,
        ):
            return False
        put_tokens(run, vault, connection_id, tokens, expires_at, now)
    return True


def end_sign_in(db: Database, connection_id: str, used_sealed: str | None, need: str, *, now: int) -> bool:
    """Say that the person has to sign in again, and drop the tokens; False if the access token `used` is not the one any more.

    A registration that is the reason (`client`) is dead from now on.
    """
    with db.write() as run:
        rows = run(
            """
            UPDATE upstream_signins
            SET need = :need, refresher = NULL, refresher_until = NULL
            WHERE connection_id = :connection_id
                AND COALESCE(
                    (SELECT value_sealed FROM credentials WHERE connection_id = :connection_id AND name = 'access_token'), ''
                ) = :used
            RETURNING registration_id
            """,
            connection_id=connection_id,
            need=need,
            used=used_sealed or "",
        )
        if rows:
            drop_secrets(run, connection_id, (ACCESS, REFRESH))
            if need == "client":
                mark_dead(run, rows[0]["registration_id"], now)
    return bool(rows)

"""Visits to /authorize that wait for their person. Knows SQL, not HTTP."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from db import Database, Run
from errors import NotFound

REQUEST_SECONDS = 3600  # how long a consent page may stay open


@dataclass(frozen=True)
class AuthorizationRequest:
    """A validated visit to /authorize that waits for its person; only the browser of `browser_hash` may decide it."""

    id: str
    browser_hash: str
    client_id: str
    redirect_uri: str
    redirect_given: bool
    state: str | None
    scope: str
    resource: str
    code_challenge: str
    expires_at: int


def create_request(db: Database, request: AuthorizationRequest, *, now: int) -> None:
    """Keep a validated request."""
    with db.write() as run:
        run(
            """
            INSERT INTO authorization_requests
                (id, browser_hash, client_id, redirect_uri, redirect_given, state, scope, resource, code_challenge, created_at,
                 expires_at)
            VALUES
                (:id, :browser_hash, :client_id, :redirect_uri, :redirect_given, :state, :scope, :resource, :code_challenge,
                 :now, :expires_at)
            """,
            **{**asdict(request), "redirect_given": int(request.redirect_given)},
            now=now,
        )


def get_request(db: Database, request_id: str, browser_hash: str, *, now: int) -> AuthorizationRequest:
    """An open request of this very browser; raises NotFound for one that is decided, too old or another browser's."""
    rows = db.query(
        """
        SELECT id, browser_hash, client_id, redirect_uri, redirect_given, state, scope, resource, code_challenge, expires_at
        FROM authorization_requests
        WHERE id = :id AND browser_hash = :browser_hash AND expires_at > :now AND decided_at IS NULL
        """,
        id=request_id,
        browser_hash=browser_hash,
        now=now,
    )
    if not rows:
        raise NotFound("no such authorization request")
    row = rows[0]
    return AuthorizationRequest(
        row["id"], row["browser_hash"], row["client_id"], row["redirect_uri"], bool(row["redirect_given"]), row["state"],
        row["scope"], row["resource"], row["code_challenge"], row["expires_at"],
    )  # fmt: skip


def move_requests(db: Database, old_browser_hash: str, new_browser_hash: str) -> None:
    """Let a browser keep its open requests when signing in changes its cookie."""
    with db.write() as run:
        run(
            """
            UPDATE authorization_requests
            SET browser_hash = :new
            WHERE browser_hash = :old AND decided_at IS NULL
            """,
            old=old_browser_hash,
            new=new_browser_hash,
        )


def claim_request(run: Run, request_id: str, now: int) -> None:
    """Decide a request, in an open transaction. Raises NotFound if it was decided meanwhile."""
    claimed = run(
        """
        UPDATE authorization_requests
        SET decided_at = :now
        WHERE id = :id AND decided_at IS NULL
        RETURNING id
        """,
        id=request_id,
        now=now,
    )
    if not claimed:
        raise NotFound("this authorization request was decided already")


def decide_request(db: Database, request_id: str, *, now: int) -> None:
    """Close a request without giving anything: the person said no."""
    with db.write() as run:
        claim_request(run, request_id, now)


def purge_requests(db: Database, *, now: int) -> None:
    """Drop the ones that nobody can decide any more."""
    with db.write() as run:
        run("DELETE FROM authorization_requests WHERE expires_at <= :now", now=now)

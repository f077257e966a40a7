"""Visits to /authorize that wait for their person. Knows SQL, not HTTP."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from crypto import hash_token
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
    state: str | None
    scope: str
    resource: str
    code_challenge: str
    expires_at: int
    decided_at: int | None = None
    code_hash: str | None = None


def create_request(db: Database, request: AuthorizationRequest, *, now: int) -> bool:
    """Keep a validated request; False if its client has gone meanwhile."""
    with db.write() as run:
        kept = run(
            """
            INSERT INTO authorization_requests
                (id, browser_hash, client_id, redirect_uri, state, scope, resource, code_challenge, created_at,
                 expires_at)
            SELECT
                :id, :browser_hash, id, :redirect_uri, :state, :scope, :resource, :code_challenge, :now, :expires_at
            FROM clients
            WHERE id = :client_id
            RETURNING id
            """,
            **{name: value for name, value in asdict(request).items() if name not in ("decided_at", "code_hash")},
            now=now,
        )
    return bool(kept)


def is_challenge_known(db: Database, code_challenge: str) -> bool:
    """Whether a PKCE challenge has come before, as long as requests are kept."""
    rows = db.query(
        """
        SELECT id
        FROM authorization_requests
        WHERE code_challenge = :code_challenge
        LIMIT 1
        """,
        code_challenge=code_challenge,
    )
    return bool(rows)


def find_request(db: Database, request_id: str, browser_hash: str) -> AuthorizationRequest | None:
    """A request of this very browser, open or not; None for another browser's."""
    rows = db.query(
        """
        SELECT id, browser_hash, client_id, redirect_uri, state, scope, resource, code_challenge, expires_at,
            decided_at, code_hash
        FROM authorization_requests
        WHERE id = :id AND browser_hash = :browser_hash
        """,
        id=request_id,
        browser_hash=browser_hash,
    )
    return AuthorizationRequest(*rows[0]) if rows else None


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


def keep_code(run: Run, request_id: str, code: str) -> None:
    """Remember which code approving gave, in an open transaction."""
    run(
        """
        UPDATE authorization_requests
        SET code_hash = :code_hash
        WHERE id = :id
        """,
        id=request_id,
        code_hash=hash_token(code),
    )


def decide_request(db: Database, request_id: str, *, now: int) -> None:
    """Close a request without giving anything: the person said no."""
    with db.write() as run:
        claim_request(run, request_id, now)


def purge_requests(db: Database, *, now: int) -> None:
    """Drop the ones that nobody can decide any more."""
    with db.write() as run:
        run("DELETE FROM authorization_requests WHERE expires_at <= :now", now=now)

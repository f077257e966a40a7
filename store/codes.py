"""Authorization codes: how they are issued, recognised and redeemed for tokens. Knows SQL, not HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import hash_token, new_token
from db import Database, Run
from errors import InvalidGrant
from store.sessions import close_session, is_alive
from store.tokens import Lifetimes, TokenPair, mint_tokens

REPLAYED = "This code was already used. The session that came from it has been ended."
VOID = "Another code was used in place of this one."


@dataclass(frozen=True)
class Code:
    """What a code is bound to. `used` codes stay, so that a replay is recognised."""

    code_hash: str
    session_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    resource: str
    scope: str
    expires_at: int
    used: bool
    session_alive: bool


def insert_code(
    run: Run, session_id: str, client_id: str, redirect_uri: str, code_challenge: str, *, lifetime: int, now: int
) -> str:
    """Issue a code for a session, in an open transaction; answers it in clear."""
    code = new_token("mcp_ac_")
    run(
        """
        INSERT INTO codes
            (code_hash, session_id, client_id, redirect_uri, code_challenge, created_at, expires_at)
        VALUES
            (:code_hash, :session_id, :client_id, :redirect_uri, :code_challenge, :now, :expires_at)
        """,
        code_hash=hash_token(code),
        session_id=session_id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        now=now,
        expires_at=now + lifetime,
    )
    return code


def insert_code_again(run: Run, request_id: str, profile_id: str, feature_set_id: str, now: int) -> str | None:
    """Issue another code for the session that came from a request, in an open transaction: whichever is redeemed first counts.

    Answers it in clear; None if one was redeemed already, if their time is over, or if the session was given for another choice.
    """
    code = new_token("mcp_ac_")
    issued = run(
        """
        INSERT INTO codes
            (code_hash, session_id, client_id, redirect_uri, code_challenge, created_at, expires_at)
        SELECT :code_hash, c.session_id, c.client_id, c.redirect_uri, c.code_challenge, :now, c.expires_at
        FROM authorization_requests r
        JOIN codes c ON c.code_hash = r.code_hash
        JOIN sessions s ON s.id = c.session_id
        JOIN grants g ON g.id = s.grant_id
        JOIN grant_feature_sets f ON f.grant_id = g.id
        WHERE r.id = :request_id AND c.used_at IS NULL AND c.expires_at > :now AND s.ended_at IS NULL
            AND g.profile_id = :profile_id AND f.feature_set_id = :feature_set_id
        RETURNING code_hash
        """,
        code_hash=hash_token(code),
        request_id=request_id,
        profile_id=profile_id,
        feature_set_id=feature_set_id,
        now=now,
    )
    return code if issued else None


def find_code(db: Database, code: str, *, now: int) -> Code | None:
    """What a code is bound to, spent or not; None if there is no such code."""
    rows = db.query(
        """
        SELECT c.code_hash, c.session_id, c.client_id, c.redirect_uri, c.code_challenge, s.resource, s.scope, c.expires_at,
            c.used_at, s.ended_at, s.expires_at AS session_expires_at
        FROM codes c
        JOIN sessions s ON s.id = c.session_id
        WHERE c.code_hash = :code_hash
        """,
        code_hash=hash_token(code),
    )
    if not rows:
        return None
    row = rows[0]
    return Code(
        row["code_hash"], row["session_id"], row["client_id"], row["redirect_uri"], row["code_challenge"], row["resource"],
        row["scope"], row["expires_at"], row["used_at"] is not None, is_alive(row, now),
    )  # fmt: skip


def redeem_code(db: Database, code: Code, lifetimes: Lifetimes, *, now: int) -> TokenPair:
    """Spend a code that passed every check. Of many at once one wins; each other is a valid replay and ends the session.

    Raises InvalidGrant then, after the ending is committed (OAuth 2.1 §4.1.3). Other codes for the same session are void.
    """
    with db.write() as run:
        spent = run(
            """
            UPDATE codes
            SET used_at = :now
            WHERE code_hash = :code_hash AND used_at IS NULL
            RETURNING code_hash
            """,
            code_hash=code.code_hash,
            now=now,
        )
        if spent:
            drop_unspent(run, code.session_id)
            return mint_tokens(run, code.session_id, None, lifetimes, now)
        replayed = run("SELECT code_hash FROM codes WHERE code_hash = :code_hash", code_hash=code.code_hash)
        if replayed:
            close_session(run, code.session_id, "code_replayed", now)
    raise InvalidGrant(REPLAYED if replayed else VOID)


def drop_unspent(run: Run, session_id: str) -> None:
    """Make the other codes for a session void, in an open transaction."""
    run("DELETE FROM codes WHERE session_id = :session_id AND used_at IS NULL", session_id=session_id)

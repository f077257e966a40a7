"""Tokens: how they are issued, traded, recognised and taken back. Knows SQL, not HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import hash_token, new_token
from db import Database, Run
from errors import InvalidGrant
from store.sessions import close_session, is_alive

SIBLINGS_MAX = 5
KEEP_EXPIRED_SECONDS = 7 * 86400


@dataclass(frozen=True)
class Refresh:
    """What a refresh token is bound to."""

    token_hash: str
    session_id: str
    client_id: str
    resource: str
    scope: str
    expires_at: int
    session_alive: bool


@dataclass(frozen=True)
class Lifetimes:
    """How long what is issued lives, in seconds: access token, refresh token (idle), whole session, second presentation."""

    access: int
    refresh: int
    session: int
    grace: int


@dataclass(frozen=True)
class TokenPair:
    """Fresh tokens in clear: this is the only time that they are seen. `expires_in` is the access token's, in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str


@dataclass(frozen=True)
class Caller:
    """Who calls, on which grant, at which address. `revision` tells whether what was prepared for the grant still holds.

    A client comes with a session; an API key comes by itself, and is the holder of its grant. Of a client that its person has
    paused the token is good all the same.
    """

    session_id: str | None
    grant_id: str
    client_id: str | None
    user_id: str
    profile_id: str
    resource: str
    expires_at: int
    used_at: int | None
    revision: int
    paused_at: int | None = None
    api_key_id: str | None = None


@dataclass(frozen=True)
class Issued:
    """A token of either kind, as its client may know it. `active` is what RFC 7662 §2.2 means by it."""

    token_hash: str
    kind: str
    session_id: str
    client_id: str
    user_id: str
    resource: str
    scope: str
    created_at: int
    expires_at: int
    active: bool


def mint_tokens(run: Run, session_id: str, parent_hash: str | None, lifetimes: Lifetimes, now: int) -> TokenPair:
    """Issue an access and a refresh token, in an open transaction. Neither outlives the session.

    Raises InvalidGrant if the session has ended.
    """
    alive = run(
        """
        SELECT scope, expires_at
        FROM sessions
        WHERE id = :id AND ended_at IS NULL AND expires_at > :now
        """,
        id=session_id,
        now=now,
    )
    if not alive:
        raise InvalidGrant("The session has ended.")
    latest, scope = alive[0]["expires_at"], alive[0]["scope"]
    pair = TokenPair(
        new_token("mcp_at_"), new_token("mcp_rt_"), expires_in=min(lifetimes.access, latest - now), scope=scope
    )
    issued = (
        ("access", pair.access_token, now + pair.expires_in),
        ("refresh", pair.refresh_token, min(now + lifetimes.refresh, latest)),
    )
    for kind, token, expires_at in issued:
        run(
            """
            INSERT INTO tokens
                (token_hash, session_id, kind, parent_hash, created_at, expires_at)
            VALUES
                (:token_hash, :session_id, :kind, :parent_hash, :now, :expires_at)
            """,
            token_hash=hash_token(token),
            session_id=session_id,
            kind=kind,
            parent_hash=parent_hash,
            now=now,
            expires_at=expires_at,
        )
    return pair


def find_refresh(db: Database, token: str, *, now: int) -> Refresh | None:
    """What a refresh token is bound to, presented before or not; None for anything else, access tokens too."""
    rows = db.query(
        """
        SELECT t.token_hash, t.session_id, g.client_id, s.resource, s.scope, t.expires_at, s.ended_at,
            s.expires_at AS session_expires_at
        FROM tokens t
        JOIN sessions s ON s.id = t.session_id
        JOIN grants g ON g.id = s.grant_id
        WHERE t.token_hash = :token_hash AND t.kind = 'refresh'
        """,
        token_hash=hash_token(token),
    )
    if not rows:
        return None
    row = rows[0]
    return Refresh(
        row["token_hash"], row["session_id"], row["client_id"], row["resource"], row["scope"], row["expires_at"],
        is_alive(row, now),
    )  # fmt: skip


def trade_refresh(db: Database, refresh: Refresh, lifetimes: Lifetimes, *, now: int) -> TokenPair:
    """Trade a refresh token that passed every check for a new pair; raises InvalidGrant with the reason if it may not be.

    Reuse that shows that two parties hold the token ends the session (RFC 9700 §4.14.2), before this raises.
    """
    with db.write() as run:
        refusal = judge_reuse(run, refresh.token_hash, lifetimes.grace, now)
        if refusal is None:
            return mint_tokens(run, refresh.session_id, refresh.token_hash, lifetimes, now)
        if refusal is REPLAYED:
            close_session(run, refresh.session_id, "refresh_replayed", now)
    raise InvalidGrant(refusal)


REPLAYED = "This refresh token was already used. Its session has been ended."
TOO_OFTEN = "This refresh token was presented too often at once."


def judge_reuse(run: Run, token_hash: str, grace: int, now: int) -> str | None:
    """None if a refresh token may be traded (then it counts as presented), else why not. In an open transaction.

    A token may be presented again for `grace` seconds while none of its successors has been: some assistants refresh from two
    machines at once, and an answer can get lost. Each time it is traded for a pair of its own, SIBLINGS_MAX at the most.
    """
    row = run(
        """
        SELECT t.presented_at, count(child.token_hash) AS pairs, count(child.presented_at) AS continued
        FROM tokens t
        LEFT JOIN tokens child ON child.parent_hash = t.token_hash AND child.kind = 'refresh'
        WHERE t.token_hash = :token_hash
        GROUP BY t.presented_at
        """,
        token_hash=token_hash,
    )[0]
    if row["presented_at"] is None:
        run("UPDATE tokens SET presented_at = :now WHERE token_hash = :token_hash", token_hash=token_hash, now=now)
        return None
    if row["continued"] or now >= row["presented_at"] + grace:
        return REPLAYED
    return TOO_OFTEN if row["pairs"] >= SIBLINGS_MAX else None


def find_caller(db: Database, token: str) -> Caller | None:
    """Who an access token stands for, in one indexed query; None if its session has ended. The caller checks the expiry."""
    rows = db.query(
        """
        SELECT t.session_id, s.grant_id, g.client_id, p.user_id, g.profile_id, s.resource, t.expires_at, s.used_at,
            r.number AS revision, u.paused_at
        FROM tokens t
        JOIN sessions s ON s.id = t.session_id
        JOIN grants g ON g.id = s.grant_id
        JOIN profiles p ON p.id = g.profile_id
        JOIN revisions r ON r.name = 'features'
        LEFT JOIN user_clients u ON u.user_id = p.user_id AND u.client_id = g.client_id
        WHERE t.token_hash = :token_hash AND t.kind = 'access' AND s.ended_at IS NULL
        """,
        token_hash=hash_token(token),
    )
    return Caller(*rows[0]) if rows else None


def find_issued(db: Database, token: str, *, now: int) -> Issued | None:
    """What is known of a token, whether it still opens anything or not; None if it was never issued."""
    rows = db.query(
        """
        SELECT t.token_hash, t.kind, t.session_id, g.client_id, p.user_id, s.resource, s.scope, t.created_at, t.expires_at,
            t.presented_at, s.ended_at, s.expires_at AS session_expires_at
        FROM tokens t
        JOIN sessions s ON s.id = t.session_id
        JOIN grants g ON g.id = s.grant_id
        JOIN profiles p ON p.id = g.profile_id
        WHERE t.token_hash = :token_hash
        """,
        token_hash=hash_token(token),
    )
    if not rows:
        return None
    row = rows[0]
    active = is_alive(row, now) and row["expires_at"] > now and row["presented_at"] is None
    return Issued(
        row["token_hash"], row["kind"], row["session_id"], row["client_id"], row["user_id"], row["resource"], row["scope"],
        row["created_at"], row["expires_at"], active,
    )  # fmt: skip


def revoke_token(db: Database, issued: Issued, *, now: int) -> None:
    """Take a token back: a refresh token ends its session and every token of it, an access token goes alone (RFC 7009 §2.1)."""
    with db.write() as run:
        if issued.kind == "refresh":
            close_session(run, issued.session_id, "client", now)
        else:
            run("DELETE FROM tokens WHERE token_hash = :token_hash", token_hash=issued.token_hash)


def purge_tokens(db: Database, *, now: int) -> None:
    """Drop tokens that expired long ago; until then their reuse can be recognised."""
    with db.write() as run:
        run("DELETE FROM tokens WHERE expires_at <= :then", then=now - KEEP_EXPIRED_SECONDS)

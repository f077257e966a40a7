-- Handshake-era clients that can be asked something get a session.

-- store/mcp_sessions.py
-- What a client of the handshake era said at `initialize`. Only clients that can be asked something get one.
CREATE TABLE mcp_sessions (
    id_hash       TEXT PRIMARY KEY,
    grant_id      TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE, -- any other grant's callers are told 404
    version       TEXT NOT NULL,                          -- the protocol version that was agreed on
    capabilities_json TEXT NOT NULL,                      -- what the client declared that it can do
    log_level     TEXT,                                   -- null: the client has not chosen one
    created_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,                       -- to the minute
    expires_at    INTEGER NOT NULL                        -- moves with seen_at
);
CREATE INDEX mcp_sessions_by_grant ON mcp_sessions (grant_id, seen_at);
CREATE INDEX mcp_sessions_by_expiry ON mcp_sessions (expires_at);

-- store/mcp_sessions.py
-- A question that went out on one request's stream. The answer arrives in another request, at whichever worker.
CREATE TABLE mcp_asks (
    id            TEXT PRIMARY KEY,                       -- the JSON-RPC id of the question
    session_hash  TEXT NOT NULL REFERENCES mcp_sessions (id_hash) ON DELETE CASCADE,
    reply_sealed  TEXT,                                   -- JSON; null: not answered yet
    created_at    INTEGER NOT NULL
);
CREATE INDEX mcp_asks_by_session ON mcp_asks (session_hash);

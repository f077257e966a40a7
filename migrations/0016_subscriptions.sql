-- Resources that clients of the handshake era want to hear of, and the stream on which they are told.
ALTER TABLE mcp_sessions ADD COLUMN stream_id TEXT;
ALTER TABLE mcp_sessions ADD COLUMN stream_until INTEGER;

-- store/mcp_sessions.py
-- What a client wants to hear of. It may say so at one worker and have its stream at another, which sees to it.
CREATE TABLE mcp_subscriptions (
    session_hash  TEXT NOT NULL REFERENCES mcp_sessions (id_hash) ON DELETE CASCADE,
    uri           TEXT NOT NULL,                          -- as the client knows it
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (session_hash, uri)
);

INSERT INTO revisions (name, number) VALUES ('mcp_sessions', 1);

-- Other MCP servers behind connections.
-- store/upstreams.py
-- What is known of the MCP server behind a connection of the kinds remote_http, remote_sse and stdio, beside what its person
-- typed: where the connection came from, whether it is switched on, and what was last found there.
CREATE TABLE upstreams (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    source        TEXT NOT NULL CHECK (source IN ('typed', 'pasted', 'catalogue', 'registry')),
    definition_json TEXT,                                 -- the definition it was made from, without any value; null: typed by hand
    is_enabled    INTEGER NOT NULL CHECK (is_enabled IN (0, 1)), -- 0: its features are neither listed nor called
    greeting_json TEXT,                                   -- what the server last said of itself; null: it was never reached
    discovered_at INTEGER,                                -- when it said so; null: never
    failed_at     INTEGER,                                -- when it last could not be talked to; null: since discovered_at it can
    failure       TEXT                                    -- why, in a sentence of ours; null: it can be talked to
);

-- Calls of older servers that asked something in the middle of it, for clients that answer in another request.

-- store/continuations.py
-- Another server waits, in one process, for what only the client's next request can bring, to whichever process.
CREATE TABLE continuations (
    id            TEXT PRIMARY KEY,                       -- the client only has it sealed
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,                       -- of the server's last question, counted from 1
    question_sealed TEXT NOT NULL,                        -- JSON: the last question
    reply_sealed  TEXT,                                   -- JSON: its answer; null: not answered yet
    outcome_sealed TEXT,                                  -- JSON: how the call ended; null: it has not
    expires_at    INTEGER NOT NULL                        -- nobody waits longer
);
CREATE INDEX continuations_by_connection ON continuations (connection_id);
CREATE INDEX continuations_by_expiry ON continuations (expires_at);

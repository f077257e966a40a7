-- What commands write to stderr, for their person to read on whichever process's page.

-- store/tails.py
CREATE TABLE tails (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    text_sealed   TEXT NOT NULL,                          -- the last 32 KB at most, without the command's secrets
    kept_at       INTEGER NOT NULL
);

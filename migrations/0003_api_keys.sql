-- API keys, which hold grants as clients do. A NOT NULL cannot be taken back, so the table of grants is made anew.

-- store/api_keys.py
-- What a person makes for something that cannot sign in by OAuth. It is shown once; what it may do is its grant.
CREATE TABLE api_keys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,                          -- what the person calls it
    key_hash      TEXT NOT NULL UNIQUE,
    prefix        TEXT NOT NULL,                          -- its first letters, by which the person knows it again
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,                                -- null: never; an idle key is good no more all the same
    used_at       INTEGER,                                -- last call, to the minute; null: never
    revoked_at    INTEGER                                 -- null: nobody has taken it back
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- store/profiles.py
CREATE TABLE grants_new (
    id            TEXT PRIMARY KEY,
    profile_id    TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    client_id     TEXT REFERENCES clients (id) ON DELETE CASCADE,          -- null: an API key holds it
    api_key_id    TEXT UNIQUE REFERENCES api_keys (id) ON DELETE CASCADE,  -- null: a client holds it
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (client_id, profile_id),
    CHECK ((client_id IS NULL) <> (api_key_id IS NULL))
);
INSERT INTO grants_new
    (id, profile_id, client_id, created_at, updated_at)
SELECT
    id, profile_id, client_id, created_at, updated_at
FROM grants;
DROP TABLE grants;
ALTER TABLE grants_new RENAME TO grants;
CREATE INDEX grants_by_profile ON grants (profile_id);

-- Clients whose id is the URL of their own description, and clients that sign in with a key.
-- SQLite cannot change a CHECK, so the table is made anew; foreign keys are checked at the end.
CREATE TABLE clients_new (
    id            TEXT PRIMARY KEY,                       -- random for 'dcr', the document's URL for 'cimd'
    kind          TEXT NOT NULL CHECK (kind IN ('dcr', 'cimd')),
    name          TEXT,                                   -- untrusted text; null: it gave none
    auth_method   TEXT NOT NULL CHECK (auth_method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
    secret_hash   TEXT,                                   -- null unless the method needs a secret
    metadata_json TEXT NOT NULL,                          -- what it registered, as accepted (RFC 7591 §2)
    created_at    INTEGER NOT NULL,
    fresh_until   INTEGER,                                -- 'cimd' only: then the document is fetched again
    approved_at   INTEGER                                 -- the first consent; null: never, and so prunable
);
INSERT INTO clients_new
    (id, kind, name, auth_method, secret_hash, metadata_json, created_at, approved_at)
SELECT
    id, kind, name, auth_method, secret_hash, metadata_json, created_at, approved_at
FROM clients;
DROP TABLE clients;
ALTER TABLE clients_new RENAME TO clients;
CREATE INDEX clients_never_approved ON clients (created_at) WHERE approved_at IS NULL;

-- store/assertions.py
-- Client assertions that were presented: each signs a client in once (RFC 7523 §3).
CREATE TABLE assertions (
    id_hash       TEXT PRIMARY KEY,                       -- of the client's id and the assertion's jti
    expires_at    INTEGER NOT NULL                        -- the assertion's own; after that it is refused anyway
);
CREATE INDEX assertions_by_expiry ON assertions (expires_at);

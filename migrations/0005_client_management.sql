-- Clients that the owner makes, and clients that look after their own registration. Those that registered before cannot.
-- SQLite cannot change a CHECK, so the table is made anew; foreign keys are checked at the end.
CREATE TABLE clients_new (
    id            TEXT PRIMARY KEY,                       -- random, but the document's URL for 'cimd'
    kind          TEXT NOT NULL CHECK (kind IN ('dcr', 'cimd', 'preregistered')),
    name          TEXT,                                   -- untrusted text; null: it gave none
    auth_method   TEXT NOT NULL CHECK (auth_method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
    secret_hash   TEXT,                                   -- null unless the method needs a secret
    metadata_json TEXT NOT NULL,                          -- what it registered, as accepted (RFC 7591 §2)
    created_at    INTEGER NOT NULL,
    fresh_until   INTEGER,                                -- 'cimd' only: then the document is fetched again
    approved_at   INTEGER,                                -- the first consent; null: never, and so prunable, unless the owner made it
    registration_token_hash TEXT                          -- 'dcr' only: opens /register/<id> (RFC 7592); null: it has none
);
INSERT INTO clients_new
    (id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until, approved_at)
SELECT
    id, kind, name, auth_method, secret_hash, metadata_json, created_at, fresh_until, approved_at
FROM clients;
DROP TABLE clients;
ALTER TABLE clients_new RENAME TO clients;
CREATE INDEX clients_never_approved ON clients (created_at) WHERE approved_at IS NULL;

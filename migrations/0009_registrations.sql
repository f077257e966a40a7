-- Signing in at the services behind connections: registrations, visits to their authorization servers, and what came of them.
-- store/registrations.py
-- Who we are at the authorization server of one connection's service. Old ones stay as long as tokens of theirs are kept.
CREATE TABLE registrations (
    id            TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    issuer        TEXT NOT NULL,                          -- it is worth something there only; of given endpoints, the token endpoint
    kind          TEXT NOT NULL CHECK (kind IN ('given', 'document', 'registered')),
    client_id     TEXT NOT NULL,
    auth_method   TEXT NOT NULL CHECK (auth_method IN ('none', 'client_secret_basic', 'client_secret_post')),
    secret_sealed TEXT,                                   -- null: none is needed
    redirect_uri  TEXT NOT NULL,                          -- ours at that time: another PUBLIC_URL needs another registration
    scope         TEXT,                                   -- what it may ask for; null: nothing was said
    token_sealed  TEXT,                                   -- the registration_access_token (RFC 7592); null: there is none
    registration_uri TEXT,                                -- where that token is good (RFC 7592); null: there is none
    metadata_json TEXT NOT NULL,                          -- what we know of the server, such as its token endpoint
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,                                -- the secret's end; null: never
    dead_at       INTEGER                                 -- the server knows it no more; null: it does, as far as we know
);
CREATE INDEX registrations_by_connection ON registrations (connection_id, issuer);

-- store/upstream_signins.py
-- A person who was sent to another authorization server, and is to come back within ten minutes.
CREATE TABLE upstream_visits (
    state_hash      TEXT PRIMARY KEY,
    connection_id   TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    registration_id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    browser_hash    TEXT NOT NULL,                        -- the login in which it began; no other may end it
    verifier_sealed TEXT NOT NULL,                        -- PKCE (RFC 7636)
    url             TEXT NOT NULL,                        -- the server that the tokens are for; '' for a service of its own kind
    resource        TEXT NOT NULL,                        -- what it calls itself (RFC 8707); '' if it is not asked by that
    scope           TEXT,                                 -- what was asked for; null: nothing in particular
    next            TEXT NOT NULL,                        -- the page of ours to go to in the end
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    used_at         INTEGER                               -- null: nobody has come back
);
CREATE INDEX upstream_visits_by_registration ON upstream_visits (registration_id);
CREATE INDEX upstream_visits_by_expiry ON upstream_visits (expires_at);

-- store/upstream_signins.py
-- How a connection is signed in at its service. The tokens themselves are credentials of the connection.
CREATE TABLE upstream_signins (
    connection_id   TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    registration_id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    url             TEXT NOT NULL,                        -- tokens never go to another address than this
    resource        TEXT NOT NULL,
    scope           TEXT,                                 -- what was granted, of what was asked for; null: not known
    missing_scope   TEXT,                                 -- what a call was refused for; the next sign-in asks for it too; null: none
    account         TEXT,                                 -- whose it is, in the service's words; null: it did not say
    need            TEXT CHECK (need IN ('expired', 'refused', 'client')), -- why the person has to sign in again; null: no need
    signed_in_at    INTEGER NOT NULL,
    forced_at       INTEGER,                              -- when a refusal last made us refresh; null: never
    retry_at        INTEGER,                              -- a refresh failed for now: not before this again; null: it went well
    refresher       TEXT,                                 -- who refreshes just now, a random id; null: nobody
    refresher_until INTEGER                               -- after this anybody may
);

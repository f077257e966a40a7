-- Postern's database, to be read from top to bottom.
--
-- Every time is in epoch seconds (…_at). Every id is random TEXT. …_hash is a SHA-256 in hexadecimal digits of a random secret;
-- …_sealed is AES-256-GCM under the data key, bound to its table, column and row; …_json is JSON text.
-- Only the file named above a table writes it. The SQL here is what SQLite and PostgreSQL share.


-- 1. Keys ------------------------------------------------------------------------------------------------------------

-- store/keys.py
-- The data key that seals everything else, itself sealed under MASTER_KEY. Changing MASTER_KEY rewraps this one row.
CREATE TABLE data_keys (
    id            TEXT PRIMARY KEY,                       -- always 'main'
    wrapped       TEXT NOT NULL,
    key_check     TEXT NOT NULL,                          -- tells a wrong MASTER_KEY from a damaged row
    created_at    INTEGER NOT NULL,
    rewrapped_at  INTEGER                                 -- null: MASTER_KEY has never been changed
);

-- store/revisions.py
-- Two numbers that move, so that every process looks again: one whenever anything changes that decides what a caller sees, one
-- whenever an MCP session ends, or changes what it wants to hear of.
CREATE TABLE revisions (
    name          TEXT PRIMARY KEY,                       -- 'features' or 'mcp_sessions'
    number        INTEGER NOT NULL
);
INSERT INTO revisions (name, number) VALUES ('features', 1);
INSERT INTO revisions (name, number) VALUES ('mcp_sessions', 1);


-- 2. People ----------------------------------------------------------------------------------------------------------

-- store/users.py
-- A person who signs in. The first one is the owner.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,                   -- lower case
    password_hash TEXT NOT NULL,                          -- Argon2id, a PHC string
    is_owner      INTEGER NOT NULL CHECK (is_owner IN (0, 1)),
    created_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_one_owner ON users (is_owner) WHERE is_owner = 1;

-- store/users.py
-- A browser in which a user is signed in. Both logins of a double click name the same browser: by its cookie before, and the user.
CREATE TABLE logins (
    cookie_hash   TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at    INTEGER NOT NULL,                       -- when the password was typed
    seen_at       INTEGER NOT NULL,                       -- to the minute
    expires_at    INTEGER NOT NULL,
    browser_hash  TEXT NOT NULL DEFAULT ''                -- which browser, as requests and visits name it; '' means cookie_hash
);
CREATE INDEX logins_by_user ON logins (user_id);

-- store/users.py
-- The one-time code that opens /setup while there is no user. At most one row; a start of the server replaces it.
CREATE TABLE setup_codes (
    code_hash     TEXT PRIMARY KEY,
    created_at    INTEGER NOT NULL
);

-- store/rate_limits.py
-- Token buckets for the sign-in pages, shared by all workers.
CREATE TABLE rate_limits (
    bucket_hash   TEXT PRIMARY KEY,                       -- policy and identity; never the identity itself
    full_at       REAL NOT NULL                           -- when it will be full again; after that the row says nothing and can go
);
CREATE INDEX rate_limits_by_full_at ON rate_limits (full_at);


-- 3. What a person has -----------------------------------------------------------------------------------------------

-- store/connections.py
-- One user's configured instance of a connector.
CREATE TABLE connections (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    connector     TEXT NOT NULL,                          -- a name in connectors/catalog.py
    name          TEXT NOT NULL,                          -- what the person calls it
    settings_json TEXT NOT NULL,                          -- the fields that are not secret
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,                       -- moves with every change: a second change in a second counts as later
    UNIQUE (user_id, name)
);

-- store/connections.py
-- One secret of a connection.
CREATE TABLE credentials (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,                          -- the field's name, such as api_key
    value_sealed  TEXT NOT NULL,
    expires_at    INTEGER,                                -- null: as long as the other side accepts it
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (connection_id, name)
);

-- store/profiles.py
-- A named, ordered bundle of a user's connections, with an address of its own: /mcp/<slug>.
CREATE TABLE profiles (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slug          TEXT NOT NULL UNIQUE,                   -- on the whole server
    name          TEXT NOT NULL,
    is_default    INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_at    INTEGER NOT NULL,
    is_searchable INTEGER NOT NULL DEFAULT 1 CHECK (is_searchable IN (0, 1)), -- 1: assistants get `search` and `fetch` over it
    UNIQUE (user_id, name)
);
CREATE UNIQUE INDEX profiles_one_default ON profiles (user_id) WHERE is_default = 1;

-- store/members.py
-- A connection's place in a profile. The prefix of its tools' names is fixed when it joins.
CREATE TABLE profile_connections (
    profile_id    TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    prefix        TEXT NOT NULL,                          -- '' for the first to join; else names begin with prefix_
    joined_at     INTEGER NOT NULL DEFAULT 0,             -- decides who keeps a name that two features claim
    PRIMARY KEY (profile_id, connection_id),
    UNIQUE (profile_id, prefix)
);
CREATE INDEX profile_connections_by_connection ON profile_connections (connection_id);

-- store/profiles.py
-- A named permission bundle inside a profile.
CREATE TABLE feature_sets (
    id            TEXT PRIMARY KEY,
    profile_id    TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('all', 'read_only', 'core')), -- core: tools that their connector marks as such,
                                                          -- and all of other servers
    name          TEXT NOT NULL,
    UNIQUE (profile_id, name)
);


-- 4. Who may come in -------------------------------------------------------------------------------------------------

-- store/clients.py
-- An OAuth client, that is, an assistant. Nobody has verified what it says of itself; of a 'cimd' one its host is known, and
-- a 'preregistered' one was made by the owner.
CREATE TABLE clients (
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
CREATE INDEX clients_never_approved ON clients (created_at) WHERE approved_at IS NULL;

-- store/clients.py
-- Where a client's codes may go. Compared as exact strings, but for the port of loopback http.
CREATE TABLE redirect_uris (
    client_id     TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    uri           TEXT NOT NULL,
    PRIMARY KEY (client_id, position)
);

-- store/user_clients.py
-- What a user says of a client. It does not stand with the client, whose id all users share if it is of kind 'cimd'. When it
-- was last seen is told by this user's sessions of it.
CREATE TABLE user_clients (
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id     TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    alias         TEXT,                                   -- what this user calls it; null: by the client's own name
    paused_at     INTEGER,                                -- since when its calls are refused; null: it works
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX user_clients_by_client ON user_clients (client_id);

-- store/emulated_documents.py
-- The description of a client that `cli.py emulate` plays, published here instead of on the web, for ten minutes at the most.
-- It is read where a URL would be fetched, so nothing is ever fetched from ourselves. The client goes together with it.
CREATE TABLE emulated_documents (
    id            TEXT PRIMARY KEY,                       -- the last part of the client's id, /oauth/emulated/<id>.json
    document_json TEXT NOT NULL,                          -- with the public half of a key that only the command line has
    expires_at    INTEGER NOT NULL                        -- after that it is unknown
);

-- store/assertions.py
-- Client assertions that were presented: each signs a client in once (RFC 7523 §3).
CREATE TABLE assertions (
    id_hash       TEXT PRIMARY KEY,                       -- of the client's id and the assertion's jti
    expires_at    INTEGER NOT NULL                        -- the assertion's own; after that it is refused anyway
);
CREATE INDEX assertions_by_expiry ON assertions (expires_at);

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

-- store/grants.py
-- What a client or an API key may do in a profile. A client has one in each; consenting again replaces its feature sets.
CREATE TABLE grants (
    id            TEXT PRIMARY KEY,
    profile_id    TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    client_id     TEXT REFERENCES clients (id) ON DELETE CASCADE,          -- null: an API key holds it
    api_key_id    TEXT UNIQUE REFERENCES api_keys (id) ON DELETE CASCADE,  -- null: a client holds it
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (client_id, profile_id),
    CHECK ((client_id IS NULL) <> (api_key_id IS NULL))
);
CREATE INDEX grants_by_profile ON grants (profile_id);

-- store/grants.py
CREATE TABLE grant_feature_sets (
    grant_id       TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    feature_set_id TEXT NOT NULL REFERENCES feature_sets (id) ON DELETE CASCADE,
    PRIMARY KEY (grant_id, feature_set_id)
);
CREATE INDEX grant_feature_sets_by_set ON grant_feature_sets (feature_set_id);


-- 5. How they come in ------------------------------------------------------------------------------------------------

-- store/authorizations.py
-- A validated visit to /authorize that waits for the person's decision. Nothing of it travels through a form.
CREATE TABLE authorization_requests (
    id             TEXT PRIMARY KEY,
    browser_hash   TEXT NOT NULL,                         -- the browser that brought it; no other may decide it
    client_id      TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    redirect_uri   TEXT NOT NULL,
    state          TEXT,                                  -- null: none was sent
    scope          TEXT NOT NULL,
    resource       TEXT NOT NULL,                         -- …/mcp or …/mcp/<slug>
    code_challenge TEXT NOT NULL,                         -- S256 (RFC 7636)
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    decided_at     INTEGER,                               -- null: still open
    code_hash      TEXT                                   -- of the first code that approving gave; null: none
);
CREATE INDEX authorization_requests_by_expiry ON authorization_requests (expires_at);
CREATE INDEX authorization_requests_by_challenge ON authorization_requests (code_challenge); -- has one come before?
CREATE INDEX authorization_requests_by_client ON authorization_requests (client_id);

-- store/sessions.py
-- One approved sign-in of a client: a family of tokens that lives and dies together.
CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    grant_id      TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    resource      TEXT NOT NULL,                          -- the only address its tokens open (RFC 8707)
    scope         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,                       -- absolute: no refresh goes past it
    used_at       INTEGER,                                -- last call, to the minute; null: never
    ended_at      INTEGER,                                -- null: alive
    end_reason    TEXT CHECK (end_reason IN ('person', 'client', 'code_replayed', 'refresh_replayed'))
);
CREATE INDEX sessions_by_grant ON sessions (grant_id);

-- store/codes.py
-- An authorization code. A spent one is kept as long as its session, to recognise a replay.
CREATE TABLE codes (
    code_hash      TEXT PRIMARY KEY,
    session_id     TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id      TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    used_at        INTEGER                                -- null: never redeemed
);
CREATE INDEX codes_by_session ON codes (session_id);
CREATE INDEX codes_by_client ON codes (client_id);

-- store/tokens.py
-- Access and refresh tokens. Two tokens with one parent are siblings: the answer to a refresh that was sent twice.
CREATE TABLE tokens (
    token_hash    TEXT PRIMARY KEY,
    session_id    TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    parent_hash   TEXT,                                   -- the refresh token it was traded for; null: came from the code
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    presented_at  INTEGER                                 -- refresh only: first time it was traded; null: never
);
CREATE INDEX tokens_by_session ON tokens (session_id);
CREATE INDEX tokens_by_parent ON tokens (parent_hash) WHERE parent_hash IS NOT NULL;
CREATE INDEX tokens_by_expiry ON tokens (expires_at);


-- 6. Housekeeping ----------------------------------------------------------------------------------------------------

-- store/cache.py
-- Copies of what other services answered. A stale copy is kept for the day the service is down.
CREATE TABLE cache (
    scope         TEXT NOT NULL,                          -- a connection's id, or 'shared' for public data
    key           TEXT NOT NULL,
    value_sealed  TEXT NOT NULL,                          -- JSON
    fetched_at    INTEGER NOT NULL,
    fresh_until   INTEGER NOT NULL,
    kept_until    INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX cache_by_kept_until ON cache (kept_until);

-- store/leases.py
-- Who does a periodic job just now, and when it was last done.
CREATE TABLE leases (
    name          TEXT PRIMARY KEY,
    holder        TEXT NOT NULL,                          -- a random id of one process
    expires_at    INTEGER NOT NULL,                       -- after this anybody may take it
    done_at       INTEGER                                 -- null: never finished
);


-- 7. Personal Context ------------------------------------------------------------------------------------------------

-- store/personal_context.py
-- "I work from home today": the newest one that has not expired counts.
CREATE TABLE work_events (
    id            TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    source        TEXT NOT NULL CHECK (source IN ('manual', 'homeassistant', 'automated')),
    status        TEXT NOT NULL,
    reason        TEXT,
    created_at    INTEGER NOT NULL,
    position      INTEGER NOT NULL DEFAULT 0,             -- which of its second it is, counted from 0
    expires_at    INTEGER                                 -- null: until the next event
);
CREATE INDEX work_events_by_time ON work_events (connection_id, created_at);

-- store/personal_context.py
-- Where the person was, and when.
CREATE TABLE location_events (
    id            TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    source        TEXT NOT NULL CHECK (source IN ('manual', 'homeassistant', 'automated')),
    latitude      REAL NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude     REAL NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    name          TEXT,                                   -- null: not known yet
    created_at    INTEGER NOT NULL,
    position      INTEGER NOT NULL DEFAULT 0,             -- which of its second it is, counted from 0
    expires_at    INTEGER                                 -- null: until it is stale
);
CREATE INDEX location_events_by_time ON location_events (connection_id, created_at);

-- store/personal_context.py
-- What a person planned for a date.
CREATE TABLE scheduled_statuses (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    date          TEXT NOT NULL,                          -- YYYY-MM-DD in the connection's time zone
    work_status   TEXT,                                   -- null: only the location is planned
    latitude      REAL CHECK (latitude BETWEEN -90 AND 90),
    longitude     REAL CHECK (longitude BETWEEN -180 AND 180),
    location_name TEXT,
    reason        TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (connection_id, date),
    CHECK (work_status IS NOT NULL OR latitude IS NOT NULL),
    CHECK ((latitude IS NULL) = (longitude IS NULL))
);


-- 8. MCP sessions ----------------------------------------------------------------------------------------------------

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
    expires_at    INTEGER NOT NULL,                       -- moves with seen_at
    stream_id     TEXT,                                   -- its GET stream, of which there is one at a time; null: none
    stream_until  INTEGER                                 -- past this its process has died, unless it says otherwise; null: none
);
CREATE INDEX mcp_sessions_by_grant ON mcp_sessions (grant_id, seen_at);
CREATE INDEX mcp_sessions_by_expiry ON mcp_sessions (expires_at);

-- store/mcp_sessions.py
-- What a client wants to hear of. It may say so at one worker and have its stream at another, which sees to it.
CREATE TABLE mcp_subscriptions (
    session_hash  TEXT NOT NULL REFERENCES mcp_sessions (id_hash) ON DELETE CASCADE,
    uri           TEXT NOT NULL,                          -- as the client knows it
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (session_hash, uri)
);

-- store/mcp_sessions.py
-- A question that went out on one request's stream. The answer arrives in another request, at whichever worker.
CREATE TABLE mcp_asks (
    id            TEXT PRIMARY KEY,                       -- the JSON-RPC id of the question
    session_hash  TEXT NOT NULL REFERENCES mcp_sessions (id_hash) ON DELETE CASCADE,
    reply_sealed  TEXT,                                   -- JSON; null: not answered yet
    created_at    INTEGER NOT NULL
);
CREATE INDEX mcp_asks_by_session ON mcp_asks (session_hash);

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


-- 9. Sign-in log -----------------------------------------------------------------------------------------------------

-- store/signins.py
-- An attempt of an assistant to get in, as far as its steps can be told to belong together. Holds ids, never values; nothing
-- refers to it and it refers to nobody, so that a client or a person can go and the log need not care. Kept for two weeks.
CREATE TABLE sign_in_attempts (
    id            TEXT PRIMARY KEY,
    client_id     TEXT,                                   -- null: it has only looked around so far, or is nobody we know
    user_id       TEXT,                                   -- null: nobody has signed in for it yet
    request_id    TEXT,                                   -- the authorization request; null: none was good so far
    session_id    TEXT,                                   -- null: nobody has approved yet
    resource      TEXT,                                   -- …/mcp or …/mcp/<slug>; null: not named yet
    address_hash  TEXT NOT NULL,                          -- of where the first step came from: an HMAC under the data key
    user_agent    TEXT NOT NULL,                          -- the first step's program by its family, such as Chrome; '' if it is odd
    started_at    REAL NOT NULL,                          -- with fractions, as all times here: steps follow each other fast
    last_at       REAL NOT NULL
);
CREATE INDEX sign_in_attempts_by_client ON sign_in_attempts (client_id, last_at);
CREATE INDEX sign_in_attempts_by_request ON sign_in_attempts (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX sign_in_attempts_by_session ON sign_in_attempts (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX sign_in_attempts_by_address ON sign_in_attempts (address_hash, started_at) WHERE client_id IS NULL;
CREATE INDEX sign_in_attempts_by_time ON sign_in_attempts (last_at);

-- store/signins.py
-- One step of an attempt that was seen. Which step did not come is what a person wants to know.
CREATE TABLE sign_in_steps (
    attempt_id    TEXT NOT NULL REFERENCES sign_in_attempts (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,                       -- which it was, as it was written down
    at            REAL NOT NULL,
    step          TEXT NOT NULL CHECK (step IN ('resource_metadata', 'server_metadata', 'register', 'document', 'authorize',
                      'login', 'consent_shown', 'consent', 'token', 'refresh', 'call')),
    error         TEXT,                                   -- the code of the refusal, such as invalid_grant; null: it went well
    detail        TEXT CHECK (detail IN ('challenge_repeated', 'another_address')), -- null: nothing more to say
    PRIMARY KEY (attempt_id, position)
);


-- 10. Other MCP servers ----------------------------------------------------------------------------------------------

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
    failure       TEXT,                                   -- why, in a sentence of ours; null: it can be talked to
    definition_sealed TEXT                                -- the values in the definition, as JSON; null: typed, or not kept (before 0019)
);

-- store/tails.py
-- The last that the command behind a connection wrote to stderr: whichever of its processes wrote last, of whichever worker.
CREATE TABLE tails (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    text_sealed   TEXT NOT NULL,                          -- the last 32 KB at most, without the command's secrets
    kept_at       INTEGER NOT NULL
);

-- store/features.py
-- A feature of the MCP server behind a connection. It stays here when the server is away, or lists it no more.
CREATE TABLE features (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('tool', 'prompt', 'resource', 'template')),
    name          TEXT NOT NULL,                          -- the server's own: a resource's URI, a template's URI template
    position      INTEGER NOT NULL,                       -- in the order first seen: a server may list in another order each time
    raw_json      TEXT NOT NULL,                          -- as the server listed it last
    hash          TEXT NOT NULL,                          -- of raw_json, whatever the order of its members
    accepted_json TEXT,                                   -- as it was when its person last looked; null: it came since, unseen
    accepted_hash TEXT,
    reads_confirmed_hash TEXT,                            -- the definition that a person believes only reads; null: none
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    is_available  INTEGER NOT NULL CHECK (is_available IN (0, 1)), -- 0: the server lists it no more
    searchable_hash TEXT,                                 -- the definition that a person lets `search` or `fetch` use; null: none
    PRIMARY KEY (connection_id, kind, name),
    CHECK ((accepted_json IS NULL) = (accepted_hash IS NULL))
);

-- store/looks.py
-- The last look at what a server offers, and what its person wants to become of changes.
CREATE TABLE looks (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    changes       TEXT NOT NULL CHECK (changes IN ('hold', 'hold_new', 'follow')), -- hold: what changed stays as accepted,
                                                          -- hold_new: what came later waits too, follow: neither
    left_out_json TEXT NOT NULL                           -- what was unfit to be passed on, a sentence each
);

-- store/profile_features.py
-- What a person changed of one feature in one profile. A feature without a row is shown as it is.
CREATE TABLE profile_features (
    profile_id    TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('tool', 'prompt', 'resource', 'template')),
    name          TEXT NOT NULL,                          -- its own, not the one it is shown under
    is_enabled    INTEGER NOT NULL CHECK (is_enabled IN (0, 1)), -- 0: neither listed nor called
    shown_name    TEXT,                                   -- tools and prompts: the whole name to show it under; null: its own
    shown_title   TEXT,                                   -- null: its own
    shown_description TEXT,                               -- null: its own
    PRIMARY KEY (profile_id, connection_id, kind, name),
    FOREIGN KEY (profile_id, connection_id) REFERENCES profile_connections (profile_id, connection_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX profile_features_by_shown_name ON profile_features (profile_id, kind, shown_name) WHERE shown_name IS NOT NULL;

-- 11. Signing in at other servers ------------------------------------------------------------------------------------

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
CREATE INDEX upstream_visits_by_connection ON upstream_visits (connection_id);
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
CREATE INDEX upstream_signins_by_registration ON upstream_signins (registration_id);

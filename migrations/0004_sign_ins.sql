-- The sign-in log, and an index by which a PKCE challenge that comes again is noticed.
CREATE INDEX authorization_requests_by_challenge ON authorization_requests (code_challenge);

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

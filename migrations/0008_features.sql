-- What the servers behind connections offer, and what a person changes of it in a profile.
-- store/members.py
ALTER TABLE profile_connections ADD COLUMN joined_at INTEGER NOT NULL DEFAULT 0; -- decides who keeps a name that two features claim

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

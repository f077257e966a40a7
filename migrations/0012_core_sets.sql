-- A third feature set in every profile. A CHECK cannot be changed, so the table is made anew.

-- store/profiles.py
CREATE TABLE feature_sets_new (
    id            TEXT PRIMARY KEY,
    profile_id    TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('all', 'read_only', 'core')), -- core: tools that their connector marks as such,
                                                          -- and all of other servers
    name          TEXT NOT NULL,
    UNIQUE (profile_id, name)
);
INSERT INTO feature_sets_new
    (id, profile_id, kind, name)
SELECT
    id, profile_id, kind, name
FROM feature_sets;
INSERT INTO feature_sets_new
    (id, profile_id, kind, name)
SELECT
    'core-' || id, id, 'core', 'Core'
FROM profiles;
DROP TABLE feature_sets;
ALTER TABLE feature_sets_new RENAME TO feature_sets;

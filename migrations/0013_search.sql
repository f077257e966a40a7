-- `search` and `fetch` over a whole profile.
ALTER TABLE profiles ADD COLUMN is_searchable INTEGER NOT NULL DEFAULT 1 CHECK (is_searchable IN (0, 1));
ALTER TABLE features ADD COLUMN searchable_hash TEXT;

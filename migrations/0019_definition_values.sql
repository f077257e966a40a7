-- The values in the definition that a connection was made from, to know what its person has changed since. Of older connections
-- they were not kept.
ALTER TABLE upstreams ADD COLUMN definition_sealed TEXT;

-- Which code a person's approval gave, so that the second click of a double one can be answered too.
ALTER TABLE authorization_requests ADD COLUMN code_hash TEXT;

-- Client documents that the command line publishes for a run of `emulate`.
-- store/emulated_documents.py
-- The description of a client that `cli.py emulate` plays, published here instead of on the web, for ten minutes at the most.
-- It is read where a URL would be fetched, so nothing is ever fetched from ourselves. The client goes together with it.
CREATE TABLE emulated_documents (
    id            TEXT PRIMARY KEY,                       -- the last part of the client's id, /oauth/emulated/<id>.json
    document_json TEXT NOT NULL,                          -- with the public half of a key that only the command line has
    expires_at    INTEGER NOT NULL                        -- after that it is unknown
);

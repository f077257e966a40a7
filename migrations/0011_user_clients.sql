-- What a user says of a client.
CREATE TABLE user_clients (
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id     TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    alias         TEXT,                                   -- what this user calls it; null: by the client's own name
    paused_at     INTEGER,                                -- since when its calls are refused; null: it works
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX user_clients_by_client ON user_clients (client_id);

-- What signs webhooks to a connection's own endpoint, sealed. Any number of each: two while one rolls.
CREATE TABLE webhook_secrets (
    id TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    last4 TEXT NOT NULL,
    added_at BIGINT NOT NULL
);
CREATE INDEX webhook_secrets_by_connection ON webhook_secrets (connection_id, added_at);

-- Events that Stripe has pushed and that are not in the warehouse yet, as they came. `due_at` is null for those that cannot
-- be understood: they are kept and shown. `looked_at` is when one was first looked at, by the clock that stamps answers.
CREATE TABLE webhook_events (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    body BLOB NOT NULL,
    due_at BIGINT,
    tries BIGINT NOT NULL,
    looked_at BIGINT,
    why TEXT,
    PRIMARY KEY (connection_id, event_id)
);
CREATE INDEX webhook_events_by_due ON webhook_events (connection_id, due_at, received_at, event_id);

-- What came for a connection, that which is in the warehouse since or was dropped too.
CREATE TABLE webhook_receptions (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    received BIGINT NOT NULL,
    last_received_at BIGINT,
    dropped BIGINT NOT NULL,
    last_dropped_at BIGINT,
    last_dropped_why TEXT
);

-- When the credentials were given; null for those given before this was kept, which is when the connection was made at
-- the earliest.
ALTER TABLE connections ADD COLUMN credentials_at BIGINT;

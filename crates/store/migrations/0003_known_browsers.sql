-- Browsers that somebody has signed in with. Their attempts are counted apart, so that others cannot use them up.
CREATE TABLE browsers (
    token_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);

-- The hash of a known browser's token; empty for all others together.
ALTER TABLE login_attempts ADD COLUMN browser TEXT NOT NULL DEFAULT '';

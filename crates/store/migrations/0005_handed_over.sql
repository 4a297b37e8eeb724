-- Events that could not be applied for days, and that are left to what updates read of Stripe's events themselves.
ALTER TABLE webhook_receptions ADD COLUMN handed_over BIGINT NOT NULL DEFAULT 0;
ALTER TABLE webhook_receptions ADD COLUMN last_handed_over_at BIGINT;
ALTER TABLE webhook_receptions ADD COLUMN last_handed_over_why TEXT;

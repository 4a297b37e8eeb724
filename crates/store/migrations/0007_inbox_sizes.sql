-- How large a body is, so that the bytes that wait can be summed up without reading them.
ALTER TABLE webhook_events ADD COLUMN size BIGINT NOT NULL DEFAULT 0;
UPDATE webhook_events SET size = length(body);
CREATE INDEX webhook_events_by_size ON webhook_events (connection_id, size);

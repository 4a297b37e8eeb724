-- What waits is summed up apart from what can never be applied: with its size one index serves that, and what is due.
DROP INDEX webhook_events_by_size;
DROP INDEX webhook_events_by_due;
CREATE INDEX webhook_events_by_due ON webhook_events (connection_id, due_at, received_at, event_id, size);

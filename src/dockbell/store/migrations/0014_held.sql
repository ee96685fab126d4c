-- What is held for one webhook, oldest first: it is released when that is enabled, however much is held for others.
CREATE INDEX deliveries_held ON deliveries (webhook_id, event_id) WHERE status = 'held';

-- A claim counts what is being sent for one webhook. With the lease's end in front, this index could not serve that:
-- SQLite walked the webhook's whole history instead, PostgreSQL everybody's leases with all that vacuum had not cleared yet.
-- Run-out leases are looked for among the few that are being sent at all.
DROP INDEX deliveries_sending;
CREATE INDEX deliveries_sending ON deliveries (webhook_id, lease_until) WHERE status = 'sending';

-- A third thing that is done to many: what a webhook missed is sent to it. SQLite cannot change a check, so the table,
-- which is small, is made anew. Nodes of the version before may be in the middle of a batch: it is waited for, so that what it did
-- is copied too, and not done again.
/*pg LOCK TABLE bulk_runs IN ACCESS EXCLUSIVE MODE */;
CREATE TABLE bulk_runs_now (
  id TEXT PRIMARY KEY,
  action TEXT NOT NULL CHECK (action IN ('resend', 'cancel', 'send-missed')),
  actor TEXT NOT NULL,
  actor_label TEXT NOT NULL,
  actor_address TEXT NOT NULL DEFAULT '',
  goods_owners TEXT,
  chosen TEXT NOT NULL,
  position_event BIGINT NOT NULL,
  position_webhook BIGINT NOT NULL,
  changed BIGINT NOT NULL DEFAULT 0,
  left_out BIGINT NOT NULL DEFAULT 0,
  lease_holder TEXT NOT NULL DEFAULT '',
  lease_until BIGINT NOT NULL DEFAULT 0,
  started_at BIGINT NOT NULL,
  ended_at BIGINT
);
INSERT INTO bulk_runs_now
  SELECT r.id, r.action, r.actor, r.actor_label, r.actor_address, r.goods_owners, r.chosen, r.position_event,
         r.position_webhook, r.changed, r.left_out, r.lease_holder, r.lease_until, r.started_at, r.ended_at
    FROM bulk_runs r;
DROP TABLE bulk_runs;
ALTER TABLE bulk_runs_now RENAME TO bulk_runs;
CREATE INDEX bulk_runs_open ON bulk_runs (lease_until) WHERE ended_at IS NULL;

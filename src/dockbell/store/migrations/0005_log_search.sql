-- Searching the log. Partial indexes only: a delivery that goes well the first time never stands in one of them, so the
-- way of most deliveries does not pay. 'sending' is left out for that reason; deliveries_sending finds those. The last two
-- columns let a walk over such an index pass by what another webhook or goods owner has.
CREATE INDEX deliveries_of_code ON deliveries (last_code, event_id, webhook_id, goods_owner_id) WHERE last_code <> 'delivered';
DROP INDEX deliveries_not_delivered;
CREATE INDEX deliveries_at_rest ON deliveries (status, event_id, webhook_id, goods_owner_id)
  WHERE status IN ('pending', 'failed', 'held', 'cancelled');

-- Resending or cancelling many deliveries: what was chosen, by whom, and how far it is. position is the last pair done;
-- the run goes down from there, so each delivery is met once, on whichever node and after whichever restart. Who works
-- on it holds the lease until lease_until.
CREATE TABLE bulk_runs (
  id TEXT PRIMARY KEY,
  action TEXT NOT NULL CHECK (action IN ('resend', 'cancel')),
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
CREATE INDEX bulk_runs_open ON bulk_runs (lease_until) WHERE ended_at IS NULL;

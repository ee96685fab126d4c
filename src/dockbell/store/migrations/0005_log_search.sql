-- Searching the log. The first is partial, so that deliveries that go well do not pay for it.
CREATE INDEX deliveries_of_code ON deliveries (last_code, event_id) WHERE last_code <> 'delivered';
CREATE INDEX events_of_type ON events (event_type, id);

-- Resending or cancelling many deliveries: what was chosen, by whom, and how far it is. position is the last pair done;
-- the run goes down from there, so each delivery is met once, on whichever node and after whichever restart.
CREATE TABLE bulk_runs (
  id TEXT PRIMARY KEY,
  action TEXT NOT NULL CHECK (action IN ('resend', 'cancel')),
  actor TEXT NOT NULL,
  actor_label TEXT NOT NULL,
  chosen TEXT NOT NULL,
  position_event BIGINT NOT NULL,
  position_webhook BIGINT NOT NULL,
  changed BIGINT NOT NULL DEFAULT 0,
  left_out BIGINT NOT NULL DEFAULT 0,
  started_at BIGINT NOT NULL,
  ended_at BIGINT
);

-- Webhooks whose deliveries a node holds back because their receiver ails. Each node has its own view of a receiver.
CREATE TABLE breakers (
  webhook_id BIGINT NOT NULL,
  node BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'ramping', 'slowed')),
  since BIGINT NOT NULL,
  reason TEXT NOT NULL,
  code TEXT NOT NULL,
  probe_at BIGINT,
  PRIMARY KEY (webhook_id, node)
);

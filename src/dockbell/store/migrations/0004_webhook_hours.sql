-- Statistics: attempts counted by webhook, hour and time taken (bucket: see store/webhook_hours.py).

CREATE TABLE webhook_hours (
  webhook_id BIGINT NOT NULL,
  hour_at BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  delivered BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  PRIMARY KEY (webhook_id, hour_at, bucket)
);
CREATE INDEX webhook_hours_at ON webhook_hours (hour_at);

-- When a webhook last delivered, last tried, and since when it only failed.
CREATE TABLE webhook_health (
  webhook_id BIGINT PRIMARY KEY,
  tried_at BIGINT NOT NULL,
  delivered_at BIGINT,
  failing_since BIGINT
);
CREATE INDEX attempts_ended ON attempts (ended_at);
INSERT INTO counters (name, value) VALUES ('attempts counted to', 0);

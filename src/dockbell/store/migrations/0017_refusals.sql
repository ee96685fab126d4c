-- Why publishers were refused: events that were never accepted are in no other table. The ids are of the kind of events' ids.
CREATE TABLE refusals (
  id BIGINT PRIMARY KEY,
  actor TEXT NOT NULL,
  actor_label TEXT NOT NULL,
  goods_owners TEXT,
  goods_owner_id BIGINT,
  event_type TEXT,
  publisher_id TEXT,
  object_key TEXT,
  object_number TEXT,
  status BIGINT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  more BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX refusals_of_actor ON refusals (actor, id);

-- Which webhooks keep the order of each object.
ALTER TABLE webhooks ADD COLUMN keeps_order BIGINT NOT NULL DEFAULT 0;

-- Their deliveries that have not ended, each object's in the order of the events.
CREATE TABLE turns (
  webhook_id BIGINT NOT NULL,
  goods_owner_id BIGINT NOT NULL,
  object_key TEXT NOT NULL,
  event_id BIGINT NOT NULL,
  PRIMARY KEY (webhook_id, goods_owner_id, object_key, event_id)
);
CREATE UNIQUE INDEX turns_of_delivery ON turns (event_id, webhook_id);

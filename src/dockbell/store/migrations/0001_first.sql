-- One text for both databases: TEXT and BIGINT only (SQLite reads BIGINT as INTEGER and makes tables STRICT).
-- Moments are microseconds since 1970 in UTC and their names end in _at; booleans are 0 and 1.

-- Named numbers that grow: the next webhook's id, how often webhooks or keys have changed.
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('webhook', 0), ('webhooks changed', 0), ('keys changed', 0), ('catalog changed', 0);

-- Running programs; the number is part of every event id they make.
CREATE TABLE nodes (
  number BIGINT PRIMARY KEY,
  name TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
);

-- Proof that the key file belongs to this database.
CREATE TABLE vault_checks (
  key_id TEXT PRIMARY KEY,
  sealed TEXT NOT NULL
);

CREATE TABLE goods_owners (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  digest TEXT NOT NULL,
  scopes TEXT NOT NULL,
  goods_owners TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT
);

-- Event types the operator added; the built-in ones are files.
CREATE TABLE event_types (
  key TEXT PRIMARY KEY,
  document TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL
);

CREATE TABLE webhooks (
  id BIGINT PRIMARY KEY,
  version BIGINT NOT NULL,
  changed_no BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('regular', 'automation')),
  name TEXT NOT NULL,
  event_type TEXT NOT NULL,
  all_goods_owners BIGINT NOT NULL CHECK (all_goods_owners IN (0, 1)),
  enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
  disabled_reason TEXT,
  settings TEXT NOT NULL,
  secrets TEXT NOT NULL,
  max_concurrency BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  deleted_at BIGINT
);
CREATE INDEX webhooks_changed ON webhooks (changed_no);
CREATE INDEX webhooks_of_type ON webhooks (event_type, id);

CREATE TABLE webhook_goods_owners (
  webhook_id BIGINT NOT NULL REFERENCES webhooks (id),
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  PRIMARY KEY (webhook_id, goods_owner_id)
);
CREATE INDEX webhooks_of_goods_owner ON webhook_goods_owners (goods_owner_id, webhook_id);

-- What a webhook looked like from when on: the answer to "why did it not fire?" needs the settings of that time.
CREATE TABLE webhook_versions (
  webhook_id BIGINT NOT NULL REFERENCES webhooks (id),
  version BIGINT NOT NULL,
  since BIGINT NOT NULL,
  actor TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  settings TEXT NOT NULL,
  PRIMARY KEY (webhook_id, version)
);

CREATE TABLE events (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL,
  event_type TEXT NOT NULL,
  publisher_id TEXT,
  fingerprint TEXT,
  occurred_at BIGINT NOT NULL,
  accepted_at BIGINT NOT NULL,
  object_key TEXT,
  object_number TEXT,
  attributes TEXT NOT NULL,
  head TEXT NOT NULL,
  data TEXT NOT NULL,
  test_of BIGINT
);
CREATE UNIQUE INDEX events_publisher_id ON events (goods_owner_id, publisher_id) WHERE publisher_id IS NOT NULL;
CREATE INDEX events_of_object ON events (object_key, id);
CREATE INDEX events_of_number ON events (object_number, id) WHERE object_number IS NOT NULL;
CREATE INDEX events_of_goods_owner ON events (goods_owner_id, id);

-- One row per event and webhook that wants it. While an attempt runs, the row *is* that attempt's first
-- half (attempt_started_at, lease): a crash leaves it here to be found and closed as interrupted.
CREATE TABLE deliveries (
  event_id BIGINT NOT NULL,
  webhook_id BIGINT NOT NULL,
  goods_owner_id BIGINT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'sending', 'delivered', 'failed', 'held', 'cancelled')),
  due_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  failures BIGINT NOT NULL DEFAULT 0,
  first_attempt_at BIGINT,
  attempt_started_at BIGINT,
  lease_no BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT NOT NULL DEFAULT 0,
  lease_node BIGINT NOT NULL DEFAULT 0,
  last_code TEXT,
  ended_at BIGINT,
  PRIMARY KEY (event_id, webhook_id)
);
CREATE INDEX deliveries_of_webhook ON deliveries (webhook_id, event_id);
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at, event_id) WHERE status = 'pending';
CREATE INDEX deliveries_next_due ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_sending ON deliveries (lease_until, webhook_id) WHERE status = 'sending';
CREATE INDEX deliveries_not_delivered ON deliveries (status, event_id) WHERE status <> 'delivered';

CREATE TABLE attempts (
  event_id BIGINT NOT NULL,
  webhook_id BIGINT NOT NULL,
  attempt_no BIGINT NOT NULL,
  webhook_version BIGINT NOT NULL,
  node BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  code TEXT NOT NULL,
  status_code BIGINT,
  detail TEXT NOT NULL,
  address TEXT NOT NULL,
  dns_us BIGINT NOT NULL,
  connect_us BIGINT NOT NULL,
  tls_us BIGINT NOT NULL,
  first_byte_us BIGINT NOT NULL,
  total_us BIGINT NOT NULL,
  request_headers TEXT NOT NULL,
  response_headers TEXT NOT NULL,
  response_body TEXT NOT NULL,
  response_cut BIGINT NOT NULL,
  next_attempt_at BIGINT,
  PRIMARY KEY (event_id, webhook_id, attempt_no)
);

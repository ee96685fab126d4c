-- What was told of a webhook that only fails: since when it does, how far that has come, and when the last mail was due.
CREATE TABLE failing_told (
  webhook_id BIGINT PRIMARY KEY,
  failing_since BIGINT NOT NULL,
  stage TEXT NOT NULL CHECK (stage IN ('began', 'warning', 'disabled')),
  told_at BIGINT NOT NULL
);

-- Mails on their way to the mail server; one that went out is removed. Who sends one holds the lease until lease_until.
CREATE TABLE mails (
  id BIGINT PRIMARY KEY,
  webhook_id BIGINT NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  made_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  tries BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX mails_due ON mails (due_at);
INSERT INTO counters (name, value) VALUES ('mail', 0), ('failing looked at', 0);

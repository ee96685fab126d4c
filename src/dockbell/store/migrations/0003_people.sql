-- People who use the pages, what they are signed in with, and who changed what.

CREATE TABLE users (
  id BIGINT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('administrator', 'warehouse', 'goods-owner')),
  goods_owners TEXT,
  language TEXT,
  password_hash TEXT,
  created_at BIGINT NOT NULL,
  deactivated_at BIGINT
);

-- Only the SHA-256 of what the browser holds.
CREATE TABLE sessions (
  digest TEXT PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES users (id),
  address TEXT NOT NULL,
  browser TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id, used_at);

-- Links that work once: the first administrator, an invitation, a new password.
CREATE TABLE links (
  digest TEXT PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('first', 'invitation', 'password')),
  user_id BIGINT REFERENCES users (id),
  expires_at BIGINT NOT NULL
);

-- What went wrong when signing in lately, counted by account and by address.
CREATE TABLE failed_sign_ins (
  who TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX failed_sign_ins_of ON failed_sign_ins (who, at);

-- Who did what. Rows are added in the transaction of the change and never touched again.
CREATE TABLE audit (
  id BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  actor_label TEXT NOT NULL,
  address TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  goods_owners TEXT,
  before TEXT,
  after TEXT
);
CREATE INDEX audit_of_object ON audit (object, id);
INSERT INTO counters (name, value) VALUES ('user', 0), ('audit', 0);

-- When an event's payload was erased; what is left says that there was an event, and what came of it.
ALTER TABLE events ADD COLUMN erased_at BIGINT;

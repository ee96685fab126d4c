-- The outbox of a warehouse system, for its own PostgreSQL: an event that a transaction publishes is there if it commits.
-- It goes into the first schema of the search_path. Run once more, it changes nothing.

CREATE TABLE IF NOT EXISTS dockbell_outbox (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  event json NOT NULL,
  published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  refused_at timestamptz,
  reason text
);

-- What waits is found at once, however much was refused.
CREATE INDEX IF NOT EXISTS dockbell_outbox_waiting ON dockbell_outbox (number) WHERE refused_at IS NULL;

-- The event is the document of POST /api/v1/events. Change your rows first, then publish: events follow in that order.
CREATE OR REPLACE FUNCTION dockbell_publish(event json) RETURNS uuid
LANGUAGE sql
BEGIN ATOMIC
  SELECT pg_notify('dockbell', 'outbox');
  INSERT INTO dockbell_outbox (event) VALUES (dockbell_publish.event) RETURNING id;
END;

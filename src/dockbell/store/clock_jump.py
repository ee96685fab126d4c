"""Moving what waits along with a clock that was set, so that nothing waits longer or comes sooner for it."""

from dockbell.store.database import Transaction


def move_waiting(tx: Transaction, *, by: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
    """Move the next `limit` waiting deliveries; where to go on, None at the end.

    The first attempt moves too: a day of retries stays a day.
    """
    rows = tx.all(
        """
        SELECT d.event_id, d.webhook_id FROM deliveries d
         WHERE d.status = 'pending' AND (d.event_id, d.webhook_id) > (:event_id, :webhook_id)
         ORDER BY d.event_id, d.webhook_id LIMIT :limit
        """,
        event_id=after[0],
        webhook_id=after[1],
        limit=limit,
    )
    tx.run(
        """
        UPDATE deliveries
           SET due_at = deliveries.due_at + r.moved, first_attempt_at = deliveries.first_attempt_at + r.moved
          FROM :rows(event_id BIGINT, webhook_id BIGINT, moved BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status = 'pending'
        """,
        rows=[(row["event_id"], row["webhook_id"], by) for row in rows],
    )
    return (rows[-1]["event_id"], rows[-1]["webhook_id"]) if len(rows) == limit else None


def move_under_way(tx: Transaction, *, by: int) -> None:
    """Leases run as long as before, and the first attempt of what is being sent was as long ago."""
    tx.run(
        """
        UPDATE deliveries SET first_attempt_at = first_attempt_at + :moved, lease_until = lease_until + :moved
         WHERE status = 'sending'
        """,
        moved=by,
    )

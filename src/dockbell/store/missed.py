"""What a webhook missed: events that it has no delivery for.

The walk is in the order of the events, so that what was missed is sent in the order in which it happened.
"""

from collections.abc import Iterable, Sequence

from dockbell.clock import Moment
from dockbell.store import turns
from dockbell.store.backlog import TOPIC
from dockbell.store.database import Row, Transaction


def walk(tx: Transaction, webhook_id: int, event_type: str, *, after: int, before: int, limit: int) -> list[Row]:
    """The next `limit` events of a type: id, goods owner, bytes, and whether it could be missed by the webhook.

    What has a delivery was not missed, whatever came of that; a test was a question of its moment; of what was erased
    nothing is left to send.
    """
    # For PostgreSQL as pairs: of a type that is common it would walk everybody's events by their id, also through
    # millions among which there is none of it.
    return tx.all(
        """
        WITH walked AS MATERIALIZED (
          SELECT e.id, e.goods_owner_id, octet_length(e.data) AS bytes, e.test_of, e.erased_at FROM events e
           WHERE /*pg (e.event_type, e.id) > (:event_type, :after) AND (e.event_type, e.id) < (:event_type, :before) AND (TRUE OR */
                 (e.event_type = :event_type AND e.id > :after AND e.id < :before) /*pg ) */
           ORDER BY e.event_type, e.id LIMIT :limit)
        SELECT w.id, w.goods_owner_id, w.bytes,
               CASE WHEN w.test_of IS NULL AND w.erased_at IS NULL AND NOT EXISTS (
                         SELECT 1 FROM deliveries d WHERE d.event_id = w.id AND d.webhook_id = :webhook_id)
                    THEN 1 ELSE 0 END AS missed
          FROM walked w ORDER BY w.id
        """,
        webhook_id=webhook_id,
        event_type=event_type,
        after=after,
        before=before,
        limit=limit,
    )


def to_judge(tx: Transaction, ids: Iterable[int], *, hold: bool) -> list[Row]:
    """What filters are asked about; with `hold` nobody erases or deletes these events before the transaction ends."""
    share = "/*pg FOR SHARE OF e */" if hold else ""
    return tx.all(
        f"""
        SELECT e.id, e.goods_owner_id, e.attributes, e.data FROM :rows(id BIGINT) r JOIN events e ON e.id = r.id
         WHERE e.erased_at IS NULL ORDER BY e.id {share}
        """,  # noqa: S608 - a constant
        rows=[(event_id,) for event_id in ids],
    )


def waiting(tx: Transaction, webhook_id: int, *, most: int) -> int:
    """How many deliveries wait to be sent to the webhook, counted up to `most`."""
    row = tx.one(
        """
        SELECT count(*) AS n FROM (
          SELECT 1 FROM deliveries d WHERE d.webhook_id = :webhook_id AND d.status = 'pending' LIMIT :most) found
        """,
        webhook_id=webhook_id,
        most=most,
    )
    return 0 if row is None else int(row["n"])


def send(tx: Transaction, webhook_id: int, events: Sequence[tuple[int, int]], *, status: str, now: Moment) -> int:
    """Make a delivery of each (event, goods owner) that has none yet; how many."""
    made = tx.run(
        """
        INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at)
        SELECT r.event_id, r.webhook_id, r.goods_owner_id, r.status, r.due_at
          FROM :rows(event_id BIGINT, webhook_id BIGINT, goods_owner_id BIGINT, status TEXT, due_at BIGINT) r
         WHERE true
        ON CONFLICT (event_id, webhook_id) DO NOTHING
        """,
        rows=[(event_id, webhook_id, owner, status, now) for event_id, owner in events],
    )
    turns.wait(tx, [(event_id, webhook_id) for event_id, _ in events])
    tx.wake(TOPIC)
    return made

"""What waits to be delivered: how much it is, and that it is as its webhook is.

It is held while its webhook is disabled, due once that is enabled, and cancelled when it is deleted. Hundreds of thousands may wait
for one webhook, and whoever changes it keeps all publishers waiting: AT_ONCE of them follow in that transaction, the others in
the next rounds of the heartbeat. Nothing is sent meanwhile that should not be: whoever claims a delivery looks at its webhook.
"""

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

TOPIC = "deliveries"
AT_ONCE = 2_000
NEVER: Moment = 2**62
"""When what waits for its turn is due (`turns`)."""
FAR: Moment = 2**61
"""What is due later is due NEVER, also after the clock was set and everything was moved along."""

# They are picked first, materialized: a subquery would be run again for each row, and pass its own LIMIT. What another transaction
# has in hand is left for later: no change of a webhook waits for an attempt, and no attempt for that. Each status has a text of its
# own, in which the index of what has it is found.
_PICK = """
WITH picked AS MATERIALIZED (
  SELECT d.event_id, d.webhook_id FROM deliveries d WHERE d.webhook_id = :webhook_id AND d.status = {}
   LIMIT :most /*pg FOR UPDATE OF d SKIP LOCKED */)
UPDATE deliveries SET {} FROM picked
 WHERE deliveries.event_id = picked.event_id AND deliveries.webhook_id = picked.webhook_id
"""
_NOT_SERVED = """
       AND d.goods_owner_id NOT IN (SELECT g.goods_owner_id FROM webhook_goods_owners g WHERE g.webhook_id = :webhook_id)
       AND NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = :webhook_id AND w.all_goods_owners = 1)
"""
_PENDING, _HELD = "'pending'{} ORDER BY d.due_at, d.event_id", "'held'{} ORDER BY d.event_id"
_HOLD = _PICK.format(_PENDING.format(""), "status = 'held'")
_RELEASE = _PICK.format(
    _HELD.format(""), "status = 'pending', due_at = CASE WHEN due_at < :far THEN :due_at ELSE due_at END"
)
_CANCEL = [_PICK.format(each.format(""), "status = 'cancelled', ended_at = :now") for each in (_PENDING, _HELD)]
_CANCEL_NOT_SERVED = [
    _PICK.format(each.format(_NOT_SERVED), "status = 'cancelled', ended_at = :now, last_code = 'goods_owner_removed'")
    + "RETURNING goods_owner_id"
    for each in (_PENDING, _HELD)
]


def follow(tx: Transaction, webhook_id: int, *, now: Moment) -> int:
    """Let what waits for the webhook be as it is; how many had to change. The oldest first, AT_ONCE at most."""
    webhook = tx.one(
        "SELECT w.enabled, w.deleted_at, w.changed_at FROM webhooks w WHERE w.id = :webhook_id /*pg FOR SHARE */",
        webhook_id=webhook_id,
    )
    if webhook is None:
        return 0
    if webhook["deleted_at"] is not None:
        cancelled = 0
        for statement in _CANCEL:
            cancelled += tx.run(statement, webhook_id=webhook_id, now=now, most=AT_ONCE - cancelled)
        return cancelled
    if not webhook["enabled"]:
        return tx.run(_HOLD, webhook_id=webhook_id, most=AT_ONCE)
    tx.wake(TOPIC)
    # Due when it was enabled: what came since must not overtake what is released in a later round.
    due_at = min(now, int(webhook["changed_at"]))
    return tx.run(_RELEASE, webhook_id=webhook_id, due_at=due_at, far=FAR, most=AT_ONCE)


def left_behind(tx: Transaction) -> list[int]:
    """Some of the webhooks for which something waits that is not as they are."""
    # Compared with NULL, and in the index's order, so that each webhook is looked up in an index: PostgreSQL would walk through all
    # that waits for everybody, for each webhook, because much of it is pending.
    rows = tx.all(
        """
        SELECT w.id FROM webhooks w
         WHERE CASE WHEN w.enabled = 1 OR w.deleted_at IS NOT NULL
                    THEN (SELECT d.event_id FROM deliveries d WHERE d.webhook_id = w.id AND d.status = 'held'
                           ORDER BY d.webhook_id, d.event_id LIMIT 1) END IS NOT NULL
            OR CASE WHEN w.enabled = 0
                    THEN (SELECT d.event_id FROM deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending'
                           ORDER BY d.webhook_id, d.due_at, d.event_id LIMIT 1) END IS NOT NULL
         LIMIT 100
        """
    )
    return [int(row["id"]) for row in rows]


def cancel_not_served(tx: Transaction, webhook_id: int, *, now: Moment) -> list[int]:
    """End what waits for goods owners that the webhook, as it is saved now, does not serve, AT_ONCE at most; whose each was.

    Of the others an attempt would find out, and send nothing.
    """
    rows: list[Row] = []
    for statement in _CANCEL_NOT_SERVED:
        rows += tx.all(statement, webhook_id=webhook_id, now=now, most=AT_ONCE - len(rows))
    return [int(row["goods_owner_id"]) for row in rows]


def of_webhook(tx: Transaction, webhook_id: int) -> int:
    """How many deliveries wait for a webhook, or are held."""
    row = tx.one(
        """
        SELECT (SELECT count(*) FROM deliveries d WHERE d.webhook_id = :webhook_id AND d.status = 'pending')
             + (SELECT count(*) FROM deliveries d WHERE d.webhook_id = :webhook_id AND d.status = 'held') AS n
        """,
        webhook_id=webhook_id,
    )
    assert row is not None
    return int(row["n"])


def waiting_by_owner(tx: Transaction) -> dict[int, int]:
    """Deliveries that wait, also for a retry: read from one index, no row is looked at."""
    rows = tx.all(
        "SELECT goods_owner_id, count(*) AS n FROM deliveries WHERE status = 'pending' GROUP BY goods_owner_id"
    )
    return {int(row["goods_owner_id"]): int(row["n"]) for row in rows}


def bytes_waiting(tx: Transaction, goods_owner_id: int, *, most: int) -> int:
    """The data of the events that at most so many of an owner's waiting deliveries are for; each event counts once."""
    row = tx.one(
        """
        SELECT sum(octet_length(e.data)) AS n FROM events e WHERE e.id IN (
          SELECT d.event_id FROM deliveries d
           WHERE d.status = 'pending' AND d.goods_owner_id = :goods_owner_id LIMIT :most)
        """,
        goods_owner_id=goods_owner_id,
        most=most,
    )
    return int(row["n"] or 0) if row is not None else 0

"""How much waits to be delivered, by goods owner."""

from dockbell.store.database import Transaction


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

"""Reading deliveries and attempts, and what people do to deliveries: resend, cancel, hold, release."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dockbell.clock import Moment
from dockbell.store import turns
from dockbell.store.backlog import TOPIC
from dockbell.store.database import Row, Transaction
from dockbell.store.log_search import OWN, STATUS, Search, arms, as_list, conditions

FOR_PAGE = """
  d.event_id, d.webhook_id, d.goods_owner_id, d.status, d.due_at, d.attempts, d.failures, d.first_attempt_at,
  d.attempt_started_at, d.last_code, d.ended_at, e.event_type, e.object_key, e.object_number, e.accepted_at, e.test_of
"""
NOT_DELIVERED = ("pending", "sending", "failed", "held", "cancelled")


def find(tx: Transaction, event_id: int, webhook_id: int, *, for_update: bool = False) -> Row | None:
    lock = "/*pg FOR UPDATE OF d */" if for_update else ""
    return tx.one(
        f"SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id "  # noqa: S608 - constants
        f"WHERE d.event_id = :event_id AND d.webhook_id = :webhook_id {lock}",
        event_id=event_id,
        webhook_id=webhook_id,
    )


def of_event(tx: Transaction, event_id: int) -> list[Row]:
    return tx.all(
        f"SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id "  # noqa: S608 - constants
        "WHERE d.event_id = :event_id ORDER BY d.webhook_id",
        event_id=event_id,
    )


def own_webhooks(tx: Transaction, webhook_ids: Iterable[int], goods_owners: Iterable[int]) -> set[int]:
    """Those of the webhooks that are regular and serve nobody but these goods owners."""
    names, owners = as_list("own", goods_owners)
    wanted, ids = as_list("id", webhook_ids)
    rows = tx.all(
        f"SELECT w.id FROM webhooks w WHERE w.id IN ({wanted}) AND {OWN.replace('{names}', names)}",  # noqa: S608 - constants
        **ids,
        **owners,
    )
    return {int(row["id"]) for row in rows}


def page(tx: Transaction, *, before: tuple[int, int], limit: int, **filters: Any) -> list[Row]:
    """Newest first by (event, webhook). `filters` are the fields of Search."""
    found: list[Row] = []
    for each in arms(tx, Search(**filters)):
        arm = each
        if found and len(found) == limit:  # what is older than all of these is not on the page
            arm = replace(each, from_id=max(each.from_id, found[-1]["event_id"]))
        where, order, params = conditions(arm, before)
        found += tx.all(
            f"SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id WHERE {where} "  # noqa: S608 - constants
            f"ORDER BY {order} LIMIT :limit",
            limit=limit,
            **params,
        )
        found = sorted(found, key=lambda row: (row["event_id"], row["webhook_id"]), reverse=True)[:limit]
    return found


def count(tx: Transaction, *, before: tuple[int, int], most: int, **filters: Any) -> int:
    """How many there are, counted up to `most`."""
    counted = 0
    for arm in arms(tx, Search(**filters)):
        where, order, params = conditions(arm, before)
        row = tx.one(
            "SELECT count(*) AS n FROM (SELECT d.event_id FROM deliveries d JOIN events e ON e.id = d.event_id "  # noqa: S608 - constants
            f"WHERE {where} ORDER BY {order} LIMIT :most) found",
            most=most - counted,
            **params,
        )
        counted += 0 if row is None else int(row["n"])
        if counted >= most:
            break
    return counted


def webhooks_of(tx: Transaction, webhook_ids: Iterable[int]) -> dict[int, Row]:
    """Name and settings of each, also of deleted ones."""
    rows = tx.all(
        """
        SELECT w.id, w.name, w.settings, w.deleted_at FROM :rows(webhook_id BIGINT) r JOIN webhooks w ON w.id = r.webhook_id
        """,
        rows=[(webhook_id,) for webhook_id in sorted(set(webhook_ids))],
    )
    return {int(row["id"]): row for row in rows}


def last_durations(tx: Transaction, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """How long the last ended attempt of each delivery took, in microseconds."""
    found = tx.all(
        """
        SELECT a.event_id, a.webhook_id, a.attempt_no, a.total_us
          FROM :rows(event_id BIGINT, webhook_id BIGINT) r
          JOIN attempts a ON a.event_id = r.event_id AND a.webhook_id = r.webhook_id
         ORDER BY a.attempt_no
        """,
        rows=keys,
    )
    return {(row["event_id"], row["webhook_id"]): row["total_us"] for row in found}


def resend_many(tx: Transaction, keys: Sequence[tuple[int, int]], *, now: Moment) -> int:
    """As `resend`, of many; left out are those under way, of deleted webhooks, of owners no longer served, and erased."""
    # Held first: a statement that waits for an erasure judges whether they are erased by what was before it.
    tx.all(
        """
        SELECT d.event_id FROM :rows(event_id BIGINT, webhook_id BIGINT) r
          JOIN deliveries d ON d.event_id = r.event_id AND d.webhook_id = r.webhook_id
         ORDER BY d.event_id, d.webhook_id /*pg FOR UPDATE OF d */
        """,
        rows=keys,
    )
    changed = tx.run(
        """
        UPDATE deliveries
           SET status = CASE WHEN w.enabled = 1 THEN 'pending' ELSE 'held' END, due_at = r.due_at, failures = 0,
               first_attempt_at = NULL, ended_at = NULL
          FROM :rows(event_id BIGINT, webhook_id BIGINT, due_at BIGINT) r JOIN webhooks w ON w.id = r.webhook_id
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status <> 'sending' AND w.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id AND e.erased_at IS NOT NULL)
           AND (w.all_goods_owners = 1 OR EXISTS (
                 SELECT 1 FROM webhook_goods_owners g
                  WHERE g.webhook_id = r.webhook_id AND g.goods_owner_id = deliveries.goods_owner_id))
        """,
        rows=[(event_id, webhook_id, now) for event_id, webhook_id in keys],
    )
    turns.wait(tx, keys)
    tx.wake(TOPIC)
    return changed


def cancel_many(tx: Transaction, keys: Sequence[tuple[int, int]], *, now: Moment) -> int:
    """As `cancel`, of many; those that do not wait are left out."""
    return tx.run(
        """
        UPDATE deliveries SET status = 'cancelled', ended_at = r.ended_at
          FROM :rows(event_id BIGINT, webhook_id BIGINT, ended_at BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status IN ('pending', 'held')
        """,
        rows=[(event_id, webhook_id, now) for event_id, webhook_id in keys],
    )


def attempts_of(tx: Transaction, event_id: int, webhook_id: int) -> list[Row]:
    return tx.all(
        "SELECT a.* FROM attempts a WHERE a.event_id = :event_id AND a.webhook_id = :webhook_id ORDER BY a.attempt_no",
        event_id=event_id,
        webhook_id=webhook_id,
    )


def resend(tx: Transaction, event_id: int, webhook_id: int, *, status: str, now: Moment) -> bool:
    """Start a new round of attempts; False if the delivery is not at rest any more."""
    changed = tx.run(
        """
        UPDATE deliveries
           SET status = :status, due_at = :now, failures = 0, first_attempt_at = NULL, ended_at = NULL
         WHERE event_id = :event_id AND webhook_id = :webhook_id AND status <> 'sending'
        """,
        event_id=event_id,
        webhook_id=webhook_id,
        status=status,
        now=now,
    )
    turns.wait(tx, [(event_id, webhook_id)])
    tx.wake(TOPIC)
    return changed == 1


def cancel(tx: Transaction, event_id: int, webhook_id: int, *, now: Moment) -> bool:
    """End a delivery that waits; False if it does not wait."""
    return (
        tx.run(
            """
            UPDATE deliveries SET status = 'cancelled', ended_at = :now
             WHERE event_id = :event_id AND webhook_id = :webhook_id AND status IN ('pending', 'held')
            """,
            event_id=event_id,
            webhook_id=webhook_id,
            now=now,
        )
        == 1
    )


def counts(
    tx: Transaction, webhook_ids: Iterable[int], statuses: Iterable[str] = NOT_DELIVERED
) -> dict[int, dict[str, int]]:
    """How many deliveries of each webhook have one of these statuses, by status.

    A walk for each over a partial index, over everybody's: what was delivered, which is nearly all, is never looked at.
    """
    wanted = set(webhook_ids)
    found: dict[int, dict[str, int]] = {}
    for status in statuses:
        for row in tx.all(_COUNTED[status]):
            if row["webhook_id"] in wanted:
                found.setdefault(int(row["webhook_id"]), {})[status] = int(row["n"])
    return found


_COUNTED = {
    status: f"SELECT d.webhook_id, count(*) AS n FROM deliveries d WHERE {STATUS[status]} GROUP BY d.webhook_id"  # noqa: S608 - constants
    for status in NOT_DELIVERED
} | {
    # + 0: or SQLite would go through all that each webhook ever had, to find them in the order of webhooks.
    "sending": """
      SELECT s.webhook_id, count(*) AS n
        FROM (SELECT d.webhook_id + 0 AS webhook_id FROM deliveries d WHERE d.status = 'sending') s
       GROUP BY s.webhook_id
    """
}

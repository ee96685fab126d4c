"""Reading deliveries and attempts, and what people do to deliveries: resend, cancel, hold, release."""

from collections.abc import Iterable

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.store.deliveries import TOPIC
from dockbell.store.events import only

FOR_PAGE = """
  d.event_id, d.webhook_id, d.goods_owner_id, d.status, d.due_at, d.attempts, d.failures, d.first_attempt_at,
  d.attempt_started_at, d.last_code, d.ended_at, e.event_type, e.object_key, e.object_number, e.accepted_at, e.test_of
"""


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


def page(
    tx: Transaction,
    *,
    goods_owners: Iterable[int] | None,
    webhook_id: int | None = None,
    goods_owner_id: int | None = None,
    event_type: str | None = None,
    status: str | None = None,
    code: str | None = None,
    object_key: str | None = None,
    object_kind: str | None = None,
    object_number: str | None = None,
    from_id: int = 0,
    before: tuple[int, int],
    limit: int,
) -> list[Row]:
    """Newest first by (event, webhook). Every filter may be left out."""
    by_object = """
      AND d.event_id IN (SELECT k.id FROM events k WHERE k.object_key = :object_key
                         UNION SELECT n.id FROM events n WHERE n.object_number = :object_number
                           AND (CAST(:object_kind AS TEXT) IS NULL
                                OR substr(n.object_key, 1, length(:object_kind) + 1) = :object_kind || '/'))
    """
    return tx.all(
        f"""
        SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id
         WHERE (d.event_id, d.webhook_id) < (:before_event, :before_webhook) AND d.event_id >= :from_id
           AND (CAST(:only AS TEXT) IS NULL OR :only LIKE '%,' || CAST(d.goods_owner_id AS TEXT) || ',%')
           AND (CAST(:webhook_id AS BIGINT) IS NULL OR d.webhook_id = :webhook_id)
           AND (CAST(:goods_owner_id AS BIGINT) IS NULL OR d.goods_owner_id = :goods_owner_id)
           AND (CAST(:status AS TEXT) IS NULL OR d.status = :status)
           AND (CAST(:code AS TEXT) IS NULL OR d.last_code = :code)
           AND (CAST(:event_type AS TEXT) IS NULL OR e.event_type = :event_type)
           {by_object if object_key or object_number else ""}
         ORDER BY d.event_id DESC, d.webhook_id DESC LIMIT :limit
        """,  # noqa: S608 - constants of this file
        before_event=before[0],
        before_webhook=before[1],
        from_id=from_id,
        only=only(goods_owners),
        webhook_id=webhook_id,
        goods_owner_id=goods_owner_id,
        status=status,
        code=code,
        event_type=event_type,
        **(
            {"object_key": object_key, "object_kind": object_kind, "object_number": object_number}
            if object_key or object_number
            else {}
        ),
        limit=limit,
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


def hold_all(tx: Transaction, webhook_id: int) -> int:
    """Keep what waits for a webhook that was disabled."""
    return tx.run(
        "UPDATE deliveries SET status = 'held' WHERE webhook_id = :webhook_id AND status = 'pending'",
        webhook_id=webhook_id,
    )


def release_all(tx: Transaction, webhook_id: int, *, now: Moment) -> int:
    """What was held for a webhook is due at once."""
    tx.wake(TOPIC)
    return tx.run(
        "UPDATE deliveries SET status = 'pending', due_at = :now WHERE webhook_id = :webhook_id AND status = 'held'",
        webhook_id=webhook_id,
        now=now,
    )


def cancel_all(tx: Transaction, webhook_id: int, *, now: Moment) -> int:
    """End what waits for a webhook that was deleted."""
    return tx.run(
        """
        UPDATE deliveries SET status = 'cancelled', ended_at = :now
         WHERE webhook_id = :webhook_id AND status IN ('pending', 'held')
        """,
        webhook_id=webhook_id,
        now=now,
    )


def counts(tx: Transaction, webhook_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """How many deliveries of each webhook are not delivered, by status."""
    rows = tx.all(
        """
        SELECT d.webhook_id, d.status, count(*) AS n
          FROM :rows(webhook_id BIGINT) r JOIN deliveries d ON d.webhook_id = r.webhook_id
         WHERE d.status <> 'delivered' GROUP BY d.webhook_id, d.status
        """,
        rows=[(webhook_id,) for webhook_id in webhook_ids],
    )
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        found.setdefault(int(row["webhook_id"]), {})[row["status"]] = int(row["n"])
    return found

"""Reading deliveries and attempts, and what people do to deliveries: resend, cancel, hold, release."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.store.deliveries import TOPIC

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


@dataclass(frozen=True, slots=True)
class Search:
    """Which deliveries are meant; what is None does not matter. Only what is given becomes part of the statement."""

    goods_owners: Iterable[int] | None = None
    """Those the reader may see."""
    webhook_id: int | None = None
    goods_owner_id: int | None = None
    event_type: str | None = None
    status: str | None = None
    code: str | None = None
    """The last outcome, or a key of CLASSES."""
    object_key: str | None = None
    object_kind: str | None = None
    object_number: str | None = None
    from_id: int = 0


CLASSES: Mapping[str, str] = {
    "2xx": "d.last_code = 'delivered'",
    "3xx": "d.last_code <> 'delivered' AND (d.last_code = 'http_redirect' OR substr(d.last_code, 1, 6) = 'http_3')",
    "4xx": "d.last_code <> 'delivered' AND substr(d.last_code, 1, 6) = 'http_4'",
    "5xx": "d.last_code <> 'delivered' AND substr(d.last_code, 1, 6) = 'http_5'",
    "none": "d.last_code <> 'delivered' AND substr(d.last_code, 1, 5) <> 'http_'",
}
# Literals, not parameters: they let the planner use the partial indexes.
_STATUS = {
    status: f"d.status = '{status}'" for status in ("pending", "sending", "delivered", "failed", "held", "cancelled")
}
_BY_KEY = "SELECT k.id FROM events k WHERE k.object_key = :object_key"
_BY_NUMBER = "SELECT n.id FROM events n WHERE n.object_number = :object_number"
_OF_KIND = " AND substr(n.object_key, 1, length(:object_kind) + 1) = :object_kind || '/'"


def conditions(search: Search, before: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    """A WHERE made of constants of this file, and its parameters; what people typed is in the parameters alone."""
    parts = ["(d.event_id, d.webhook_id) < (:before_event, :before_webhook)", "d.event_id <= :before_event"]
    params: dict[str, Any] = {"before_event": before[0], "before_webhook": before[1]}

    def add(condition: str, **more: Any) -> None:
        parts.append(condition)
        params.update(more)

    if search.from_id:
        add("d.event_id >= :from_id", from_id=search.from_id)
    if search.goods_owners is not None:
        owners = {f"owner_{place}": owner for place, owner in enumerate(sorted(search.goods_owners))}
        names = ", ".join(f":{name}" for name in owners) or "NULL"
        add(f"d.goods_owner_id IN ({names})", **owners)
    if search.goods_owner_id is not None:
        # The event's goods owner is the delivery's; this one has the index.
        add("e.goods_owner_id = :goods_owner_id", goods_owner_id=search.goods_owner_id)
    if search.webhook_id is not None:
        add("d.webhook_id = :webhook_id", webhook_id=search.webhook_id)
    if search.status is not None:
        add(_STATUS[search.status])
    if search.code in CLASSES:
        add(CLASSES[search.code])
    elif search.code == "delivered":
        add("d.last_code = 'delivered'")
    elif search.code is not None:
        add("d.last_code <> 'delivered' AND d.last_code = :code", code=search.code)
    if search.event_type is not None:
        add("e.event_type = :event_type", event_type=search.event_type)
    if search.object_key or search.object_number:
        by_number = _BY_NUMBER + (_OF_KIND if search.object_kind else "")
        add(
            f"d.event_id IN ({_BY_KEY} UNION {by_number})",  # noqa: S608 - constants of this file
            object_key=search.object_key,
            object_number=search.object_number,
            **({"object_kind": search.object_kind} if search.object_kind else {}),
        )
    return " AND ".join(parts), params


def page(tx: Transaction, *, before: tuple[int, int], limit: int, **filters: Any) -> list[Row]:
    """Newest first by (event, webhook). `filters` are the fields of Search."""
    where, params = conditions(Search(**filters), before)
    return tx.all(
        f"SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id WHERE {where} "  # noqa: S608 - constants
        "ORDER BY d.event_id DESC, d.webhook_id DESC LIMIT :limit",
        limit=limit,
        **params,
    )


def count(tx: Transaction, *, before: tuple[int, int], most: int, **filters: Any) -> int:
    """How many there are, counted up to `most`."""
    where, params = conditions(Search(**filters), before)
    row = tx.one(
        "SELECT count(*) AS n FROM (SELECT 1 AS one FROM deliveries d JOIN events e ON e.id = d.event_id "  # noqa: S608 - constants
        f"WHERE {where} LIMIT :most) found",
        most=most,
        **params,
    )
    assert row is not None
    return int(row["n"])


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
    """As `resend`, of many; those under way and those of deleted webhooks are left out."""
    changed = tx.run(
        """
        UPDATE deliveries
           SET status = CASE WHEN w.enabled = 1 THEN 'pending' ELSE 'held' END, due_at = r.due_at, failures = 0,
               first_attempt_at = NULL, ended_at = NULL
          FROM :rows(event_id BIGINT, webhook_id BIGINT, due_at BIGINT) r JOIN webhooks w ON w.id = r.webhook_id
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status <> 'sending' AND w.deleted_at IS NULL
        """,
        rows=[(event_id, webhook_id, now) for event_id, webhook_id in keys],
    )
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

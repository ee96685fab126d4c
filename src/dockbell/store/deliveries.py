"""Deliveries and their attempts: who may work on which, what came of it.

A delivery that is being attempted carries a numbered lease. Whoever writes an outcome shows the
number; after the lease ran out another worker holds a higher one, and the late outcome changes
nothing but the log. Where many leases are looked up together, that one still runs is read from its end
and not from the status: from the status PostgreSQL would go through all that is being sent for each row.
"""

from collections.abc import Iterable, Sequence

import msgspec

from dockbell.clock import Moment
from dockbell.store import backlog, counters, webhook_hours
from dockbell.store.database import Transaction
from dockbell.store.webhook_hours import COUNTED_TO

_IN_TURN = """
           AND NOT EXISTS (
               SELECT 1 FROM turns t JOIN turns b ON b.webhook_id = t.webhook_id AND b.goods_owner_id = t.goods_owner_id
                                                 AND b.object_key = t.object_key AND b.event_id < t.event_id
                WHERE t.event_id = d.event_id AND t.webhook_id = d.webhook_id)
"""


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right to make one attempt until `until`."""

    event_id: int
    webhook_id: int
    goods_owner_id: int
    attempt_no: int
    lease_no: int
    until: Moment
    started_at: Moment
    first_attempt_at: Moment
    failures: int
    """Failed attempts of this round, before this one."""


class Closing(msgspec.Struct, frozen=True, gc=False):
    """What came of an attempt: the log row, and the delivery's next state."""

    lease: Lease
    webhook_version: int
    node: int
    ended_at: Moment
    code: str
    status_code: int | None
    detail: str
    address: str
    dns_us: int
    connect_us: int
    tls_us: int
    first_byte_us: int
    total_us: int
    request_headers: str
    response_headers: str
    response_body: str
    response_cut: bool
    next_status: str
    """pending, delivered or failed"""
    due_at: Moment
    failed: bool
    deactivate_webhook: bool = False
    jumped: int = 0
    """By how much the clock had been set when it ended and `due_at` was decided on."""


def insert(
    tx: Transaction,
    waiting: Sequence[tuple[int, int, int, Moment]],
    *,
    leases: Sequence[Lease] = (),
    node: int = 0,
) -> None:
    """Make deliveries: (event, webhook, goods owner, due) that wait, and `leases` born leased to `node`."""
    rows: list[tuple[object, ...]] = [(e, w, o, "pending", due, 0, 0, None, None, 0, 0, 0) for e, w, o, due in waiting]
    rows += [
        (
            lease.event_id, lease.webhook_id, lease.goods_owner_id, "sending", lease.started_at, lease.attempt_no, 0,
            lease.first_attempt_at, lease.started_at, lease.lease_no, lease.until, node,
        )
        for lease in leases
    ]  # fmt: skip
    tx.run(
        """
        INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at, attempts, failures,
                                first_attempt_at, attempt_started_at, lease_no, lease_until, lease_node)
        SELECT r.event_id, r.webhook_id, r.goods_owner_id, r.status, r.due_at, r.attempts, r.failures,
               r.first_attempt_at, r.attempt_started_at, r.lease_no, r.lease_until, r.lease_node
          FROM :rows(event_id BIGINT, webhook_id BIGINT, goods_owner_id BIGINT, status TEXT, due_at BIGINT,
                     attempts BIGINT, failures BIGINT, first_attempt_at BIGINT, attempt_started_at BIGINT,
                     lease_no BIGINT, lease_until BIGINT, lease_node BIGINT) r
        """,
        rows=rows,
    )


def webhooks_with_due(tx: Transaction, *, now: Moment, after: int, limit: int) -> list[int]:
    """Webhooks after `after` that have something due: one index step each, however long their queues are."""
    rows = tx.all(
        """
        WITH RECURSIVE waiting(webhook_id) AS (
          SELECT min(d.webhook_id) FROM deliveries d WHERE d.status = 'pending' AND d.webhook_id > :after
          UNION ALL
          SELECT (SELECT min(d.webhook_id) FROM deliveries d WHERE d.status = 'pending' AND d.webhook_id > waiting.webhook_id)
            FROM waiting WHERE waiting.webhook_id IS NOT NULL
        )
        SELECT waiting.webhook_id FROM waiting
         WHERE waiting.webhook_id IS NOT NULL
           AND (SELECT min(d.due_at) FROM deliveries d
                 WHERE d.status = 'pending' AND d.webhook_id = waiting.webhook_id) <= :now
         LIMIT :limit
        """,
        after=after,
        now=now,
        limit=limit,
    )
    return [int(row["webhook_id"]) for row in rows]


def claim_due(
    tx: Transaction,
    *,
    webhook_id: int,
    now: Moment,
    lease_until: Moment,
    node: int,
    limit: int,
    ahead: int = 0,
) -> list[Lease]:
    """Lease the deliveries of one webhook that are due, oldest first, never more than its cap and `ahead` of it together."""
    webhook = tx.one(
        """
        SELECT w.enabled, w.max_concurrency, w.keeps_order FROM webhooks w
         WHERE w.id = :webhook_id /*pg FOR UPDATE SKIP LOCKED */
        """,
        webhook_id=webhook_id,
    )
    if webhook is None:
        return []
    if not webhook["enabled"]:  # deliveries that were accepted in the moment the webhook was disabled or deleted
        backlog.follow(tx, webhook_id, now=now)
        return []
    busy = tx.one(
        "SELECT count(*) AS n FROM deliveries d WHERE d.webhook_id = :webhook_id AND d.status = 'sending'",
        webhook_id=webhook_id,
    )
    assert busy is not None
    rows = tx.all(
        f"""
        WITH picked AS MATERIALIZED (  -- a subquery would be run again for each row, and pass its own LIMIT
          SELECT d.event_id, d.webhook_id FROM deliveries d
           WHERE d.webhook_id = :webhook_id AND d.status = 'pending' AND d.due_at <= :now
                 {_IN_TURN if webhook["keeps_order"] else ""}
           ORDER BY d.due_at, d.event_id LIMIT :room
           /*pg FOR UPDATE SKIP LOCKED */)
        UPDATE deliveries
           SET status = 'sending', attempts = attempts + 1, lease_no = lease_no + 1, lease_until = :lease_until,
               lease_node = :node, attempt_started_at = :now, first_attempt_at = COALESCE(first_attempt_at, :now)
          FROM picked  -- joined by the whole key: any other condition here lets PostgreSQL walk the backlog instead
         WHERE deliveries.event_id = picked.event_id AND deliveries.webhook_id = picked.webhook_id
        RETURNING deliveries.event_id, deliveries.due_at, deliveries.goods_owner_id, deliveries.attempts,
                  deliveries.lease_no, deliveries.first_attempt_at, deliveries.failures
        """,  # noqa: S608 - a constant of this file
        webhook_id=webhook_id,
        now=now,
        lease_until=lease_until,
        node=node,
        room=max(0, min(limit, int(webhook["max_concurrency"]) + ahead - int(busy["n"]))),
    )
    return [
        Lease(
            event_id=row["event_id"],
            webhook_id=webhook_id,
            goods_owner_id=row["goods_owner_id"],
            attempt_no=row["attempts"],
            lease_no=row["lease_no"],
            until=lease_until,
            started_at=now,
            first_attempt_at=row["first_attempt_at"],
            failures=row["failures"],
        )
        for row in sorted(rows, key=lambda row: (row["due_at"], row["event_id"]))
    ]


def next_due_at(tx: Transaction) -> Moment | None:
    """When the next waiting delivery is due; None if all that wait, wait for their turn."""
    row = tx.one("SELECT min(due_at) AS due_at FROM deliveries WHERE status = 'pending'")
    due_at = None if row is None else row["due_at"]
    return None if due_at is None or due_at >= backlog.FAR else int(due_at)


def close(tx: Transaction, closings: Sequence[Closing], *, counted_to: Moment | None = None) -> int:
    """Write the log rows, and the deliveries' next states where the lease still holds; how many held.

    `counted_to` is the watermark of the statistics, if the transaction has pinned it already.
    """
    held = tx.run(
        """
        UPDATE deliveries
           SET status = CASE WHEN r.next_status <> 'pending' THEN r.next_status
                             WHEN EXISTS (SELECT 1 FROM webhooks w WHERE w.id = r.webhook_id AND w.deleted_at IS NOT NULL)
                             THEN 'cancelled'
                             WHEN EXISTS (SELECT 1 FROM webhooks w WHERE w.id = r.webhook_id AND w.enabled = 0)
                             THEN 'held' ELSE 'pending' END,
               due_at = r.due_at, failures = deliveries.failures + r.failed, last_code = r.code, lease_until = 0,
               attempt_started_at = NULL,
               ended_at = CASE WHEN r.next_status <> 'pending' OR EXISTS (
                                    SELECT 1 FROM webhooks w WHERE w.id = r.webhook_id AND w.deleted_at IS NOT NULL)
                               THEN r.ended_at END
          FROM :rows(event_id BIGINT, webhook_id BIGINT, lease_no BIGINT, next_status TEXT, due_at BIGINT, failed BIGINT,
                     code TEXT, ended_at BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no
        """,
        rows=[
            (
                c.lease.event_id,
                c.lease.webhook_id,
                c.lease.lease_no,
                c.next_status,
                c.due_at,
                int(c.failed),
                c.code,
                c.ended_at,
            )
            for c in closings
        ],
    )
    mark = counters.pinned(tx, COUNTED_TO)[COUNTED_TO] if counted_to is None else counted_to
    webhook_hours.count_late(tx, closings, mark)
    # What is being sent is not erased: only who lost the lease can come after an erasure.
    _insert_attempts(tx, closings if held == len(closings) else _without_erased(tx, closings))
    return held


def _without_erased(tx: Transaction, closings: Sequence[Closing]) -> list[Closing]:
    """The closings, with nothing of the payload in those of erased events; no other is erased before they are committed."""
    rows = tx.all(
        """
        SELECT e.id, e.erased_at FROM :rows(event_id BIGINT) r JOIN events e ON e.id = r.event_id
         ORDER BY e.id /*pg FOR SHARE OF e */
        """,
        rows=[(event_id,) for event_id in sorted({c.lease.event_id for c in closings})],
    )
    erased = {row["id"] for row in rows if row["erased_at"] is not None}
    nothing = {"request_headers": "", "response_headers": "", "response_body": "", "detail": ""}
    return [msgspec.structs.replace(c, **nothing) if c.lease.event_id in erased else c for c in closings]


def _insert_attempts(tx: Transaction, closings: Sequence[Closing]) -> None:
    """Log rows. One that was already written off as interrupted is written over: the truth came late."""
    tx.run(
        """
        INSERT INTO attempts (event_id, webhook_id, attempt_no, webhook_version, node, started_at, ended_at, code,
                              status_code, detail, address, dns_us, connect_us, tls_us, first_byte_us, total_us,
                              request_headers, response_headers, response_body, response_cut, next_attempt_at)
        SELECT r.event_id, r.webhook_id, r.attempt_no, r.webhook_version, r.node, r.started_at, r.ended_at, r.code,
               r.status_code, r.detail, r.address, r.dns_us, r.connect_us, r.tls_us, r.first_byte_us, r.total_us,
               r.request_headers, r.response_headers, r.response_body, r.response_cut, r.next_attempt_at
          FROM :rows(event_id BIGINT, webhook_id BIGINT, attempt_no BIGINT, webhook_version BIGINT, node BIGINT,
                     started_at BIGINT, ended_at BIGINT, code TEXT, status_code BIGINT, detail TEXT, address TEXT,
                     dns_us BIGINT, connect_us BIGINT, tls_us BIGINT, first_byte_us BIGINT, total_us BIGINT,
                     request_headers TEXT, response_headers TEXT, response_body TEXT, response_cut BIGINT,
                     next_attempt_at BIGINT) r
         WHERE true
        ON CONFLICT (event_id, webhook_id, attempt_no) DO UPDATE SET
          ended_at = excluded.ended_at, code = excluded.code, status_code = excluded.status_code,
          detail = excluded.detail, address = excluded.address, dns_us = excluded.dns_us,
          connect_us = excluded.connect_us, tls_us = excluded.tls_us, first_byte_us = excluded.first_byte_us,
          total_us = excluded.total_us, request_headers = excluded.request_headers,
          response_headers = excluded.response_headers, response_body = excluded.response_body,
          response_cut = excluded.response_cut
        """,
        rows=[
            (
                c.lease.event_id, c.lease.webhook_id, c.lease.attempt_no, c.webhook_version, c.node, c.lease.started_at,
                c.ended_at, c.code, c.status_code, c.detail, c.address, c.dns_us, c.connect_us, c.tls_us,
                c.first_byte_us, c.total_us, c.request_headers, c.response_headers, c.response_body,
                int(c.response_cut), c.due_at if c.next_status == "pending" else None,
            )
            for c in closings
        ],
    )  # fmt: skip


def extend(tx: Transaction, leases: Iterable[Lease], *, until: Moment) -> set[tuple[int, int, int]]:
    """Keep leases whose attempt is not over (waiting, in flight, or not written yet); those that were still there to be kept."""
    kept = tx.all(
        """
        UPDATE deliveries SET lease_until = r.until
          FROM :rows(event_id BIGINT, webhook_id BIGINT, lease_no BIGINT, until BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no
        RETURNING deliveries.event_id, deliveries.webhook_id, deliveries.lease_no
        """,
        rows=[(lease.event_id, lease.webhook_id, lease.lease_no, until) for lease in leases],
    )
    return {(row["event_id"], row["webhook_id"], row["lease_no"]) for row in kept}


def rescue(tx: Transaction, *, now: Moment, leased_until: Moment | None = None, limit: int = 500) -> int:
    """Deliveries whose lease ran out: their attempt is closed as interrupted, and they are due at once.

    `leased_until` is for who knows better which leases nobody works on: those up to then are taken, and not those up to now.

    The interrupted attempt counts as no failure: whether the receiver saw it is unknown, so it must be
    made again, also under the retry policy "none".
    """
    lost = tx.all(
        """
        WITH lost AS MATERIALIZED (
          SELECT d.event_id, d.webhook_id FROM deliveries d
           WHERE d.status = 'sending' AND d.lease_until <= :leased_until
           ORDER BY d.lease_until LIMIT :limit
           /*pg FOR UPDATE SKIP LOCKED */),
        switched_off AS (SELECT w.id, w.deleted_at FROM webhooks w WHERE w.enabled = 0)
        UPDATE deliveries
           SET status = CASE WHEN webhook_id IN (SELECT o.id FROM switched_off o WHERE o.deleted_at IS NOT NULL)
                             THEN 'cancelled'
                             WHEN webhook_id IN (SELECT o.id FROM switched_off o) THEN 'held' ELSE 'pending' END,
               ended_at = CASE WHEN webhook_id IN (SELECT o.id FROM switched_off o WHERE o.deleted_at IS NOT NULL)
                               THEN :now END,
               due_at = :now, lease_until = 0, last_code = 'interrupted'
         WHERE status = 'sending' AND (event_id, webhook_id) IN (SELECT lost.event_id, lost.webhook_id FROM lost)
        RETURNING event_id, webhook_id, attempts, attempt_started_at, lease_node
        """,
        now=now,
        leased_until=now if leased_until is None else leased_until,
        limit=limit,
    )
    tx.run(
        """
        INSERT INTO attempts (event_id, webhook_id, attempt_no, webhook_version, node, started_at, ended_at, code,
                              detail, address, dns_us, connect_us, tls_us, first_byte_us, total_us, request_headers,
                              response_headers, response_body, response_cut, next_attempt_at)
        SELECT r.event_id, r.webhook_id, r.attempt_no, 0, r.node, r.started_at, r.now, 'interrupted',
               'The program ended while this attempt was under way; whether the receiver got it is unknown.',
               '', 0, 0, 0, 0, 0, '', '', '', 0, r.now
          FROM :rows(event_id BIGINT, webhook_id BIGINT, attempt_no BIGINT, node BIGINT, started_at BIGINT, now BIGINT) r
         WHERE true
        ON CONFLICT (event_id, webhook_id, attempt_no) DO NOTHING
        """,
        rows=[
            (row["event_id"], row["webhook_id"], row["attempts"], row["lease_node"], row["attempt_started_at"], now)
            for row in lost
        ],
    )
    if lost:
        tx.wake(backlog.TOPIC)
    return len(lost)


def release(tx: Transaction, unused: Sequence[tuple[Lease, Moment]]) -> None:
    """Give back leases, each with when its delivery is due again: nothing was sent with them, so no attempt is counted."""
    tx.run(
        """
        UPDATE deliveries
           SET status = 'pending', due_at = r.due_at, lease_until = 0, attempts = deliveries.attempts - 1,
               attempt_started_at = NULL,
               -- Of a round that began with this lease nothing was sent; a resend begins a round whose attempts are many.
               first_attempt_at = CASE WHEN deliveries.attempts > 1
                                        AND deliveries.first_attempt_at <> deliveries.attempt_started_at
                                       THEN deliveries.first_attempt_at END
          FROM :rows(event_id BIGINT, webhook_id BIGINT, lease_no BIGINT, due_at BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no
        """,
        rows=[(lease.event_id, lease.webhook_id, lease.lease_no, due_at) for lease, due_at in unused],
    )
    tx.wake(backlog.TOPIC)


def webhooks_of_event(tx: Transaction, event_id: int) -> list[int]:
    """The webhooks that an event has deliveries for."""
    rows = tx.all("SELECT webhook_id FROM deliveries WHERE event_id = :event_id", event_id=event_id)
    return [int(row["webhook_id"]) for row in rows]

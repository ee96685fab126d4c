"""Deleting what ended long ago, and erasing payloads. What is live is never touched by retention.

Deliveries and attempts go by the event: its id tells its age, so both walks go along the primary key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dockbell.clock import Moment
from dockbell.store.database import Transaction
from dockbell.store.objects import Sought

LIVE = ("pending", "sending", "held")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Events of one batch."""

    ids: Sequence[int]
    last: int | None
    """Where the walk goes on; None: there is nothing beyond."""


def ended(tx: Transaction, *, after: int, before_id: int, ended_before: Moment, limit: int, whole: bool) -> Chosen:
    """Of the next `limit` events below `before_id`, those whose deliveries all ended before that moment.

    With `whole` only those whose payload is still there.
    """
    rows = tx.all(
        "SELECT e.id, e.erased_at FROM events e WHERE e.id > :after AND e.id < :before_id ORDER BY e.id LIMIT :limit",
        after=after,
        before_id=before_id,
        limit=limit,
    )
    ids = [int(row["id"]) for row in rows if not whole or row["erased_at"] is None]
    # Looked at twice: who only looks waits for nobody, and what is left over, nobody but a person who resends will touch.
    at_rest = _at_rest(tx, _at_rest(tx, ids, ended_before), ended_before, hold=True)
    hold_events(tx, at_rest)
    # And once more: what a webhook missed may have been sent to it until its event was held.
    return Chosen(_at_rest(tx, at_rest, ended_before), int(rows[-1]["id"]) if len(rows) == limit else None)


def _at_rest(tx: Transaction, ids: Sequence[int], ended_before: Moment, *, hold: bool = False) -> list[int]:
    """Those without a delivery that is live or ended later; with `hold` nobody can change their deliveries meanwhile."""
    live = {
        row["event_id"]
        for row in tx.all(
            _DELIVERIES_HELD if hold else _DELIVERIES,
            rows=[(event_id,) for event_id in ids],
        )
        if row["status"] in LIVE or row["ended_at"] is None or row["ended_at"] >= ended_before
    }
    return [event_id for event_id in ids if event_id not in live]


_DELIVERIES = """
  SELECT d.event_id, d.webhook_id, d.status, d.ended_at
    FROM :rows(event_id BIGINT) r JOIN deliveries d ON d.event_id = r.event_id
"""
_DELIVERIES_HELD = _DELIVERIES + " ORDER BY d.event_id, d.webhook_id /*pg FOR UPDATE OF d */"


def hold_events(tx: Transaction, ids: Sequence[int]) -> None:
    """Nobody makes a delivery of these events before the transaction ends.

    After their deliveries, as whoever writes outcomes does: two that held them the other way round would wait for each other.
    """
    tx.all(
        "SELECT e.id FROM :rows(event_id BIGINT) r JOIN events e ON e.id = r.event_id ORDER BY e.id /*pg FOR UPDATE OF e */",
        rows=[(event_id,) for event_id in ids],
    )


def delete(tx: Transaction, ids: Sequence[int]) -> None:
    """Events with their deliveries and attempts."""
    rows = [(event_id,) for event_id in ids]
    tx.run("DELETE FROM attempts WHERE event_id IN (SELECT r.event_id FROM :rows(event_id BIGINT) r)", rows=rows)
    tx.run("DELETE FROM deliveries WHERE event_id IN (SELECT r.event_id FROM :rows(event_id BIGINT) r)", rows=rows)
    tx.run("DELETE FROM events WHERE id IN (SELECT r.event_id FROM :rows(event_id BIGINT) r)", rows=rows)


def delete_hours(tx: Transaction, *, before: Moment, limit: int) -> int:
    """Hours of the statistics; how many. Of a webhook that only fails, those since it does stay: mails tell their sum."""
    return tx.run(
        """
        DELETE FROM webhook_hours WHERE (webhook_id, hour_at, bucket) IN (
          SELECT h.webhook_id, h.hour_at, h.bucket
            FROM webhook_hours h LEFT JOIN webhook_health f ON f.webhook_id = h.webhook_id
           WHERE h.hour_at < :before AND (f.failing_since IS NULL OR h.hour_at <= f.failing_since - 3600000000)
           ORDER BY h.hour_at LIMIT :limit)
        """,
        before=before,
        limit=limit,
    )


def delete_bulk_runs(tx: Transaction, *, ended_before: Moment, limit: int) -> int:
    return tx.run(
        """
        DELETE FROM bulk_runs WHERE id IN (
          SELECT r.id FROM bulk_runs r WHERE r.ended_at < :ended_before ORDER BY r.ended_at LIMIT :limit)
        """,
        ended_before=ended_before,
        limit=limit,
    )


def erase(tx: Transaction, ids: Sequence[int], *, now: Moment) -> None:
    """Take the payloads out of events and attempts; that they were, and what came of them, stays."""
    tx.run(
        """
        UPDATE events SET data = '{}', attributes = '{}', erased_at = r.erased_at
          FROM :rows(id BIGINT, erased_at BIGINT) r WHERE events.id = r.id
        """,
        rows=[(event_id, now) for event_id in ids],
    )
    tx.run(
        """
        UPDATE attempts SET request_headers = '', response_headers = '', response_body = '', detail = ''
         WHERE event_id IN (SELECT r.event_id FROM :rows(event_id BIGINT) r)
        """,
        rows=[(event_id,) for event_id in ids],
    )


def of_subject(
    tx: Transaction,
    *,
    goods_owner_id: int | None,
    about: Sought | None,
    after: int,
    limit: int,
) -> Chosen:
    """The next events of a goods owner, or about an object, or both, whose payload is still there."""
    found, names = ("", {}) if about is None else about.event_ids()
    rows = tx.all(
        f"""
        SELECT e.id FROM events e
         WHERE e.id > :after AND e.erased_at IS NULL
           {"AND e.goods_owner_id = :goods_owner_id" if goods_owner_id is not None else ""}
           {f"AND e.id IN ({found})" if found else ""}
         ORDER BY e.id LIMIT :limit
        """,  # noqa: S608 - constants of the store
        goods_owner_id=goods_owner_id,
        after=after,
        limit=limit,
        **names,
    )
    return Chosen([int(row["id"]) for row in rows], int(rows[-1]["id"]) if len(rows) == limit else None)


def still_whole(tx: Transaction, ids: Sequence[int]) -> list[int]:
    """Those of the events whose payload is still there."""
    rows = tx.all(
        """
        SELECT e.id FROM :rows(event_id BIGINT) r JOIN events e ON e.id = r.event_id
         WHERE e.erased_at IS NULL ORDER BY e.id
        """,
        rows=[(event_id,) for event_id in ids],
    )
    return [int(row["id"]) for row in rows]


def end_waiting(tx: Transaction, ids: Sequence[int], *, now: Moment) -> int:
    """Cancel what waits of these events, since there will be nothing to send; how many deliveries."""
    return tx.run(
        """
        UPDATE deliveries SET status = 'cancelled', ended_at = r.ended_at, last_code = 'payload_erased'
          FROM :rows(event_id BIGINT, ended_at BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.status IN ('pending', 'held')
        """,
        rows=[(event_id, now) for event_id in ids],
    )


def under_way(tx: Transaction, ids: Sequence[int]) -> set[int]:
    """Those of which an attempt holds the payload in memory right now. The others' deliveries stay as they are."""
    rows = tx.all(_DELIVERIES_HELD, rows=[(event_id,) for event_id in ids])
    return {int(row["event_id"]) for row in rows if row["status"] == "sending"}


def free_pages(tx: Transaction, dialect: str) -> tuple[int, int]:
    """Free pages of SQLite's file, and pages in all; PostgreSQL looks after its own."""
    if dialect == "postgres":
        return 0, 0
    row = tx.one("SELECT freelist_count AS free, page_count AS pages FROM pragma_freelist_count(), pragma_page_count()")
    assert row is not None
    return int(row["free"]), int(row["pages"])


def give_back(tx: Transaction) -> None:
    """Cut free pages off the end of SQLite's file, at most 4 MiB: the writer keeps nobody waiting for long."""
    tx.run("PRAGMA incremental_vacuum(1000)")

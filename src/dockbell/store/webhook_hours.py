"""Attempts counted by webhook and hour, each exactly once, off the hot path.

A watermark parts the attempts by when they ended: those before it are in `webhook_hours`, the others are counted when
somebody looks. The roll-up moves the watermark under an exclusive lock; whoever closes attempts holds it still with a
shared one. So an attempt is either on disk before the watermark passes it and the roll-up sees it, or its closing
sees the new watermark, finds itself late, and counts itself (`count_late`), however late that is. So does every attempt
after a clock was set back, until it has come to the watermark again: that never goes back, or what is counted would be again.

Interrupted attempts, and those whose kept connection had ended, count as nothing: what came of them is unknown, and the truth may still be written over them.
Tests by hand are left out too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockbell.clock import HOUR, Moment
from dockbell.domain.delivery import NO_FAILURE
from dockbell.store import counters
from dockbell.store.database import Row, Transaction

if TYPE_CHECKING:
    from dockbell.store.deliveries import Closing

COUNTED_TO = "attempts counted to"
# Four buckets to each doubling, from 1 ms to half a minute: a time read from them is at most a fifth off.
BOUNDS_US = tuple(round(1000 * 2 ** (step / 4)) for step in range(60))
_BUCKET = (
    "CASE " + " ".join(f"WHEN a.total_us < {bound} THEN {n}" for n, bound in enumerate(BOUNDS_US)) + " ELSE 60 END"
)
_COUNTED = """
  FROM attempts a JOIN events e ON e.id = a.event_id
 WHERE e.test_of IS NULL AND a.code NOT IN ('interrupted', 'connection_ended')
   AND a.ended_at >= :since AND a.ended_at < :until
"""


@dataclass(frozen=True, slots=True)
class Count:
    """Attempts of one webhook in one hour that took about as long as each other."""

    webhook_id: int
    hour_at: Moment
    bucket: int
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Health:
    tried_at: Moment
    delivered_at: Moment | None
    failing_since: Moment | None
    """The first failure after the last success; None if the last attempt delivered."""


def bucket_of(total_us: int) -> int:
    return next((number for number, bound in enumerate(BOUNDS_US) if total_us < bound), len(BOUNDS_US))


def counted_to(tx: Transaction) -> Moment:
    return counters.current(tx, COUNTED_TO)


def roll_up(tx: Transaction, *, until: Moment, longest: int) -> bool:
    """Count attempts that ended before `until`, at most `longest` microseconds of them; True if more are left."""
    row = tx.one("SELECT value FROM counters WHERE name = :name /*pg FOR UPDATE */", name=COUNTED_TO)
    assert row is not None
    since = int(row["value"])
    if since >= until:
        return False
    first = tx.one("SELECT min(ended_at) AS at FROM attempts WHERE ended_at >= :since", since=since)
    begin = until if first is None or first["at"] is None else max(since, int(first["at"]))
    end = min(until, begin + longest)
    if begin < end:
        add(tx, counts_between(tx, begin, end))
        _put_health(tx, health_between(tx, begin, end))
    tx.run("UPDATE counters SET value = :end WHERE name = :name", end=end, name=COUNTED_TO)
    return end < until


def count_late(tx: Transaction, closings: Sequence["Closing"], mark: Moment) -> None:
    """Count those of `closings`, about to be written, that ended before the watermark, which must be pinned."""
    late = {
        (c.lease.event_id, c.lease.webhook_id, c.lease.attempt_no): c
        for c in sorted(closings, key=lambda closing: closing.ended_at)
        if c.ended_at < mark and c.code not in NO_FAILURE
    }
    if not late:
        return
    # A commit whose answer was lost is written once more; what it wrote the first time is counted already.
    known = tx.all(
        """
        SELECT r.event_id, r.webhook_id, r.attempt_no
          FROM :rows(event_id BIGINT, webhook_id BIGINT, attempt_no BIGINT) r
          JOIN events e ON e.id = r.event_id
          LEFT JOIN attempts a ON a.event_id = r.event_id AND a.webhook_id = r.webhook_id
                              AND a.attempt_no = r.attempt_no AND a.code <> 'interrupted'
         WHERE a.event_id IS NOT NULL OR e.test_of IS NOT NULL
        """,
        rows=sorted(late),
    )
    for row in known:
        del late[row["event_id"], row["webhook_id"], row["attempt_no"]]
    add(tx, summed(_count_of(closing) for closing in late.values()))
    found: dict[int, Health] = {}
    for closing in late.values():
        webhook_id = closing.lease.webhook_id
        found[webhook_id] = merged(found.get(webhook_id), _health_of(closing))
    _put_health(tx, found)


def _count_of(closing: "Closing") -> Count:
    delivered = int(closing.code == "delivered")
    hour_at = closing.ended_at - closing.ended_at % HOUR
    return Count(closing.lease.webhook_id, hour_at, bucket_of(closing.total_us), delivered, 1 - delivered)


def _health_of(closing: "Closing") -> Health:
    at = closing.ended_at
    return Health(at, at, None) if closing.code == "delivered" else Health(at, None, at)


def summed(counts: Iterable[Count]) -> list[Count]:
    """One count for each webhook, hour and bucket, in their order."""
    sums: dict[tuple[int, Moment, int], tuple[int, int]] = {}
    for each in counts:
        key = (each.webhook_id, each.hour_at, each.bucket)
        delivered, failed = sums.get(key, (0, 0))
        sums[key] = (delivered + each.delivered, failed + each.failed)
    return [Count(*key, *sums[key]) for key in sorted(sums)]


def add(tx: Transaction, counts: Sequence[Count]) -> None:
    """Add to what is there. Two who add at once take the rows in the same order."""
    tx.run(
        """
        INSERT INTO webhook_hours (webhook_id, hour_at, bucket, delivered, failed)
        SELECT r.webhook_id, r.hour_at, r.bucket, r.delivered, r.failed
          FROM :rows(webhook_id BIGINT, hour_at BIGINT, bucket BIGINT, delivered BIGINT, failed BIGINT) r
         WHERE true
        ON CONFLICT (webhook_id, hour_at, bucket) DO UPDATE SET
          delivered = webhook_hours.delivered + excluded.delivered, failed = webhook_hours.failed + excluded.failed
        """,
        rows=[(c.webhook_id, c.hour_at, c.bucket, c.delivered, c.failed) for c in counts],
    )


def counts_between(tx: Transaction, since: Moment, until: Moment) -> list[Count]:
    """Counted from the attempts themselves."""
    rows = tx.all(
        f"""
        SELECT a.webhook_id, a.ended_at - a.ended_at % 3600000000 AS hour_at, {_BUCKET} AS bucket,
               sum(CASE WHEN a.code = 'delivered' THEN 1 ELSE 0 END) AS delivered,
               sum(CASE WHEN a.code = 'delivered' THEN 0 ELSE 1 END) AS failed
        {_COUNTED} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        since=since,
        until=until,
    )
    return [_count(row) for row in rows]


def stored(tx: Transaction, webhook_ids: Collection[int], *, since: Moment) -> tuple[Moment, list[Count]]:
    """The watermark and the hours from `since` on, read in one statement so that they belong together."""
    rows = _beside_mark(
        tx, "webhook_hours h ON h.webhook_id = r.webhook_id AND h.hour_at >= r.since",
        "h.webhook_id, h.hour_at, h.bucket, h.delivered, h.failed", webhook_ids, since,
    )  # fmt: skip
    return int(rows[0]["mark"]), [_count(row) for row in rows if row["webhook_id"] is not None]


def health(tx: Transaction, webhook_ids: Collection[int]) -> tuple[Moment, dict[int, Health]]:
    """The watermark, and how each webhook did until then."""
    rows = _beside_mark(
        tx, "webhook_health h ON h.webhook_id = r.webhook_id",
        "h.webhook_id, h.tried_at, h.delivered_at, h.failing_since", webhook_ids, 0,
    )  # fmt: skip
    return int(rows[0]["mark"]), {int(r["webhook_id"]): _health(r) for r in rows if r["webhook_id"] is not None}


def _beside_mark(tx: Transaction, joined: str, columns: str, webhook_ids: Collection[int], since: Moment) -> list[Row]:
    """Of those webhooks alone, and at least one row: all webhooks' hours of a day may be a million."""
    return tx.all(
        f"""
        SELECT c.value AS mark, {columns} FROM :rows(webhook_id BIGINT, since BIGINT, name TEXT) r
          JOIN counters c ON c.name = r.name LEFT JOIN {joined}
        """,  # noqa: S608 - constants of this file
        rows=[(webhook_id, since, COUNTED_TO) for webhook_id in webhook_ids or (0,)],
    )


def health_between(tx: Transaction, since: Moment, until: Moment) -> dict[int, Health]:
    rows = tx.all(
        f"""
        WITH part AS (SELECT a.webhook_id, a.ended_at, a.code {_COUNTED}),
        good AS (SELECT p.webhook_id, max(p.ended_at) AS at FROM part p
                  WHERE p.code = 'delivered' GROUP BY p.webhook_id)
        SELECT p.webhook_id, max(p.ended_at) AS tried_at, max(g.at) AS delivered_at,
               min(CASE WHEN p.code <> 'delivered' AND (g.at IS NULL OR p.ended_at > g.at) THEN p.ended_at END)
                 AS failing_since
          FROM part p LEFT JOIN good g ON g.webhook_id = p.webhook_id GROUP BY p.webhook_id
        """,  # noqa: S608 - constants of this file
        since=since,
        until=until,
    )
    return {int(row["webhook_id"]): _health(row) for row in rows}


def merged(one: Health | None, other: Health) -> Health:
    """What two parts of a webhook's attempts tell, whichever was first. A part that is told twice changes nothing."""
    if one is None:
        return other
    both = (one, other)
    delivered_at = max((each.delivered_at for each in both if each.delivered_at is not None), default=None)
    # Of a part that failed in the end two failures are known: the first after its last success, and the last of all.
    failures = [at for each in both if each.failing_since is not None for at in (each.failing_since, each.tried_at)]
    since = min((at for at in failures if delivered_at is None or at > delivered_at), default=None)
    return Health(max(one.tried_at, other.tried_at), delivered_at, since)


def _put_health(tx: Transaction, found: Mapping[int, Health]) -> None:
    """Merge it into what is there. Two who do so at once take the rows in the same order, and one sees what the other wrote."""
    tx.run(
        f"""
        INSERT INTO webhook_health (webhook_id, tried_at, delivered_at, failing_since)
        SELECT r.webhook_id, r.tried_at, r.delivered_at, r.failing_since FROM {_HEALTH_ROWS} r WHERE true
        ON CONFLICT (webhook_id) DO NOTHING
        """,  # noqa: S608 - a constant
        rows=_health_rows(found),
    )
    known = tx.all(
        """
        SELECT h.webhook_id, h.tried_at, h.delivered_at, h.failing_since
          FROM :rows(webhook_id BIGINT) r JOIN webhook_health h ON h.webhook_id = r.webhook_id
         ORDER BY h.webhook_id /*pg FOR UPDATE OF h */
        """,
        rows=[(webhook_id,) for webhook_id in found],
    )
    tx.run(
        f"""
        UPDATE webhook_health SET tried_at = r.tried_at, delivered_at = r.delivered_at, failing_since = r.failing_since
          FROM {_HEALTH_ROWS} r WHERE webhook_health.webhook_id = r.webhook_id
        """,  # noqa: S608 - a constant
        rows=_health_rows({row["webhook_id"]: merged(_health(row), found[row["webhook_id"]]) for row in known}),
    )


_HEALTH_ROWS = ":rows(webhook_id BIGINT, tried_at BIGINT, delivered_at BIGINT, failing_since BIGINT)"


def _health_rows(found: Mapping[int, Health]) -> list[tuple[int, Moment, Moment | None, Moment | None]]:
    return [(key, one.tried_at, one.delivered_at, one.failing_since) for key, one in sorted(found.items())]


def bring_back(tx: Transaction, now: Moment) -> None:
    """What was noted by a clock that was ahead becomes so much older that the last attempt was now: others come after it."""
    tx.run(
        """
        UPDATE webhook_health
           SET tried_at = :now, delivered_at = delivered_at - (tried_at - :now),
               failing_since = failing_since - (tried_at - :now)
         WHERE tried_at > :now
        """,
        now=now,
    )


def _count(row: Row) -> Count:
    return Count(
        int(row["webhook_id"]), int(row["hour_at"]), int(row["bucket"]), int(row["delivered"]), int(row["failed"])
    )


def _health(row: Row) -> Health:
    return Health(int(row["tried_at"]), row["delivered_at"], row["failing_since"])

"""Turns: what a webhook that keeps the order of each object sends one after the other.

A row for each of its deliveries that is about an object and has not ended. The first of an object is due as any delivery is; those
behind it are due NEVER, so that nobody looks at them in vain, and come forward when it ends. The order itself hangs on whoever
claims, who asks for the turn as well (`deliveries.claim_due`): what is due too early is not sent out of turn. What is due too late,
because its transaction and that of the one before did not see each other, or because a person cancelled that one, waits for the
next round of the heartbeat, which sets both right (`astray`, `settle`).
"""

from collections.abc import Sequence
from typing import NamedTuple

from dockbell.clock import Moment
from dockbell.store.backlog import FAR, NEVER, TOPIC
from dockbell.store.database import Row, Transaction

A_LOOK = 1_000

_ENDED = """
NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = turns.event_id AND d.webhook_id = turns.webhook_id
               AND d.status IN ('pending', 'sending', 'held'))
"""
_KEEPS_NONE = "NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = turns.webhook_id AND w.keeps_order = 1)"


class Turn(NamedTuple):
    """In the order of the table's key."""

    webhook_id: int
    goods_owner_id: int
    object_key: str
    event_id: int


NOWHERE = Turn(0, 0, "", 0)
"""Before the first."""


def wait(tx: Transaction, keys: Sequence[tuple[int, int]]) -> None:
    """Let deliveries (event, webhook) wait for those before them, if their webhook keeps the order."""
    join(tx, keys)
    _step_back(tx, keys)


def join(tx: Transaction, keys: Sequence[tuple[int, int]]) -> None:
    """As `wait`, for who may not change deliveries; they are due all the same until the next round of the heartbeat.

    A test, and what is about no object, waits for nothing.
    """
    tx.run(
        """
        INSERT INTO turns (webhook_id, goods_owner_id, object_key, event_id)
        SELECT r.webhook_id, e.goods_owner_id, e.object_key, r.event_id
          FROM :rows(event_id BIGINT, webhook_id BIGINT) r
          JOIN events e ON e.id = r.event_id JOIN webhooks w ON w.id = r.webhook_id AND w.keeps_order = 1
         WHERE e.object_key IS NOT NULL AND e.test_of IS NULL
        ON CONFLICT (webhook_id, goods_owner_id, object_key, event_id) DO NOTHING
        """,
        rows=keys,
    )


def _step_back(tx: Transaction, keys: Sequence[tuple[int, int]]) -> None:
    """Let those of the deliveries that wait behind another be due NEVER."""
    tx.run(
        """
        UPDATE deliveries SET due_at = r.never FROM :rows(event_id BIGINT, webhook_id BIGINT, never BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status IN ('pending', 'held') AND EXISTS (
               SELECT 1 FROM turns t JOIN turns b ON b.webhook_id = t.webhook_id AND b.goods_owner_id = t.goods_owner_id
                                                 AND b.object_key = t.object_key AND b.event_id < t.event_id
                WHERE t.event_id = r.event_id AND t.webhook_id = r.webhook_id)
        """,
        rows=[(event_id, webhook_id, NEVER) for event_id, webhook_id in keys],
    )


def leave(tx: Transaction, keys: Sequence[tuple[int, int]], *, now: Moment) -> None:
    """Let those behind come forward where these deliveries have ended."""
    left = tx.all(
        f"""
        DELETE FROM turns
         WHERE (event_id, webhook_id) IN (SELECT r.event_id, r.webhook_id FROM :rows(event_id BIGINT, webhook_id BIGINT) r)
           AND ({_ENDED} OR {_KEEPS_NONE})
        RETURNING webhook_id, goods_owner_id, object_key
        """,  # noqa: S608 - constants of this file
        rows=keys,
    )
    _come_forward(tx, {(row["webhook_id"], row["goods_owner_id"], row["object_key"]) for row in left}, now=now)
    if left:
        tx.wake(TOPIC)


def _come_forward(tx: Transaction, objects: set[tuple[int, int, str]], *, now: Moment) -> None:
    tx.run(
        """
        WITH first AS MATERIALIZED (
          SELECT r.webhook_id, r.now, r.far,
                 (SELECT min(t.event_id) FROM turns t
                   WHERE t.webhook_id = r.webhook_id AND t.goods_owner_id = r.goods_owner_id
                     AND t.object_key = r.object_key) AS event_id
            FROM :rows(webhook_id BIGINT, goods_owner_id BIGINT, object_key TEXT, now BIGINT, far BIGINT) r)
        UPDATE deliveries SET due_at = first.now FROM first
         WHERE deliveries.event_id = first.event_id AND deliveries.webhook_id = first.webhook_id
           AND deliveries.status IN ('pending', 'held') AND deliveries.due_at >= first.far
        """,
        rows=[(*each, now, FAR) for each in sorted(objects)],
    )


def first_before(tx: Transaction, event_id: int, webhook_id: int) -> int | None:
    """The event whose delivery is the first of those that this one waits for; None if it waits for none."""
    row = tx.one(
        """
        SELECT min(b.event_id) AS event_id
          FROM turns t JOIN turns b ON b.webhook_id = t.webhook_id AND b.goods_owner_id = t.goods_owner_id
                                   AND b.object_key = t.object_key AND b.event_id < t.event_id
         WHERE t.event_id = :event_id AND t.webhook_id = :webhook_id
        """,
        event_id=event_id,
        webhook_id=webhook_id,
    )
    return None if row is None or row["event_id"] is None else int(row["event_id"])


def astray(tx: Transaction, *, after: Turn) -> tuple[list[Turn], Turn | None]:
    """Of A_LOOK turns behind `after` those that `settle` has something to do for, and the last; None if there are no more."""
    webhook_id, goods_owner_id, object_key, event_id = after
    rows = tx.all(
        """
        SELECT t.webhook_id, t.goods_owner_id, t.object_key, t.event_id, d.status, d.due_at, w.keeps_order,
               (SELECT min(b.event_id) FROM turns b
                 WHERE b.webhook_id = t.webhook_id AND b.goods_owner_id = t.goods_owner_id
                   AND b.object_key = t.object_key) AS first
          FROM (SELECT a.* FROM turns a
                 WHERE (a.webhook_id, a.goods_owner_id, a.object_key, a.event_id)
                       > (:webhook_id, :goods_owner_id, :object_key, :event_id)
                 ORDER BY a.webhook_id, a.goods_owner_id, a.object_key, a.event_id LIMIT :most) t
          LEFT JOIN deliveries d ON d.event_id = t.event_id AND d.webhook_id = t.webhook_id
          LEFT JOIN webhooks w ON w.id = t.webhook_id
         ORDER BY t.webhook_id, t.goods_owner_id, t.object_key, t.event_id
        """,
        webhook_id=webhook_id,
        goods_owner_id=goods_owner_id,
        object_key=object_key,
        event_id=event_id,
        most=A_LOOK,
    )
    found = [Turn(row["webhook_id"], row["goods_owner_id"], row["object_key"], row["event_id"]) for row in rows]
    strays = [turn for turn, row in zip(found, rows, strict=True) if _is_astray(row)]
    return strays, found[-1] if len(found) == A_LOOK else None


def _is_astray(row: Row) -> bool:
    if row["status"] not in ("pending", "sending", "held") or row["keeps_order"] != 1:
        return True
    is_first, never = bool(row["event_id"] == row["first"]), bool(row["due_at"] >= FAR)
    return row["status"] != "sending" and is_first == never


def settle(tx: Transaction, strays: Sequence[Turn], *, now: Moment) -> None:
    """Let go of those that have ended, or whose webhook keeps no order any more, and let the others be due in their turn."""
    keys = [(turn.event_id, turn.webhook_id) for turn in strays]
    tx.run(
        """
        UPDATE deliveries SET due_at = r.now FROM :rows(event_id BIGINT, webhook_id BIGINT, now BIGINT, far BIGINT) r
         WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id
           AND deliveries.status IN ('pending', 'held') AND deliveries.due_at >= r.far
           AND NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = r.webhook_id AND w.keeps_order = 1)
        """,
        rows=[(*key, now, FAR) for key in keys],
    )
    leave(tx, keys, now=now)
    _step_back(tx, keys)
    _come_forward(tx, {turn[:3] for turn in strays}, now=now)
    tx.wake(TOPIC)

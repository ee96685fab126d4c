"""Reading deliveries and attempts, and what people do to deliveries: resend, cancel, hold, release."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dockbell.clock import Moment
from dockbell.store import turns
from dockbell.store.backlog import TOPIC
from dockbell.store.database import Row, Transaction
from dockbell.store.objects import Sought

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
    about: Sought | None = None
    from_id: int = 0
    own_of: Iterable[int] | None = None
    """Only of regular webhooks that serve nobody but these goods owners."""
    run: str | None = None
    """Only what a bulk run changes: `resend` or `cancel`."""


CLASSES: Mapping[str, Callable[[str], bool]] = {
    "2xx": lambda code: code == "delivered",
    "3xx": lambda code: code == "http_redirect" or code.startswith("http_3"),
    "4xx": lambda code: code.startswith("http_4"),
    "5xx": lambda code: code.startswith("http_5"),
    "none": lambda code: code != "delivered" and not code.startswith("http_"),
}
# Literals, not parameters, and the very words of the index: they let the planner use the partial indexes.
_AT_REST = "d.status IN ('pending', 'failed', 'held', 'cancelled')"
_STATUS = {
    **{status: f"d.status = '{status}' AND {_AT_REST}" for status in ("pending", "failed", "held", "cancelled")},
    # Few, and in an index of another order: SQLite takes it only where no order is asked for.
    "sending": "d.event_id IN (SELECT s.event_id FROM deliveries s WHERE s.status = 'sending') AND d.status = 'sending'",
    "delivered": "d.status = 'delivered'",
}
# SQLite would walk all that a webhook ever had, instead of what is rare: + 0 keeps it from that index.
_RARE_OF_WEBHOOK = "d.webhook_id /*pg = :webhook_id AND d.webhook_id */ + 0 = :webhook_id"
_MOST_ARMS = 32
"""Beyond that, one walk over everybody's deliveries is the shorter way."""


def _arms(tx: Transaction, search: Search) -> list[Search]:
    """The search as searches that each walk one index, newest first, and stop where the page is full.

    What can be cancelled has two statuses, a class of codes is several codes, an event type has several webhooks, and a user may see several goods owners: no
    index has those in the order of time, so that one statement would have to read and sort all there are.
    """
    if search.run == "cancel":
        waiting = [status for status in ("pending", "held") if search.status in (None, status)]
        return [arm for status in waiting for arm in _arms(tx, replace(search, run=None, status=status))]
    arms = [search]
    if search.code is not None and search.code in CLASSES:
        fits = CLASSES[search.code]
        arms = [replace(search, code=code) for code in ("delivered", *_codes(tx)) if fits(code)]
    if search.event_type is not None and search.webhook_id is None:
        of_type = _webhooks_of_type(tx, search.event_type)
        if len(arms) * len(of_type) <= _MOST_ARMS:
            return [replace(arm, webhook_id=webhook_id) for arm in arms for webhook_id in of_type]
    owners = search.goods_owners
    if owners is not None and search.goods_owner_id is None and not _leads(search):
        each = sorted(owners)
        if len(arms) * len(each) <= _MOST_ARMS:
            return [replace(arm, goods_owner_id=owner) for arm in arms for owner in each]
    return arms


def _webhooks_of_type(tx: Transaction, event_type: str) -> list[int]:
    """Webhooks that are, or ever were, for an event type: only they have deliveries of it, each in an index of its own."""
    rows = tx.all(
        """
        SELECT w.id FROM webhooks w WHERE w.event_type = :event_type
        UNION
        SELECT v.webhook_id FROM webhook_versions v WHERE v.settings LIKE :in_settings
        """,
        event_type=event_type,
        in_settings=f'%"eventType": "{event_type}"%',
    )
    return [int(row["id"]) for row in rows]


def _codes(tx: Transaction) -> list[str]:
    """Codes of deliveries that did not go well: one index step each, however many deliveries there are."""
    rows = tx.all(
        """
        WITH RECURSIVE met(code) AS (
          SELECT min(d.last_code) FROM deliveries d WHERE d.last_code <> 'delivered'
          UNION ALL
          SELECT (SELECT min(d.last_code) FROM deliveries d WHERE d.last_code <> 'delivered' AND d.last_code > met.code)
            FROM met WHERE met.code IS NOT NULL
        )
        SELECT met.code FROM met WHERE met.code IS NOT NULL
        """
    )
    return [row["code"] for row in rows]


def _is_rare(search: Search) -> bool:
    """Whether a partial index leads to what is wanted."""
    return search.status not in (None, "delivered") or search.code not in (None, "delivered")


def _leads(search: Search) -> bool:
    """Whether deliveries are found by themselves, not by their events."""
    return _is_rare(search) or search.webhook_id is not None or search.about is not None


def conditions(search: Search, before: tuple[int, int]) -> tuple[str, str, dict[str, Any]]:
    """A WHERE made of constants of the store, an ORDER BY, and the parameters.

    What people typed is in the parameters alone. The statement is written so that either database walks the index
    that the filters lead to: SQLite keeps no statistics, and PostgreSQL's know nothing of which filters go together.
    """
    by_event = not _leads(search) and search.goods_owner_id is not None
    parts = [
        "d.event_id <= :before_event AND (d.event_id < :before_event OR d.webhook_id < :before_webhook)",
        *(["e.id <= :before_event"] if by_event else []),
    ]
    params: dict[str, Any] = {"before_event": before[0], "before_webhook": before[1]}

    def add(condition: str, **more: Any) -> None:
        parts.append(condition)
        params.update(more)

    if search.from_id:
        add("e.id >= :from_id" if by_event else "d.event_id >= :from_id", from_id=search.from_id)
    if search.goods_owners is not None:
        names, owners = _as_list("owner", search.goods_owners)
        add(f"d.goods_owner_id IN ({names})", **owners)
    if search.own_of is not None:
        names, owners = _as_list("own", search.own_of)
        own = _OWN.replace("{names}", names)
        add(f"EXISTS (SELECT 1 FROM webhooks w WHERE w.id = d.webhook_id AND {own})", **owners)  # noqa: S608 - constants
    if search.goods_owner_id is not None:
        # The event's goods owner is the delivery's.
        column = "e.goods_owner_id" if by_event else "d.goods_owner_id"
        add(f"{column} = :goods_owner_id", goods_owner_id=search.goods_owner_id)
    if search.webhook_id is not None:
        add(_RARE_OF_WEBHOOK if _is_rare(search) else "d.webhook_id = :webhook_id", webhook_id=search.webhook_id)
    if search.status is not None:
        add(_STATUS[search.status])
    if search.code == "delivered":
        add("d.last_code = 'delivered'")
    elif search.code is not None:
        add("d.last_code <> 'delivered' AND d.last_code = :code", code=search.code)
    if (
        search.run == "resend"
    ):  # a test was a question of its moment: who recovers what was missed does not want it again
        add("e.test_of IS NULL")
    if search.event_type is not None:
        add("e.event_type = :event_type", event_type=search.event_type)
    if search.about is not None:
        found, words = search.about.event_ids()
        add(f"d.event_id IN ({found})", **words)
    order = "e.id DESC, d.webhook_id DESC" if by_event else "d.event_id DESC, d.webhook_id DESC"
    return " AND ".join(parts), order, params


def _as_list(prefix: str, numbers: Iterable[int]) -> tuple[str, dict[str, Any]]:
    """Names for a list in a statement, and their values. An empty list holds -1, the number of no goods owner."""
    values = {f"{prefix}_{place}": number for place, number in enumerate(sorted(numbers))}
    return ", ".join(f":{name}" for name in values) or "-1", values


_OWN = """w.kind = 'regular' AND w.all_goods_owners = 0
  AND NOT EXISTS (SELECT 1 FROM webhook_goods_owners g
                   WHERE g.webhook_id = w.id AND g.goods_owner_id NOT IN ({names}))"""


def own_webhooks(tx: Transaction, webhook_ids: Iterable[int], goods_owners: Iterable[int]) -> set[int]:
    """Those of the webhooks that are regular and serve nobody but these goods owners."""
    names, owners = _as_list("own", goods_owners)
    wanted, ids = _as_list("id", webhook_ids)
    rows = tx.all(
        f"SELECT w.id FROM webhooks w WHERE w.id IN ({wanted}) AND {_OWN.replace('{names}', names)}",  # noqa: S608 - constants
        **ids,
        **owners,
    )
    return {int(row["id"]) for row in rows}


def page(tx: Transaction, *, before: tuple[int, int], limit: int, **filters: Any) -> list[Row]:
    """Newest first by (event, webhook). `filters` are the fields of Search."""
    found: list[Row] = []
    for arm in _arms(tx, Search(**filters)):
        where, order, params = conditions(arm, before)
        found += tx.all(
            f"SELECT {FOR_PAGE} FROM deliveries d JOIN events e ON e.id = d.event_id WHERE {where} "  # noqa: S608 - constants
            f"ORDER BY {order} LIMIT :limit",
            limit=limit,
            **params,
        )
    return sorted(found, key=lambda row: (row["event_id"], row["webhook_id"]), reverse=True)[:limit]


def count(tx: Transaction, *, before: tuple[int, int], most: int, **filters: Any) -> int:
    """How many there are, counted up to `most`."""
    counted = 0
    for arm in _arms(tx, Search(**filters)):
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


def counts(tx: Transaction, webhook_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """How many deliveries of each webhook are not delivered, by status.

    Two walks over partial indexes, over everybody's: what was delivered, which is nearly all, is never looked at.
    """
    rows = tx.all(
        f"""
        SELECT d.status, d.webhook_id, count(*) AS n FROM deliveries d
         WHERE {_AT_REST} GROUP BY d.status, d.webhook_id
        UNION ALL
        SELECT 'sending', s.webhook_id, count(*)
          FROM (SELECT d.webhook_id + 0 AS webhook_id FROM deliveries d WHERE d.status = 'sending') s
         GROUP BY s.webhook_id
        """  # noqa: S608 - a constant of this file
    )
    wanted = set(webhook_ids)
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        if row["webhook_id"] in wanted:
            found.setdefault(int(row["webhook_id"]), {})[row["status"]] = int(row["n"])
    return found

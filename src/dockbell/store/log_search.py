"""Which deliveries are meant, said so that either database finds them along an index, newest first, and stops where a page is full.

A search is taken apart into arms: statements that each walk one index. Where several indexes would do, that one is taken in which
the least is passed by. SQLite keeps no statistics, so the texts keep it from the other indexes (`+ 0`, `|| ''`); PostgreSQL's know
nothing of which filters go together, so it has both and chooses.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dockbell.store import events
from dockbell.store.database import Transaction
from dockbell.store.objects import Sought


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
    webhook_ids: Sequence[int] | None = None
    """Of none but these, which is told by an index alone."""
    along: Literal["goods owner", "type"] | None = None
    """Whose events to walk; None: what the filters lead to."""


CLASSES: Mapping[str, Callable[[str], bool]] = {
    "2xx": lambda code: code == "delivered",
    "3xx": lambda code: code == "http_redirect" or code.startswith("http_3"),
    "4xx": lambda code: code.startswith("http_4"),
    "5xx": lambda code: code.startswith("http_5"),
    "none": lambda code: code != "delivered" and not code.startswith("http_"),
}
# Literals, not parameters, and the very words of the index: they let the planner use the partial indexes. PostgreSQL needs no more
# than the status for that, and would take what is said twice for much rarer than it is.
AT_REST = "d.status IN ('pending', 'failed', 'held', 'cancelled')"
STATUS = {
    **{
        status: f"d.status = '{status}' AND /*pg (TRUE OR */ {AT_REST} /*pg ) */"
        for status in ("pending", "failed", "held", "cancelled")
    },
    # Few, and in an index of another order: SQLite takes it only where no order is asked for.
    "sending": "d.event_id IN (SELECT s.event_id FROM deliveries s WHERE s.status = 'sending') AND d.status = 'sending'",
    "delivered": "d.status = 'delivered'",
}
# SQLite would walk all that a webhook, a goods owner or a type ever had, instead of what is rare.
_WEBHOOK_BESIDE = "(d.webhook_id /*pg = :webhook_id OR FALSE AND d.webhook_id */ + 0 = :webhook_id)"
_OWNER_BESIDE = "(e.goods_owner_id /*pg = :goods_owner_id OR FALSE AND e.goods_owner_id */ + 0 = :goods_owner_id)"
_TYPE_BESIDE = "(e.event_type /*pg = :event_type OR FALSE AND e.event_type */ || '' = :event_type)"
_FAILED_BESIDE = "(d.status /*pg = 'failed' OR FALSE AND d.status */ || '' = 'failed')"
# For PostgreSQL as a pair, because of an OR it may make a walk over all there are, and a sort; and of the event too, because it
# may walk events and deliveries side by side, and would begin with the newest event however old the page is.
_BEFORE = """/*pg (d.event_id, d.webhook_id) < (:before_event, :before_webhook) AND d.event_id <= :before_event
    AND e.id <= :before_event AND (TRUE OR */
  (d.event_id <= :before_event AND (d.event_id < :before_event OR d.webhook_id < :before_webhook)) /*pg ) */"""
_MOST_ARMS = 64
"""Beyond that, one walk over everybody's deliveries is the shorter way."""
_MOST_LISTED = 1_000


def arms(tx: Transaction, search: Search) -> list[Search]:
    """The search as searches that each walk one index, newest first, and stop where the page is full.

    What can be cancelled has two statuses, a class of codes is several codes, an event type has several webhooks, and a user
    may see several goods owners: no index has those in the order of time, so that one statement would have to read and sort
    all there are. What cannot be has no arms: to find out by walking is to walk everything.
    """
    if search.run == "cancel":
        waiting = [status for status in ("pending", "held") if search.status in (None, status)]
        return [arm for status in waiting for arm in arms(tx, replace(search, run=None, status=status))]
    if search.goods_owner_id is not None and search.goods_owners is not None:
        if search.goods_owner_id not in search.goods_owners:
            return []
        search = replace(search, goods_owners=None)
    found = [search]
    if search.code is not None and search.code in CLASSES:
        fits = CLASSES[search.code]
        found = [replace(search, code=code) for code in ("delivered", *_codes(tx)) if fits(code)]
    if search.status in ("delivered", "failed"):  # their last outcome was that
        found = [
            arm for arm in found if arm.code is None or (arm.code == "delivered") == (search.status == "delivered")
        ]
    return [part for arm in found for part in _parts(tx, arm, most=_MOST_ARMS // len(found))]


def _parts(tx: Transaction, arm: Search, *, most: int) -> list[Search]:
    """An arm by webhook, or by goods owner."""
    if arm.about is not None:
        return [arm]
    if arm.webhook_id is not None:
        return _of_webhook(tx, arm, _past(tx, [arm.webhook_id]).get(arm.webhook_id), most=most)
    if arm.event_type is not None:
        of_type = _webhooks_of_type(tx, arm.event_type)
        if _is_rare(arm):
            return [replace(arm, webhook_ids=of_type)] if len(of_type) <= _MOST_LISTED else [arm]
        if len(of_type) <= most:
            past = _past(tx, of_type)
            each = [(replace(arm, webhook_id=webhook_id), past.get(webhook_id)) for webhook_id in of_type]
            return [part for one, was in each for part in _of_webhook(tx, one, was, most=most // len(of_type))]
    owners = _owners(arm)
    if _is_rare(arm) or owners is None or len(owners) > most:
        return [arm]
    of_few = arm.event_type is not None and events.are_few_of_type(tx, arm.event_type)
    return [replace(arm, goods_owner_id=owner, along="type" if of_few else "goods owner") for owner in owners]


def _of_webhook(tx: Transaction, arm: Search, past: "_Past | None", *, most: int) -> list[Search]:
    """None where the webhook was never meant for such events; a goods owner's few events rather than all that it had."""
    owners = _owners(arm)
    if past is not None:
        if arm.event_type is not None and past.event_types is not None and arm.event_type not in past.event_types:
            return []
        if owners is not None and past.goods_owners is not None:
            if past.goods_owners.isdisjoint(owners):
                return []
            if past.goods_owners.issubset(owners):
                return [arm]
    if owners is None or _is_rare(arm) or len(owners) > most:
        return [arm]
    if not all(events.are_few_of_owner(tx, owner) for owner in owners):
        return [arm]
    return [replace(arm, goods_owner_id=owner, along="goods owner") for owner in owners]


def _owners(search: Search) -> list[int] | None:
    """Those whose deliveries are wanted; None: everybody's."""
    if search.goods_owner_id is not None:
        return [search.goods_owner_id]
    return None if search.goods_owners is None else sorted(search.goods_owners)


@dataclass(frozen=True, slots=True)
class _Past:
    """What a webhook was ever for: no delivery of it is of anything else. None: any."""

    event_types: frozenset[str] | None
    goods_owners: frozenset[int] | None


def _past(tx: Transaction, webhook_ids: Sequence[int]) -> dict[int, _Past]:
    rows = tx.all(
        """
        SELECT v.webhook_id, v.settings FROM :rows(webhook_id BIGINT) r
          JOIN webhook_versions v ON v.webhook_id = r.webhook_id
        """,
        rows=[(webhook_id,) for webhook_id in webhook_ids],
    )
    found: dict[int, _Past] = {}
    for row in rows:
        settings = json.loads(row["settings"])
        event_type, served = settings.get("eventType"), settings.get("goodsOwnerIds")
        past = found.get(row["webhook_id"], _NOTHING)
        found[row["webhook_id"]] = _Past(
            None if past.event_types is None or event_type is None else past.event_types | {event_type},
            None if past.goods_owners is None or served is None else past.goods_owners.union(served),
        )
    return found


_NOTHING = _Past(frozenset(), frozenset())


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


def _walk(search: Search) -> Literal["goods owner", "type"] | None:
    """Whose events lead to the deliveries; None: those are found by themselves."""
    if search.along is not None:
        return search.along
    if _is_rare(search) or search.webhook_id is not None or search.about is not None:
        return None
    if search.goods_owner_id is not None:
        return "goods owner"
    return None if search.event_type is None else "type"


def conditions(search: Search, before: tuple[int, int]) -> tuple[str, str, dict[str, Any]]:
    """A WHERE made of constants of the store, an ORDER BY, and the parameters: what people typed is in the parameters alone."""
    walk = _walk(search)
    parts = [
        _BEFORE,
        *([] if walk is None else ["e.id <= :before_event"]),
    ]
    params: dict[str, Any] = {"before_event": before[0], "before_webhook": before[1]}

    def add(condition: str, **more: Any) -> None:
        parts.append(condition)
        params.update(more)

    if search.from_id:
        add("d.event_id >= :from_id" if walk is None else "e.id >= :from_id", from_id=search.from_id)
    if search.goods_owners is not None:
        names, owners = as_list("owner", search.goods_owners)
        add(f"d.goods_owner_id IN ({names})", **owners)
    if search.own_of is not None:
        names, owners = as_list("own", search.own_of)
        own = OWN.replace("{names}", names)
        add(f"EXISTS (SELECT 1 FROM webhooks w WHERE w.id = d.webhook_id AND {own})", **owners)  # noqa: S608 - constants
    if search.goods_owner_id is not None:
        # The event's goods owner is the delivery's.
        column = "e.goods_owner_id" if walk == "goods owner" else "d.goods_owner_id"
        text = _OWNER_BESIDE if walk == "type" else f"{column} = :goods_owner_id"
        add(text, goods_owner_id=search.goods_owner_id)
    if search.webhook_id is not None:
        leads = walk is None and not _is_rare(search)
        add("d.webhook_id = :webhook_id" if leads else _WEBHOOK_BESIDE, webhook_id=search.webhook_id)
    if search.webhook_ids is not None:
        names, webhooks = as_list("webhook", search.webhook_ids)
        add(f"(d.webhook_id /*pg IN ({names}) OR FALSE AND d.webhook_id */ + 0 IN ({names}))", **webhooks)
    if search.status == "failed" and search.code is not None:  # those with that outcome are fewer
        add(_FAILED_BESIDE)
    elif search.status is not None:
        add(STATUS[search.status])
    if search.code == "delivered":
        add("d.last_code = 'delivered'")
    elif search.code is not None:
        add("d.last_code <> 'delivered' AND d.last_code = :code", code=search.code)
    if (
        search.run == "resend"
    ):  # a test was a question of its moment: who recovers what was missed does not want it again
        add("e.test_of IS NULL")
    if search.event_type is not None:
        add("e.event_type = :event_type" if walk == "type" else _TYPE_BESIDE, event_type=search.event_type)
    if search.about is not None:
        found, words = search.about.event_ids()
        add(f"d.event_id IN ({found})", **words)
    order = "d.event_id DESC, d.webhook_id DESC" if walk is None else "e.id DESC, d.webhook_id DESC"
    return " AND ".join(parts), order, params


def as_list(prefix: str, numbers: Iterable[int]) -> tuple[str, dict[str, Any]]:
    """Names for a list in a statement, and their values. An empty list holds -1, the number of no goods owner."""
    values = {f"{prefix}_{place}": number for place, number in enumerate(sorted(numbers))}
    return ", ".join(f":{name}" for name in values) or "-1", values


OWN = """w.kind = 'regular' AND w.all_goods_owners = 0
  AND NOT EXISTS (SELECT 1 FROM webhook_goods_owners g
                   WHERE g.webhook_id = w.id AND g.goods_owner_id NOT IN ({names}))"""

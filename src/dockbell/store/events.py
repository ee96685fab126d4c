"""Accepted events. A row is written once and never changed but by erasure, which empties its data and attributes."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.store.objects import Sought


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """The columns of `events`, in the order of the table."""

    id: int
    goods_owner_id: int
    event_type: str
    publisher_id: str | None
    fingerprint: str | None
    occurred_at: Moment
    accepted_at: Moment
    object_key: str | None
    object_number: str | None
    attributes: str
    head: str
    data: str
    test_of: int | None = None

    def values(self) -> tuple[object, ...]:
        return (
            self.id, self.goods_owner_id, self.event_type, self.publisher_id, self.fingerprint, self.occurred_at,
            self.accepted_at, self.object_key, self.object_number, self.attributes, self.head, self.data, self.test_of,
        )  # fmt: skip


def insert(tx: Transaction, events: Sequence[EventRow]) -> set[int]:
    """Store events; the ids of those that are new. One whose publisher's id is taken is left out."""
    # Not RETURNING: in SQLite each row that comes back gives the GIL away, and beside a busy loop waits to have it again.
    new = tx.run(
        """
        INSERT INTO events (id, goods_owner_id, event_type, publisher_id, fingerprint, occurred_at, accepted_at,
                            object_key, object_number, attributes, head, data, test_of)
        SELECT r.id, r.goods_owner_id, r.event_type, r.publisher_id, r.fingerprint, r.occurred_at, r.accepted_at,
               r.object_key, r.object_number, r.attributes, r.head, r.data, r.test_of
          FROM :rows(id BIGINT, goods_owner_id BIGINT, event_type TEXT, publisher_id TEXT, fingerprint TEXT,
                     occurred_at BIGINT, accepted_at BIGINT, object_key TEXT, object_number TEXT, attributes TEXT,
                     head TEXT, data TEXT, test_of BIGINT) r
         WHERE true
        ON CONFLICT (goods_owner_id, publisher_id) WHERE publisher_id IS NOT NULL DO NOTHING
        """,
        rows=[event.values() for event in events],
    )
    ids = {event.id for event in events}
    if new == len(events):
        return ids
    stored = tx.all(
        "SELECT e.id FROM :rows(id BIGINT) r JOIN events e ON e.id = r.id",
        rows=[(event_id,) for event_id in sorted(ids)],
    )
    return {int(row["id"]) for row in stored}


def by_publisher_id(tx: Transaction, goods_owner_id: int, publisher_id: str) -> Row | None:
    return tx.one(
        """
        SELECT id, fingerprint, accepted_at FROM events
         WHERE goods_owner_id = :goods_owner_id AND publisher_id = :publisher_id
        """,
        goods_owner_id=goods_owner_id,
        publisher_id=publisher_id,
    )


def find(tx: Transaction, event_id: int) -> Row | None:
    return tx.one("SELECT * FROM events WHERE id = :event_id", event_id=event_id)


def for_sending(tx: Transaction, event_ids: Iterable[int]) -> dict[int, Row]:
    """What an attempt needs of each event."""
    rows = tx.all(
        """
        SELECT e.id, e.goods_owner_id, e.event_type, e.accepted_at, e.head, e.data, e.test_of
          FROM :rows(id BIGINT) r JOIN events e ON e.id = r.id
        """,
        rows=[(event_id,) for event_id in sorted(set(event_ids))],
    )
    return {int(row["id"]): row for row in rows}


def newest_id(tx: Transaction) -> int:
    row = tx.one("SELECT max(id) AS id FROM events")
    return int(row["id"] or 0) if row else 0


def page(
    tx: Transaction,
    *,
    goods_owners: Iterable[int] | None,
    event_type: str | None = None,
    about: Sought | None = None,
    from_id: int = 0,
    before: int,
    limit: int,
) -> list[Row]:
    """Newest first."""
    owners = None if goods_owners is None else sorted(goods_owners)
    # With each goods owner by itself both databases walk its index; all of them at once would be a walk over everybody's.
    by_owner = owners is not None and len(owners) <= _MOST_ARMS
    among_few = by_owner and event_type is not None and about is None and are_few_of_type(tx, event_type)
    of_owners = _OF_OWNERS if not by_owner else _AMONG_FEW if among_few else _OF_OWNER
    found, names = ("", {}) if about is None else about.event_ids()
    arms: list[dict[str, Any]] = [{"owner": owner} for owner in owners or ()] if by_owner else [{"only": only(owners)}]
    rows: list[Row] = []
    for arm in arms:
        if rows and len(rows) == limit:  # what is older than all of these is not on the page
            from_id = max(from_id, int(rows[-1]["id"]))
        rows += tx.all(
            f"""
            SELECT e.id, e.goods_owner_id, e.event_type, e.publisher_id, e.occurred_at, e.accepted_at, e.object_key,
                   e.object_number, e.attributes, e.head, e.data, e.test_of, e.erased_at
              FROM events e
             WHERE e.id < :before AND e.id >= :from_id AND {of_owners}
               {"" if event_type is None else "AND e.event_type = :event_type"}
               {f"AND e.id IN ({found})" if found else ""}
             ORDER BY e.id DESC LIMIT :limit
            """,  # noqa: S608 - constants of the store
            before=before,
            from_id=from_id,
            limit=limit,
            **({} if event_type is None else {"event_type": event_type}),
            **names,
            **arm,
        )
        rows = sorted(rows, key=lambda row: -int(row["id"]))[:limit]
    return rows


def are_few_of_type(tx: Transaction, event_type: str) -> bool:
    """Whether all of a type are surely soon walked; a goods owner's may be nearly all there are, and so may a type's.

    For SQLite: PostgreSQL has statistics, and would not count in the index alone.
    """
    return _are_few(tx, "e.event_type = :of", event_type)


def are_few_of_owner(tx: Transaction, goods_owner_id: int) -> bool:
    """As `are_few_of_type`, of a goods owner."""
    return _are_few(tx, "e.goods_owner_id = :of", goods_owner_id)


def _are_few(tx: Transaction, condition: str, of: object) -> bool:
    row = tx.one(
        f"SELECT count(*) AS n FROM (SELECT 1 FROM events e WHERE {condition} /*pg AND FALSE */ LIMIT :few) met",  # noqa: S608 - constants of this file
        of=of,
        few=_FEW,
    )
    return row is not None and int(row["n"]) < _FEW


_MOST_ARMS = 16
_FEW = 20_000
_OF_OWNER = "e.goods_owner_id = :owner"
# + 0 keeps SQLite from the goods owner's index; PostgreSQL chooses by itself.
_AMONG_FEW = "(e.goods_owner_id /*pg = :owner OR FALSE AND e.goods_owner_id */ + 0 = :owner)"
_OF_OWNERS = "(CAST(:only AS TEXT) IS NULL OR :only LIKE '%,' || CAST(e.goods_owner_id AS TEXT) || ',%')"


def only(goods_owners: Iterable[int] | None) -> str | None:
    """A set of goods owners as one text parameter, `,114,115,`; None is everyone."""
    return None if goods_owners is None else "," + ",".join(map(str, sorted(goods_owners))) + ","

"""Why publishers were refused lately: a bounded number for each key, none older than they are of use."""

from collections.abc import Sequence

import msgspec

from dockbell.clock import FURTHEST_AHEAD, Moment
from dockbell.domain.ids import moment_of
from dockbell.store import counters
from dockbell.store.database import Row, Transaction

ERASED_AT = "refusals erased at"
"""The counter with the moment of the last erasure."""


class RefusalRow(msgspec.Struct, frozen=True, gc=False):
    """The columns of `refusals`, in the order of the table. What is told of the event is as its publisher named it."""

    id: int
    actor: str
    actor_label: str
    goods_owners: str | None
    """Those the key is for, as JSON; None: all."""
    goods_owner_id: int | None
    event_type: str | None
    publisher_id: str | None
    object_key: str | None
    object_number: str | None
    status: int
    code: str
    detail: str
    more: int = 0
    """How many more of this key were refused at about that time, and are not told of."""


def insert(tx: Transaction, refusals: Sequence[RefusalRow], *, kept: int, oldest_id: int) -> None:
    """Store them; of each key that is among them the newest `kept` stay, and nothing stays from before `oldest_id`.

    Of one event that is refused for the same reasons again and again only the newest stays: it must not push out all others.

    What was noted just before an erasure, on whichever node, is not stored after it, whoever's it is. Longer before, nothing can
    have been: then the erasure was by a clock that was set back.
    """
    erased_at = counters.pinned(tx, ERASED_AT).get(ERASED_AT, 0)
    refusals = [each for each in refusals if not 0 <= erased_at - moment_of(each.id) < FURTHEST_AHEAD]
    tx.run(
        """
        INSERT INTO refusals (id, actor, actor_label, goods_owners, goods_owner_id, event_type, publisher_id, object_key,
                              object_number, status, code, detail, more)
        SELECT r.id, r.actor, r.actor_label, r.goods_owners, r.goods_owner_id, r.event_type, r.publisher_id, r.object_key,
               r.object_number, r.status, r.code, r.detail, r.more
          FROM :rows(id BIGINT, actor TEXT, actor_label TEXT, goods_owners TEXT, goods_owner_id BIGINT, event_type TEXT,
                     publisher_id TEXT, object_key TEXT, object_number TEXT, status BIGINT, code TEXT, detail TEXT,
                     more BIGINT) r
         WHERE true
        ON CONFLICT (id) DO NOTHING  -- of a clock that was set back
        """,
        rows=[msgspec.structs.astuple(each) for each in refusals],
    )
    for actor in sorted({each.actor for each in refusals}):
        tx.run(
            """
            DELETE FROM refusals WHERE actor = :actor AND EXISTS (
              SELECT 1 FROM refusals n
               WHERE n.actor = :actor AND n.id > refusals.id AND n.code = refusals.code
                 AND n.goods_owner_id IS NOT DISTINCT FROM refusals.goods_owner_id
                 AND n.event_type IS NOT DISTINCT FROM refusals.event_type
                 AND n.publisher_id IS NOT DISTINCT FROM refusals.publisher_id
                 AND n.object_key IS NOT DISTINCT FROM refusals.object_key
                 AND n.object_number IS NOT DISTINCT FROM refusals.object_number
                 AND n.detail = refusals.detail)
            """,
            actor=actor,
        )
        tx.run(
            """
            DELETE FROM refusals WHERE actor = :actor AND id <= (
              SELECT n.id FROM refusals n WHERE n.actor = :actor ORDER BY n.id DESC LIMIT 1 OFFSET :kept)
            """,
            actor=actor,
            kept=kept,
        )
    delete(tx, before_id=oldest_id)


def delete(tx: Transaction, *, before_id: int) -> int:
    """Those from before that id; how many."""
    return tx.run("DELETE FROM refusals WHERE id < :before_id", before_id=before_id)


def page(tx: Transaction, *, before: int, from_id: int, limit: int) -> list[Row]:
    """Newest first."""
    return tx.all(
        "SELECT r.* FROM refusals r WHERE r.id < :before AND r.id >= :from_id ORDER BY r.id DESC LIMIT :limit",
        before=before,
        from_id=from_id,
        limit=limit,
    )


def erase(tx: Transaction, goods_owner_id: int | None, *, now: Moment) -> None:
    """Those of a goods owner, and those that name none; None: all. Their words may quote what was sent."""
    tx.run(
        """
        INSERT INTO counters (name, value) VALUES (:name, :now)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """,
        name=ERASED_AT,
        now=now,
    )
    tx.run(
        """
        DELETE FROM refusals
         WHERE CAST(:owner AS BIGINT) IS NULL OR goods_owner_id IS NULL OR goods_owner_id = :owner
        """,
        owner=goods_owner_id,
    )

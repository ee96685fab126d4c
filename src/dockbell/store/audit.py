"""The audit trail: who changed what. Rows are added, read, and never touched."""

from collections.abc import Iterable

from dockbell.clock import Moment
from dockbell.store import counters
from dockbell.store.database import Row, Transaction
from dockbell.store.events import only


def add(
    tx: Transaction,
    *,
    at: Moment,
    actor: str,
    actor_label: str,
    address: str,
    action: str,
    about: str,
    goods_owners: str | None,
    before: str | None,
    after: str | None,
) -> None:
    """`goods_owners` is written `,114,207,`: who may see the row; None means administrators alone."""
    tx.run(
        """
        INSERT INTO audit (id, at, actor, actor_label, address, action, object, goods_owners, before, after)
        VALUES (:id, :at, :actor, :actor_label, :address, :action, :about, :goods_owners, :before, :after)
        """,
        id=counters.grow(tx, counters.AUDIT_ID),
        at=at,
        actor=actor,
        actor_label=actor_label,
        address=address,
        action=action,
        about=about,
        goods_owners=goods_owners,
        before=before,
        after=after,
    )


def page(
    tx: Transaction,
    *,
    goods_owners: Iterable[int] | None,
    about: str | None = None,
    action: str | None = None,
    before_id: int,
    limit: int,
) -> list[Row]:
    """Newest first. With `goods_owners` given, only rows that concern no one else."""
    return tx.all(
        """
        SELECT a.* FROM audit a
         WHERE a.id < :before_id
           AND (CAST(:about AS TEXT) IS NULL OR a.object = :about)
           AND (CAST(:action AS TEXT) IS NULL OR a.action = :action)
           AND (CAST(:only AS TEXT) IS NULL OR (a.goods_owners IS NOT NULL AND :only LIKE '%' || a.goods_owners || '%'))
         ORDER BY a.id DESC LIMIT :limit
        """,
        about=about,
        action=action,
        before_id=before_id,
        only=only(goods_owners),
        limit=limit,
    )

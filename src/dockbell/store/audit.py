"""The audit trail: who changed what. Rows are added, read, and never touched; each is chained to the one before."""

from collections.abc import Iterable, Iterator
from typing import Any

from dockbell.clock import Moment
from dockbell.domain.audit_chain import link
from dockbell.store import counters
from dockbell.store.database import Row, Transaction
from dockbell.store.events import only

CHAINED_AFTER = "audit chained after"


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
    number = counters.grow(tx, counters.AUDIT_ID)  # whoever adds after us waits here until we have committed
    last = tx.one("SELECT hash FROM audit WHERE id = :id", id=number - 1)
    row: dict[str, Any] = {
        "id": number,
        "at": at,
        "actor": actor,
        "actor_label": actor_label,
        "address": address,
        "action": action,
        "object": about,
        "goods_owners": goods_owners,
        "before": before,
        "after": after,
    }
    tx.run(
        """
        INSERT INTO audit (id, at, actor, actor_label, address, action, object, goods_owners, before, after, hash)
        VALUES (:id, :at, :actor, :actor_label, :address, :action, :object, :goods_owners, :before, :after, :hash)
        """,
        **row,
        hash=link("" if last is None else last["hash"] or "", row),
    )


def chained_after(tx: Transaction) -> int:
    """The last row that was written before there was a chain."""
    return counters.current(tx, CHAINED_AFTER)


def first_chained(tx: Transaction) -> int | None:
    """The first row that has a hash; None if there is none."""
    row = tx.one("SELECT min(id) AS id FROM audit WHERE hash IS NOT NULL")
    return None if row is None else row["id"]


def newest(tx: Transaction) -> int:
    """The last id that was given out, by the counter or by the rows, whichever tells of more."""
    row = tx.one("SELECT max(id) AS id FROM audit")
    return max(counters.current(tx, counters.AUDIT_ID), 0 if row is None else row["id"] or 0)


def chain(tx: Transaction, *, after: int) -> Iterator[Row]:
    """Every row above `after`, by id, a thousand at a time."""
    while rows := tx.all("SELECT * FROM audit WHERE id > :after ORDER BY id LIMIT 1000", after=after):
        yield from rows
        after = rows[-1]["id"]


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
    # Only what is asked for stands in the statement: beside "or nothing is asked for" no index is used, and rows stay for ever.
    asked = {
        "a.object = :about": {"about": about},
        "a.action = :action": {"action": action},
        "a.goods_owners IS NOT NULL AND :only LIKE '%' || a.goods_owners || '%'": {"only": only(goods_owners)},
    }
    given = {text: value for text, value in asked.items() if None not in value.values()}
    return tx.all(
        f"SELECT a.* FROM audit a WHERE {' AND '.join(['a.id < :before_id', *given])} ORDER BY a.id DESC LIMIT :limit",  # noqa: S608 - constants of this file
        before_id=before_id,
        limit=limit,
        **{name: text for value in given.values() for name, text in value.items()},
    )

"""Goods owners, as far as Dockbell must know them: a number that the warehouse system gives, and a name."""

from typing import Any

from dockbell.actions import audit
from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store import people
from dockbell.store.database import Transaction


def page(tx: Transaction, actor: Actor, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Those the actor may see, by number."""
    actor.need("read")
    rows = people.goods_owners(tx, visible=actor.goods_owners)
    return [
        {"id": row["id"], "name": row["name"], "createdAt": to_text(row["created_at"])}
        for row in rows
        if row["id"] > after
    ][:limit]


def need_name(name: str) -> None:
    """Raises InvalidInput unless a goods owner can be called so."""
    if not (1 <= len(name.strip()) <= 200 and name.isprintable()):
        raise InvalidInput([Problem("name", "name", "The name must be 1 to 200 printable characters.")])


def put(tx: Transaction, actor: Actor, goods_owner_id: int, name: str, *, now: Moment) -> dict[str, Any]:
    """Make the goods owner known, or rename it; the name stands in each payload from then on."""
    actor.need_everyone()
    need_name(name)
    before = people.goods_owner(tx, goods_owner_id)
    people.put_goods_owner(tx, goods_owner_id, name, now=now)
    if before is None or before["name"] != name:
        audit.note(
            tx,
            actor,
            "goods-owner.added" if before is None else "goods-owner.renamed",
            f"goods-owner/{goods_owner_id}",
            now=now,
            goods_owners=[goods_owner_id],
            before=None if before is None else {"name": before["name"]},
            after={"name": name},
        )
    row = people.goods_owner(tx, goods_owner_id)
    assert row is not None
    return {"id": row["id"], "name": row["name"], "createdAt": to_text(row["created_at"])}

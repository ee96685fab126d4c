"""Production orders: what is made, and of which parts."""

from collections.abc import Iterable
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

ONE = """
SELECT p.*, a.number AS article_number, a.name AS article_name, w.code AS warehouse_code, w.name AS warehouse_name,
       k.code AS type_code FROM wms_production_orders p
  JOIN wms_articles a ON a.id = p.article_id JOIN wms_warehouses w ON w.id = p.warehouse_id
  LEFT JOIN wms_kinds k ON k.noun = 'production order type' AND k.id = p.type_id WHERE p.id = :id
"""


def insert(tx: Transaction, production_order_id: int, *, now: Moment, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_production_orders (id, goods_owner_id, number, type_id, warehouse_id, article_id, number_of_items,
                                           status, status_changed_at, created_at)
        VALUES (:id, :goods_owner_id, :number, :type_id, :warehouse_id, :article_id, :number_of_items, :status, :now, :now)
        """,
        id=production_order_id, now=now, **values,
    )  # fmt: skip


def insert_parts(tx: Transaction, production_order_id: int, parts: Iterable[tuple[int, int]]) -> None:
    """(article, items) each."""
    tx.run(
        """
        INSERT INTO wms_production_order_parts (production_order_id, article_id, number_of_items)
        SELECT r.id, r.article_id, r.items FROM :rows(id BIGINT, article_id BIGINT, items BIGINT) r
        """,
        rows=[(production_order_id, *part) for part in parts],
    )


def lock(tx: Transaction, production_order_id: int) -> Row | None:
    return tx.one(ONE + "/*pg FOR UPDATE OF p */", id=production_order_id)


def view(tx: Transaction, production_order_id: int) -> Row | None:
    return tx.one(ONE, id=production_order_id)


def by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    return tx.one(
        "SELECT p.id FROM wms_production_orders p WHERE p.goods_owner_id = :goods_owner_id AND p.number = :number",
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def parts_of(tx: Transaction, production_order_id: int) -> list[Row]:
    return tx.all(
        """
        SELECT p.article_id, p.number_of_items, a.number AS article_number FROM wms_production_order_parts p
          JOIN wms_articles a ON a.id = p.article_id WHERE p.production_order_id = :id ORDER BY p.article_id
        """,
        id=production_order_id,
    )


def set_status(tx: Transaction, production_order_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_production_orders SET status = :status, status_changed_at = :now WHERE id = :id",
        id=production_order_id, status=status, now=now,
    )  # fmt: skip


def page(tx: Transaction, goods_owner_id: int, *, id_from: int, limit: int) -> list[int]:
    rows = tx.all(
        """
        SELECT p.id FROM wms_production_orders p WHERE p.goods_owner_id = :goods_owner_id AND p.id >= :id_from
         ORDER BY p.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, id_from=id_from, limit=limit,
    )  # fmt: skip
    return [int(row["id"]) for row in rows]

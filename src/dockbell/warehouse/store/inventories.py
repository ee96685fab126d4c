"""Inventories: adjustments of stock with their causes."""

from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction


def insert(
    tx: Transaction, inventory_id: int, goods_owner_id: int, *, is_count: bool, comment: str, now: Moment
) -> None:
    tx.run(
        """
        INSERT INTO wms_inventories (id, goods_owner_id, is_count, comment, created_at)
        VALUES (:id, :goods_owner_id, :is_count, :comment, :now)
        """,
        id=inventory_id, goods_owner_id=goods_owner_id, is_count=int(is_count), comment=comment, now=now,
    )  # fmt: skip


def insert_line(tx: Transaction, inventory_id: int, place: int, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_inventory_lines (inventory_id, place, article_id, article_item_id, number_of_items, cause_id,
                                         comment, returned_order_id)
        VALUES (:inventory_id, :place, :article_id, :article_item_id, :number_of_items, :cause_id, :comment,
                :returned_order_id)
        """,
        inventory_id=inventory_id, place=place, **values,
    )  # fmt: skip


def inventory(tx: Transaction, inventory_id: int) -> Row | None:
    return tx.one("SELECT i.* FROM wms_inventories i WHERE i.id = :id", id=inventory_id)


def lines(
    tx: Transaction, goods_owner_id: int, *, inventory_id: int | None, since: Moment, until: Moment,
    is_reported: int | None, limit: int,
) -> list[Row]:  # fmt: skip
    return tx.all(
        """
        SELECT l.*, i.created_at, k.code AS cause_code, k.name AS cause_name
          FROM wms_inventories i JOIN wms_inventory_lines l ON l.inventory_id = i.id
          LEFT JOIN wms_kinds k ON k.noun = 'adjustment cause' AND k.id = l.cause_id
         WHERE i.goods_owner_id = :goods_owner_id AND i.created_at >= :since AND i.created_at <= :until
           AND (CAST(:inventory_id AS BIGINT) IS NULL OR i.id = :inventory_id)
           AND (CAST(:is_reported AS BIGINT) IS NULL
                OR (CASE WHEN l.reported_at IS NULL THEN 0 ELSE 1 END) = :is_reported)
         ORDER BY l.article_id, l.inventory_id, l.place LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, inventory_id=inventory_id, since=since, until=until, is_reported=is_reported,
        limit=limit,
    )  # fmt: skip


def set_reported(tx: Transaction, inventory_id: int, article_id: int, reported_at: Moment | None) -> int:
    """How many lines it was."""
    return tx.run(
        """
        UPDATE wms_inventory_lines SET reported_at = :reported_at WHERE inventory_id = :id AND article_id = :article_id
        """,
        id=inventory_id, article_id=article_id, reported_at=reported_at,
    )  # fmt: skip

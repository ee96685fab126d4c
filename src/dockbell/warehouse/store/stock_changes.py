"""The ledger of stock: every change of what lies on the shelves, with when and why. Rows are added, never written over."""

from collections.abc import Iterable
from typing import Literal

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

Reason = Literal["received", "picked", "returned", "adjusted", "moved"]


def book(
    tx: Transaction, item_id: int, reason: Reason, number_of_items: int, *, order_id: int | None = None, now: Moment
) -> None:
    """So many of the item came to (or left) the warehouse it lies in; it must lie somewhere."""
    tx.run(
        """
        INSERT INTO wms_stock_changes (article_id, warehouse_id, batch, serial, number_of_items, reason, order_id,
                                       purchase_order_id, made_at)
        SELECT i.article_id, coalesce(l.warehouse_id, 1), i.batch, i.serial, :count, :reason, :order_id,
               CASE WHEN :reason = 'received' THEN p.purchase_order_id END, :now
          FROM wms_article_items i LEFT JOIN wms_locations l ON l.id = i.location_id
          LEFT JOIN wms_purchase_order_lines p ON p.id = i.purchase_order_line_id
         WHERE i.id = :id
        """,
        id=item_id, count=number_of_items, reason=reason, order_id=order_id, now=now,
    )  # fmt: skip


def stock_at(tx: Transaction, goods_owner_id: int, moment: Moment, *, warehouse_id: int | None) -> list[Row]:
    """What lay there at that moment, by article, batch and serial; articles that were deleted since are among them."""
    return tx.all(
        """
        SELECT a.id, a.number, a.name, a.details, c.batch, c.serial, CAST(sum(c.number_of_items) AS BIGINT) AS number_of_items
          FROM wms_articles a JOIN wms_stock_changes c ON c.article_id = a.id AND c.made_at <= :moment
         WHERE a.goods_owner_id = :goods_owner_id
           AND (CAST(:warehouse_id AS BIGINT) IS NULL OR c.warehouse_id = :warehouse_id)
         GROUP BY a.id, a.number, a.name, a.details, c.batch, c.serial HAVING sum(c.number_of_items) <> 0
         ORDER BY a.id, c.batch, c.serial
        """,
        goods_owner_id=goods_owner_id, moment=moment, warehouse_id=warehouse_id,
    )  # fmt: skip


def on_its_way(tx: Transaction, article_ids: Iterable[int], warehouse_id: int) -> list[Row]:
    """What purchase orders still bring to this warehouse, the earliest first; where none knows when, last."""
    return tx.all(
        """
        SELECT l.article_id, p.in_date, l.advised - l.received AS number_of_items FROM :rows(article_id BIGINT, warehouse_id BIGINT) r
          JOIN wms_purchase_order_lines l ON l.article_id = r.article_id AND l.advised > l.received
          JOIN wms_purchase_orders p ON p.id = l.purchase_order_id AND p.warehouse_id = r.warehouse_id AND p.status < 400
         ORDER BY CASE WHEN p.in_date IS NULL THEN 1 ELSE 0 END, p.in_date, l.id
        """,
        rows=[(article_id, warehouse_id) for article_id in sorted(set(article_ids))],
    )


def done_in(tx: Transaction, goods_owner_id: int, since: Moment, until: Moment) -> list[Row]:
    """What was done for the goods owner from `since` to before `until`, by what it costs and what it was done for."""
    return tx.all(
        """
        SELECT d.* FROM (
          SELECT 'ORDER' AS code, o.id AS order_id, CAST(NULL AS BIGINT) AS purchase_order_id,
                 CAST(1 AS BIGINT) AS number_of_items, o.shipped_at AS done_at
            FROM wms_orders o WHERE o.goods_owner_id = :goods_owner_id AND o.shipped_at >= :since AND o.shipped_at < :until
          UNION ALL
          SELECT 'PARCEL', p.order_id, NULL, count(*), max(p.out_at) FROM wms_pallet_items p
           WHERE p.goods_owner_id = :goods_owner_id AND p.order_id IS NOT NULL AND p.out_at >= :since AND p.out_at < :until
           GROUP BY p.order_id
          UNION ALL
          SELECT CASE c.reason WHEN 'picked' THEN 'PICK' WHEN 'received' THEN 'IN' ELSE 'RETURN' END, c.order_id,
                 c.purchase_order_id, CAST(abs(sum(c.number_of_items)) AS BIGINT), max(c.made_at)
            FROM wms_stock_changes c JOIN wms_articles a ON a.id = c.article_id
           WHERE a.goods_owner_id = :goods_owner_id AND c.reason IN ('picked', 'received', 'returned')
             AND c.made_at >= :since AND c.made_at < :until
           GROUP BY c.reason, c.order_id, c.purchase_order_id) d
         ORDER BY d.done_at, d.order_id, d.purchase_order_id, d.code
        """,
        goods_owner_id=goods_owner_id, since=since, until=until,
    )  # fmt: skip

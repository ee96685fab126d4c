"""Return orders: what customers are going to send back, and what came."""

from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.store import places

ONE = """
SELECT r.*, o.number AS order_number, o.warehouse_id FROM wms_return_orders r JOIN wms_orders o ON o.id = r.order_id
 WHERE r.id = :id
"""


def lock(tx: Transaction, return_order_id: int) -> Row | None:
    return tx.one(ONE + "/*pg FOR UPDATE OF r */", id=return_order_id)


def view(tx: Transaction, return_order_id: int) -> Row | None:
    return tx.one(ONE, id=return_order_id)


def lock_by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    return tx.one(
        """
        SELECT r.* FROM wms_return_orders r WHERE r.goods_owner_id = :goods_owner_id AND r.number = :number
        /*pg FOR UPDATE */
        """,
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def lock_open_of(tx: Transaction, order_id: int) -> Row | None:
    """The order's return order that still waits for goods."""
    return tx.one(
        """
        SELECT r.* FROM wms_return_orders r WHERE r.order_id = :order_id AND r.status < 500 ORDER BY r.id LIMIT 1
        /*pg FOR UPDATE */
        """,
        order_id=order_id,
    )


def insert(tx: Transaction, return_order_id: int, *, now: Moment, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_return_orders (id, goods_owner_id, number, order_id, comment, in_date, status, status_changed_at,
                                       created_at)
        VALUES (:id, :goods_owner_id, :number, :order_id, :comment, :in_date, :status, :now, :now)
        """,
        id=return_order_id, now=now, **values,
    )  # fmt: skip


def change(tx: Transaction, return_order_id: int, *, comment: str | None, in_date: str | None) -> None:
    """Nothing more is announced than what came."""
    tx.run(
        "UPDATE wms_return_orders SET comment = :comment, in_date = :in_date WHERE id = :id",
        id=return_order_id, comment=comment, in_date=in_date,
    )  # fmt: skip
    tx.run("DELETE FROM wms_return_order_lines WHERE return_order_id = :id AND returned = 0", id=return_order_id)
    tx.run(
        "UPDATE wms_return_order_lines SET to_be_returned = returned WHERE return_order_id = :id", id=return_order_id
    )


def put_line(
    tx: Transaction,
    return_order_id: int,
    order_line_id: int,
    *,
    cause_id: int | None,
    to_be_returned: int,
    returned: int,
) -> None:
    """Announced anew, or so many more came back, which may be more than was announced."""
    tx.run(
        """
        INSERT INTO wms_return_order_lines (return_order_id, order_line_id, cause_id, to_be_returned, returned)
        VALUES (:id, :order_line_id, :cause_id, :to_be_returned, :returned)
        ON CONFLICT (return_order_id, order_line_id) DO UPDATE SET
          cause_id = coalesce(excluded.cause_id, wms_return_order_lines.cause_id),
          to_be_returned = CASE WHEN excluded.returned = 0 THEN excluded.to_be_returned ELSE wms_return_order_lines.to_be_returned END,
          returned = wms_return_order_lines.returned + excluded.returned
        """,
        id=return_order_id, order_line_id=order_line_id, cause_id=cause_id, to_be_returned=to_be_returned,
        returned=returned,
    )  # fmt: skip


def set_status(tx: Transaction, return_order_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_return_orders SET status = :status, status_changed_at = :now WHERE id = :id",
        id=return_order_id, status=status, now=now,
    )  # fmt: skip


def set_returned(tx: Transaction, return_order_id: int, *, now: Moment) -> None:
    tx.run("UPDATE wms_return_orders SET last_returned_at = :now WHERE id = :id", id=return_order_id, now=now)


def lines_of(tx: Transaction, return_order_id: int) -> list[Row]:
    return tx.all(
        """
        SELECT l.*, ol.row_number, ol.article_id, a.number AS article_number, a.name AS article_name,
               k.code AS cause_code, k.name AS cause_name
          FROM wms_return_order_lines l JOIN wms_order_lines ol ON ol.id = l.order_line_id
          JOIN wms_articles a ON a.id = ol.article_id
          LEFT JOIN wms_kinds k ON k.noun = 'return cause' AND k.id = l.cause_id
         WHERE l.return_order_id = :id ORDER BY l.order_line_id
        """,
        id=return_order_id,
    )


def announced_of(tx: Transaction, order_id: int) -> list[Row]:
    """The order's rows of which a return was announced, whatever came of it, each with the return order's number."""
    return tx.all(
        """
        SELECT r.number, ol.row_number FROM wms_return_orders r
          JOIN wms_return_order_lines l ON l.return_order_id = r.id JOIN wms_order_lines ol ON ol.id = l.order_line_id
         WHERE r.order_id = :order_id ORDER BY r.id, ol.id
        """,
        order_id=order_id,
    )


def page(tx: Transaction, goods_owner_id: int, **wanted: Any) -> list[int]:
    """Ids. `wanted` has each of: number, order_number, status_from and _to, returned_from, id_from, limit."""
    rows = tx.all(
        """
        SELECT r.id FROM wms_return_orders r JOIN wms_orders o ON o.id = r.order_id
         WHERE r.goods_owner_id = :goods_owner_id AND r.id >= :id_from AND r.status >= :status_from
           AND r.status <= :status_to AND coalesce(r.last_returned_at, 0) >= :returned_from
           AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || r.number || '\x1f', '') <> :number)
           AND (CAST(:order_number AS TEXT) IS NULL OR replace(:order_number, '\x1f' || o.number || '\x1f', '') <> :order_number)
         ORDER BY r.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        **{**wanted, **{name: places.listed(wanted[name]) for name in ("number", "order_number")}},
    )
    return [int(row["id"]) for row in rows]

"""Purchase orders and their lines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.store import places

Values = Mapping[str, Any]


def lock(tx: Transaction, purchase_order_id: int) -> Row | None:
    return tx.one("SELECT p.* FROM wms_purchase_orders p WHERE p.id = :id /*pg FOR UPDATE */", id=purchase_order_id)


def lock_by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    return tx.one(
        """
        SELECT p.* FROM wms_purchase_orders p WHERE p.goods_owner_id = :goods_owner_id AND p.number = :number
        /*pg FOR UPDATE */
        """,
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def insert(
    tx: Transaction, purchase_order_id: int, goods_owner_id: int, values: Values, status: int, *, now: Moment
) -> None:
    tx.run(
        """
        INSERT INTO wms_purchase_orders (id, goods_owner_id, number, goods_owner_purchase_order_id, supplier, supplier_name,
                                         type_id, warehouse_id, is_return, in_date, class_ids, details,
                                         status, status_changed_at, created_at, changed_at)
        VALUES (:id, :goods_owner_id, :number, :goods_owner_purchase_order_id, :supplier, :supplier_name,
                :type_id, :warehouse_id, :is_return, :in_date, :class_ids, :details, :status, :now, :now, :now)
        """,
        id=purchase_order_id, goods_owner_id=goods_owner_id, status=status, now=now, **values,
    )  # fmt: skip


def change(tx: Transaction, purchase_order_id: int, values: Values, *, now: Moment) -> None:
    """`values` are all columns that `insert` takes."""
    tx.run(
        """
        UPDATE wms_purchase_orders
           SET number = :number, goods_owner_purchase_order_id = :goods_owner_purchase_order_id, supplier = :supplier,
               supplier_name = :supplier_name, type_id = :type_id, warehouse_id = :warehouse_id, is_return = :is_return,
               in_date = :in_date, class_ids = :class_ids, details = :details, changed_at = :now
         WHERE id = :id
        """,
        id=purchase_order_id, now=now, **values,
    )  # fmt: skip


def set_status(tx: Transaction, purchase_order_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_purchase_orders SET status = :status, status_changed_at = :now, changed_at = :now WHERE id = :id",
        id=purchase_order_id, status=status, now=now,
    )  # fmt: skip


def put_on_shipment(tx: Transaction, purchase_order_ids: Iterable[int], shipment_id: int, *, now: Moment) -> None:
    tx.run(
        """
        UPDATE wms_purchase_orders SET shipment_id = r.shipment_id, changed_at = r.now
          FROM :rows(id BIGINT, shipment_id BIGINT, now BIGINT) r WHERE wms_purchase_orders.id = r.id
        """,
        rows=[(each, shipment_id, now) for each in sorted(set(purchase_order_ids))],
    )


def view(tx: Transaction, purchase_order_id: int) -> Row | None:
    return tx.one(
        """
        SELECT p.*, w.code AS warehouse_code, w.name AS warehouse_name, k.code AS type_code, k.name AS type_name
          FROM wms_purchase_orders p JOIN wms_warehouses w ON w.id = p.warehouse_id
          LEFT JOIN wms_kinds k ON k.noun = 'purchase order type' AND k.id = p.type_id
         WHERE p.id = :id
        """,
        id=purchase_order_id,
    )


def page(tx: Transaction, goods_owner_id: int, **wanted: Any) -> list[int]:
    """Ids. `wanted` has each of: number, status_from and _to, status_changed_from, received_from and _to, in_date_from and _to,
    article_number, id_from, limit."""
    rows = tx.all(
        """
        SELECT p.id FROM wms_purchase_orders p
         WHERE p.goods_owner_id = :goods_owner_id AND p.id >= :id_from
           AND p.status >= :status_from AND p.status <= :status_to AND p.status_changed_at >= :status_changed_from
           AND coalesce(p.last_received_at, 0) >= :received_from AND coalesce(p.last_received_at, 0) <= :received_to
           AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || p.number || '\x1f', '') <> :number)
           AND coalesce(p.in_date, '') >= :in_date_from AND coalesce(p.in_date, '') <= :in_date_to
           AND (CAST(:article_number AS TEXT) IS NULL
                OR p.id IN (SELECT l.purchase_order_id FROM wms_purchase_order_lines l JOIN wms_articles a ON a.id = l.article_id
                             WHERE a.goods_owner_id = :goods_owner_id
                               AND replace(:article_number, '\x1f' || a.number || '\x1f', '') <> :article_number))
         ORDER BY p.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        **{**wanted, **{name: places.listed(wanted[name]) for name in ("number", "article_number")}},
    )
    return [int(row["id"]) for row in rows]


def lines_of(tx: Transaction, purchase_order_id: int) -> list[Row]:
    return tx.all(
        """
        SELECT l.*, a.number AS article_number, a.name AS article_name, a.details AS article_details
          FROM wms_purchase_order_lines l JOIN wms_articles a ON a.id = l.article_id
         WHERE l.purchase_order_id = :id ORDER BY l.id
        """,
        id=purchase_order_id,
    )


def insert_lines(
    tx: Transaction, purchase_order_id: int, lines: Sequence[tuple[str, int, str | None, int]]
) -> list[int]:
    """(row number, article, comment, items) each: their ids."""
    ids = places.next_ids(tx, places.PURCHASE_ORDER_LINE_ID, len(lines))
    tx.run(
        """
        INSERT INTO wms_purchase_order_lines (id, purchase_order_id, row_number, article_id, comment, advised)
        SELECT r.id, r.po, r.row_number, r.article_id, r.comment, r.advised
          FROM :rows(id BIGINT, po BIGINT, row_number TEXT, article_id BIGINT, comment TEXT, advised BIGINT) r
        """,
        rows=[(line_id, purchase_order_id, *line) for line_id, line in zip(ids, lines, strict=True)],
    )
    return ids


def change_line(tx: Transaction, line_id: int, article_id: int, comment: str | None, advised: int) -> None:
    tx.run(
        """
        UPDATE wms_purchase_order_lines SET article_id = :article_id, comment = :comment, advised = :advised
         WHERE id = :id
        """,
        id=line_id, article_id=article_id, comment=comment, advised=advised,
    )  # fmt: skip


def delete_line(tx: Transaction, line_id: int) -> None:
    tx.run("DELETE FROM wms_purchase_order_lines WHERE id = :id", id=line_id)


def receive(tx: Transaction, line_id: int, purchase_order_id: int, count: int, *, now: Moment) -> None:
    tx.run("UPDATE wms_purchase_order_lines SET received = received + :count WHERE id = :id", id=line_id, count=count)
    tx.run(
        "UPDATE wms_purchase_orders SET last_received_at = :now, changed_at = :now WHERE id = :id",
        id=purchase_order_id, now=now,
    )  # fmt: skip


def set_reported(tx: Transaction, line_id: int, reported: int) -> None:
    tx.run("UPDATE wms_purchase_order_lines SET reported = :reported WHERE id = :id", id=line_id, reported=reported)


# --- What the supplier says will come ----------------------------------------------------------------------


def put_advised(tx: Transaction, line_id: int, items: Iterable[tuple[int, str, str, str | None, str, str]]) -> None:
    """(items, serial, batch, expiry date, comment, container) each: these and no others."""
    drop_advised(tx, line_id)
    tx.run(
        """
        INSERT INTO wms_advised_items (purchase_order_line_id, place, number_of_items, serial, batch, expiry_date, comment,
                                       container)
        SELECT r.line, r.place, r.items, r.serial, r.batch, r.expiry_date, r.comment, r.container
          FROM :rows(line BIGINT, place BIGINT, items BIGINT, serial TEXT, batch TEXT, expiry_date TEXT, comment TEXT,
                     container TEXT) r
        """,
        rows=[(line_id, place, *item) for place, item in enumerate(items, 1)],
    )


def drop_advised(tx: Transaction, line_id: int) -> None:
    tx.run("DELETE FROM wms_advised_items WHERE purchase_order_line_id = :id", id=line_id)


def advised_of(tx: Transaction, purchase_order_id: int) -> list[Row]:
    return tx.all(
        """
        SELECT i.* FROM wms_purchase_order_lines l JOIN wms_advised_items i ON i.purchase_order_line_id = l.id
         WHERE l.purchase_order_id = :id ORDER BY i.purchase_order_line_id, i.place
        """,
        id=purchase_order_id,
    )

"""The warehouse's tables. What belongs to a goods owner is found by its id or within that goods owner; who may see it,
the actions decide."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.model import Line, StockChange

ARTICLE_ID = "wms article"
ORDER_ID = "wms order"
ORDER_LINE_ID = "wms order line"
PARCEL_ID = "wms parcel"
Values = Mapping[str, Any]


def next_ids(tx: Transaction, name: str, count: int = 1) -> list[int]:
    """New ids of one noun. Its counter stays locked until the commit: whoever makes another waits."""
    sql = "UPDATE counters SET value = value + :count WHERE name = :name RETURNING value"
    row = tx.one(sql, name=name, count=count)
    assert row is not None
    return list(range(int(row["value"]) - count + 1, int(row["value"]) + 1))


# --- What orders refer to ------------------------------------------------------------------------------


def put_class(tx: Transaction, class_id: int, goods_owner_id: int, code: str, name: str) -> None:
    tx.run(
        """
        INSERT INTO wms_goods_owner_classes (id, goods_owner_id, code, name) VALUES (:id, :goods_owner_id, :code, :name)
        ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name
        """,
        id=class_id, goods_owner_id=goods_owner_id, code=code, name=name,
    )  # fmt: skip


def classes_of(tx: Transaction, goods_owner_id: int) -> list[Row]:
    return tx.all(
        "SELECT id, code, name FROM wms_goods_owner_classes WHERE goods_owner_id = :goods_owner_id ORDER BY id",
        goods_owner_id=goods_owner_id,
    )


def put_transporter(tx: Transaction, code: str, name: str, tracking_url: str) -> None:
    tx.run(
        """
        INSERT INTO wms_transporters (code, name, tracking_url) VALUES (:code, :name, :tracking_url)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name, tracking_url = excluded.tracking_url
        """,
        code=code, name=name, tracking_url=tracking_url,
    )  # fmt: skip


def transporters(tx: Transaction) -> dict[str, Row]:
    return {row["code"]: row for row in tx.all("SELECT code, name, tracking_url FROM wms_transporters ORDER BY code")}


def put_order_type(tx: Transaction, code: str, name: str) -> None:
    tx.run(
        """
        INSERT INTO wms_order_types (code, name) VALUES (:code, :name)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name
        """,
        code=code, name=name,
    )  # fmt: skip


def order_types(tx: Transaction) -> dict[str, Row]:
    return {row["code"]: row for row in tx.all("SELECT code, name FROM wms_order_types ORDER BY code")}


# --- Articles ------------------------------------------------------------------------------------------


def insert_article(
    tx: Transaction, article_id: int, goods_owner_id: int, number: str, name: str, details: Values, *, now: Moment
) -> None:
    tx.run(
        """
        INSERT INTO wms_articles (id, goods_owner_id, number, name, details, created_at, changed_at)
        VALUES (:id, :goods_owner_id, :number, :name, :details, :now, :now)
        """,
        id=article_id, goods_owner_id=goods_owner_id, number=number, name=name, details=json.dumps(details), now=now,
    )  # fmt: skip


def change_article(tx: Transaction, article_id: int, name: str, details: Values, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_articles SET name = :name, details = :details, changed_at = :now WHERE id = :id",
        id=article_id, name=name, details=json.dumps(details), now=now,
    )  # fmt: skip


def article(tx: Transaction, article_id: int) -> Row | None:
    return tx.one(
        """
        SELECT a.*, g.name AS goods_owner_name FROM wms_articles a JOIN goods_owners g ON g.id = a.goods_owner_id
         WHERE a.id = :id
        """,
        id=article_id,
    )


def lock_article(tx: Transaction, article_id: int) -> Row | None:
    return tx.one("SELECT a.* FROM wms_articles a WHERE a.id = :id /*pg FOR UPDATE */", id=article_id)


def set_stock(tx: Transaction, article_id: int, number_of_items: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_articles SET number_of_items = :count, changed_at = :now WHERE id = :id",
        id=article_id, count=number_of_items, now=now,
    )  # fmt: skip


def article_page(tx: Transaction, goods_owner_id: int, *, number: str | None, id_from: int, limit: int) -> list[Row]:
    return tx.all(
        """
        SELECT a.*, g.name AS goods_owner_name FROM wms_articles a JOIN goods_owners g ON g.id = a.goods_owner_id
         WHERE a.goods_owner_id = :goods_owner_id AND a.id >= :id_from
           AND (CAST(:number AS TEXT) IS NULL OR a.number = :number)
         ORDER BY a.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, number=number, id_from=id_from, limit=limit,
    )  # fmt: skip


def articles_by_number(tx: Transaction, goods_owner_id: int, numbers: Iterable[str]) -> dict[str, int]:
    """The ids of those that exist."""
    rows = tx.all(
        """
        SELECT a.id, a.number FROM :rows(goods_owner_id BIGINT, number TEXT) r
          JOIN wms_articles a ON a.goods_owner_id = r.goods_owner_id AND a.number = r.number
        """,
        rows=[(goods_owner_id, number) for number in sorted(set(numbers))],
    )
    return {row["number"]: int(row["id"]) for row in rows}


def lock_free_stock(tx: Transaction, order_id: int) -> dict[int, int]:
    """By article of the order: items that are set aside for nobody; nobody else takes them before the commit."""
    rows = tx.all(
        """
        SELECT a.id, a.number_of_items - a.allocated AS free FROM wms_articles a
         WHERE a.id IN (SELECT l.article_id FROM wms_order_lines l WHERE l.order_id = :order_id)
         ORDER BY a.id /*pg FOR UPDATE */
        """,
        order_id=order_id,
    )
    return {int(row["id"]): int(row["free"]) for row in rows}


def change_stock(tx: Transaction, changes: Mapping[int, StockChange]) -> None:
    tx.run(
        """
        UPDATE wms_articles SET number_of_items = number_of_items + r.items, allocated = allocated + r.aside
          FROM :rows(article_id BIGINT, items BIGINT, aside BIGINT) r WHERE wms_articles.id = r.article_id
        """,
        rows=[(article_id, change.items, change.allocated) for article_id, change in sorted(changes.items())],
    )


# --- Orders --------------------------------------------------------------------------------------------


def lock_order(tx: Transaction, order_id: int) -> Row | None:
    """The order's row, which nobody else changes before the commit."""
    return tx.one("SELECT o.* FROM wms_orders o WHERE o.id = :id /*pg FOR UPDATE */", id=order_id)


def lock_order_by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    return tx.one(
        """
        SELECT o.* FROM wms_orders o WHERE o.goods_owner_id = :goods_owner_id AND o.number = :number /*pg FOR UPDATE */
        """,
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def insert_order(
    tx: Transaction, order_id: int, goods_owner_id: int, values: Values, status: int, *, now: Moment
) -> None:
    """`values` are the columns that `change_order` can write over."""
    tx.run(
        """
        INSERT INTO wms_orders (id, goods_owner_id, number, goods_owner_order_id, consignee_order_number, transporter,
                                transporter_service, order_type, delivery_date, consignee, details,
                                status, status_changed_at, created_at, changed_at)
        VALUES (:id, :goods_owner_id, :number, :goods_owner_order_id, :consignee_order_number, :transporter,
                :transporter_service, :order_type, :delivery_date, :consignee, :details, :status, :now, :now, :now)
        """,
        id=order_id, goods_owner_id=goods_owner_id, status=status, now=now, **values,
    )  # fmt: skip


def change_order(tx: Transaction, order_id: int, values: Values, *, now: Moment) -> None:
    tx.run(
        """
        UPDATE wms_orders
           SET number = :number, goods_owner_order_id = :goods_owner_order_id,
               consignee_order_number = :consignee_order_number, transporter = :transporter,
               transporter_service = :transporter_service, order_type = :order_type, delivery_date = :delivery_date,
               consignee = :consignee, details = :details, changed_at = :now
         WHERE id = :id
        """,
        id=order_id, now=now, **values,
    )  # fmt: skip


def set_status(tx: Transaction, order_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_orders SET status = :status, status_changed_at = :now, changed_at = :now WHERE id = :id",
        id=order_id, status=status, now=now,
    )  # fmt: skip


def order_page(
    tx: Transaction,
    goods_owner_id: int,
    *,
    number: str | None,
    status_from: int,
    status_to: int,
    status_changed_from: Moment,
    id_from: int,
    limit: int,
) -> list[Row]:
    return tx.all(
        """
        SELECT o.* FROM wms_orders o
         WHERE o.goods_owner_id = :goods_owner_id AND o.id >= :id_from
           AND o.status >= :status_from AND o.status <= :status_to AND o.status_changed_at >= :status_changed_from
           AND (CAST(:number AS TEXT) IS NULL OR o.number = :number)
         ORDER BY o.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        number=number,
        status_from=status_from,
        status_to=status_to,
        status_changed_from=status_changed_from,
        id_from=id_from,
        limit=limit,
    )


def order(tx: Transaction, order_id: int) -> Row | None:
    return tx.one("SELECT o.* FROM wms_orders o WHERE o.id = :id", id=order_id)


def lines_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        """
        SELECT l.id, l.order_id, l.row_number, l.comment, l.ordered, l.allocated, l.picked, l.packed, l.article_id,
               a.number AS article_number, a.name AS article_name, a.details AS article_details
          FROM :rows(order_id BIGINT) r
          JOIN wms_order_lines l ON l.order_id = r.order_id JOIN wms_articles a ON a.id = l.article_id
         ORDER BY l.id
        """,
        rows=[(order_id,) for order_id in order_ids],
    )


def put_lines(tx: Transaction, order_id: int, lines: Sequence[tuple[str, int, str | None, int]]) -> None:
    """Make these the order's lines, (row number, article, comment, items) each. A row that stays keeps its id."""
    known = {row["row_number"]: int(row["id"]) for row in lines_of(tx, [order_id])}
    fresh = iter(next_ids(tx, ORDER_LINE_ID, len(lines)))
    gone = set(known) - {line[0] for line in lines}
    tx.run(
        """
        DELETE FROM wms_order_lines WHERE id IN (SELECT r.id FROM :rows(id BIGINT) r)
        """,
        rows=[(known[row_number],) for row_number in sorted(gone)],
    )
    tx.run(
        """
        INSERT INTO wms_order_lines (id, order_id, row_number, article_id, comment, ordered)
        SELECT r.id, r.order_id, r.row_number, r.article_id, r.comment, r.ordered
          FROM :rows(id BIGINT, order_id BIGINT, row_number TEXT, article_id BIGINT, comment TEXT, ordered BIGINT) r
         WHERE true
        ON CONFLICT (order_id, row_number) DO UPDATE SET
          article_id = excluded.article_id, comment = excluded.comment, ordered = excluded.ordered
        """,
        rows=[(next(fresh), order_id, *line) for line in lines],
    )


def set_quantities(tx: Transaction, lines: Iterable[Line]) -> None:
    tx.run(
        """
        UPDATE wms_order_lines SET allocated = r.allocated, picked = r.picked, packed = r.packed
          FROM :rows(id BIGINT, allocated BIGINT, picked BIGINT, packed BIGINT) r WHERE wms_order_lines.id = r.id
        """,
        rows=[(line.id, line.allocated, line.picked, line.packed) for line in lines],
    )


# --- Parcels and tracking ------------------------------------------------------------------------------


def insert_parcel(tx: Transaction, parcel_id: int, order_id: int, number: str, tracking_url: str | None) -> None:
    tx.run(
        """
        INSERT INTO wms_parcels (id, order_id, number, is_return, tracking_url)
        VALUES (:id, :order_id, :number, 0, :tracking_url)
        """,
        id=parcel_id, order_id=order_id, number=number, tracking_url=tracking_url,
    )  # fmt: skip


def parcels_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        "SELECT p.* FROM :rows(order_id BIGINT) r JOIN wms_parcels p ON p.order_id = r.order_id ORDER BY p.id",
        rows=[(order_id,) for order_id in order_ids],
    )


def ship(tx: Transaction, order_id: int, waybill: str | None, tracking_url: str | None, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_orders SET waybill = :waybill, shipped_at = :now WHERE id = :id",
        id=order_id, waybill=waybill, now=now,
    )  # fmt: skip
    if waybill is not None:
        tx.run(
            """
            INSERT INTO wms_trackings (order_id, waybill, tracking_url, is_return, created_at)
            VALUES (:order_id, :waybill, :tracking_url, 0, :now)
            """,
            order_id=order_id,
            waybill=waybill,
            tracking_url=tracking_url,
            now=now,
        )


def trackings_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        """
        SELECT t.* FROM :rows(order_id BIGINT) r JOIN wms_trackings t ON t.order_id = r.order_id
         ORDER BY t.order_id, t.created_at, t.waybill
        """,
        rows=[(order_id,) for order_id in order_ids],
    )

"""Orders, their lines and tracking. What belongs to a goods owner is found by its id or within that goods owner; who may
see it, the actions decide."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.rules.order import Line
from dockbell.warehouse.store import places

Values = Mapping[str, Any]


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
    tx: Transaction, order_id: int, goods_owner_id: int, values: Values, status: int, *,
    back_order_for: int | None = None, now: Moment,
) -> None:  # fmt: skip
    """`values` are the columns that `change_order` can write over."""
    tx.run(
        """
        INSERT INTO wms_orders (id, goods_owner_id, number, goods_owner_order_id, consignee_order_number, transporter,
                                transporter_service, order_type, delivery_date, consignee, details, warehouse_id,
                                way_of_delivery, market_place, market_place_number, class_ids, back_order_for,
                                status, status_changed_at, created_at, changed_at)
        VALUES (:id, :goods_owner_id, :number, :goods_owner_order_id, :consignee_order_number, :transporter,
                :transporter_service, :order_type, :delivery_date, :consignee, :details, :warehouse_id,
                :way_of_delivery, :market_place, :market_place_number, :class_ids, :back_order_for,
                :status, :now, :now, :now)
        """,
        id=order_id, goods_owner_id=goods_owner_id, status=status, back_order_for=back_order_for, now=now, **values,
    )  # fmt: skip


def change_order(tx: Transaction, order_id: int, values: Values, *, now: Moment) -> None:
    tx.run(
        """
        UPDATE wms_orders
           SET number = :number, goods_owner_order_id = :goods_owner_order_id,
               consignee_order_number = :consignee_order_number, transporter = :transporter,
               transporter_service = :transporter_service, order_type = :order_type, delivery_date = :delivery_date,
               consignee = :consignee, details = :details, warehouse_id = :warehouse_id,
               way_of_delivery = :way_of_delivery, market_place = :market_place,
               market_place_number = :market_place_number, class_ids = :class_ids, changed_at = :now
         WHERE id = :id
        """,
        id=order_id, now=now, **values,
    )  # fmt: skip


def set_waybill(tx: Transaction, order_id: int, waybill: str, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_orders SET waybill = :waybill, changed_at = :now WHERE id = :id",
        id=order_id, waybill=waybill, now=now,
    )  # fmt: skip


def set_return_waybill(tx: Transaction, order_id: int, waybill: str, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_orders SET return_waybill = :waybill, changed_at = :now WHERE id = :id",
        id=order_id, waybill=waybill, now=now,
    )  # fmt: skip


def set_printed(tx: Transaction, order_id: int, *, now: Moment) -> None:
    """The first print counts."""
    tx.run(
        "UPDATE wms_orders SET printed_at = coalesce(printed_at, :now), changed_at = :now WHERE id = :id",
        id=order_id, now=now,
    )  # fmt: skip


def set_returned(tx: Transaction, order_id: int, *, now: Moment) -> None:
    tx.run("UPDATE wms_orders SET last_returned_at = :now, changed_at = :now WHERE id = :id", id=order_id, now=now)


def put_on_shipment(tx: Transaction, order_ids: Iterable[int], shipment_id: int, *, now: Moment) -> None:
    tx.run(
        """
        UPDATE wms_orders SET shipment_id = r.shipment_id, changed_at = r.now
          FROM :rows(id BIGINT, shipment_id BIGINT, now BIGINT) r WHERE wms_orders.id = r.id
        """,
        rows=[(order_id, shipment_id, now) for order_id in sorted(set(order_ids))],
    )


def orders_on(tx: Transaction, shipment_id: int) -> list[Row]:
    return tx.all("SELECT o.id, o.status FROM wms_orders o WHERE o.shipment_id = :id ORDER BY o.id", id=shipment_id)


def set_status(tx: Transaction, order_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_orders SET status = :status, status_changed_at = :now, changed_at = :now WHERE id = :id",
        id=order_id, status=status, now=now,
    )  # fmt: skip


def order_page(tx: Transaction, goods_owner_id: int, **wanted: Any) -> list[Row]:
    """By id. `wanted` has each of: number, status_from and _to, status_changed_from, created_from and _to, changed_from,
    shipped_from and _to, returned_from, shipment_id, parcel_number, article_number, unreported, serial, market_place,
    printed, back_order_for, ids, id_from, limit; a text or id may be None, ids and numbers of orders and articles may be
    several.
    """
    return tx.all(
        """
        SELECT o.* FROM wms_orders o
         WHERE o.goods_owner_id = :goods_owner_id AND o.id >= :id_from
           AND o.status >= :status_from AND o.status <= :status_to AND o.status_changed_at >= :status_changed_from
           AND o.created_at >= :created_from AND o.created_at <= :created_to AND o.changed_at >= :changed_from
           AND coalesce(o.shipped_at, 0) >= :shipped_from AND coalesce(o.shipped_at, 0) <= :shipped_to
           AND coalesce(o.last_returned_at, 0) >= :returned_from
           AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || o.number || '\x1f', '') <> :number)
           AND (CAST(:shipment_id AS BIGINT) IS NULL OR o.shipment_id = :shipment_id)
           AND (CAST(:parcel_number AS TEXT) IS NULL
                OR o.id IN (SELECT p.order_id FROM wms_pallet_items p WHERE p.label = :parcel_number))
           AND (CAST(:article_number AS TEXT) IS NULL
                OR o.id IN (SELECT l.order_id FROM wms_order_lines l JOIN wms_articles a ON a.id = l.article_id
                             WHERE a.goods_owner_id = :goods_owner_id
                               AND replace(:article_number, '\x1f' || a.number || '\x1f', '') <> :article_number))
           AND (:unreported = 0
                OR o.id IN (SELECT l.order_id FROM wms_order_lines l WHERE l.picked > coalesce(l.reported, 0)))
           AND (CAST(:serial AS TEXT) IS NULL OR o.id IN (
                  SELECT l.order_id FROM wms_order_lines l JOIN wms_article_items i ON i.order_line_id = l.id
                   WHERE i.serial = :serial
                  UNION ALL
                  SELECT l.order_id FROM wms_order_lines l JOIN wms_article_items i ON i.returned_line_id = l.id
                   WHERE i.serial = :serial))
           AND (CAST(:market_place AS TEXT) IS NULL OR o.market_place = :market_place)
           AND (:printed = 0 OR o.printed_at IS NOT NULL)
           AND (CAST(:back_order_for AS BIGINT) IS NULL OR o.back_order_for = :back_order_for)
           AND (CAST(:ids AS TEXT) IS NULL OR replace(:ids, '\x1f' || CAST(o.id AS TEXT) || '\x1f', '') <> :ids)
         ORDER BY o.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        **{**wanted, **{name: places.listed(wanted[name]) for name in ("number", "article_number", "ids")}},
    )


def waiting(tx: Transaction, goods_owner_id: int) -> list[int]:
    """Orders that goods can be allocated to, by id: who came first is served first."""
    rows = tx.all(
        "SELECT o.id FROM wms_orders o WHERE o.goods_owner_id = :goods_owner_id AND o.status IN (200, 300) ORDER BY o.id",
        goods_owner_id=goods_owner_id,
    )
    return [int(row["id"]) for row in rows]


def order(tx: Transaction, order_id: int) -> Row | None:
    return tx.one("SELECT o.* FROM wms_orders o WHERE o.id = :id", id=order_id)


def lines_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        """
        SELECT l.id, l.order_id, l.row_number, l.comment, l.ordered, l.allocated, l.picked, l.packed,
               l.returned, l.reported, l.article_id, o.warehouse_id,
               a.number AS article_number, a.name AS article_name, a.details AS article_details
          FROM :rows(order_id BIGINT) r
          JOIN wms_orders o ON o.id = r.order_id
          JOIN wms_order_lines l ON l.order_id = o.id JOIN wms_articles a ON a.id = l.article_id
         ORDER BY l.id
        """,
        rows=[(order_id,) for order_id in order_ids],
    )


def put_lines(tx: Transaction, order_id: int, lines: Sequence[tuple[str, int, str | None, int]]) -> None:
    """Make these the order's lines, (row number, article, comment, items) each. A row that stays keeps its id."""
    known = {row["row_number"]: int(row["id"]) for row in lines_of(tx, [order_id])}
    fresh = iter(places.next_ids(tx, places.ORDER_LINE_ID, len(lines)))
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
        UPDATE wms_order_lines SET allocated = r.allocated, picked = r.picked, packed = r.packed, returned = r.returned
          FROM :rows(id BIGINT, allocated BIGINT, picked BIGINT, packed BIGINT, returned BIGINT) r
         WHERE wms_order_lines.id = r.id
        """,
        rows=[(line.id, line.allocated, line.picked, line.packed, line.returned) for line in lines],
    )


def set_reported(tx: Transaction, reported: Mapping[int, int]) -> None:
    """By line: how many items the goods owner's system says it knows of."""
    tx.run(
        """
        UPDATE wms_order_lines SET reported = r.reported FROM :rows(id BIGINT, reported BIGINT) r
         WHERE wms_order_lines.id = r.id
        """,
        rows=sorted(reported.items()),
    )


# --- Tracking --------------------------------------------------------------------------------------------


def ship(tx: Transaction, order_id: int, waybill: str | None, tracking_url: str | None, *, now: Moment) -> None:
    """Nothing leaves without its transport documents."""
    tx.run(
        """
        UPDATE wms_orders SET waybill = :waybill, shipped_at = :now, printed_at = coalesce(printed_at, :now) WHERE id = :id
        """,
        id=order_id, waybill=waybill, now=now,
    )  # fmt: skip
    if waybill is not None:
        put_tracking(tx, order_id, waybill, tracking_url, is_return=False, now=now)


def put_tracking(
    tx: Transaction, order_id: int, waybill: str, tracking_url: str | None, *, is_return: bool, now: Moment
) -> None:
    tx.run(
        """
        INSERT INTO wms_trackings (order_id, waybill, tracking_url, is_return, created_at)
        VALUES (:order_id, :waybill, :tracking_url, :is_return, :now)
        ON CONFLICT (order_id, waybill) DO UPDATE SET
          tracking_url = excluded.tracking_url, is_return = excluded.is_return
        """,
        order_id=order_id, waybill=waybill, tracking_url=tracking_url, is_return=int(is_return), now=now,
    )  # fmt: skip


def drop_trackings(tx: Transaction, order_id: int) -> None:
    tx.run("DELETE FROM wms_trackings WHERE order_id = :order_id", order_id=order_id)


def trackings_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        """
        SELECT t.* FROM :rows(order_id BIGINT) r JOIN wms_trackings t ON t.order_id = r.order_id
         ORDER BY t.order_id, t.created_at, t.waybill
        """,
        rows=[(order_id,) for order_id in order_ids],
    )


def order_of_line(tx: Transaction, order_line_id: int) -> int:
    row = tx.one("SELECT order_id FROM wms_order_lines WHERE id = :id", id=order_line_id)
    assert row is not None
    return int(row["order_id"])

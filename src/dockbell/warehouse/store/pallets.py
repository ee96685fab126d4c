"""Pallet items: pallets and boxes. A parcel is the pallet item of an order."""

from collections.abc import Iterable
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.store import places


def insert(tx: Transaction, **values: Any) -> int:
    """Its id."""
    (pallet_item_id,) = places.next_ids(tx, places.PALLET_ITEM_ID)
    insert_as(tx, pallet_item_id, **values)
    return pallet_item_id


def insert_as(tx: Transaction, pallet_item_id: int, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_pallet_items (id, goods_owner_id, label, serial, comment, measures, type_id, location_id, parent_id,
                                      order_id, purchase_order_id, tracking_url, in_at)
        VALUES (:id, :goods_owner_id, :label, :serial, :comment, :measures, :type_id, :location_id, :parent_id,
                :order_id, :purchase_order_id, :tracking_url, :in_at)
        """,
        id=pallet_item_id,
        **{
            "serial": "", "comment": "", "measures": "{}", "parent_id": None, "order_id": None,
            "purchase_order_id": None, "tracking_url": None, **values,
        },
    )  # fmt: skip


def lock_pallet_item(tx: Transaction, pallet_item_id: int) -> Row | None:
    return tx.one("SELECT p.* FROM wms_pallet_items p WHERE p.id = :id /*pg FOR UPDATE */", id=pallet_item_id)


def lock_open_parcel(tx: Transaction, order_id: int, label: str) -> Row | None:
    return tx.one(
        """
        SELECT p.* FROM wms_pallet_items p WHERE p.order_id = :order_id AND p.label = :label ORDER BY p.id DESC LIMIT 1
        /*pg FOR UPDATE */
        """,
        order_id=order_id, label=label,
    )  # fmt: skip


def view(tx: Transaction, pallet_item_id: int) -> Row | None:
    """With place, type, and the transporter of what it belongs to."""
    return tx.one(
        """
        SELECT p.*, l.name AS location, l.type_id AS location_type_id, l.warehouse_id, w.code AS warehouse_code, k.code AS type_code,
               coalesce(o.transporter, s.transporter) AS transporter,
               coalesce(p.shipment_id, o.shipment_id) AS shipment
          FROM wms_pallet_items p
          LEFT JOIN wms_locations l ON l.id = p.location_id LEFT JOIN wms_warehouses w ON w.id = l.warehouse_id
          LEFT JOIN wms_kinds k ON k.noun = 'pallet type' AND k.id = p.type_id
          LEFT JOIN wms_orders o ON o.id = p.order_id
          LEFT JOIN wms_shipments s ON s.id = coalesce(p.shipment_id, o.shipment_id)
         WHERE p.id = :id
        """,
        id=pallet_item_id,
    )


def close(tx: Transaction, pallet_item_id: int) -> None:
    tx.run("UPDATE wms_pallet_items SET is_closed = 1 WHERE id = :id", id=pallet_item_id)


def move(tx: Transaction, pallet_item_id: int, location_id: int) -> None:
    tx.run(
        "UPDATE wms_pallet_items SET location_id = :location_id WHERE id = :id",
        id=pallet_item_id, location_id=location_id,
    )  # fmt: skip


def change(tx: Transaction, pallet_item_id: int, **values: Any) -> None:
    """`values` are label, type_id, is_return, measures."""
    tx.run(
        """
        UPDATE wms_pallet_items SET label = :label, type_id = :type_id, is_return = :is_return, measures = :measures
         WHERE id = :id
        """,
        id=pallet_item_id, **values,
    )  # fmt: skip


def uses(tx: Transaction, pallet_item_id: int) -> int:
    """What stands in it or on it, or is to be moved with it."""
    row = tx.one(
        """
        SELECT (SELECT count(*) FROM wms_article_items WHERE pallet_item_id = :id)
             + (SELECT count(*) FROM wms_pallet_items WHERE parent_id = :id)
             + (SELECT count(*) FROM wms_movements WHERE pallet_item_id = :id) AS uses
        """,
        id=pallet_item_id,
    )
    assert row is not None
    return int(row["uses"])


def delete(tx: Transaction, pallet_item_id: int) -> None:
    tx.run("DELETE FROM wms_pallet_items WHERE id = :id", id=pallet_item_id)


def leave(tx: Transaction, order_id: int, *, now: Moment) -> None:
    """The order's parcels go out with it, but those it will come back in."""
    tx.run(
        "UPDATE wms_pallet_items SET out_at = :now WHERE order_id = :order_id AND is_return = 0",
        order_id=order_id, now=now,
    )  # fmt: skip


def set_tracking(tx: Transaction, pallet_item_id: int, tracking_url: str | None) -> None:
    tx.run("UPDATE wms_pallet_items SET tracking_url = :url WHERE id = :id", id=pallet_item_id, url=tracking_url)


def parcels_of(tx: Transaction, order_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        "SELECT p.* FROM :rows(order_id BIGINT) r JOIN wms_pallet_items p ON p.order_id = r.order_id ORDER BY p.id",
        rows=[(order_id,) for order_id in order_ids],
    )


def page(tx: Transaction, goods_owner_id: int, *, label: str | None, id_from: int, limit: int) -> list[Row]:
    return tx.all(
        """
        SELECT p.id FROM wms_pallet_items p WHERE p.goods_owner_id = :goods_owner_id AND p.id >= :id_from
           AND (CAST(:label AS TEXT) IS NULL OR p.label = :label) ORDER BY p.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, label=label, id_from=id_from, limit=limit,
    )  # fmt: skip

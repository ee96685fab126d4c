"""Shipments in and out."""

from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

SHIPMENT = """
SELECT s.*, w.code AS warehouse_code, w.name AS warehouse_name FROM wms_shipments s
  JOIN wms_warehouses w ON w.id = s.warehouse_id WHERE s.id = :id
"""


def insert_shipment(tx: Transaction, shipment_id: int, *, now: Moment, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_shipments (id, goods_owner_id, direction, number, transporter, warehouse_id, country_code, status,
                                   status_changed_at, created_at)
        VALUES (:id, :goods_owner_id, :direction, :number, :transporter, :warehouse_id, :country_code, :status, :now, :now)
        """,
        id=shipment_id, now=now, **values,
    )  # fmt: skip


def lock_shipment(tx: Transaction, shipment_id: int) -> Row | None:
    return tx.one(SHIPMENT + "/*pg FOR UPDATE OF s */", id=shipment_id)


def shipment(tx: Transaction, shipment_id: int) -> Row | None:
    return tx.one(SHIPMENT, id=shipment_id)


def shipment_by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    return tx.one(
        "SELECT s.id FROM wms_shipments s WHERE s.goods_owner_id = :goods_owner_id AND s.number = :number",
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def set_shipment_status(tx: Transaction, shipment_id: int, status: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_shipments SET status = :status, status_changed_at = :now WHERE id = :id",
        id=shipment_id, status=status, now=now,
    )  # fmt: skip


def shipment_page(tx: Transaction, goods_owner_id: int, *, id_from: int, limit: int) -> list[int]:
    rows = tx.all(
        """
        SELECT s.id FROM wms_shipments s WHERE s.goods_owner_id = :goods_owner_id AND s.id >= :id_from
         ORDER BY s.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, id_from=id_from, limit=limit,
    )  # fmt: skip
    return [int(row["id"]) for row in rows]


def purchase_orders_on(tx: Transaction, shipment_id: int) -> list[int]:
    rows = tx.all("SELECT p.id FROM wms_purchase_orders p WHERE p.shipment_id = :id ORDER BY p.id", id=shipment_id)
    return [int(row["id"]) for row in rows]

"""The rows of orders' waybills."""

from collections.abc import Mapping
from typing import Any

from dockbell.store.database import Row, Transaction


def insert(tx: Transaction, row_id: int, order_id: int, type_id: int, values: Mapping[str, Any]) -> None:
    tx.run(
        """
        INSERT INTO wms_waybill_rows (id, order_id, type_id, number_of_packages, approved, measures, comment, category)
        VALUES (:id, :order_id, :type_id, :number_of_packages, :approved, :measures, :comment, :category)
        """,
        id=row_id, order_id=order_id, type_id=type_id, **values,
    )  # fmt: skip


def delete(tx: Transaction, row_id: int) -> None:
    tx.run("DELETE FROM wms_waybill_rows WHERE id = :id", id=row_id)


def delete_all(tx: Transaction, order_id: int) -> None:
    tx.run("DELETE FROM wms_waybill_rows WHERE order_id = :id", id=order_id)


def rows_of(tx: Transaction, order_id: int) -> list[Row]:
    return tx.all(
        """
        SELECT r.*, k.code AS type_code, k.name AS type_name FROM wms_waybill_rows r
          JOIN wms_kinds k ON k.noun = 'pallet type' AND k.id = r.type_id WHERE r.order_id = :id ORDER BY r.id
        """,
        id=order_id,
    )
